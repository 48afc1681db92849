//! Lists that a user writes or exports: one name a line.

use std::path::Path;

use super::{Error, named};

/// The standard input.
const STDIN: &str = "-";

/// The names in a text, with or without quotes, and the numbers of their lines; empty lines and those with # are left out.
pub(super) fn names(text: &str) -> impl Iterator<Item = (usize, String)> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let quoted = |line: &str, quote| line.strip_prefix(quote)?.strip_suffix(quote).map(str::to_owned);
    text.lines()
        .map(str::trim)
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(move |(index, line)| {
            let name = quoted(line, '"').or_else(|| quoted(line, '\''));
            (index + 1, name.unwrap_or_else(|| line.to_owned()))
        })
}

/// The names in the list in a file, or on the standard input.
///
/// # Errors
/// The list cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<(usize, String)>, Error> {
    let bytes = match path.as_os_str() == STDIN {
        true => durable_files::read_stdin().map_err(Error::Named)?.to_vec(),
        false => named::read(path)?.ok_or_else(|| Error::Named(durable_files::Error::missing(path)))?,
    };
    Ok(names(&String::from_utf8_lossy(&bytes)).collect())
}
