//! The ledger: one line for every attempt at a board, appended and synced before anybody is told how it ended.
//!
//! JSON lines in the home folder. Several processes may append; each does so under a lock on the file. A line that a
//! crash cut short stays where it is, is told to whoever reads, and costs no other line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::home::{self, Home};

pub mod check;
mod csv;
mod search;
pub(crate) mod timestamp;

pub use csv::to_csv;
pub use search::{Filter, Since};

/// Name of the file in the home folder.
pub const FILE: &str = "ledger.jsonl";

/// One attempt at one board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended, RFC 3339, UTC.
    #[serde(with = "timestamp")]
    pub when: OffsetDateTime,
    /// The station, `--station`, or else the computer's name.
    pub station: String,
    /// The serial port.
    pub port: String,
    /// The kit's USB serial number, where it is known.
    pub kit_serial: Option<String>,
    /// Serial number of the secure element, 18 upper-case hex digits, where the board got as far as to tell it.
    pub secure_element_serial: Option<String>,
    /// Thing name; follows from the device's key.
    pub thing_name: Option<String>,
    /// SHA-256 of the DER certificate: its fingerprint, and its id in AWS IoT.
    pub certificate_id: Option<String>,
    /// How the board is registered: `jitr`, …
    pub method: String,
    /// How it ended.
    pub result: Ending,
    /// What went wrong, and why, if it failed.
    pub error: Option<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
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

/// What a ledger holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Every attempt, oldest first.
    pub entries: Vec<Entry>,
    /// Lines that are no entry, counted from 1: cut short by a crash, or changed by somebody.
    pub damaged: Vec<usize>,
}

/// The ledger of a home folder.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// The ledger in `home`; the file is made with the first entry.
    pub fn of(home: &Home) -> Self {
        Self { path: home.file(FILE) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an entry. When this returns, it is on the disk.
    ///
    /// # Errors
    /// [`home::Error::Io`]: the entry may be missing, or there in part, and then counts as damaged.
    pub fn append(&self, entry: &Entry) -> Result<(), home::Error> {
        self.try_append(entry).map_err(|e| home::Error::io("write", &self.path, e))
    }

    fn try_append(&self, entry: &Entry) -> io::Result<()> {
        let new = !self.path.exists();
        let mut file = File::options().create(true).read(true).append(true).open(&self.path)?;
        home::wait_for(&file, &self.path)?;
        let mut line = Vec::new();
        if lacks_line_end(&mut file)? {
            // What a crash left stays a line of its own.
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, entry)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_all()?;
        if new { home::sync_folder(home::folder_of(&self.path)) } else { Ok(()) }
    }

    /// Reads all of it; nothing where there is no file yet.
    ///
    /// # Errors
    /// [`home::Error::Io`].
    pub fn read(&self) -> Result<Contents, home::Error> {
        let mut text = Vec::new();
        match File::open(&self.path) {
            Ok(mut file) => file.lock_shared().and_then(|()| file.read_to_end(&mut text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
        .map_err(|e| home::Error::io("read", &self.path, e))?;
        Ok(parse(&text))
    }
}

fn lacks_line_end(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The entries in a ledger's bytes.
pub fn parse(text: &[u8]) -> Contents {
    let mut contents = Contents::default();
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(entry) => contents.entries.push(entry),
            Err(_) => contents.damaged.push(number + 1),
        }
    }
    contents
}

#[cfg(test)]
pub(crate) mod tests;
