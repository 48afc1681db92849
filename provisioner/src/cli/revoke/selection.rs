//! Which certificates are meant: what is named, or every certificate of its key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use device_pki::Certificate;
use device_pki::revocation::Reason;
use iot_account::revoke::{self as account_revoke, Device, certificates_of};
use iot_account::{Account, certificates, counted};
use jitr::event::is_certificate_id;
use jitr::thing_name::{ThingName, ThingNameSource};
use time::OffsetDateTime;

use super::Order;
use super::target::{Target, chain_of};
use crate::cli::{Context, Error, certificate_file, values};
use crate::state::authorities::{self, Authority, is_key_identifier};
use crate::state::revocations::Records;
use crate::state::store;
use crate::work::inventory::{self, Known, Sources};

/// Fewer digits of a certificate id could be a typing error.
pub(in crate::cli) const SHORTEST_PREFIX: usize = 8;

/// What is named.
pub(super) enum Named {
    /// What a user has written: one of the next three.
    Text(values::Device),
    /// Every certificate of the keys of a thing.
    Thing(String),
    /// Every certificate of a key: its identifier.
    Key(String),
    /// These certificates, by id.
    Certificates(BTreeMap<String, Option<Certificate>>),
    /// These certificates, by id; the others of their keys are to stay.
    Superseded(Vec<String>),
}

/// The certificates that are meant.
pub(super) struct Selection {
    pub(super) targets: Vec<Target>,
    /// Certificates of the same keys that stay valid, by id, with the key.
    pub(super) others: Vec<(String, String)>,
    /// Certificates of the account that may be of the same key and were not looked at.
    pub(super) unseen: usize,
    /// Things of the account that are to be deleted, and whether each stays, because a certificate of another key is attached to it.
    pub(super) things: BTreeMap<String, bool>,
}

/// What certificates are looked for in.
struct Search<'a> {
    context: &'a Context,
    account: Option<&'a Account>,
    authorities: Vec<Authority>,
    known: BTreeMap<String, Known>,
    revoked: BTreeSet<String>,
    found: BTreeMap<String, Device>,
}

/// Finds the certificates that are meant, and opens the keys that are needed.
pub(super) async fn find(
    order: Order,
    context: &Context,
    account: Option<&Account>,
) -> Result<Selection, Error> {
    let _progress = context.progress("looking at the certificates");
    let sources = Sources::of(&context.home)?;
    if let damaged @ 1.. = sources.damaged {
        context.note(format_args!(
            "{} of the ledger cannot be read: a certificate in it may be missing here",
            counted(damaged, "line")
        ));
    }
    let revoked = sources.revocations.iter().map(|revocation| revocation.certificate_id.clone()).collect();
    let known = inventory::known(&sources);
    let Sources { authorities, .. } = sources;
    let mut search = Search { context, account, authorities, known, revoked, found: BTreeMap::new() };
    let named = match order.named {
        Named::Text(device) => {
            if let Some(account) = account {
                device.check(account).await?;
            }
            search.named(&device.name).await?
        }
        named => named,
    };
    let (whole, name) = match named {
        Named::Superseded(ids) => {
            for id in ids {
                search.look(&id, None).await?;
            }
            let targets = search.targets(order.reason, order.keep_thing).await?;
            return Ok(Selection { targets, others: Vec::new(), unseen: 0, things: BTreeMap::new() });
        }
        Named::Certificates(certificates) => {
            for (id, certificate) in certificates {
                search.look(&id, certificate).await?;
                if !search.is_known(&id) {
                    return Err(search.unknown(&id));
                }
            }
            (order.reason == Reason::KeyCompromise, None)
        }
        Named::Text(values::Device { name, .. }) | Named::Thing(name) => {
            search.thing(&name).await?;
            (true, Some(name))
        }
        Named::Key(key) => (true, Some(key)),
    };
    let mut keys: BTreeSet<String> = search.found.keys().filter_map(|id| search.key_of(id)).collect();
    keys.extend(name.clone().filter(|name| is_key_identifier(name)));
    let (others, unseen) = match whole {
        true => (Vec::new(), search.keys(&keys, name.as_deref()).await?),
        false => (search.others(&keys).await?, 0),
    };
    let things = match order.forget {
        true => search.things(name.as_deref()).await?,
        false => BTreeMap::new(),
    };
    if let (Some(name), true) = (&name, search.found.is_empty() && things.is_empty()) {
        return Err(search.unknown(name));
    }
    Ok(Selection { targets: search.targets(order.reason, order.keep_thing).await?, others, unseen, things })
}

