//! Who signs manifests: the signers of Microchip, pinned, and those that a user adds.

use std::borrow::Cow;

use time::OffsetDateTime;
use time::macros::datetime;

use super::{Refusal, sha256};
use crate::{Certificate, PUBLIC_KEY_SIZE, point_of};

/// Size of a subject key identifier, in bytes.
pub(super) const KEY_IDENTIFIER_SIZE: usize = 20;
/// Size of a SHA-256, in bytes.
pub(super) const FINGERPRINT_SIZE: usize = 32;

/// What is known of a manifest signer: the facts of its certificate by which entries name it and are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestSigner {
    /// Common name of the certificate's subject, or the whole subject where it was added by file.
    pub name: Cow<'static, str>,
    /// SHA-256 of the DER certificate: `x5t#S256`.
    pub fingerprint: [u8; FINGERPRINT_SIZE],
    /// Subject key identifier of the certificate: `kid`.
    pub key_identifier: [u8; KEY_IDENTIFIER_SIZE],
    /// The public key, X‖Y on P-256.
    key: [u8; PUBLIC_KEY_SIZE - 1],
    /// Start of the validity.
    pub not_before: OffsetDateTime,
    /// End of the validity.
    pub not_after: OffsetDateTime,
}

/// The signers of Microchip. Facts of their certificates, which are self-signed and named `O=Microchip Technology Inc`. Numbers 1 to
/// 3 come with pytrustplatform, 1 to 5 with the tests of Thingpress.
const PINNED: [ManifestSigner; 5] = [
    ManifestSigner {
        name: Cow::Borrowed("Log Signer 001"),
        fingerprint: *b"\x4c\x47\x38\xe9\x24\xf6\x44\x31\x7f\x00\xeb\xc1\xb6\x80\x98\x6b\
            \xcd\xfc\x55\x62\x0f\x7c\xd5\x7f\xda\x34\xea\x35\xae\x23\xe5\x1e",
        key_identifier: *b"\xed\xc0\x88\x2e\x50\x0e\xc1\x8a\x35\xf8\xf0\xa1\x1a\xea\x32\x50\
            \x84\x8c\x2b\x78",
        key: *b"\x4b\xbc\xfd\x9c\x91\x75\x3b\xb8\x37\x49\x2e\xbb\xbe\x82\x47\x52\
            \x51\xe6\xfc\xf4\xe0\x4b\x91\xa8\xbe\x13\x43\x13\x22\x9d\x18\x94\
            \x73\x71\xed\xab\x2d\xfc\x3b\xa1\xeb\x5e\x8d\xaa\x98\xda\x32\xac\
            \xed\x31\x77\x62\x36\xa5\xf4\x21\x5d\x66\x2e\x2d\x3d\xf9\x30\x65",
        not_before: datetime!(2019-01-22 00:27:42 UTC),
        not_after: datetime!(2019-07-22 00:27:42 UTC),
    },
    ManifestSigner {
        name: Cow::Borrowed("Log Signer 002"),
        fingerprint: *b"\x53\xd4\xca\x9b\x0e\x1f\xde\x21\xb9\xe8\xe1\x91\xf1\x85\x7f\x35\
            \xcc\x65\x93\x40\xe5\x1b\x41\x72\x2f\xd6\x83\x97\x07\xdb\xbf\x50",
        key_identifier: *b"\xf1\x57\x8a\x19\xdc\x94\xd9\xdf\x30\x7a\xfe\xbf\x57\x33\x49\x38\
            \x13\xaf\xf9\xc0",
        key: *b"\xb0\x8b\xae\x03\xe5\x4f\x73\x9e\xce\x7b\x43\xf6\x50\xb6\x4a\x1c\
            \x14\x86\x5c\x74\xed\xf8\xaa\xfd\x51\x13\x27\xe2\x13\x50\x0c\x1b\
            \x82\xb3\xe3\x07\xf5\xe2\xf4\x67\x21\x2c\x83\x3b\x17\x06\x52\x50\
            \x63\x84\xa9\x10\x3a\x2a\xd1\xf7\xd9\x73\x29\x4c\x61\xca\x98\x20",
        not_before: datetime!(2019-08-15 19:47:59 UTC),
        not_after: datetime!(2020-08-15 19:47:59 UTC),
    },
    ManifestSigner {
        name: Cow::Borrowed("Log Signer 003"),
        fingerprint: *b"\x30\xc7\xca\x72\x0e\x3a\xb2\xd1\xa0\xa3\xba\xce\x2d\x5a\xd5\xda\
            \xfa\x3f\x54\xa0\x9b\x7d\x21\x17\xad\xda\xc3\x5a\xa6\x0a\x31\x88",
        key_identifier: *b"\x85\xf0\xac\xa9\x56\x3e\xb9\x03\x54\x24\xd2\x92\xf8\xb2\x83\xfd\
            \xc9\x18\xfb\x51",
        key: *b"\xe7\x90\x6d\x0c\x37\x45\x1f\x84\xb8\xca\x48\xd6\x50\x43\x9a\xb9\
            \xad\x65\x1e\x69\x5f\x7c\xe3\x9f\x3e\x7b\xc7\xda\x3a\x99\x6b\x9d\
            \x21\x18\x0c\xb5\x7b\x8e\xec\xf4\xb9\x30\xe1\xa7\xab\x3b\x71\x82\
            \xb5\x0a\xec\x44\xfa\xf6\xe0\x23\x42\x30\xb9\x4f\x8f\xfb\xab\x65",
        not_before: datetime!(2020-08-13 16:44:29 UTC),
        not_after: datetime!(2023-08-13 16:44:29 UTC),
    },
    ManifestSigner {
        name: Cow::Borrowed("Log Signer 004"),
        fingerprint: *b"\xd5\xf9\x61\xe4\x40\x82\xfd\xd2\xd1\x98\xdd\x40\x7a\xa1\xcc\xf5\
            \xeb\x5f\x38\xcf\x51\x38\xeb\xc4\x38\x45\x80\x69\x84\x17\x3a\x8f",
        key_identifier: *b"\x8f\x11\x1b\x57\x53\xdc\x64\x89\x99\x58\x6b\xf2\x02\x30\xeb\xdd\
            \x16\xb1\xca\xe5",
        key: *b"\x04\xf1\x88\xe7\x25\x1a\x2a\x13\x98\xcf\xf9\x44\x3e\xa8\xe6\xea\
            \x33\x24\x8d\xbe\xa1\x82\x0d\x9d\xf7\xf6\x95\x5c\x37\x33\xc4\xa7\
            \xa4\x77\x43\xa5\x7e\xcc\xb4\x34\xb3\xea\x57\x03\xad\x91\x91\x4e\
            \xe8\xe5\xfc\x29\x28\xf5\xf2\xda\x60\x01\xeb\xaf\x91\x37\x4d\x14",
        not_before: datetime!(2023-07-18 18:37:51 UTC),
        not_after: datetime!(2026-07-18 18:37:51 UTC),
    },
    ManifestSigner {
        name: Cow::Borrowed("Manifest Signer 005"),
        fingerprint: *b"\x57\x1d\x99\x84\x11\x17\xe3\xaf\xb3\x4f\x28\x88\x60\x45\x90\x3f\
            \xa7\x85\xcc\x28\x3d\xd2\xe8\x06\x8e\x1e\x5e\xa4\x60\x4c\xe0\xe3",
        key_identifier: *b"\x4c\x29\xe9\x9f\x36\x01\xf0\xcd\xc2\x3b\xbe\xfa\x07\x23\xc9\xdb\
            \x25\xf7\x29\x8a",
        key: *b"\x4c\xaf\x1d\xd9\x7d\x79\xa8\x46\x55\x50\x7a\xa8\x19\x35\xd2\x12\
            \x49\xa3\x42\xd0\x61\x56\xe9\xf9\x68\x85\xed\xb2\x0d\x88\x7c\x18\
            \x8e\x06\x83\x6d\xac\x62\x71\x36\x14\x9a\x1c\x5e\x81\xfa\xb5\xea\
            \x73\x0c\xdd\x66\xfc\x0b\x98\xdf\xb3\x30\x46\xdc\x92\x23\xe4\x98",
        not_before: datetime!(2024-03-07 01:32:28 UTC),
        not_after: datetime!(9999-12-31 23:59:59 UTC),
    },
];

