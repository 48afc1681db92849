//! A key in a file: PKCS#8 PEM, for its owner alone. In memory it is wiped when it is dropped.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use zeroize::Zeroizing;

use super::{Error, Key, PublicKey};
use crate::home::{self, Access};

/// The label of an unencrypted PKCS#8 key (RFC 7468, section 10).
const LABEL: &str = "PRIVATE KEY";

/// A key that was read from a file. The library behind it wipes the private part when it frees it.
pub struct FileKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl FileKey {
    fn new(pair: EcdsaKeyPair) -> Option<Self> {
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public })
    }
}

impl Key for FileKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| Error::Cryptography { action: "sign" })?.as_ref().to_vec())
    }
}

/// Reads a key; `None` where there is no such file.
///
/// # Errors
/// [`home::Error::Exposed`] for a file that others can read; [`Error::Malformed`].
pub(super) fn open(path: &Path) -> Result<Option<FileKey>, crate::Error> {
    let Some(text) = home::read_secret(path)? else { return Ok(None) };
    let malformed = || {
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        crate::ca::Error::from(Error::Malformed { file })
    };
    let key = parse(&text).ok_or_else(malformed)?;
    Ok(Some(key))
}

fn parse(text: &[u8]) -> Option<FileKey> {
    let pem = pem::parse(text).ok()?;
    let der = Zeroizing::new(pem.into_contents());
    FileKey::new(EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).ok()?)
}

/// Makes a key and writes it.
///
/// # Errors
/// [`home::Error::Io`]; [`Error::Cryptography`].
pub(super) fn make(path: &Path) -> Result<FileKey, crate::Error> {
    let made = || {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).ok()?;
        let der = pair.to_pkcs8v1().ok()?;
        let pem = Zeroizing::new(pkcs8::der::pem::encode_string(LABEL, LINE_ENDING, der.as_ref()).ok()?);
        Some((FileKey::new(pair)?, pem))
    };
    let (key, pem) = made().ok_or(crate::ca::Error::from(Error::Cryptography { action: "make a key" }))?;
    home::write(path, pem.as_bytes(), Access::Secret)?;
    Ok(key)
}

/// The same file on every system.
const LINE_ENDING: pkcs8::LineEnding = pkcs8::LineEnding::LF;
