//! What the function describes things with: the variables that setting up gives it.

use std::collections::BTreeMap;

use jitr::config::{self, ADDITIONAL_POLICIES, BILLING_GROUP, THING_ATTRIBUTES, THING_GROUP};
use jitr::description::{Attribute, Description, NameTemplate};
use jitr::name::{BillingGroupName, PolicyName, ThingGroupName};

use super::{Error, function};

/// What the function is to describe things with, one variable each. `None` leaves a variable as it is, and nothing takes away what it
/// has.
#[derive(Clone, Debug, Default)]
pub struct Described {
    /// `THING_ATTRIBUTES`.
    pub attributes: Option<Vec<Attribute>>,
    /// `THING_GROUP`.
    pub groups: Option<Vec<NameTemplate<ThingGroupName>>>,
    /// `ADDITIONAL_POLICIES`.
    pub policies: Option<Vec<NameTemplate<PolicyName>>>,
    /// `BILLING_GROUP`.
    pub billing_group: Option<Vec<NameTemplate<BillingGroupName>>>,
}

impl Described {
    /// The variables with their values. An empty value takes away.
    pub(super) fn variables(&self) -> BTreeMap<&'static str, String> {
        let listed = [
            (THING_ATTRIBUTES, self.attributes.as_deref().map(list)),
            (THING_GROUP, self.groups.as_deref().map(list)),
            (ADDITIONAL_POLICIES, self.policies.as_deref().map(list)),
            (BILLING_GROUP, self.billing_group.as_deref().map(list)),
        ];
        listed.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// What the function is going to describe things with.
    ///
    /// # Errors
    /// [`Error::Description`].
    pub(super) fn with(&self, found: Option<&function::Deployed>) -> Result<Description, Error> {
        let given = self.variables();
        let variable = |name: &str| {
            let found = || found.and_then(|function| function.variable(name)).map(str::to_owned);
            given.get(name).cloned().or_else(found)
        };
        config::description(variable).map_err(|source| Error::Description { source })
    }
}

/// A list as a variable has it.
fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
