//! The command line: what can be asked for, and where it is done.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::work;

mod around;
mod audit;
mod boards;
pub mod ca;
mod certificates;
mod completions;
pub mod context;
mod doctor;
mod exit_code;
mod failure;
mod flash;
mod inspect;
pub mod ledger;
pub mod legacy;
mod line;
mod logging;
mod next_step;
pub mod passphrase;
mod prompt;
mod provision;
mod register;
mod replay;
mod revoke;
pub mod setup;
mod teardown;
mod values;
mod wifi;

pub use context::Context;
pub use exit_code::ExitCode;
pub use logging::Level;

/// Puts AVR-IoT, PIC-IoT and SAM-IoT boards into your own AWS account.
///
/// A certificate authority on this computer signs a certificate for the key in each board's secure element. The account
/// knows the authority, so it registers a board by itself the first time the board connects.
#[derive(Debug, Parser)]
#[command(
    name = "provisioner",
    version,
    about,
    long_about,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES
)]
pub struct Cli {
    /// Flags every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The form without a subcommand.
    #[command(flatten)]
    pub legacy: legacy::Flags,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  provisioner -c aws -m jitr --lambda-zip
      Make the CA, set the account up, function included, and provision the board that is plugged in.
  provisioner -c aws -m jitr
      The same for the next board; what is done already is left as it is.
  provisioner -c aws -m jitr -P /dev/ttyACM0 -a factory
      The board on this port, with the AWS profile `factory`.
  provisioner setup --dry-run
      Show what the account has, what would be created and what would be changed.

AWS settings come from the standard places: ~/.aws, AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...
Exit codes: 0 done, 1 failed, 2 usage, 3 board trouble, 4 AWS trouble, 5 refused for safety.";

/// Flags every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Folder for keys, certificates and boards [default: ~/.microchip-iot]
    #[arg(long, global = true, env = "MICROCHIP_IOT_HOME", value_name = "DIR", hide_env_values = true)]
    pub home: Option<PathBuf>,
    /// AWS profile [default: AWS_PROFILE, or `default`]
    #[arg(short = 'a', long, alias = "aws-profile", global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// AWS Region [default: AWS_REGION, or the profile's]
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// Output for people, or one JSON object a line for programs [default: human; of many boards, json where the output
    /// is no terminal]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub output: Option<Output>,
    /// Answer every question with yes
    #[arg(long, global = true)]
    pub yes: bool,
    /// Never ask; a question without an answer is an error
    #[arg(long, global = true)]
    pub non_interactive: bool,
    /// Show what would be done and change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// How much to tell on stderr about what goes on inside
    #[arg(short = 'l', long, global = true, value_enum, default_value_t = Level::Warning, value_name = "LEVEL")]
    pub logging: Level,
    /// Passphrases.
    #[command(flatten)]
    pub passphrase: passphrase::Unlocking,
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
pub enum Command {
    /// Make, show or rotate the certificate authorities that sign the boards' certificates
    #[command(subcommand)]
    Ca(ca::Command),
    /// Make the account ready for boards to register by themselves
    Setup(setup::Arguments),
    /// Put a certificate for its own key, its thing name and the endpoint into a board
    Provision(provision::Arguments),
    /// List the boards that are plugged in
    Boards,
    /// Print, search, export or check the ledger of every attempt at a board
    Ledger(ledger::Arguments),
    /// Read a board and show what is on it
    Inspect(provision::Choice),
    /// Put certificates that are on disk into the account (multi-account registration)
    Register(register::Arguments),
    /// List the devices' certificates, and where disk, ledger and account differ
    Certificates(certificates::Arguments),
    /// Let a device, or every new device of a signer CA, in no more
    Revoke(revoke::Arguments),
    /// Show or check the log of every signature made with the keys of this computer
    #[command(subcommand)]
    Audit(audit::Command),
    /// Finish registrations that got stuck
    Replay(replay::Arguments),
    /// Say why boards cannot connect, link by link, and mend it
    Doctor(doctor::Arguments),
    /// Remove from the account what this tool made
    Teardown(teardown::Arguments),
    /// Put a program into a board through the kit's disk
    Flash(flash::Arguments),
    /// Give the application on a board the name and passphrase of a Wi-Fi network
    Wifi(wifi::Arguments),
    /// Print the completion script for a shell
    Completions(completions::Arguments),
}

/// A command that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The work.
    #[error(transparent)]
    Work(work::Error),
    /// A flag or a combination of flags.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do instead.
        help: String,
    },
    /// Something that cannot be undone, and nobody there to say yes.
    #[error("not done without a yes: {what}")]
    Unconfirmed {
        /// What would be done.
        what: String,
    },
    /// The person at the terminal said no.
    #[error("left at that; nothing was done")]
    Declined,
    /// The terminal cannot be read.
    #[error("cannot ask on this terminal")]
    Terminal {
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A file that is named on the command line and cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Some of many boards failed.
    #[error("{failed} of {all} boards failed")]
    Boards {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// What each of them would have ended with, if it is the same for all.
        exit_code: ExitCode,
    },
    /// What the check of the ledger found.
    #[error(transparent)]
    Ledger(ledger::Doubled),
    /// What the check of the audit log found.
    #[error(transparent)]
    Audit(audit::Broken),
    /// The operating system does not keep passphrases, or not this one.
    #[error("the keyring of the operating system cannot be used")]
    Keyring {
        /// What it said.
        #[source]
        source: keyring_core::Error,
    },
    /// The operating system gave no threads or no event queue.
    #[error("cannot start")]
    Start {
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// Whatever is below the command line.
impl<E: Into<work::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Work(error.into())
    }
}

