//! What to do about an error: the one place that names flags, commands and environment variables for it.
//!
//! A file for each crate matches its errors, without an arm for the rest: a new error does not compile until somebody has
//! said what its next step is.

use std::borrow::Cow;

use super::Error as CliError;
use crate::Error;

mod account;
mod files;
mod kit;
mod pki;
mod remedy;
mod work;

pub(super) use remedy::remedy;

/// A next step, for people.
type Text = Cow<'static, str>;

/// What to do about an error.
pub(super) fn next_step(error: &Error) -> Text {
    match error {
        Error::Home(error) => files::files(error),
        Error::Ca(error) => pki::pki(error),
        Error::Audit(_) => {
            "make room on the disk or mend the file's permissions, then run the same command again".into()
        }
        Error::Board(error) => kit::kit(error),
        Error::Cloud(error) => account::account(error),
        Error::Provision(error) => work::provision(error),
        Error::Line(error) => work::line(error),
        Error::Cli(error) => cli(error),
    }
}

fn cli(error: &CliError) -> Text {
    match error {
        CliError::Usage { help, .. } => help.clone().into(),
        CliError::Unconfirmed { .. } => "say yes with --yes".into(),
        CliError::Declined => "run again to decide anew".into(),
        CliError::Terminal { .. } => {
            "give the answer on the command line, and --non-interactive so that nothing is asked".into()
        }
        CliError::File { .. } => "check the name and the content of the file".into(),
        CliError::Boards { .. } => {
            "unplug them, plug them in again and run again: what is done stays as it is; the ledger has the reasons: provisioner ledger --result failed"
                .into()
        }
        CliError::Ledger(_) => {
            "a kit whose secure element was replaced is one; otherwise put the boards aside: a key or a serial number was copied"
                .into()
        }
        CliError::Audit(_) => {
            "compare it with a copy; find out who could write to the folder, and rotate the signer if a signature may be missing: provisioner ca rotate"
                .into()
        }
        CliError::Start { .. } => {
            "the system is short of threads, file descriptors or memory; free some and try again".into()
        }
    }
}
