//! Which keys are revoked: what was revoked is a certificate, and what is kept out is the key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use device_pki::Certificate;
use device_pki::revocation::Reason;
use serde::Serialize;
use time::OffsetDateTime;
use time::serde::rfc3339;

use super::{Revocation, all};
use crate::state::home::Home;
use crate::state::{Error, certificates};

/// Why a key gets no new certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyRevocation {
    /// When it was revoked, RFC 3339.
    #[serde(with = "rfc3339")]
    pub when: OffsetDateTime,
    /// Why.
    pub reason: Reason,
    /// The certificates of the key that were revoked, by id.
    #[serde(skip)]
    pub certificates: BTreeSet<String>,
}

/// What was revoked of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfKey {
    /// Why the key is revoked, if it is.
    pub standing: Option<KeyRevocation>,
    /// Every certificate of it that was revoked, those too that another has replaced.
    pub certificates: BTreeSet<String>,
}

/// Everything that was revoked in a home.
#[derive(Debug)]
pub struct RevokedKeys<'a> {
    home: &'a Home,
    /// By the key, where the revocation names it.
    by_key: BTreeMap<String, Vec<Revocation>>,
    /// By the id of the certificate.
    by_certificate: BTreeMap<String, Revocation>,
}

impl<'a> RevokedKeys<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// As [`all`].
    pub fn read(home: &'a Home) -> Result<Self, Error> {
        let (mut by_key, mut by_certificate) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for revocation in all(home)? {
            if let Some(key) = &revocation.subject_key_identifier {
                by_key.entry(key.clone()).or_default().push(revocation.clone());
            }
            by_certificate.insert(revocation.certificate_id.clone(), revocation);
        }
        Ok(Self { home, by_key, by_certificate })
    }

    /// What was revoked of a key: a subject key identifier. `known` are ids of certificates of it, which older revocations
    /// have alone.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn of(&self, key: &str, known: &BTreeSet<&str>) -> Result<OfKey, Error> {
        let mut revoked: Vec<&Revocation> = self.by_key.get(key).into_iter().flatten().collect();
        revoked.extend(known.iter().filter_map(|id| self.by_certificate.get(*id)));
        if revoked.is_empty() {
            return Ok(OfKey::default());
        }
        let readmitted = certificates::readmitted(self.home, key)?;
        let standing = standing(&revoked, &readmitted);
        let certificates = revoked.into_iter().map(|revocation| revocation.certificate_id.clone()).collect();
        Ok(OfKey { standing, certificates })
    }

    /// Why a certificate is not to be let in: its key is revoked, or it is.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn against(&self, certificate: &Certificate) -> Result<Option<KeyRevocation>, Error> {
        let facts = certificate.facts();
        let itself = self.by_certificate.get(&facts.certificate_id);
        let of_key = match &facts.subject_key_identifier {
            Some(key) => {
                let kept = match self.by_key.is_empty() && self.by_certificate.is_empty() {
                    true => Vec::new(),
                    false => certificates::of_key(self.home, key)?,
                };
                let known = kept.iter().map(|kept| kept.certificate_id.as_str()).collect();
                self.of(key, &known)?.standing
            }
            None => None,
        };
        Ok(of_key.or_else(|| itself.map(KeyRevocation::of)))
    }

    /// Why the certificate with this id is not to be let in, if it was revoked.
    pub fn certificate(&self, id: &str) -> Option<KeyRevocation> {
        self.by_certificate.get(id).map(KeyRevocation::of)
    }
}

impl fmt::Display for KeyRevocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = device_pki::certificate::rfc3339(self.when);
        write!(f, "its key was revoked on {when} ({})", self.reason.name())
    }
}

impl KeyRevocation {
    fn of(revocation: &Revocation) -> Self {
        let certificates = [revocation.certificate_id.clone()].into();
        Self { when: revocation.when, reason: revocation.reason, certificates }
    }
}

/// Why a key is revoked: a certificate of it is, and not because another took its place. A key that was let in again counts
/// only if it was revoked since, or if others may have it; `readmitted` are the certificates that were revoked before.
fn standing(revoked: &[&Revocation], readmitted: &BTreeSet<String>) -> Option<KeyRevocation> {
    let revoked = || revoked.iter().filter(|revocation| revocation.reason != Reason::Superseded);
    let stands = |revocation: &&&Revocation| {
        revocation.reason.is_final() || !readmitted.contains(&revocation.certificate_id)
    };
    let worst = revoked().filter(stands).max_by_key(|found| (found.reason.is_final(), found.when))?;
    let certificates = revoked().map(|revocation| revocation.certificate_id.clone()).collect();
    Some(KeyRevocation { when: worst.when, reason: worst.reason, certificates })
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

    fn reason(revoked: &[Revocation], readmitted: &[&str]) -> Option<Reason> {
        let readmitted = readmitted.iter().map(|id| (*id).to_owned()).collect();
        standing(&revoked.iter().collect::<Vec<_>>(), &readmitted).map(|standing| standing.reason)
    }

    #[test]
    fn a_superseded_certificate_does_not_make_its_key_revoked_and_any_other_does() {
        assert_eq!(reason(&[revocation("a", Reason::Superseded, 1)], &[]), None);
        for other in Reason::ALL.into_iter().filter(|reason| *reason != Reason::Superseded) {
            let revoked = [revocation("a", Reason::Superseded, 2), revocation("b", other, 1)];
            assert_eq!(reason(&revoked, &[]), Some(other));
        }
    }

    #[test]
    fn a_key_is_let_in_again_until_it_is_revoked_again_and_never_if_others_may_have_it() {
        let mut revoked = vec![revocation("a", Reason::Unspecified, 1)];
        assert_eq!(reason(&revoked, &["a"]), None);
        revoked.push(revocation("b", Reason::PrivilegeWithdrawn, 2));
        assert_eq!(reason(&revoked, &["a"]), Some(Reason::PrivilegeWithdrawn));
        assert_eq!(reason(&revoked, &["a", "b"]), None);
        revoked.push(revocation("c", Reason::KeyCompromise, 0));
        assert_eq!(reason(&revoked, &["a", "b", "c"]), Some(Reason::KeyCompromise));
    }
}
