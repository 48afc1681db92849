//! One board, from start to end: build and check everything, then erase, then write, then read back.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use device_pki::{Certificate, Chain, PUBLIC_KEY_SIZE, SerialNumber, factory, point_of, profile};
use durable_files::{Access, Staged};
use iot_kit::command::{Command, FLASH_PAGE, Led};
use iot_kit::flash::Flash;
use iot_kit::session::Traffic;
use iot_kit::wifi_module::BootSector;
use iot_kit::{Kit, Session, secure_element, wifi_module};
use jitr::thing_name::ThingName;
use time::OffsetDateTime;
use tracing::debug;

use crate::state::board::{Claim, Place, REQUEST, THING_NAME};
use crate::state::home::Home;
use crate::state::{certificates, store};
use crate::work;
use crate::work::revoked_keys::RevokedKeys;

mod error;
mod factory_slots;
mod history;
mod method;
mod proof;
mod report;
mod request;
mod source;

pub use error::Error;
pub(super) use factory_slots::read as read_factory;
use history::History;
pub use method::Method;
pub use report::{About, Done, Outcome, Preview, Report, Step};
pub use request::Request;
use source::Planned;
pub use source::{Origin, SignedElsewhere};

/// How often the flash is erased and written until it reads back right.
const WRITE_ATTEMPTS: usize = 2;

/// What to do with one board.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The board.
    pub kit: &'a Kit,
    /// Where its certificates come from.
    pub origin: &'a Origin<Chain>,
    /// Where its files go.
    pub home: &'a Home,
    /// Make a new certificate and write it even if the board holds a right one.
    pub force: bool,
    /// The roots that the factory certificates of a genuine secure element lead to; `None` where any element will do.
    pub roots: Option<&'a [Certificate]>,
    /// Serial numbers that the signer CA has given to certificates.
    pub known: &'a BTreeSet<SerialNumber>,
    /// The keys of certificates that were revoked by an earlier version
    /// ([`keys_of_old_revocations`](crate::work::revoked_keys::keys_of_old_revocations)).
    pub old_revocations: &'a BTreeMap<String, String>,
}

/// Says the account's endpoint. Called late, so that it can be fetched meanwhile.
pub type EndpointSource<'a> = Box<dyn FnOnce() -> Result<String, work::Error> + 'a>;

/// What a board is to hold, and what is done for that. Making it changes neither the board nor the disk.
pub struct Plan {
    board: Identity,
    about: About,
    planned: Planned,
    history: History,
    /// [`Outcome::Unchanged`] where the board holds the right bytes.
    outcome: Outcome,
}

impl Plan {
    /// What the board is going to have, and what is to be done.
    pub fn preview(&self) -> Preview {
        let certificate_id = self.planned.certificate_id().map(str::to_owned);
        Preview { outcome: self.outcome, about: self.about.clone(), certificate_id }
    }
}

/// Who a board is.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// Serial number of the secure element, 18 upper-case hex digits.
    pub(super) serial: String,
    /// The device's public key, an uncompressed point.
    pub(super) point: [u8; PUBLIC_KEY_SIZE],
}

impl Identity {
    /// The thing name that belongs to the key.
    pub(super) fn thing_name(&self) -> String {
        ThingName::from_public_key(&self.point).to_string()
    }

    pub(super) fn read(session: &mut Session, observe: &mut dyn FnMut(Step)) -> Result<Self, iot_kit::Error> {
        let serial = secure_element::serial(session)?;
        observe(Step::Identified(serial.clone()));
        Ok(Self { serial, point: point_of(&secure_element::public_key(session)?) })
    }

    /// What the board says of itself, to find its folder.
    pub(super) fn claim<'a>(&'a self, kit: &'a Kit) -> Claim<'a> {
        Claim {
            usb_serial: kit.usb_serial.as_deref(),
            secure_element_serial: &self.serial,
            point: &self.point,
        }
    }

