//! Keys as users name them: by their identifiers, by files with certificates, and by tables.

use std::path::Path;

use device_pki::Certificate;
use device_pki::admission_list::KeyIdentifier;

use crate::cli::{Error, certificate_file, named};

/// What keeps a row from being a key.
pub(super) struct Row {
    /// Its number in the table, from 1.
    pub(super) number: usize,
    pub(super) keys: Result<Vec<KeyIdentifier>, String>,
}

/// The keys that are named by an identifier, or by a file with certificates: those of the boards in it.
///
/// # Errors
/// Neither of them; a certificate whose key is none of a board.
pub(super) fn keys(name: &str) -> Result<Vec<KeyIdentifier>, Error> {
    if let Ok(key) = name.trim().parse() {
        return Ok(vec![key]);
    }
    let path = Path::new(name);
    if !path.exists() {
        return Err(Error::usage(
            format!("{name} is neither a key identifier nor a file"),
            "a key identifier has 40 hex digits, as the name of a thing; a file has certificates",
        ));
    }
    let certificates = certificate_file::read(path)?;
    of_boards(&certificates).map_err(|reason| Error::File { path: path.to_owned(), reason })
}

/// The keys of the certificates that are no CA's.
fn of_boards(certificates: &[Certificate]) -> Result<Vec<KeyIdentifier>, String> {
    let boards: Vec<_> = certificates.iter().filter(|certificate| !certificate.is_ca()).collect();
    if boards.is_empty() {
        return Err("it has certificates of CAs alone".to_owned());
    }
    let key = |certificate: &&Certificate| {
        let point = certificate.point();
        let point = point.ok_or_else(|| format!("a key in it is {}, not P-256", certificate.key_kind()));
        point.map(|point| KeyIdentifier::of(&point))
    };
    boards.iter().map(key).collect()
}

/// The rows of a CSV table with a line of names. `column` has the keys: identifiers, certificates as PEM, or names of files beside the
/// table. Without it, the first column of these names: `subject_key_identifier`, `thing_name`, `certificate`.
///
/// # Errors
/// No table; no such column.
pub(super) fn table(path: &Path, column: Option<&str>) -> Result<Vec<Row>, Error> {
    let missing = || Error::File { path: path.to_owned(), reason: "there is no such file".to_owned() };
    let bytes = named::read(path)?.ok_or_else(missing)?;
    let text = bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text);
    let names = reader.byte_headers().map_err(|error| not_a_table(path, &error))?.clone();
    let usual = ["subject_key_identifier", "thing_name", "certificate"];
    let wanted = column.map_or_else(|| usual.to_vec(), |column| vec![column]);
    let place = wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted.as_bytes()));
    let place = place.ok_or_else(|| {
        let reason = format!("it has no column {} in its first line", wanted.join(", "));
        Error::File { path: path.to_owned(), reason }
    })?;
    let mut rows = Vec::new();
    for (index, record) in reader.byte_records().enumerate() {
        let keys = match &record {
            Err(error) => Err(error.to_string()),
            Ok(record) => match record.get(place) {
                None => Err("it has too few columns".to_owned()),
                Some(cell) => cell_keys(cell, path),
            },
        };
        let number = record.as_ref().ok().and_then(|record| record.position());
        let number = number.map_or(index + 2, |position| position.line() as usize);
        rows.push(Row { number, keys });
    }
    Ok(rows)
}

fn not_a_table(path: &Path, error: &csv::Error) -> Error {
    Error::File { path: path.to_owned(), reason: error.to_string() }
}

fn cell_keys(cell: &[u8], table: &Path) -> Result<Vec<KeyIdentifier>, String> {
    let text = String::from_utf8_lossy(cell);
    // A spreadsheet's mark of text.
    let text = text.trim().trim_start_matches('\'');
    if let Ok(key) = text.parse() {
        return Ok(vec![key]);
    }
    if text.contains("-----BEGIN") {
        let certificates = Certificate::read_all(text.as_bytes()).map_err(|error| error.to_string())?;
        return of_boards(&certificates);
    }
    let beside = table.parent().unwrap_or(Path::new(".")).join(text);
    match text.is_empty() || !beside.is_file() {
        true => Err("it has no key identifier, certificate or file".to_owned()),
        false => {
            let certificates = certificate_file::read(&beside).map_err(|error| error.to_string())?;
            of_boards(&certificates)
        }
    }
}
