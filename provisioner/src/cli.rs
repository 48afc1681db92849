//! The command line: what can be asked for, and where it is done.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::work;
use device_pki::certificate::Malformed;
use iot_account::counted;

mod admission;
mod audit;
mod batch;
mod boards;
pub mod ca;
mod certificate_file;
mod certificates;
mod completions;
pub mod context;
mod described;
mod doctor;
mod environment;
mod exit_code;
mod failure;
mod firmware;
mod flash;
mod forget;
mod given;
mod inspect;
mod key_files;
pub mod ledger;
pub mod legacy;
mod list;
mod logging;
mod manifest;
mod monitor;
mod named;
mod next_step;
mod output;
pub mod passphrase;
mod permissions;
mod plan;
mod policy;
mod prompt;
mod provision;
mod register;
mod replay;
mod report;
mod revoke;
mod roots;
pub mod setup;
mod signals;
mod teardown;
mod values;
mod wifi;

pub use context::Context;
pub use exit_code::ExitCode;
pub use logging::Level;

/// Connects AVR-IoT, PIC-IoT and SAM-IoT boards to your own AWS account.
///
/// A certificate authority on this computer, the signer CA, signs a certificate for the key in each board's secure element.
/// The signer CA is registered in the account. A function in the account registers each board when it first connects.
#[derive(Debug, Parser)]
#[command(
    name = "provisioner",
    version,
    about,
    long_about,
    max_term_width = 100,
    arg_required_else_help = true,
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
      Make the CAs, set the account up with the function, and provision the board.
  provisioner -c aws -m jitr --ssid NAME
      The same for a kit as it comes from its shop; NAME is its Wi-Fi network.
  provisioner -c aws -m jitr
      Provision the next board; CAs and account stay unchanged.
  provisioner -c aws -m jitr -P /dev/ttyACM0 -a factory
      Provision the board on this port, with the AWS profile `factory`.
  provisioner setup --dry-run
      Show the plan: what exists, what would be created, what would change.

