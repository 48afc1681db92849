//! One board, from start to end: build and check everything, then erase, then write, then read back.

use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use jitr::thing_name::{PUBLIC_KEY_SIZE, ThingName};
use miette::Diagnostic;
use serde::Serialize;
use time::OffsetDateTime;
use tracing::debug;

use crate::ExitCode;
use crate::board::command::{FLASH_PAGE, Led};
use crate::board::flash::{self, Flash};
use crate::board::secure_element::{self, DeviceKey};
use crate::board::session::Traffic;
use crate::board::{self, Kit, Session, ports, store, wifi_module};
use crate::ca::{self, Certificate, Chain, profile};
use crate::home::{self, Access, Home, Staged};

/// The device's certificate signing request, PEM, in the board's folder.
pub const REQUEST: &str = "device.csr";
/// The device's certificate, PEM, in the board's folder.
pub const CERTIFICATE: &str = "device.crt";
/// The thing name, in the board's folder.
pub const THING_NAME: &str = "aws-thing-name.txt";

/// How often the flash is erased and written until it reads back right.
const WRITE_ATTEMPTS: usize = 2;

/// What can go wrong beyond the board, the certificates and the files.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// Not a host name, or too long for its page.
    #[error("\"{}\" is no endpoint", endpoint.escape_debug())]
    #[diagnostic(help(
        "an endpoint is a host name such as a1b2c3d4e5f6g7-ats.iot.eu-west-1.amazonaws.com, without https:// and port"
    ))]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// The certificates do not fit.
    #[error("the certificates cannot be put into the board: {0}")]
    #[diagnostic(help(
        "make a certificate authority with shorter names: provisioner ca create --force --org NAME"
    ))]
    Store(#[from] store::Error),
    /// The flash does not hold what was written, twice.
    #[error("the board on {port} reads back something else than was written, first at {address:#06x}")]
    #[diagnostic(help("run again; if it happens again, the board's Wi-Fi module is faulty"))]
    ReadBack {
        /// The port.
        port: String,
        /// Address of the first wrong byte.
        address: u32,
    },
    /// A freshly made certificate fails its own check.
    #[error(
        "the new certificate does not belong to the board's key and the signer; nothing was written to the board"
    )]
    #[diagnostic(help("run again; if it happens again, please report it"))]
    Inconsistent,
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Endpoint { .. } => ExitCode::Usage,
            Self::Store(_) | Self::Inconsistent => ExitCode::Failed,
            Self::ReadBack { .. } => ExitCode::Board,
        }
    }
}

/// What to do with one board.
pub struct Job<'a> {
    /// The board.
    pub kit: &'a Kit,
    /// Who signs its certificate.
    pub chain: &'a Chain,
    /// Where its files go.
    pub home: &'a Home,
    /// Make a new certificate and write it even if the board holds a right one.
    pub force: bool,
    /// Says the account's endpoint; called late, so that it can be fetched meanwhile.
    pub endpoint: Box<dyn FnOnce() -> Result<String, crate::Error> + 'a>,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Opening the port and waiting for the board's answer.
    Open,
    /// The board is known: the serial number of its secure element.
    Identified(String),
    /// The secure element signs the request.
    Sign,
    /// Comparing what the board holds with what it should hold.
    Compare,
    /// Erasing the flash.
    Erase,
    /// Writing certificates and names.
    Write,
    /// Reading back.
    ReadBack,
}

/// How it ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written and read back.
    Provisioned,
    /// The board held the right bytes already.
    Unchanged,
}

/// What was done with one board.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The serial port.
    pub port: String,
    /// USB serial number, where known.
    pub usb_serial: Option<String>,
    /// Serial number of the secure element.
    pub secure_element_serial: String,
    /// Thing name and MQTT client id.
    pub thing_name: String,
    /// SHA-256 of the DER certificate, which is its id in AWS IoT.
    pub certificate_id: String,
    /// Whether the certificate was there before.
    pub certificate_reused: bool,
    /// The endpoint that the board will connect to.
    pub endpoint: String,
    /// Folder with the board's files.
    pub folder: PathBuf,
    /// What went over the wire.
    pub traffic: Traffic,
    /// From opening the port to the end.
    pub seconds: f64,
}

