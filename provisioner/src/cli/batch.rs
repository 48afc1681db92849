//! Many boards from the command line: which, at which station, what is shown meanwhile and at the end.

mod display;
mod failures;
mod table;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, FromArgMatches};
use device_pki::Certificate;
use device_pki::factory::roots;
use serde::Serialize;
use tokio::task;

use super::context::joined;
use super::plan::{self, Line, Plan};
use super::provision::{Choice, DoneBoards, Order, fetch_endpoint};
use super::{Context, Output, revoke, signals};
use crate::cli::Error;
use crate::state::board::Clash;
use crate::state::home::Home;
use crate::work::chain;
use crate::work::fleet::{self, Event, Fleet};
use crate::work::label::{self, Labels};
use crate::work::provision::{self, Outcome, Preview};
use crate::work::revoked_keys::KeyRevocation;
use crate::work::station::{Attempt, Patience, Settings, Station};
use device_pki::visible;
use display::Display;
use failures::{Failures, Trouble};
use iot_kit::{Kit, ports};

/// Which boards.
#[derive(Debug, Default, Args)]
pub(super) struct Boards {
    /// Serial port of a board; repeat it for a batch [default: the only kit]
    #[arg(short = 'P', long = "port", value_name = "PORT")]
    ports: Vec<String>,
    /// USB serial number of the board, or its last digits
    #[arg(short, long, value_name = "SERIAL", conflicts_with_all = ["all", "watch"])]
    serial: Option<String>,
    /// Provision a batch: all boards that are plugged in
    #[arg(long, conflicts_with_all = ["ports", "watch"])]
    all: bool,
    /// Provision every board when it is plugged in, until Ctrl-C
    #[arg(long, conflicts_with = "ports")]
    watch: bool,
}

impl Boards {
    /// Whether more than one board may be meant.
    pub(super) fn are_many(&self) -> bool {
        self.all || self.watch || self.ports.len() > 1
    }

    /// The one board that is meant.
    ///
    /// # Errors
    /// There is none, or there are several and nobody can be asked; or many are meant.
    pub(super) fn single(&self, context: &Context) -> Result<Kit, Error> {
        if self.are_many() {
            return Err(one_only());
        }
        Choice { port: self.ports.first().cloned(), serial: self.serial.clone() }.kit(context)
    }

    /// The many boards that are meant.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn chosen(&self) -> Result<fleet::Boards, Error> {
        if self.watch {
            return Ok(fleet::Boards::Arriving);
        }
        let known = ports::kits()?;
        if self.all {
            return match known.is_empty() {
                true => Err(iot_kit::Error::NoBoard.into()),
                false => Ok(fleet::Boards::Given(known)),
            };
        }
        if self.serial.is_some() {
            return Err(Error::usage(
                "a serial number cannot choose among several ports",
                "leave -s out, or give one port",
            ));
        }
        let mut kits: Vec<Kit> = Vec::new();
        for port in &self.ports {
            let kit = ports::choose(&known, Some(port), None)?;
            if kits.iter().all(|other| !other.is_on(&kit.port)) {
                kits.push(kit);
            }
        }
        Ok(fleet::Boards::Given(kits))
    }
}

/// What is said where one board can be meant only.
pub(super) fn one_only() -> Error {
    Error::usage("--csr-only and --certificate are for one board at a time", "name one port")
}

/// What the station is, and does besides.
#[derive(Debug, Default, Args)]
pub(super) struct StationOptions {
    /// Name of this station in the ledger [default: the computer's name]
    #[arg(long, env = "MICROCHIP_IOT_STATION", value_name = "NAME", hide_env_values = true)]
    station: Option<String>,
    /// Shell command that makes the label of each board; it reads the result as JSON from stdin
    #[arg(long, value_name = "COMMAND")]
    label_command: Option<String>,
    /// Folder for the label of each board: a picture with thing name and QR code
    #[arg(long, value_name = "DIR")]
    label_dir: Option<PathBuf>,
    /// Format of the pictures
    #[arg(long, value_enum, default_value_t, requires = "label_dir", value_name = "FORMAT")]
    label_format: label::Format,
    /// Refuse boards whose secure element does not show, by its factory certificates, that it is Microchip's
    #[arg(long, env = "MICROCHIP_IOT_REQUIRE_GENUINE", hide_env_values = true, action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    require_genuine: bool,
    /// With --require-genuine: root CA certificates to trust in place of Microchip's, PEM or DER; repeat it for more files
    #[arg(
        long = "vendor-root",
        env = "MICROCHIP_IOT_VENDOR_ROOT",
        hide_env_values = true,
        requires = "require_genuine",
        value_name = "FILE"
    )]
    vendor_roots: Vec<PathBuf>,
}

