//! `provision`: one board, by the method of the user's choice.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jitr::registration::Settings as Registration;
use time::OffsetDateTime;

mod follow;
mod one_board;

pub(super) use self::follow::DoneBoards;
use self::follow::Following;
use self::one_board::OneBoard;
use super::batch::StationOptions;
use super::firmware::{self, Prepared};
use super::plan::{self, Line, Plan};
use super::{Context, batch, certificate_file, setup, values};
use crate::cli::Error;
use crate::state::home::Home;
use crate::state::store;
use crate::work;
use crate::work::provision::{self, Method, Origin, Outcome, Report, Request, SignedElsewhere, Step};
use device_pki::Certificate;
use device_pki::visible;
use iot_kit::{Kit, Session, ports};

/// Which board.
#[derive(Clone, Debug, Default, Args)]
pub struct Choice {
    /// Serial port of the board [default: the only kit]
    #[arg(short = 'P', long, value_name = "PORT")]
    pub(super) port: Option<String>,
    /// USB serial number of the board, or its last digits
    #[arg(short, long, value_name = "SERIAL")]
    pub(super) serial: Option<String>,
}

impl Choice {
    /// The kit that is meant. Which of several, is asked on a terminal.
    ///
    /// # Errors
    /// There is none, or there are several and nobody can be asked.
    pub(super) fn kit(&self, context: &Context) -> Result<Kit, Error> {
        match ports::choose(&ports::kits()?, self.port.as_deref(), self.serial.as_deref()) {
            Err(iot_kit::Error::SeveralBoards { mut kits }) if context.global.can_ask() => {
                let entries: Vec<String> = kits.iter().map(Kit::to_string).collect();
                let chosen = context.choose("There are several boards:", &entries)?;
                Ok(kits.swap_remove(chosen))
            }
            other => Ok(other?),
        }
    }
}

/// Arguments of `provision`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How the board is registered
    #[arg(short, long, value_enum, default_value_t = Method::Jitr, value_name = "METHOD")]
    method: Method,
    #[command(flatten)]
    boards: batch::Boards,
    #[command(flatten)]
    station: batch::StationOptions,
    /// Host name that the board connects to; no AWS call is made then [default: the account's]
    #[arg(long, value_name = "HOST")]
    endpoint: Option<String>,
    /// Write a new certificate even if the board is provisioned, or was revoked and nobody else may have its key
    #[arg(short, long)]
    force: bool,
    /// Revoke the older certificates of the board's key once the new one has been read back
    #[arg(long, conflicts_with = "csr_only")]
    revoke_superseded: bool,
    /// No effect: every write is verified. Scripts for iotprovision may have it
    #[arg(long)]
    verify: bool,
    /// Write the board's certificate request to device.csr in its folder, and stop
    #[arg(long, conflicts_with_all = ["certificate", "method", "lock_slots"])]
    csr_only: bool,
    /// With --csr-only: organisation in the request [default: the signer CA's]
    #[arg(long, requires = "csr_only", value_name = "NAME")]
    org: Option<String>,
    /// Certificate for the board, PEM, signed elsewhere; the signer's certificate may follow in the file
    #[arg(long, conflicts_with = "lock_slots", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The signer's certificate, PEM [default: the second in --certificate, or the signer CA's]
    #[arg(long, requires = "certificate", value_name = "FILE")]
    signer: Option<PathBuf>,
    /// With `-m sandbox`: lock the slots of the factory certificates. This cannot be undone
    #[arg(long)]
    lock_slots: bool,
    /// Watch the boards afterwards, until each has sent its first message; give up after this time [default: 3m]
    #[arg(
        long,
        value_parser = values::duration,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "3m",
        conflicts_with_all = ["csr_only", "watch"],
        value_name = "DURATION"
    )]
    follow: Option<Duration>,
    #[command(flatten)]
    extras: firmware::FirmwareAndWifi,
}

/// What is to be done, whichever the board.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// How the board gets into an account.
    pub(super) method: Method,
    /// Where the certificates come from.
    pub(super) origin: Origin,
    /// The endpoint; the account's is fetched if it is not given.
    pub(super) endpoint: Option<String>,
    /// Provision even if it is done already.
    pub(super) force: bool,
    /// What the certificate is registered with afterwards, if this tool is to do it.
    pub(super) register: Option<Box<Registration>>,
    /// Revoke the older certificates of the board's key afterwards.
    pub(super) revoke_superseded: bool,
    /// The boards that were done.
    pub(super) done: DoneBoards,
}

