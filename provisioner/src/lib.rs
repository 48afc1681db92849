//! Puts boards into the user's own AWS account.
//!
//! [`ca`] makes certificates, [`board`] talks to one board, [`cloud`] to the account; [`provision`] takes one board
//! from start to end. [`cli`] is the command line over them. Codec, store format and certificate profile have no I/O.

pub mod board;
pub mod ca;
pub mod cli;
pub mod cloud;
mod error;
pub mod home;
pub mod provision;

pub use error::{Error, ExitCode};
