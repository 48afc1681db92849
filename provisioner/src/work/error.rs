//! The one error type at the top.

/// Any failure of the provisioner.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The home folder and the files in it.
    #[error(transparent)]
    Home(#[from] crate::home::Error),
    /// Making or reading certificates and keys.
    #[error(transparent)]
    Ca(#[from] crate::ca::Error),
    /// Noting a signature.
    #[error(transparent)]
    Audit(#[from] crate::audit::Error),
    /// The board and its port.
    #[error(transparent)]
    Board(#[from] crate::board::Error),
    /// The AWS account.
    #[error(transparent)]
    Cloud(#[from] crate::cloud::Error),
    /// Provisioning one board.
    #[error(transparent)]
    Provision(#[from] crate::provision::Error),
    /// Provisioning many boards.
    #[error(transparent)]
    Line(#[from] crate::line::Error),
    /// The command line.
    #[error(transparent)]
    Cli(#[from] crate::cli::Error),
}

impl Error {
    /// The message and each of its causes. A cause that the message before it ends with is told already.
    pub fn chain(&self) -> Vec<String> {
        let mut messages = vec![self.to_string()];
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let message = error.to_string();
            let told = messages.last().is_some_and(|last| {
                last.strip_suffix(&message).is_some_and(|before| before.is_empty() || before.ends_with(": "))
            });
            if !told {
                messages.push(message);
            }
            cause = error.source();
        }
        messages
    }
}
