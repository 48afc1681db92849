//! Keys that sign, wherever they live: named by a [`Uri`], opened once a run by [`Keys`].
//!
//! [`mod@file`] keeps a key in PKCS#8, encrypted or not; [`pkcs11`] uses one in a token, [`kms`] one in AWS KMS; [`passphrase`]
//! is how they are opened.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{PublicKeyData, SignatureAlgorithm};

use crate::PUBLIC_KEY_SIZE;
use crate::observer::Observer;

mod error;
#[cfg(feature = "file")]
pub mod file;
pub mod kms;
pub mod passphrase;
pub mod pkcs11;
#[cfg(test)]
#[cfg(feature = "file")]
mod tests;
mod uri;

pub use error::Error;
pub use passphrase::{Passphrase, Passphrases};
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

/// What protects a key from a person who can read its owner's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Nothing: a file that others have no permission for.
    Permissions,
    /// A file that a passphrase opens.
    Passphrase,
    /// It does not leave its token.
    Token,
    /// It does not leave AWS KMS.
    Kms,
    /// It is not here: no such file.
    Absent,
}

/// The keys of one run. Clones are the same keys: what one has opened, all have.
#[derive(Clone)]
pub struct Keys {
    shared: Arc<Shared>,
}

struct Shared {
    opened: Mutex<Opened>,
    passphrases: Box<dyn Passphrases>,
    #[cfg(feature = "kms")]
    kms: Option<Box<dyn kms::Kms>>,
    observer: Box<dyn Observer>,
}

/// What this run has opened so far.
#[derive(Default)]
struct Opened {
    /// More than one where they are in one file.
    keys: HashMap<Uri, Vec<Arc<dyn Key>>>,
    /// The passphrase that opened the last key: keys that were made together have the same one.
    passphrase: Option<Passphrase>,
}

impl Keys {
    /// Keys in plain files, with `observer` for every signature.
    pub fn new(observer: impl Observer + 'static) -> Self {
        Self::opened_by((), observer)
    }

    /// Keys that `passphrases` open, with `observer` for every signature.
    pub fn opened_by(passphrases: impl Passphrases + 'static, observer: impl Observer + 'static) -> Self {
        let shared = Shared {
            opened: Mutex::default(),
            passphrases: Box::new(passphrases),
            #[cfg(feature = "kms")]
            kms: None,
            observer: Box::new(observer),
        };
        Self { shared: Arc::new(shared) }
    }

    /// As [`Keys::opened_by`], with keys in AWS KMS besides.
    #[cfg(feature = "kms")]
    pub fn with_kms(
        passphrases: impl Passphrases + 'static,
        kms: impl kms::Kms + 'static,
        observer: impl Observer + 'static,
    ) -> Self {
        let mut keys = Self::opened_by(passphrases, observer);
        if let Some(shared) = Arc::get_mut(&mut keys.shared) {
            shared.kms = Some(Box::new(kms));
        }
        keys
    }

    /// The observer of every signature.
    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.shared.observer
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.shared.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the key behind `uri`, unless this run has opened it before; `None` where there is none.
    ///
    /// # Errors
    /// [`Error`]; [`durable_files::Error::Exposed`] for a key file that others can read.
    pub fn open(&self, uri: &Uri) -> Result<Option<Arc<dyn Key>>, crate::Error> {
        self.open_of(uri, None)
    }

