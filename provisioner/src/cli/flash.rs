//! `flash`: puts a program into a kit's microcontroller through the kit's disk.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::firmware::DiskOption;
use super::{Context, provision::Choice};
use crate::cli::Error;
use iot_account::counted;
use iot_kit::disk::Firmware;

/// Arguments of `flash`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program, an Intel HEX file
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
    if context.global.dry_run {
        context.note(format_args!("would put {} into {kit}", arguments.file.display()));
        return Ok(());
    }
    let bytes = firmware.size();
    let kit = arguments.disk.program(context, firmware, kit).await?;
    let done = Done { port: kit.port, usb_serial: kit.serial, file: arguments.file, bytes };
    let Done { file, bytes, .. } = &done;
    let kit = done.usb_serial.as_ref().unwrap_or(&done.port);
    context.result(
        format_args!("programmed {kit} with {} ({})", file.display(), counted(*bytes, "byte")),
        &done,
    );
    Ok(())
}

#[derive(Serialize)]
struct Done {
    port: String,
    usb_serial: Option<String>,
    file: PathBuf,
    bytes: usize,
}
