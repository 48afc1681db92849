//! A station: one board is provisioned, entered in the ledger, shown its result, and gets its label, in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use device_pki::key::Keys;
use device_pki::{Certificate, Chain, SerialNumber};
use durable_files::folder::{self, Lock};
use iot_kit::{Kit, Session, ports};
use serialport::SerialPort;
use time::OffsetDateTime;

use super::label::{self, Labels};
use super::provision::{self, EndpointSource, Job, Method, Origin, Outcome, Preview, Report, Step};
use super::revoked_keys::keys_of_old_revocations;
use super::{Error, chain, inspection};
use crate::state::home::Home;
use crate::state::ledger::{Ending, Entry, Ledger};
use crate::state::revocations::Records;
use crate::state::{self, store};

/// What all boards that are provisioned here have in common.
pub struct Station {
    name: String,
    home: Home,
    method: Method,
    origin: Origin<Chain>,
    ledger: Ledger,
    force: bool,
    roots: Option<Vec<Certificate>>,
    known: BTreeSet<SerialNumber>,
    old_revocations: BTreeMap<String, String>,
    labels: Labels,
    /// `None` where there is no home folder yet.
    lock: Option<Lock>,
}

/// How boards are provisioned at a station.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The station's name in the ledger; the computer's where absent.
    pub name: Option<String>,
    /// How the boards get into an account.
    pub method: Method,
    /// Where the boards' certificates come from.
    pub origin: Origin,
    /// Make a new certificate and write it even if the board holds a right one.
    pub force: bool,
    /// The roots that the factory certificates of each secure element have to lead to; `None` where any element will do.
    pub roots: Option<Vec<Certificate>>,
    /// The labels to make.
    pub labels: Labels,
}

/// One attempt at one board.
#[derive(Debug)]
pub struct Attempt {
    /// The board.
    pub kit: Kit,
    /// Serial number of the secure element, if the board got as far as to tell it.
    pub secure_element_serial: Option<String>,
    /// How it ended. A board that could not be entered in the ledger counts as failed.
    pub result: Result<Report, Error>,
    /// Why there is no label, if there should be one.
    pub label: Option<label::Error>,
    /// How long it took.
    pub duration: Duration,
}

/// How long a port that has just appeared may take until it can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It must be there.
    None,
    /// It appeared a moment ago: the system may still be giving it its permissions, or another program be having a look.
    JustPluggedIn,
}

/// How long [`Patience::JustPluggedIn`] lasts: udev rules and programs that probe new modems need up to two seconds.
const SETTLING: Duration = Duration::from_secs(3);
/// How often a port is tried meanwhile.
const RETRY: Duration = Duration::from_millis(50);

impl Station {
    /// Loads the certificate authority where it is needed, and keeps others from changing it as long as the station is there.
    /// Changes nothing.
    ///
    /// # Errors
    /// [`device_pki::Error`], [`durable_files::Error`].
    pub fn open(home: &Home, keys: &Keys, settings: Settings) -> Result<Arc<Self>, Error> {
        let lock = home.lock_shared_existing()?;
        folder::check_writable(home.root())?;
        let Settings { name, method, origin, force, roots, labels } = settings;
        let origin = match origin {
            Origin::Chain(()) => Origin::Chain(store::load(home, keys, OffsetDateTime::now_utc())?),
            Origin::NoChain => Origin::NoChain,
            Origin::Elsewhere(signed) => Origin::Elsewhere(signed),
            Origin::Factory { lock_slots } => Origin::Factory { lock_slots },
        };
        let known = known(home, &origin)?;
        let old_revocations = keys_of_old_revocations(home)?;
        gather_entropy_beside();
        let name = name.unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned());
        let (home, ledger) = (home.clone(), Ledger::of(home));
        Ok(Arc::new(Self {
            name,
            home,
            method,
            origin,
            ledger,
            force,
            roots,
            known,
            old_revocations,
            labels,
            lock,
        }))
    }

    /// Opens the kit's port and makes the plan for the board on it. Nothing is changed: not the board, not the disk.
    pub fn look(
        self: &Arc<Self>,
        kit: &Kit,
        patience: Patience,
        endpoint: EndpointSource<'_>,
        observe: &mut dyn FnMut(Step),
    ) -> Look {
        let started = Instant::now();
        let mut secure_element_serial = None;
        observe(Step::Open);
        let plan = match open(&kit.port, patience).and_then(|port| Session::start(port, kit)) {
            Ok(mut session) => {
                let made = provision::look(&mut session, self.job(kit), endpoint, &mut |step| {
                    if let Step::Identified(serial) = &step {
                        secure_element_serial = Some(serial.clone());
                    }
                    observe(step);
                });
                match made {
                    Ok(plan) => Ok((session, plan)),
                    Err(error) => {
                        let error = explained(&mut session, error);
                        Err((Some(session), error))
                    }
                }
            }
            Err(error) => Err((None, error.into())),
        };
        Look { station: Arc::clone(self), kit: kit.clone(), started, secure_element_serial, plan }
    }

    /// Provisions the board on the kit's port: makes the plan and carries it out.
    pub fn attempt(
        self: &Arc<Self>,
        kit: &Kit,
        patience: Patience,
        endpoint: EndpointSource<'_>,
        observe: &mut dyn FnMut(Step),
    ) -> Attempt {
        self.look(kit, patience, endpoint, observe).carry_out(observe)
    }

    /// A lock for one board, where the station has none: the home folder is made now.
    fn held(&self) -> Result<Option<Lock>, Error> {
        Ok(if self.lock.is_some() { None } else { Some(self.home.lock_shared()?) })
    }

    /// Whether the slots of the factory certificates are locked on each board, which cannot be undone.
    pub fn locks_slots(&self) -> bool {
        self.origin.locks_slots()
    }

    fn job<'a>(&'a self, kit: &'a Kit) -> Job<'a> {
        let Self { origin, home, force, roots, known, old_revocations, .. } = self;
        Job { kit, origin, home, force: *force, roots: roots.as_deref(), known, old_revocations }
    }

    fn entry(
        &self,
        kit: &Kit,
        identified: Option<&str>,
        result: &Result<Report, Error>,
        duration: Duration,
    ) -> Entry {
        let report = result.as_ref().ok();
        Entry {
            when: state::now(),
            station: self.name.clone(),
            port: kit.port.clone(),
            usb_serial: kit.usb_serial.clone(),
            secure_element_serial: identified.map(str::to_owned),
            thing_name: report.map(|report| report.about.thing_name.clone()),
            certificate_id: report.map(|report| report.certificate_id.clone()),
            method: self.method.word().to_owned(),
            attested: report.is_some_and(|report| report.about.attested),
            outcome: match report.map(|report| report.outcome) {
                Some(Outcome::Provisioned) => Ending::Provisioned,
                Some(Outcome::Unchanged) => Ending::Unchanged,
                None => Ending::Failed,
            },
            error: result.as_ref().err().map(|error| chain(error).join(": ")),
            seconds: (duration.as_secs_f64() * 1000.0).round() / 1000.0,
        }
    }
}

