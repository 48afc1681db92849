//! The one place that every signature of a certificate authority passes through.
//!
//! [`Signer::issue`] signs a document (certificate, certificate signing request, revocation list, see [`Purpose`]), tells
//! the [`Observer`] of the run's [`Keys`] of it, and only then gives the document to its caller: if the observer fails, so
//! does the signature. Whoever wants to know of every signature implements [`Observer`] and is given to [`Keys::new`],
//! as the command line does in `cli::Context`. Nothing else calls [`super::key::Key::sign`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{CertificateParams, Issuer, PublicKeyData, SignatureAlgorithm, SigningKey};

use super::key::{self, Key, Keys, PublicKey, Uri};
use super::{Certificate, Error};

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The root CA's certificate for its own key.
    RootCertificate,
    /// A signer CA's certificate.
    SignerCertificate,
    /// A signer CA's certificate signing request.
    SigningRequest,
    /// A device's certificate.
    DeviceCertificate,
    /// The certificate that proves possession of the signer's key to AWS IoT.
    VerificationCertificate,
    /// A certificate revocation list.
    RevocationList,
}

impl Purpose {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::RootCertificate => "root certificate",
            Self::SignerCertificate => "signer certificate",
            Self::SigningRequest => "signing request",
            Self::DeviceCertificate => "device certificate",
            Self::VerificationCertificate => "verification certificate",
            Self::RevocationList => "revocation list",
        }
    }
}

/// A document that has been signed and that nobody has got yet.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// What it is.
    pub purpose: Purpose,
    /// The key that signed it.
    pub key: &'a Uri,
    /// The public key that verifies it.
    pub public: &'a PublicKey,
    /// The whole document, its signature included, DER.
    pub der: &'a [u8],
}

/// Is told of every signature.
pub trait Observer: Send + Sync {
    /// Notes a signature. The document is withheld, and the command fails, unless this succeeds.
    ///
    /// # Errors
    /// It could not be noted.
    fn on_signature(&self, signed: &Signed<'_>) -> Result<(), crate::Error>;
}

/// Lets signatures pass unnoted.
impl Observer for () {
    fn on_signature(&self, _: &Signed<'_>) -> Result<(), crate::Error> {
        Ok(())
    }
}

/// A key in use by a certificate authority. It is opened when it is first needed.
#[derive(Clone)]
pub struct Signer {
    uri: Uri,
    keys: Keys,
    /// The certificate that the key must belong to, its file, and the key's.
    of: Option<(Certificate, &'static str, &'static str)>,
}

impl Signer {
    /// The key behind `uri`.
    pub fn new(keys: &Keys, uri: Uri) -> Self {
        Self { uri, keys: keys.clone(), of: None }
    }

    /// The key behind `uri`, which has to be that of `certificate`; the file names are for messages.
    pub fn of(
        keys: &Keys,
        uri: Uri,
        certificate: &Certificate,
        certificate_file: &'static str,
        key_file: &'static str,
    ) -> Self {
        Self { uri, keys: keys.clone(), of: Some((certificate.clone(), certificate_file, key_file)) }
    }

    /// Where the key is.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Opens the key, unless this run has opened it before, and checks that it is the right one.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::KeyMismatch`], [`key::Error`].
    pub fn open(&self) -> Result<Arc<dyn Key>, crate::Error> {
        let key = self.keys.open(&self.uri)?.ok_or_else(|| Error::NoKey { uri: self.uri.clone() })?;
        if let Some((certificate, file, key_file)) = &self.of
            && certificate.point() != Some(key.public().0)
        {
            return Err(Error::KeyMismatch { key: key_file, certificate: file }.into());
        }
        Ok(key)
    }

    /// Opens the key now if it is at hand, so that a wrong one is found before it is needed.
    ///
    /// # Errors
    /// As [`Signer::open`].
    pub fn check(&self) -> Result<(), crate::Error> {
        if self.keys.is_at_hand(&self.uri)? { self.open().map(drop) } else { Ok(()) }
    }

    /// Has `make` build a document with this key, and gives it out once the observer has noted it.
    ///
    /// # Errors
    /// As [`Signer::open`]; [`Error::Sign`]; what the observer says.
    pub fn issue(
        &self,
        purpose: Purpose,
        make: impl FnOnce(&Signing<'_>) -> Result<Vec<u8>, rcgen::Error>,
    ) -> Result<Vec<u8>, crate::Error> {
        let key = self.open()?;
        let signing = Signing { uri: &self.uri, key: &*key, failure: Mutex::default() };
        let der = make(&signing).map_err(|error| signing.into_failure(error))?;
        let signed = Signed { purpose, key: &self.uri, public: key.public(), der: &der };
        self.keys.observer().on_signature(&signed)?;
        Ok(der)
    }

    /// Issues a certificate with `params` for the key `subject`, in the name of `issuer`, whose key this is.
    ///
    /// # Errors
    /// As [`Signer::issue`].
    pub fn certificate(
        &self,
        purpose: Purpose,
        params: &CertificateParams,
        subject: &impl PublicKeyData,
        issuer: &Certificate,
    ) -> Result<Certificate, crate::Error> {
        let der = self.issue(purpose, |key| {
            let issuer = Issuer::from_ca_cert_der(&issuer.der().into(), key)?;
            Ok(params.signed_by(subject, &issuer)?.der().to_vec())
        })?;
        issued(&der)
    }

    /// Issues a certificate with `params` for the key itself.
    ///
    /// # Errors
    /// As [`Signer::issue`].
    pub fn self_signed(
        &self,
        purpose: Purpose,
        params: &CertificateParams,
    ) -> Result<Certificate, crate::Error> {
        issued(&self.issue(purpose, |key| Ok(params.self_signed(key)?.der().to_vec()))?)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.uri).finish()
    }
}

/// What this program has just made parses, or it is not given out.
fn issued(der: &[u8]) -> Result<Certificate, crate::Error> {
    let named = |source| Error::Malformed { file: "the new certificate".to_owned(), source };
    Ok(Certificate::from_der(der).map_err(named)?)
}

/// A key while it signs one document.
pub struct Signing<'a> {
    uri: &'a Uri,
    key: &'a dyn Key,
    failure: Mutex<Option<key::Error>>,
}

impl Signing<'_> {
    /// What the key said, if it failed; rcgen's error has no room for it.
    fn into_failure(self, error: rcgen::Error) -> Error {
        let failure = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
        failure.map_or(Error::Sign(error), Error::Key)
    }
}

impl PublicKeyData for Signing<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.key.public().0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Signing<'_> {
    /// A signature is verified before it is used: a token or a service may have another key than it says, or be faulty.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let verified = |signature: Vec<u8>| {
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.key.public().0);
            match public.verify(message, &signature) {
                Ok(()) => Ok(signature),
                Err(_) => Err(key::Error::WrongSignature { uri: self.uri.clone() }),
            }
        };
        self.key.sign(message).and_then(verified).map_err(|error| {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            rcgen::Error::RemoteKeyError
        })
    }
}
