//! `testbed crashes`: runs the crash test and prints its table.

use std::process::ExitCode;

use super::table::Table;
use super::{End, Error, run as crash};

/// Runs the command. It fails unless every crash ended as if there had been none.
///
/// # Errors
/// If the crash test cannot run.
pub fn run() -> Result<ExitCode, Error> {
    let crashes = crash()?;
    anstream::println!("{}", Table(&crashes));
    let right = crashes.iter().all(|crash| crash.alone == End::AsWithout && crash.twice == End::AsWithout);
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
