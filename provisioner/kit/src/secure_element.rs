//! The secure element: its serial number, its public key, and its signature as rcgen wants it.

use std::cell::RefCell;

use aws_lc_rs::digest;
use jitr::thing_name::PUBLIC_KEY_SIZE;
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};

use super::command::Command;
use super::{Error, Session};

/// Size of half a signature, or of half a public key, in bytes.
const HALF: usize = 32;

/// Reads the serial number: 18 upper-case hex digits.
///
/// # Errors
/// Those of [`Session::run`].
pub fn serial(session: &mut Session) -> Result<String, Error> {
    session.query(Command::SecureElementSerial, |lines| hex_line::<9>(lines).map(hex::encode_upper))
}

/// Reads the device's public key as an uncompressed point.
///
/// # Errors
/// Those of [`Session::run`].
pub fn public_key(session: &mut Session) -> Result<[u8; PUBLIC_KEY_SIZE], Error> {
    session.query(Command::PublicKey, |lines| {
        let halves: [u8; 2 * HALF] = hex_line(lines)?;
        let mut point = [0x04; PUBLIC_KEY_SIZE];
        point[1..].copy_from_slice(&halves);
        Some(point)
    })
}

/// Reads the first `N` bytes of a slot.
///
/// # Errors
/// Those of [`Session::run`].
pub fn read_slot<const N: usize>(session: &mut Session, slot: u8) -> Result<[u8; N], Error> {
    session.query(Command::ReadSlot(slot, N), hex_line)
}

/// Reads the one-time programmable area.
///
/// # Errors
/// Those of [`Session::run`].
pub fn read_otp(session: &mut Session) -> Result<Vec<u8>, Error> {
    session.query(Command::ReadOtp, |lines| {
        let [line] = lines else { return None };
        hex::decode(line).ok()
    })
}

/// The crypto library's status of a command that the element's configuration forbids: here, the slot is locked already.
const EXECUTION_ERROR: u16 = 0x01F4;

/// Locks a slot for ever. A slot that is locked stays so.
///
/// # Errors
/// Those of [`Session::run`].
pub fn lock_slot(session: &mut Session, slot: u8) -> Result<(), Error> {
    match session.run(Command::LockSlot(slot)) {
        Err(Error::Refused { code: EXECUTION_ERROR, .. }) => Ok(()),
        other => other,
    }
}

/// The device key in slot 0. It never leaves the chip; signing is a command to the board.
pub struct DeviceKey<'a> {
    session: RefCell<&'a mut Session>,
    point: [u8; PUBLIC_KEY_SIZE],
    failure: RefCell<Option<Error>>,
}

impl<'a> DeviceKey<'a> {
    /// The key behind a session, whose public key has been read.
    pub fn new(session: &'a mut Session, point: [u8; PUBLIC_KEY_SIZE]) -> Self {
        Self { session: RefCell::new(session), point, failure: RefCell::new(None) }
    }

    /// What the board said, if signing failed; rcgen's error has no room for it.
    pub fn into_failure(self) -> Option<Error> {
        self.failure.into_inner()
    }
}

impl PublicKeyData for DeviceKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for DeviceKey<'_> {
    /// rcgen hands over the message; the secure element wants its digest.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
        let signed = self.session.borrow_mut().query(Command::SignDigest(&hash), hex_line::<{ 2 * HALF }>);
        match signed {
            Ok(signature) => Ok(ecdsa_sig_value(&signature)),
            Err(error) => {
                self.failure.replace(Some(error));
                Err(rcgen::Error::RemoteKeyError)
            }
        }
    }
}

/// R‖S as an ECDSA-Sig-Value: `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279, section 2.2.3).
pub(crate) fn ecdsa_sig_value(signature: &[u8; 2 * HALF]) -> Vec<u8> {
    let mut content = Vec::with_capacity(2 * (HALF + 3));
    for half in signature.chunks(HALF) {
        let digits = &half[half.iter().position(|&b| b != 0).unwrap_or(HALF - 1)..];
        // A leading zero keeps the number positive.
        let sign = digits[0] >> 7;
        content.extend([0x02, digits.len() as u8 + sign]);
        content.extend(std::iter::repeat_n(0, sign.into()));
        content.extend(digits);
    }
    [&[0x30, content.len() as u8], content.as_slice()].concat()
}

/// The one line of a reply, `N` bytes in hex.
fn hex_line<const N: usize>(lines: &[String]) -> Option<[u8; N]> {
    let [line] = lines else { return None };
    let mut bytes = [0; N];
    hex::decode_to_slice(line, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn signatures_are_encoded_as_another_implementation_does(
            mut halves in proptest::array::uniform32(any::<u8>()),
            zeros in 0..31usize,
        ) {
            // Below the order of the curve, with leading zeros now and then.
            halves[0] &= 0x7F;
            halves[..zeros].fill(0);
            halves[31] |= 1;
            let signature: [u8; 64] = [halves, halves].concat().try_into().unwrap();
            let expected = p256::ecdsa::Signature::from_slice(&signature).unwrap().to_der();
            prop_assert_eq!(ecdsa_sig_value(&signature), expected.as_bytes());
        }
    }

    #[test]
    fn numbers_with_the_top_bit_set_stay_positive() {
        let der = ecdsa_sig_value(&[0x80; 64]);
        assert_eq!((der[1], der[3], der[4], der[5]), (70, 33, 0, 0x80));
    }
}
