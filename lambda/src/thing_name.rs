//! The thing name: the subject key identifier of the device's public key, or the certificate's common name.

use std::fmt;

use device_pki::certificate::Malformed;
use device_pki::public_key::{kind, p256_point};
use device_pki::{PUBLIC_KEY_SIZE, name, reader, subject_key_identifier};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// The longest name of a thing, in characters (`CreateThing`: `[a-zA-Z0-9:_-]{1,128}`).
pub const MAX_SIZE: usize = 128;

/// The name of a thing, which is also the MQTT client id of its board.
///
/// By default it is 40 lower-case hex digits: the SHA-1 of the 65-byte subject public key bit string, the subject key
/// identifier of RFC 5280, section 4.2.1.2, method (1). It is computed from the key and not read from the
/// certificate, because factory certificates may carry no such extension.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThingName(String);

/// Where the thing name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ThingNameSource {
    /// The subject key identifier: only the holder of the board's key can have its name.
    #[default]
    SubjectKeyIdentifier,
    /// The certificate's common name, as the CA chose it.
    CommonName,
}

/// A certificate that gives no thing name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThingNameError {
    /// Not an X.509 certificate.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// Another kind of key.
    #[error("the certificate's key is {found}; a P-256 key is expected")]
    KeyType {
        /// The key that was found.
        found: String,
    },
    /// No single common name.
    #[error("the certificate's subject has {count} common names; exactly one is expected")]
    CommonNameCount {
        /// How many there are.
        count: usize,
    },
    /// A common name that is no text.
    #[error("the common name is no string of the type that it says")]
    CommonNameType,
    /// A common name that cannot name a thing.
    #[error("the common name {0:?} is not a thing name: allowed are 1 to 128 letters, digits and :_-")]
    CommonName(String),
}

impl ThingNameError {
    /// Whether it is the key that is wrong, rather than the certificate around it.
    pub fn is_key_type(&self) -> bool {
        matches!(self, Self::KeyType { .. })
    }
}

impl ThingName {
    /// The thing name that belongs to an uncompressed P-256 public key.
    pub fn from_public_key(point: &[u8; PUBLIC_KEY_SIZE]) -> Self {
        Self(hex::encode(subject_key_identifier(point)))
    }

    /// The thing name that belongs to a certificate, DER.
    ///
    /// # Errors
    /// If the certificate cannot be read, its key is not a P-256 key, or its common name cannot name a thing.
    pub fn from_certificate_der(der: &[u8], source: ThingNameSource) -> Result<Self, ThingNameError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|e| ThingNameError::Certificate(e.to_string()))?;
        if !rest.is_empty() {
            return Err(ThingNameError::Certificate("bytes follow its end".to_owned()));
        }
        let key = certificate.public_key();
        let point = p256_point(key).ok_or_else(|| ThingNameError::KeyType { found: kind(key) })?;
        match source {
            ThingNameSource::SubjectKeyIdentifier => Ok(Self::from_public_key(&point)),
            ThingNameSource::CommonName => Self::from_common_name(&certificate),
        }
    }

    /// The thing name that belongs to a certificate, PEM.
    ///
    /// # Errors
    /// As [`from_certificate_der`](Self::from_certificate_der), and if there is no certificate in it.
    pub fn from_certificate_pem(pem: &str, source: ThingNameSource) -> Result<Self, ThingNameError> {
        let der = reader::first_certificate(pem.as_bytes())
            .map_err(|found| ThingNameError::Certificate(Malformed { found }.to_string()))?;
        Self::from_certificate_der(&der, source)
    }

    fn from_common_name(certificate: &X509Certificate<'_>) -> Result<Self, ThingNameError> {
        let names: Vec<_> = certificate.subject().iter_common_name().collect();
        let [name] = names.as_slice() else {
            return Err(ThingNameError::CommonNameCount { count: names.len() });
        };
        let name = name::text(name).ok_or(ThingNameError::CommonNameType)?;
        let valid = (1..=MAX_SIZE).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b":_-".contains(&b));
        if valid { Ok(Self(name)) } else { Err(ThingNameError::CommonName(name)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ThingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ThingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThingName({})", self.0)
    }
}

#[cfg(test)]
mod tests;
