//! Things, thing types, thing groups, and the principals attached to things.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::Value;

use super::{Account, Error, Page, PageRequest, check_name, paginate};

/// A thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    /// Its name.
    pub name: String,
    /// Its id, a UUID.
    pub id: String,
    /// Its type's name.
    pub thing_type: Option<String>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The billing group it is in.
    pub billing_group: Option<String>,
    /// Counts changes, from 1.
    pub version: u64,
}

/// A thing type.
#[derive(Clone, Debug)]
pub struct ThingType {
    /// Its name.
    pub name: String,
    /// Its id, a UUID.
    pub id: String,
    /// `thingTypeProperties` as it was given; null if it was not.
    pub properties: Value,
    /// When it was created.
    pub created: SystemTime,
    /// When it was deprecated, if it is.
    pub deprecated: Option<SystemTime>,
}

/// A static thing group.
#[derive(Clone, Debug)]
pub struct ThingGroup {
    /// Its name.
    pub name: String,
    /// Its id, a UUID.
    pub id: String,
    /// `thingGroupProperties` as it was given; null if it was not.
    pub properties: Value,
    /// The group it lies in.
    pub parent: Option<String>,
    /// Names of the things in it.
    pub things: BTreeMap<String, ()>,
    /// When it was created.
    pub created: SystemTime,
}

impl Account {
    /// The ARN of a thing.
    pub fn thing_arn(&self, name: &str) -> String {
        self.identity.arn("iot", &format!("thing/{name}"))
    }

    /// The ARN of a thing type.
    pub fn thing_type_arn(&self, name: &str) -> String {
        self.identity.arn("iot", &format!("thingtype/{name}"))
    }

    /// The ARN of a thing group.
    pub fn thing_group_arn(&self, name: &str) -> String {
        self.identity.arn("iot", &format!("thinggroup/{name}"))
    }

    /// `CreateThing`: the same again succeeds, a different thing of that name is refused.
    pub fn create_thing(
        &mut self,
        name: &str,
        thing_type: Option<&str>,
        attributes: BTreeMap<String, String>,
        billing_group: Option<&str>,
    ) -> Result<&Thing, Error> {
        check_name("thing name", name, 128, ":_-")?;
        if let Some(thing_type) = thing_type {
            self.usable_thing_type(thing_type)?;
        }
        check_attributes(&attributes, thing_type.is_some())?;
        if let Some(billing_group) = billing_group {
            self.billing_group(billing_group)?;
        }
        if let Some(known) = self.things.get(name)
            && (known.thing_type.as_deref() != thing_type
                || known.attributes != attributes
                || known.billing_group.as_deref() != billing_group)
        {
            let arn = self.thing_arn(name);
            return Err(Error::AlreadyExists { what: "thing", id: name.to_owned(), arn });
        }
        let id = self.unique_id("thing");
        Ok(self.things.entry(name.to_owned()).or_insert_with(|| Thing {
            name: name.to_owned(),
            id,
            thing_type: thing_type.map(str::to_owned),
            attributes,
            billing_group: billing_group.map(str::to_owned),
            version: 1,
        }))
    }

    /// `DescribeThing`.
    pub fn thing(&self, name: &str) -> Result<&Thing, Error> {
        self.things.get(name).ok_or_else(|| Error::NotFound { what: "thing", name: name.to_owned() })
    }

    /// `UpdateThing`: the type (`Some(None)` takes it away) and the attributes (`merge` keeps the others; an empty value removes).
    pub fn update_thing(
        &mut self,
        name: &str,
        thing_type: Option<Option<&str>>,
        attributes: Option<(BTreeMap<String, String>, bool)>,
        expected: Option<u64>,
    ) -> Result<(), Error> {
        self.check_thing_version(name, expected)?;
        if let Some(Some(thing_type)) = thing_type {
            self.usable_thing_type(thing_type)?;
        }
        let Some(thing) = self.things.get_mut(name) else { return Ok(()) };
        let mut changed = thing.clone();
        if let Some(thing_type) = thing_type {
            changed.thing_type = thing_type.map(str::to_owned);
        }
        if let Some((attributes, merge)) = attributes {
            if !merge {
                changed.attributes.clear();
            }
            changed.attributes.extend(attributes);
            changed.attributes.retain(|_, value| !value.is_empty());
        }
        check_attributes(&changed.attributes, changed.thing_type.is_some())?;
        changed.version += 1;
        *thing = changed;
        Ok(())
    }

