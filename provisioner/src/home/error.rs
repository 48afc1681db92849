//! What can go wrong with the home folder, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use miette::Diagnostic;

use crate::ExitCode;

/// A file or folder of the home that cannot be read or written.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// Neither `--home` nor a home folder of the user.
    #[error("cannot tell where your home folder is")]
    #[diagnostic(help("name the folder with --home DIR or MICROCHIP_IOT_HOME"))]
    NoHome,
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    #[diagnostic(help(
        "check that the folder exists, is yours and has room; or choose another with --home DIR"
    ))]
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
    #[diagnostic(help("close it with: chmod 600 {}", path.display()))]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link where a folder of the home should be; following it could overwrite files elsewhere.
    #[error("{} is a symbolic link", path.display())]
    #[diagnostic(help("replace the link with a folder, or choose another home with --home DIR"))]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Another run holds the lock.
    #[error("another run of the provisioner is using {}, and has not finished within a minute", path.display())]
    #[diagnostic(help("wait until it has finished, or choose another home with --home DIR"))]
    Busy {
        /// The home folder.
        path: PathBuf,
    },
    /// A serial number that cannot name a folder.
    #[error("the serial number \"{}\" cannot name a folder", name.escape_debug())]
    #[diagnostic(help("serial numbers consist of letters, digits, \"-\", \"_\" and \".\""))]
    FolderName {
        /// The serial number as the board or the port list gave it.
        name: String,
    },
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoHome => ExitCode::Usage,
            Self::Io { .. } => ExitCode::Failed,
            Self::Exposed { .. } | Self::Symlink { .. } | Self::Busy { .. } => ExitCode::Refused,
            Self::FolderName { .. } => ExitCode::Board,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
