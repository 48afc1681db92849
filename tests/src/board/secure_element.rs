//! The secure element (ATECC608): a serial number, a P-256 key that never leaves, slots that can be locked, the OTP area.

use std::fmt;

use p256::ecdsa::signature::Signer;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{DerSignature, Signature, SigningKey};

use super::factory::{Certificates, Profile};
use super::seed::Seed;

/// Number of slots.
pub const SLOTS: usize = 16;
/// Bytes of the OTP area.
pub const OTP: usize = 64;
/// Pad bytes before each coordinate of a public key that is stored in a slot.
const PUBLIC_KEY_PAD: usize = 4;

/// What the element declines to do. The numbers are the crypto library's status codes as the firmware reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// There is no such slot, or it is not that large.
    #[error("no such slot, or more bytes than it has")]
    Parameter = 0xE2,
    /// Nothing answers at the element's address.
    #[error("the secure element does not answer")]
    NoAnswer = 0xF0,
    /// The configuration forbids it: the slot holds a key, or it is locked.
    #[error("the slot's configuration forbids it")]
    Execution = 0xF4,
}

#[derive(Clone)]
struct Slot {
    data: Vec<u8>,
    locked: bool,
}

/// The secure element of one board. The private key has no way out of it.
#[derive(Clone)]
pub struct SecureElement {
    serial: [u8; 9],
    key: SigningKey,
    slots: [Slot; SLOTS],
    otp: [u8; OTP],
    factory: Certificates,
    /// What a hostile element shows in place of its own public key.
    shown: Option<[u8; 64]>,
    /// What it answers in place of a signature.
    recorded: Option<[u8; 64]>,
}

impl SecureElement {
    /// The element made from `seed`, with the certificates that the factory of that profile puts in.
    ///
    /// # Errors
    /// [`rcgen::Error`] when a certificate cannot be built, which only a fault in here can cause.
    pub fn new(seed: Seed, profile: Profile) -> Result<Self, rcgen::Error> {
        let mut serial = seed.bytes("serial number");
        (serial[0], serial[1], serial[8]) = (0x01, 0x23, profile.last_serial_byte());
        // Sizes of the ATECC608's data zone: 36 bytes for the key slots, one large one, the rest fit a public key.
        let mut slots: [Slot; SLOTS] = std::array::from_fn(|slot| Slot {
            data: vec![
                0;
                match slot {
                    0..8 => 36,
                    8 => 416,
                    _ => 72,
                }
            ],
            locked: false,
        });
        let mut otp: [u8; OTP] = seed.bytes("otp");
        otp[..profile.otp_mark().len()].copy_from_slice(profile.otp_mark());
        let key = key(seed, "slot 0");
        let factory = Certificates::issue(profile, seed, &serial, &key)?;
        slots[10].data.copy_from_slice(&factory.compressed_device);
        slots[11].data.copy_from_slice(&padded(&factory.signer_public_key));
        slots[12].data.copy_from_slice(&factory.compressed_signer);
        Ok(Self { serial, key, slots, otp, factory, shown: None, recorded: None })
    }

    /// The certificates that it left the factory with, as they were before they were compressed.
    pub fn factory_certificates(&self) -> &Certificates {
        &self.factory
    }

    /// The 9-byte serial number.
    pub fn serial(&self) -> [u8; 9] {
        self.serial
    }

    /// Lies about the serial number.
    pub fn claim_serial(&mut self, serial: [u8; 9]) {
        self.serial = serial;
    }

    /// Shows what another element shows, whose key it does not have: it signs with its own, or answers with a signature that was
    /// recorded.
    pub fn impersonate(&mut self, other: &Self, recorded: Option<[u8; 64]>) {
        (self.serial, self.slots, self.otp) = (other.serial, other.slots.clone(), other.otp);
        (self.shown, self.recorded) = (Some(other.public_key()), recorded);
    }

    /// Wipes the slots of the factory certificates.
    pub fn wipe_factory_certificates(&mut self) {
        self.slots[10..=12].iter_mut().for_each(|slot| slot.data.fill(0));
    }

    /// X‖Y of the public key that belongs to slot 0.
    pub fn public_key(&self) -> [u8; 64] {
        if let Some(shown) = self.shown {
            return shown;
        }
        let point = self.key.verifying_key().to_sec1_point(false);
        let mut coordinates = [0; 64];
        coordinates.copy_from_slice(&point.as_bytes()[1..]);
        coordinates
    }

