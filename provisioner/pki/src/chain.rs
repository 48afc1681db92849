//! Root and signer CA as one thing: checked as a whole, then used to issue certificates.

use rcgen::{CertificateSigningRequestParams, KeyPair};
use time::OffsetDateTime;

use crate::signature::Unverified;
use crate::{Certificate, Error, Purpose, SerialNumber, Signer, profile};

/// What the certificates of a chain are called in messages, such as the names of their files.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The root's.
    pub root: &'static str,
    /// The signer's.
    pub signer: &'static str,
}

/// What a CA between root and signer is called in messages.
const BETWEEN: &str = "an intermediate CA between root and signer";
/// Stands for the serial number of any secure element, in the name of a device.
const ANY_ELEMENT: &str = "000000000000000000";

/// A root certificate, a signer certificate that it issued, itself or through CAs between them, and the signer's key.
#[derive(Debug)]
pub struct Chain {
    root: Certificate,
    signer: Certificate,
    key: Signer,
    names: Names,
}

impl Chain {
    /// Takes the three together, if they belong together, are valid at `now`, and may do what they are for. The CAs between root
    /// and signer are among `others`, in any order.
    ///
    /// # Errors
    /// [`Error::NotCa`], [`Error::NotSelfSigned`], [`Error::Algorithm`], [`Error::ForeignSigner`], [`Error::SignerKey`],
    /// [`Error::NoKeyIdentifier`], [`Error::NoCrlSign`], [`Error::CriticalExtension`], [`Error::PathLength`], [`Error::NameConstraints`],
    /// [`Error::NotValidNow`].
    pub fn new(
        root: Certificate,
        others: &[Certificate],
        signer: Certificate,
        key: Signer,
        names: Names,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        check_root(&root, names.root)?;
        if !signer.is_ca() {
            return Err(Error::NotCa { certificate: names.signer });
        }
        let path = path(&root, others, &signer, names)?;
        check_signer(&signer, names.signer)?;
        // How many CAs are below each of the path (RFC 5280, section 6.1.4): those that are named as their issuer do not count.
        let mut below = 0;
        for (authority, certificate) in path {
            check_authority(authority, certificate, below, signer.facts().organisation.as_deref())?;
            check_time(authority, certificate, now)?;
            below += usize::from(!authority.is_self_issued());
        }
        Ok(Self { root, signer, key, names })
    }

    /// The root's certificate.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The signer's certificate.
    pub fn signer(&self) -> &Certificate {
        &self.signer
    }

    /// The signer's key. Open it before issuing, so that no passphrase is asked for later.
    pub fn key(&self) -> &Signer {
        &self.key
    }

    /// Issues the device certificate for a DER signing request, whose own signature is verified first.
    /// The subject is `name`; of the request only the public key counts. A serial number that is `known` is not given again.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::NotP256`], [`Error::NotValidNow`], [`Error::Clock`]; as [`Signer::issue`].
    pub fn issue_device(
        &self,
        request: &[u8],
        name: &profile::Name,
        known: &dyn Fn(&SerialNumber) -> bool,
        now: OffsetDateTime,
    ) -> Result<Certificate, Error> {
        let request = CertificateSigningRequestParams::from_der(&request.to_vec().into())
            .map_err(|_| Error::Request)?;
        // It may have been loaded long ago.
        check_time(&self.signer, self.names.signer, now)?;
        let content = profile::device(name, &request.public_key, known, now)?;
        self.key.certificate(Purpose::DeviceCertificate, &content, &self.signer)
    }
}

/// The CAs from the signer up to the root, each with what it is called.
fn path<'a>(
    root: &'a Certificate,
    others: &'a [Certificate],
    signer: &'a Certificate,
    names: Names,
) -> Result<Vec<(&'a Certificate, &'static str)>, Error> {
    let foreign = || Error::ForeignSigner { signer: names.signer, root: names.root };
    let mut path = vec![(signer, names.signer)];
    let mut lowest = signer;
    loop {
        match lowest.check_signed_by(root) {
            Ok(()) => break,
            Err(error @ Unverified::Algorithm(_)) => return Err(refused(error, names.signer, foreign())),
            Err(Unverified::Wrong) => {}
        }
        let issuer = others.iter().find(|other| {
            let is_new = path.iter().all(|(known, _)| known != other);
            is_new && other.is_ca() && lowest.is_signed_by(other)
        });
        lowest = issuer.ok_or_else(foreign)?;
        path.push((lowest, BETWEEN));
    }
    path.push((root, names.root));
    Ok(path)
}

