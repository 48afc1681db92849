//! Revocation lists of the CAs (RFC 5280, section 5): which certificates are revoked before they ever connect.
//!
//! Off by default. AWS IoT knows no revocation lists; it only knows what an operator told it about certificates that
//! are registered. A list tells about the others: boards that were stolen or scrapped before they were switched on.
//!
//! Where lists are configured, no certificate of a CA without a list is registered: an attacker who blocks a list must not
//! gain by it.

use std::path::{Path, PathBuf};

use device_pki::revocation_list::{X509Certificate, files, read, with_certificate};

mod published;
#[cfg(test)]
mod tests;

pub use device_pki::revocation_list::{CaCertificate, RevocationError, RevocationList};
pub use published::{Publication, PublishedLists};

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

/// What the lists say of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is on none.
    Good,
    /// It is on its CA's.
    Revoked,
    /// There is none of its CA.
    NoList,
}

/// It is not known whether a certificate is revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The list is not to be had, or too old.
    #[error("the revocation list {list} {problem}")]
    List {
        /// Where the list should be.
        list: String,
        /// What is wrong, for people.
        problem: String,
    },
    /// Its CA has none.
    #[error(
        "there is no revocation list of the certificate's CA{}: CRL_DIR needs one, or CRL_OPTIONAL_CA_IDS the CA's id",
        ca.as_ref().map(|ca| format!(" {ca}")).unwrap_or_default()
    )]
    NoList {
        /// The CA's certificate id.
        ca: Option<String>,
    },
}

impl Revocation {
    /// Gets what is needed before an event can be answered, and begins with the rest.
    pub async fn warm_up(&self) {
        if let Self::Published(lists) = self {
            lists.refresh();
            lists.arrived().await;
        }
    }

    /// Begins to ask for what is no longer fresh. Nothing waits for it.
    pub fn refresh(&self) {
        if let Self::Published(lists) = self {
            lists.refresh();
        }
    }

    /// Whether a certificate, PEM, is on its CA's list. `ca` is the id of the CA's certificate, as AWS IoT knows it. A
    /// certificate that cannot be read is on none.
    ///
    /// # Errors
    /// If the CA's list is not to be had, or too old. It may be later.
    pub async fn look_up(&self, certificate_pem: &str, ca: Option<&str>) -> Result<Answer, Unavailable> {
        match self {
            Self::Unchecked => Ok(Answer::Good),
            Self::Packaged(lists) => Ok(lists.look_up(certificate_pem, ca)),
            Self::Published(lists) => lists.look_up(certificate_pem, ca).await,
        }
    }
}

/// The CA that has issued a certificate: the one that AWS IoT names, or another certificate of its key.
fn issuer<'a>(
    cas: impl Iterator<Item = &'a CaCertificate> + Clone,
    certificate: &X509Certificate<'_>,
    id: Option<&str>,
) -> Option<&'a CaCertificate> {
    let named = cas.clone().find(|ca| Some(ca.id()) == id);
    named.or_else(|| cas.clone().find(|ca| ca.is_issuer_of(certificate)))
}

/// The lists of a folder, and the CAs beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationLists {
    cas: Vec<CaCertificate>,
    lists: Vec<(CaCertificate, RevocationList)>,
}

impl RevocationLists {
    /// Reads every `NAME.crl` of a folder, each checked with the CAs' certificates beside it, `NAME.crt`.
    ///
    /// A list whose next update is overdue counts all the same: what was revoked stays revoked, and no waiting brings
    /// another list into the package. The log warns.
    ///
    /// # Errors
    /// Names the file that cannot be used. Nothing is skipped.
    pub fn read(folder: &Path) -> Result<Self, RevocationError> {
        let lists = Self::of(CaCertificate::read_all(folder)?, contents(files(folder, "crl")?))?;
        for (ca, list) in &lists.lists {
            if list.is_overdue() {
                tracing::warn!(ca = %ca.path().display(), "the revocation list's next update is overdue");
            }
        }
        Ok(lists)
    }

    /// Reads every `NAME.crt` of a folder, and every `NAME.crl` if there are any.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_cas(folder: &Path) -> Result<Self, RevocationError> {
        let cas = CaCertificate::read_all(folder)?;
        match files(folder, "crl") {
            Err(RevocationError::Empty { .. }) => Ok(Self { cas, lists: Vec::new() }),
            files => Self::of(cas, contents(files?)),
        }
    }

    /// Takes the contents of files with lists, each with the name that an error has.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn of(
        cas: Vec<CaCertificate>,
        files: impl IntoIterator<Item = Result<(PathBuf, Vec<u8>), RevocationError>>,
    ) -> Result<Self, RevocationError> {
        let mut lists = Vec::<(CaCertificate, RevocationList)>::new();
        for file in files {
            let (path, bytes) = file?;
            for (ca, list) in RevocationList::read_all(&bytes, &path.display().to_string(), &cas)? {
                RevocationList::join(&mut lists, ca.clone(), list);
            }
        }
        Ok(Self { cas, lists })
    }

    /// The CAs whose certificates are there.
    pub fn cas(&self) -> &[CaCertificate] {
        &self.cas
    }

    /// The lists, each with a certificate of its CA.
    pub fn lists(&self) -> &[(CaCertificate, RevocationList)] {
        &self.lists
    }

    /// The list of a CA.
    pub fn list_of(&self, ca: &CaCertificate) -> Option<&RevocationList> {
        self.lists.iter().find(|(known, _)| known.has_key_of(ca)).map(|(_, list)| list)
    }

    /// What the list of its CA says of a certificate, PEM. `ca` is the id of the CA's certificate.
    pub fn look_up(&self, certificate_pem: &str, ca: Option<&str>) -> Answer {
        let answer = with_certificate(certificate_pem, |certificate| {
            let list = issuer(self.cas.iter(), certificate, ca).and_then(|ca| self.list_of(ca));
            list.map_or(Answer::NoList, |list| Answer::of(list.names(certificate)))
        });
        answer.unwrap_or(Answer::Good)
    }
}

fn contents(paths: Vec<PathBuf>) -> impl Iterator<Item = Result<(PathBuf, Vec<u8>), RevocationError>> {
    paths.into_iter().map(|path| read(&path).map(|bytes| (path, bytes)))
}

impl Answer {
    fn of(revoked: bool) -> Self {
        if revoked { Self::Revoked } else { Self::Good }
    }
}
