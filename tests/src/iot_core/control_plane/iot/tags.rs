//! Tags.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::{Call, Tag};
use crate::iot_core::account::Account;

pub(super) fn tag(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        resource_arn: String,
        tags: Vec<Tag>,
    }
    let body: Body = call.json()?;
    account.tag(&body.resource_arn, body.tags.into_iter().map(Tag::pair))?;
    Ok(Reply::json(json!({})))
}

pub(super) fn untag(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        resource_arn: String,
        tag_keys: Vec<String>,
    }
    let body: Body = call.json()?;
    account.untag(&body.resource_arn, body.tag_keys.iter().map(String::as_str))?;
    Ok(Reply::json(json!({})))
}

pub(super) fn list(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let tags = account.tags(call.query("resourceArn").unwrap_or_default())?;
    let tags: Vec<Value> =
        tags.into_iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(Reply::json(json!({ "tags": tags })))
}
