//! What can be wrong with the home folder and what is in it.

use std::path::PathBuf;

use device_pki::key;
use durable_files::ExposedKey;
use time::OffsetDateTime;

fn listed(keys: &[ExposedKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What can be wrong with the home folder and what is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says where the home folder is.
    #[error("your home folder cannot be found")]
    NoHome,
    /// A file or folder of the home is named for output.
    #[error("{} is the home folder or one of its own files or folders: output there would replace them", path.display())]
    Own {
        /// As named.
        path: PathBuf,
    },
    /// The folders that a board's serial numbers name have the files of other boards.
    #[error("{} has the files of another key, and the home folder has no other place for this board", folder.display())]
    FolderTaken {
        /// The folder that is named by the serial number of the secure element.
        folder: PathBuf,
    },
    /// A file or folder.
    #[error(transparent)]
    File(#[from] durable_files::Error),
    /// A certificate or a key.
    #[error(transparent)]
    Pki(#[from] device_pki::Error),
    /// Key files in clear text that others than their owner can read.
    #[error("other users of this computer can read {}", listed(keys))]
    ExposedKeys {
        /// All of them.
        keys: Vec<ExposedKey>,
    },
    /// No certificate authority has been made yet.
    #[error("there is no certificate authority in {}", folder.display())]
    Missing {
        /// The home folder.
        folder: PathBuf,
    },
    /// Some files are there and others are not.
    #[error("the certificate authority in {} is incomplete: {} missing", folder.display(), files.join(", "))]
    Incomplete {
        /// The home folder.
        folder: PathBuf,
        /// Names of the missing files.
        files: Vec<&'static str>,
    },
    /// The home folder says where a key is in words that are no key URI.
    #[error("cannot use {file}: {source}")]
    KeyUri {
        /// The file.
        file: &'static str,
        /// Why.
        source: key::Malformed,
    },
    /// The key is where it cannot be read from now.
    #[error("the root's key is not here ({uri}), and nothing else can sign this")]
    RootOffline {
        /// Where it was looked for.
        uri: key::Uri,
    },
    /// A signer CA that was revoked signs nothing for boards.
    #[error("the signer CA in {} was revoked on {}", folder.display(), when.date())]
    SignerRevoked {
        /// The folder.
        folder: PathBuf,
        /// When.
        when: OffsetDateTime,
    },
    /// The files of two signers, or of two chains, are being exchanged.
    #[error("the signer CA in {} is being replaced, or its replacement was interrupted", folder.display())]
    Rotating {
        /// The home folder.
        folder: PathBuf,
    },
    /// What the user named is unknown or ambiguous.
    #[error("no signer CA in the home folder, or more than one, matches `{name}`")]
    NoAuthority {
        /// As given.
        name: String,
        /// Key identifiers of those that are there.
        known: Vec<String>,
    },
    /// A line in the table of admitted keys that is none.
    #[error("line {line} of {} is no admitted key", file.display())]
    Admission {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A line in the notes on what was revoked that is none.
    #[error("line {line} of {} is no revocation", file.display())]
    Revocations {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}