impl Search<'_> {
    /// Nothing is known of what is named; or it is a signer CA, and no device.
    fn unknown(&self, name: &str) -> Error {
        let begins = |id: &str| name.len() >= SHORTEST_PREFIX && id.starts_with(&name.to_ascii_lowercase());
        let is_signer = self.authorities.iter().any(|authority| {
            begins(authority.certificate_id()) || begins(authority.subject_key_identifier())
        });
        match is_signer {
            true => Error::usage(
                format!("`{name}` is a signer CA, and no device"),
                format!("revoke the signer CA with: provisioner revoke --signer {name}"),
            ),
            false => {
                iot_account::Error::Revoke(account_revoke::Error::Unknown { name: name.to_owned() }).into()
            }
        }
    }

    /// What a name means: a file, a certificate id or the beginning of one that this computer or the account knows, or a
    /// thing.
    async fn named(&self, name: &str) -> Result<Named, Error> {
        let is_hex = name.bytes().all(|b| b.is_ascii_hexdigit());
        let id = name.to_ascii_lowercase();
        if is_key_identifier(&id) {
            return Ok(Named::Thing(id));
        }
        if is_certificate_id(name) {
            return Ok(Named::Certificates([(id, None)].into()));
        }
        // A pipe is as good as a file.
        if Path::new(name).exists() && !Path::new(name).is_dir() {
            return Ok(Named::Certificates(of_file(Path::new(name), |ca| self.is_authority(ca))?));
        }
        let is_thing = self.known.values().any(|known| known.thing_names.iter().any(|thing| thing == name));
        if is_hex && !is_thing && name.len() >= SHORTEST_PREFIX {
            let known = self.known.keys().filter(|known| known.starts_with(&id)).cloned().collect();
            let mut found = account_revoke::meant(name, known).map_err(iot_account::Error::Revoke)?;
            if let (None, Some(account)) = (&found, self.account)
                && certificates_of(account, name).await?.is_empty()
            {
                let listed = certificates::beginning_with(account, &id).await?;
                found = account_revoke::meant(name, listed).map_err(iot_account::Error::Revoke)?;
            }
            if let Some(id) = found {
                return Ok(Named::Certificates([(id, None)].into()));
            }
        }
        Ok(Named::Thing(name.to_owned()))
    }

    /// Whether a certificate that says it is a CA's is one. A self-signed device certificate says so, too, if `openssl req -x509`
    /// has made it.
    fn is_authority(&self, ca: &Certificate) -> bool {
        let root = store::certificate(&self.context.home, store::Role::Root).ok().flatten();
        let id = &ca.facts().certificate_id;
        let ours = self.authorities.iter().map(Authority::certificate_id);
        !ca.is_self_issued()
            || ours.chain(root.as_ref().map(|root| &*root.facts().certificate_id)).any(|our| our == id)
    }

    /// Looks at the certificates of a thing: those that this computer knows, and those that are attached to it.
    async fn thing(&mut self, name: &str) -> Result<(), Error> {
        let named = self.known.iter().filter(|(_, known)| known.is_of_thing(name));
        let ids: BTreeSet<String> = named.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.look(&id, None).await?;
        }
        // A thing that is named by a key may have a certificate of another key attached, which is another device's.
        if let (Some(account), false) = (self.account, is_key_identifier(name)) {
            for id in certificates_of(account, name).await? {
                self.look(&id, None).await?;
            }
        }
        Ok(())
    }

    /// Looks at every certificate of these keys. Says how many certificates of the account were not looked at. Where nothing is
    /// known of the thing of this name, those that are REVOKED are looked at, too: an earlier run has detached them.
    async fn keys(&mut self, keys: &BTreeSet<String>, thing: Option<&str>) -> Result<usize, Error> {
        let of_keys: Vec<String> = self.known.keys().filter(|id| self.is_of(id, keys)).cloned().collect();
        for id in of_keys {
            self.look(&id, None).await?;
        }
        let Some(account) = self.account else { return Ok(0) };
        // A thing is named by its key.
        for key in keys {
            for id in certificates_of(account, key).await? {
                let device = self.device(&id, None).await?;
                if key_of(&device).is_some_and(|key| keys.contains(&key)) {
                    self.found.entry(id).or_insert(device);
                }
            }
        }
        let seen: BTreeSet<&str> = self.known.keys().chain(self.found.keys()).map(String::as_str).collect();
        let cas = || self.authorities.iter().map(Authority::certificate_id);
        let is_nothing_found = self.found.is_empty();
        let (devices, unseen) = account_revoke::unknown(account, cas(), &seen, is_nothing_found).await?;
        for device in devices {
            let is_of_key = key_of(&device).is_some_and(|key| keys.contains(&key));
            if is_of_key || is_nothing_found && thing.is_some_and(|thing| is_named(&device, thing)) {
                self.found.insert(device.certificate_id.clone(), device);
            }
        }
        Ok(unseen)
    }

    /// The things of the certificates that were looked at, and the thing that is `named`, from which an earlier run may have
    /// detached them.
    async fn things(&self, named: Option<&str>) -> Result<BTreeMap<String, bool>, Error> {
        let Some(account) = self.account else { return Ok(BTreeMap::new()) };
        let mut names: BTreeSet<&str> =
            self.found.values().flat_map(|device| &device.things).map(String::as_str).collect();
        names.extend(named);
        let mut things = BTreeMap::new();
        for name in names {
            if let Some(attached) = account_revoke::attached_to(account, name).await? {
                let stays = attached.iter().any(|id| !self.found.contains_key(id));
                things.insert(name.to_owned(), stays);
            }
        }
        Ok(things)
    }

    /// The other certificates of these keys that are valid, with their keys.
    async fn others(&mut self, keys: &BTreeSet<String>) -> Result<Vec<(String, String)>, Error> {
        let mut ids: BTreeSet<String> =
            self.known.keys().filter(|id| self.is_of(id, keys)).cloned().collect();
        if let Some(account) = self.account {
            for key in keys {
                ids.extend(certificates_of(account, key).await?);
            }
        }
        let (mut others, now) = (Vec::new(), OffsetDateTime::now_utc());
        for id in ids {
            if self.found.contains_key(&id) || self.revoked.contains(&id) {
                continue;
            }
            let device = self.device(&id, None).await?;
            let ended =
                device.certificate.as_ref().is_some_and(|certificate| certificate.facts().not_after < now);
            let key = key_of(&device).or_else(|| self.known.get(&id)?.subject_key_identifier.clone());
            if let (Some(key), false) = (key, ended || device.is_revoked()) {
                others.push((id, key));
            }
        }
        Ok(others)
    }

    /// Looks at a certificate.
    async fn look(&mut self, id: &str, certificate: Option<Certificate>) -> Result<(), Error> {
        if !self.found.contains_key(id) {
            let device = self.device(id, certificate).await?;
            self.found.insert(id.to_owned(), device);
        }
        Ok(())
    }

    async fn device(&self, id: &str, certificate: Option<Certificate>) -> Result<Device, Error> {
        let certificate = certificate.or_else(|| self.known.get(id)?.certificate.clone());
        Ok(match self.account {
            Some(account) => Device::look(account, id, certificate).await?,
            None => Device::known(id, certificate),
        })
    }

    fn is_known(&self, id: &str) -> bool {
        let device = self.found.get(id);
        self.known.contains_key(id)
            || device.is_some_and(|device| device.status.is_some() || device.certificate.is_some())
    }

    fn is_of(&self, id: &str, keys: &BTreeSet<String>) -> bool {
        let key = self.known.get(id).and_then(|known| known.subject_key_identifier.as_ref());
        key.is_some_and(|key| keys.contains(key))
    }

    fn key_of(&self, id: &str) -> Option<String> {
        let known = || self.known.get(id)?.subject_key_identifier.clone();
        self.found.get(id).and_then(key_of).or_else(known)
    }

    /// What is to be done about each certificate that was looked at.
    async fn targets(mut self, reason: Reason, keep_thing: bool) -> Result<Vec<Target>, Error> {
        let now = OffsetDateTime::now_utc();
        let (mut active, mut chains, mut noted) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut targets = Vec::new();
        for (id, device) in std::mem::take(&mut self.found) {
            let known = self.known.get(&id);
            let signed = known.and_then(|known| known.signed.clone());
            let authority = match (&device.certificate, &signed) {
                (Some(certificate), _) => authorities::issuer(&self.authorities, certificate),
                (None, Some((signer, _))) => {
                    self.authorities.iter().find(|authority| authority.subject_key_identifier() == signer)
                }
                (None, None) => None,
            };
            let serial_number = match &device.certificate {
                Some(certificate) => certificate.serial_number().ok(),
                None => signed.map(|(_, number)| number),
            };
            let register_with = match (self.account, authority, &device.status) {
                (Some(account), Some(authority), None) if device.certificate.is_some() => {
                    let id = authority.certificate_id();
                    if !active.contains_key(id) {
                        active.insert(id.to_owned(), account_revoke::is_active(account, id).await?);
                    }
                    active[id].then(|| authority.certificate.to_pem())
                }
                _ => None,
            };
            let chain = match authority {
                Some(authority) => {
                    let id = authority.subject_key_identifier();
                    if !chains.contains_key(id) {
                        chains.insert(id.to_owned(), chain_of(authority, self.context, now)?.map(Arc::new));
                    }
                    chains[id].clone()
                }
                None => None,
            };
            let key = key_of(&device).or_else(|| known?.subject_key_identifier.clone());
            let authority = authority.cloned();
            let has_ended =
                device.certificate.as_ref().is_some_and(|certificate| certificate.facts().not_after < now);
            let (is_noted, is_listed) = (false, false);
            let mut target = Target {
                device,
                key,
                authority,
                chain,
                serial_number,
                has_ended,
                register_with,
                is_noted,
                is_listed,
                keep_thing,
            };
            let issuer = target.issuer().to_owned();
            if !noted.contains_key(&issuer) {
                noted.insert(issuer.clone(), Records::of(&self.context.home, &issuer).read()?);
            }
            target.compare(self.context, &noted[&issuer], reason)?;
            targets.push(target);
        }
        Ok(targets)
    }
}

