//! The ledger as a table for spreadsheets: CSV (RFC 4180) with a line of names.

use device_pki::certificate::rfc3339;

use super::Entry;
use crate::state::spreadsheet::cell;

const NAMES: [&str; 12] = [
    "when",
    "station",
    "port",
    "usb_serial",
    "secure_element_serial",
    "thing_name",
    "certificate_id",
    "method",
    "outcome",
    "error",
    "seconds",
    "attested",
];

/// The line of names.
///
/// # Errors
/// The writer's, which needs nothing but memory.
pub fn names() -> Result<Vec<u8>, csv::Error> {
    line(NAMES)
}

/// An entry as one record.
///
/// # Errors
/// As [`names`].
pub fn record(entry: &Entry) -> Result<Vec<u8>, csv::Error> {
    let when = rfc3339(entry.when);
    let (seconds, attested) = (format!("{:.3}", entry.seconds), entry.attested.to_string());
    let [usb_serial, secure_element_serial, thing_name, certificate_id, error] = [
        &entry.usb_serial,
        &entry.secure_element_serial,
        &entry.thing_name,
        &entry.certificate_id,
        &entry.error,
    ]
    .map(|field| field.as_deref().unwrap_or_default());
    line([
        &when,
        &entry.station,
        &entry.port,
        usb_serial,
        secure_element_serial,
        thing_name,
        certificate_id,
        &entry.method,
        entry.outcome.word(),
        error,
        &seconds,
        &attested,
    ])
}

fn line(cells: [&str; NAMES.len()]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(cells.map(cell).iter().map(|cell| cell.as_bytes()))?;
    writer.into_inner().map_err(|error| error.into_error().into())
}
