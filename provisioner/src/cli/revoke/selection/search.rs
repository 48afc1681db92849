//! What certificates are looked for in: what this computer knows, read once, and the account, whose calls are made side by side.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use device_pki::Certificate;
use futures::{StreamExt, TryStreamExt, stream};
use iot_account::certificates::SIDE_BY_SIDE;
use iot_account::revoke::{self as account_revoke, Device, certificates_of};
use iot_account::{Account, certificates};
use jitr::event::is_certificate_id;
use jitr::thing_name::{ThingName, ThingNameSource};
use time::OffsetDateTime;

use super::{SHORTEST_PREFIX, of_file};
use crate::cli::context::Progress;
use crate::cli::{Context, Error};
use crate::state::authorities::{Authority, is_key_identifier};
use crate::state::store;
use crate::work::inventory::{self, Known, Sources};

/// What a name means.
pub(super) enum Meaning {
    /// Every certificate of the keys of a thing.
    Thing(String),
    /// Every certificate of the keys of the boards with this serial number.
    Serial(String),
    /// These certificates, by id.
    Certificates(BTreeMap<String, Option<Certificate>>),
}

pub(super) struct Search<'a> {
    pub(super) context: &'a Context,
    pub(super) account: Option<&'a Account>,
    pub(super) authorities: Vec<Authority>,
    pub(super) known: BTreeMap<String, Known>,
    /// Ids of the certificates that are known here, by key and by thing.
    of_keys: HashMap<String, BTreeSet<String>>,
    of_things: HashMap<String, BTreeSet<String>>,
    /// The same by serial number of kit or secure element, in upper case.
    of_serials: HashMap<String, BTreeSet<String>>,
    revoked: HashSet<String>,
    /// The certificates that were looked at.
    pub(super) found: BTreeMap<String, Device>,
    /// The ids of the certificates that the account has attached to a thing.
    attached: HashMap<String, Vec<String>>,
    /// The ids of all certificates of the account, in their order, once they were needed.
    listed: Option<Vec<String>>,
    progress: Progress,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        context: &'a Context,
        account: Option<&'a Account>,
        sources: Sources,
        progress: Progress,
    ) -> Self {
        let known = inventory::known(&sources);
        let [mut of_keys, mut of_things, mut of_serials] = [(); 3].map(|()| HashMap::<_, BTreeSet<_>>::new());
        for (id, known) in &known {
            if let Some(key) = &known.subject_key_identifier {
                of_keys.entry(key.clone()).or_default().insert(id.clone());
            }
            for thing in &known.thing_names {
                of_things.entry(thing.clone()).or_default().insert(id.clone());
            }
        }
        for entry in &sources.ledger {
            let Some(id) = &entry.certificate_id else { continue };
            for serial in entry.usb_serial.iter().chain(&entry.secure_element_serial) {
                of_serials.entry(serial.to_uppercase()).or_default().insert(id.clone());
            }
        }
        let Sources { authorities, revocations, .. } = sources;
        let revoked = revocations.into_iter().map(|revocation| revocation.certificate_id).collect();
        let (found, attached, listed) = (BTreeMap::new(), HashMap::new(), None);
        Self {
            context,
            account,
            authorities,
            known,
            of_keys,
            of_things,
            of_serials,
            revoked,
            found,
            attached,
            listed,
            progress,
        }
    }

    /// Nothing is known of what is named; or it is a signer CA, and no device.
    pub(super) fn unknown(&self, name: &str) -> Error {
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

    /// What a name means: a file, a certificate id or the beginning of one that this computer or the account knows, a serial number,
    /// or a thing.
    pub(super) async fn meaning(&mut self, name: &str) -> Result<Meaning, Error> {
        let is_hex = name.bytes().all(|b| b.is_ascii_hexdigit());
        let id = name.to_ascii_lowercase();
        if is_key_identifier(&id) {
            return Ok(Meaning::Thing(id));
        }
        if is_certificate_id(name) {
            return Ok(Meaning::Certificates([(id, None)].into()));
        }
        // A pipe is as good as a file.
        if Path::new(name).exists() && !Path::new(name).is_dir() {
            return Ok(Meaning::Certificates(of_file(Path::new(name), |ca| self.is_authority(ca))?));
        }
        if self.of_things.contains_key(name) {
            return Ok(Meaning::Thing(name.to_owned()));
        }
        let serial = name.to_uppercase();
        if self.of_serials.contains_key(&serial) {
            return Ok(Meaning::Serial(serial));
        }
        if is_hex && name.len() >= SHORTEST_PREFIX {
            let known = self.known.range(id.clone()..).map(|(known, _)| known);
            let known = known.take_while(|known| known.starts_with(&id)).cloned().collect();
            let mut found = account_revoke::meant(name, known).map_err(iot_account::Error::Revoke)?;
            if found.is_none() && self.attached(name).await?.is_empty() {
                let listed = self.listed_with(&id).await?;
                found = account_revoke::meant(name, listed).map_err(iot_account::Error::Revoke)?;
            }
            if let Some(id) = found {
                return Ok(Meaning::Certificates([(id, None)].into()));
            }
        }
        Ok(Meaning::Thing(name.to_owned()))
    }

    /// The ids of the account's certificates that begin with these digits. The list is read once.
    async fn listed_with(&mut self, digits: &str) -> Result<Vec<String>, Error> {
        let Some(account) = self.account else { return Ok(Vec::new()) };
        if self.listed.is_none() {
            let mut ids = certificates::beginning_with(account, "").await?;
            ids.sort_unstable();
            self.listed = Some(ids);
        }
        let ids = self.listed.as_deref().unwrap_or_default();
        let first = ids.partition_point(|id| id.as_str() < digits);
        Ok(ids[first..].iter().take_while(|id| id.starts_with(digits)).cloned().collect())
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

    /// Reads what the account has of all that is named: the certificates, and what is attached to the things and to those that are
    /// named after the keys.
    pub(super) async fn read(&mut self, meant: &[(String, Meaning)]) -> Result<(), Error> {
        let (mut ids, mut things) = (BTreeMap::new(), BTreeSet::new());
        for (_, meaning) in meant {
            if let Meaning::Certificates(certificates) = meaning {
                ids.extend(certificates.clone());
            }
            for id in self.ids(meaning) {
                things.extend(self.key_of(&id));
                ids.entry(id).or_default();
            }
            if let Meaning::Thing(thing) = meaning {
                things.insert(thing.clone());
            }
        }
        let (devices, attached) = tokio::try_join!(self.devices(ids), self.ask(things))?;
        self.found.extend(devices.into_iter().map(|device| (device.certificate_id.clone(), device)));
        self.attached.extend(attached);
        let mut more = BTreeMap::new();
        for (_, meaning) in meant {
            more.extend(self.ids(meaning).into_iter().map(|id| (id, None)));
        }
        self.look(more).await
    }

    /// The ids of the certificates that a name means: those that are known here, and those that are attached to its thing.
    pub(super) fn ids(&self, meaning: &Meaning) -> BTreeSet<String> {
        let of = |map: &HashMap<String, BTreeSet<String>>, name| map.get(name).cloned().unwrap_or_default();
        match meaning {
            Meaning::Certificates(certificates) => certificates.keys().cloned().collect(),
            Meaning::Serial(serial) => of(&self.of_serials, serial),
            Meaning::Thing(thing) => {
                let mut ids = of(&self.of_things, thing);
                ids.extend(of(&self.of_keys, thing));
                // A thing that is named by a key may have a certificate of another key attached, which is another device's.
                if !is_key_identifier(thing) {
                    ids.extend(self.attached.get(thing).into_iter().flatten().cloned());
                }
                ids
            }
        }
    }

    /// Looks at every certificate of these keys. Says how many certificates of the account were not looked at. Where something is
    /// `missing`, certificates that are REVOKED are looked at, too: an earlier run has detached them. What is found of it is taken
    /// out.
    pub(super) async fn keys(
        &mut self,
        keys: &BTreeSet<String>,
        missing: &mut BTreeSet<String>,
    ) -> Result<usize, Error> {
        let of_keys = keys.iter().filter_map(|key| self.of_keys.get(key)).flatten();
        let of_keys = of_keys.map(|id| (id.clone(), None)).collect();
        self.look(of_keys).await?;
        let Some(account) = self.account else { return Ok(0) };
        // A thing is named by its key.
        self.attach(keys.clone()).await?;
        let attached = keys.iter().filter_map(|key| self.attached.get(key)).flatten();
        let attached: BTreeMap<_, _> = attached.map(|id| (id.clone(), None)).collect();
        for device in self.devices(attached).await? {
            if key_of(&device).is_some_and(|key| keys.contains(&key)) {
                self.found.entry(device.certificate_id.clone()).or_insert(device);
            }
        }
        let found =
            |found: &BTreeMap<String, Device>| found.values().filter_map(key_of).collect::<HashSet<_>>();
        let of_found = found(&self.found);
        missing.retain(|name| !of_found.contains(name));
        let seen: BTreeSet<&str> = self.known.keys().chain(self.found.keys()).map(String::as_str).collect();
        let cas = || self.authorities.iter().map(Authority::certificate_id);
        let (devices, unseen) = account_revoke::unknown(account, cas(), &seen, !missing.is_empty()).await?;
        for device in devices {
            let key = key_of(&device).filter(|key| keys.contains(key));
            let thing = name_of(&device).filter(|name| missing.contains(name));
            if key.is_some() || thing.is_some() {
                for name in key.iter().chain(&thing) {
                    missing.remove(name);
                }
                self.found.insert(device.certificate_id.clone(), device);
            }
        }
        Ok(unseen)
    }

    /// The things of the certificates that were looked at, and the thing that is `named`, from which an earlier run may have
    /// detached them.
    pub(super) async fn things(&self, named: Option<&str>) -> Result<BTreeMap<String, bool>, Error> {
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
    pub(super) async fn others(&mut self, keys: &BTreeSet<String>) -> Result<Vec<(String, String)>, Error> {
        self.attach(keys.clone()).await?;
        let known = keys.iter().filter_map(|key| self.of_keys.get(key)).flatten();
        let attached = keys.iter().filter_map(|key| self.attached.get(key)).flatten();
        let ids: BTreeMap<String, Option<Certificate>> = known
            .chain(attached)
            .filter(|id| !self.found.contains_key(*id) && !self.revoked.contains(*id))
            .map(|id| (id.clone(), None))
            .collect();
        let (mut others, now) = (Vec::new(), OffsetDateTime::now_utc());
        for device in self.devices(ids).await? {
            let ended =
                device.certificate.as_ref().is_some_and(|certificate| certificate.facts().not_after < now);
            let id = device.certificate_id.clone();
            let key = key_of(&device).or_else(|| self.known.get(&id)?.subject_key_identifier.clone());
            if let (Some(key), false) = (key, ended || device.is_revoked()) {
                others.push((id, key));
            }
        }
        others.sort();
        Ok(others)
    }

    /// What is attached to a thing.
    async fn attached(&mut self, thing: &str) -> Result<Vec<String>, Error> {
        self.attach([thing.to_owned()].into()).await?;
        Ok(self.attached.get(thing).cloned().unwrap_or_default())
    }

    async fn attach(&mut self, things: BTreeSet<String>) -> Result<(), Error> {
        let attached = self.ask(things).await?;
        self.attached.extend(attached);
        Ok(())
    }

    /// Asks what is attached to those of these things that were not asked for yet.
    async fn ask(&self, mut things: BTreeSet<String>) -> Result<Vec<(String, Vec<String>)>, Error> {
        let Some(account) = self.account else { return Ok(Vec::new()) };
        things.retain(|thing| !self.attached.contains_key(thing));
        let asked = stream::iter(things).map(|thing| async move {
            let attached = certificates_of(account, &thing).await?;
            Ok::<_, Error>((thing, attached))
        });
        asked.buffer_unordered(SIDE_BY_SIDE).try_collect().await
    }

    /// Looks at certificates.
    pub(super) async fn look(&mut self, ids: BTreeMap<String, Option<Certificate>>) -> Result<(), Error> {
        let devices = self.devices(ids).await?;
        self.found.extend(devices.into_iter().map(|device| (device.certificate_id.clone(), device)));
        Ok(())
    }

    /// What there is of certificates that were not looked at yet.
    async fn devices(&self, mut ids: BTreeMap<String, Option<Certificate>>) -> Result<Vec<Device>, Error> {
        ids.retain(|id, _| !self.found.contains_key(id));
        let (total, mut devices) = (ids.len(), Vec::new());
        let looks = stream::iter(ids).map(|(id, certificate)| async move {
            let certificate = certificate.or_else(|| self.known.get(&id)?.certificate.clone());
            Ok::<_, Error>(match self.account {
                Some(account) => Device::look(account, &id, certificate).await?,
                None => Device::known(&id, certificate),
            })
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(SIDE_BY_SIDE));
        while let Some(device) = looks.next().await {
            devices.push(device?);
            self.progress.count(devices.len(), total);
        }
        Ok(devices)
    }

    pub(super) fn is_found(&self, id: &str) -> bool {
        self.found.contains_key(id)
    }

    pub(super) fn is_known(&self, id: &str) -> bool {
        let device = self.found.get(id);
        self.known.contains_key(id)
            || device.is_some_and(|device| device.status.is_some() || device.certificate.is_some())
    }

    pub(super) fn key_of(&self, id: &str) -> Option<String> {
        let known = || self.known.get(id)?.subject_key_identifier.clone();
        self.found.get(id).and_then(key_of).or_else(known)
    }
}

/// The identifier of a device's key: its thing name.
pub(super) fn key_of(device: &Device) -> Option<String> {
    device.certificate.as_ref()?.facts().subject_key_identifier.clone()
}

/// The name of the device's thing by the common name of its certificate.
fn name_of(device: &Device) -> Option<String> {
    let certificate = device.certificate.as_ref()?;
    let name = ThingName::from_certificate_der(certificate.der(), ThingNameSource::CommonName);
    Some(name.ok()?.to_string())
}
