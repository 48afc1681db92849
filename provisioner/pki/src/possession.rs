//! Proof that a device has the private key of the public key that it shows: it signs what nobody has asked for before.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::Error;
use crate::public_key::PUBLIC_KEY_SIZE;

/// A random message, to be signed once.
#[derive(Clone, Debug)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// A new one.
    ///
    /// # Errors
    /// [`Error::Random`].
    pub fn new() -> Result<Self, Error> {
        let mut message = [0; 32];
        aws_lc_rs::rand::fill(&mut message).map_err(|_| Error::Random)?;
        Ok(Self(message))
    }

    /// The SHA-256 digest that the device signs.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, &self.0).as_ref());
        hash
    }

    /// Whether `signature`, R‖S, is by the key of `point`.
    pub fn is_answered_by(&self, point: &[u8; PUBLIC_KEY_SIZE], signature: &[u8; 64]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(&self.0, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    use p256::ecdsa::{Signature, SigningKey};

    use super::*;

    #[test]
    fn a_challenge_is_answered_by_its_key_and_by_no_answer_to_another() {
        let [key, other] = [[7; 32], [8; 32]].map(|scalar| SigningKey::from_slice(&scalar).unwrap());
        let point = |key: &SigningKey| -> [u8; PUBLIC_KEY_SIZE] {
            key.verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap()
        };
        let answer = |key: &SigningKey, challenge: &Challenge| -> [u8; 64] {
            let signature: Signature = key.sign_prehash(&challenge.digest()).unwrap();
            signature.to_bytes().into()
        };
        let (first, second) = (Challenge::new().unwrap(), Challenge::new().unwrap());
        assert!(first.is_answered_by(&point(&key), &answer(&key, &first)));
        assert!(!second.is_answered_by(&point(&key), &answer(&key, &first)), "a recorded answer");
        assert!(!first.is_answered_by(&point(&key), &answer(&other, &first)), "someone else's");
        assert!(!first.is_answered_by(&[0; PUBLIC_KEY_SIZE], &[0; 64]));
    }
}
