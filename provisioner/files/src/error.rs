//! What can go wrong with the home folder, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// A file or folder of the home that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither `--home` nor a home folder of the user.
    #[error("cannot tell where your home folder is")]
    NoHome,
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A key that others than its owner can read.
    #[error("{} can be read by other users of this machine (mode {mode:04o})", path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link where a folder of the home should be; following it could overwrite files elsewhere.
    #[error("{} is a symbolic link", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Another run holds the lock.
    #[error("another run of the provisioner is using {}, and has not finished within a minute", path.display())]
    Busy {
        /// The home folder.
        path: PathBuf,
    },
    /// A serial number that cannot name a folder.
    #[error("the serial number \"{}\" cannot name a folder", name.escape_debug())]
    FolderName {
        /// The serial number as the board or the port list gave it.
        name: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
