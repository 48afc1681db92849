//! Boards that fail, or that the plan refuses: why, what helps, and what they end the process with.

use std::borrow::Cow;
use std::fmt;

use device_pki::visible;
use serde::Serialize;

use crate::cli::Error;
use crate::cli::exit_code::{ExitCode, work as exit_code};
use crate::cli::next_step::of_work as next_step;
use crate::work::{self, chain};

/// What is wrong with one board.
#[derive(Serialize)]
pub(super) struct Trouble {
    pub(super) error: String,
    help: Cow<'static, str>,
    exit_code: u8,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  help: {}", visible::line(&self.error), visible::line(&self.help))
    }
}

impl Trouble {
    pub(super) fn of(error: &work::Error) -> Self {
        Self { error: chain(error).join(": "), help: next_step(error), exit_code: exit_code(error) as u8 }
    }
}

/// The failures among some boards.
#[derive(Default)]
pub(super) struct Failures {
    failed: usize,
    /// Boards that have ended, those that failed among them.
    pub(super) all: usize,
    /// What the failures end the process with.
    code: Option<ExitCode>,
}

impl Failures {
    /// Counts a board that failed.
    pub(super) fn add(&mut self, error: &work::Error) -> Trouble {
        let code = exit_code(error);
        self.failed += 1;
        self.code = Some(self.code.filter(|other| *other != code).map_or(code, |_| ExitCode::Failed));
        Trouble::of(error)
    }

    /// # Errors
    /// [`Error::Boards`] if any failed.
    pub(super) fn verdict(self) -> Result<(), Error> {
        let Self { failed, all, code } = self;
        code.map_or(Ok(()), |exit_code| Err(Error::Boards { failed, all, exit_code }))
    }
}
