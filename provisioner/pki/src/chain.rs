//! Root and signer CA as one thing: checked as a whole, then used to issue certificates.

use rcgen::{CertificateSigningRequestParams, KeyPair};
use time::OffsetDateTime;

use crate::{Certificate, Error, Purpose, SerialNumber, Signer, profile};

mod path;
mod selection;

pub use selection::select;

/// What the certificates of a chain are called in messages, such as the names of their files.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The root's.
    pub root: &'static str,
    /// The signer's.
    pub signer: &'static str,
}

/// Stands for the serial number of any secure element, in the name of a device.
const ANY_ELEMENT: &str = "000000000000000000";

/// A root certificate, a signer certificate that it issued, itself or through CAs between them, and the signer's key.
#[derive(Debug)]
pub struct Chain {
    root: Certificate,
    signer: Certificate,
    key: Signer,
    names: Names,
    end: End,
}

/// When a chain ends, and by which of its certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The earliest end of its certificates.
    pub not_after: OffsetDateTime,
    /// What the certificate is called that ends then: of several, the lowest.
    pub certificate: &'static str,
}

impl Chain {
    /// Takes the three together, if they belong together, are valid at `now`, and may do what they are for. The CAs between root
    /// and signer are among `others`, in any order. Of several paths between the two, the first counts that is allowed.
    ///
    /// # Errors
    /// [`Error::Swapped`], [`Error::NotCa`], [`Error::NoCertSign`], [`Error::NotSelfSigned`], [`Error::Algorithm`],
    /// [`Error::IssuerKey`], [`Error::IssuerName`], [`Error::IssuerKeyIdentifier`], [`Error::ForeignSigner`], [`Error::SignerKey`],
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
        if signer.is_signed_by(&signer) && !root.is_self_issued() && root.is_signed_by(&signer) {
            return Err(Error::Swapped { root: names.root, signer: names.signer });
        }
        check_root(&root, names.root)?;
        check_ca(&signer, names.signer)?;
        let end = allowed(&root, others, &signer, names, now)?;
        Ok(Self { root, signer, key, names, end })
    }

    /// When it ends: nothing that is issued under it is good for longer.
    pub fn end(&self) -> End {
        self.end
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

/// The end of the first path from the signer to the root that is allowed.
///
/// # Errors
/// What is wrong with the first path if none is allowed; why there is no path.
fn allowed(
    root: &Certificate,
    others: &[Certificate],
    signer: &Certificate,
    names: Names,
    now: OffsetDateTime,
) -> Result<End, Error> {
    let paths = path::all(root, others, signer, names);
    if !paths.is_empty() {
        check_signer(signer, names.signer)?;
    }
    let organisation = signer.facts().organisation.as_deref();
    let mut refused = None;
    for path in paths {
        match check_path(&path, organisation, now) {
            Ok(end) => return Ok(end),
            Err(error) => drop(refused.get_or_insert(error)),
        }
    }
    Err(refused.unwrap_or_else(|| path::missing(root, others, signer, names)))
}

/// Whether each CA of a path allows what is below it. Says when the path ends.
fn check_path(path: &path::Path<'_>, organisation: Option<&str>, now: OffsetDateTime) -> Result<End, Error> {
    // How many CAs are below each of the path (RFC 5280, section 6.1.4): those that are named as their issuer do not count.
    let mut below = 0;
    let mut end = End { not_after: profile::LATEST, certificate: "" };
    for &(authority, certificate) in path {
        check_authority(authority, certificate, below, organisation)?;
        check_time(authority, certificate, now)?;
        below += usize::from(!authority.is_self_issued());
        let not_after = authority.facts().not_after;
        if end.certificate.is_empty() || not_after < end.not_after {
            end = End { not_after, certificate };
        }
    }
    Ok(end)
}

/// What the root alone has to be.
fn check_root(root: &Certificate, certificate: &'static str) -> Result<(), Error> {
    check_ca(root, certificate)?;
    let own = (root, certificate);
    path::check_issued(own, own)?.ok_or(Error::NotSelfSigned { root: certificate })
}

/// What every CA has to be.
fn check_ca(authority: &Certificate, certificate: &'static str) -> Result<(), Error> {
    match (authority.has_ca_constraint(), authority.may_sign_certificates()) {
        (false, _) => Err(Error::NotCa { certificate }),
        (true, false) => Err(Error::NoCertSign { certificate }),
        (true, true) => Ok(()),
    }
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
