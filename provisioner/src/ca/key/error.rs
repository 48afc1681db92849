//! What can go wrong with a key, and what to do about it.

use miette::Diagnostic;

use crate::ExitCode;

/// A key that cannot be opened, made or used. No variant holds a secret.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// A file that is no usable private key.
    #[error("cannot use {file}: it is not an unencrypted P-256 private key in PKCS#8 PEM")]
    #[diagnostic(help("put the right file back, or convert it with: openssl pkcs8 -topk8 -nocrypt"))]
    Malformed {
        /// The file.
        file: String,
    },
    /// The operating system has no random numbers, or the key did not sign.
    #[error("this machine could not {action}")]
    #[diagnostic(help("run again; if it happens again, its cryptography library is broken"))]
    Cryptography {
        /// What it could not do.
        action: &'static str,
    },
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Malformed { .. } | Self::Cryptography { .. } => ExitCode::Failed,
        }
    }
}
