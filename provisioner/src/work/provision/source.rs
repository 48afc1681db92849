//! Where a board's certificates come from: signed here, signed elsewhere, or by the factory of the secure element.

use std::path::Path;

use jitr::thing_name::PUBLIC_KEY_SIZE;
use rcgen::{CertificateSigningRequest, CertificateSigningRequestParams};
use time::OffsetDateTime;

use super::{CERTIFICATE, Error, REQUEST, Step};
use crate::board::secure_element::DeviceKey;
use crate::board::{Session, factory};
use crate::ca::{self, Certificate, Chain, profile};
use crate::home;

/// The factory's device certificate, PEM, in the board's folder.
pub const FACTORY_CERTIFICATE: &str = "factory-device.crt";
/// The certificate of the factory's signer, PEM, in the board's folder.
pub const FACTORY_SIGNER: &str = "factory-signer.crt";

/// Where a board's certificates come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// The signer CA on this computer signs one, unless the one it signed before still fits.
    Chain(&'a Chain),
    /// It was signed elsewhere.
    Elsewhere(&'a SignedElsewhere),
    /// The secure element came with one.
    Factory,
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
    pub(super) signer: Certificate,
    /// Whether the device's certificate existed before this run.
    pub(super) reused: bool,
    /// What is to be kept in the board's folder: name and content.
    pub(super) files: Vec<(&'static str, String)>,
}

/// Gets the certificates for the board with this serial number and key, whatever the source, and checks that they are its.
pub(super) fn obtain(
    session: &mut Session,
    source: Source<'_>,
    (serial, point): (&str, [u8; PUBLIC_KEY_SIZE]),
    folder: &Path,
    force: bool,
    observe: &mut dyn FnMut(Step),
) -> Result<Obtained, crate::Error> {
    match source {
        Source::Chain(chain) => from_chain(session, chain, (serial, point), folder, force, observe),
        Source::Elsewhere(signed) => {
            if signed.device.point() != Some(point) {
                let subject = signed.device.facts().subject.clone();
                return Err(Error::ForeignKey { subject, serial: serial.to_owned() }.into());
            }
            Ok(Obtained {
                device: signed.device.clone(),
                signer: signed.signer.clone(),
                reused: true,
                files: vec![(CERTIFICATE, signed.device.to_pem())],
            })
        }
        Source::Factory => {
            observe(Step::ReadFactory);
            let found = factory::read(session, serial, &point)?.map_err(Error::Factory)?;
            let files =
                vec![(FACTORY_CERTIFICATE, found.device.to_pem()), (FACTORY_SIGNER, found.signer.to_pem())];
            Ok(Obtained { device: found.device, signer: found.signer, reused: true, files })
        }
    }
}

fn from_chain(
    session: &mut Session,
    chain: &Chain,
    (serial, point): (&str, [u8; PUBLIC_KEY_SIZE]),
    folder: &Path,
    force: bool,
    observe: &mut dyn FnMut(Step),
) -> Result<Obtained, crate::Error> {
    let now = OffsetDateTime::now_utc();
    let signer = chain.signer().clone();
    let name = profile::device_name(&signer.facts().organisation, serial)?;
    let belongs = |certificate: &Certificate| {
        certificate.point() == Some(point)
            && certificate.is_signed_by(chain.signer())
            && certificate.is_valid_at(now)
    };
    let existing = home::read(&folder.join(CERTIFICATE))?
        .and_then(|pem| Certificate::from_pem(&pem).ok())
        .filter(|certificate| !force && belongs(certificate));
    if let Some(device) = existing {
        return Ok(Obtained { device, signer, reused: true, files: Vec::new() });
    }
    observe(Step::Sign);
    let request = sign_request(session, &name, point)?;
    let device = chain.issue_device(request.der(), &name, now)?;
    if !belongs(&device) {
        return Err(Error::Inconsistent.into());
    }
    let request = request.pem().map_err(ca::Error::Sign)?;
    let files = vec![(REQUEST, request), (CERTIFICATE, device.to_pem())];
    Ok(Obtained { device, signer, reused: false, files })
}

/// A certificate signing request, signed on the board and verified. One that was damaged on the way is asked for once
/// more.
pub(super) fn sign_request(
    session: &mut Session,
    name: &profile::Name,
    point: [u8; PUBLIC_KEY_SIZE],
) -> Result<CertificateSigningRequest, crate::Error> {
    let mut attempt = || -> Result<CertificateSigningRequest, crate::Error> {
        let key = DeviceKey::new(session, point);
        let request = match profile::signing_request(name).serialize_request(&key) {
            Ok(request) => request,
            Err(error) => {
                return Err(key.into_failure().map_or_else(|| ca::Error::Sign(error).into(), Into::into));
            }
        };
        CertificateSigningRequestParams::from_der(request.der()).map_err(|_| ca::Error::Request)?;
        Ok(request)
    };
    match attempt() {
        Err(crate::Error::Ca(ca::Error::Request)) => attempt(),
        other => other,
    }
}
