//! Keys that sign, wherever they live: named by a [`Uri`], opened once a run by [`Keys`].
//!
//! [`file`] keeps a key in PKCS#8.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jitr::thing_name::PUBLIC_KEY_SIZE;
use rcgen::{PublicKeyData, SignatureAlgorithm};

use super::signer::Observer;

mod error;
pub mod file;
mod uri;

pub use error::Error;
pub use uri::{Malformed, Uri};

/// A P-256 private key that signs.
pub trait Key: Send + Sync {
    /// Its public key.
    fn public(&self) -> &PublicKey;

    /// ECDSA with SHA-256 over `message`, as a DER ECDSA-Sig-Value (RFC 3279, section 2.2.3).
    ///
    /// # Errors
    /// What the file, the token or the service says.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}

/// The public key of a [`Key`]: an uncompressed P-256 point, `0x04 ‖ X ‖ Y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; PUBLIC_KEY_SIZE]);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// The keys of one run. Clones are the same keys: what one has opened, all have.
#[derive(Clone)]
pub struct Keys {
    shared: Arc<Shared>,
}

struct Shared {
    opened: Mutex<HashMap<Uri, Arc<dyn Key>>>,
    observer: Box<dyn Observer>,
}

impl Keys {
    /// Keys of which `observer` is told every signature.
    pub fn new(observer: impl Observer + 'static) -> Self {
        Self { shared: Arc::new(Shared { opened: Mutex::default(), observer: Box::new(observer) }) }
    }

    /// Who is told of every signature.
    pub(super) fn observer(&self) -> &dyn Observer {
        &*self.shared.observer
    }

    /// Opens the key behind `uri`, unless this run has opened it before; `None` where there is none.
    ///
    /// # Errors
    /// [`Error`]; [`crate::home::Error::Exposed`] for a key file that others can read.
    pub fn open(&self, uri: &Uri) -> Result<Option<Arc<dyn Key>>, crate::Error> {
        let mut opened = self.shared.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = opened.get(uri) {
            return Ok(Some(Arc::clone(key)));
        }
        let found: Option<Arc<dyn Key>> = match uri {
            Uri::File(path) => file::open(path)?.map(|key| Arc::new(key) as _),
        };
        Ok(found.inspect(|key| drop(opened.insert(uri.clone(), Arc::clone(key)))))
    }

    /// Forgets what has been opened: the files behind it have been set aside.
    pub(super) fn close(&self) {
        self.shared.opened.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Makes a new key behind `uri`, where none may be.
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub fn make(&self, uri: &Uri) -> Result<Arc<dyn Key>, crate::Error> {
        let key: Arc<dyn Key> = match uri {
            Uri::File(path) => Arc::new(file::make(path)?),
        };
        let mut opened = self.shared.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.insert(uri.clone(), Arc::clone(&key));
        Ok(key)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}