fn refused(error: Unverified, certificate: &'static str, otherwise: Error) -> Error {
    match error {
        Unverified::Algorithm(algorithm) => Error::Algorithm { certificate, algorithm },
        Unverified::Wrong => otherwise,
    }
}

/// Whether a root can issue the certificate of a signer CA with this organisation at `now`: what [`Chain::new`] would refuse of the
/// root is refused before anything is signed. `certificate` is what the root's certificate is called.
///
/// # Errors
/// As [`Chain::new`], of the root.
pub fn check_issuer(
    root: &Certificate,
    certificate: &'static str,
    organisation: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    check_root(root, certificate)?;
    check_authority(root, certificate, 1, organisation)?;
    check_time(root, certificate, now)
}

/// What the root alone has to be.
fn check_root(root: &Certificate, certificate: &'static str) -> Result<(), Error> {
    if !root.is_ca() {
        return Err(Error::NotCa { certificate });
    }
    let otherwise = Error::NotSelfSigned { root: certificate };
    root.check_signed_by(root).map_err(|error| refused(error, certificate, otherwise))
}

/// What the signer alone has to be.
fn check_signer(signer: &Certificate, certificate: &'static str) -> Result<(), Error> {
    if signer.point().is_none() {
        return Err(Error::SignerKey { certificate, found: signer.key_kind() });
    }
    if signer.subject_key_identifier_extension().is_none() {
        return Err(Error::NoKeyIdentifier { certificate });
    }
    if !signer.may_sign_lists() {
        return Err(Error::NoCrlSign { certificate });
    }
    Ok(())
}

/// Whether a CA of the path allows what is below it.
fn check_authority(
    authority: &Certificate,
    certificate: &'static str,
    below: usize,
    organisation: Option<&str>,
) -> Result<(), Error> {
    if let Some(extension) = authority.unknown_critical_extension() {
        return Err(Error::CriticalExtension { certificate, extension });
    }
    if let Some(allowed) = authority.path_length()
        && below > usize::try_from(allowed).unwrap_or(usize::MAX)
    {
        return Err(Error::PathLength { certificate, allowed, below });
    }
    let device = profile::device_name(organisation, ANY_ELEMENT)?;
    if !authority.permits(&device.der()?) {
        let organisation = device.organisation.map(|organisation| format!("O={organisation}, "));
        let name = format!("{}CN=sn…", organisation.unwrap_or_default());
        return Err(Error::NameConstraints { certificate, name });
    }
    Ok(())
}

fn check_time(checked: &Certificate, certificate: &'static str, now: OffsetDateTime) -> Result<(), Error> {
    if checked.is_valid_at(now) {
        return Ok(());
    }
    let facts = checked.facts();
    let (not_before, not_after) = (facts.not_before, facts.not_after);
    Err(Error::NotValidNow { certificate, not_before, not_after, now })
}

/// The certificate that proves to AWS IoT possession of the signer's key (`RegisterCACertificate`). Its own key is
/// made for the occasion and forgotten.
///
/// # Errors
/// [`Error::Name`] for a registration code that is empty or longer than 64 characters; as [`Signer::issue`].
pub fn verification_certificate(
    chain: &Chain,
    registration_code: &str,
    now: OffsetDateTime,
) -> Result<Certificate, Error> {
    check_time(&chain.signer, chain.names.signer, now)?;
    let key = KeyPair::generate().map_err(Error::Sign)?;
    let content = profile::verification(registration_code, &key, now)?;
    chain.key.certificate(Purpose::VerificationCertificate, &content, &chain.signer)
}

#[cfg(test)]
#[cfg(all(feature = "file", unix))]
mod tests;