    /// `DeleteThing`: a thing that does not exist counts as deleted; one with principals is refused.
    pub fn delete_thing(&mut self, name: &str, expected: Option<u64>) -> Result<(), Error> {
        if !self.things.contains_key(name) {
            return Ok(());
        }
        self.check_thing_version(name, expected)?;
        if !self.thing_principals.to(name).is_empty() {
            return Err(Error::InvalidRequest {
                reason: format!("cannot delete thing {name}: it has principals attached"),
            });
        }
        for group in self.thing_groups.values_mut() {
            group.things.remove(name);
        }
        self.things.remove(name);
        Ok(())
    }

    fn check_thing_version(&self, name: &str, expected: Option<u64>) -> Result<(), Error> {
        let actual = self.thing(name)?.version;
        match expected {
            Some(expected) if expected != actual => {
                Err(Error::VersionConflict { name: name.to_owned(), expected, actual })
            }
            _ => Ok(()),
        }
    }

    /// `ListThings`, all or of one type, with or without an attribute.
    pub fn list_things(
        &self,
        thing_type: Option<&str>,
        attribute: Option<(&str, &str)>,
        request: &PageRequest,
    ) -> Result<Page<&Thing>, Error> {
        let wanted = |thing: &Thing| {
            (thing_type.is_none() || thing.thing_type.as_deref() == thing_type)
                && attribute.is_none_or(|(key, value)| thing.attributes.get(key).is_some_and(|v| v == value))
        };
        paginate(&self.things, request, |_, thing| wanted(thing).then_some(thing))
    }

    /// `CreateThingType`: the same again succeeds, a different one of that name is refused.
    pub fn create_thing_type(&mut self, name: &str, properties: Value) -> Result<&ThingType, Error> {
        check_name("thing type name", name, 128, ":_-")?;
        if self.thing_types.get(name).is_some_and(|known| known.properties != properties) {
            let arn = self.thing_type_arn(name);
            return Err(Error::AlreadyExists { what: "thing type", id: name.to_owned(), arn });
        }
        let id = self.unique_id("thing type");
        Ok(self.thing_types.entry(name.to_owned()).or_insert_with(|| ThingType {
            name: name.to_owned(),
            id,
            properties,
            created: SystemTime::now(),
            deprecated: None,
        }))
    }

    /// `DescribeThingType`.
    pub fn thing_type(&self, name: &str) -> Result<&ThingType, Error> {
        self.thing_types
            .get(name)
            .ok_or_else(|| Error::NotFound { what: "thing type", name: name.to_owned() })
    }

    /// A type that a thing can be given: it exists and is not deprecated.
    fn usable_thing_type(&self, name: &str) -> Result<(), Error> {
        if self.thing_type(name)?.deprecated.is_some() {
            return Err(Error::InvalidRequest { reason: format!("thing type {name} is deprecated") });
        }
        Ok(())
    }

    /// `DeprecateThingType`, or the undoing of it.
    pub fn deprecate_thing_type(&mut self, name: &str, undo: bool) -> Result<(), Error> {
        self.thing_type(name)?;
        if let Some(thing_type) = self.thing_types.get_mut(name) {
            thing_type.deprecated =
                if undo { None } else { thing_type.deprecated.or(Some(SystemTime::now())) };
        }
        Ok(())
    }

    /// `DeleteThingType`: deprecated long enough ago, and no thing has it.
    pub fn delete_thing_type(&mut self, name: &str) -> Result<(), Error> {
        let refused =
            |reason: &str| Err(Error::InvalidRequest { reason: format!("thing type {name} {reason}") });
        match self.thing_type(name)?.deprecated {
            None => return refused("is not deprecated"),
            Some(at) if at.elapsed().unwrap_or_default() < self.delays.thing_type_deletion => {
                return refused("was deprecated less than five minutes ago");
            }
            Some(_) => {}
        }
        if self.things.values().any(|thing| thing.thing_type.as_deref() == Some(name)) {
            return refused("still has things");
        }
        self.thing_types.remove(name);
        self.tags.remove(&self.thing_type_arn(name));
        Ok(())
    }

