//! What things are described with: `THING_ATTRIBUTES`, `THING_GROUP`, `ADDITIONAL_POLICIES`, `BILLING_GROUP`.

use std::fmt;
use std::str::FromStr;

use super::{ConfigError, Variables};
use crate::description::{Description, DescriptionError};

/// Attributes of the things.
pub const THING_ATTRIBUTES: &str = "THING_ATTRIBUTES";
/// Groups that things are put into.
pub const THING_GROUP: &str = "THING_GROUP";
/// Policies that certificates get besides the one of all devices.
pub const ADDITIONAL_POLICIES: &str = "ADDITIONAL_POLICIES";
/// The billing group that things are made in.
pub const BILLING_GROUP: &str = "BILLING_GROUP";

/// Why a value is none for the function.
enum Problem {
    Description(DescriptionError),
    /// A field that the function does not know.
    Elsewhere(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Description(error) => error.fmt(f),
            Self::Elsewhere(field) => write!(
                f,
                "the function does not know {{{field}}}: it is in the ledger of a station, and `provisioner register` has it"
            ),
        }
    }
}

/// Items of a list, which are separated by white space: AWS IoT takes it in none of them.
fn items<T: FromStr<Err = DescriptionError>>(value: &str) -> Result<Vec<T>, DescriptionError> {
    value.split_whitespace().map(str::parse).collect()
}

fn for_the_function(description: Description) -> Result<Description, Problem> {
    match description.field_of_the_ledger() {
        Some(field) => Err(Problem::Elsewhere(field.name())),
        None => description.checked().map_err(Problem::Description),
    }
}

/// Reads `THING_ATTRIBUTES`, `THING_GROUP`, `ADDITIONAL_POLICIES` and `BILLING_GROUP`. Items of a list are separated by white space.
///
/// # Errors
/// Names the variable and what is wrong.
pub fn description(variables: impl Fn(&str) -> Option<String>) -> Result<Description, ConfigError> {
    let variables = Variables(variables);
    let read = |name, set: fn(&str) -> Result<Description, DescriptionError>| {
        let parse = |value: &str| set(value).map_err(Problem::Description).and_then(for_the_function);
        variables.parsed(name, parse).map(Option::unwrap_or_default)
    };
    let attributes = read(THING_ATTRIBUTES, |value| {
        Ok(Description { attributes: items(value)?, ..Description::default() })
    })?;
    let groups =
        read(THING_GROUP, |value| Ok(Description { groups: items(value)?, ..Description::default() }))?;
    let policies = read(ADDITIONAL_POLICIES, |value| {
        Ok(Description { policies: items(value)?, ..Description::default() })
    })?;
    let billing_group = read(BILLING_GROUP, |value| {
        Ok(Description { billing_group: Some(value.parse()?), ..Description::default() })
    })?;
    Ok(Description {
        attributes: attributes.attributes,
        groups: groups.groups,
        policies: policies.policies,
        billing_group: billing_group.billing_group,
    })
}
