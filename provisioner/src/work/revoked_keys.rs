//! Which keys are revoked: what was revoked is a certificate, or a signer CA, and what is kept out is a key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use device_pki::Certificate;
use device_pki::certificate::rfc3339 as as_text;
use device_pki::revocation::Reason;
use serde::Serialize;
use time::OffsetDateTime;
use time::serde::rfc3339;

use super::inventory::{self, Sources};
use crate::state::authorities::{self, Authority};
use crate::state::home::Home;
use crate::state::revocations::{Revocation, all};
use crate::state::{Error, certificates};

/// Why a key gets no new certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KeyRevocation {
    /// When it was revoked, RFC 3339.
    #[serde(with = "rfc3339")]
    pub when: OffsetDateTime,
    /// Why.
    pub reason: Reason,
}

/// What was revoked of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfKey {
    /// Why the key is revoked, if it is.
    pub standing: Option<KeyRevocation>,
    /// Every certificate of it that was revoked, those too that another has replaced.
    pub certificates: BTreeSet<String>,
}

/// Why a certificate is not to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Against {
    /// What was revoked: the certificate, its key, or its signer CA.
    what: &'static str,
    when: OffsetDateTime,
    reason: Reason,
}

impl Against {
    /// Why it was revoked.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was revoked on {} ({})", self.what, as_text(self.when), self.reason.name())
    }
}

impl fmt::Display for KeyRevocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key was revoked on {} ({})", as_text(self.when), self.reason.name())
    }
}

/// The keys of the certificates that revocations of earlier versions name by their id alone. Finding them takes everything that
/// the home knows of certificates, so it is done once.
///
/// # Errors
/// As [`all`]; of reading the home.
pub fn keys_of_old_revocations(home: &Home) -> Result<BTreeMap<String, String>, Error> {
    let old = all(home)?.into_iter().filter(|revocation| revocation.subject_key_identifier.is_none());
    let old: Vec<_> = old.map(|revocation| revocation.certificate_id).collect();
    if old.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known = inventory::known(&Sources::of(home)?);
    let key = |id: String| {
        let key = known.get(&id)?.subject_key_identifier.clone()?;
        Some((id, key))
    };
    Ok(old.into_iter().filter_map(key).collect())
}

/// Everything that was revoked in a home.
#[derive(Debug)]
pub struct RevokedKeys<'a> {
    home: &'a Home,
    by_key: BTreeMap<String, Vec<Revocation>>,
    /// By the id of the certificate.
    by_certificate: BTreeMap<String, Revocation>,
    /// The signers that were revoked.
    signers: Vec<(Authority, Against)>,
}

impl<'a> RevokedKeys<'a> {
    /// Reads it. `old` is what [`keys_of_old_revocations`] has found.
    ///
    /// # Errors
    /// As [`all`]; of reading the signers.
    pub fn read(home: &'a Home, old: &BTreeMap<String, String>) -> Result<Self, Error> {
        let (mut by_key, mut by_certificate) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for revocation in all(home)? {
            let key =
                revocation.subject_key_identifier.as_ref().or_else(|| old.get(&revocation.certificate_id));
            if let Some(key) = key {
                by_key.entry(key.clone()).or_default().push(revocation.clone());
            }
            by_certificate.insert(revocation.certificate_id.clone(), revocation);
        }
        let mut signers = Vec::new();
        for signer in authorities::all(home)? {
            if let Some(revoked) = signer.revocation()? {
                let (when, reason) = (revoked.when, revoked.reason);
                signers.push((signer, Against { what: "its signer CA", when, reason }));
            }
        }
        Ok(Self { home, by_key, by_certificate, signers })
    }

    /// What was revoked of a key: a subject key identifier. `known` are ids of certificates of it.
    pub fn of(&self, key: &str, known: &BTreeSet<&str>) -> OfKey {
        let mut revoked: Vec<&Revocation> = self.by_key.get(key).into_iter().flatten().collect();
        revoked.extend(known.iter().filter_map(|id| self.by_certificate.get(*id)));
        if revoked.is_empty() {
            return OfKey::default();
        }
        let standing = standing(&revoked);
        let certificates = revoked.into_iter().map(|revocation| revocation.certificate_id.clone()).collect();
        OfKey { standing, certificates }
    }

    /// Why a certificate is not to be let in: it was revoked, its key, or its signer CA. Where nobody else may have the key, its
    /// other certificates that are kept here, or that one that `is_here` in another place, stay good: what was revoked is one of
    /// several, or they were issued since.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn against(&self, certificate: &Certificate, is_here: bool) -> Result<Option<Against>, Error> {
        let facts = certificate.facts();
        if let Some(against) = self.certificate(&facts.certificate_id) {
            return Ok(Some(against));
        }
        if let Some(key) = &facts.subject_key_identifier
            && let Some(KeyRevocation { when, reason, .. }) = self.of(key, &BTreeSet::new()).standing
        {
            let kept = certificates::of_key(self.home, key)?;
            let is_kept = is_here || kept.iter().any(|kept| kept.certificate_id == facts.certificate_id);
            if reason.is_final() || !is_kept {
                return Ok(Some(Against { what: "its key", when, reason }));
            }
        }
        let signer = self.signers.iter().find(|(signer, _)| certificate.is_signed_by(&signer.certificate));
        Ok(signer.map(|(_, against)| against.clone()))
    }

    /// Why the certificate with this id is not to be let in, if it was revoked.
    pub fn certificate(&self, id: &str) -> Option<Against> {
        let Revocation { when, reason, .. } = self.by_certificate.get(id)?;
        Some(Against { what: "the certificate", when: *when, reason: *reason })
    }
}

/// Why a key is revoked: a certificate of it is, and not because another took its place.
fn standing(revoked: &[&Revocation]) -> Option<KeyRevocation> {
    let revoked = revoked.iter().filter(|revocation| revocation.reason != Reason::Superseded);
    let worst = revoked.max_by_key(|found| (found.reason.is_final(), found.when))?;
    Some(KeyRevocation { when: worst.when, reason: worst.reason })
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use device_pki::SerialNumber;

    fn revocation(id: &str, reason: Reason, day: i64) -> Revocation {
        Revocation {
            when: OffsetDateTime::UNIX_EPOCH + Duration::days(day),
            serial_number: "41".parse::<SerialNumber>().unwrap(),
            certificate_id: id.into(),
            subject_key_identifier: None,
            reason,
        }
    }

    fn reason(revoked: &[Revocation]) -> Option<Reason> {
        standing(&revoked.iter().collect::<Vec<_>>()).map(|standing| standing.reason)
    }

    #[test]
    fn a_superseded_certificate_does_not_make_its_key_revoked_and_any_other_does() {
        assert_eq!(reason(&[revocation("a", Reason::Superseded, 1)]), None);
        for other in Reason::ALL.into_iter().filter(|reason| *reason != Reason::Superseded) {
            let revoked = [revocation("a", Reason::Superseded, 2), revocation("b", other, 1)];
            assert_eq!(reason(&revoked), Some(other));
        }
    }

    #[test]
    fn what_is_final_outweighs_what_came_later() {
        let revoked = [revocation("a", Reason::KeyCompromise, 1), revocation("b", Reason::Unspecified, 2)];
        assert_eq!(reason(&revoked), Some(Reason::KeyCompromise));
    }
}
