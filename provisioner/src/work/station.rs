//! A station: one board is provisioned, entered in the ledger, shown its result, and gets its label, in this order.

use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use device_pki::Chain;
use device_pki::key::Keys;
use durable_files::folder::Lock;
use iot_kit::{Kit, Session, ports};
use serialport::SerialPort;
use time::OffsetDateTime;

use super::label::{self, Labels};
use super::provision::{self, Job, Method, Origin, Outcome, Report, Step};
use super::{Error, chain, inspection};
use crate::state::home::Home;
use crate::state::ledger::{Ending, Entry, Ledger};
use crate::state::{self, store};

/// What all boards that are provisioned here have in common.
pub struct Station {
    name: String,
    home: Home,
    method: Method,
    origin: Origin<Chain>,
    ledger: Ledger,
    force: bool,
    labels: Labels,
    _lock: Lock,
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
    ///
    /// # Errors
    /// [`device_pki::Error`], [`durable_files::Error`].
    pub fn open(home: &Home, keys: &Keys, settings: Settings) -> Result<Self, Error> {
        let lock = home.lock_shared()?;
        let Settings { name, method, origin, force, labels } = settings;
        let origin = match origin {
            Origin::Chain(()) => Origin::Chain(store::load(home, keys, OffsetDateTime::now_utc())?),
            Origin::Elsewhere(signed) => Origin::Elsewhere(signed),
            Origin::Factory { lock_slots } => Origin::Factory { lock_slots },
        };
        gather_entropy_beside();
        let name = name.unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned());
        let (home, ledger) = (home.clone(), Ledger::of(home));
        Ok(Self { name, home, method, origin, ledger, force, labels, _lock: lock })
    }

    /// Provisions the board on the kit's port. The result is in the ledger before the board or anybody else is told.
    pub fn attempt(
        &self,
        kit: &Kit,
        patience: Patience,
        endpoint: Box<dyn FnOnce() -> Result<String, Error> + '_>,
        observe: &mut dyn FnMut(Step),
    ) -> Attempt {
        let started = Instant::now();
        let mut identified = None;
        observe(Step::Open);
        let (mut session, mut result) = match open(&kit.port, patience)
            .and_then(|port| Session::start(port, kit))
        {
            Ok(mut session) => {
                let job = Job { kit, origin: &self.origin, home: &self.home, force: self.force, endpoint };
                let result = provision::provision(&mut session, job, &mut |step| {
                    if let Step::Identified(serial) = &step {
                        identified = Some(serial.clone());
                    }
                    observe(step);
                });
                let result = result.map_err(|error| match error {
                    Error::Kit(error) => inspection::explained(&mut session, error).into(),
                    error => error,
                });
                (Some(session), result)
            }
            Err(error) => (None, Err(error.into())),
        };
        let duration = started.elapsed();
        let entry = self.entry(kit, identified.as_deref(), &result, duration);
        if let Err(error) = self.ledger.append(&entry) {
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
        let label = match &result {
            Ok(report) if self.labels.command.is_some() || self.labels.folder.is_some() => {
                observe(Step::Label);
                self.labels.make(report).err()
            }
            _ => None,
        };
        Attempt { kit: kit.clone(), secure_element_serial: identified, result, label, duration }
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
            kit_serial: kit.serial.clone(),
            secure_element_serial: identified.map(str::to_owned),
            thing_name: report.map(|report| report.thing_name.clone()),
            certificate_id: report.map(|report| report.certificate_id.clone()),
            method: self.method.word().to_owned(),
            result: match report.map(|report| report.outcome) {
                Some(Outcome::Provisioned) => Ending::Provisioned,
                Some(Outcome::Unchanged) => Ending::Unchanged,
                None => Ending::Failed,
            },
            error: result.as_ref().err().map(|error| chain(error).join(": ")),
            seconds: (duration.as_secs_f64() * 1000.0).round() / 1000.0,
        }
    }
}

/// The first random bytes that a process asks for take some 35 ms, until enough entropy is gathered. They are asked for
/// beside what the board does, so that no certificate is kept waiting for them while a board is.
fn gather_entropy_beside() {
    // Without a thread, or without entropy, whoever signs finds out.
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