    /// Signs a SHA-256 digest with the key in slot 0: R‖S.
    ///
    /// # Errors
    /// [`Refusal::Execution`] when the digest cannot be signed; that needs a digest made for it.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Result<[u8; 64], Refusal> {
        if let Some(recorded) = self.recorded {
            return Ok(recorded);
        }
        let signature: Signature = self.key.sign_prehash(digest).map_err(|_| Refusal::Execution)?;
        Ok(signature.to_bytes().into())
    }

    /// Signs `message` (ECDSA with SHA-256) with the key in slot 0: a DER ECDSA-Sig-Value.
    ///
    /// # Errors
    /// As [`SecureElement::sign_digest`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        let signature: DerSignature = self.key.try_sign(message).map_err(|_| Refusal::Execution)?;
        Ok(signature.as_bytes().to_vec())
    }

    /// The first `count` bytes of a slot, or all of it.
    ///
    /// # Errors
    /// [`Refusal::Parameter`], and [`Refusal::Execution`] for the slots that hold keys.
    pub fn read(&self, slot: usize, count: Option<usize>) -> Result<&[u8], Refusal> {
        let data = &self.slots.get(slot).ok_or(Refusal::Parameter)?.data;
        if holds_key(slot) {
            return Err(Refusal::Execution);
        }
        data.get(..count.unwrap_or(data.len())).ok_or(Refusal::Parameter)
    }

    /// Writes `data` from the begin of a slot.
    ///
    /// # Errors
    /// [`Refusal::Parameter`], and [`Refusal::Execution`] for slots that hold keys or are locked.
    pub fn write(&mut self, slot: usize, data: &[u8]) -> Result<(), Refusal> {
        let target = self.slots.get_mut(slot).ok_or(Refusal::Parameter)?;
        // It writes whole words of 4 bytes.
        if !data.len().is_multiple_of(4) || data.len() > target.data.len() {
            return Err(Refusal::Parameter);
        }
        if holds_key(slot) || target.locked {
            return Err(Refusal::Execution);
        }
        target.data[..data.len()].copy_from_slice(data);
        Ok(())
    }

    /// Locks a slot. This cannot be undone.
    ///
    /// # Errors
    /// [`Refusal::Parameter`], and [`Refusal::Execution`] for slots that hold keys.
    pub fn lock(&mut self, slot: usize) -> Result<(), Refusal> {
        let target = self.slots.get_mut(slot).ok_or(Refusal::Parameter)?;
        if holds_key(slot) {
            return Err(Refusal::Execution);
        }
        target.locked = true;
        Ok(())
    }

    /// Whether a slot is locked.
    pub fn is_locked(&self, slot: usize) -> bool {
        self.slots.get(slot).is_some_and(|slot| slot.locked)
    }

    /// X‖Y of a public key stored in a slot (4 pad bytes before each coordinate).
    ///
    /// # Errors
    /// [`Refusal::Parameter`]: there is no such slot, or it is none for a public key.
    pub fn stored_public_key(&self, slot: usize) -> Result<[u8; 64], Refusal> {
        let size = 2 * (PUBLIC_KEY_PAD + 32);
        let data = self.read(slot, Some(size)).map_err(|_| Refusal::Parameter)?;
        let mut coordinates = [0; 64];
        coordinates[..32].copy_from_slice(&data[PUBLIC_KEY_PAD..PUBLIC_KEY_PAD + 32]);
        coordinates[32..].copy_from_slice(&data[2 * PUBLIC_KEY_PAD + 32..]);
        Ok(coordinates)
    }

    /// Stores a public key X‖Y in a slot.
    ///
    /// # Errors
    /// As [`SecureElement::write`].
    pub fn store_public_key(&mut self, slot: usize, coordinates: &[u8; 64]) -> Result<(), Refusal> {
        self.write(slot, &padded(coordinates))
    }

    /// The first `count` bytes of the one-time programmable area.
    ///
    /// # Errors
    /// [`Refusal::Parameter`].
    pub fn read_otp(&self, count: usize) -> Result<&[u8], Refusal> {
        self.otp.get(..count).ok_or(Refusal::Parameter)
    }
}

impl fmt::Debug for SecureElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecureElement").field("serial", &hex::encode(self.serial)).finish_non_exhaustive()
    }
}

