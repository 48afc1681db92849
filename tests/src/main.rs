//! Wiring only.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use testbed::{connect, crashes, demo, explained, fleet, serve};
use tracing_subscriber::EnvFilter;

/// A local AWS IoT Core and simulated boards.
///
/// Without a command: shows the registration of a new board as a timeline, and ends with 0 only if every step happened.
#[derive(Debug, Parser)]
#[command(name = "testbed", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    demo: demo::Arguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an account and boards for use by hand, until SIGTERM or Ctrl-C
    ///
    /// The first line on stdout is a JSON object with addresses, files, and the access key. Every request has to be signed
    /// with this key. The log goes to stderr.
    Serve(serve::Arguments),
    /// Connect as a device, with a certificate and its key from files
    ///
    /// A device that is turned away tries again after a growing pause, as the kits' firmware does. A running testbed says why it turns a
    /// device away; a real endpoint does not.
    Connect(connect::Arguments),
    /// Simulate a fleet that is switched on at once, against AWS's default quotas, in virtual time
    Fleet(fleet::cli::Arguments),
    /// Crash the function before and after each of its calls, deliver the event again, and print the result
    Crashes,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return shown(&told),
    };
    // What the function logs there would be tens of thousands of lines; the reports have the counts.
    if !matches!(cli.command, Some(Command::Fleet(_) | Command::Crashes)) {
        let logged = EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(logged).with_writer(std::io::stderr).init();
    }
    let outcome = match &cli.command {
        Some(Command::Serve(arguments)) => serve::run(arguments).await.map_err(|error| explained(&error)),
        Some(Command::Connect(arguments)) => connect::run(arguments).await.map_err(|error| explained(&error)),
        Some(Command::Fleet(arguments)) => Ok(fleet::cli::run(arguments)),
        Some(Command::Crashes) => crash_test(),
        None => demo::run(&cli.demo).await.map_err(|error| explained(&error)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("testbed: {error}");
        ExitCode::FAILURE
    })
}

/// Shows help, version, or what is wrong with the command line. A closed pipe is the reader's choice.
fn shown(told: &clap::Error) -> ExitCode {
    match told.print().and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("testbed: cannot print the output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(u8::MAX)),
    }
}

/// On a thread of its own: the crash test has a runtime of its own.
fn crash_test() -> Result<ExitCode, String> {
    match std::thread::spawn(crashes::cli::run).join() {
        Ok(outcome) => outcome.map_err(|error| explained(&error)),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
