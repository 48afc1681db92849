//! What was revoked, as others are to know it: lists, made of what is noted, signed, and written beside their issuer's
//! certificate; and the certificates that an account is to have as REVOKED.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use device_pki::revocation::Revoked as Entry;
use device_pki::{Chain, Issuer, RevocationList};
use durable_files::{Access, folder};
use time::OffsetDateTime;

use super::{AuthorityError, Error, inventory};
use crate::state::audit;
use crate::state::authorities::{self, Authority, SignerRevocation};
use crate::state::certificates;
use crate::state::home::Home;
use crate::state::revocations::{List, Records, file, folder as own_folder};
use iot_account::setup::Revoked;

/// Where lists go, and for how long they are good.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The home, whose own lists count for the numbers of the next ones.
    pub home: &'a Home,
    /// The folder that is written to.
    pub folder: &'a Path,
    /// Days until the next list.
    pub days: u16,
    /// The time of the list.
    pub now: OffsetDateTime,
}

impl Publication<'_> {
    /// Makes a signer's list of what it has revoked and writes it, with the signer's certificate beside it. Call it under
    /// [`crate::state::revocations::lock`].
    ///
    /// # Errors
    /// As [`device_pki::Signer::issue`]; [`AuthorityError::ListNumber`]; [`Error::File`]. The list that was there before stays then.
    pub fn of_signer(&self, authority: &Authority, chain: &Chain) -> Result<List, Error> {
        let revocations = Records::of(self.home, authority.subject_key_identifier()).read()?;
        // A negative number is on no list (RFC 5280, section 4.1.2.2); the account can still have the certificate as REVOKED.
        let positive = revocations.iter().filter(|found| found.serial_number.positive().is_some());
        let revoked: BTreeMap<_, _> = positive
            .map(|found| {
                (&found.serial_number, Entry::device(&found.serial_number, found.when, found.reason))
            })
            .collect();
        self.write(Issuer { certificate: chain.signer(), key: chain.key() }, revoked.into_values())
    }

    /// Makes the root's list of the signers that were revoked, and writes it as [`Publication::of_signer`] does.
    ///
    /// # Errors
    /// As [`Publication::of_signer`].
    pub fn of_root(
        &self,
        root: Issuer<'_>,
        revoked: &[(Authority, SignerRevocation)],
    ) -> Result<List, Error> {
        let revoked = revoked
            .iter()
            .map(|(authority, revoked)| Entry::ca(&authority.certificate, revoked.when, revoked.reason));
        self.write(root, revoked.collect::<Result<Vec<_>, _>>()?)
    }

    /// The number of the next list of a CA. It grows also where earlier lists are lost, as from a home folder that was
    /// restored: no list is made in less than the millisecond that its number counts.
    ///
    /// # Errors
    /// [`AuthorityError::ListNumber`]; [`Error::File`].
    pub fn next_number(&self, key_id: &str) -> Result<u64, Error> {
        let Self { home, folder, now, .. } = *self;
        let mut least = signed_number(home, key_id)?;
        for folder in [folder, &own_folder(home)] {
            let file = file(folder, key_id, "crl");
            let Some(list) = durable_files::read(&file)? else { continue };
            // A number of more than 64 bits is none that can be followed. What is no list at all has none.
            let Ok(list) = RevocationList::unverified(&list, key_id) else { continue };
            if !list.is_numbered() {
                continue;
            }
            let number = list.number().and_then(|number| number.checked_add(1));
            least = least.max(number.ok_or(AuthorityError::ListNumber { file })?);
        }
        let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
        Ok(least.max(u64::try_from(milliseconds).unwrap_or_default()))
    }

    fn write(&self, issuer: Issuer<'_>, revoked: impl IntoIterator<Item = Entry>) -> Result<List, Error> {
        let Self { folder, days, now, .. } = *self;
        let facts = issuer.certificate.facts();
        let key_id = facts.subject_key_identifier.as_deref().ok_or(device_pki::Error::NotP256)?;
        let number = self.next_number(key_id)?;
        let der = issuer.sign_list(revoked, number, days, now)?;
        folder::create(folder)?;
        let crl = file(folder, key_id, "crl");
        let certificate = issuer.certificate.to_pem();
        durable_files::write(&file(folder, key_id, "crt"), certificate.as_bytes(), Access::Public)?;
        durable_files::write(&crl, &der, Access::Public)?;
        List::of(&der, key_id, crl).ok_or_else(|| rcgen::Error::CouldNotParseCertificate.into())
    }
}

/// One more than the largest number of the lists of a CA that were signed here, as the audit log has them: it goes on from them
/// also where the lists are gone, and the clock was ahead.
fn signed_number(home: &Home, key_id: &str) -> Result<u64, Error> {
    let entries = audit::Log::of(home).entries()?;
    let of_ca = entries.iter().filter(|entry| entry.authority_key_identifier == key_id);
    let numbers = of_ca.filter_map(|entry| match &entry.document {
        audit::Document::RevocationList { crl_number, .. } => *crl_number,
        _ => None,
    });
    let file = || home.file(audit::FILE);
    numbers.max().map_or(Ok(0), |number| {
        Ok(number.checked_add(1).ok_or_else(|| AuthorityError::ListNumber { file: file() })?)
    })
}

/// The certificates that signers of this home have revoked, each with its CA.
///
/// # Errors
/// [`crate::state::Error`].
pub fn revoked(home: &Home) -> Result<Vec<Revoked>, Error> {
    let mut revoked = Vec::new();
    for signer in authorities::all(home)? {
        for revocation in Records::of(home, signer.subject_key_identifier()).read()? {
            let (certificate_id, certificate) = (revocation.certificate_id, None);
            revoked.push(Revoked { certificate_id, certificate, ca: signer.certificate.clone() });
        }
    }
    if revoked.is_empty() {
        return Ok(revoked);
    }
    let mut found = BTreeMap::new();
    for board in inventory::on_disk(home)? {
        found.insert(board.certificate.facts().certificate_id.clone(), board.certificate);
    }
    let ids: BTreeSet<&str> = revoked.iter().map(|revoked| revoked.certificate_id.as_str()).collect();
    for kept in certificates::all(home)?.into_iter().filter(|kept| ids.contains(&*kept.certificate_id)) {
        if let Some(certificate) = kept.read()? {
            found.insert(kept.certificate_id.clone(), certificate);
        }
    }
    for revoked in &mut revoked {
        revoked.certificate = found.remove(&revoked.certificate_id);
    }
    Ok(revoked)
}

#[cfg(test)]
mod tests;
