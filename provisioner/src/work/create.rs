//! Making root and signer CA: once, in an order in which an interrupted run can be continued.

use std::fs;
use std::path::Path;

use device_pki::Issuer;
use device_pki::key::{Keys, Uri};
use device_pki::{Chain, PUBLIC_KEY_SIZE, Purpose, Signer, certificate, profile};
use durable_files::Access;
use durable_files::folder::{self, Lock};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{AuthorityError, Error, exchange};
use crate::state::authorities;
use crate::state::exchange::{Exchange, NEXT, new_chain, next, under_way};
use crate::state::home::{Home, RETIRED};
use crate::state::store::{
    self, ROOT_CERTIFICATE, Role, SIGNER_CERTIFICATE, SIGNER_REQUEST, VERIFICATION_CERTIFICATE, chain_files,
    exists, has_key, incomplete,
};

/// The names of a new chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The root's.
    pub root: profile::Name,
    /// The signer's.
    pub signer: profile::Name,
}

impl Names {
    /// Names within an organisation; the common names are made from it unless given.
    ///
    /// # Errors
    /// [`device_pki::Error::Name`].
    pub fn new(
        organisation: &str,
        root: Option<&str>,
        signer: Option<&str>,
    ) -> Result<Self, device_pki::Error> {
        let name = |given: Option<&str>, role| {
            let common_name = given.map_or_else(|| format!("{organisation} {role}"), str::to_owned);
            profile::Name::new(organisation, &common_name)
        };
        Ok(Self { root: name(root, "Root CA")?, signer: name(signer, "Signer FFFF")? })
    }
}

/// What [`Plan::carry_out`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Files that were made, in order. Empty if a valid chain was there already.
    pub made: Vec<String>,
    /// New names of files that were there before and had to make room.
    pub set_aside: Vec<String>,
}

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// How root and signer are called.
    pub names: Names,
    /// Where the root's key is or is to be; in a file of the home unless it is said.
    pub root_key: Option<Uri>,
    /// Where the signer's key is or is to be; in a file of the home unless it is said.
    pub signer_key: Option<Uri>,
    /// Encrypt the key files that are made.
    pub encrypt: bool,
    /// Make everything anew, and keep the old files aside.
    pub force: bool,
}

impl Order {
    /// Root and signer with these names and new keys in files of the home.
    pub fn new(names: Names) -> Self {
        Self { names, root_key: None, signer_key: None, encrypt: false, force: false }
    }

    /// The same, made in another folder than `home`: a key whose usual place is ordered has it there.
    fn at_home(&self, home: &Home) -> Self {
        let elsewhere =
            |role, place: &Option<Uri>| place.clone().filter(|place| !is_usual_place(home, role, place));
        let (root_key, signer_key) =
            (elsewhere(Role::Root, &self.root_key), elsewhere(Role::Signer, &self.signer_key));
        Self { root_key, signer_key, ..self.clone() }
    }

    fn key(&self, role: Role) -> KeyOrder<'_> {
        let place = match role {
            Role::Root => self.root_key.as_ref(),
            Role::Signer => self.signer_key.as_ref(),
        };
        KeyOrder { place, encrypt: self.encrypt }
    }
}

/// What is ordered of the key of a certificate authority.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyOrder<'a> {
    /// Where it is or is to be; where the home says unless it is said.
    pub(super) place: Option<&'a Uri>,
    /// Encrypt the file if one is made.
    pub(super) encrypt: bool,
}

/// What becomes of a key or a file of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It keeps its bytes under a name with the time.
    SetAside,
    /// It is made.
    Create,
    /// It is there and used.
    Leave,
}

/// What is to be made, and what is there. Making the plan changes nothing.
#[derive(Debug)]
pub struct Plan {
    order: Order,
    /// Where an interrupted run has made a chain that is not in place yet.
    unfinished: Option<Home>,
    /// The files that are there.
    there: Vec<&'static str>,
    /// In the order in which they are made: keys by their URI, certificates by their file.
    steps: Vec<(Action, String)>,
    /// `None` where there is no home folder yet.
    lock: Option<Lock>,
}