/// A board with the plan for it, or with the reason why there is none. Its port stays open.
pub struct Look {
    station: Arc<Station>,
    kit: Kit,
    started: Instant,
    secure_element_serial: Option<String>,
    plan: Result<(Session, provision::Plan), (Option<Session>, Error)>,
}

impl Look {
    /// The board.
    pub fn kit(&self) -> &Kit {
        &self.kit
    }

    /// What the board is going to have.
    ///
    /// # Errors
    /// Why the board cannot be provisioned.
    pub fn preview(&self) -> Result<Preview, &Error> {
        let (_, plan) = self.plan.as_ref().map_err(|(_, error)| error)?;
        Ok(plan.preview())
    }

    /// The same board, which is not provisioned for another reason than its own.
    #[must_use]
    pub fn refuse(self, why: Error) -> Self {
        let plan = match self.plan {
            Ok((session, _)) => Err((Some(session), why)),
            refused => refused,
        };
        Self { plan, ..self }
    }

    /// Why the board cannot be provisioned.
    ///
    /// # Errors
    /// As [`Look::preview`].
    pub fn refused(self) -> Result<(), Error> {
        self.plan.map(drop).map_err(|(_, error)| error)
    }

    /// Carries the plan out. The result, a refusal too, is in the ledger before the board or anybody else is told.
    pub fn carry_out(self, observe: &mut dyn FnMut(Step)) -> Attempt {
        let Self { station, kit, started, secure_element_serial, plan } = self;
        let (mut session, mut result) = match plan {
            Ok((mut session, plan)) => {
                let done = station
                    .held()
                    .and_then(|_lock| provision::carry_out(&mut session, station.job(&kit), plan, observe))
                    .map_err(|error| explained(&mut session, error));
                (Some(session), done)
            }
            Err((session, error)) => (session, Err(error)),
        };
        let duration = started.elapsed();
        let entry = station.entry(&kit, secure_element_serial.as_deref(), &result, duration);
        if let Err(error) = station.ledger.append(&entry) {
            result = result.and(Err(error.into()));
        }
        if let Some(session) = &mut session {
            provision::show(session, &result);
            if let Ok(report) = &mut result {
                report.traffic = session.traffic();
                report.seconds = duration.as_secs_f64();
            }
        }
        // The port is free before the label is made: the next program may want it.
        drop(session);
        let labels = &station.labels;
        let label = match &result {
            Ok(report) if labels.command.is_some() || labels.folder.is_some() => {
                observe(Step::Label);
                labels.make(report).err()
            }
            _ => None,
        };
        Attempt { kit, secure_element_serial, result, label, duration }
    }
}

/// The serial numbers of the certificates that the signer CA has revoked.
fn known(home: &Home, origin: &Origin<Chain>) -> Result<BTreeSet<SerialNumber>, Error> {
    let Origin::Chain(chain) = origin else { return Ok(BTreeSet::new()) };
    let Some(key_id) = &chain.signer().facts().subject_key_identifier else { return Ok(BTreeSet::new()) };
    let revoked = Records::of(home, key_id).read()?;
    Ok(revoked.into_iter().map(|revocation| revocation.serial_number).collect())
}

/// The error, with what the board says of itself where that explains it.
fn explained(session: &mut Session, error: Error) -> Error {
    match error {
        Error::Kit(error) => inspection::explained(session, error).into(),
        error => error,
    }
}

/// The first random bytes that a process asks for take some 35 ms, until enough entropy is gathered. They are asked for
/// beside what the board does, so that no certificate is kept waiting for them while a board is.
fn gather_entropy_beside() {
    // Without a thread, or without entropy, signing reports it.
    let _ = thread::Builder::new().name("entropy".into()).spawn(|| rand::fill(&mut [0]));
}

/// A port that has been there for a while is tried once.
fn open(port: &str, patience: Patience) -> Result<Box<dyn SerialPort>, iot_kit::Error> {
    let deadline = match patience {
        Patience::None => None,
        Patience::JustPluggedIn => Some(Instant::now() + SETTLING),
    };
    loop {
        let opened = ports::open(port);
        let may_settle = matches!(
            opened,
            Err(iot_kit::Error::PortDenied { .. }
                | iot_kit::Error::PortInUse { .. }
                | iot_kit::Error::NoPort { .. })
        );
        if !may_settle || deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return opened;
        }
        thread::sleep(RETRY);
    }
}
