//! A new signer CA under the same root; the one before it is retired and stays valid for the boards that have it.
//!
//! The new signer is made in a folder of its own, laid out as the home folder is, and registered from there. Then the old
//! one's files are copied to its folder among the retired ones, and the new one's are moved to where the old one's were. A
//! file says that this is under way; whatever is interrupted is finished by the next run.

use device_pki::key::{Keys, Uri};
use device_pki::{Certificate, Chain, Issuer, Signer, chain, profile};
use durable_files::Access;
use durable_files::folder::{self, Lock};
use time::OffsetDateTime;

use super::create::{self, KeyOrder};
use super::{AuthorityError, Error, exchange};
use crate::state::authorities::{self, Authority};
use crate::state::exchange::{next, under_way};
use crate::state::home::Home;
use crate::state::store::{self, Role};

/// A rotation. Holds the home folder.
#[derive(Debug)]
pub struct Rotation {
    home: Home,
    next: Home,
    old: Authority,
    lock: Option<Lock>,
}

/// What there is to do.
#[derive(Debug)]
pub enum Found {
    /// An interrupted run had come as far as to exchange the files.
    Interrupted(Interrupted),
    /// A rotation, to be begun or gone on with.
    Rotation(Box<Rotation>),
}

/// An exchange of the files that was interrupted.
#[derive(Debug)]
pub struct Interrupted {
    home: Home,
    from: Home,
    _lock: Option<Lock>,
}

impl Interrupted {
    /// Exchanges the rest of the files.
    ///
    /// # Errors
    /// [`durable_files::Error`]; the next run goes on from there.
    pub fn finish(self, keys: &Keys) -> Result<(), Error> {
        exchange::finish(&self.home, &self.from, keys).map(drop)
    }
}

/// The key of a new signer that is not made yet, and the root that signs its certificate.
#[derive(Debug)]
pub struct NextKey {
    /// Where it is ordered to be, where that is not the usual place.
    ordered: Option<Uri>,
    /// Where it is or is to be.
    pub place: Uri,
    /// Whether it is there.
    pub is_there: bool,
    encrypt: bool,
    root: Certificate,
    root_key: Signer,
}

impl NextKey {
    /// The end of the root, where it comes before that of a signer that is made at `now`.
    pub fn limit(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        Some(self.root.facts().not_after).filter(|end| *end < profile::signer_end(now))
    }
}

impl Rotation {
    /// Looks at what is there. Changes nothing.
    ///
    /// # Errors
    /// [`crate::state::Error::Missing`] where there is no signer; [`durable_files::Error`].
    pub fn look(home: &Home) -> Result<Found, Error> {
        let lock = home.lock_existing()?;
        let next = next(home);
        if let Some(from) = under_way(home) {
            return Ok(Found::Interrupted(Interrupted { home: home.clone(), from, _lock: lock }));
        }
        let old = authorities::all(home)?.into_iter().find(|authority| authority.current);
        let old = old.ok_or_else(|| store::incomplete(home))?;
        folder::check_writable(home.root())?;
        Ok(Found::Rotation(Box::new(Self { home: home.clone(), next, old, lock })))
    }

    /// The signer that is to be retired.
    pub fn old(&self) -> &Authority {
        &self.old
    }

    /// Whether an interrupted run has made the new signer already.
    pub fn is_made(&self) -> bool {
        store::exists(&self.next, store::SIGNER_CERTIFICATE)
    }