    /// As [`Keys::open`]; of several keys in a file, the one with this `point`, and where none has it, the first.
    ///
    /// # Errors
    /// As [`Keys::open`]; [`Error::Several`] without a point.
    pub fn open_of(
        &self,
        uri: &Uri,
        point: Option<[u8; PUBLIC_KEY_SIZE]>,
    ) -> Result<Option<Arc<dyn Key>>, crate::Error> {
        let mut opened = self.opened();
        if !opened.keys.contains_key(uri) {
            let found: Vec<Arc<dyn Key>> = match uri {
                #[cfg(feature = "file")]
                Uri::File(path) => match file::read(path)? {
                    None => Vec::new(),
                    Some(file::Content::Plain(keys)) => {
                        keys.into_iter().map(|key| Arc::new(key) as _).collect()
                    }
                    Some(file::Content::Encrypted(key)) => {
                        vec![Arc::new(self.decrypt(uri, &key, &mut opened)?)]
                    }
                },
                #[cfg(feature = "pkcs11")]
                Uri::Pkcs11(named) => {
                    let key = pkcs11::open(named, &*self.shared.passphrases)?;
                    key.into_iter().map(|key| Arc::new(key) as _).collect()
                }
                #[cfg(feature = "kms")]
                Uri::AwsKms(named) => {
                    let key = kms::open(named, self.shared.kms.as_deref())?;
                    key.into_iter().map(|key| Arc::new(key) as _).collect()
                }
                #[cfg(not(all(feature = "file", feature = "pkcs11", feature = "kms")))]
                _ => return Err(Error::Unsupported { uri: uri.clone() }.into()),
            };
            if found.is_empty() {
                return Ok(None);
            }
            opened.keys.insert(uri.clone(), found);
        }
        let keys = opened.keys.get(uri).map_or(&[][..], Vec::as_slice);
        let with_point = || keys.iter().find(|key| Some(key.public().0) == point);
        match (keys, point) {
            (several @ [_, _, ..], None) => Err(several_in(uri, several.len())),
            (keys, _) => Ok(with_point().or(keys.first()).cloned()),
        }
    }

    #[cfg(feature = "file")]
    fn decrypt(
        &self,
        uri: &Uri,
        key: &file::Encrypted,
        opened: &mut Opened,
    ) -> Result<file::FileKey, crate::Error> {
        let tried = opened.passphrase.clone();
        let (key, passphrase) = passphrase::unlock(&*self.shared.passphrases, uri, tried, |passphrase| {
            Ok(key.decrypt(passphrase)?)
        })?;
        opened.passphrase = Some(passphrase);
        Ok(key)
    }

    /// Whether the key of `uri` exists here and can be opened without a question to the user and without a call to a service.
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub fn is_at_hand(&self, uri: &Uri) -> Result<bool, crate::Error> {
        if self.opened().keys.contains_key(uri) {
            return Ok(true);
        }
        self.is_in_the_clear(uri)
    }

    /// Whether the key is in a file that no passphrase protects.
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub fn is_in_the_clear(&self, uri: &Uri) -> Result<bool, crate::Error> {
        Ok(self.protection(uri)? == Protection::Permissions)
    }

    /// What protects the key behind `uri`, without opening it.
    ///
    /// # Errors
    /// [`Error`] for a file that is no key; [`durable_files::Error::Exposed`] for a key file that others can read.
    pub fn protection(&self, uri: &Uri) -> Result<Protection, crate::Error> {
        Ok(match uri {
            #[cfg(feature = "file")]
            Uri::File(path) => match file::read(path)? {
                None => Protection::Absent,
                Some(file::Content::Plain(_)) => Protection::Permissions,
                Some(file::Content::Encrypted(_)) => Protection::Passphrase,
            },
            Uri::Pkcs11(_) => Protection::Token,
            Uri::AwsKms(_) => Protection::Kms,
            #[cfg(not(feature = "file"))]
            Uri::File(_) => return Err(Error::Unsupported { uri: uri.clone() }.into()),
        })
    }

    /// Forgets what has been opened: the files behind it have been set aside.
    pub fn close(&self) {
        *self.opened() = Opened::default();
    }

