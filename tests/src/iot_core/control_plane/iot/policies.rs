//! Policies.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::{Call, Tag};
use super::page;
use crate::iot_core::account::{Account, Policy, epoch};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    policy_document: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Target {
    target: String,
}

fn summary(account: &Account, policy: &Policy) -> Value {
    json!({ "policyName": policy.name, "policyArn": account.policy_arn(&policy.name) })
}

pub(super) fn create(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Document = call.json()?;
    account.create_policy(call.name(), &body.policy_document)?;
    let arn = account.policy_arn(call.name());
    account.tag(&arn, body.tags.into_iter().map(Tag::pair))?;
    Ok(Reply::json(json!({
        "policyName": call.name(),
        "policyArn": arn,
        "policyDocument": body.policy_document,
        "policyVersionId": "1",
    })))
}

pub(super) fn get(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let policy = account.policy(call.name())?;
    Ok(Reply::json(json!({
        "policyName": policy.name,
        "policyArn": account.policy_arn(&policy.name),
        "policyDocument": policy.document(),
        "defaultVersionId": policy.default.to_string(),
        "creationDate": epoch(policy.created),
        "lastModifiedDate": epoch(policy.modified),
        "generationId": format!("{}-{}", policy.name, policy.default),
    })))
}

pub(super) fn list(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let policies = account.list_policies(&call.marker_page()?)?;
    Ok(page("policies", "nextMarker", policies, |policy| summary(account, policy)))
}

pub(super) fn delete(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_policy(call.name())?;
    Ok(Reply::empty())
}

pub(super) fn create_version(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Document = call.json()?;
    let as_default = call.flag("setAsDefault");
    let id = account.create_policy_version(call.name(), &body.policy_document, as_default)?;
    Ok(Reply::json(json!({
        "policyArn": account.policy_arn(call.name()),
        "policyDocument": body.policy_document,
        "policyVersionId": id.to_string(),
        "isDefaultVersion": as_default,
    })))
}

pub(super) fn list_versions(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let policy = account.policy(call.name())?;
    let versions = policy.versions.iter().map(|version| {
        json!({
            "versionId": version.id.to_string(),
            "isDefaultVersion": version.id == policy.default,
            "createDate": epoch(version.created),
        })
    });
    Ok(Reply::json(json!({ "policyVersions": versions.collect::<Vec<_>>() })))
}

pub(super) fn get_version(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let (policy, version) = account.policy_version(call.name(), call.label(1))?;
    Ok(Reply::json(json!({
        "policyArn": account.policy_arn(&policy.name),
        "policyName": policy.name,
        "policyDocument": version.document,
        "policyVersionId": version.id.to_string(),
        "isDefaultVersion": version.id == policy.default,
        "creationDate": epoch(version.created),
        "lastModifiedDate": epoch(version.created),
        "generationId": format!("{}-{}", policy.name, version.id),
    })))
}

pub(super) fn delete_version(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_policy_version(call.name(), call.label(1))?;
    Ok(Reply::empty())
}

pub(super) fn set_default_version(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.set_default_policy_version(call.name(), call.label(1))?;
    Ok(Reply::empty())
}

pub(super) fn attach(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.attach_policy(call.name(), &call.json::<Target>()?.target)?;
    Ok(Reply::empty())
}

pub(super) fn detach(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.detach_policy(call.name(), &call.json::<Target>()?.target)?;
    Ok(Reply::empty())
}

pub(super) fn list_attached(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let policies = match call.flag("recursive") {
        true => account.attached_policies_above(call.name(), &call.marker_page()?)?,
        false => account.attached_policies(call.name(), &call.marker_page()?)?,
    };
    Ok(page("policies", "nextMarker", policies, |policy| summary(account, policy)))
}

pub(super) fn list_targets(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let targets = account.policy_targets(call.name(), &call.marker_page()?)?;
    Ok(page("targets", "nextMarker", targets, Value::from))
}

/// The principal of the older calls, which name it in a header.
fn principal(call: &Call) -> Result<&str, ServiceError> {
    call.header("x-amzn-iot-principal")
        .ok_or_else(|| ServiceError::invalid_request("x-amzn-iot-principal is missing"))
}

pub(super) fn attach_to_principal(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.attach_policy(call.name(), principal(call)?)?;
    Ok(Reply::empty())
}

pub(super) fn detach_from_principal(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.detach_policy(call.name(), principal(call)?)?;
    Ok(Reply::empty())
}

pub(super) fn list_of_principal(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let policies = account.attached_policies(principal(call)?, &call.marker_page()?)?;
    Ok(page("policies", "nextMarker", policies, |policy| summary(account, policy)))
}

pub(super) fn list_principals(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let policy = call
        .header("x-amzn-iot-policy")
        .ok_or_else(|| ServiceError::invalid_request("x-amzn-iot-policy is missing"))?;
    let principals = account.policy_principals(policy, &call.marker_page()?)?;
    Ok(page("principals", "nextMarker", principals, Value::from))
}