impl StationOptions {
    /// What the environment says, for the form of the command that has no such options.
    ///
    /// # Errors
    /// A variable with a bad value.
    pub(super) fn from_environment() -> Result<Self, clap::Error> {
        let command = Self::augment_args(clap::Command::new("provisioner"));
        Self::from_arg_matches(&command.try_get_matches_from(["provisioner"])?)
    }

    /// # Errors
    /// As [`StationOptions::roots`]; labels that would go into the home's own folders.
    pub(super) fn settings(self, order: &Order, home: &Home) -> Result<Settings, Error> {
        self.label_dir.iter().try_for_each(|folder| home.check_output(folder))?;
        let roots = self.roots()?;
        let labels =
            Labels { command: self.label_command, folder: self.label_dir, format: self.label_format };
        let Order { method, force, .. } = *order;
        Ok(Settings { name: self.station, method, origin: order.origin.clone(), force, roots, labels })
    }

    /// The roots that factory certificates have to lead to, where that is asked for.
    ///
    /// # Errors
    /// A file that has no certificates of CAs.
    pub(super) fn roots(&self) -> Result<Option<Vec<Certificate>>, Error> {
        match (self.require_genuine, self.vendor_roots.as_slice()) {
            (false, _) => Ok(None),
            (true, []) => Ok(Some(roots::microchip())),
            (true, files) => {
                let roots: Vec<_> =
                    files.iter().map(|file| root_certificates(file)).collect::<Result<_, _>>()?;
                Ok(Some(roots.concat()))
            }
        }
    }
}

/// The certificates of root CAs in a file.
fn root_certificates(file: &Path) -> Result<Vec<Certificate>, Error> {
    let found = super::certificate_file::read(file)?;
    match found.iter().find(|certificate| !certificate.is_ca()) {
        Some(other) => {
            let reason = format!("\"{}\" is not a certificate authority", other.facts().subject);
            Err(Error::File { path: file.to_owned(), reason })
        }
        None => Ok(found),
    }
}

/// What is told of a board's folder, under its line.
pub(super) fn clash_text(clash: Option<Clash>) -> &'static str {
    match clash {
        Some(Clash::OtherKey) => {
            "\n  note         the folder that the USB serial number names has the files of another board"
        }
        Some(Clash::Name) => "\n  note         the USB serial number cannot be the name of a folder",
        None => "",
    }
}

/// What is asked before slots are locked.
pub(super) const LOCKING: &str =
    "Slots 10, 11 and 12 of the secure element will be locked. This cannot be undone.";

/// What is told of a board whose secure element is genuine.
pub(super) const GENUINE: &str = "\n  genuine      yes, by its factory certificates";

/// The line of a plan for one board.
pub(super) fn line(board: &Preview) -> Line {
    let Preview { outcome, about, certificate_id } = board;
    let (name, thing_name) = (visible::line(about.name()), &about.thing_name);
    let (port, endpoint) = (visible::line(&about.port), visible::line(&about.endpoint));
    let head = match outcome {
        Outcome::Provisioned => format!("would provision {name} on {port}"),
        Outcome::Unchanged => format!("already provisioned: {name} on {port}, would be left unchanged"),
    };
    let locked = match about.slots_locked {
        true => "\n  locked       slots 10, 11 and 12 would be locked, which cannot be undone",
        false => "",
    };
    let certificate = match certificate_id {
        Some(id) => format!("{id} (kept)"),
        None => "a new one".to_owned(),
    };
    let (readmitted, superseded) = (readmitted(about.key_revocation.as_ref()), superseded(&about.superseded));
    let text = format!(
        "{head}\n  thing        {thing_name}\n  certificate  {certificate}\n  endpoint     {endpoint}\n  \
         files        {}{}{}{locked}{readmitted}{superseded}",
        visible::line(&about.folder.display().to_string()),
        clash_text(about.clash),
        if about.attested { GENUINE } else { "" },
    );
    Line::new(outcome.action(), text, board).block()
}

/// What is said of a key that was revoked, if it was.
pub(super) fn readmitted(revoked: Option<&KeyRevocation>) -> String {
    let line = |revoked| format!("\n  revoked      {revoked}; it gets a new certificate because of --force");
    revoked.map(line).unwrap_or_default()
}

/// What is said of older certificates of a board that were not revoked here, a line each. The account was not asked.
pub(super) fn superseded(certificates: &[String]) -> String {
    let line = |id: &String| {
        format!(
            "\n  superseded   {id}, not revoked here; revoke it with: provisioner revoke {id} --reason superseded"
        )
    };
    certificates.iter().map(line).collect()
}

/// The line for a board that cannot be looked at before its firmware is there.
pub(super) fn unseen(kit: &Kit) -> Line {
    let text = format!("would provision the board {kit}, after a look at it once its firmware is there");
    Line::new("provision", text, &Named::of(kit))
}

/// A board, by what is known without asking it.
#[derive(Serialize)]
struct Named<'a> {
    port: &'a str,
    usb_serial: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(kit: &'a Kit) -> Self {
        Self { port: &kit.port, usb_serial: kit.usb_serial.as_deref() }
    }
}

