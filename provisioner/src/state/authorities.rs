//! Every signer CA of a home folder: the one in use, and those that `ca rotate` retired.
//!
//! A retired signer has a folder of its own, laid out as the home folder is, so that what reads one reads the other.

use device_pki::key::Keys;
use device_pki::{Certificate, Chain};
use durable_files::folder::{self, Entry};
use durable_files::{Access, Kind};
use time::{Duration, OffsetDateTime};

use super::home::Home;
pub use super::home::RETIRED;
use super::store::revocation;
pub use super::store::{SIGNER_REVOKED as REVOKED, SignerRevocation};
use super::{Error, exchange, store};

/// Fewer digits of a key identifier could be a typing error.
const SHORTEST_PREFIX: usize = 8;

/// A signer CA of the home folder.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Its certificate.
    pub certificate: Certificate,
    /// Where its files are.
    pub folder: Home,
    /// Whether it signs new boards' certificates.
    pub current: bool,
    subject_key_identifier: String,
}

impl Authority {
    fn read(folder: Home, current: bool) -> Result<Option<Self>, Error> {
        let Some(certificate) = store::certificate(&folder, store::Role::Signer)? else {
            return Ok(None);
        };
        let subject_key_identifier = certificate.facts().subject_key_identifier.clone();
        let subject_key_identifier = subject_key_identifier.ok_or_else(|| device_pki::Error::SignerKey {
            certificate: store::SIGNER_CERTIFICATE,
            found: certificate.key_kind(),
        })?;
        Ok(Some(Self { certificate, folder, current, subject_key_identifier }))
    }

    /// Its key identifier: SHA-1 of the public key bits, 40 lower-case hex digits.
    pub fn subject_key_identifier(&self) -> &str {
        &self.subject_key_identifier
    }

    /// Its id in AWS IoT: SHA-256 of the DER certificate, 64 lower-case hex digits.
    pub fn certificate_id(&self) -> &str {
        &self.certificate.facts().certificate_id
    }

    /// The signer with its key, revoked or not: to sign revocation lists.
    ///
    /// # Errors
    /// As [`store::read`].
    pub fn chain(&self, keys: &Keys, now: OffsetDateTime) -> Result<Chain, Error> {
        store::read(&self.folder, keys, now)
    }

    /// When and why it was revoked, if it was.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn revocation(&self) -> Result<Option<SignerRevocation>, durable_files::Error> {
        revocation(&self.folder)
    }

    /// Notes that nothing is signed for boards with it any more. The first note stays.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn revoke(&self, revoked: &SignerRevocation) -> Result<(), durable_files::Error> {
        let path = self.folder.file(REVOKED);
        let text =
            serde_json::to_vec(revoked).map_err(|e| durable_files::Error::io("write", &path, e.into()))?;
        durable_files::write(&path, &text, Access::Public)
    }

    /// How long it can still sign.
    pub fn left(&self, now: OffsetDateTime) -> Duration {
        self.certificate.facts().not_after - now
    }
}

/// The home of a retired signer.
pub fn retired(home: &Home, key_id: &str) -> Home {
    Home::at(home.file(RETIRED).join(key_id))
}

/// Every signer: the current one, then the retired ones, the youngest first.
///
/// # Errors
/// [`Error::Rotating`] while a whole chain is exchanged; of reading a certificate, and of the files.
pub fn all(home: &Home) -> Result<Vec<Authority>, Error> {
    if exchange::is_chain_under_way(home) {
        return Err(Error::Rotating { folder: home.root().to_owned() });
    }
    let current = Authority::read(home.clone(), true)?;
    let mut retired = Vec::new();
    for folder in folders(home)? {
        retired.extend(Authority::read(folder, false)?);
    }
    // An interrupted rotation has the old signer in both places.
    retired.retain(|old| {
        current.as_ref().is_none_or(|current| current.subject_key_identifier != old.subject_key_identifier)
    });
    retired.sort_by_key(|old| std::cmp::Reverse(old.certificate.facts().not_before));
    Ok(current.into_iter().chain(retired).collect())
}

/// Whether this has the form of a subject key identifier: 40 hex digits.
pub fn is_key_identifier(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn folders(home: &Home) -> Result<Vec<Home>, durable_files::Error> {
    let path = home.file(RETIRED);
    let named = |entry: &folder::Entry| {
        entry.path.file_name().and_then(|name| name.to_str()).is_some_and(is_key_identifier)
    };
    let folders = folder::entries(&path)?.unwrap_or_default().into_iter().filter(named);
    folders
        .map(|Entry { path, kind }| match kind {
            // What it leads to could be the signer whose lists are missed.
            Kind::Link => Err(durable_files::Error::Symlink { path }),
            _ => Ok(Home::at(path)),
        })
        .collect()
}

/// The signer that a user means: `current`, or its key identifier or certificate id, or the beginning of either.
///
/// # Errors
/// [`Error::NoAuthority`].
pub fn find(authorities: Vec<Authority>, name: &str) -> Result<Authority, Error> {
    let known: Vec<String> =
        authorities.iter().map(|authority| authority.subject_key_identifier.clone()).collect();
    let wanted = name.to_ascii_lowercase();
    let means = |authority: &Authority| match wanted.as_str() {
        "current" => authority.current,
        wanted => {
            wanted.len() >= SHORTEST_PREFIX
                && (authority.subject_key_identifier.starts_with(wanted)
                    || authority.certificate_id().starts_with(wanted))
        }
    };
    let mut meant: Vec<_> = authorities.into_iter().filter(means).collect();
    match (meant.pop(), meant.is_empty()) {
        (Some(authority), true) => Ok(authority),
        _ => Err(Error::NoAuthority { name: name.to_owned(), known }),
    }
}

/// The signer that issued a certificate.
pub fn issuer<'a>(authorities: &'a [Authority], certificate: &Certificate) -> Option<&'a Authority> {
    authorities.iter().find(|authority| certificate.is_signed_by(&authority.certificate))
}

/// The signer that a certificate names as its issuer. The signature is not verified: see [`issuer`].
pub fn named_issuer<'a>(authorities: &'a [Authority], certificate: &Certificate) -> Option<&'a Authority> {
    authorities.iter().find(|authority| certificate.names_as_issuer(&authority.certificate))
}
