//! Root and signer CA as one thing: checked as a whole, then used to issue certificates.

use rcgen::{CertificateSigningRequestParams, Issuer, KeyPair, PublicKeyData};
use time::OffsetDateTime;

use super::certificate::Malformed;
use super::{Certificate, Error, Key, profile, store};

/// A root certificate, a signer certificate that it issued, and the signer's key.
pub struct Chain {
    root: Certificate,
    signer: Certificate,
    key: Key,
}

impl Chain {
    /// Takes the three together, if they belong together and are valid at `now`.
    ///
    /// # Errors
    /// [`Error::NotCa`], [`Error::NotSelfSigned`], [`Error::ForeignSigner`], [`Error::KeyMismatch`],
    /// [`Error::NoKeyIdentifier`], [`Error::NotP256`], [`Error::NotValidNow`], in this order.
    pub fn new(root: Certificate, signer: Certificate, key: Key, now: OffsetDateTime) -> Result<Self, Error> {
        let files = [(&root, store::ROOT_CERTIFICATE), (&signer, store::SIGNER_CERTIFICATE)];
        if let Some((_, certificate)) = files.iter().find(|(c, _)| !c.is_ca()) {
            return Err(Error::NotCa { certificate });
        }
        if !root.is_signed_by(&root) {
            return Err(Error::NotSelfSigned);
        }
        if !signer.is_signed_by(&root) {
            return Err(Error::ForeignSigner);
        }
        check_key(&signer, &*key, store::SIGNER_KEY, store::SIGNER_CERTIFICATE)?;
        if signer.subject_key_identifier_extension().is_none() {
            return Err(Error::NoKeyIdentifier { certificate: store::SIGNER_CERTIFICATE });
        }
        for (checked, certificate) in files {
            if checked.point().is_none() {
                return Err(Error::NotP256);
            }
            if !checked.is_valid_at(now) {
                let facts = checked.facts();
                let (not_before, not_after) = (facts.not_before, facts.not_after);
                return Err(Error::NotValidNow { certificate, not_before, not_after, now });
            }
        }
        Ok(Self { root, signer, key })
    }

    /// The root's certificate.
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The signer's certificate.
    pub fn signer(&self) -> &Certificate {
        &self.signer
    }

    /// Issues the device certificate for a DER signing request, whose own signature is verified first.
    /// The subject is `name`; of the request only the public key counts.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::NotP256`], [`Error::Sign`].
    pub fn issue_device(
        &self,
        request: &[u8],
        name: &profile::Name,
        now: OffsetDateTime,
    ) -> Result<Certificate, Error> {
        let request = CertificateSigningRequestParams::from_der(&request.to_vec().into())
            .map_err(|_| Error::Request)?;
        let params = profile::device(name, &request.public_key, now)?;
        self.sign(&params, &request.public_key)
    }

    fn sign(
        &self,
        params: &rcgen::CertificateParams,
        subject: &impl PublicKeyData,
    ) -> Result<Certificate, Error> {
        let issuer = Issuer::from_ca_cert_der(&self.signer.der().into(), &*self.key).map_err(Error::Sign)?;
        let certificate = params.signed_by(subject, &issuer).map_err(Error::Sign)?;
        Certificate::from_der(certificate.der()).map_err(|source| own(store::SIGNER_CERTIFICATE, source))
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain")
            .field("root", &self.root)
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

/// The certificate that proves to AWS IoT possession of the signer's key (`RegisterCACertificate`). Its own key is
/// made for the occasion and forgotten.
///
/// # Errors
/// [`Error::Name`] for a registration code that is empty or longer than 64 characters; [`Error::Sign`].
pub fn verification_certificate(
    chain: &Chain,
    registration_code: &str,
    now: OffsetDateTime,
) -> Result<Certificate, Error> {
    let key = KeyPair::generate().map_err(Error::Sign)?;
    chain.sign(&profile::verification(registration_code, &key, now)?, &key)
}

/// Whether a key and a certificate belong together.
pub(super) fn check_key(
    of: &Certificate,
    key: &(impl PublicKeyData + ?Sized),
    key_file: &'static str,
    certificate: &'static str,
) -> Result<(), Error> {
    match of.point() {
        Some(point) if point == key.der_bytes() => Ok(()),
        _ => Err(Error::KeyMismatch { key: key_file, certificate }),
    }
}

fn own(file: &str, source: Malformed) -> Error {
    Error::Malformed { file: file.to_owned(), source }
}
