//! The files of the certificate authorities in the home folder, read as a whole.
//!
//! A CA's key is in its own file unless `root-ca.uri` or `signer-ca.uri` says where else it is.

use device_pki::key::{self, Keys, Uri};
use device_pki::revocation::Reason;
use device_pki::{Certificate, Chain, Holder, Signer, chain};
use durable_files::Access;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::serde::rfc3339;

use super::home::{Home, RETIRED};
pub use super::home::{
    ROOT_CERTIFICATE, ROOT_KEY, ROOT_KEY_URI, SIGNER_CERTIFICATE, SIGNER_KEY, SIGNER_KEY_URI, SIGNER_REQUEST,
    SIGNER_REVOKED, VERIFICATION_CERTIFICATE,
};
use super::{Error, exchange};
use crate::state;

/// What the certificates of the chain are called in messages.
pub const NAMES: chain::Names = chain::Names { root: ROOT_CERTIFICATE, signer: SIGNER_CERTIFICATE };

/// What belongs to a signer in the home folder. The certificate comes last: until then the old one is the signer.
pub(crate) const SIGNER_FILES: [&str; 6] = [
    SIGNER_KEY,
    SIGNER_KEY_URI,
    SIGNER_REQUEST,
    VERIFICATION_CERTIFICATE,
    SIGNER_REVOKED,
    SIGNER_CERTIFICATE,
];

/// What belongs to a root CA beside it.
pub(crate) const ROOT_FILES: [&str; 3] = [ROOT_KEY, ROOT_KEY_URI, ROOT_CERTIFICATE];

/// What belongs to a root CA and its signer CA.
pub(crate) fn chain_files() -> impl Iterator<Item = &'static str> {
    ROOT_FILES.into_iter().chain(SIGNER_FILES)
}

/// A certificate authority of the home folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The root CA.
    Root,
    /// The signer CA.
    Signer,
}

impl Role {
    /// The file of its key, if the key is in a file of the home.
    pub fn key_file(self) -> &'static str {
        match self {
            Self::Root => ROOT_KEY,
            Self::Signer => SIGNER_KEY,
        }
    }

    /// The file that says where its key is, if the key is somewhere else: one line, a key URI.
    pub fn uri_file(self) -> &'static str {
        match self {
            Self::Root => ROOT_KEY_URI,
            Self::Signer => SIGNER_KEY_URI,
        }
    }

    /// The file of its certificate.
    pub fn certificate_file(self) -> &'static str {
        match self {
            Self::Root => ROOT_CERTIFICATE,
            Self::Signer => SIGNER_CERTIFICATE,
        }
    }
}

/// When and why a signer was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerRevocation {
    /// When, RFC 3339, UTC.
    #[serde(with = "rfc3339")]
    pub when: OffsetDateTime,
    /// Why.
    pub reason: Reason,
}

/// Reads the chain and checks it as a whole. The root's key is checked where it is there, and not needed. Keys that
/// need a passphrase or a call are opened when they sign.
///
/// # Errors
/// [`Error::SignerRevoked`], [`Error::Rotating`], [`Error::Missing`], [`Error::Incomplete`], [`device_pki::Error::Malformed`], [`device_pki::key::Error`], whatever [`Chain::new`]
/// finds; [`durable_files::Error::Exposed`] for a key that others can read.
pub fn load(home: &Home, keys: &Keys, now: OffsetDateTime) -> Result<Chain, Error> {
    // Nobody changes the signer meanwhile. Nothing is made for the sake of a lock.
    let _lock = home.lock_shared_existing()?;
    current(home, keys, now)
}

/// As [`load`], for callers that have locked the home folder.
pub(crate) fn current(home: &Home, keys: &Keys, now: OffsetDateTime) -> Result<Chain, Error> {
    if exchange::under_way(home).is_some() {
        return Err(Error::Rotating { folder: home.root().to_owned() });
    }
    check_in_service(home)?;
    read(home, keys, now)
}

/// Refuses a signer that was revoked, perhaps since it was loaded.
///
/// # Errors
/// [`Error::SignerRevoked`], [`durable_files::Error::Io`].
pub fn check_in_service(home: &Home) -> Result<(), Error> {
    match revocation(home)? {
        Some(revoked) => Err(Error::SignerRevoked { folder: home.root().to_owned(), when: revoked.when }),
        None => Ok(()),
    }
}