impl Plan {
    /// Looks at what is there: a valid chain stays as it is, and what an interrupted run began is finished. With `force`
    /// everything is made anew. Keys that are there already are opened.
    ///
    /// # Errors
    /// Whatever is wrong with a chain that is there ([`Chain::new`]); [`crate::state::Error::Incomplete`] where files are missing
    /// that an interrupted run would have left; [`AuthorityError::OtherKey`], [`AuthorityError::NotEncrypted`] where what is there is
    /// not what is ordered; [`durable_files::Error`], [`device_pki::key::Error`].
    pub fn make(home: &Home, keys: &Keys, order: Order, now: OffsetDateTime) -> Result<Self, Error> {
        let lock = home.lock_existing()?;
        let there = files(home);
        if let Some(from) = under_way(home) {
            folder::check_writable(home.root())?;
            let new = Exchange::read(&from)?.files.into_iter();
            let steps = new.map(|file| (Action::Create, file)).collect();
            return Ok(Self { order, unfinished: Some(from), there, steps, lock });
        }
        let set_aside = there.iter().filter(|_| order.force);
        let mut steps: Vec<_> = set_aside.map(|file| (Action::SetAside, (*file).to_owned())).collect();
        let stays = |file: &str| !order.force && exists(home, file);
        match order.force {
            // What was opened is set aside.
            true => keys.close(),
            false => check_there(home, keys, &order, now)?,
        }
        if !stays(SIGNER_CERTIFICATE) {
            profile::check_clock(now)?;
            folder::check_writable(home.root())?;
            if stays(ROOT_CERTIFICATE) {
                let (root, _) = store::root(home, keys, None)?;
                let organisation = order.names.signer.organisation.as_deref();
                device_pki::chain::check_issuer(&root, ROOT_CERTIFICATE, organisation, now)?;
            }
        }
        for role in [Role::Root, Role::Signer] {
            let place = match order.key(role).place {
                Some(place) => place.clone(),
                None if order.force => Uri::File(home.file(role.key_file())),
                None => store::key_uri(home, role)?,
            };
            // A certificate that is there was checked with its key, which may be offline.
            let certificate = stays(role.certificate_file());
            let is_aside = order.force && is_usual_place(home, role, &place);
            let key = match certificate {
                true => has_key(home, role),
                false if is_aside => false,
                false => match keys.open(&place)? {
                    Some(key) => check_not_revoked(home, &key.public().0, &place).map(|_| true)?,
                    None => false,
                },
            };
            let action = |there| if there { Action::Leave } else { Action::Create };
            if key || !certificate {
                steps.push((action(key), place.to_string()));
            }
            if !key && !certificate {
                check_new_key(home, keys, &place, order.encrypt)?;
            }
            if role == Role::Signer {
                steps.push((action(certificate), SIGNER_REQUEST.to_owned()));
            }
            steps.push((action(certificate), role.certificate_file().to_owned()));
        }
        Ok(Self { order, unfinished: None, there, steps, lock })
    }

    /// Whether a signer CA is replaced that may have issued certificates.
    pub fn replaces_a_signer(&self) -> bool {
        self.order.force && self.unfinished.is_none() && self.there.contains(&SIGNER_CERTIFICATE)
    }

    /// What is done about each key and file, in order.
    pub fn steps(&self) -> &[(Action, String)] {
        &self.steps
    }

    /// Makes root and signer CA.
    ///
    /// # Errors
    /// As [`Plan::make`]; [`durable_files::Error::Busy`] if another run has begun a chain meanwhile.
    pub fn carry_out(self, home: &Home, keys: &Keys, now: OffsetDateTime) -> Result<Created, Error> {
        let Self { order, unfinished, there, steps, lock } = self;
        let mut created = Created::default();
        if unfinished.is_none() && steps.iter().all(|(action, _)| *action == Action::Leave) {
            folder::sweep(home.root());
            return Ok(created);
        }
        let _lock = home.locked(lock)?;
        // Without a lock until now, another run may have begun a chain.
        if files(home) != there {
            return Err(durable_files::Error::Busy { path: home.root().to_owned() }.into());
        }
        if let Some(from) = unfinished {
            created.made = steps.into_iter().map(|(_, file)| file).collect();
            created.set_aside = exchange::finish(home, &from, keys)?;
            return Ok(created);
        }
        if !order.force {
            chain(home, keys, &order, now, &mut created)?;
            return Ok(created);
        }
        // Until it is whole, the old one stays as it is.
        let new = new_chain(home);
        new.create()?;
        folder::clear(new.root())?;
        if let Err(error) = chain(&new, keys, &order.at_home(home), now, &mut created) {
            // What remains is in nobody's way, and the next run removes it.
            let _ = folder::remove(new.root());
            return Err(error);
        }
        let stamp = free_stamp(home, now);
        let begun = next(home);
        if begun.root().exists() {
            // A signer that an interrupted rotation has made under the old root.
            durable_files::set_aside(begun.root(), &stamp)?;
        }
        created.set_aside = exchange::carry_out(home, &new, Some(stamp), keys)?;
        Ok(created)
    }
}

