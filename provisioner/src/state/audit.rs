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
use durable_files::{Access, Torn};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;

use super::home::Home;
pub use super::home::{AUDIT_HEAD as HEAD, AUDIT_LOG as FILE};

mod document;
#[cfg(test)]
mod tests;
mod verify;

pub use document::Document;
pub use verify::{Finding, Verified, verify};

/// What the first line names as the hash of the line before it.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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
}

/// Where the log ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last line.
    pub number: u64,
    /// SHA-256 of the last line, 64 lower-case hex digits.
    pub sha256: String,
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

/// The audit log of a home folder.
#[derive(Clone, Debug)]
pub struct Log {
    log: durable_files::Log,
    head: PathBuf,
}

impl Log {
    /// The log in `home`; the file is made with the first entry.
    pub fn of(home: &Home) -> Self {
        let log = durable_files::Log::new(home.file(FILE), Access::Private, Torn::Cut);
        Self { log, head: home.file(HEAD) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.log.path()
    }

    /// Adds a line for the signed document `der`. When this returns, it is on the disk.
    ///
    /// # Errors
    /// [`Error`]: the log is as it was before, and the document must not be released.
    pub fn record(&self, authority_key_identifier: &str, purpose: Purpose, der: &[u8]) -> Result<(), Error> {
        let make = |last: Option<&[u8]>| {
            // A log whose end was removed continues with the number that it should have: the gap stays visible.
            let last = last.map(end_at).into_iter().chain(self.read_head()?).max_by_key(|head| head.number);
            let last = last.unwrap_or_else(|| Head { number: 0, sha256: NOTHING.to_owned() });
            Ok(serde_json::to_vec(&Entry {
                number: last.number + 1,
                when: super::now(),
                station: gethostname::gethostname().to_string_lossy().into_owned(),
                authority_key_identifier: authority_key_identifier.to_owned(),
                purpose,
                document: Document::read(der),
                sha256: sha256(der),
                previous: last.sha256,
            })?)
        };
        let appended = self.log.append(make, |line| self.write_head(line));
        appended.map_err(|error| Error { path: self.path().to_owned(), source: error.into() })
    }

    fn write_head(&self, line: &[u8]) -> io::Result<()> {
        let head = serde_json::to_vec(&end_at(line))?;
        durable_files::write(&self.head, &head, Access::Private).map_err(io::Error::from)
    }

    fn read_head(&self) -> io::Result<Option<Head>> {
        let bytes = durable_files::read(&self.head).map_err(io::Error::from)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Reads log and head; both are empty where there is no log yet.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn read(&self) -> Result<(Vec<u8>, Option<Head>), durable_files::Error> {
        let text = self.log.read()?;
        let head = self.read_head().map_err(|e| durable_files::Error::io("read", self.path(), e))?;
        Ok((text, head))
    }

    /// Every entry that can be read, oldest first.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn entries(&self) -> Result<Vec<Entry>, durable_files::Error> {
        let (text, _) = self.read()?;
        Ok(durable_files::lines(&text).filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

/// Number and hash of a line. One that was made unreadable counts by its hash alone.
fn end_at(line: &[u8]) -> Head {
    let number = serde_json::from_slice::<Entry>(line).map_or(0, |entry| entry.number);
    Head { number, sha256: sha256(line) }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
