//! What the ledger knows of boards, for what things are described with.

use std::collections::HashMap;

use jitr::description::Fields;
use jitr::registration::Settings;

use crate::cli::Error;
use crate::state::home::Home;
use crate::state::ledger::{Ending, Entry, Ledger, Line};

/// The fields of boards that were provisioned here, by certificate id; of several attempts, those of the latest that succeeded. The
/// ledger is read only where a template has one of its fields.
///
/// # Errors
/// The ledger cannot be read.
pub(super) fn known(home: &Home, settings: &Settings) -> Result<HashMap<String, Fields>, Error> {
    let mut known = HashMap::new();
    if settings.description.field_of_the_ledger().is_none() {
        return Ok(known);
    }
    for line in Ledger::of(home).lines()? {
        if let Line::Entry(entry) = line?
            && entry.outcome != Ending::Failed
            && let Some(id) = entry.certificate_id.clone()
        {
            known.insert(id, fields(*entry));
        }
    }
    Ok(known)
}

fn fields(entry: Entry) -> Fields {
    Fields::default()
        .with("station", entry.station)
        .with("usb_serial", entry.usb_serial.unwrap_or_default())
        .with("secure_element_serial", entry.secure_element_serial.unwrap_or_default())
}
