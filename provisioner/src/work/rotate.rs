//! A new signer CA under the same root; the one before it is retired and stays valid for the boards that have it.
//!
//! The new signer is made in a folder of its own, laid out as the home folder is, and registered from there. Then the old
//! one's files are copied to its folder among the retired ones, and the new one's are moved to where the old one's were. A
//! file says that this is under way; whatever is interrupted is finished by the next run.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::authorities::{self, Authority, RETIRED, WITHDRAWN};
use super::key::{Keys, Uri};
use super::store::{self, Role};
use super::{Certificate, Chain, Error, create, profile};
use crate::home::{self, Access, Home};

/// The folder, among the retired signers, in which the new one is made.
const NEXT: &str = "next";
/// In that folder: the files are being exchanged.
const EXCHANGE: &str = "exchange.json";
/// What belongs to a signer in the home folder. The certificate comes last: until then the old one is the signer.
const FILES: [&str; 6] = [
    store::SIGNER_KEY,
    "signer-ca.uri",
    store::SIGNER_REQUEST,
    store::VERIFICATION_CERTIFICATE,
    WITHDRAWN,
    store::SIGNER_CERTIFICATE,
];

/// A rotation under way. Holds the home folder.
#[derive(Debug)]
pub struct Rotation {
    home: Home,
    next: Home,
    old: Authority,
    _lock: home::Lock,
}

/// Which files the exchange moves.
#[derive(Debug, Serialize, Deserialize)]
struct Exchange {
    files: Vec<String>,
}

/// Whether an exchange of files was interrupted, or is going on.
pub(super) fn is_exchanging(home: &Home) -> bool {
    next(home).file(EXCHANGE).exists()
}

fn next(home: &Home) -> Home {
    Home::at(home.file(RETIRED).join(NEXT))
}

impl Rotation {
    /// Begins, or goes on with what was interrupted. If an interrupted run had come as far as to exchange the files, that
    /// is finished and there is nothing more to do: `None`.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no signer; [`home::Error`].
    pub fn begin(home: &Home, keys: &Keys) -> Result<Option<Self>, crate::Error> {
        let lock = home.lock()?;
        let next = next(home);
        if is_exchanging(home) {
            exchange(home, &next, keys)?;
            return Ok(None);
        }
        let old = authorities::all(home)?.into_iter().find(|authority| authority.current);
        let old = old.ok_or_else(|| store::incomplete(home))?;
        Ok(Some(Self { home: home.clone(), next, old, _lock: lock }))
    }

    /// The signer that is to be retired.
    pub fn old(&self) -> &Authority {
        &self.old
    }

    /// Whether an interrupted run has made the new signer already.
    pub fn is_made(&self) -> bool {
        store::exists(&self.next, store::SIGNER_CERTIFICATE)
    }

    /// Makes the new signer, unless an interrupted run has. Its key is where `key` says, or in a file of the home if the old
    /// one's is, encrypted if that is. The root's key is where `root_key` says, or where the home folder says.
    ///
    /// # Errors
    /// [`Error::NextKey`] if the old signer's key is kept elsewhere and `key` does not say where the new one's is to be;
    /// [`Error::SameKey`]; [`Error::RootOffline`] if the root's key is not there; as [`create::create`].
    pub fn make(
        &self,
        keys: &Keys,
        name: &profile::Name,
        key: Option<&Uri>,
        root_key: Option<&Uri>,
        now: OffsetDateTime,
    ) -> Result<Chain, crate::Error> {
        if !self.is_made() {
            let old = store::key_uri(&self.home, Role::Signer)?;
            let recorded = store::exists(&self.next, Role::Signer.uri_file());
            let usual_place = |uri: &&Uri| create::is_usual_place(&self.home, Role::Signer, uri);
            let (chosen, key) = (key.is_some(), key.filter(|uri| !usual_place(uri)));
            if !chosen && !recorded && store::exists(&self.home, Role::Signer.uri_file()) {
                return Err(Error::NextKey { there: old }.into());
            }
            let place =
                key.map_or_else(|| store::key_uri(&self.next, Role::Signer), |key| Ok(key.clone()))?;
            if keys.open(&place)?.is_some_and(|key| self.old.certificate.point() == Some(key.public().0)) {
                return Err(Error::SameKey { uri: place }.into());
            }
            // Without it nothing is begun.
            let (root, root_key) = store::root(&self.home, keys, root_key)?;
            self.next.create()?;
            if let Some(key) = key {
                let uri_file = self.next.file(Role::Signer.uri_file());
                home::write(&uri_file, format!("{key}\n").as_bytes(), Access::Public)?;
            }
            home::write(&self.next.file(store::ROOT_CERTIFICATE), root.to_pem().as_bytes(), Access::Public)?;
            // A key that was protected by a passphrase is not followed by one that is not.
            let encrypt = old.is_file() && !keys.is_in_the_clear(&old)?;
            let (root, made) = ((&root, &root_key), &mut create::Created::default());
            create::signer(&self.next, keys, (None, encrypt), name, root, now, made)?;
        }
        store::read(&self.next, keys, now)
    }