/// The identifier of a device's key: its thing name.
fn key_of(device: &Device) -> Option<String> {
    device.certificate.as_ref()?.facts().subject_key_identifier.clone()
}

/// Whether the device's thing has this name by the common name of its certificate.
fn is_named(device: &Device, thing: &str) -> bool {
    let name = |certificate: &Certificate| {
        ThingName::from_certificate_der(certificate.der(), ThingNameSource::CommonName).ok()
    };
    device.certificate.as_ref().and_then(name).is_some_and(|name| name.as_str() == thing)
}

/// Every certificate of a file, without the chain of another one in it. One that is a CA's otherwise is none of a device.
fn of_file(
    path: &Path,
    is_authority: impl Fn(&Certificate) -> bool,
) -> Result<BTreeMap<String, Option<Certificate>>, Error> {
    let all = certificate_file::read_whole(path)?;
    let of_chain: Vec<bool> = all.iter().map(|one| certificate_file::is_of_chain(one, &all)).collect();
    let certificates: Vec<_> =
        all.into_iter().zip(of_chain).filter(|(_, chain)| !chain).map(|(one, _)| one).collect();
    if let Some(ca) = certificates.iter().find(|found| found.is_ca() && is_authority(found)) {
        let subject = &ca.facts().subject;
        let reason =
            format!("the certificate of {subject} in it is a CA's: revoke a signer CA with --signer");
        return Err(Error::File { path: PathBuf::from(path), reason });
    }
    Ok(certificates.into_iter().map(|found| (found.facts().certificate_id.clone(), Some(found))).collect())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    fn params(is_ca: bool, name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    #[test]
    fn the_chain_in_a_file_is_passed_over_and_a_ca_alone_is_refused() {
        let [root_key, signer_key, key] = [(); 3].map(|()| KeyPair::generate().unwrap());
        let root = params(true, "root").self_signed(&root_key).unwrap();
        let issuer = Issuer::new(params(true, "root"), &root_key);
        let signer = params(true, "signer").signed_by(&signer_key, &issuer).unwrap();
        let issuer = Issuer::new(params(true, "signer"), &signer_key);
        let device = params(false, "device").signed_by(&key, &issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.pem");
        std::fs::write(&path, root.pem() + &signer.pem() + &device.pem()).unwrap();
        let expected = Certificate::read_all(device.pem().as_bytes()).unwrap().swap_remove(0);
        let found = of_file(&path, |_| true).unwrap();
        assert_eq!(found, [(expected.facts().certificate_id.clone(), Some(expected))].into());
        std::fs::write(&path, root.pem() + &signer.pem()).unwrap();
        let error = of_file(&path, |_| true).unwrap_err().to_string();
        assert!(error.contains("signer"), "{error}");
        std::fs::write(&path, root.pem()).unwrap();
        assert_eq!(of_file(&path, |_| false).unwrap().len(), 1);
    }
}
