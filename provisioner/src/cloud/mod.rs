//! The user's AWS account: endpoint, signer CA, topic rule, function.

use miette::Diagnostic;

use crate::ExitCode;

/// What can go wrong here.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Aws
    }
}
