//! Where a board's certificates come from: signed here, signed elsewhere, or by the factory of the secure element.

use aws_lc_rs::digest;
use device_pki::factory::{self, Certificates};
use device_pki::key::PublicKey;
use device_pki::{Certificate, Chain, SerialNumber, ecdsa_sig_value, profile, request};
use iot_kit::flash::{self, Flash};
use iot_kit::{Session, secure_element, store};
use rcgen::CertificateSigningRequest;
use time::OffsetDateTime;

use super::{Error, History, Identity, Job, Step};
use crate::state::board::{CERTIFICATE, FACTORY_CERTIFICATE, FACTORY_SIGNER, REQUEST};
use crate::work;
use crate::work::DEFAULT_ORGANISATION;

/// Where boards' certificates come from; `C` is what is known of the chain on this computer.
#[derive(Clone, Debug)]
pub enum Origin<C = ()> {
    /// The signer CA on this computer signs one, unless the one it signed before still fits.
    Chain(C),
    /// As [`Origin::Chain`], where the chain is not made yet: for a plan that is shown only.
    NoChain,
    /// It was signed elsewhere; it is for one board.
    Elsewhere(Box<SignedElsewhere>),
    /// The secure element came with one.
    Factory {
        /// Lock the slots of the factory certificates at the end. This cannot be undone.
        lock_slots: bool,
    },
}

impl<C> Origin<C> {
    /// Whether the slots of the factory certificates are locked at the end, which cannot be undone.
    pub fn locks_slots(&self) -> bool {
        matches!(self, Self::Factory { lock_slots: true })
    }
}

/// A device certificate that was signed elsewhere, and its signer's: they belong together and are valid.
#[derive(Clone, Debug)]
pub struct SignedElsewhere {
    device: Certificate,
    signer: Certificate,
}

impl SignedElsewhere {
    /// Takes a device certificate together with the one among `signers` that issued it.
    ///
    /// # Errors
    /// [`Error::NoSigner`], [`Error::NotValidNow`].
    pub fn new(
        device: Certificate,
        signers: impl IntoIterator<Item = Certificate>,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let issuer = device.facts().issuer.clone();
        let signer = signers
            .into_iter()
            .find(|signer| signer.is_ca() && device.is_signed_by(signer))
            .ok_or(Error::NoSigner { issuer })?;
        for certificate in [&device, &signer] {
            if !certificate.is_valid_at(now) {
                let facts = certificate.facts();
                return Err(Error::NotValidNow {
                    subject: facts.subject.clone(),
                    not_before: facts.not_before,
                    not_after: facts.not_after,
                });
            }
        }
        Ok(Self { device, signer })
    }
}

/// The certificates for one board.
pub(super) struct Obtained {
    pub(super) device: Certificate,
    signer: Certificate,
    /// Whether the device's certificate existed before this run.
    pub(super) reused: bool,
    /// What is to be kept in the board's folder: name and content.
    pub(super) files: Vec<(&'static str, String)>,
}

impl Obtained {
    /// What the flash is to hold, checked by reading it back from the layout. `endpoint` fits in its page
    /// ([`super::check_endpoint`]).
    pub(super) fn content(&self, thing_name: &str, endpoint: &str) -> Result<Flash, Error> {
        let certificates = [&self.device, &self.signer].map(|c| (c.facts().serial_number.as_str(), c.der()));
        let files = store::device_files(&certificates);
        let mut flash = store::build(&files)?;
        if store::read(&flash.image(flash::CLIENT_STORE, store::SIZE_MAX))? != files {
            return Err(Error::Inconsistent);
        }
        flash.put_text(flash::ENDPOINT, endpoint);
        flash.put_text(flash::THING_NAME, thing_name);
        Ok(flash)
    }
}

/// Where one board's certificates are, or what they are made from.
pub(super) enum Planned {
    /// They are there.
    There(Box<Obtained>),
    /// The board has signed this request, and the chain is to issue a certificate for it.
    Requested {
        /// The subject.
        name: profile::Name,
        /// The request.
        request: Box<CertificateSigningRequest>,
    },
}

impl Planned {
    /// A file that certifies the board's key: name and content.
    ///
    /// # Errors
    /// The encoder's.
    pub(super) fn certifying(&self) -> Result<(&'static str, String), work::Error> {
        Ok(match self {
            Self::There(obtained) => match obtained.files.first() {
                Some(file) => file.clone(),
                None => (CERTIFICATE, obtained.device.to_pem()),
            },
            Self::Requested { request, .. } => (REQUEST, request.pem()?),
        })
    }

    /// The id of the certificate, where it is there.
    pub(super) fn certificate_id(&self) -> Option<&str> {
        match self {
            Self::There(obtained) => Some(&obtained.device.facts().certificate_id),
            Self::Requested { .. } => None,
        }
    }

