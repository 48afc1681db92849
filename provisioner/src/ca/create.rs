//! Making root and signer CA: once, in an order in which an interrupted run can be continued.

use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::key::Keys;
use super::store::{
    self, FILES, ROOT_CERTIFICATE, Role, SIGNER_CERTIFICATE, SIGNER_REQUEST, exists, incomplete,
};
use super::{Certificate, Chain, Error, Purpose, Signer, certificate, profile};
use crate::home::{self, Access, Home};

/// The names of a new chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The root's.
    pub root: profile::Name,
    /// The signer's.
    pub signer: profile::Name,
}

/// The organisation of a chain unless the user says another. Short, because it is in every certificate that goes to a
/// board over the serial line.
pub const DEFAULT_ORGANISATION: &str = "Zero Touch";

impl Names {
    /// Names within an organisation; the common names are made from it unless given.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(organisation: &str, root: Option<&str>, signer: Option<&str>) -> Result<Self, Error> {
        let name = |given: Option<&str>, role| {
            let common_name = given.map_or_else(|| format!("{organisation} {role}"), str::to_owned);
            profile::Name::new(organisation, &common_name)
        };
        Ok(Self { root: name(root, "Root CA")?, signer: name(signer, "Signer FFFF")? })
    }
}

/// What [`create`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Files that were made, in order. Empty if a valid chain was there already.
    pub made: Vec<String>,
    /// New names of files that were there before and had to make room.
    pub set_aside: Vec<String>,
}

/// Makes root and signer CA, or finishes what an interrupted run began. A chain that is there and valid stays as it is.
/// With `force` everything is made anew, and the old files keep their bytes under a name with the time.
///
/// # Errors
/// Whatever is wrong with a chain that is there ([`Chain::new`]); [`Error::Incomplete`] where files are missing that
/// an interrupted run would have left; [`home::Error`].
pub fn create(
    home: &Home,
    keys: &Keys,
    names: &Names,
    force: bool,
    now: OffsetDateTime,
) -> Result<Created, crate::Error> {
    let _lock = home.lock()?;
    let mut created = Created::default();
    if force {
        // Last made, first aside: if this is interrupted, what remains is still a beginning.
        let stamp = now
            .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
            .unwrap_or_else(|_| now.unix_timestamp().to_string());
        for file in FILES.iter().rev().filter(|f| exists(home, f)) {
            let aside = home::set_aside(&home.file(file), &stamp)?;
            created.set_aside.extend(aside.file_name().map(|n| n.to_string_lossy().into_owned()));
        }
        keys.close();
    }
    if exists(home, SIGNER_CERTIFICATE) {
        store::current(home, keys, now)?;
        return Ok(created);
    }
    let interrupted = FILES.iter().skip_while(|f| exists(home, f)).all(|f| !exists(home, f));
    if !interrupted {
        return Err(incomplete(home).into());
    }

    let root_key = key(home, keys, Role::Root, &mut created)?;
    let root = match store::certificate(home, ROOT_CERTIFICATE)? {
        Some(root) => root,
        None => {
            let params = profile::root(&names.root, root_key.open()?.public(), now)?;
            let root = root_key.self_signed(Purpose::RootCertificate, &params)?;
            keep(home, ROOT_CERTIFICATE, &root.to_pem(), &mut created)?;
            root
        }
    };
    // Of the right key, whether it was made now or was there.
    let root_key = store::key_of(home, keys, Role::Root, &root)?;

    signer(home, keys, &names.signer, (&root, &root_key), now, &mut created)?;
    Ok(created)
}

/// Makes a signer CA under `root`, whose key comes with it, or finishes what an interrupted run began.
pub(super) fn signer(
    home: &Home,
    keys: &Keys,
    name: &profile::Name,
    (root, root_key): (&Certificate, &Signer),
    now: OffsetDateTime,
    created: &mut Created,
) -> Result<(), crate::Error> {
    let signer_key = key(home, keys, Role::Signer, created)?;
    let request = signer_key.issue(Purpose::SigningRequest, |key| {
        Ok(profile::signing_request(name).serialize_request(key)?.der().to_vec())
    })?;
    keep(home, SIGNER_REQUEST, &certificate::pem_of("CERTIFICATE REQUEST", request), created)?;
    let public = *signer_key.open()?.public();
    let params = profile::signer(name, &public, now)?;
    let signer = root_key.certificate(Purpose::SignerCertificate, &params, &public, root)?;
    // Nothing is called a signer that the next run would refuse.
    Chain::new(root.clone(), signer.clone(), store::key_of(home, keys, Role::Signer, &signer)?, now)?;
    keep(home, SIGNER_CERTIFICATE, &signer.to_pem(), created)?;
    Ok(())
}

/// The key of a new certificate authority: the one an interrupted run has left, or a new one.
fn key(home: &Home, keys: &Keys, role: Role, created: &mut Created) -> Result<Signer, crate::Error> {
    let uri = store::key_uri(home, role)?;
    if keys.open(&uri)?.is_none() {
        keys.make(&uri)?;
        created.made.push(role.key_file().to_owned());
    }
    Ok(Signer::new(keys, uri))
}

fn keep(home: &Home, file: &str, text: &str, created: &mut Created) -> Result<(), home::Error> {
    home::write(&home.file(file), text.as_bytes(), Access::Public)?;
    created.made.push(file.to_owned());
    Ok(())
}
