//! The type of the things. AWS IoT makes no thing of a deprecated one, and lets one be deleted only five minutes after its
//! deprecation (AWS IoT API reference, "DeprecateThingType" and "DeleteThingType"): until then `setup` finds what
//! `teardown` has left.

use jitr::name::ThingTypeName;

use super::{Link, Settings, function};
use crate::{Account, Error as AccountError, Resource};

/// What a deprecated thing type means.
pub(crate) const DEPRECATED: &str = "is deprecated: no new thing can have it";
/// What is changed about it.
pub(crate) const REVIVED: &str = "is deprecated, should be in use";

/// The name of the type that the function gives to things.
pub(super) fn name(
    settings: &Settings,
    found: Option<&function::Deployed>,
) -> Result<ThingTypeName, super::Error> {
    match (&settings.thing_type, found.and_then(|found| found.variable(function::THING_TYPE))) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(name)) => Ok(name.parse()?),
        (None, None) => Ok(ThingTypeName::zero_touch_kit()),
    }
}

/// Whether a type is deprecated; `None` where it does not exist.
pub(crate) async fn is_deprecated(account: &Account, name: &str) -> Result<Option<bool>, AccountError> {
    let answer = account.iot().describe_thing_type().thing_type_name(name).send().await;
    let found = account.found("iot:DescribeThingType", answer)?;
    Ok(found.map(|found| found.thing_type_metadata().is_some_and(|metadata| metadata.deprecated())))
}

/// Deprecates a type, or takes it into use again.
pub(crate) async fn deprecate(account: &Account, name: &str, undo: bool) -> Result<(), AccountError> {
    let request = account.iot().deprecate_thing_type().thing_type_name(name).undo_deprecate(undo);
    request.send().await.map(drop).map_err(account.failed("iot:DeprecateThingType"))
}

/// The line of the plan, for a type that is taken into use again.
pub(super) fn link(name: &ThingTypeName) -> Link {
    Link::new(Resource::ThingType, name.as_str(), true, vec![REVIVED.to_owned()])
}
