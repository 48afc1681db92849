//! Billing groups: things are made in one, or put into one, and are in one at the most.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::Value;

use super::{Account, Error, check_name};

/// A billing group.
#[derive(Clone, Debug)]
pub struct BillingGroup {
    /// Its name.
    pub name: String,
    /// Its id, a UUID.
    pub id: String,
    /// `billingGroupProperties` as it was given; null if it was not.
    pub properties: Value,
    /// When it was created.
    pub created: SystemTime,
}

pub(super) type BillingGroups = BTreeMap<String, BillingGroup>;

impl Account {
    /// The ARN of a billing group.
    pub fn billing_group_arn(&self, name: &str) -> String {
        self.identity.arn("iot", &format!("billinggroup/{name}"))
    }

    /// `CreateBillingGroup`: the same again succeeds, a different one of that name is refused.
    pub fn create_billing_group(&mut self, name: &str, properties: Value) -> Result<&BillingGroup, Error> {
        check_name("billing group name", name, 128, ":_-")?;
        if self.billing_groups.get(name).is_some_and(|known| known.properties != properties) {
            let arn = self.billing_group_arn(name);
            return Err(Error::AlreadyExists { what: "billing group", id: name.to_owned(), arn });
        }
        let id = self.unique_id("billing group");
        Ok(self.billing_groups.entry(name.to_owned()).or_insert_with(|| BillingGroup {
            name: name.to_owned(),
            id,
            properties,
            created: SystemTime::now(),
        }))
    }

    /// `DescribeBillingGroup`.
    pub fn billing_group(&self, name: &str) -> Result<&BillingGroup, Error> {
        let found = self.billing_groups.get(name);
        found.ok_or_else(|| Error::NotFound { what: "billing group", name: name.to_owned() })
    }

    /// `DeleteBillingGroup`: one that does not exist counts as deleted. Its things are in none afterwards.
    pub fn delete_billing_group(&mut self, name: &str) {
        if self.billing_groups.remove(name).is_some() {
            let arn = self.billing_group_arn(name);
            self.tags.remove(&arn);
            let things =
                self.things.values_mut().filter(|thing| thing.billing_group.as_deref() == Some(name));
            things.for_each(|thing| thing.billing_group = None);
        }
    }
}