    /// Where the new signer's key is or is to be, and whether it is there. It is where `key` says, or in a file of the home
    /// if the old one's is. The root's key, which is where `root_key` says or where the home folder says, has to be there.
    /// `None` where an interrupted run has made the new signer.
    ///
    /// # Errors
    /// [`AuthorityError::NextKey`] if the old signer's key is kept elsewhere and `key` does not say where the new one's is to be;
    /// [`AuthorityError::SameKey`], [`AuthorityError::RevokedKey`]; [`crate::state::Error::RootOffline`] if the root's key is not there;
    /// as [`chain::check_issuer`] if the root can issue no signer at `now`.
    pub fn next_key(
        &self,
        keys: &Keys,
        key: Option<&Uri>,
        root_key: Option<&Uri>,
        now: OffsetDateTime,
    ) -> Result<Option<NextKey>, Error> {
        if self.is_made() {
            return Ok(None);
        }
        let old = store::key_uri(&self.home, Role::Signer)?;
        let recorded = store::exists(&self.next, Role::Signer.uri_file());
        let usual_place = |uri: &&Uri| create::is_usual_place(&self.home, Role::Signer, uri);
        let (chosen, key) = (key.is_some(), key.filter(|uri| !usual_place(uri)));
        if !chosen && !recorded && store::exists(&self.home, Role::Signer.uri_file()) {
            return Err(AuthorityError::NextKey { there: old }.into());
        }
        let place = key.map_or_else(|| store::key_uri(&self.next, Role::Signer), |key| Ok(key.clone()))?;
        let there = keys.open(&place)?;
        if let Some(key) = &there
            && create::check_not_revoked(&self.home, &key.public().0, &place)?
        {
            return Err(AuthorityError::SameKey { uri: place }.into());
        }
        // Without it nothing is begun.
        let (root, root_key) = store::root(&self.home, keys, root_key)?;
        let organisation = self.old.certificate.facts().organisation.as_deref();
        chain::check_issuer(&root, store::ROOT_CERTIFICATE, organisation, now)?;
        // A key that was protected by a passphrase is not followed by one that is not.
        let encrypt = old.is_file() && !keys.is_in_the_clear(&old)?;
        if there.is_none() {
            create::check_new_key(&self.home, keys, &place, encrypt)?;
        }
        let (ordered, is_there) = (key.cloned(), there.is_some());
        Ok(Some(NextKey { ordered, place, is_there, encrypt, root, root_key }))
    }

    /// Makes the new signer with the key that [`Rotation::next_key`] found, unless an interrupted run has made it.
    ///
    /// # Errors
    /// As [`create::Plan::carry_out`].
    pub fn make(
        &mut self,
        keys: &Keys,
        name: &profile::Name,
        key: Option<NextKey>,
        now: OffsetDateTime,
    ) -> Result<Chain, Error> {
        self.lock = Some(self.home.locked(self.lock.take())?);
        if let Some(NextKey { ordered, encrypt, root, root_key, .. }) = key {
            self.next.create()?;
            if let Some(key) = ordered {
                let uri_file = self.next.file(Role::Signer.uri_file());
                durable_files::write(&uri_file, format!("{key}\n").as_bytes(), Access::Public)?;
            }
            durable_files::write(
                &self.next.file(store::ROOT_CERTIFICATE),
                root.to_pem().as_bytes(),
                Access::Public,
            )?;
            let (root, made) =
                (Issuer { certificate: &root, key: &root_key }, &mut create::Created::default());
            create::signer(&self.next, keys, KeyOrder { place: None, encrypt }, name, root, now, made)?;
        }
        Ok(store::read(&self.next, keys, now)?)
    }

    /// The certificate of the new signer, if an interrupted run has made it.
    ///
    /// # Errors
    /// Of reading it.
    pub fn made(&self) -> Result<Option<Certificate>, Error> {
        Ok(store::certificate(&self.next, Role::Signer)?)
    }

    /// The folder where the new signer is until it is in place.
    pub fn next(&self) -> &Home {
        &self.next
    }

    /// Retires the old signer and puts the new one in its place.
    ///
    /// # Errors
    /// [`durable_files::Error`]; the next run goes on from there.
    pub fn finish(self, keys: &Keys) -> Result<(), Error> {
        let retired = authorities::retired(&self.home, self.old.subject_key_identifier());
        retired.create()?;
        for file in [store::ROOT_CERTIFICATE].into_iter().chain(store::SIGNER_FILES) {
            copy(&self.home, &retired, file)?;
        }
        exchange::carry_out(&self.home, &self.next, None, keys).map(drop)
    }
}

/// Copies a file of a signer, with the access that it has; one that is not there is left out.
fn copy(from: &Home, to: &Home, file: &str) -> Result<(), Error> {
    let source = from.file(file);
    if file == store::SIGNER_KEY {
        if let Some((key, access)) = device_pki::key::file::copy_of(&source)? {
            durable_files::write(&to.file(file), &key, access)?;
        }
    } else if let Some(text) = durable_files::read(&source)? {
        durable_files::write(&to.file(file), &text, Access::Public)?;
    }
    Ok(())
}

/// The name of a new signer, unless the user says another: no two signers of an account should have the same, because
/// readers find CAs by name, and AWS IoT takes ten of one name. Short, because it is in every certificate.
///
/// # Errors
/// [`device_pki::Error::Name`] for an organisation that leaves no room.
pub fn default_name(
    organisation: Option<&str>,
    now: OffsetDateTime,
) -> Result<profile::Name, device_pki::Error> {
    let before = organisation.map(|organisation| format!("{organisation} ")).unwrap_or_default();
    profile::Name::within(organisation, &format!("{before}Signer {:08X}", now.unix_timestamp()))
}

#[cfg(test)]
mod tests;