/// Provisions the board that is meant.
///
/// # Errors
/// Those of [`provision::provision`], and of the account where its endpoint is asked for.
pub(super) async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    if arguments.csr_only {
        let roots = arguments.station.roots()?;
        let kit = arguments.boards.single(context)?;
        return request(context, &kit, arguments.org, roots.as_deref(), arguments.force).await;
    }
    let prepared = arguments.extras.prepare(context)?;
    let order = arguments.order(context)?;
    let Some(limit) = arguments.follow else { return provisioned(arguments, context, order, prepared).await };
    if arguments.method == Method::Sandbox {
        return Err(Error::usage(
            "--follow watches your own account, and -m sandbox is the vendor's",
            "leave --follow out",
        ));
    }
    let following = Following::begin(context).await?;
    let done = order.done.clone();
    let ended = provisioned(arguments, context, order, prepared).await;
    following.go_on(context, done.take(), limit).await.and(ended)
}

async fn provisioned(
    arguments: Arguments,
    context: &Context,
    order: Order,
    prepared: Prepared,
) -> Result<(), Error> {
    let Arguments { boards, station, .. } = arguments;
    match (boards.are_many(), &order.origin) {
        (false, _) => all_steps(context, boards.single(context)?, order, station, prepared).await,
        (true, Origin::Elsewhere(_)) => Err(batch::one_only()),
        (true, _) if order.register.is_some() => Err(Error::usage(
            "-m mar takes one board",
            "provision the boards with -m jitr, then register all of them: provisioner register --dir ~/.microchip-iot",
        )),
        (true, _) if arguments.extras.first_given().is_some() => Err(Error::usage(
            "firmware and Wi-Fi credentials are for one board at a time",
            "program the boards one by one, then provision them side by side",
        )),
        (true, _) => batch::run(context, boards.chosen()?, order, station).await,
    }
}

/// Firmware if it is given, certificates, then application and Wi-Fi if they are given.
///
/// # Errors
/// As [`run`], and those of the kit's disk and the application's console.
pub(super) async fn all_steps(
    context: &Context,
    kit: Kit,
    order: Order,
    station: StationOptions,
    prepared: Prepared,
) -> Result<(), Error> {
    let board = OneBoard::look(context, kit, order, station, prepared).await?;
    plan::run(context, board).await
}

impl Arguments {
    /// Checks everything that can be checked without a board.
    fn order(&self, context: &Context) -> Result<Order, Error> {
        if let Some(endpoint) = &self.endpoint {
            provision::check_endpoint(endpoint)?;
        }
        let origin = match (self.method, &self.certificate) {
            (Method::Sandbox, Some(_)) => {
                return Err(Error::usage(
                    "-m sandbox uses the factory certificates of the secure element",
                    "leave --certificate out, or choose another method",
                ));
            }
            (Method::Sandbox, None) => {
                let order = sandbox(self.endpoint.clone(), self.force, self.lock_slots);
                return Ok(Order { revoke_superseded: self.revoke_superseded, ..order });
            }
            _ if self.lock_slots => {
                return Err(Error::usage(
                    "--lock-slots belongs to -m sandbox",
                    "leave it out; nothing was done",
                ));
            }
            (Method::Jitr | Method::Custom | Method::Mar, Some(certificate)) => Origin::Elsewhere(Box::new(
                signed_elsewhere(certificate, self.signer.as_deref(), &context.home)?,
            )),
            (Method::Jitr | Method::Custom | Method::Mar, None) => {
                // The key is opened before anything else is done, and for all boards.
                let now = OffsetDateTime::now_utc();
                let chain = store::load(&context.home, &context.keys, now)?;
                chain.key().open()?;
                super::ca::retired::notice(context, chain.signer(), chain.root(), now);
                Origin::Chain(())
            }
        };
        let register = match self.method {
            Method::Mar => Some(Box::new(setup::Options::default().registration()?)),
            _ => None,
        };
        Ok(Order {
            method: self.method,
            origin,
            endpoint: self.endpoint.clone(),
            force: self.force,
            register,
            revoke_superseded: self.revoke_superseded,
            done: DoneBoards::default(),
        })
    }
}

/// The order for the vendor's public account: no AWS account of the user's is asked for anything.
pub(super) fn sandbox(endpoint: Option<String>, force: bool, lock_slots: bool) -> Order {
    let endpoint = Some(endpoint.unwrap_or_else(|| iot_account::SANDBOX_ENDPOINT.to_owned()));
    let origin = Origin::Factory { lock_slots };
    Order {
        method: Method::Sandbox,
        origin,
        endpoint,
        force,
        register: None,
        revoke_superseded: false,
        done: DoneBoards::default(),
    }
}