/// As [`load`], for a signer that may be revoked: it still signs lists of what it has revoked.
///
/// # Errors
/// As [`load`], without [`Error::SignerRevoked`].
pub fn read(home: &Home, keys: &Keys, now: OffsetDateTime) -> Result<Chain, Error> {
    check_closed(home)?;
    let (roots, signers) = (certificates(home, Role::Root)?, certificates(home, Role::Signer)?);
    let (Some(root), Some(signer)) = select(home, &roots, &signers, now) else {
        return Err(incomplete(home));
    };
    if !has_key(home, Role::Signer) {
        return Err(incomplete(home));
    }
    // A key of another kind signs nothing here, and nothing but the root's own signatures needs it.
    let is_root_key = root.point().is_some() && has_key(home, Role::Root);
    let root_key = is_root_key.then(|| key_of(home, keys, Role::Root, root)).transpose()?;
    let key = key_of(home, keys, Role::Signer, signer)?;
    // The CAs between the two may be in either file.
    let others: Vec<_> = roots.iter().chain(&signers).cloned().collect();
    let chain = Chain::new(root.clone(), &others, signer.clone(), key, NAMES, now)?;
    root_key.as_ref().map_or(Ok(()), Signer::check)?;
    chain.key().check()?;
    Ok(chain)
}

/// Refuses key files that others can read: all of them by one error.
///
/// # Errors
/// [`Error::ExposedKeys`]; a folder or a key that cannot be read.
pub fn check_closed(home: &Home) -> Result<(), Error> {
    let keys = home.exposed_keys()?;
    if keys.is_empty() { Ok(()) } else { Err(Error::ExposedKeys { keys }) }
}

/// When and why the signer in `folder` was revoked, if it was. A note that cannot be read counts.
///
/// # Errors
/// [`durable_files::Error::Io`].
pub fn revocation(folder: &Home) -> Result<Option<SignerRevocation>, durable_files::Error> {
    let unknown = SignerRevocation { when: OffsetDateTime::UNIX_EPOCH, reason: Reason::Unspecified };
    let mut text = durable_files::read(&folder.file(SIGNER_REVOKED))?;
    if text.is_none() {
        // A signer that was retired is revoked also where its files are put into their place again.
        let signer = match certificate(folder, Role::Signer) {
            Err(Error::File(error)) => return Err(error),
            signer => signer.unwrap_or_default(),
        };
        let key = signer.and_then(|signer| signer.facts().subject_key_identifier.clone());
        if let Some(key) = key {
            text = durable_files::read(&folder.file(RETIRED).join(key).join(SIGNER_REVOKED))?;
        }
    }
    Ok(text.map(|text| serde_json::from_slice(&text).unwrap_or(unknown)))
}

/// The key of a certificate authority, to sign with: it has to be the one of `certificate`.
///
/// # Errors
/// [`Error::KeyUri`], [`durable_files::Error::Io`].
pub fn key_of(home: &Home, keys: &Keys, role: Role, certificate: &Certificate) -> Result<Signer, Error> {
    let holder = Holder {
        certificate: certificate.clone(),
        certificate_name: role.certificate_file(),
        key_name: role.key_file(),
    };
    Ok(Signer::of(keys, key_uri(home, role)?, holder))
}

/// The root and its key, which has to be here now. It is where `uri` says, or where the home folder says.
///
/// # Errors
/// [`Error::Missing`], [`Error::Incomplete`]; [`Error::RootOffline`]; [`device_pki::Error::RootKey`]; as [`Signer::open`].
pub fn root(home: &Home, keys: &Keys, uri: Option<&Uri>) -> Result<(Certificate, Signer), Error> {
    check_closed(home)?;
    let root = certificate(home, Role::Root)?.ok_or_else(|| incomplete(home))?;
    if root.point().is_none() {
        let found = root.key_kind();
        return Err(device_pki::Error::RootKey { certificate: ROOT_CERTIFICATE, found }.into());
    }
    let key = match uri {
        Some(uri) => {
            let holder = Holder {
                certificate: root.clone(),
                certificate_name: ROOT_CERTIFICATE,
                key_name: "the key that was named for the root",
            };
            Signer::of(keys, uri.clone(), holder)
        }
        None => key_of(home, keys, Role::Root, &root)?,
    };
    match key.open() {
        Err(device_pki::Error::NoKey { uri }) => Err(Error::RootOffline { uri }),
        Err(error) => Err(error.into()),
        Ok(_) => Ok((root, key)),
    }
}

