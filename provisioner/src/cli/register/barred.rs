//! What this computer knows against a certificate: it was revoked, or its key was taken off the admission list.

use std::cell::Cell;

use device_pki::Certificate;
use device_pki::admission_list::KeyIdentifier;
use iot_account::counted;

use crate::cli::Error;
use crate::state::admission::Admitted;
use crate::state::home::Home;
use crate::work::revoked_keys::{RevokedKeys, keys_of_old_revocations};

/// What is not to be registered.
pub(super) struct Barred<'a> {
    keys: RevokedKeys<'a>,
    admitted: Admitted,
    /// Certificates so far that nothing is known against, and whose keys are not on the list here.
    not_listed: Cell<usize>,
}

impl<'a> Barred<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// Of reading the home.
    pub(super) fn read(home: &'a Home) -> Result<Self, Error> {
        let keys = RevokedKeys::read(home, &keys_of_old_revocations(home)?)?;
        Ok(Self { keys, admitted: Admitted::read(home)?, not_listed: Cell::new(0) })
    }

    /// Why a certificate is not to be registered.
    ///
    /// # Errors
    /// Of reading the home.
    pub(super) fn against(&self, certificate: &Certificate) -> Result<Option<String>, Error> {
        if let Some(against) = self.keys.against(certificate, false)? {
            return Ok(Some(against.to_string()));
        }
        let key = certificate.facts().subject_key_identifier.as_deref();
        let key = key.and_then(|key| key.parse::<KeyIdentifier>().ok());
        if key.is_some_and(|key| self.admitted.was_removed(&key)) {
            return Ok(Some("its key was taken off the admission list".to_owned()));
        }
        if !key.is_some_and(|key| self.admitted.has(&key)) {
            self.not_listed.set(self.not_listed.get() + 1);
        }
        Ok(None)
    }

    /// What there is to say of those that nothing is known against, where there is a list here.
    pub(super) fn advice(&self) -> Option<String> {
        let not_listed = self.not_listed.get();
        (not_listed > 0 && self.admitted.keys().next().is_some()).then(|| {
            format!(
                "not on the admission list here: {}. The list binds the function; `register` goes by what you name",
                counted(not_listed, "key")
            )
        })
    }
}
