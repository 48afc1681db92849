//! What became of the certificates that a board's key has had: whether the key is revoked, and which of them are valid.

use std::collections::BTreeSet;
use std::path::Path;

use device_pki::{Certificate, SerialNumber};
use time::OffsetDateTime;

use super::{Error, Identity, Planned};
use crate::state::board::CERTIFICATE;
use crate::state::certificates::{self, Kept};
use crate::state::home::Home;
use crate::work;
use crate::work::revoked_keys::{KeyRevocation, OfKey, RevokedKeys};

/// The certificates of a key, and what was revoked of them.
pub(super) struct History {
    revoked: OfKey,
    kept: Vec<Kept>,
    /// The certificate in the board's folder, if it is of this key.
    in_folder: Option<Certificate>,
}

impl History {
    /// Reads what this computer knows of the key.
    ///
    /// # Errors
    /// [`crate::state::Error::Revocations`], [`durable_files::Error`].
    pub(super) fn read(
        home: &Home,
        keys: &RevokedKeys<'_>,
        board: &Identity,
        folder: &Path,
    ) -> Result<Self, work::Error> {
        let key = board.thing_name();
        let in_folder = durable_files::read(&folder.join(CERTIFICATE))?
            .and_then(|pem| Certificate::read(&pem).ok())
            .filter(|certificate| certificate.point() == Some(board.point));
        let kept = certificates::of_key(home, &key)?;
        let ids = in_folder.iter().map(|certificate| &certificate.facts().certificate_id);
        let ids: BTreeSet<&str> =
            ids.chain(kept.iter().map(|kept| &kept.certificate_id)).map(String::as_str).collect();
        let revoked = keys.of(&key, &ids);
        Ok(Self { revoked, kept, in_folder })
    }

    /// Refuses a board whose key is revoked, unless a new certificate is forced and nobody else may have the key.
    ///
    /// # Errors
    /// [`Error::KeyRevoked`].
    pub(super) fn check(&self, board: &Identity, force: bool) -> Result<(), Error> {
        match self.revoked() {
            Some(KeyRevocation { when, reason, .. }) if !force || reason.is_final() => {
                Err(Error::KeyRevoked { thing_name: board.thing_name(), when: *when, reason: *reason })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a certificate that was not issued for this run if it was revoked, its key, or its signer CA.
    ///
    /// # Errors
    /// [`Error::CertificateRevoked`]; [`durable_files::Error`].
    pub(super) fn check_planned(&self, planned: &Planned, keys: &RevokedKeys<'_>) -> Result<(), work::Error> {
        let Planned::There(obtained) = planned else { return Ok(()) };
        let is_in_folder = self.in_folder.as_ref() == Some(&obtained.device);
        match keys.against(&obtained.device, is_in_folder)? {
            Some(against) => {
                let certificate_id = obtained.device.facts().certificate_id.clone();
                Err(Error::CertificateRevoked { certificate_id, against }.into())
            }
            None => Ok(()),
        }
    }

    /// Whether a certificate of the key was revoked.
    pub(super) fn is_revoked(&self, certificate: &Certificate) -> bool {
        self.revoked.certificates.contains(&certificate.facts().certificate_id)
    }

    /// The certificate in the board's folder.
    pub(super) fn in_folder(&self) -> Option<&Certificate> {
        self.in_folder.as_ref()
    }

    /// The serial numbers of the certificates that the key has had.
    ///
    /// # Errors
    /// [`durable_files::Error`].
    pub(super) fn serial_numbers(&self) -> Result<BTreeSet<SerialNumber>, durable_files::Error> {
        let mut certificates: Vec<Certificate> = self.in_folder.iter().cloned().collect();
        for kept in &self.kept {
            certificates.extend(kept.read()?);
        }
        Ok(certificates.iter().filter_map(|certificate| certificate.serial_number().ok()).collect())
    }

    /// Why the key is revoked, if it is. As long as nobody else may have it, the certificate in the board's folder is good
    /// although another one was revoked: it is one of several, or was issued since.
    pub(super) fn revoked(&self) -> Option<&KeyRevocation> {
        let is_good = self.in_folder.as_ref().is_some_and(|certificate| !self.is_revoked(certificate));
        self.revoked.standing.as_ref().filter(|standing| standing.reason.is_final() || !is_good)
    }

    /// The ids of the certificates of the key, but for `current`, that were not revoked here.
    ///
    /// # Errors
    /// [`durable_files::Error`].
    pub(super) fn superseded(
        &self,
        current: Option<&str>,
        now: OffsetDateTime,
    ) -> Result<Vec<String>, durable_files::Error> {
        let mut valid = BTreeSet::new();
        for kept in &self.kept {
            // A damaged file says nothing of an end.
            if kept.read()?.is_none_or(|certificate| certificate.facts().not_after >= now) {
                valid.insert(kept.certificate_id.clone());
            }
        }
        let in_folder = self.in_folder.iter().map(Certificate::facts);
        let in_folder = in_folder.filter(|facts| facts.not_after >= now);
        valid.extend(in_folder.map(|facts| facts.certificate_id.clone()));
        valid.retain(|id| !self.revoked.certificates.contains(id) && Some(id.as_str()) != current);
        Ok(valid.into_iter().collect())
    }

    /// Keeps what a new certificate is about to replace.
    ///
    /// # Errors
    /// [`durable_files::Error`].
    pub(super) fn make_room(&self, home: &Home) -> Result<(), durable_files::Error> {
        self.in_folder.as_ref().map_or(Ok(()), |certificate| certificates::keep(home, certificate))
    }
}
