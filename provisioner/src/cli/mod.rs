//! The command line: what can be asked for, and where it is done.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use miette::Diagnostic;

use crate::{Error as TopError, ExitCode};

pub mod context;

pub use context::Context;

/// Puts AVR-IoT, PIC-IoT and SAM-IoT boards into your own AWS account.
#[derive(Debug, Parser)]
#[command(name = "provisioner", version, about, max_term_width = 100)]
pub struct Cli {
    /// Flags every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Folder for keys, certificates and boards [default: ~/.microchip-iot]
    #[arg(long, global = true, env = "MICROCHIP_IOT_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// AWS profile
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// AWS Region
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Output for people, or one JSON object a line for programs
    #[arg(long, global = true, value_enum, default_value_t = Output::Human)]
    pub output: Output,
    /// Answer every question with yes
    #[arg(long, global = true)]
    pub yes: bool,
    /// Never ask; a question without an answer is an error
    #[arg(long, global = true)]
    pub non_interactive: bool,
    /// Show what would be done and change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// A command line that cannot be carried out.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// A flag or a combination of flags.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do instead.
        #[help]
        help: String,
    },
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage { .. } => ExitCode::Usage,
        }
    }
}

/// Runs the command line `args` (the program's name first) and says what the process ends with.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = Cli::parse_from(args);
    let _ = |e: TopError| e.exit_code();
    ExitCode::Done
}
