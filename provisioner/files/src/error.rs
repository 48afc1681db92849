//! What can go wrong with files and folders.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// A key in clear text where no file can be closed to other users.
    #[error(
        "the file system of {} does not keep files for their owner alone, and a private key in clear text is not written there",
        path.display()
    )]
    Unprotected {
        /// The key file.
        path: PathBuf,
    },
    /// A symbolic link where none is followed: it could lead to files elsewhere.
    #[error("{} is a symbolic link", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Something else than a regular file.
    #[error("{} is {kind} and not a regular file", path.display())]
    NotAFile {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// Something else than a folder, where one is or has to be.
    #[error("{} is {kind} and not a folder", path.display())]
    NotAFolder {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// A file with more bytes than anything that it could be.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How many it may have.
        limit: usize,
    },
    /// A pipe whose end does not come.
    #[error("{} has not come to its end within {} s", path.display(), patience.as_secs())]
    Endless {
        /// The pipe.
        path: PathBuf,
        /// How long was waited.
        patience: Duration,
    },
    /// Another run holds the lock.
    #[error("another run of the provisioner is using {}, and has not finished within a minute", path.display())]
    Busy {
        /// The folder, or the file.
        path: PathBuf,
    },
}

impl Error {
    /// There is nothing at `path`, and something is needed.
    pub fn missing(path: &Path) -> Self {
        // ENOENT, and Windows' ERROR_FILE_NOT_FOUND: with it the message is the system's.
        Self::io("read", path, io::Error::from_raw_os_error(2))
    }

    /// What the operating system said while `action` was done to `path`. What this crate itself has refused stays as it is.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.downcast() {
            Ok(refused) => refused,
            Err(source) => match (source.kind(), no_folder(path)) {
                (io::ErrorKind::NotADirectory, Some((path, kind))) => Self::NotAFolder { path, kind },
                _ => Self::Io { action, path: path.to_owned(), source },
            },
        }
    }
}

/// What is no folder, of `path` and the folders above it: of these the system does not say which it is.
fn no_folder(path: &Path) -> Option<(PathBuf, Kind)> {
    let (there, found) = path.ancestors().find_map(|above| Some((above, above.metadata().ok()?)))?;
    (!found.is_dir()).then(|| (there.to_owned(), found.file_type().into()))
}

/// What the operating system said, or what this crate has refused.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { source, .. } => source,
            refused => Self::other(refused),
        }
    }
}

/// What is found under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe with a name, FIFO.
    Pipe,
    /// A device, a socket, or what else a system has.
    Special,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a regular file",
            Self::Folder => "a folder",
            Self::Link => "a symbolic link",
            Self::Pipe => "a pipe",
            Self::Special => "a device or a socket",
        })
    }
}

impl From<std::fs::FileType> for Kind {
    fn from(found: std::fs::FileType) -> Self {
        #[cfg(unix)]
        if std::os::unix::fs::FileTypeExt::is_fifo(&found) {
            return Self::Pipe;
        }
        match () {
            () if found.is_file() => Self::File,
            () if found.is_dir() => Self::Folder,
            () if found.is_symlink() => Self::Link,
            () => Self::Special,
        }
    }
}
