//! The one place that every signature of a certificate authority passes through.
//!
//! [`Signer::issue`] signs a document (certificate, certificate signing request, revocation list, see [`Purpose`]), tells
//! the [`Observer`](crate::observer::Observer) of the run's [`Keys`] of it, and only then gives the document to its caller: if the observer fails, so
//! does the signature. An observer of every signature implements it and is passed to [`Keys::new`];
//! nothing else calls [`crate::key::Key::sign`].

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::CertificateParams;

use crate::builder::{self, Content};
use crate::key::{self, Key, Keys, PublicKey, Uri};
use crate::observer::{Purpose, Signed};
use crate::signing::{self, Sign, Signing};
use crate::{Certificate, Error};

/// A CA's certificate and its key.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    /// The certificate.
    pub certificate: &'a Certificate,
    /// Its key.
    pub key: &'a Signer,
}

/// A key in use by a certificate authority. It is opened when it is first needed.
#[derive(Clone)]
pub struct Signer {
    uri: Uri,
    keys: Keys,
    holder: Option<Holder>,
}

/// The certificate that a key must belong to, and what the two are called in messages, such as the names of their files.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The certificate.
    pub certificate: Certificate,
    /// What it is called.
    pub certificate_name: &'static str,
    /// What the key is called.
    pub key_name: &'static str,
}

impl Signer {
    /// The key behind `uri`.
    pub fn new(keys: &Keys, uri: Uri) -> Self {
        Self { uri, keys: keys.clone(), holder: None }
    }

    /// The key behind `uri`, which has to be that of `holder`.
    pub fn of(keys: &Keys, uri: Uri, holder: Holder) -> Self {
        Self { uri, keys: keys.clone(), holder: Some(holder) }
    }

    /// Where the key is.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Opens the key, unless this run has opened it before, and checks that it is the right one.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::KeyMismatch`], [`key::Error`].
    pub fn open(&self) -> Result<Arc<dyn Key>, Error> {
        let point = self.holder.as_ref().and_then(|holder| holder.certificate.point());
        let key = self.keys.open_of(&self.uri, point)?;
        let key = key.ok_or_else(|| Error::NoKey { uri: self.uri.clone() })?;
        if let Some(holder) = &self.holder
            && point != Some(key.public().0)
        {
            return Err(Error::KeyMismatch { key: holder.key_name, certificate: holder.certificate_name });
        }
        Ok(key)
    }

    /// Opens the key now if that needs no question and no call, so that a wrong key is found early.
    ///
    /// # Errors
    /// As [`Signer::open`].
    pub fn check(&self) -> Result<(), Error> {
        if self.keys.is_at_hand(&self.uri)? { self.open().map(drop) } else { Ok(()) }
    }

    /// Has `make` build a document with this key, and gives it out once the observer has noted it.
    ///
    /// # Errors
    /// As [`Signer::open`]; [`Error::Sign`]; what the observer says.
    pub fn issue(
        &self,
        purpose: Purpose,
        make: impl FnOnce(&Signing<'_, Error>) -> Result<Vec<u8>, rcgen::Error>,
    ) -> Result<Vec<u8>, Error> {
        self.document(purpose, |public, sign| signing::signed(public, sign, make))
    }

    /// Signs the part `tbs` of a document, and gives the whole out once the observer has noted it.
    ///
    /// # Errors
    /// As [`Signer::issue`]; [`Error::Encoding`].
    pub(crate) fn complete(&self, purpose: Purpose, tbs: &[u8]) -> Result<Vec<u8>, Error> {
        self.document(purpose, |_, sign| builder::signed(tbs, &sign(tbs)?))
    }

    fn document(
        &self,
        purpose: Purpose,
        make: impl FnOnce(&PublicKey, &mut Sign<'_, Error>) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let key = self.open()?;
        // A signature is verified before it is used: a token or a service may have another key than it says, or be faulty.
        let mut sign = |message: &[u8]| {
            let signature = key.sign(message)?;
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public().0);
            match public.verify(message, &signature) {
                Ok(()) => Ok(signature),
                Err(_) => Err(key::Error::WrongSignature { uri: self.uri.clone() }.into()),
            }
        };
        let der = make(key.public(), &mut sign)?;
        let signed = Signed { purpose, key: &self.uri, public: key.public(), der: &der };
        self.keys.observer().on_signature(&signed).map_err(Error::Withheld)?;
        Ok(der)
    }

    /// Issues a certificate in the name of `issuer`, whose key this is.
    ///
    /// # Errors
    /// As [`Signer::issue`]; [`Error::Encoding`].
    pub fn certificate(
        &self,
        purpose: Purpose,
        content: &Content,
        issuer: &Certificate,
    ) -> Result<Certificate, Error> {
        issued(&self.complete(purpose, &builder::certificate(content, issuer)?)?)
    }

    /// Issues a certificate with `params` for the key itself.
    ///
    /// # Errors
    /// As [`Signer::issue`].
    pub fn self_signed(&self, purpose: Purpose, params: &CertificateParams) -> Result<Certificate, Error> {
        issued(&self.issue(purpose, |key| Ok(params.self_signed(key)?.der().to_vec()))?)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.uri).finish()
    }
}

/// A document that does not parse is not released.
fn issued(der: &[u8]) -> Result<Certificate, Error> {
    let named = |source| Error::Malformed { file: "the new certificate".to_owned(), source };
    Certificate::from_der(der).map_err(named)
}