AWS settings come from the standard places: ~/.aws, AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...
Exit codes: 0 done, 1 failed, 2 usage, 3 board, 4 AWS, 5 refused for safety.";

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
    /// Text, or JSON lines [default: human; for several boards, json unless stdout is a terminal]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub output: Option<Output>,
    /// Answer every question with yes
    #[arg(long, global = true)]
    pub yes: bool,
    /// Never ask; fail where a question would be asked
    #[arg(long, global = true)]
    pub non_interactive: bool,
    /// Show the plan and change nothing; where the run would fail, fail like it
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// How much to log to stderr
    #[arg(
        short = 'l',
        long,
        short_alias = 'v',
        alias = "verbose",
        global = true,
        value_enum,
        default_value_t = Level::Warning,
        value_name = "LEVEL"
    )]
    pub logging: Level,
    /// Passphrases.
    #[command(flatten)]
    pub passphrase: passphrase::Unlocking,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people
    #[default]
    Human,
    /// JSON lines: one object a line
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make, show or rotate the certificate authorities that sign the boards' certificates
    #[command(subcommand)]
    Ca(ca::Command),
    /// Say which boards the account lets in, whoever has signed their certificates
    #[command(subcommand)]
    Admission(admission::Command),
    /// Prepare the account for boards that register by themselves
    Setup(setup::Arguments),
    /// Write certificate, thing name and endpoint into a board
    Provision(provision::Arguments),
    /// List the boards that are plugged in
    Boards,
    /// Print, search, export or check the ledger: every attempt to provision a board
    Ledger(ledger::Arguments),
    /// Read a board and show what is on it
    Inspect(provision::Choice),
    /// List or replace the root certificates that a board knows its server by
    #[command(subcommand)]
    Roots(roots::Command),
    /// Register certificate files in the account (multi-account registration)
    Register(register::Arguments),
    /// List all devices with status and expiry, and where disk, ledger and account differ
    Certificates(certificates::Arguments),
    /// Revoke a device: every certificate of its key, or one of them; or a signer CA
    Revoke(revoke::Arguments),
    /// Take a device out of service: revoke its certificates and delete its thing
    Forget(forget::Arguments),
    /// Show or check the log of signatures made on this computer
    #[command(subcommand)]
    Audit(audit::Command),
    /// Finish incomplete registrations
    Replay(replay::Arguments),
    /// Check each link that a registration needs; --repair repairs links
    Doctor(doctor::Arguments),
    /// Show what happens in the account while it happens: registrations, presence, messages
    Monitor(monitor::Arguments),
    /// Write a report for a bug report or a first trial, without secrets
    Report(report::Arguments),
    /// Print the document of the policy that devices get
    #[command(subcommand)]
    Policy(policy::Command),
    /// Print the IAM policy that commands need
    Permissions(permissions::Arguments),
    /// Remove from the account what this tool made
    Teardown(teardown::Arguments),
    /// List, fetch or show the firmware images that Microchip publishes for the kits
    #[command(subcommand)]
    Firmware(firmware::Command),
    /// Program a board through the kit's disk
    Flash(flash::Arguments),
    /// Set the Wi-Fi network of the application on a board
    Wifi(wifi::Arguments),
    /// Print the completion script for a shell
    Completions(completions::Arguments),
    /// Write the man pages, one for each command
    #[command(hide = true)]
    Man(completions::ManArguments),
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
    /// Something that cannot be undone, and nobody there to confirm it.
    #[error("nothing done: this needs confirmation ({flag}): {what}")]
    Unconfirmed {
        /// What would be done.
        what: String,
        /// The flag that gives it.
        flag: &'static str,
    },
    /// The person at the terminal said no.
    #[error("cancelled; nothing was changed")]
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
    /// A file or folder that is named on the command line and cannot be read or written.
    #[error(transparent)]
    Named(durable_files::Error),
    /// A file that is named for output and has something that no earlier run has written.
    #[error("{} is there already, and this command has not written it", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// A file that is named on the command line and has no certificate.
    #[error("cannot use {}: {source}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What it has.
        source: Malformed,
    },
    /// Some of many boards failed.
    #[error("{failed} of {} failed", counted(*all, "board"))]
    Boards {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
        /// What each of them would have ended with, if it is the same for all.
        exit_code: ExitCode,
    },
    /// Boards that were waited for in vain.
    #[error("{} not {goal}", match (*missing, *all) {
        (_, 1) => "the board has".to_owned(),
        (1, all) => format!("1 of {all} boards has"),
        (missing, all) => format!("{missing} of {all} boards have"),
    })]
    Unseen {
        /// How many have not got so far.
        missing: usize,
        /// Of how many.
        all: usize,
        /// What they have not done, a participle.
        goal: &'static str,
    },
    /// Rows of a table, or boards that were named, were refused.
    #[error("{} refused", counted(*refused, "row"))]
    Rows {
        /// How many.
        refused: usize,
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
    /// The results could not be printed.
    #[error("cannot print the output")]
    Output {
        /// What the operating system, or the serializer, said.
        #[source]
        source: std::io::Error,
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

/// Commands that use no private key. Their help leaves the passphrase flags out.
const WITHOUT_KEYS: [&str; 18] = [
    "boards",
    "ledger",
    "inspect",
    "roots",
    "monitor",
    "report",
    "register",
    "certificates",
    "audit",
    "replay",
    "policy",
    "permissions",
    "teardown",
    "firmware",
    "flash",
    "wifi",
    "completions",
    "man",
];

/// The definition of the command line: of the parser, the help, the completions and the man pages.
#[must_use]
pub fn definition() -> clap::Command {
    let unlocking = passphrase::Unlocking::augment_args(clap::Command::new("passphrase"));
    let hidden: Vec<_> = unlocking.get_arguments().map(|argument| argument.clone().hide(true)).collect();
    let hide = |command: clap::Command, names: &[&str]| {
        names.iter().fold(command, |command, name| command.mut_subcommand(name, |c| c.args(hidden.clone())))
    };
    hide(Cli::command(), &WITHOUT_KEYS)
        .mut_subcommand("ca", |ca| hide(ca, &["show", "export-root"]))
        .mut_subcommand("admission", |admission| hide(admission, &["check"]))
}

/// Runs the command line `args` (the program's name first) and says what the process ends with.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Err(source) = environment::unset_blank(&args) {
        return failure::show(&Error::Start { source }, Output::Human);
    }
    if let Err(error) = environment::check_text() {
        return failure::show(&error, Output::Human);
    }
    let mut definition = definition();
    definition.build();
    let args = legacy::normalise(args, &definition);
    let parsed = definition.clone().try_get_matches_from_mut(&args).and_then(|matches| {
        given::keep(&definition, &matches);
        Cli::from_arg_matches(&matches)
    });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let (error, variables) = environment::blamed(error, &args, definition);
            return failure::parsing(&error, &variables, &args);
        }
    };
    logging::start(cli.global.logging);
    let form = cli.global.output.unwrap_or_default();
    let clock = device_pki::profile::check_not_past(std::time::SystemTime::now());
    let ended = clock.map_err(Error::from).and_then(|()| execute(cli));
    // The last says what the process ends with: who reads the output has less than the command says.
    let failures = [ended.err(), output::complete().err()].into_iter().flatten();
    failures.map(|error| failure::show(&error, form)).last().unwrap_or(ExitCode::Done)
}