    /// The folder of the board, which is its own from now on: by what is there of it, or by a request that it signs here.
    pub(super) fn take_folder(
        &self,
        session: &mut Session,
        kit: &Kit,
        home: &Home,
    ) -> Result<Place, work::Error> {
        let name = profile::device_name(None, &self.serial)?;
        let request = source::sign_request(session, &name, self)?.pem()?;
        Ok(self.claim(kit).take(home, REQUEST, &request)?)
    }
}

/// Looks at a board that answers and decides what is to be done. Calls `observe` at each step. The board signs once, with the
/// key that it shows: the request for a new certificate, or else a random digest. Nothing is issued, and nothing is
/// written to the board or the disk.
///
/// # Errors
/// [`iot_kit::Error`], [`device_pki::Error`], [`durable_files::Error`], [`Error`], and whatever the endpoint's source says.
pub fn look(
    session: &mut Session,
    job: Job<'_>,
    endpoint: EndpointSource<'_>,
    observe: &mut dyn FnMut(Step),
) -> Result<Plan, work::Error> {
    let board = Identity::read(session, observe)?;
    let place = board.claim(job.kit).place(job.home)?;
    let keys = RevokedKeys::read(job.home, job.old_revocations)?;
    let history = History::read(job.home, &keys, &board, &place.folder)?;
    history.check(&board, job.force)?;
    let factory = match (job.roots, job.origin) {
        (Some(roots), _) => Some(proof::genuine(session, &board, roots, observe)?),
        (None, Origin::Factory { .. }) => Some(proof::factory(session, &board, observe)?),
        (None, _) => None,
    };
    let planned = source::plan(session, job, &board, factory, &history, observe)?;
    history.check_planned(&planned, &keys)?;
    if matches!(planned, Planned::There(_)) {
        proof::possession(session, &board, observe)?;
    }
    let endpoint = endpoint()?;
    check_endpoint(&endpoint)?;
    let mut outcome = Outcome::Provisioned;
    if let Planned::There(obtained) = &planned {
        let content = obtained.content(&board.thing_name(), &endpoint)?;
        if !job.force {
            observe(Step::Compare);
            if wifi_module::first_difference(session, &content)?.is_none() {
                outcome = Outcome::Unchanged;
            }
        }
    }
    let about = About {
        port: session.port().to_owned(),
        usb_serial: job.kit.usb_serial.clone(),
        secure_element_serial: board.serial.clone(),
        thing_name: board.thing_name(),
        endpoint,
        slots_locked: job.origin.locks_slots(),
        attested: job.roots.is_some(),
        folder: place.folder,
        clash: place.clash,
        superseded: history.superseded(planned.certificate_id(), OffsetDateTime::now_utc())?,
        key_revocation: history.revoked().copied(),
    };
    Ok(Plan { board, about, planned, history, outcome })
}

/// Carries a plan out on the board that it was made for. How it ended is for [`show`] to say on the board; the report's
/// traffic and duration are left zero.
///
/// Until certificate, names and layout are complete and checked, nothing on the board is erased. A run that is cut
/// short at any point is completed by the next one.
///
/// # Errors
/// As [`look`].
pub fn carry_out(
    session: &mut Session,
    job: Job<'_>,
    plan: Plan,
    observe: &mut dyn FnMut(Step),
) -> Result<Report, work::Error> {
    let Plan { board, mut about, planned, history, outcome } = plan;
    light(session, &[(Led::Data, true)]);
    if let Planned::Requested { .. } = &planned {
        store::check_in_service(job.home)?;
    }
    // Another board may have taken the folder since the look.
    let (file, text) = planned.certifying()?;
    Place { folder: about.folder, clash: about.clash } = board.claim(job.kit).take(job.home, file, &text)?;
    if let Planned::Requested { .. } = &planned {
        history.make_room(job.home)?;
    }
    let obtained = planned.obtain(job, &board, &history)?;
    certificates::keep(job.home, &obtained.device)?;
    let content = obtained.content(&about.thing_name, &about.endpoint)?;
    let mut files = Vec::new();
    for (name, text) in obtained.files.into_iter().chain([(THING_NAME, about.thing_name.clone())]) {
        let path = about.folder.join(name);
        if durable_files::read(&path)?.is_none_or(|found| found != text.as_bytes()) {
            files.push(durable_files::stage(&path, text.as_bytes(), Access::Public)?);
        }
    }
    match outcome {
        Outcome::Unchanged => commit(files)?,
        Outcome::Provisioned => put(session, &content, files, observe)?,
    }
    if about.slots_locked {
        observe(Step::LockSlots);
        factory::SLOTS.into_iter().try_for_each(|slot| secure_element::lock_slot(session, slot))?;
    }
    Ok(Report {
        outcome,
        about,
        certificate_id: obtained.device.facts().certificate_id.clone(),
        certificate_reused: obtained.reused,
        traffic: Traffic::default(),
        seconds: 0.0,
    })
}

