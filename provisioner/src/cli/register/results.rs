//! The result files: one row a certificate, written as it comes, as CSV (RFC 4180) or JSON lines.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::{Error, named, output};
use crate::state::spreadsheet::cell;
use iot_account::register::Row;

const HEADER: &str = "source,certificate_id,thing_name,outcome,error,unique_id\r\n";

/// What the header of every version begins with.
const FIRST_COLUMNS: &str = "source,certificate_id,thing_name,outcome,error";

/// What every line of JSON begins with.
const OBJECT: &str = "{\"schema_version\":";

pub(super) struct Results(Vec<ResultFile>);

struct ResultFile {
    path: PathBuf,
    file: File,
    csv: bool,
}

impl Results {
    /// Whether files can be made at `paths`, see [`named::check_output`]. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::Named`], [`Error::Taken`].
    pub(super) fn check(paths: &[PathBuf]) -> Result<(), Error> {
        paths.iter().try_for_each(|path| {
            let beginning = if is_csv(path) { FIRST_COLUMNS } else { OBJECT };
            named::check_output(path, beginning.as_bytes())
        })
    }

    /// Starts the files at `paths`; the results of an earlier run are replaced.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub(super) fn create(paths: &[PathBuf]) -> Result<Self, durable_files::Error> {
        let open = |path: &PathBuf| {
            let csv = is_csv(path);
            let mut file = durable_files::output(path)?;
            if csv {
                let written = file.write_all(HEADER.as_bytes());
                written.map_err(|source| durable_files::Error::io("write", path, source))?;
            }
            Ok(ResultFile { path: path.clone(), file, csv })
        };
        Ok(Self(paths.iter().map(open).collect::<Result<_, _>>()?))
    }

    /// Adds a row to each file.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub(super) fn add(&mut self, row: &Row) -> Result<(), durable_files::Error> {
        for ResultFile { path, file, csv } in &mut self.0 {
            let line = match csv {
                true => record(row),
                false => output::json(row).map(String::into_bytes).map_err(io::Error::from),
            };
            line.and_then(|line| file.write_all(&line))
                .map_err(|source| durable_files::Error::io("write", path, source))?;
        }
        Ok(())
    }
}

fn is_csv(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// One record of the CSV file.
fn record(row: &Row) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let Row { source, certificate_id, thing_name, outcome, error, unique_id, .. } = row;
    let outcome = serde_json::to_value(outcome)?;
    let outcome = outcome.as_str().unwrap_or_default().to_owned();
    let cells = [
        Some(source),
        certificate_id.as_ref(),
        thing_name.as_ref(),
        Some(&outcome),
        error.as_ref(),
        unique_id.as_ref(),
    ];
    let cells = cells.map(|text| cell(text.map_or("", String::as_str)));
    writer.write_record(cells.iter().map(|cell| cell.as_bytes()))?;
    writer.into_inner().map_err(|error| error.into_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(error: &str) -> Row {
        Row::refused("a, b.crt".into(), Some("1f".into()), error.into())
    }

    #[test]
    fn fields_with_commas_quotes_and_lines_are_quoted() {
        let text = |error| String::from_utf8(record(&row(error)).unwrap()).unwrap();
        assert_eq!(text("it is \"REVOKED\"\n"), "\"a, b.crt\",1f,,refused,\"it is \"\"REVOKED\"\"\n\",\r\n");
        assert_eq!(text("=cmd|' /C calc'!A0"), "\"a, b.crt\",1f,,refused,'=cmd|' /C calc'!A0,\r\n");
        assert_eq!(text("no"), "\"a, b.crt\",1f,,refused,no,\r\n");
    }

    #[test]
    fn the_name_decides_the_form() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("r.csv"), folder.path().join("r.jsonl")];
        let mut results = Results::create(&paths).unwrap();
        results.add(&row("no")).unwrap();
        let [csv, json] = paths.map(|path| std::fs::read_to_string(path).unwrap());
        assert_eq!(csv.lines().count(), 2);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["schema_version"], &value["outcome"]), (&1.into(), &"refused".into()));
    }
}
