//! Secure-element manifests as a vendor delivers them, of a signer and a device CA of their own.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::Signature;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, Error, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SigningKey as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A vendor: it signs manifests, and has a CA whose certificates are in its secure elements.
#[derive(Debug)]
pub struct Vendor {
    signer: CertifiedIssuer<'static, KeyPair>,
    ca: CertifiedIssuer<'static, KeyPair>,
}

/// Size of a key identifier, in bytes.
const KEY_IDENTIFIER_SIZE: usize = 20;

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_identifier(&key));
    CertifiedIssuer::self_signed(params, key)
}

/// Made of the key (RFC 7093, section 2).
fn key_identifier(key: &KeyPair) -> Vec<u8> {
    Sha256::digest(key.der_bytes())[..KEY_IDENTIFIER_SIZE].to_vec()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Vendor {
    /// One with new keys.
    ///
    /// # Errors
    /// Those of the library that makes certificates.
    pub fn new(name: &str) -> Result<Self, Error> {
        let (signer, ca) =
            (authority(&format!("{name} Manifest Signer"))?, authority(&format!("{name} CA"))?);
        Ok(Self { signer, ca })
    }

    /// The certificate of the manifest signer, PEM.
    pub fn signer(&self) -> String {
        self.signer.as_ref().pem()
    }

    /// The certificate of a secure element with this unique id and key, PEM.
    ///
    /// # Errors
    /// Those of the library that makes certificates.
    pub fn certificate(&self, id: &str, key: &KeyPair) -> Result<rcgen::Certificate, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("sn{}", id.to_uppercase()));
        params.signed_by(key, &self.ca)
    }

    /// What the vendor says of an element, before it is signed.
    pub fn payload(&self, id: &str, key: &KeyPair, certificate: &rcgen::Certificate) -> Value {
        let point = key.der_bytes();
        let chain = [STANDARD.encode(certificate.der()), STANDARD.encode(self.ca.der())];
        json!({
            "version": 1,
            "model": "ATECC608C",
            "partNumber": "ATECC608C-TNGTLSU-B",
            "provisioningTimestamp": "2026-06-01T20:14:53.773Z",
            "uniqueId": id,
            "publicKeySet": { "keys": [{
                "kid": "0",
                "kty": "EC",
                "crv": "P-256",
                "x": encoded(&point[1..33]),
                "y": encoded(&point[33..]),
                "x5c": chain,
            }] },
        })
    }

    /// The entry of an element: a flattened JWS (RFC 7515, section 7.2.2).
    ///
    /// # Errors
    /// Those of signing.
    pub fn entry(&self, payload: &Value) -> Result<Value, Error> {
        let protected = json!({
            "typ": "JWT",
            "alg": "ES256",
            "kid": encoded(key_identifier(self.signer.key())),
            "x5t#S256": encoded(Sha256::digest(self.signer.der())),
        });
        let (protected, text) = (encoded(protected.to_string()), encoded(payload.to_string()));
        let der = self.signer.key().sign(format!("{protected}.{text}").as_bytes())?;
        let signature = Signature::from_der(&der).map_err(|_| Error::CouldNotParseKeyPair)?;
        Ok(json!({
            "payload": text,
            "protected": protected,
            "header": { "uniqueId": payload["uniqueId"] },
            "signature": encoded(signature.to_bytes()),
        }))
    }

    /// The entry of an element with a new key.
    ///
    /// # Errors
    /// Those of the library that makes certificates.
    pub fn element(&self, id: &str) -> Result<Value, Error> {
        let key = KeyPair::generate()?;
        self.entry(&self.payload(id, &key, &self.certificate(id, &key)?))
    }

    /// Writes a manifest with so many elements, each with a new key.
    ///
    /// # Errors
    /// Those of writing, and of the library that makes certificates.
    pub fn write(&self, to: &mut impl Write, elements: usize) -> io::Result<()> {
        for number in 0..elements {
            to.write_all(if number == 0 { b"[" } else { b"," })?;
            let element = self.element(&format!("0123{number:012x}01")).map_err(io::Error::other)?;
            to.write_all(element.to_string().as_bytes())?;
        }
        to.write_all(if elements == 0 { b"[]" } else { b"]" })
    }
}