    /// Keeps the certificate that proves to AWS IoT that the new signer's key is here.
    ///
    /// # Errors
    /// [`home::Error`].
    pub fn keep_verification_certificate(&self, certificate: &Certificate) -> Result<(), home::Error> {
        store::keep_verification_certificate(&self.next, certificate)
    }

    /// Retires the old signer and puts the new one in its place.
    ///
    /// # Errors
    /// [`home::Error`]; the next run goes on from there.
    pub fn finish(self, keys: &Keys) -> Result<(), crate::Error> {
        let retired = authorities::retired(&self.home, self.old.key_id());
        retired.create()?;
        for file in [store::ROOT_CERTIFICATE].into_iter().chain(FILES) {
            copy(&self.home, &retired, file)?;
        }
        let files = FILES.into_iter().filter(|file| store::exists(&self.next, file));
        let files = Exchange { files: files.map(str::to_owned).collect() };
        let path = self.next.file(EXCHANGE);
        let text = serde_json::to_vec(&files).map_err(|e| home::Error::io("write", &path, e.into()))?;
        home::write(&path, &text, Access::Public)?;
        exchange(&self.home, &self.next, keys)
    }
}

/// Copies a file of a signer, with the access that it has; one that is not there is left out.
fn copy(from: &Home, to: &Home, file: &str) -> Result<(), home::Error> {
    let source = from.file(file);
    if file == store::SIGNER_KEY {
        if let Some(key) = home::read_secret(&source)? {
            home::write(&to.file(file), &key, Access::Secret)?;
        }
    } else if let Some(text) = home::read(&source)? {
        home::write(&to.file(file), &text, Access::Public)?;
    }
    Ok(())
}

/// Moves the new signer's files to where the old one's are, which have been copied. Can be done any number of times.
fn exchange(home: &Home, next: &Home, keys: &Keys) -> Result<(), crate::Error> {
    let path = next.file(EXCHANGE);
    let text = home::read(&path)?.unwrap_or_default();
    let moved: Exchange =
        serde_json::from_slice(&text).map_err(|e| home::Error::io("read", &path, e.into()))?;
    for file in FILES {
        let (from, to) = (next.file(file), home.file(file));
        let done = if !moved.files.iter().any(|moved| moved == file) {
            gone(fs::remove_file(&to))
        } else {
            gone(fs::rename(&from, &to))
        };
        done.map_err(|e| home::Error::io("move", &from, e))?;
    }
    home::sync_folder(home.root()).map_err(|e| home::Error::io("write", home.root(), e))?;
    // Keys are remembered by their place.
    keys.close();
    fs::remove_dir_all(next.root()).map_err(|e| home::Error::io("remove", next.root(), e))?;
    Ok(())
}

/// What is gone already was done by an interrupted run.
fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// The name of a new signer, unless the user says another: no two signers of an account should have the same, because
/// readers find CAs by name, and AWS IoT takes ten of one name. Short, because it is in every certificate.
///
/// # Errors
/// [`Error::Name`] for an organisation that leaves no room.
pub fn default_name(organisation: &str, now: OffsetDateTime) -> Result<profile::Name, Error> {
    profile::Name::new(organisation, &format!("{organisation} Signer {:08X}", now.unix_timestamp()))
}

#[cfg(test)]
mod tests;
