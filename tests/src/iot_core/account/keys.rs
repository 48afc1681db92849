//! Keys of KMS: asymmetric, P-256, for signing.

use std::fmt;

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{DerSignature, SigningKey};

use super::{Account, Error};

/// What precedes the point in the SubjectPublicKeyInfo of a P-256 key (RFC 5480).
const P256_KEY_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86,
    0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key.
pub struct Key {
    /// Its ARN.
    pub arn: String,
    /// What its maker says about it.
    pub description: String,
    /// Whether it signs.
    pub enabled: bool,
    key: SigningKey,
}

impl Key {
    /// Its public key, DER SubjectPublicKeyInfo.
    pub fn public(&self) -> Vec<u8> {
        [&P256_KEY_INFO[..], self.key.verifying_key().to_sec1_point(false).as_bytes()].concat()
    }

    /// Signs a SHA-256 digest: a DER ECDSA-Sig-Value.
    pub fn sign(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let signature: DerSignature = self.key.sign_prehash(digest).ok()?;
        Some(signature.as_bytes().to_vec())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("arn", &self.arn).field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Account {
    /// `CreateKey`: gives its id.
    pub fn create_key(&mut self, description: &str) -> Result<String, Error> {
        let id = self.unique_id("key");
        let key = loop {
            let mut number = [0; 32];
            aws_lc_rs::rand::fill(&mut number)
                .map_err(|_| Error::InvalidRequest { reason: "no random numbers".into() })?;
            // All but one number in 2^32 are keys.
            if let Ok(key) = SigningKey::from_slice(&number) {
                break key;
            }
        };
        let arn = self.identity.arn("kms", &format!("key/{id}"));
        self.keys.insert(id.clone(), Key { arn, description: description.to_owned(), enabled: true, key });
        Ok(id)
    }

    /// The ARNs of all keys.
    pub fn key_arns(&self) -> impl Iterator<Item = &str> {
        self.keys.values().map(|key| key.arn.as_str())
    }

    /// The key of that id or ARN.
    pub fn key_mut(&mut self, id: &str) -> Option<&mut Key> {
        let id = match id.strip_prefix(&self.identity.arn("kms", "key/")) {
            Some(id) => id.to_owned(),
            None => id.to_owned(),
        };
        self.keys.get_mut(&id)
    }
}
