//! `flash`: puts a program into a kit's microcontroller through the kit's disk.

use std::path::PathBuf;

use clap::Args;

use super::firmware::{DiskOption, Program};
use super::plan::{self, Line, Plan};
use super::{Context, provision::Choice};
use crate::cli::Error;
use iot_kit::Kit;
use iot_kit::disk::Firmware;

/// Arguments of `flash`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Firmware, Intel HEX
    #[arg(value_name = "HEX")]
    file: PathBuf,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    disk: DiskOption,
}

/// Checks the file, programs the kit that is meant, and waits until its disk and its port are back.
///
/// # Errors
/// Those of the file, the kit and its disk.
pub(super) async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let firmware = Firmware::read(&arguments.file).map_err(iot_kit::Error::from)?;
    let kit = arguments.choice.kit(context)?;
    let flash = Flash { program: arguments.disk.program(firmware, &kit)?, kit };
    plan::run(context, flash).await
}

struct Flash {
    program: Program,
    kit: Kit,
}

impl Plan for Flash {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(vec![self.program.line(&self.kit)])
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { program, kit } = self;
        let mut about = program.about(&kit);
        about.port = program.carry_out(context, kit).await?.port;
        plan::tell(context, "program", format_args!("programmed {about}"), &about);
        Ok(())
    }
}
