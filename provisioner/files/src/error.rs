//! What can go wrong with files and folders.

use std::io;
use std::path::{Path, PathBuf};

/// A file or folder that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    #[error("{} can be read by other users of this computer (mode {mode:04o})", path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link where a folder or a lock should be; following it could overwrite files elsewhere.
    #[error("{} is a symbolic link", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Another run holds the lock.
    #[error("another run of the provisioner is using {}, and has not finished within a minute", path.display())]
    Busy {
        /// The folder, or the file.
        path: PathBuf,
    },
}

impl Error {
    /// What the operating system said while `action` was done to `path`.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
