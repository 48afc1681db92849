//! Secure-element manifests: what the vendor delivers with the elements of an order, and who has signed it.
//!
//! A manifest is a JSON array. Each entry is a flattened JWS (RFC 7515, section 7.2.2) about one element, signed with ES256 by
//! a manifest signer of Microchip. [`Elements`] reads one entry after the other, of any number, and has for each what is
//! verified of it, or why it is refused. A refused entry changes nothing about the next one.
//!
//! An entry counts in this order: its form and size; `alg`, and `kid` and `x5t#S256` as those of one known signer; the signature over
//! the bytes as they stand in the file; the signed unique id, which the unsigned header has to repeat; the time of provisioning
//! within the signer's validity; the device's key; its certificate, which has that key and is signed by the one behind it. An
//! element whose unique id or key an earlier one has is refused.
//!
//! A signer is not compared with today's date: a manifest stays what it is after its signer has ended.

use std::collections::HashMap;
use std::io::{self, BufRead};

use aws_lc_rs::digest;

use crate::{Certificate, PUBLIC_KEY_SIZE};

mod array;
mod entry;
mod refusal;
mod signer;
#[cfg(test)]
mod tests;

use array::{Array, Item};
pub use refusal::{Refusal, Undecodable};
pub use signer::{ManifestSigner, SignerError, Signers};

/// No entry is longer, in bytes. One with five keys and a chain has 4 KB.
pub const LARGEST_ENTRY: usize = 64 << 10;
/// No element has more keys. An ATECC608 has 16 slots.
pub const MOST_KEYS: usize = 16;
/// No key has more certificates.
pub const MOST_CERTIFICATES: usize = 4;
/// No unique id is longer, in characters. Those of an ATECC608 have 18 hex digits.
pub const LONGEST_ID: usize = 64;

/// Why the rest of a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is no JSON array.
    #[error("it is no manifest: a manifest is a JSON array, which begins with [")]
    NoArray,
    /// It ends within the array.
    #[error("it is cut off after {} elements", .elements)]
    CutOff {
        /// How many elements it has up to there; the last may be a part of one.
        elements: u64,
    },
    /// Something follows the array.
    #[error("something follows the array of {} elements", .elements)]
    Trailing {
        /// How many elements the array has.
        elements: u64,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One entry of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its place in the array; the first is 1.
    pub number: u64,
    /// The unique id that its unsigned header has, if it has one; no more than [`LONGEST_ID`] characters of it. It is text of
    /// whoever has the file.
    pub claimed_id: Option<String>,
    /// What is verified of it.
    pub content: Result<Verified, Refusal>,
}

/// What a manifest signer has signed about one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The unique id: the serial number of the secure element, 18 lower-case hex digits for an ATECC608.
    pub unique_id: String,
    /// The part number, such as `ATECC608C-TNGTLSU-B`, if the entry has one.
    pub part_number: Option<String>,
    /// The device's public key as an uncompressed P-256 point.
    pub point: [u8; PUBLIC_KEY_SIZE],
    /// The device's certificate, if the entry has one for the key.
    pub certificate: Option<Certificate>,
}

/// The elements of a manifest, in their order. Memory is that of one entry, and less than 200 bytes for each element that was
/// verified.
#[derive(Debug)]
pub struct Elements<'a, R> {
    array: Array<R>,
    signers: &'a Signers,
    /// SHA-256 of the unique ids and keys so far, with the number of the element.
    seen: HashMap<[u8; 32], u64>,
    /// The end, or damage, was reached.
    ended: bool,
}

impl<'a, R: BufRead> Elements<'a, R> {
    /// Reads a manifest of these signers from `file`.
    pub fn new(file: R, signers: &'a Signers) -> Self {
        Self { array: Array::new(file, LARGEST_ENTRY), signers, seen: HashMap::new(), ended: false }
    }

    fn element(&mut self, number: u64, item: Result<&[u8], ()>) -> Element {
        let Ok(bytes) = item else {
            return Element { number, claimed_id: None, content: Err(Refusal::TooLarge) };
        };
        let (claimed_id, content) = entry::verified(bytes, self.signers);
        let content = content.and_then(|verified| self.first(number, verified));
        Element { number, claimed_id, content }
    }

    /// # Errors
    /// An earlier element has its unique id or its key.
    fn first(&mut self, number: u64, verified: Verified) -> Result<Verified, Refusal> {
        let id = sha256(verified.unique_id.as_bytes());
        let key = sha256(&verified.point);
        if let Some(&first) = self.seen.get(&id) {
            return Err(Refusal::DuplicateId { first });
        }
        if let Some(&first) = self.seen.get(&key) {
            return Err(Refusal::DuplicateKey { first });
        }
        self.seen.insert(id, number);
        self.seen.insert(key, number);
        Ok(verified)
    }
}

impl<R: BufRead> Iterator for Elements<'_, R> {
    type Item = Result<Element, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut bytes = Vec::new();
        let read = self.array.next(&mut bytes);
        self.ended = !matches!(read, Ok(Some(_)));
        let item = match read {
            Ok(None) => return None,
            Ok(Some(Item::Whole)) => Ok(bytes.as_slice()),
            Ok(Some(Item::TooLarge)) => Err(()),
            Err(damage) => return Some(Err(damage)),
        };
        Some(Ok(self.element(self.array.elements(), item)))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}