    /// Makes a new key at `uri`, where there must be none; a file is encrypted if `encrypt` is set. Returns the URI of the key.
    ///
    /// # Errors
    /// As [`Keys::open`]; [`Error::PassphrasesDiffer`], [`Error::ShortPassphrase`], [`Error::NoPassphrase`].
    pub fn make(&self, uri: &Uri, encrypt: bool) -> Result<Uri, crate::Error> {
        let mut opened = self.opened();
        let (uri, key): (Uri, Arc<dyn Key>) = match uri {
            #[cfg(feature = "file")]
            Uri::File(path) => {
                let passphrase = encrypt.then(|| self.choose(uri, &mut opened)).transpose()?;
                let key = file::make(path, passphrase.as_ref())?;
                if let Some(passphrase) = &passphrase {
                    self.shared.passphrases.keep(uri, passphrase).map_err(Error::Passphrases)?;
                }
                (uri.clone(), Arc::new(key))
            }
            #[cfg(feature = "pkcs11")]
            Uri::Pkcs11(named) => {
                let (uri, key) = pkcs11::make(named, &*self.shared.passphrases)?;
                (uri, Arc::new(key))
            }
            #[cfg(feature = "kms")]
            Uri::AwsKms(named) => {
                let (uri, key) = kms::make(named, self.shared.kms.as_deref())?;
                (uri, Arc::new(key))
            }
            #[cfg(not(all(feature = "file", feature = "pkcs11", feature = "kms")))]
            _ => return Err(Error::Unsupported { uri: uri.clone() }.into()),
        };
        opened.keys.insert(uri.clone(), vec![key]);
        Ok(uri)
    }

    /// Chooses the passphrase that new encrypted key files are made with, unless there is one already: the key behind `uri` is
    /// to be made later.
    ///
    /// # Errors
    /// As [`Keys::make`].
    #[cfg(feature = "file")]
    pub fn choose_passphrase(&self, uri: &Uri) -> Result<(), crate::Error> {
        self.choose(uri, &mut self.opened()).map(drop)
    }

    /// A passphrase for key files that are there: `given`, or one that is given for every key, or one that is typed twice.
    ///
    /// # Errors
    /// [`Error::PassphrasesDiffer`], [`Error::ShortPassphrase`], [`Error::NoPassphrase`].
    #[cfg(feature = "file")]
    pub fn new_passphrase(&self, given: Option<Passphrase>, uri: &Uri) -> Result<Passphrase, crate::Error> {
        Ok(match given {
            Some(given) => passphrase::long_enough(given)?,
            None => passphrase::choose(&*self.shared.passphrases, uri)?,
        })
    }

    /// The passphrase that the other key was made with, or a new one.
    #[cfg(feature = "file")]
    fn choose(&self, uri: &Uri, opened: &mut Opened) -> Result<Passphrase, crate::Error> {
        if let Some(passphrase) = &opened.passphrase {
            return Ok(passphrase.clone());
        }
        let passphrase = passphrase::choose(&*self.shared.passphrases, uri)?;
        opened.passphrase = Some(passphrase.clone());
        Ok(passphrase)
    }

    /// Encrypts the key files with the passphrase `new`, the same for all of them, whether they are encrypted now or not.
    ///
    /// # Errors
    /// As [`Keys::open`] and [`Keys::make`]. A file that could not be written is as it was.
    #[cfg(feature = "file")]
    pub fn encrypt(&self, files: &[std::path::PathBuf], new: &Passphrase) -> Result<(), crate::Error> {
        let mut opened = self.opened();
        let mut keys = Vec::new();
        for path in files {
            let uri = Uri::File(path.clone());
            let key = match file::read(path)? {
                None => return Err(crate::Error::NoKey { uri }),
                Some(file::Content::Plain(mut found)) => match (found.pop(), found.len()) {
                    (Some(key), 0) => key,
                    // What is written in its place would have one of them.
                    (_, others) => return Err(several_in(&uri, others + 1)),
                },
                Some(file::Content::Encrypted(key)) => self.decrypt(&uri, &key, &mut opened)?,
            };
            keys.push((uri, path, key));
        }
        for (uri, path, key) in &keys {
            file::write(path, key, Some(new))?;
            self.shared.passphrases.keep(uri, new).map_err(Error::Passphrases)?;
        }
        Ok(())
    }
}

fn several_in(uri: &Uri, count: usize) -> crate::Error {
    let file = match uri {
        #[cfg(feature = "file")]
        Uri::File(path) => file::name_of(path),
        uri => uri.to_string(),
    };
    Error::Several { file, count }.into()
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}
