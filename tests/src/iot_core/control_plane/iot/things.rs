//! Things, thing types, thing groups, principals.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::{Call, Tag};
use super::page;
use crate::iot_core::account::{Account, ThingType, epoch, paginate};

#[derive(Default, Deserialize)]
struct AttributePayload {
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    merge: bool,
}

pub(super) fn create(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        thing_type_name: Option<String>,
        #[serde(default)]
        attribute_payload: AttributePayload,
        billing_group_name: Option<String>,
    }
    let body: Body = call.json()?;
    let arn = account.thing_arn(call.name());
    let thing = account.create_thing(
        call.name(),
        body.thing_type_name.as_deref(),
        body.attribute_payload.attributes,
        body.billing_group_name.as_deref(),
    )?;
    Ok(Reply::json(json!({ "thingName": thing.name, "thingArn": arn, "thingId": thing.id })))
}

pub(super) fn describe(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let thing = account.thing(call.name())?;
    Ok(Reply::json(json!({
        "defaultClientId": thing.name,
        "thingName": thing.name,
        "thingId": thing.id,
        "thingArn": account.thing_arn(&thing.name),
        "thingTypeName": thing.thing_type,
        "attributes": thing.attributes,
        "billingGroupName": thing.billing_group,
        "version": thing.version,
    })))
}

pub(super) fn update(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        thing_type_name: Option<String>,
        attribute_payload: Option<AttributePayload>,
        expected_version: Option<u64>,
        #[serde(default)]
        remove_thing_type: bool,
    }
    let body: Body = call.json()?;
    let thing_type =
        if body.remove_thing_type { Some(None) } else { body.thing_type_name.as_deref().map(Some) };
    let attributes = body.attribute_payload.map(|payload| (payload.attributes, payload.merge));
    account.update_thing(call.name(), thing_type, attributes, body.expected_version)?;
    Ok(Reply::json(json!({})))
}

pub(super) fn delete(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_thing(call.name(), call.number("expectedVersion")?)?;
    Ok(Reply::json(json!({})))
}

pub(super) fn list(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let attribute = call.query("attributeName").zip(call.query("attributeValue"));
    let things = account.list_things(call.query("thingTypeName"), attribute, &call.token_page()?)?;
    Ok(page("things", "nextToken", things, |thing| {
        json!({
            "thingName": thing.name,
            "thingTypeName": thing.thing_type,
            "thingArn": account.thing_arn(&thing.name),
            "attributes": thing.attributes,
            "version": thing.version,
        })
    }))
}

pub(super) fn create_type(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        #[serde(default)]
        thing_type_properties: Value,
        #[serde(default)]
        tags: Vec<Tag>,
    }
    let body: Body = call.json()?;
    let arn = account.thing_type_arn(call.name());
    let id = account.create_thing_type(call.name(), body.thing_type_properties)?.id.clone();
    account.tag(&arn, body.tags.into_iter().map(Tag::pair))?;
    Ok(Reply::json(json!({ "thingTypeName": call.name(), "thingTypeArn": arn, "thingTypeId": id })))
}

fn type_description(account: &Account, thing_type: &ThingType) -> Value {
    json!({
        "thingTypeName": thing_type.name,
        "thingTypeArn": account.thing_type_arn(&thing_type.name),
        "thingTypeProperties": thing_type.properties,
        "thingTypeMetadata": {
            "deprecated": thing_type.deprecated.is_some(),
            "deprecationDate": thing_type.deprecated.map(epoch),
            "creationDate": epoch(thing_type.created),
        },
    })
}

pub(super) fn describe_type(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let thing_type = account.thing_type(call.name())?;
    // A list has no ids.
    let mut description = type_description(account, thing_type);
    description["thingTypeId"] = thing_type.id.as_str().into();
    Ok(Reply::json(description))
}

pub(super) fn deprecate_type(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        #[serde(default)]
        undo_deprecate: bool,
    }
    account.deprecate_thing_type(call.name(), call.json::<Body>()?.undo_deprecate)?;
    Ok(Reply::json(json!({})))
}

pub(super) fn delete_type(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_thing_type(call.name())?;
    Ok(Reply::json(json!({})))
}

pub(super) fn list_types(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let types = account.list_thing_types(&call.token_page()?)?;
    Ok(page("thingTypes", "nextToken", types, |thing_type| type_description(account, thing_type)))
}

/// The principal that the header names.
fn principal(call: &Call) -> Result<&str, ServiceError> {
    call.header("x-amzn-principal")
        .ok_or_else(|| ServiceError::invalid_request("x-amzn-principal is missing"))
}

pub(super) fn attach_principal(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let exclusive = wanted(call)?.unwrap_or_default();
    account.attach_thing_principal(call.name(), principal(call)?, exclusive)?;
    Ok(Reply::json(json!({})))
}

