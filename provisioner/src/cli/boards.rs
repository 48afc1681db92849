//! `boards`: the kits that are plugged in.

use super::Context;
use crate::cli::Error;
use iot_kit::ports;

/// Lists the kits, one a line.
///
/// # Errors
/// The list of ports cannot be read.
pub(super) fn run(context: &Context) -> Result<(), Error> {
    let kits = ports::kits()?;
    if kits.is_empty() {
        context.note(
            "no board found: plug a kit in with a USB data cable; if the kit is not detected, name its port with --port",
        );
    }
    for kit in &kits {
        context.show(kit);
    }
    Ok(())
}