/// Room for the futures of a command, in bytes. Of the main thread's, the system decides: 1 MiB on Windows, and `ulimit -s`
/// elsewhere.
const STACK: usize = 8 * 1024 * 1024;

fn execute(cli: Cli) -> Result<(), Error> {
    let start = |source| Error::Start { source };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(start)?;
    let command = std::thread::Builder::new().name("command".to_owned()).stack_size(STACK);
    let ended = command.spawn(move || runtime.block_on(dispatch(cli))).map_err(start)?.join();
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

async fn dispatch(cli: Cli) -> Result<(), Error> {
    let Some(command) = cli.command else {
        return legacy::run(cli.legacy, &key_files::context(cli.global).await?).await;
    };
    if let Some(flag) = cli.legacy.first_given() {
        return Err(Error::usage(
            format!("{flag} belongs to the form without a subcommand"),
            "leave the subcommand out, or give the flags of the subcommand after its name",
        ));
    }
    match command {
        Command::Ca(command) => ca::run(&command, &key_files::context(cli.global).await?).await?,
        Command::Admission(command) => {
            admission::run(&command, &key_files::context(cli.global).await?).await?
        }
        Command::Setup(arguments) => setup::run(&arguments, &key_files::context(cli.global).await?).await?,
        Command::Provision(arguments) => {
            provision::run(arguments, &key_files::context(cli.global).await?).await?
        }
        Command::Ledger(arguments) => ledger::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Boards => boards::run(&Context::new(cli.global)?)?,
        Command::Inspect(choice) => inspect::run(&choice, &Context::new(cli.global)?)?,
        Command::Roots(command) => roots::run(&command, &Context::new(cli.global)?).await?,
        Command::Register(arguments) => register::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Certificates(arguments) => certificates::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Revoke(arguments) => revoke::run(&arguments, &key_files::context(cli.global).await?).await?,
        Command::Forget(arguments) => forget::run(&arguments, &key_files::context(cli.global).await?).await?,
        Command::Audit(command) => audit::run(&command, &Context::new(cli.global)?)?,
        Command::Replay(arguments) => replay::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Doctor(arguments) => doctor::run(&arguments, &key_files::context(cli.global).await?).await?,
        Command::Monitor(arguments) => monitor::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Report(arguments) => report::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Policy(command) => policy::run(&command, &key_files::context(cli.global).await?).await?,
        Command::Permissions(arguments) => {
            let mut definition = definition();
            definition.build();
            permissions::run(&arguments, &definition, &Context::new(cli.global)?).await?
        }
        Command::Teardown(arguments) => teardown::run(&arguments, &Context::new(cli.global)?).await?,
        Command::Firmware(command) => firmware::run(&command, &Context::new(cli.global)?).await?,
        Command::Flash(arguments) => flash::run(arguments, &Context::new(cli.global)?).await?,
        Command::Wifi(arguments) => wifi::run(arguments, &Context::new(cli.global)?).await?,
        Command::Completions(arguments) => completions::run(&arguments, &mut definition()),
        Command::Man(arguments) => {
            completions::write_man_pages(&arguments, definition(), &Context::new(cli.global)?).await?
        }
    }
    Ok(())
}
