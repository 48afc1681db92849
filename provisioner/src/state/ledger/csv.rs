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

/// The entries as CSV, one record each.
///
/// # Errors
/// The writer's, which needs nothing but memory.
pub fn to_csv<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(NAMES)?;
    for entry in entries {
        let when = rfc3339(entry.when);
        let (seconds, attested) = (format!("{:.3}", entry.seconds), entry.attested.to_string());
        let text = |field: &'a Option<String>| field.as_deref().unwrap_or_default();
        let cells = [
            when.as_str(),
            entry.station.as_str(),
            &entry.port,
            text(&entry.usb_serial),
            text(&entry.secure_element_serial),
            text(&entry.thing_name),
            text(&entry.certificate_id),
            entry.method.as_str(),
            entry.outcome.word(),
            text(&entry.error),
            &seconds,
            &attested,
        ];
        writer.write_record(cells.map(cell).iter().map(|cell| cell.as_bytes()))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}