/// A board that the plan refuses.
#[derive(Serialize)]
struct Refused<'a> {
    #[serde(flatten)]
    board: Named<'a>,
    #[serde(flatten)]
    trouble: Trouble,
}

/// An error about a label with its cause.
pub(super) fn cause(error: &label::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Provisions many boards, shows how it goes, and sums up at the end. The first interrupt finishes the boards under way;
/// the second ends the run.
///
/// # Errors
/// [`FleetError`](crate::work::FleetError), or [`Error::Boards`] unless every board is done; before the first board, those of the account and the home.
pub(super) async fn run(
    context: &Context,
    boards: fleet::Boards,
    order: Order,
    station: StationOptions,
) -> Result<(), Error> {
    // Once for all, and before the first board: what is wrong with the account is told once, and no board is touched.
    let endpoint = {
        let _progress = context.progress("Asking for the endpoint");
        fetch_endpoint(context.clone(), order.endpoint.clone()).await?
    };
    provision::check_endpoint(&endpoint)?;
    let (revoke_superseded, done) = (order.revoke_superseded, order.done.clone());
    let station = Station::open(&context.home, &context.keys, station.settings(&order, &context.home)?)?;
    let refused = Failures::default();
    plan::run(context, Batch { boards, station, endpoint, revoke_superseded, done, refused }).await
}

/// Boards that are provisioned side by side. Each is looked at when its turn comes.
struct Batch {
    boards: fleet::Boards,
    station: Arc<Station>,
    endpoint: String,
    revoke_superseded: bool,
    done: DoneBoards,
    refused: Failures,
}

impl Plan for Batch {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        let kits = match &self.boards {
            fleet::Boards::Given(kits) => kits.clone(),
            fleet::Boards::Arriving => {
                context.note("boards that are plugged in later are provisioned when they come");
                ports::plugged_in()?
            }
        };
        let _progress = context.progress("looking at the boards");
        let looks = kits.into_iter().map(|kit| {
            let (station, endpoint) = (Arc::clone(&self.station), self.endpoint.clone());
            task::spawn_blocking(move || {
                station.look(&kit, Patience::None, Box::new(|| Ok(endpoint)), &mut |_| {})
            })
        });
        let looks: Vec<_> = looks.collect();
        let (mut lines, mut folders) = (Vec::new(), BTreeSet::new());
        for look in looks {
            let look = joined(look.await);
            lines.push(match look.preview() {
                Ok(mut preview) => {
                    // Of new boards with one USB serial number, the first that gets there has the folder of that name.
                    let about = &mut preview.about;
                    if !folders.insert(about.folder.clone()) {
                        about.folder = context.home.root().join(&about.secure_element_serial);
                        about.clash = Some(Clash::OtherKey);
                    }
                    line(&preview)
                }
                Err(error) => {
                    let trouble = self.refused.add(error);
                    let text = format!("would fail: {}\n  {trouble}", visible::line(&look.kit().to_string()));
                    Line::new("refuse", text, &Refused { board: Named::of(look.kit()), trouble }).block()
                }
            });
            self.refused.all += 1;
        }
        Ok(lines)
    }

    fn question(&self) -> Option<String> {
        self.station.locks_slots().then(|| LOCKING.to_owned())
    }

    fn refused(self) -> Result<(), Error> {
        self.refused.verdict()
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { boards, station, endpoint, revoke_superseded, done, .. } = self;
        let fleet = Fleet::new(station, endpoint);
        let signals = task::spawn(signals::pass_on(fleet.interrupter()));
        let form = context.global.output.unwrap_or(match std::io::stdout().is_terminal() {
            true => Output::Human,
            false => Output::Json,
        });
        let mut display = Display::new(context.clone(), form, &boards);
        let (runtime, revoking) = (tokio::runtime::Handle::current(), context.clone());
        let work = task::spawn_blocking(move || {
            let mut revoked = Ok(());
            let (summary, result) = fleet.run(boards, &mut |event| {
                if let Event::Finished(Attempt { result: Ok(report), .. }) = &event {
                    done.add(report);
                }
                let superseded = match &event {
                    Event::Finished(Attempt { result: Ok(report), .. }) if revoke_superseded => {
                        report.about.superseded.clone()
                    }
                    _ => Vec::new(),
                };
                display.show(event);
                if let Err(error) = runtime.block_on(revoke::superseded(&superseded, &revoking)) {
                    display.say(format_args!("older certificates are not revoked: {}", told(&error)));
                    revoked = Err(error);
                }
            });
            let failed = display.sum_up(&summary);
            result.map_err(Error::from).and(failed).and(revoked)
        });
        let result = work.await;
        signals.abort();
        joined(result)
    }
}

fn told(error: &Error) -> String {
    chain(error).join(": ")
}
