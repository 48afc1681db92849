//! Lists that the CAs publish, fetched when they are needed and kept for as long as they are good.
//!
//! How a list is kept is in [`crate::published`]. A list in the package counts until a newer one is fetched; no older one replaces it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;

use device_pki::revocation_list::{
    CaCertificate, MAX_SIZE, RevocationError, RevocationList, Unfit, with_certificate,
};

use super::{Answer, RevocationLists, Unavailable, issuer};
use crate::published::{Kept, List, ListError, ListUrl, Older, Source};

impl List for RevocationList {
    const KIND: &'static str = "revocation list";
    const LONGEST: usize = MAX_SIZE;
    const TIME: Duration = Duration::from_secs(5);

    fn is_older_than(&self, other: &Self) -> bool {
        self.is_older_than(other)
    }

    fn is_overdue(&self) -> bool {
        self.is_overdue()
    }

    fn is_dated(&self) -> bool {
        self.next_update().is_some()
    }
}

/// Which lists are published where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The folder of the lists.
    pub url: ListUrl,
    /// The CAs, and the lists of them that are in the package: no older one counts. The list of the CA in `NAME.crt` is
    /// `NAME.crl`.
    pub packaged: RevocationLists,
}

/// The lists of a [`Publication`] that were packaged or fetched.
#[derive(Debug)]
pub struct PublishedLists(Arc<Lists>);

#[derive(Debug)]
struct Lists {
    source: Box<dyn Source>,
    cas: Vec<CaCertificate>,
    /// One for each of the CAs.
    kept: Vec<Kept<RevocationList>>,
}

impl PublishedLists {
    /// Nothing is fetched yet.
    pub fn new(publication: Publication, source: Box<dyn Source>) -> Self {
        let Publication { url, packaged } = publication;
        let kept = |ca: &CaCertificate| {
            let name = ca.path().file_stem().unwrap_or_default().to_string_lossy();
            let list = packaged.list_of(ca).cloned().map(Arc::new);
            Kept::new(&url, format!("{name}.crl"), list)
        };
        let kept = packaged.cas().iter().map(kept).collect();
        Self(Arc::new(Lists { source, cas: packaged.cas().to_vec(), kept }))
    }

    /// Begins to fetch the lists that are due, side by side.
    pub(super) fn refresh(&self) {
        for (index, kept) in self.0.kept.iter().enumerate() {
            if kept.waits() {
                drop(self.0.fetch(index));
            }
        }
    }

    /// Waits until each list that is missing, or does not count any more, was asked for.
    pub(super) async fn arrived(&self) {
        self.awaited(0..self.0.kept.len()).await;
    }

    async fn awaited(&self, wanted: impl Iterator<Item = usize>) {
        let missing = wanted.filter(|index| self.0.kept[*index].is_missing());
        join_all(missing.map(|index| self.0.fetch(index))).await;
    }

    /// What the list of its CA says of a certificate, PEM. Only a list that does not count yet is waited for.
    pub(super) async fn look_up(
        &self,
        certificate_pem: &str,
        ca: Option<&str>,
    ) -> Result<Answer, Unavailable> {
        let own = with_certificate(certificate_pem, |certificate| {
            let cas = &self.0.cas;
            let issuer = issuer(cas.iter(), certificate, ca);
            // A CA may have several certificates, and a list beside each: all of them have to be there.
            let own = cas.iter().enumerate().filter(|(_, ca)| issuer.is_some_and(|own| own.has_key_of(ca)));
            own.map(|(index, _)| index).collect::<Vec<_>>()
        });
        let Some(own) = own else { return Ok(Answer::Good) };
        if own.is_empty() {
            return Ok(Answer::NoList);
        }
        self.awaited(own.iter().copied()).await;
        let mut revoked = false;
        for index in own {
            let kept = &self.0.kept[index];
            let unavailable = |problem| Unavailable::List { list: kept.address().to_owned(), problem };
            let list = kept.usable().map_err(unavailable)?;
            revoked |= with_certificate(certificate_pem, |found| list.names(found)).unwrap_or(false);
        }
        Ok(Answer::of(revoked))
    }
}

impl Lists {
    /// Fetches a list if it is due, in a task of its own: who gives up waiting does not cut the connection.
    fn fetch(self: &Arc<Self>, index: usize) -> JoinHandle<()> {
        let lists = Arc::clone(self);
        tokio::spawn(async move {
            lists.kept[index].fetch(&*lists.source, false, |bytes| lists.take(index, &bytes)).await;
        })
    }

    /// Takes what came for one CA. A file may have the lists of others as well.
    fn take(&self, index: usize, bytes: &[u8]) -> Result<(), ListError> {
        let address = self.kept[index].address();
        let mut own = false;
        for (ca, list) in RevocationList::read_all(bytes, address, &self.cas)? {
            let same = self.cas.iter().enumerate().filter(|(_, other)| other.has_key_of(ca));
            let same: Vec<usize> = same.map(|(index, _)| index).collect();
            if same.contains(&index) {
                own = true;
                let older = |Older| RevocationError::Unfit { list: address.to_owned(), reason: Unfit::Older };
                self.kept[index].take(list).map_err(older)?;
            } else {
                for index in same {
                    // Its own file may have a newer one.
                    let _ = self.kept[index].take(list.clone());
                }
            }
        }
        if !own {
            let cas = vec![self.cas[index].path().to_owned()];
            return Err(RevocationError::Signature { list: address.to_owned(), cas }.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
