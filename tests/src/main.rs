//! Wiring only.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use testbed::serve;
use tracing_subscriber::EnvFilter;

/// A local AWS IoT Core and simulated boards.
#[derive(Debug, Parser)]
#[command(name = "testbed", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep an account and boards running for use by hand, until SIGTERM or ctrl-C
    ///
    /// First prints one line of JSON on stdout that says where everything is; tells on stderr what happens.
    Serve(serve::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let logged = EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(logged).with_writer(std::io::stderr).init();
    let outcome = match &cli.command {
        Command::Serve(arguments) => serve::run(arguments).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("testbed: {}", serve::explained(&error));
        ExitCode::FAILURE
    })
}
