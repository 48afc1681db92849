//! Billing groups.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::{Call, Tag};
use crate::iot_core::account::{Account, epoch};

pub(super) fn create(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        #[serde(default)]
        billing_group_properties: Value,
        #[serde(default)]
        tags: Vec<Tag>,
    }
    let body: Body = call.json()?;
    let arn = account.billing_group_arn(call.name());
    let id = account.create_billing_group(call.name(), body.billing_group_properties)?.id.clone();
    account.tag(&arn, body.tags.into_iter().map(Tag::pair))?;
    Ok(Reply::json(json!({ "billingGroupName": call.name(), "billingGroupArn": arn, "billingGroupId": id })))
}

pub(super) fn describe(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let group = account.billing_group(call.name())?;
    Ok(Reply::json(json!({
        "billingGroupName": group.name,
        "billingGroupId": group.id,
        "billingGroupArn": account.billing_group_arn(&group.name),
        "version": 1,
        "billingGroupProperties": group.properties,
        "billingGroupMetadata": { "creationDate": epoch(group.created) },
    })))
}

pub(super) fn delete(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_billing_group(call.name());
    Ok(Reply::json(json!({})))
}
