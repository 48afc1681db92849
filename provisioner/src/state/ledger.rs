//! The ledger: one line for every attempt at a board, appended and synced before the result is shown.
//!
//! JSON lines in the home folder. Several processes may append; each does so under a lock on the file. A line that a
//! crash cut short stays in the file, is reported to readers, and affects no other line. Names that
//! fields had in earlier versions are read, too.

use std::path::Path;

use durable_files::{Access, Log, Torn};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;

use super::home::Home;
pub use super::home::LEDGER as FILE;

pub mod check;
mod csv;
mod search;

pub use csv::{names, record};
pub use search::{Filter, Since, duration};

/// One attempt at one board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended, RFC 3339, UTC.
    #[serde(with = "rfc3339")]
    pub when: OffsetDateTime,
    /// The station, `--station`, or else the computer's name.
    pub station: String,
    /// The serial port.
    pub port: String,
    /// The kit's USB serial number, where it is known.
    #[serde(alias = "kit_serial")]
    pub usb_serial: Option<String>,
    /// Serial number of the secure element, 18 upper-case hex digits, if the board has reported it.
    pub secure_element_serial: Option<String>,
    /// Thing name; follows from the device's key.
    pub thing_name: Option<String>,
    /// SHA-256 of the DER certificate: its fingerprint, and its id in AWS IoT.
    pub certificate_id: Option<String>,
    /// How the board is registered: `jitr`, …
    pub method: String,
    /// Whether the secure element has shown that it is genuine; `false` where that was not asked, too.
    #[serde(default)]
    pub attested: bool,
    /// How it ended.
    #[serde(alias = "result")]
    pub outcome: Ending,
    /// What went wrong, and why, if it failed.
    pub error: Option<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Written and read back.
    Provisioned,
    /// The board held the right bytes already.
    Unchanged,
    /// It is not provisioned, or not known to be.
    Failed,
}

impl Ending {
    /// The word that the ledger has for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Provisioned => "provisioned",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// The content of a ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Every attempt, oldest first.
    pub entries: Vec<Entry>,
    /// Lines that are no entry, counted from 1: cut short by a crash, or changed.
    pub damaged: Vec<usize>,
}

/// The ledger of a home folder.
#[derive(Clone, Debug)]
pub struct Ledger {
    log: Log,
}

impl Ledger {
    /// The ledger in `home`; the file is made with the first entry.
    pub fn of(home: &Home) -> Self {
        Self { log: Log::new(home.file(FILE), Access::Public, Torn::Keep) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.log.path()
    }

    /// Adds an entry. When this returns, it is on the disk.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`]: the entry may be missing, or there in part, and then counts as damaged.
    pub fn append(&self, entry: &Entry) -> Result<(), durable_files::Error> {
        self.log.append(|_| Ok(serde_json::to_vec(entry)?), |_| Ok(()))
    }

    /// Reads it line by line, the oldest first; nothing where there is no file yet.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`], also of each line.
    pub fn lines(
        &self,
    ) -> Result<impl Iterator<Item = Result<Line, durable_files::Error>>, durable_files::Error> {
        let numbered = self.log.lines()?.enumerate();
        Ok(numbered.filter_map(|(index, line)| line.map(|line| parsed(index, &line)).transpose()))
    }

    /// Reads all of it; nothing where there is no file yet.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn read(&self) -> Result<Contents, durable_files::Error> {
        let mut contents = Contents::default();
        for line in self.lines()? {
            contents.add(line?);
        }
        Ok(contents)
    }
}

/// A line of a ledger.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// An attempt.
    Entry(Box<Entry>),
    /// The line of this number, counted from 1, is no entry: cut short by a crash, or changed.
    Damaged(usize),
}

/// Line `index` of a ledger, counted from 0; nothing in an empty one.
fn parsed(index: usize, line: &[u8]) -> Option<Line> {
    let entry = || serde_json::from_slice(line).map_or(Line::Damaged(index + 1), Line::Entry);
    (!line.is_empty()).then(entry)
}

impl Contents {
    fn add(&mut self, line: Line) {
        match line {
            Line::Entry(entry) => self.entries.push(*entry),
            Line::Damaged(number) => self.damaged.push(number),
        }
    }
}

/// The entries in a ledger's bytes.
pub fn parse(text: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let lines = durable_files::lines(text).enumerate().filter_map(|(index, line)| parsed(index, line));
    lines.for_each(|line| contents.add(line));
    contents
}

#[cfg(test)]
pub(crate) mod tests;
