//! `provision`: one board, by the method of the user's choice.

use std::fmt;

use clap::{Args, ValueEnum};
use time::OffsetDateTime;
use tokio::task;

use super::Context;
use crate::Error;
use crate::board::{self, Kit, ports};
use crate::ca;
use crate::cloud::{self, Account};
use crate::home::Home;
use crate::provision::{self, Job, Outcome, Report, Step};

/// Which board.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Choice {
    /// Serial port of the board [default: the one that is found]
    #[arg(short = 'P', long, value_name = "PORT")]
    pub(super) port: Option<String>,
    /// USB serial number of the board, or its last digits
    #[arg(short, long, value_name = "SERIAL")]
    pub(super) serial: Option<String>,
}

impl Choice {
    /// The kit that is meant.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub(super) fn kit(&self) -> Result<Kit, board::Error> {
        ports::choose(&ports::kits()?, self.port.as_deref(), self.serial.as_deref())
    }
}

/// Arguments of `provision`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How the board is registered
    #[arg(short, long, value_enum, default_value_t = Method::Jitr, value_name = "METHOD")]
    method: Method,
    #[command(flatten)]
    choice: Choice,
    /// Host name that the board connects to; then nothing is asked of AWS [default: the account's]
    #[arg(long, value_name = "HOST")]
    endpoint: Option<String>,
    /// Make a new certificate and write it even if the board is provisioned already
    #[arg(short, long)]
    force: bool,
    /// Read back and compare; always done, accepted for the sake of scripts
    #[arg(long)]
    verify: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// By itself, when it first connects (just-in-time registration)
    Jitr,
    /// The same as `jitr`
    Custom,
}

/// Provisions the board that is meant.
///
/// # Errors
/// Those of [`provision::provision`], and of the account where its endpoint is asked for.
pub(super) async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let (Method::Jitr | Method::Custom) = arguments.method;
    if let Some(endpoint) = &arguments.endpoint {
        provision::check_endpoint(endpoint)?;
    }
    ca::store::load(&context.home, OffsetDateTime::now_utc())?;
    let kit = arguments.choice.kit()?;
    one(context, kit, arguments.endpoint, arguments.force).await
}

/// Provisions a board and prints what was done. Without an endpoint the account's is fetched meanwhile.
///
/// # Errors
/// As [`run`].
pub(super) async fn one(
    context: &Context,
    kit: Kit,
    endpoint: Option<String>,
    force: bool,
) -> Result<(), Error> {
    if context.global.dry_run {
        context.note(format_args!("would provision the board {kit}"));
        return Ok(());
    }
    let (profile, region) = (context.global.profile.clone(), context.global.region.clone());
    let fetch = task::spawn(async move {
        match endpoint {
            Some(endpoint) => Ok(endpoint),
            None => {
                let account = Account::load(profile.as_deref(), region.as_deref()).await?;
                cloud::endpoint(&account).await
            }
        }
    });
    let runtime = tokio::runtime::Handle::current();
    let progress = context.progress("Provisioning");
    let context_of_thread = context.clone();
    let work = task::spawn_blocking(move || {
        let endpoint = move || -> Result<String, Error> {
            match runtime.block_on(fetch) {
                Ok(endpoint) => Ok(endpoint?),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        };
        board(&context_of_thread.home, &kit, force, Box::new(endpoint), &mut |step| {
            if let Step::Identified(serial) = &step {
                context_of_thread.note(format_args!("board {kit}, secure element {serial}"));
            }
            progress.step(says(&step));
        })
    });
    let report = match work.await {
        Ok(report) => report?,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    context.result(&report, &report);
    Ok(())
}

fn board(
    home: &Home,
    kit: &Kit,
    force: bool,
    endpoint: Box<dyn FnOnce() -> Result<String, Error>>,
    observe: &mut dyn FnMut(Step),
) -> Result<Report, Error> {
    let _lock = home.lock_shared()?;
    let chain = ca::store::load(home, OffsetDateTime::now_utc())?;
    provision::provision(Job { kit, chain: &chain, home, force, endpoint }, observe)
}

fn says(step: &Step) -> &'static str {
    match step {
        Step::Open => "Waiting for the board",
        Step::Identified(_) => "Reading the public key",
        Step::Sign => "Signing the request on the board",
        Step::Compare => "Comparing what the board holds",
        Step::Erase => "Erasing",
        Step::Write => "Writing certificates and names",
        Step::ReadBack => "Reading back",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let board = self.usb_serial.as_deref().unwrap_or(&self.secure_element_serial);
        match self.outcome {
            Outcome::Provisioned => {
                writeln!(f, "provisioned {board} on {} in {:.2} s", self.port, self.seconds)?;
            }
            Outcome::Unchanged => writeln!(f, "unchanged: {board} on {} is provisioned already", self.port)?,
        }
        let kept = if self.certificate_reused { "kept" } else { "new" };
        writeln!(f, "  thing        {}", self.thing_name)?;
        writeln!(f, "  certificate  {} ({kept})", self.certificate_id)?;
        writeln!(f, "  endpoint     {}", self.endpoint)?;
        write!(f, "  files        {}", self.folder.display())
    }
}