/// Makes root and signer CA in a folder, or what is missing of them.
fn chain(
    home: &Home,
    keys: &Keys,
    order: &Order,
    now: OffsetDateTime,
    created: &mut Created,
) -> Result<(), Error> {
    let root_key = key(home, keys, order.key(Role::Root), Role::Root, created)?;
    let root = match store::certificate(home, Role::Root)? {
        Some(root) => root,
        None => {
            let params = profile::root(&order.names.root, root_key.open()?.public(), now)?;
            let root = root_key.self_signed(Purpose::RootCertificate, &params)?;
            keep(home, ROOT_CERTIFICATE, &root.to_pem(), created)?;
            root
        }
    };
    // Of the right key, whether it was made now or was there.
    let root_key = store::key_of(home, keys, Role::Root, &root)?;
    let issuer = Issuer { certificate: &root, key: &root_key };
    signer(home, keys, order.key(Role::Signer), &order.names.signer, issuer, now, created)
}

/// What old files get behind their names: the time, and a number where that is taken.
fn free_stamp(home: &Home, now: OffsetDateTime) -> String {
    let time = now
        .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .unwrap_or_else(|_| now.unix_timestamp().to_string());
    let next = format!("{RETIRED}/{NEXT}");
    let is_free = |stamp: &String| {
        let is_taken = |file: &str| exists(home, &format!("{file}.{stamp}"));
        !is_taken(&next) && !chain_files().any(is_taken)
    };
    let numbered = (2..).map(|number| format!("{time}-{number}"));
    std::iter::once(time.clone()).chain(numbered).find(is_free).unwrap_or(time)
}

/// Whether a new key can be made at a place: a file needs its folder, and a passphrase if it is to be encrypted. The
/// passphrase is asked for now.
pub(super) fn check_new_key(home: &Home, keys: &Keys, place: &Uri, encrypt: bool) -> Result<(), Error> {
    let Uri::File(path) = place else { return Ok(()) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !path.starts_with(home.root()) {
        // Only the folders of the home are made.
        fs::metadata(folder).map_err(|source| durable_files::Error::io("write", path, source))?;
    }
    if encrypt {
        folder::check_writable(folder)?;
        keys.choose_passphrase(place)?;
    } else {
        folder::check_closable(folder, path)?;
    }
    Ok(())
}

/// The files of a chain that are there.
fn files(home: &Home) -> Vec<&'static str> {
    chain_files().filter(|file| exists(home, file)).collect()
}

/// Whether what is there is as it is ordered, and whole or the beginning that an interrupted run leaves.
fn check_there(home: &Home, keys: &Keys, order: &Order, now: OffsetDateTime) -> Result<(), Error> {
    for role in [Role::Root, Role::Signer] {
        check_key_there(home, keys, order, role)?;
    }
    if exists(home, SIGNER_CERTIFICATE) {
        store::current(home, keys, now)?;
        return Ok(());
    }
    let stages = [
        has_key(home, Role::Root),
        exists(home, ROOT_CERTIFICATE),
        has_key(home, Role::Signer),
        exists(home, SIGNER_REQUEST),
        exists(home, SIGNER_CERTIFICATE),
        exists(home, VERIFICATION_CERTIFICATE),
    ];
    let interrupted = stages.iter().skip_while(|there| **there).all(|there| !there);
    if interrupted { Ok(()) } else { Err(incomplete(home).into()) }
}

/// Makes a signer CA under `root`, whose key comes with it, or finishes what an interrupted run began. Its own key is where
/// it is ordered to be, or where the home says; a key file is encrypted if that is ordered.
pub(super) fn signer(
    home: &Home,
    keys: &Keys,
    ordered: KeyOrder<'_>,
    name: &profile::Name,
    root: Issuer<'_>,
    now: OffsetDateTime,
    created: &mut Created,
) -> Result<(), Error> {
    let signer_key = key(home, keys, ordered, Role::Signer, created)?;
    let request = signer_key.issue(Purpose::SigningRequest, |key| {
        Ok(profile::signing_request(name).serialize_request(key)?.der().to_vec())
    })?;
    keep(home, SIGNER_REQUEST, &certificate::pem_of("CERTIFICATE REQUEST", request), created)?;
    let public = *signer_key.open()?.public();
    let content = profile::signer(name, &public, now)?.until(root.certificate.facts().not_after);
    let signer = root.key.certificate(Purpose::SignerCertificate, &content, root.certificate)?;
    // Nothing is called a signer that the next run would refuse.
    let signer_key = store::key_of(home, keys, Role::Signer, &signer)?;
    Chain::new(root.certificate.clone(), &[], signer.clone(), signer_key, store::NAMES, now)?;
    keep(home, SIGNER_CERTIFICATE, &signer.to_pem(), created)?;
    Ok(())
}

