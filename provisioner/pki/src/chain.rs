//! Root and signer CA as one thing: checked as a whole, then used to issue certificates.

use rcgen::{CertificateSigningRequestParams, KeyPair};
use time::OffsetDateTime;

use crate::{Certificate, Error, Purpose, SerialNumber, Signer, profile};

/// What the certificates of a chain are called in messages, such as the names of their files.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The root's.
    pub root: &'static str,
    /// The signer's.
    pub signer: &'static str,
}

/// A root certificate, a signer certificate that it issued, and the signer's key.
#[derive(Debug)]
pub struct Chain {
    root: Certificate,
    signer: Certificate,
    key: Signer,
    names: Names,
}

impl Chain {
    /// Takes the three together, if they belong together and are valid at `now`.
    ///
    /// # Errors
    /// [`Error::NotCa`], [`Error::NotSelfSigned`], [`Error::ForeignSigner`], [`Error::NoKeyIdentifier`],
    /// [`Error::NotP256`], [`Error::NotValidNow`], in this order.
    pub fn new(
        root: Certificate,
        signer: Certificate,
        key: Signer,
        names: Names,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let files = [(&root, names.root), (&signer, names.signer)];
        if let Some((_, certificate)) = files.iter().find(|(c, _)| !c.is_ca()) {
            return Err(Error::NotCa { certificate });
        }
        if !root.is_signed_by(&root) {
            return Err(Error::NotSelfSigned { root: names.root });
        }
        if !signer.is_signed_by(&root) {
            return Err(Error::ForeignSigner { signer: names.signer, root: names.root });
        }
        if signer.subject_key_identifier_extension().is_none() {
            return Err(Error::NoKeyIdentifier { certificate: names.signer });
        }
        for (checked, certificate) in files {
            if checked.point().is_none() {
                return Err(Error::NotP256);
            }
            check_time(checked, certificate, now)?;
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
        let params = profile::device(name, &request.public_key, known, now)?;
        self.key.certificate(Purpose::DeviceCertificate, &params, &request.public_key, &self.signer)
    }
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
    let params = profile::verification(registration_code, &key, now)?;
    chain.key.certificate(Purpose::VerificationCertificate, &params, &key, &chain.signer)
}
