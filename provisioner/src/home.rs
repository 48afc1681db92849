//! The home folder: where keys, certificates and the folder of each board live, and how files get there.
//!
//! Every file is written to a temporary file beside its destination, synced, and renamed; keys are 0600, the folder 0700.

use std::path::{Path, PathBuf};

use miette::Diagnostic;

use crate::ExitCode;

/// The provisioner's folder, `~/.microchip-iot` unless `--home` or `MICROCHIP_IOT_HOME` names another.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone: certificates, names (0644).
    Public,
    /// The owner alone: keys (0600).
    Secret,
}

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
        source: std::io::Error,
    },
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoHome => ExitCode::Usage,
            Self::Io { .. } => ExitCode::Failed,
        }
    }
}

impl Home {
    /// The folder at `root`; it need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file directly in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of one board, named by its USB serial number, or by its ECC serial where it has none.
    pub fn board(&self, serial: &str) -> PathBuf {
        self.root.join(serial)
    }
}