/// Reads a certificate that was signed elsewhere and finds its signer's.
fn signed_elsewhere(file: &Path, signer: Option<&Path>, home: &Home) -> Result<SignedElsewhere, Error> {
    let mut found = certificate_file::read(file)?;
    // They may be in any order. A device's is no CA's.
    let device = found.iter().position(|certificate| !certificate.is_ca()).unwrap_or_default();
    let device = found.swap_remove(device);
    match signer {
        Some(signer) => found.extend(certificate_file::read(signer)?),
        // No CA has to be here: the signer may be in the file.
        None => found.extend(store::certificate(home, store::Role::Signer).ok().flatten()),
    }
    Ok(SignedElsewhere::new(device, found, OffsetDateTime::now_utc())?)
}

/// `--csr-only`: has the board sign a request and says where it is.
async fn request(
    context: &Context,
    kit: &Kit,
    organisation: Option<String>,
    roots: Option<&[Certificate]>,
    force: bool,
) -> Result<(), Error> {
    let organisation = match organisation {
        Some(organisation) => Some(organisation),
        None => match store::certificate(&context.home, store::Role::Signer)? {
            Some(signer) => {
                super::ca::organisation::tell(context, &signer);
                signer.facts().organisation.clone()
            }
            None => Some(work::DEFAULT_ORGANISATION.to_owned()),
        },
    };
    let mut session = Session::start(ports::open(&kit.port)?, kit)?;
    let request = Request::sign(&mut session, kit, organisation.as_deref(), &context.home, roots, force)?;
    plan::run(context, request).await
}

impl Plan for Request {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let clash = batch::clash_text(self.clash);
        let text =
            format!("would keep a request of the board {} in {}{clash}", self.board(), self.file.display());
        Ok(vec![Line::new("request", text, &self)])
    }

    async fn carry_out(mut self, context: &Context) -> Result<(), Error> {
        self.keep(&context.home)?;
        plan::tell_block(context, "request", &self, &self, true);
        Ok(())
    }
}

/// The endpoint that was given, or else the account's.
pub(super) async fn fetch_endpoint(
    context: Context,
    endpoint: Option<String>,
) -> Result<String, iot_account::Error> {
    match endpoint {
        Some(endpoint) => Ok(endpoint),
        None => {
            let account = context.account().await?;
            iot_account::endpoint(&account).await
        }
    }
}

pub(super) fn says(step: &Step) -> &'static str {
    match step {
        Step::Open => "Waiting for the board",
        Step::Identified(_) => "Reading the public key",
        Step::Sign => "Signing the request on the board",
        Step::Prove => "Checking that the board has its key",
        Step::ReadFactory => "Reading the factory certificates",
        Step::Compare => "Comparing what the board holds",
        Step::Erase => "Erasing",
        Step::Write => "Writing certificates and names",
        Step::ReadBack => "Reading back",
        Step::LockSlots => "Locking the slots of the factory certificates",
        Step::Label => "Making the label",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = &self.about;
        let board = visible::line(about.name());
        let port = visible::line(&about.port);
        match self.outcome {
            Outcome::Provisioned => {
                writeln!(f, "provisioned {board} on {port} in {:.2} s", self.seconds)?;
            }
            Outcome::Unchanged => writeln!(f, "already provisioned: {board} on {port}, left unchanged")?,
        }
        let kept = if self.certificate_reused { "kept" } else { "new" };
        writeln!(f, "  thing        {}", about.thing_name)?;
        writeln!(f, "  certificate  {} ({kept})", self.certificate_id)?;
        writeln!(f, "  endpoint     {}", visible::line(&about.endpoint))?;
        if about.slots_locked {
            writeln!(f, "  locked       slots 10, 11 and 12, cannot be undone")?;
        }
        let folder = about.folder.display().to_string();
        write!(f, "  files        {}{}", visible::line(&folder), batch::clash_text(about.clash))?;
        f.write_str(if about.attested { batch::GENUINE } else { "" })?;
        write!(
            f,
            "{}{}",
            batch::readmitted(about.key_revocation.as_ref()),
            batch::superseded(&about.superseded)
        )
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {} signed a request", visible::line(self.board()), visible::line(&self.port))?;
        writeln!(f, "  thing        {}", self.thing_name)?;
        let genuine = if self.attested { batch::GENUINE } else { "" };
        let file = self.file.display().to_string();
        writeln!(f, "  request      {}{}{genuine}", visible::line(&file), batch::clash_text(self.clash))?;
        write!(f, "  next         have it signed, then: provisioner provision --certificate FILE")
    }
}