/// A key that is there has to be where it is ordered to be, and as it is ordered.
fn check_key_there(home: &Home, keys: &Keys, order: &Order, role: Role) -> Result<(), Error> {
    if !has_key(home, role) {
        return Ok(());
    }
    let there = store::key_uri(home, role)?;
    if let Some(ordered) = order.key(role).place
        && !ordered.means(&there)
    {
        return Err(AuthorityError::OtherKey { there, ordered: ordered.clone() }.into());
    }
    if order.encrypt && keys.is_in_the_clear(&there)? {
        return Err(AuthorityError::NotEncrypted { file: role.key_file() }.into());
    }
    Ok(())
}

/// The key of a new certificate authority: the one that is at the ordered place, or a new one there.
fn key(
    home: &Home,
    keys: &Keys,
    KeyOrder { place, encrypt }: KeyOrder<'_>,
    role: Role,
    created: &mut Created,
) -> Result<Signer, Error> {
    let recorded = exists(home, role.uri_file());
    // A record of the file's usual place would name the next signer's key once this one is retired.
    let ordered = place.filter(|uri| !is_usual_place(home, role, uri));
    let asked = match ordered {
        Some(ordered) if !recorded => ordered.clone(),
        _ => store::key_uri(home, role)?,
    };
    let mut uri = asked.clone();
    let of = store::certificate(home, role)?.and_then(|certificate| certificate.point());
    if keys.open_of(&uri, of)?.is_none() {
        uri = match uri.requested().map_err(device_pki::Error::from)? {
            Some(requested) => make_elsewhere(home, keys, role, &requested, recorded.then_some(&asked))?,
            None => keys.make(&uri, encrypt)?,
        };
        if ordered.is_none() && !recorded {
            created.made.push(role.key_file().to_owned());
        }
    }
    // What was made may have more of a name than what was asked for.
    if ordered.is_some() && !recorded || recorded && uri != asked {
        keep(home, role.uri_file(), &format!("{uri}\n"), created)?;
    }
    Ok(Signer::new(keys, uri))
}

/// Makes a key in a service that may make it and not be able to say so. The request is recorded before: the next run finds
/// the key by it. Where it is certain that there is no key, the record is again as it was `before`.
fn make_elsewhere(
    home: &Home,
    keys: &Keys,
    role: Role,
    requested: &Uri,
    before: Option<&Uri>,
) -> Result<Uri, Error> {
    let record = home.file(role.uri_file());
    let write = |uri: &Uri| durable_files::write(&record, format!("{uri}\n").as_bytes(), Access::Public);
    write(requested)?;
    keys.make(requested, false).map_err(|error| {
        let restored = match before {
            _ if may_have_been_made(&error) => Ok(()),
            Some(before) => write(before),
            None => durable_files::remove(&record),
        };
        restored.map_or_else(Error::from, |()| error.into())
    })
}

fn may_have_been_made(error: &device_pki::Error) -> bool {
    let device_pki::Error::Key(device_pki::key::Error::Aws(cause)) = error else { return true };
    cause.downcast_ref().is_none_or(iot_account::Error::is_undecided)
}

/// Whether a key is in the home's own file for it, which nothing records.
pub(super) fn is_usual_place(home: &Home, role: Role, uri: &Uri) -> bool {
    let usual = home.file(role.key_file());
    matches!(uri, Uri::File(path) if std::path::absolute(usual).is_ok_and(|usual| usual == *path))
}

fn keep(home: &Home, file: &str, text: &str, created: &mut Created) -> Result<(), durable_files::Error> {
    durable_files::write(&home.file(file), text.as_bytes(), Access::Public)?;
    created.made.push(file.to_owned());
    Ok(())
}

/// Refuses the key of a signer of this home that was revoked. Says whether it is the key of one at all.
///
/// # Errors
/// [`AuthorityError::RevokedKey`]; of reading the signers.
pub(super) fn check_not_revoked(
    home: &Home,
    point: &[u8; PUBLIC_KEY_SIZE],
    uri: &Uri,
) -> Result<bool, Error> {
    let mut signers = authorities::all(home)?;
    signers.retain(|signer| signer.certificate.point() == Some(*point));
    for signer in &signers {
        if let Some(revoked) = signer.revocation()? {
            let (when, reason) = (revoked.when, revoked.reason);
            return Err(AuthorityError::RevokedKey { uri: uri.clone(), when, reason }.into());
        }
    }
    Ok(!signers.is_empty())
}

#[cfg(test)]
mod tests;
