//! Revocation lists of the CAs (RFC 5280, section 5): which certificates are withdrawn before they ever connect.
//!
//! Off by default. AWS IoT knows no revocation lists; it only knows what an operator told it about certificates that
//! are registered. A list tells about the others: boards that were stolen or scrapped before they were switched on.

mod list;
mod published;

pub use list::{CaCertificate, RevocationError, RevocationList, RevocationLists};
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
