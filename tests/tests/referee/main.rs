//! The referees: the programs run against AWS stand-ins that this project did not write. Nothing of the local AWS IoT Core
//! takes part; the simulated board stands in for a board, since there is none on a build machine. On the other side, they run
//! against the kits' own firmware on models of the kits' chips.
//!
//! `REFEREES=required` makes a missing referee a failure. Without it, a test whose referee is not installed says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the test's result")]

mod aws_cli;
mod firmware;
mod kms;
mod ministack;
mod scenario;
mod server;
mod stack;
