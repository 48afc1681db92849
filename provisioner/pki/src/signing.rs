//! Keys that sign for rcgen, wherever they are: behind a service, in a token, on a board.
//!
//! rcgen's error cannot carry the error of such a key; [`signed`] keeps it and returns it.

use std::cell::{Cell, RefCell};

use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};

use crate::key::PublicKey;

/// Signs a message: ECDSA with SHA-256, as a DER ECDSA-Sig-Value.
pub type Sign<'a, E> = dyn FnMut(&[u8]) -> Result<Vec<u8>, E> + 'a;

/// A key while it signs one document.
pub struct Signing<'a, E> {
    public: &'a PublicKey,
    sign: RefCell<&'a mut Sign<'a, E>>,
    failure: Cell<Option<E>>,
}

/// Has `make` build a document with the key `public`, which `sign` signs for.
///
/// # Errors
/// What `sign` said, if it failed; otherwise rcgen's.
pub fn signed<T, E: From<rcgen::Error>>(
    public: &PublicKey,
    sign: &mut Sign<'_, E>,
    make: impl FnOnce(&Signing<'_, E>) -> Result<T, rcgen::Error>,
) -> Result<T, E> {
    let signing = Signing { public, sign: RefCell::new(sign), failure: Cell::new(None) };
    make(&signing).map_err(|error| signing.failure.take().unwrap_or_else(|| error.into()))
}

impl<E> PublicKeyData for Signing<'_, E> {
    fn der_bytes(&self) -> &[u8] {
        &self.public.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl<E> SigningKey for Signing<'_, E> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        (self.sign.borrow_mut())(message).map_err(|error| {
            self.failure.set(Some(error));
            rcgen::Error::RemoteKeyError
        })
    }
}
