//! Taking down what this tool made in the account: first a list, then the same list carried out.
//!
//! What was made is known by its tags. What cannot carry tags belongs to something that does: certificates to their CA or,
//! where they were registered without one, to their policy and the type of their thing; things to the certificate they are
//! named after; the permission to the rule. Policies and thing types that the function made belong to the function, if that
//! is this tool's. The order is such that an interrupted run is finished by the next one: whatever leads to
//! other things is removed after them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use jitr::name::{PolicyName, ThingTypeName};
use jitr::registration::Settings as Registration;
use jitr::scope::Scope;
use serde::Serialize;

mod devices;
mod find;
mod remove;
mod unfinished;

use self::devices::{Device, Things};
use self::find::Maker;
use self::remove::PolicyFound;
use self::unfinished::Unfinished;
use crate::certificates::{self, Listed, Of, REVOKED, SIDE_BY_SIDE};
use crate::setup;
use crate::{Account, Error as AccountError, Resource, endpoint};

/// How long is waited at the most for what AWS removes later: a minute more than the five minutes from the deprecation of a
/// thing type to its deletion (AWS IoT API reference, "DeleteThingType").
const PATIENCE: Duration = Duration::from_secs(360);
/// The first pause between two attempts; each further one is twice as long, up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Why a teardown fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What has begun cannot be written down.
    #[error(transparent)]
    File(#[from] durable_files::Error),
}

/// What stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// Certificates, things, and what they need: their policy and type.
    pub devices: bool,
    /// The signer CAs.
    pub cas: bool,
}

/// One entry of the list.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// What it is.
    #[serde(rename = "resource")]
    pub kind: Resource,
    /// Its name or id.
    pub name: String,
    /// What goes with it or has to be so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    #[serde(skip)]
    what: What,
}

/// What removing an entry needs to know.
#[derive(Clone, Debug)]
enum What {
    Alarm,
    TopicRule,
    /// The function that the statement (the entry's name) is in.
    Permission {
        function: String,
    },
    /// Switches the CA off first, so that no device is registered meanwhile.
    SwitchOff,
    Certificate {
        /// What the plan has learnt of it, if it had to.
        known: Option<Arc<Device>>,
        /// The things of ours.
        things: Things,
    },
    /// Detaches a REVOKED certificate and removes its thing. As long as its CA is registered, the certificate stays:
    /// without it the device could register again.
    Detach {
        /// As above.
        things: Things,
    },
    /// Leaves such a certificate, because its CA stays.
    Revoked,
    DevicePolicy {
        made: Made,
        /// Why it stays, if it does.
        stays: Option<String>,
    },
    ThingType,
    Function,
    /// The event source mapping of this id.
    Mapping(String),
    /// The queue with this URL.
    Queue(String),
    Role {
        /// Why it stays, if it does.
        stays: Option<String>,
    },
    SignerCa,
}

/// How removing an entry ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "error")]
pub enum Outcome {
    /// It is gone.
    Removed,
    /// It was gone already.
    Gone,
    /// It stays, because others use it or made it.
    Kept(String),
    /// It cannot be removed yet.
    Waiting(String),
}

/// The list.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Partition, Region and account.
    pub scope: Scope,
    items: Vec<Item>,
    /// Ids of the certificates in the list that were registered without a CA, or are removed after it.
    without_ca: Vec<String>,
}

/// Why a policy stays.
const CHANGED: &str = "is not as it was made: somebody works with it";

/// Why a REVOKED certificate stays.
const STAYS: &str =
    "REVOKED: it stays while its signer CA is registered, so that the device cannot register again";

impl Item {
    /// Whether it stays, and why.
    pub fn stays(&self) -> Option<&str> {
        match &self.what {
            What::Revoked => Some(STAYS),
            What::Role { stays } | What::DevicePolicy { stays, .. } => stays.as_deref(),
            _ => None,
        }
    }

    /// Whether it is a step of another entry.
    fn is_hidden(&self) -> bool {
        matches!(self.what, What::SwitchOff | What::Detach { .. })
    }

    /// Whether it is a device's certificate. These do not depend on each other.
    fn is_device(&self) -> bool {
        matches!(self.what, What::Certificate { .. } | What::Detach { .. })
    }
}

/// What is found before the list is made.
#[derive(Debug, Default)]
struct Inventory {
    /// Names.
    alarms: Vec<String>,
    rules: Vec<find::Rule>,
    /// Id of each CA.
    cas: Vec<String>,
    functions: Vec<find::Function>,
    queues: Vec<find::Queue>,
    /// Name of each role, and why it stays, if it does.
    roles: Vec<(String, Option<String>)>,
    policies: Vec<(PolicyName, Maker)>,
    thing_types: Vec<(ThingTypeName, Maker)>,
    /// Function and statement that let a rule of ours invoke a function that is not ours.
    permissions: Vec<(String, String)>,
    /// Ids of the certificates that CAs of ours signed, or that were registered without one, and what is known of them.
    certificates: Vec<(String, Option<Arc<Device>>)>,
    /// The things of our types.
    things: Things,
    /// Ids of those of our CAs that are REVOKED.
    revoked: Vec<String>,
    /// The policies of ours that somebody has changed.
    changed: Vec<PolicyName>,
}