/// Shows on the board's LEDs how it ended: green for done, red for failed. A board that is gone is left alone.
pub fn show(session: &mut Session, result: &Result<Report, work::Error>) {
    let good = result.is_ok();
    let port_is_gone = matches!(
        result,
        Err(work::Error::Kit(
            iot_kit::Error::Lost { .. } | iot_kit::Error::Silent { .. } | iot_kit::Error::Foreign { .. }
        ))
    );
    if !port_is_gone {
        light(session, &[(Led::Data, false), (Led::Error, !good), (Led::Connection, good)]);
    }
}

/// Whether this is a host name that fits in its page.
///
/// # Errors
/// [`Error::Endpoint`].
pub fn check_endpoint(endpoint: &str) -> Result<(), Error> {
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if endpoint.len() < FLASH_PAGE && endpoint.split('.').all(label) {
        Ok(())
    } else {
        Err(Error::Endpoint { endpoint: endpoint.to_owned() })
    }
}

/// Erases, writes, and reads back. The files become durable while the flash is looked at and erased, which takes as long as
/// their syncing; no certificate is written to the board that is not on the disk.
fn put(
    session: &mut Session,
    content: &Flash,
    files: Vec<Staged>,
    observe: &mut dyn FnMut(Step),
) -> Result<(), work::Error> {
    let mut boot_sector = BootSector::default();
    observe(Step::Erase);
    let result = thread::scope(|scope| -> Result<(), work::Error> {
        let committed = scope.spawn(|| commit(files));
        let erased = wifi_module::erase(session, content, &mut boot_sector);
        committed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(erased?)
    })
    .and_then(|()| write_until_right(session, content, &mut boot_sector, observe));
    // A board that has stopped to answer is not asked again.
    let answers = matches!(
        result,
        Ok(())
            | Err(work::Error::Provision(Error::ReadBack { .. })
                | work::Error::Kit(iot_kit::Error::Astray { .. }))
    );
    if answers {
        boot_sector.check(session)?;
    }
    result
}

fn write_until_right(
    session: &mut Session,
    content: &Flash,
    boot_sector: &mut BootSector,
    observe: &mut dyn FnMut(Step),
) -> Result<(), work::Error> {
    let mut attempt = 1;
    loop {
        observe(Step::Write);
        wifi_module::write(session, content)?;
        observe(Step::ReadBack);
        let Some(address) = wifi_module::first_difference(session, content)? else { return Ok(()) };
        wifi_module::check_written(session, content)?;
        if attempt == WRITE_ATTEMPTS {
            return Err(Error::ReadBack { port: session.port().to_owned(), address }.into());
        }
        debug!(address, attempt, "the flash differs, writing it again");
        attempt += 1;
        observe(Step::Erase);
        wifi_module::erase(session, content, boot_sector)?;
    }
}

fn commit(files: Vec<Staged>) -> Result<(), durable_files::Error> {
    files.into_iter().try_for_each(Staged::commit)
}

/// The LEDs are for the eye; a board that lacks one is provisioned all the same.
fn light(session: &mut Session, leds: &[(Led, bool)]) {
    for (led, on) in leds {
        if let Err(error) = session.run(Command::SetLed(*led, *on)) {
            debug!(%error, "cannot switch an LED");
            return;
        }
    }
}

#[cfg(test)]
mod tests;