impl Error {
    /// A flag or a combination of flags that is wrong, and what to do instead.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: help.into() }
    }
}

/// Runs the command line `args` (the program's name first) and says what the process ends with.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = legacy::normalise(args);
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return failure::parsing(&error, &args),
    };
    logging::start(cli.global.logging);
    let output = cli.global.output.unwrap_or_default();
    match execute(cli) {
        Ok(()) => ExitCode::Done,
        Err(error) => failure::show(&error, output),
    }
}

fn execute(cli: Cli) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Error::Start { source })?;
    runtime.block_on(dispatch(cli))
}

async fn dispatch(cli: Cli) -> Result<(), Error> {
    let Some(command) = cli.command else {
        return legacy::run(cli.legacy, &Context::new(cli.global)?).await;
    };
    if let Some(flag) = cli.legacy.first_given() {
        return Err(Error::usage(
            format!("{flag} belongs to the form without a subcommand"),
            "leave the subcommand out, or give the flags of the subcommand after its name",
        ));
    }
    match command {
        Command::Ca(command) => ca::run(&command, &Context::new(cli.global)?).await?,
        Command::Setup(arguments) => setup::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Provision(arguments) => provision::run(arguments, &Context::new(cli.global)?).await?,
        Command::Ledger(arguments) => ledger::run(&arguments, &Context::new(cli.global)?)?,
        Command::Boards => boards::run(&Context::new(cli.global)?)?,
        Command::Inspect(choice) => inspect::run(&choice, &Context::new(cli.global)?)?,
        Command::Register(arguments) => register::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Certificates(arguments) => certificates::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Revoke(arguments) => revoke::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Audit(command) => audit::run(&command, &Context::new(cli.global)?)?,
        Command::Replay(arguments) => replay::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Doctor(arguments) => doctor::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Teardown(arguments) => teardown::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Flash(arguments) => flash::run(arguments, &Context::new(cli.global)?).await?,
        Command::Wifi(arguments) => wifi::run(arguments, &Context::new(cli.global)?).await?,
        Command::Completions(arguments) => completions::run(&arguments, &mut Cli::command()),
    }
    Ok(())
}