/// How a device policy was made.
#[derive(Clone, Debug)]
struct Made {
    /// What it was made with, if that is known.
    registration: Option<Box<Registration>>,
    /// A tag says that it is ours.
    is_tagged: bool,
}

impl Inventory {
    /// What our functions register devices with.
    fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.functions.iter().filter_map(|function| function.registration.as_ref())
    }

    /// The policies of ours: those that the tool made, and those of our functions.
    fn policies(&self) -> Vec<PolicyName> {
        ours(&self.policies, self.registrations().map(|registration| &registration.policy))
    }

    /// How a policy of ours was made: with the settings of a function, or with the defaults.
    fn made(&self, name: &PolicyName, defaults: &Registration) -> Made {
        let registration = self.registrations().chain([defaults]).find(|settings| settings.policy == *name);
        Made {
            registration: registration.cloned().map(Box::new),
            is_tagged: self.policies.iter().any(|(made, _)| made == name),
        }
    }

    /// The thing types of ours.
    fn thing_types(&self) -> Vec<ThingTypeName> {
        ours(&self.thing_types, self.registrations().map(|registration| &registration.thing_type))
    }
}

/// Each name once.
fn ours<'a, N: Clone + PartialEq + 'a>(
    made: &[(N, Maker)],
    of_functions: impl Iterator<Item = &'a N>,
) -> Vec<N> {
    let mut names: Vec<N> =
        made.iter().filter(|(_, maker)| *maker == Maker::Tool).map(|(name, _)| name.clone()).collect();
    for name in of_functions {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

impl Plan {
    /// Looks for everything that carries the tags, and for what belongs to it or was begun to be removed, as a file in
    /// `folder` says. Changes nothing. Where certificates have to be looked at one by one, `looked` is told how many were, and of
    /// how many.
    ///
    /// # Errors
    /// [`AccountError::Sandbox`], [`Error::File`], and errors of the calls.
    pub async fn make(
        account: &Account,
        folder: &Path,
        keep: Keep,
        looked: impl Fn(usize, usize),
    ) -> Result<Self, AccountError> {
        let (scope, _) = tokio::try_join!(account.scope(), endpoint(account))?;
        let (rules, cas, functions, queues, roles, policies, thing_types) = tokio::try_join!(
            find::rules(account),
            find::cas(account),
            find::functions(account),
            find::queues(account),
            find::roles(account),
            find::policies(account),
            find::thing_types(account),
        )?;
        let mut inventory =
            Inventory { rules, cas, functions, queues, roles, policies, thing_types, ..Inventory::default() };
        inventory.permissions = find::permissions(account, &inventory).await?;
        inventory.alarms = find::alarms(account, &inventory).await?;
        let defaults = setup::defaults()?;
        let mut without_ca = Vec::new();
        if !keep.devices {
            let (mut certificates, mut revoked) = (BTreeMap::new(), BTreeSet::new());
            for ca in &inventory.cas {
                certificates::each(account, Of::Ca(ca), |Listed { certificate_id, status, .. }| {
                    match status == REVOKED {
                        true => _ = revoked.insert(certificate_id),
                        false => _ = certificates.insert(certificate_id, None),
                    }
                    ControlFlow::Continue(())
                })
                .await?;
            }
            let thing_types = inventory.thing_types();
            // A function that is gone may have worked with the default type.
            let default = Some(&defaults.thing_type).filter(|default| !thing_types.contains(default));
            inventory.things = devices::things_of(account, thing_types.iter().chain(default)).await?;
            let of_ca = |id: &str| certificates.contains_key(id) || revoked.contains(id);
            let things = &inventory.things;
            let found =
                find::certificates_without_ca(account, &inventory.policies(), things, of_ca, looked).await?;
            without_ca.extend(found.keys().cloned());
            let unfinished = Unfinished::of(folder, &scope).read().map_err(Error::File)?;
            let unfinished =
                unfinished.into_iter().filter(|id| !revoked.contains(id) && !found.contains_key(id));
            let unfinished: Vec<String> = unfinished.collect();
            without_ca.extend(unfinished.iter().cloned());
            for id in unfinished {
                certificates.entry(id).or_default();
            }
            certificates.extend(found.into_iter().map(|(id, device)| (id, Some(device))));
            inventory.certificates = certificates.into_iter().collect();
            inventory.revoked = revoked.into_iter().collect();
            if !keep.cas {
                // Nothing leads to them once their CA is gone.
                without_ca.extend(inventory.revoked.iter().cloned());
            }
        }
        if !keep.devices {
            for name in inventory.policies() {
                let made = inventory.made(&name, &defaults);
                if let PolicyFound::Changed =
                    remove::look_at_policy(account, &scope, name.as_str(), &made).await?
                {
                    inventory.changed.push(name);
                }
            }
        }
        Ok(Self { scope, items: items(inventory, keep, &defaults), without_ca })
    }

    /// What would be removed, in the order in which it is.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| !item.is_hidden())
    }

    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Removes everything in the list and calls `done` for each entry, as soon as it is removed. Certificates are removed side by
    /// side. An entry that has to wait is removed by a later run, or at the end of this one if there is `wait`, which is told of
    /// it, for six minutes at the most.
    ///
    /// # Errors
    /// Errors of the calls; what is removed stays removed, and the next run continues from there.
    /// [`Error::File`].
    pub async fn apply(
        &self,
        account: &Account,
        folder: &Path,
        wait: Option<&(dyn Fn(&Item) + Sync)>,
        mut done: impl FnMut(&Item, &Outcome),
    ) -> Result<(), AccountError> {
        let unfinished = Unfinished::of(folder, &self.scope);
        // Without devices in the list, what an earlier run wrote down stays for the run that has them.
        if !self.without_ca.is_empty() {
            unfinished.write(&self.without_ca).map_err(Error::File)?;
        }
        let mut waiting = Vec::new();
        for items in self.items.chunk_by(|one, next| one.is_device() && next.is_device()) {
            let stopped = Cell::new(false);
            let items = stream::iter(items).take_while(|_| ready(!stopped.get()));
            let one = |item| async move { (item, remove::remove(account, &self.scope, item).await) };
            let mut removed = std::pin::pin!(items.map(one).buffer_unordered(SIDE_BY_SIDE));
            let mut cause = None;
            while let Some((item, outcome)) = removed.next().await {
                match (outcome, wait) {
                    // What is under way goes on to its end, and is told.
                    (Err(error), _) => {
                        stopped.set(true);
                        cause.get_or_insert(error);
                    }
                    (Ok(Outcome::Waiting(_)), Some(_)) => waiting.push(item),
                    (Ok(outcome), _) if !item.is_hidden() => done(item, &outcome),
                    _ => {}
                }
            }
            if let Some(error) = cause {
                return Err(error);
            }
        }
        if !self.without_ca.is_empty() {
            unfinished.clear().map_err(Error::File)?;
        }
        waiting.iter().for_each(|item| wait.into_iter().for_each(|wait| wait(item)));
        let (mut waited, mut pause) = (Duration::ZERO, PAUSE);
        while !waiting.is_empty() {
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = LONGEST_PAUSE.min(pause * 2);
            for item in std::mem::take(&mut waiting) {
                match remove::remove(account, &self.scope, item).await? {
                    Outcome::Waiting(_) if waited < PATIENCE => waiting.push(item),
                    outcome => done(item, &outcome),
                }
            }
        }
        Ok(())
    }
}

/// The list, in AWS's order.
fn items(inventory: Inventory, keep: Keep, defaults: &Registration) -> Vec<Item> {
    let item = |kind, name: String, note, what| Item { kind, name, note, what };
    let mut items = Vec::new();
    let policies = inventory.policies().into_iter().map(|name| {
        let stays = inventory.changed.contains(&name).then(|| CHANGED.to_owned());
        let what = What::DevicePolicy { made: inventory.made(&name, defaults), stays };
        item(Resource::DevicePolicy, name.to_string(), Some("unless something else uses it"), what)
    });
    let policies: Vec<Item> = policies.collect();
    let thing_types = inventory.thing_types();
    // What leads to them is removed later.
    let alarms = inventory.alarms.into_iter();
    items.extend(alarms.map(|name| item(Resource::Alarm, name, None, What::Alarm)));
    let rules = inventory.rules.into_iter();
    items.extend(rules.map(|rule| item(Resource::TopicRule, rule.name, None, What::TopicRule)));
    for (function, statement) in inventory.permissions {
        items.push(item(
            Resource::Permission,
            statement,
            Some("of a function that stays"),
            What::Permission { function },
        ));
    }
    for queue in &inventory.queues {
        items.extend(queue.mappings.iter().map(|id| {
            item(Resource::EventSourceMapping, queue.name.clone(), None, What::Mapping(id.clone()))
        }));
    }
    let cas = if keep.cas { Vec::new() } else { inventory.cas };
    items.extend(cas.iter().map(|id| item(Resource::SignerCa, id.clone(), None, What::SwitchOff)));
    let with_thing = |(id, known)| {
        let what = What::Certificate { known, things: Arc::clone(&inventory.things) };
        item(Resource::Certificate, id, Some("with its thing"), what)
    };
    items.extend(inventory.certificates.into_iter().map(with_thing));
    for id in &inventory.revoked {
        let what = What::Detach { things: Arc::clone(&inventory.things) };
        items.push(item(Resource::Certificate, id.clone(), None, what));
        if keep.cas {
            items.push(item(Resource::Certificate, id.clone(), None, What::Revoked));
        }
    }
    if !keep.devices {
        items.extend(policies);
        for name in thing_types {
            items.push(item(
                Resource::ThingType,
                name.to_string(),
                Some("unless other things have it"),
                What::ThingType,
            ));
        }
    }
    let functions = inventory.functions.into_iter();
    items.extend(functions.map(|function| item(Resource::Function, function.name, None, What::Function)));
    let queues = inventory.queues.into_iter();
    items.extend(queues.map(|queue| {
        item(Resource::Queue, queue.name, Some("with the events in it"), What::Queue(queue.url))
    }));
    let roles = inventory.roles.into_iter();
    items.extend(roles.map(|(name, stays)| item(Resource::Role, name, None, What::Role { stays })));
    items.extend(cas.into_iter().map(|id| item(Resource::SignerCa, id, None, What::SignerCa)));
    if !keep.cas {
        items.extend(inventory.revoked.into_iter().map(|id| with_thing((id, None))));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        let registration = Registration::zero_touch().unwrap();
        Inventory {
            alarms: vec!["JITR-errors".into()],
            rules: vec![find::Rule { name: "R".into(), arn: "arn:R".into(), functions: vec!["F".into()] }],
            cas: vec!["ca".into()],
            functions: vec![find::Function { name: "JITR".into(), registration: Some(registration) }],
            roles: vec![("JITR-role".into(), None)],
            permissions: vec![("other".into(), "R".into())],
            certificates: vec![("c1".into(), None), ("c2".into(), None)],
            ..Inventory::default()
        }
    }

    fn listed(keep: Keep) -> Vec<(Resource, String)> {
        let defaults = Registration::zero_touch().unwrap();
        let items = items(inventory(), keep, &defaults);
        let shown = items.into_iter().filter(|item| !item.is_hidden());
        shown.map(|item| (item.kind, item.name)).collect()
    }

    #[test]
    fn what_leads_to_other_things_is_removed_after_them() {
        let kinds: Vec<Resource> = listed(Keep::default()).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(
            kinds,
            [
                Resource::Alarm,
                Resource::TopicRule,
                Resource::Permission,
                Resource::Certificate,
                Resource::Certificate,
                Resource::DevicePolicy,
                Resource::ThingType,
                Resource::Function,
                Resource::Role,
                Resource::SignerCa,
            ]
        );
    }

    #[test]
    fn a_revoked_certificate_outlives_its_ca() {
        let defaults = Registration::zero_touch().unwrap();
        let of = |keep| {
            let found = Inventory { revoked: vec!["r".into()], ..inventory() };
            let items = items(found, keep, &defaults).into_iter();
            let items = items.filter(|item| item.name == "r" || item.name == "ca" && !item.is_hidden());
            items
                .map(|item| (item.name.clone(), item.is_hidden(), item.stays().is_some()))
                .collect::<Vec<_>>()
        };
        let detached = ("r".to_owned(), true, false);
        let removed = ("r".to_owned(), false, false);
        assert_eq!(of(Keep::default()), [detached.clone(), ("ca".to_owned(), false, false), removed]);
        assert_eq!(of(Keep { cas: true, devices: false }), [detached, ("r".to_owned(), false, true)]);
    }

    #[test]
    fn no_device_is_registered_while_devices_are_removed() {
        let defaults = Registration::zero_touch().unwrap();
        let items = items(inventory(), Keep::default(), &defaults);
        let off = items.iter().position(|item| matches!(item.what, What::SwitchOff)).unwrap();
        let first = items.iter().position(|item| item.kind == Resource::Certificate).unwrap();
        assert!(off < first);
    }

    #[test]
    fn devices_that_are_kept_keep_what_they_need() {
        let mut kept = inventory();
        kept.certificates.clear();
        let defaults = Registration::zero_touch().unwrap();
        let items = items(kept, Keep { devices: true, cas: true }, &defaults);
        let kinds: Vec<Resource> = items.into_iter().map(|item| item.kind).collect();
        assert_eq!(
            kinds,
            [Resource::Alarm, Resource::TopicRule, Resource::Permission, Resource::Function, Resource::Role]
        );
    }
}
