//! Revocation lists of the CAs (RFC 5280, section 5): which certificates are revoked before they ever connect.
//!
//! Off by default. AWS IoT knows no revocation lists; it only knows what an operator told it about certificates that
//! are registered. A list tells about the others: boards that were stolen or scrapped before they were switched on.

use std::path::{Path, PathBuf};

use device_pki::revocation_list::{files, with_certificate};

mod published;
#[cfg(test)]
mod tests;

pub use device_pki::revocation_list::{CaCertificate, RevocationError, RevocationList};
pub use published::{Fetched, ListError, ListUrl, Publication, PublishedLists, Source, Unavailable};

/// How it is found out whether a CA has revoked a certificate.
#[derive(Debug, Default)]
pub enum Revocation {
    /// It is not asked.
    #[default]
    Unchecked,
    /// From lists in the function's package.
    Packaged(RevocationLists),
    /// From lists that the CAs publish.
    Published(PublishedLists),
}

impl Revocation {
    /// Gets what has to be asked for, beside other work. What that comes to, [`is_revoked`](Self::is_revoked) tells.
    pub async fn refresh(&self) {
        if let Self::Published(lists) = self {
            lists.refresh().await;
        }
    }

    /// Whether a certificate, PEM, is on its issuer's list. A certificate of a CA that no list is kept for is on none, and
    /// so is one that cannot be read.
    ///
    /// # Errors
    /// If the list of its issuer is not to be had, or too old. It may be later.
    pub fn is_revoked(&self, certificate_pem: &str) -> Result<bool, Unavailable> {
        match self {
            Self::Unchecked => Ok(false),
            Self::Packaged(lists) => Ok(lists.contains(certificate_pem)),
            Self::Published(lists) => lists.contains(certificate_pem),
        }
    }
}

/// The lists of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationLists(Vec<RevocationList>);

impl RevocationLists {
    /// Reads every `NAME.crl` of a folder, each checked with the CA's certificate beside it, `NAME.crt`.
    ///
    /// A list whose next update is overdue counts all the same: what was revoked stays revoked, and no waiting brings
    /// another list into the package. The log warns.
    ///
    /// # Errors
    /// Names the file that cannot be used. Nothing is skipped.
    pub fn read(folder: &Path) -> Result<Self, RevocationError> {
        let list = |path: &PathBuf| {
            let ca = CaCertificate::read(&path.with_extension("crt"))?;
            let bytes =
                std::fs::read(path).map_err(|source| RevocationError::Read { path: path.clone(), source })?;
            let list = RevocationList::verified(bytes, &path.display().to_string(), &ca)?;
            if list.is_overdue() {
                tracing::warn!(list = %path.display(), "the revocation list's next update is overdue");
            }
            Ok(list)
        };
        files(folder, "crl")?.iter().map(list).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a certificate, PEM, is on its issuer's list.
    pub fn contains(&self, certificate_pem: &str) -> bool {
        let named = with_certificate(certificate_pem, |found| self.0.iter().any(|list| list.names(found)));
        named.unwrap_or(false)
    }
}
