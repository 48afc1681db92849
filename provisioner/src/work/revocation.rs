//! Publishing revocation lists: made of what is noted, signed, and written beside their issuer's certificate.

use std::path::Path;

use device_pki::revocation::Revoked;
use device_pki::{Chain, Issuer};
use durable_files::{Access, folder};
use time::OffsetDateTime;

use super::{AuthorityError, Error};
use crate::state::authorities::{Authority, SignerRevocation};
use crate::state::home::Home;
use crate::state::revocations::{List, Records, file, folder as own_folder};

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
        let revoked = revocations
            .iter()
            .map(|revocation| Revoked::device(&revocation.serial_number, revocation.when, revocation.reason));
        self.write(Issuer { certificate: chain.signer(), key: chain.key() }, revoked)
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
            .map(|(authority, revoked)| Revoked::ca(&authority.certificate, revoked.when, revoked.reason));
        self.write(root, revoked.collect::<Result<Vec<_>, _>>()?)
    }

    /// The number of the next list of a CA. It grows also where earlier lists are lost.
    ///
    /// # Errors
    /// [`AuthorityError::ListNumber`]; [`Error::File`].
    pub fn next_number(&self, key_id: &str) -> Result<u64, Error> {
        let Self { home, folder, now, .. } = *self;
        let before = List::read(folder, key_id)?.into_iter().chain(List::read(&own_folder(home), key_id)?);
        let least = match before.max_by_key(|list| list.crl_number) {
            None => 0,
            Some(List { crl_number, file, .. }) => {
                crl_number.checked_add(1).ok_or(AuthorityError::ListNumber { file })?
            }
        };
        Ok(least.max(u64::try_from(now.unix_timestamp()).unwrap_or_default()))
    }

    fn write(&self, issuer: Issuer<'_>, revoked: impl IntoIterator<Item = Revoked>) -> Result<List, Error> {
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

#[cfg(test)]
mod tests;
