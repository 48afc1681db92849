//! The audit log: one line for every signature made with a key of the home folder.
//!
//! JSON lines. Each holds the SHA-256 of the line before it, so a changed or missing line shows ([`verify`]); the file
//! beside it holds number and hash of the last one, so a missing end shows, too. What was signed is read from the signed
//! document itself. A document whose line is not on the disk is not released.
//!
//! A person who can write to the home folder can replace the whole chain. Only the hash of a line shows that, if it
//! is kept elsewhere: `audit verify` prints it, and compares it with `--head`.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use device_pki::Purpose;
use durable_files::{Access, Torn, folder};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;

use super::authorities::is_key_identifier;
use super::home::Home;
pub use super::home::{AUDIT_HEAD as HEAD, AUDIT_LOG as FILE};

mod document;
#[cfg(test)]
mod tests;
mod verify;

pub use document::Document;
pub use verify::{Finding, NO_ENTRY, Verified, verify};

/// One signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts from 1.
    pub number: u64,
    /// When it was made, RFC 3339, UTC.
    #[serde(with = "rfc3339")]
    pub when: OffsetDateTime,
    /// Name of the computer.
    pub station: String,
    /// Key identifier of the key that signed: SHA-1 of the public key bits, 40 lower-case hex digits.
    #[serde(alias = "key_id")]
    pub authority_key_identifier: String,
    /// What the signature is for.
    pub purpose: Purpose,
    /// What the document says.
    #[serde(flatten)]
    pub document: Document,
    /// SHA-256 of the signed document, DER, 64 lower-case hex digits. Of a certificate it is the id in AWS IoT.
    pub sha256: String,
    /// SHA-256 of the line before this one, 64 lower-case hex digits; zeros in the first line.
    pub previous: String,
    /// Where the file that says where the log ends was not as it is left: entries before this one may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_lost: Option<HeadLoss>,
}

/// Why it is not known where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadLoss {
    /// There is no such file.
    Missing,
    /// It cannot be read.
    Unreadable,
}

impl HeadLoss {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Where the log ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last line.
    pub number: u64,
    /// SHA-256 of the last line, 64 lower-case hex digits.
    pub sha256: String,
}

impl Head {
    /// The end of a log without entries.
    fn of_nothing() -> Self {
        Self { number: 0, sha256: NO_ENTRY.to_owned() }
    }
}

/// A signature that could not be noted.
#[derive(Debug, thiserror::Error)]
#[error("the signature is withheld: it cannot be recorded in the audit log {}", path.display())]
pub struct Error {
    /// The log.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

/// What is in the files of a log.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Its lines.
    pub text: Vec<u8>,
    /// Size of a part of a line at the end, which is no entry and which the next entry replaces, in bytes.
    pub torn: usize,
    /// Where it ends.
    pub head: Result<Head, HeadLoss>,
}

/// The audit log of a home folder.
#[derive(Clone, Debug)]
pub struct Log {
    log: durable_files::Log,
    home: Home,
}

impl Log {
    /// The log in `home`; the file is made with the first entry.
    pub fn of(home: &Home) -> Self {
        let is_whole = |line: &[u8]| serde_json::from_slice::<Entry>(line).is_ok();
        let log = durable_files::Log::new(home.file(FILE), Access::Private, Torn::Cut(is_whole));
        Self { log, home: home.clone() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.log.path()
    }

    /// Adds a line for the signed document `der`. When this returns, it is on the disk.
    ///
    /// There is a head before there is a line: a log without one was changed, and the next line says so and is not removed.
    ///
    /// # Errors
    /// [`Error`]: the log is as it was before, and the document must not be released.
    pub fn record(&self, authority_key_identifier: &str, purpose: Purpose, der: &[u8]) -> Result<(), Error> {
        let make = |last: Option<&[u8]>| {
            let head = self.read_head()?;
            let head_lost = head.as_ref().err().copied();
            let is_first = last.is_none() && head_lost == Some(HeadLoss::Missing);
            let head_lost = head_lost.filter(|_| !is_first || has_signed(&self.home));
            if last.is_none() && head.is_err() {
                self.write_head(&Head::of_nothing())?;
            }
            // A log whose end was removed continues with the number that it should have: the gap stays visible.
            let last = last.map(end_at).into_iter().chain(head).max_by_key(|head| head.number);
            let last = last.unwrap_or_else(Head::of_nothing);
            let number = last.number.checked_add(1);
            Ok(serde_json::to_vec(&Entry {
                number: number
                    .ok_or_else(|| io::Error::other("its last entry has a number that none can follow"))?,
                when: super::now(),
                station: gethostname::gethostname().to_string_lossy().into_owned(),
                authority_key_identifier: authority_key_identifier.to_owned(),
                purpose,
                document: Document::read(der),
                sha256: sha256(der),
                previous: last.sha256,
                head_lost,
            })?)
        };
        let appended = self.log.append(make, |line| self.write_head(&end_at(line)));
        appended.map_err(|error| Error { path: self.path().to_owned(), source: error.into() })
    }

    fn write_head(&self, head: &Head) -> io::Result<()> {
        durable_files::write(&self.home.file(HEAD), &serde_json::to_vec(head)?, Access::Private)
            .map_err(io::Error::from)
    }

    fn read_head(&self) -> io::Result<Result<Head, HeadLoss>> {
        let bytes = durable_files::read(&self.home.file(HEAD)).map_err(io::Error::from)?;
        let bytes = bytes.ok_or(HeadLoss::Missing);
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|_| HeadLoss::Unreadable)))
    }

    /// Reads log and head; where there is no log yet, it is empty and the head is missing.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn read(&self) -> Result<Contents, durable_files::Error> {
        let (text, torn) = self.log.read_apart()?;
        let head = self.read_head().map_err(|e| durable_files::Error::io("read", self.path(), e))?;
        Ok(Contents { text, torn, head })
    }

    /// Every entry that can be read, oldest first.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn entries(&self) -> Result<Vec<Entry>, durable_files::Error> {
        Ok(entries(&self.log.read()?))
    }
}

/// Every entry in the text of a log that can be read, oldest first.
pub fn entries(text: &[u8]) -> Vec<Entry> {
    durable_files::lines(text).filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Whether the home has what nothing but this tool makes, and not without an entry: revocation lists, retired signers.
fn has_signed(home: &Home) -> bool {
    let has = |name: &str, suffix: &str| {
        let entries = folder::entries(&home.file(name)).ok().flatten().unwrap_or_default();
        entries.into_iter().any(|entry| {
            let name = entry.path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_suffix(suffix)).is_some_and(is_key_identifier)
        })
    };
    has(super::revocations::FOLDER, ".crl") || has(super::home::RETIRED, "")
}

/// Number and hash of a line. One that was made unreadable counts by its hash alone.
fn end_at(line: &[u8]) -> Head {
    let number = serde_json::from_slice::<Entry>(line).map_or(0, |entry| entry.number);
    Head { number, sha256: sha256(line) }
}

/// 64 lower-case hex digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