pub(super) fn detach_principal(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.detach_thing_principal(call.name(), principal(call)?)?;
    Ok(Reply::json(json!({})))
}

/// Which attachments are asked for.
fn wanted(call: &Call) -> Result<Option<bool>, ServiceError> {
    match call.query("thingPrincipalType") {
        None => Ok(None),
        Some("NON_EXCLUSIVE_THING") => Ok(Some(false)),
        Some("EXCLUSIVE_THING") => Ok(Some(true)),
        Some(other) => Err(ServiceError::invalid_request(format!("thingPrincipalType {other:?}"))),
    }
}

fn principal_type(exclusive: bool) -> &'static str {
    if exclusive { "EXCLUSIVE_THING" } else { "NON_EXCLUSIVE_THING" }
}

pub(super) fn list_principals(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let principals = account.thing_principals(call.name(), None, &call.token_page()?)?;
    Ok(page("principals", "nextToken", principals, |(arn, _)| arn.into()))
}

pub(super) fn list_principals_v2(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let principals = account.thing_principals(call.name(), wanted(call)?, &call.token_page()?)?;
    Ok(page(
        "thingPrincipalObjects",
        "nextToken",
        principals,
        |(arn, exclusive)| json!({ "principal": arn, "thingPrincipalType": principal_type(exclusive) }),
    ))
}

pub(super) fn list_principal_things(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let things = account.principal_things(principal(call)?, None, &call.token_page()?)?;
    Ok(page("things", "nextToken", things, |(name, _)| name.into()))
}

pub(super) fn list_principal_things_v2(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let things = account.principal_things(principal(call)?, wanted(call)?, &call.token_page()?)?;
    Ok(page(
        "principalThingObjects",
        "nextToken",
        things,
        |(name, exclusive)| json!({ "thingName": name, "thingPrincipalType": principal_type(exclusive) }),
    ))
}

/// Thing and group by name or by ARN.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Membership {
    thing_group_name: Option<String>,
    thing_group_arn: Option<String>,
    thing_name: Option<String>,
    thing_arn: Option<String>,
}

fn set_membership(account: &mut Account, call: &Call, present: bool) -> Result<Reply, ServiceError> {
    let body: Membership = call.json()?;
    let named = |name: Option<String>, arn: Option<String>, what: &str| {
        name.or_else(|| arn?.rsplit_once('/').map(|(_, name)| name.to_owned()))
            .ok_or_else(|| ServiceError::invalid_request(format!("neither name nor ARN of the {what}")))
    };
    let group = named(body.thing_group_name, body.thing_group_arn, "thing group")?;
    let thing = named(body.thing_name, body.thing_arn, "thing")?;
    account.set_thing_group_member(&group, &thing, present)?;
    Ok(Reply::json(json!({})))
}

pub(super) fn add_to_group(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    set_membership(account, call, true)
}

pub(super) fn remove_from_group(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    set_membership(account, call, false)
}

pub(super) fn create_group(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        parent_group_name: Option<String>,
        #[serde(default)]
        thing_group_properties: Value,
        #[serde(default)]
        tags: Vec<Tag>,
    }
    let body: Body = call.json()?;
    let arn = account.thing_group_arn(call.name());
    let group = account.create_thing_group(
        call.name(),
        body.parent_group_name.as_deref(),
        body.thing_group_properties,
    )?;
    let id = group.id.clone();
    account.tag(&arn, body.tags.into_iter().map(Tag::pair))?;
    Ok(Reply::json(json!({ "thingGroupName": call.name(), "thingGroupArn": arn, "thingGroupId": id })))
}

pub(super) fn describe_group(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let group = account.thing_group(call.name())?;
    Ok(Reply::json(json!({
        "thingGroupName": group.name,
        "thingGroupId": group.id,
        "thingGroupArn": account.thing_group_arn(&group.name),
        "version": 1,
        "thingGroupProperties": group.properties,
        "thingGroupMetadata": { "parentGroupName": group.parent, "creationDate": epoch(group.created) },
    })))
}

pub(super) fn delete_group(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_thing_group(call.name())?;
    Ok(Reply::json(json!({})))
}

pub(super) fn list_groups(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    groups(account, call, None)
}

pub(super) fn list_groups_of_thing(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.thing(call.name())?;
    groups(account, call, Some(call.name()))
}

fn groups(account: &Account, call: &Call, thing: Option<&str>) -> Result<Reply, ServiceError> {
    let groups = account.list_thing_groups(thing, &call.token_page()?)?;
    Ok(page(
        "thingGroups",
        "nextToken",
        groups,
        |group| json!({ "groupName": group.name, "groupArn": account.thing_group_arn(&group.name) }),
    ))
}

pub(super) fn list_group_things(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let things = &account.thing_group(call.name())?.things;
    let things = paginate(things, &call.token_page()?, |name, ()| Some(name))?;
    Ok(page("things", "nextToken", things, Value::from))
}