    /// `ListThingTypes`.
    pub fn list_thing_types(&self, request: &PageRequest) -> Result<Page<&ThingType>, Error> {
        paginate(&self.thing_types, request, |_, thing_type| Some(thing_type))
    }

    /// `AttachThingPrincipal`: repeating it is harmless; an exclusive attachment is the certificate's only one. One that is not
    /// exclusive has to be detached first (AWS IoT developer guide, exclusive-thing).
    pub fn attach_thing_principal(
        &mut self,
        thing: &str,
        principal: &str,
        exclusive: bool,
    ) -> Result<(), Error> {
        self.thing(thing)?;
        self.check_principal(principal)?;
        let others = self.thing_principals.from(principal).iter().filter(|(name, _)| *name != thing);
        for (other, &other_exclusive) in others {
            if exclusive || other_exclusive {
                return Err(Error::InvalidRequest {
                    reason: format!(
                        "principal {principal} is attached to thing {other}; an exclusive attachment allows one thing"
                    ),
                });
            }
        }
        if exclusive && self.thing_principals.from(principal).get(thing) == Some(&false) {
            return Err(Error::InvalidRequest {
                reason: format!(
                    "principal {principal} is attached to thing {thing} and not exclusively; detach it first"
                ),
            });
        }
        self.thing_principals.insert(principal, thing, exclusive);
        Ok(())
    }

    /// `DetachThingPrincipal`.
    pub fn detach_thing_principal(&mut self, thing: &str, principal: &str) -> Result<(), Error> {
        self.thing(thing)?;
        match self.thing_principals.remove(principal, thing) {
            Some(_) => Ok(()),
            None => Err(Error::NotFound { what: "principal", name: principal.to_owned() }),
        }
    }

    /// `ListThingPrincipals`: ARN, and whether exclusive; with `kind` those that are, or are not.
    pub fn thing_principals(
        &self,
        thing: &str,
        kind: Option<bool>,
        request: &PageRequest,
    ) -> Result<Page<(String, bool)>, Error> {
        self.thing(thing)?;
        paginate(self.thing_principals.to(thing), request, |principal, &exclusive| {
            kind.is_none_or(|kind| kind == exclusive).then(|| (principal.to_owned(), exclusive))
        })
    }

    /// `ListPrincipalThings`: thing name, and whether exclusive; with `kind` those that are, or are not.
    pub fn principal_things(
        &self,
        principal: &str,
        kind: Option<bool>,
        request: &PageRequest,
    ) -> Result<Page<(String, bool)>, Error> {
        self.check_principal(principal)?;
        paginate(self.thing_principals.from(principal), request, |thing, &exclusive| {
            kind.is_none_or(|kind| kind == exclusive).then(|| (thing.to_owned(), exclusive))
        })
    }

    pub(super) fn check_principal(&self, arn: &str) -> Result<(), Error> {
        match arn.strip_prefix(&self.certificate_arn("")) {
            Some(id) => self.certificate(id).map(drop),
            None => Err(Error::InvalidRequest {
                reason: format!("{arn:?} is not the ARN of a certificate of this account"),
            }),
        }
    }

    /// `CreateThingGroup`: the same again succeeds.
    pub fn create_thing_group(
        &mut self,
        name: &str,
        parent: Option<&str>,
        properties: Value,
    ) -> Result<&ThingGroup, Error> {
        check_name("thing group name", name, 128, ":_-")?;
        if let Some(parent) = parent {
            self.thing_group(parent)?;
        }
        if let Some(known) = self.thing_groups.get(name)
            && (known.properties != properties || known.parent.as_deref() != parent)
        {
            let arn = self.thing_group_arn(name);
            return Err(Error::AlreadyExists { what: "thing group", id: name.to_owned(), arn });
        }
        let id = self.unique_id("thing group");
        Ok(self.thing_groups.entry(name.to_owned()).or_insert_with(|| ThingGroup {
            name: name.to_owned(),
            id,
            properties,
            parent: parent.map(str::to_owned),
            things: BTreeMap::new(),
            created: SystemTime::now(),
        }))
    }

    /// `DescribeThingGroup`.
    pub fn thing_group(&self, name: &str) -> Result<&ThingGroup, Error> {
        self.thing_groups
            .get(name)
            .ok_or_else(|| Error::NotFound { what: "thing group", name: name.to_owned() })
    }