/// Where the key of a certificate authority is.
///
/// # Errors
/// [`Error::KeyUri`], [`durable_files::Error::Io`].
pub fn key_uri(home: &Home, role: Role) -> Result<Uri, Error> {
    let file = role.uri_file();
    let Some(text) = durable_files::read(&home.file(file))? else {
        return Ok(Uri::File(home.file(role.key_file())));
    };
    let text = String::from_utf8_lossy(&text);
    text.trim().parse().map_err(|source| Error::KeyUri { file, source })
}

/// Whether the home folder has the key, or says where it is.
pub fn has_key(home: &Home, role: Role) -> bool {
    exists(home, role.key_file()) || exists(home, role.uri_file())
}

/// Keeps the verification certificate of [`device_pki::verification_certificate`] where iotprovision has it.
///
/// # Errors
/// [`durable_files::Error`].
pub fn keep_verification_certificate(
    home: &Home,
    certificate: &Certificate,
) -> Result<(), durable_files::Error> {
    durable_files::write(
        &home.file(VERIFICATION_CERTIFICATE),
        certificate.to_pem().as_bytes(),
        Access::Public,
    )
}

pub(crate) fn incomplete(home: &Home) -> Error {
    let folder = home.root().to_owned();
    if !chain_files().any(|f| exists(home, f)) {
        return Error::Missing { folder };
    }
    let needed = [ROOT_CERTIFICATE, SIGNER_KEY, SIGNER_CERTIFICATE];
    let there = |file: &str| exists(home, file) || file == SIGNER_KEY && has_key(home, Role::Signer);
    let mut files: Vec<_> = needed.into_iter().filter(|f| !there(f)).collect();
    if files == [SIGNER_CERTIFICATE] && !has_key(home, Role::Root) {
        files.insert(0, ROOT_KEY);
    }
    Error::Incomplete { folder, files }
}

pub(crate) fn exists(home: &Home, file: &str) -> bool {
    home.file(file).symlink_metadata().is_ok()
}

/// The certificate of a certificate authority of the home; `None` where there is no such file. The file may have the certificates
/// of CAs above it as well, and those that were renewed, in any order: see [`chain::select`].
///
/// # Errors
/// [`durable_files::Error::Io`]; [`device_pki::Error::Malformed`].
pub fn certificate(home: &Home, role: Role) -> Result<Option<Certificate>, Error> {
    let own = certificates(home, role)?;
    // What is wrong with the other file is told where that one is needed.
    let of = |other| if own.len() < 2 { Vec::new() } else { certificates(home, other).unwrap_or_default() };
    let found = match role {
        Role::Root => select(home, &own, &of(Role::Signer), state::now()).0.cloned(),
        Role::Signer => select(home, &of(Role::Root), &own, state::now()).1.cloned(),
    };
    Ok(found)
}

/// Every certificate in the file of a certificate authority; none where there is no such file.
fn certificates(home: &Home, role: Role) -> Result<Vec<Certificate>, Error> {
    let file = role.certificate_file();
    let malformed = |source| device_pki::Error::Malformed { file: file.to_owned(), source };
    let bytes = durable_files::read(&home.file(file))?;
    Ok(bytes.map(|bytes| Certificate::read_all(&bytes).map_err(malformed)).transpose()?.unwrap_or_default())
}

/// The root and the signer among the certificates of their files.
fn select<'a>(
    home: &Home,
    roots: &'a [Certificate],
    signers: &'a [Certificate],
    now: OffsetDateTime,
) -> (Option<&'a Certificate>, Option<&'a Certificate>) {
    let points = match key_uri(home, Role::Signer) {
        Ok(Uri::File(path)) if signers.len() > 1 => key::file::points(&path),
        _ => Vec::new(),
    };
    chain::select(roots, signers, &points, now)
}