/// Provisions the board on the kit's port and calls `observe` at each step.
///
/// Until certificate, names and layout are complete and checked, nothing on the board is erased. A run that is cut
/// short at any point is completed by the next one.
///
/// # Errors
/// [`board::Error`], [`ca::Error`], [`home::Error`], [`Error`], and whatever the endpoint's source says.
pub fn provision(job: Job<'_>, observe: &mut dyn FnMut(Step)) -> Result<Report, crate::Error> {
    let started = Instant::now();
    observe(Step::Open);
    let port = &job.kit.port;
    let mut session = Session::start(ports::open(port)?, port)?;
    let mut report = provision_session(&mut session, job, observe)?;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Provisions a board that answers already. The report's duration is left zero.
///
/// # Errors
/// As [`provision`].
pub fn provision_session(
    session: &mut Session,
    job: Job<'_>,
    observe: &mut dyn FnMut(Step),
) -> Result<Report, crate::Error> {
    let result = work(session, job, observe);
    let good = result.is_ok();
    let port_is_gone = matches!(
        &result,
        Err(crate::Error::Board(
            board::Error::Lost { .. } | board::Error::Silent { .. } | board::Error::Foreign { .. }
        ))
    );
    if !port_is_gone {
        light(session, &[(Led::Data, false), (Led::Error, !good), (Led::Connection, good)]);
    }
    let mut report = result?;
    report.traffic = session.traffic();
    Ok(report)
}

fn work(session: &mut Session, job: Job<'_>, observe: &mut dyn FnMut(Step)) -> Result<Report, crate::Error> {
    let serial = secure_element::serial(session)?;
    observe(Step::Identified(serial.clone()));
    light(session, &[(Led::Data, true)]);
    let point = secure_element::public_key(session)?;
    let thing_name = ThingName::from_public_key(&point).to_string();
    let name = profile::device_name(&job.chain.signer().facts().organisation, &serial)?;
    let folder = job.home.create_board(job.kit.serial.as_deref().unwrap_or(&serial))?;
    let now = OffsetDateTime::now_utc();

    let belongs = |certificate: &Certificate| {
        certificate.point() == Some(point)
            && certificate.is_signed_by(job.chain.signer())
            && certificate.is_valid_at(now)
    };
    let existing = home::read(&folder.join(CERTIFICATE))?
        .and_then(|pem| Certificate::from_pem(&pem).ok())
        .filter(|certificate| !job.force && belongs(certificate));
    let certificate_reused = existing.is_some();
    let (request, certificate) = match existing {
        Some(certificate) => (None, certificate),
        None => {
            observe(Step::Sign);
            let (request, certificate) = certify(session, job.chain, &name, point, now)?;
            (Some(request), certificate)
        }
    };
    if !belongs(&certificate) {
        return Err(Error::Inconsistent.into());
    }
    let endpoint = (job.endpoint)()?;
    let content = content(&certificate, job.chain.signer(), &thing_name, &endpoint)?;

    let mut files = Vec::new();
    if let Some(request) = request {
        files.push(home::stage(&folder.join(REQUEST), request.as_bytes(), Access::Public)?);
        let pem = certificate.to_pem();
        files.push(home::stage(&folder.join(CERTIFICATE), pem.as_bytes(), Access::Public)?);
    }
    if home::read(&folder.join(THING_NAME))?.is_none_or(|text| text != thing_name.as_bytes()) {
        files.push(home::stage(&folder.join(THING_NAME), thing_name.as_bytes(), Access::Public)?);
    }

    if certificate_reused {
        observe(Step::Compare);
    }
    let outcome = if certificate_reused && wifi_module::first_difference(session, &content)?.is_none() {
        commit(files)?;
        Outcome::Unchanged
    } else {
        put(session, &content, files, observe)?;
        Outcome::Provisioned
    };
    Ok(Report {
        outcome,
        port: session.port().to_owned(),
        usb_serial: job.kit.serial.clone(),
        secure_element_serial: serial,
        thing_name,
        certificate_id: certificate.facts().fingerprint.clone(),
        certificate_reused,
        endpoint,
        folder,
        traffic: Traffic::default(),
        seconds: 0.0,
    })
}

/// The request (PEM), signed on the board, and the certificate for it. A signature that was damaged on the way is
/// asked for once more.
fn certify(
    session: &mut Session,
    chain: &Chain,
    name: &profile::Name,
    point: [u8; PUBLIC_KEY_SIZE],
    now: OffsetDateTime,
) -> Result<(String, Certificate), crate::Error> {
    let mut attempt = || -> Result<(String, Certificate), crate::Error> {
        let key = DeviceKey::new(session, point);
        let request = match profile::signing_request(name).serialize_request(&key) {
            Ok(request) => request,
            Err(error) => {
                return Err(key.into_failure().map_or_else(|| ca::Error::Sign(error).into(), Into::into));
            }
        };
        let certificate = chain.issue_device(request.der(), name, now)?;
        Ok((request.pem().map_err(ca::Error::Sign)?, certificate))
    };
    match attempt() {
        Err(crate::Error::Ca(ca::Error::Request)) => attempt(),
        other => other,
    }
}

/// What the flash is to hold, checked by reading it back from the layout.
fn content(
    certificate: &Certificate,
    signer: &Certificate,
    thing_name: &str,
    endpoint: &str,
) -> Result<Flash, Error> {
    check_endpoint(endpoint)?;
    let certificates = [certificate, signer].map(|c| (c.facts().serial_number.as_str(), c.der()));
    let files = store::device_files(&certificates);
    let mut flash = store::build(&files)?;
    if store::read(&flash.image(flash::CLIENT_STORE, store::SIZE_MAX))? != files {
        return Err(Error::Inconsistent);
    }
    flash.put_text(flash::ENDPOINT, endpoint);
    flash.put_text(flash::THING_NAME, thing_name);
    Ok(flash)
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

/// Erases, writes, and reads back. The files become durable while the flash erases, which takes as long as their
/// syncing; no certificate is written to the board that is not on the disk.
fn put(
    session: &mut Session,
    content: &Flash,
    files: Vec<Staged>,
    observe: &mut dyn FnMut(Step),
) -> Result<(), crate::Error> {
    observe(Step::Erase);
    thread::scope(|scope| -> Result<(), crate::Error> {
        let committed = scope.spawn(|| commit(files));
        wifi_module::erase(session)?;
        committed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(())
    })?;
    let mut attempt = 1;
    loop {
        observe(Step::Write);
        wifi_module::write(session, content)?;
        observe(Step::ReadBack);
        match wifi_module::first_difference(session, content)? {
            None => return Ok(()),
            Some(address) if attempt == WRITE_ATTEMPTS => {
                return Err(Error::ReadBack { port: session.port().to_owned(), address }.into());
            }
            Some(address) => debug!(address, attempt, "the flash differs, writing it again"),
        }
        attempt += 1;
        observe(Step::Erase);
        wifi_module::erase(session)?;
    }
}

fn commit(files: Vec<Staged>) -> Result<(), home::Error> {
    files.into_iter().try_for_each(Staged::commit)
}

/// The LEDs are for the eye; a board that lacks one is provisioned all the same.
fn light(session: &mut Session, leds: &[(Led, bool)]) {
    for (led, on) in leds {
        if let Err(error) = session.set_led(*led, *on) {
            debug!(%error, "cannot switch an LED");
            return;
        }
    }
}

#[cfg(test)]
mod tests;
