//! The flags for what things are described with: attributes, groups, further policies and a billing group.

use std::str::FromStr;

use clap::Args;
use iot_account::setup::Described;
use jitr::description::{Attribute, CA, Description, DescriptionError, NameTemplate};
use jitr::name::{BillingGroupName, PolicyName, ThingGroupName};

use super::Error;

/// A value of a flag. An empty one stands for nothing.
#[derive(Clone, Debug)]
struct Item<T>(Option<T>);

impl<T: FromStr> FromStr for Item<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|item| Self(Some(item))) }
    }
}

/// What things get besides their type. Values and names may have fields such as {subject.OU}.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Description of things")]
pub(super) struct DescriptionFlags {
    /// Attribute of the things; the value may have fields such as {subject.OU}; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    attributes: Vec<Item<Attribute>>,
    /// Group for the things; it has to exist; may be repeated, and have fields
    #[arg(long = "thing-group", value_name = "NAME")]
    thing_groups: Vec<Item<NameTemplate<ThingGroupName>>>,
    /// Policy that certificates get besides; it has to exist; may be repeated, and have fields
    #[arg(long = "additional-policy", value_name = "NAME")]
    additional_policies: Vec<Item<NameTemplate<PolicyName>>>,
    /// Billing group that the things are made in; it has to exist; may have fields
    #[arg(long, value_name = "NAME")]
    billing_group: Option<Item<NameTemplate<BillingGroupName>>>,
}

fn items<T: Clone>(items: &[Item<T>]) -> Vec<T> {
    items.iter().filter_map(|item| item.0.clone()).collect()
}

/// The items, if the flag was given.
fn given<T: Clone>(given: &[Item<T>]) -> Option<Vec<T>> {
    (!given.is_empty()).then(|| items(given))
}

fn refused(error: &DescriptionError) -> Error {
    Error::usage(error.to_string(), "lambda/docs/descriptions.md has the limits of AWS IoT")
}

impl DescriptionFlags {
    /// Whether any of them was given.
    pub(super) fn is_given(&self) -> bool {
        !self.attributes.is_empty()
            || !self.thing_groups.is_empty()
            || !self.additional_policies.is_empty()
            || self.billing_group.is_some()
    }

    fn all(&self) -> Result<Description, Error> {
        let description = Description {
            attributes: items(&self.attributes),
            groups: items(&self.thing_groups),
            policies: items(&self.additional_policies),
            billing_group: self.billing_group.as_ref().and_then(|item| item.0.clone()),
        };
        description.checked().map_err(|error| refused(&error))
    }

    /// What `register` describes things with.
    ///
    /// # Errors
    /// More than AWS IoT takes; a field that only the function knows.
    pub(super) fn for_register(&self) -> Result<Description, Error> {
        let description = self.all()?;
        let known = description.fields().all(|field| field.name() != CA);
        match known {
            true => Ok(description),
            false => Err(Error::usage(
                format!("`register` does not know {{{CA}}}: it registers certificates without their CA"),
                "leave the field out; the function has it: provisioner setup --attribute",
            )),
        }
    }

    /// What the function is to describe things with.
    ///
    /// # Errors
    /// More than AWS IoT takes; a field that the function does not know.
    pub(super) fn for_the_function(&self) -> Result<Described, Error> {
        let description = self.all()?;
        if let Some(field) = description.field_of_the_ledger() {
            return Err(Error::usage(
                format!("the function does not know {field}: it is in the ledger of a station"),
                "leave the field out; `provisioner register` has it",
            ));
        }
        Ok(Described {
            attributes: given(&self.attributes),
            groups: given(&self.thing_groups),
            policies: given(&self.additional_policies),
            billing_group: self.billing_group.as_ref().map(|item| item.0.iter().cloned().collect()),
        })
    }
}
