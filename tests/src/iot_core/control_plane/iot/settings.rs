//! Registry events, fleet indexing, logs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::Call;
use crate::iot_core::account::{Account, Error, epoch};

pub(super) fn describe_events(account: &mut Account, _: &Call) -> Result<Reply, ServiceError> {
    let settings = account.settings();
    let events: BTreeMap<&str, Value> =
        settings.events.iter().map(|(kind, on)| (kind.as_str(), json!({ "Enabled": on }))).collect();
    let modified = settings.events_modified.map(epoch);
    Ok(Reply::json(json!({
        "eventConfigurations": events, "creationDate": modified, "lastModifiedDate": modified,
    })))
}

pub(super) fn update_events(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Configuration {
        #[serde(default)]
        enabled: bool,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        #[serde(default)]
        event_configurations: BTreeMap<String, Configuration>,
    }
    let body: Body = call.json()?;
    let changed =
        body.event_configurations.into_iter().map(|(kind, configuration)| (kind, configuration.enabled));
    account.update_events(changed.collect())?;
    Ok(Reply::json(json!({})))
}

pub(super) fn get_indexing(account: &mut Account, _: &Call) -> Result<Reply, ServiceError> {
    let indexing = &account.settings().indexing;
    Ok(Reply::json(json!({
        "thingIndexingConfiguration": indexing.things, "thingGroupIndexingConfiguration": indexing.groups,
    })))
}

pub(super) fn update_indexing(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let mut body: Value = call.json()?;
    let [things, groups] = ["thingIndexingConfiguration", "thingGroupIndexingConfiguration"]
        .map(|key| body.get_mut(key).map(Value::take).unwrap_or_default());
    account.update_indexing(things, groups)?;
    Ok(Reply::json(json!({})))
}

pub(super) fn describe_index(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let indexing = &account.settings().indexing;
    let on = match call.name() {
        "AWS_Things" => indexing.things["thingIndexingMode"] != "OFF",
        "AWS_ThingGroups" => indexing.groups["thingGroupIndexingMode"] != "OFF",
        _ => false,
    };
    match on {
        true => Ok(Reply::json(json!({ "indexName": call.name(), "indexStatus": "ACTIVE" }))),
        false => Err(Error::NotFound { what: "index", name: call.name().to_owned() }.into()),
    }
}

pub(super) fn set_logging(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.set_logging(call.json()?)?;
    Ok(Reply::empty())
}

pub(super) fn get_logging(account: &mut Account, _: &Call) -> Result<Reply, ServiceError> {
    match &account.settings().logging.options {
        Value::Null => Err(ServiceError::new(
            "NotConfiguredException",
            404,
            "logging is not configured: SetV2LoggingOptions",
        )),
        options => Ok(Reply::json(options.clone())),
    }
}
