//! The one error type at the top, and the exit code that each error ends in.

use miette::Diagnostic;

/// What the process ends with. Scripts rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything asked for is done.
    Done = 0,
    /// It failed for a reason that none of the others names.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The board, or the port to it.
    Board = 3,
    /// AWS, or the way to it.
    Aws = 4,
    /// It could be done, but would do harm.
    Refused = 5,
}

/// Any failure of the provisioner. Each has a message that names the cause and a help text with the next step.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The home folder and the files in it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Home(#[from] crate::home::Error),
    /// Making or reading certificates and keys.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Ca(#[from] crate::ca::Error),
    /// Noting a signature.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Audit(#[from] crate::audit::Error),
    /// The board and its port.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Board(#[from] crate::board::Error),
    /// The AWS account.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Cloud(#[from] crate::cloud::Error),
    /// Provisioning one board.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Provision(#[from] crate::provision::Error),
    /// Provisioning many boards.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Line(#[from] crate::line::Error),
    /// The command line.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Cli(#[from] crate::cli::Error),
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Home(e) => e.exit_code(),
            Self::Ca(e) => e.exit_code(),
            Self::Audit(e) => e.exit_code(),
            Self::Board(e) => e.exit_code(),
            Self::Cloud(e) => e.exit_code(),
            Self::Provision(e) => e.exit_code(),
            Self::Line(e) => e.exit_code(),
            Self::Cli(e) => e.exit_code(),
        }
    }

    /// The message and each of its causes, without a cause that the message before it already tells.
    pub fn chain(&self) -> Vec<String> {
        let mut messages = vec![self.to_string()];
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let message = error.to_string();
            if !messages.iter().any(|told| told.contains(&message)) {
                messages.push(message);
            }
            cause = error.source();
        }
        messages
    }
}
