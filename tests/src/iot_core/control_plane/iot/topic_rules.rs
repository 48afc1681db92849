//! Topic rules.

use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::Call;
use super::page;
use crate::iot_core::account::{Account, epoch};

pub(super) fn create(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.create_topic_rule(call.name(), call.json()?)?;
    // Here alone the tags come in a header, in the form of a query string.
    let tags = call.header("x-amz-tagging").unwrap_or_default();
    let arn = account.topic_rule_arn(call.name());
    account.tag(&arn, form_urlencoded::parse(tags.as_bytes()).into_owned())?;
    Ok(Reply::empty())
}

pub(super) fn get(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let rule = account.topic_rule(call.name())?;
    let mut description: Value = rule.payload.clone();
    description["ruleName"] = rule.name.as_str().into();
    description["createdAt"] = epoch(rule.created).into();
    Ok(Reply::json(json!({ "ruleArn": account.topic_rule_arn(&rule.name), "rule": description })))
}

pub(super) fn replace(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.replace_topic_rule(call.name(), call.json()?)?;
    Ok(Reply::empty())
}

pub(super) fn enable(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.set_topic_rule_disabled(call.name(), false)?;
    Ok(Reply::empty())
}

pub(super) fn disable(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.set_topic_rule_disabled(call.name(), true)?;
    Ok(Reply::empty())
}

pub(super) fn delete(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_topic_rule(call.name())?;
    Ok(Reply::empty())
}

pub(super) fn list(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    Ok(page("rules", "nextToken", account.list_topic_rules(&call.token_page()?)?, |rule| {
        json!({
            "ruleArn": account.topic_rule_arn(&rule.name),
            "ruleName": rule.name,
            "topicPattern": rule.topic_filter,
            "createdAt": epoch(rule.created),
            "ruleDisabled": rule.disabled(),
        })
    }))
}