/// A certificate that cannot be that of a manifest signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// Its key signs no ES256.
    #[error("its key is not on P-256")]
    Key,
    /// Entries name a signer by its key identifier.
    #[error("it has no subject key identifier of {KEY_IDENTIFIER_SIZE} bytes")]
    KeyIdentifier,
}

/// The manifest signers that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signers(Cow<'static, [ManifestSigner]>);

impl Default for Signers {
    /// Those of Microchip.
    fn default() -> Self {
        Self(Cow::Borrowed(&PINNED))
    }
}

impl ManifestSigner {
    /// The one that a certificate is of.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn of(certificate: &Certificate) -> Result<Self, SignerError> {
        let facts = certificate.facts();
        let mut key = [0; PUBLIC_KEY_SIZE - 1];
        key.copy_from_slice(&certificate.point().ok_or(SignerError::Key)?[1..]);
        let identifier = certificate.subject_key_identifier_extension();
        let key_identifier = identifier.and_then(|identifier| identifier.try_into().ok());
        Ok(Self {
            name: Cow::Owned(facts.subject.clone()),
            fingerprint: sha256(certificate.der()),
            key_identifier: key_identifier.ok_or(SignerError::KeyIdentifier)?,
            key,
            not_before: facts.not_before,
            not_after: facts.not_after,
        })
    }

    /// The public key as an uncompressed point.
    pub fn point(&self) -> [u8; PUBLIC_KEY_SIZE] {
        point_of(&self.key)
    }

    /// Whether it was valid at a time.
    pub(super) fn is_valid_at(&self, at: OffsetDateTime) -> bool {
        (self.not_before..=self.not_after).contains(&at)
    }
}

impl Signers {
    /// Adds one. Its certificate is trusted as it is: nobody else signs it.
    ///
    /// # Errors
    /// [`SignerError`].
    pub fn add(&mut self, certificate: &Certificate) -> Result<(), SignerError> {
        let signer = ManifestSigner::of(certificate)?;
        if !self.0.contains(&signer) {
            self.0.to_mut().push(signer);
        }
        Ok(())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &ManifestSigner> {
        self.0.iter()
    }

    /// The one that both facts are of.
    pub(super) fn find(
        &self,
        key_identifier: &[u8; KEY_IDENTIFIER_SIZE],
        fingerprint: &[u8; FINGERPRINT_SIZE],
    ) -> Result<&ManifestSigner, Refusal> {
        let has_key = |signer: &&ManifestSigner| signer.key_identifier == *key_identifier;
        let is_of = |signer: &&ManifestSigner| signer.fingerprint == *fingerprint;
        if let Some(signer) = self.iter().find(|signer| has_key(signer) && is_of(signer)) {
            return Ok(signer);
        }
        let name = |signer: &ManifestSigner| signer.name.to_string();
        match (self.iter().find(has_key).map(name), self.iter().find(is_of).map(name)) {
            (None, None) => Err(Refusal::UnknownSigner { key_identifier: hex::encode(key_identifier) }),
            (by_key, by_fingerprint) => Err(Refusal::TwoSigners { by_key, by_fingerprint }),
        }
    }
}