/// X‖Y as a slot keeps it.
fn padded(coordinates: &[u8; 64]) -> [u8; 2 * (PUBLIC_KEY_PAD + 32)] {
    let mut data = [0; 2 * (PUBLIC_KEY_PAD + 32)];
    data[PUBLIC_KEY_PAD..PUBLIC_KEY_PAD + 32].copy_from_slice(&coordinates[..32]);
    data[2 * PUBLIC_KEY_PAD + 32..].copy_from_slice(&coordinates[32..]);
    data
}

/// Slots for private keys and secrets, in the configuration that is assumed.
fn holds_key(slot: usize) -> bool {
    matches!(slot, 0..=4 | 7)
}

/// A scalar below the group order; almost every 32 bytes are one, so the stream yields it at once.
pub(super) fn key(seed: Seed, purpose: &'static str) -> SigningKey {
    let mut stream = seed.stream(purpose);
    loop {
        let candidate: [u8; 32] = std::array::from_fn(|_| stream.next().unwrap_or_default());
        if let Ok(key) = SigningKey::from_slice(&candidate) {
            return key;
        }
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier;
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use sha2::{Digest, Sha256};

    use super::*;

    fn element() -> SecureElement {
        SecureElement::new(Seed(1), Profile::Mah1h).unwrap()
    }

    fn verifying_key(element: &SecureElement) -> VerifyingKey {
        let mut point = vec![4];
        point.extend(element.public_key());
        VerifyingKey::from_sec1_bytes(&point).unwrap()
    }

    #[test]
    fn the_same_seed_makes_the_same_element_and_another_seed_another() {
        let (a, b, c) = (element(), element(), SecureElement::new(Seed(2), Profile::Mah1h).unwrap());
        assert_eq!((a.serial(), a.public_key()), (b.serial(), b.public_key()));
        assert_ne!(a.serial(), c.serial());
        assert_ne!(a.public_key(), c.public_key());
    }

    #[test]
    fn signatures_of_digest_and_message_verify_with_the_public_key() {
        let element = element();
        let digest: [u8; 32] = Sha256::digest(b"message").into();
        let raw = Signature::from_slice(&element.sign_digest(&digest).unwrap()).unwrap();
        let der = DerSignature::from_bytes(&element.sign(b"message").unwrap()).unwrap();
        let key = verifying_key(&element);
        key.verify_prehash(&digest, &raw).unwrap();
        key.verify(b"message", &der).unwrap();
    }

    #[test]
    fn key_slots_can_be_neither_read_nor_written() {
        let mut element = element();
        assert_eq!(element.read(0, None), Err(Refusal::Execution));
        assert_eq!(element.write(0, &[0; 32]), Err(Refusal::Execution));
        assert!(!format!("{element:?}").contains(&hex::encode(element.key.to_bytes())));
    }

    #[test]
    fn a_locked_slot_stays_as_it_is() {
        let mut element = element();
        element.write(10, &[1; 72]).unwrap();
        element.lock(10).unwrap();
        assert!(element.is_locked(10) && !element.is_locked(11));
        assert_eq!(element.write(10, &[2; 4]), Err(Refusal::Execution));
        element.lock(10).unwrap();
        assert_eq!(element.read(10, None).unwrap(), [1; 72]);
    }

    #[test]
    fn a_stored_public_key_is_padded_as_the_element_keeps_it() {
        let mut element = element();
        let key = std::array::from_fn(|i| i as u8 + 1);
        element.store_public_key(11, &key).unwrap();
        assert_eq!(element.stored_public_key(11).unwrap(), key);
        let slot = element.read(11, None).unwrap();
        assert_eq!((&slot[..5], &slot[36..41]), (&[0, 0, 0, 0, 1][..], &[0, 0, 0, 0, 33][..]));
    }

    #[test]
    fn the_factory_left_its_certificates_in_their_slots() {
        let element = element();
        let factory = element.factory_certificates();
        assert_eq!(element.read(10, None).unwrap(), factory.compressed_device);
        assert_eq!(element.stored_public_key(11).unwrap(), factory.signer_public_key);
        assert_eq!(element.read(12, None).unwrap(), factory.compressed_signer);
    }

    #[test]
    fn sizes_are_those_of_the_chip() {
        let element = element();
        assert_eq!(element.read(8, None).unwrap().len(), 416);
        assert_eq!(element.read(9, None).unwrap().len(), 72);
        assert_eq!(element.read(9, Some(73)), Err(Refusal::Parameter));
        assert_eq!(element.read(16, None), Err(Refusal::Parameter));
    }
}
