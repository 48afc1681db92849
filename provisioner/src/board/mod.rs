//! One board: protocol codec, session, ports, secure element, client certificate store.

use miette::Diagnostic;

use crate::ExitCode;

/// What can go wrong here.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::Board
    }
}