    /// The certificates; one that was requested is issued now. It gets no serial number of a certificate that was revoked, or that
    /// the key has had. Those of all certificates are in the audit log, of a million lines perhaps, and 126 random bits
    /// are not worth reading it for each board.
    ///
    /// # Errors
    /// [`device_pki::Error`]; [`Error::Inconsistent`].
    pub(super) fn obtain(
        self,
        job: Job<'_>,
        board: &Identity,
        history: &History,
    ) -> Result<Obtained, work::Error> {
        let (name, request) = match self {
            Self::There(obtained) => return Ok(*obtained),
            Self::Requested { name, request } => (name, request),
        };
        let Origin::Chain(chain) = job.origin else { return Err(Error::NoChain.into()) };
        let now = OffsetDateTime::now_utc();
        let had = history.serial_numbers()?;
        let known = |number: &SerialNumber| job.known.contains(number) || had.contains(number);
        let device = chain.issue_device(request.der(), &name, &known, now)?;
        if !belongs(&device, chain, board, now) {
            return Err(Error::Inconsistent.into());
        }
        let files = vec![(REQUEST, request.pem()?), (CERTIFICATE, device.to_pem())];
        Ok(Obtained { device, signer: chain.signer().clone(), reused: false, files })
    }
}

/// Finds a board's certificates, whatever their origin, and checks that they are its; where there is none yet, has the
/// board sign a request.
pub(super) fn plan(
    session: &mut Session,
    job: Job<'_>,
    board: &Identity,
    factory: Option<Certificates>,
    history: &History,
    observe: &mut dyn FnMut(Step),
) -> Result<Planned, work::Error> {
    let there = match job.origin {
        Origin::Chain(chain) => return from_chain(session, chain, job.force, board, history, observe),
        Origin::NoChain => {
            let name = profile::device_name(Some(DEFAULT_ORGANISATION), &board.serial)?;
            return requested(session, name, board, observe);
        }
        Origin::Elsewhere(signed) => {
            if signed.device.point() != Some(board.point) {
                let subject = signed.device.facts().subject.clone();
                return Err(Error::ForeignKey { subject, serial: board.serial.clone() }.into());
            }
            Obtained {
                device: signed.device.clone(),
                signer: signed.signer.clone(),
                reused: true,
                files: vec![(CERTIFICATE, signed.device.to_pem())],
            }
        }
        Origin::Factory { .. } => {
            let found = factory.ok_or(Error::Factory(factory::Error::Empty))?;
            let files =
                vec![(FACTORY_CERTIFICATE, found.device.to_pem()), (FACTORY_SIGNER, found.signer.to_pem())];
            Obtained { device: found.device, signer: found.signer, reused: true, files }
        }
    };
    Ok(Planned::There(Box::new(there)))
}

fn belongs(certificate: &Certificate, chain: &Chain, board: &Identity, now: OffsetDateTime) -> bool {
    certificate.point() == Some(board.point)
        && certificate.is_signed_by(chain.signer())
        && certificate.is_valid_at(now)
}

fn from_chain(
    session: &mut Session,
    chain: &Chain,
    force: bool,
    board: &Identity,
    history: &History,
    observe: &mut dyn FnMut(Step),
) -> Result<Planned, work::Error> {
    let now = OffsetDateTime::now_utc();
    let signer = chain.signer().clone();
    let name = profile::device_name(signer.facts().organisation.as_deref(), &board.serial)?;
    let fits = |found: &&Certificate| belongs(found, chain, board, now) && !history.is_revoked(found);
    if let Some(device) = history.in_folder().filter(|_| !force).filter(fits).cloned() {
        return Ok(Planned::There(Box::new(Obtained { device, signer, reused: true, files: Vec::new() })));
    }
    requested(session, name, board, observe)
}

fn requested(
    session: &mut Session,
    name: profile::Name,
    board: &Identity,
    observe: &mut dyn FnMut(Step),
) -> Result<Planned, work::Error> {
    observe(Step::Sign);
    let request = Box::new(sign_request(session, &name, board)?);
    Ok(Planned::Requested { name, request })
}

/// A certificate signing request that is new, signed on the board and verified. One that was damaged on the way is asked for once
/// more.
pub(super) fn sign_request(
    session: &mut Session,
    name: &profile::Name,
    board: &Identity,
) -> Result<CertificateSigningRequest, work::Error> {
    let mut attempt = || -> Result<CertificateSigningRequest, work::Error> {
        // rcgen hands over the message; the secure element wants its digest.
        let mut sign = |message: &[u8]| -> Result<Vec<u8>, work::Error> {
            let mut hash = [0; 32];
            hash.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
            let signature = secure_element::sign_digest(session, &hash)?;
            Ok(ecdsa_sig_value(&signature).map_err(|_| device_pki::Error::Request)?)
        };
        request::signed(name, &PublicKey(board.point), &mut sign)
    };
    match attempt() {
        Err(work::Error::Pki(device_pki::Error::Request)) => attempt(),
        other => other,
    }
}
