//! Tags of AWS IoT resources.

use std::collections::BTreeMap;

use super::{Account, Error};

impl Account {
    /// `TagResource`.
    pub fn tag(&mut self, arn: &str, tags: impl IntoIterator<Item = (String, String)>) -> Result<(), Error> {
        self.check_taggable(arn)?;
        self.tags.entry(arn.to_owned()).or_default().extend(tags);
        Ok(())
    }

    /// `UntagResource`.
    pub fn untag<'a>(&mut self, arn: &str, keys: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
        self.check_taggable(arn)?;
        if let Some(tags) = self.tags.get_mut(arn) {
            for key in keys {
                tags.remove(key);
            }
        }
        Ok(())
    }

    /// `ListTagsForResource`.
    pub fn tags(&self, arn: &str) -> Result<BTreeMap<String, String>, Error> {
        self.check_taggable(arn)?;
        Ok(self.tags.get(arn).cloned().unwrap_or_default())
    }

    /// Things and client certificates cannot be tagged in AWS IoT; what can must exist.
    fn check_taggable(&self, arn: &str) -> Result<(), Error> {
        let prefix = self.identity.arn("iot", "");
        let exists = match arn.strip_prefix(&prefix).and_then(|resource| resource.split_once('/')) {
            Some(("cacert", id)) => self.authorities.contains_key(id),
            Some(("policy", name)) => self.policies.contains_key(name),
            Some(("thingtype", name)) => self.thing_types.contains_key(name),
            Some(("thinggroup", name)) => self.thing_groups.contains_key(name),
            Some(("billinggroup", name)) => self.billing_groups.contains_key(name),
            Some(("rule", name)) => self.topic_rules.contains_key(name),
            _ => {
                return Err(Error::InvalidRequest { reason: format!("{arn:?} cannot be tagged") });
            }
        };
        if exists { Ok(()) } else { Err(Error::NotFound { what: "resource", name: arn.to_owned() }) }
    }
}
