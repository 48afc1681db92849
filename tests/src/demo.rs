//! The demo: from no CA to a registered board, shown as a timeline.

mod account;
mod board;
mod calls;
mod laptop;
mod programs;
mod signer;
mod story;
mod stranger;
pub mod timeline;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

pub use programs::ProgramError;
pub use signer::Signer;
pub use story::StoryError;
pub use timeline::Output;

use crate::explained;
use story::{STEPS, Story};
use timeline::{Outcome, Timeline};

/// How fast the simulated boards are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Baud {
    /// Like real boards: 115200 baud, and the delays of their flash and secure element.
    #[default]
    Real,
    /// As fast as possible.
    Fast,
}

/// The demo's options.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// Keep the demo's home folder (keys, certificates, boards) here; it must be empty or not exist
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Speed of the simulated boards
    #[arg(long, value_enum, default_value_t, value_name = "SPEED")]
    pub baud: Baud,
    /// Where the certificate authority has its keys
    #[arg(long, value_enum, default_value_t, value_name = "BACKEND")]
    pub signer: Signer,
    /// Form of the timeline
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    pub output: Output,
}

/// Why there was no demo at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stage could not be set.
    #[error(transparent)]
    Setting(#[from] StoryError),
    /// The timeline could not be written.
    #[error("cannot write the timeline")]
    Output(#[from] io::Error),
}

/// Runs the demo and shows it on stdout; success if every step happened.
///
/// # Errors
/// [`Error`] when it could not begin, or not be shown.
pub async fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut timeline = Timeline::stdout(arguments.output);
    let begun = Instant::now();
    let mut story = Story::begin(arguments).await?;
    timeline.begin(
        "A board that AWS has never seen becomes a thing in your account.",
        "Everything runs on this computer: the real programs, a simulated board, a local AWS IoT Core.",
    )?;
    for step in STEPS {
        timeline.start(step.heading)?;
        let started = Instant::now();
        let outcome = match (step.run)(&mut story).await {
            Ok(seen) => Outcome::Done { seen },
            Err(error) => Outcome::Failed { expected: step.expected, seen: explained(&error) },
        };
        timeline.step(step.heading, &outcome, started.elapsed())?;
        if matches!(outcome, Outcome::Failed { .. }) {
            break;
        }
    }
    let complete = timeline.end(STEPS.len(), begun.elapsed())?;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