    /// `ListThingGroups`, all or those that hold `thing`.
    pub fn list_thing_groups(
        &self,
        thing: Option<&str>,
        request: &PageRequest,
    ) -> Result<Page<&ThingGroup>, Error> {
        let wanted = |group: &ThingGroup| thing.is_none_or(|thing| group.things.contains_key(thing));
        paginate(&self.thing_groups, request, |_, group| wanted(group).then_some(group))
    }

    /// `DeleteThingGroup`: one that does not exist counts as deleted; one with children is refused.
    pub fn delete_thing_group(&mut self, name: &str) -> Result<(), Error> {
        if self.thing_groups.values().any(|group| group.parent.as_deref() == Some(name)) {
            return Err(Error::InvalidRequest { reason: format!("thing group {name} has child groups") });
        }
        let arn = self.thing_group_arn(name);
        self.policy_targets.remove_to(&arn);
        self.tags.remove(&arn);
        self.thing_groups.remove(name);
        Ok(())
    }

    /// `AddThingToThingGroup` or, with `present` false, `RemoveThingFromThingGroup`; repeating is harmless. A thing is in at most ten
    /// groups, and in one of each hierarchy (AWS IoT Core developer guide, "Static thing groups").
    pub fn set_thing_group_member(&mut self, group: &str, thing: &str, present: bool) -> Result<(), Error> {
        self.thing(thing)?;
        self.thing_group(group)?;
        if present {
            self.check_another_group(group, thing)?;
        }
        if let Some(group) = self.thing_groups.get_mut(group) {
            if present {
                group.things.insert(thing.to_owned(), ());
            } else {
                group.things.remove(thing);
            }
        }
        Ok(())
    }

    /// Refuses a group that a thing cannot be in because of the groups that it is in.
    fn check_another_group(&self, group: &str, thing: &str) -> Result<(), Error> {
        const MOST: usize = 10;
        let refused = |reason: String| Err(Error::InvalidRequest { reason });
        let others = self.thing_groups.values().filter(|g| g.name != group && g.things.contains_key(thing));
        let others: Vec<&str> = others.map(|group| group.name.as_str()).collect();
        if others.len() >= MOST {
            return refused(format!("thing {thing} is in {MOST} groups already"));
        }
        match others.iter().find(|other| self.top_of(other) == self.top_of(group)) {
            Some(other) => {
                refused(format!("thing {thing} is in group {other} of the same hierarchy as {group}"))
            }
            None => Ok(()),
        }
    }

    /// The group at the top of a group's hierarchy.
    fn top_of<'a>(&'a self, group: &'a str) -> &'a str {
        let mut top = group;
        while let Some(parent) = self.thing_groups.get(top).and_then(|group| group.parent.as_deref()) {
            top = parent;
        }
        top
    }
}

/// Refuses attributes over AWS IoT's limits, or with characters that it does not take (AWS IoT API, `AttributePayload`; AWS IoT
/// Core endpoints and quotas).
fn check_attributes(attributes: &BTreeMap<String, String>, typed: bool) -> Result<(), Error> {
    const NAME_CHARACTERS: &str = "_.,@/:#-";
    const VALUE_CHARACTERS: &str = "_.,@/:#=[]-";
    let refused = |reason: String| Err(Error::InvalidRequest { reason });
    let most = if typed { 50 } else { 3 };
    if attributes.len() > most {
        return refused(format!(
            "{} attributes; a thing with a thing type has at most 50, one without at most 3",
            attributes.len()
        ));
    }
    let fits = |text: &str, extra: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
    for (name, value) in attributes {
        if name.is_empty() || name.len() > 128 || !fits(name, NAME_CHARACTERS) {
            return refused(format!(
                "attribute name {name:?} must have 1 to 128 characters out of a-z A-Z 0-9 {NAME_CHARACTERS}"
            ));
        }
        if value.len() > 800 || !fits(value, VALUE_CHARACTERS) {
            return refused(format!(
                "value {value:?} of attribute {name} must have at most 800 characters out of a-z A-Z 0-9 {VALUE_CHARACTERS}"
            ));
        }
    }
    Ok(())
}
