//! Amazon CloudWatch (Smithy RPC v2 CBOR, and JSON 1.0): alarms on one metric each.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Named;
use super::reply::{Reply, ServiceError};
use super::request::{Call, Tag};
use crate::iot_core::account::{Account, Alarm, epoch};

/// Every operation the testbed knows.
pub(super) const OPERATIONS: &[Named] = &[
    ("PutMetricAlarm", put),
    ("DescribeAlarms", describe),
    ("SetAlarmState", set_state),
    ("DeleteAlarms", delete),
    ("ListTagsForResource", list_tags),
];

/// The most names in a call (Amazon CloudWatch API reference, `DescribeAlarms` and `DeleteAlarms`).
const MOST_NAMES: usize = 100;
/// The most alarms in an answer.
const MOST_RECORDS: usize = 100;
/// How many there are without `MaxRecords`.
const RECORDS: usize = 50;

/// The fields of all requests but `PutMetricAlarm`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    alarm_name: String,
    alarm_names: Vec<String>,
    alarm_name_prefix: String,
    alarm_types: Vec<String>,
    state_value: Option<String>,
    state_reason: String,
    max_records: Option<usize>,
    next_token: Option<String>,
    #[serde(rename = "ResourceARN")]
    resource_arn: String,
}

fn put(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let mut settings: Map<String, Value> = call.json()?;
    let tags: Vec<Tag> = match settings.remove("Tags") {
        Some(tags) => serde_json::from_value(tags).map_err(|error| invalid(format!("Tags: {error}")))?,
        None => Vec::new(),
    };
    account.put_alarm(settings, tags.into_iter().map(Tag::pair).collect())?;
    Ok(Reply::json(json!({})))
}

fn describe(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    if body.alarm_names.len() > MOST_NAMES {
        return Err(invalid(format!("AlarmNames must have at most {MOST_NAMES} names")));
    }
    let records = body.max_records.unwrap_or(RECORDS);
    if !(1..=MOST_RECORDS).contains(&records) {
        return Err(invalid(format!("MaxRecords must be 1 to {MOST_RECORDS}")));
    }
    let is_of_metrics =
        body.alarm_types.is_empty() || body.alarm_types.iter().any(|kind| kind == "MetricAlarm");
    let is_wanted = |name: &str, alarm: &Alarm| {
        is_of_metrics
            && (body.alarm_names.is_empty() || body.alarm_names.iter().any(|wanted| wanted == name))
            && name.starts_with(&body.alarm_name_prefix)
            && body.state_value.as_ref().is_none_or(|state| account.alarm_state(alarm).0 == state)
            && body.next_token.as_deref().is_none_or(|after| name > after)
    };
    let mut alarms = account.alarms().filter(|(name, alarm)| is_wanted(name, alarm)).peekable();
    let page: Vec<_> = alarms.by_ref().take(records).collect();
    let next = page.last().filter(|_| alarms.peek().is_some()).map(|(name, _)| *name);
    let described: Vec<_> = page.iter().map(|(name, alarm)| described(account, name, alarm)).collect();
    Ok(Reply::json(json!({ "MetricAlarms": described, "CompositeAlarms": [], "NextToken": next })))
}

fn described(account: &Account, name: &str, alarm: &Alarm) -> Value {
    let (state, reason) = account.alarm_state(alarm);
    let mut described = alarm.settings.clone();
    // A number that was sent as an integer is a double all the same.
    let threshold = described.get("Threshold").and_then(Value::as_f64);
    let updated = epoch(alarm.updated);
    let fields = json!({
        "AlarmArn": account.alarm_arn(name),
        "AlarmConfigurationUpdatedTimestamp": updated,
        "StateUpdatedTimestamp": updated,
        "StateValue": state,
        "StateReason": reason,
        "Threshold": threshold,
    });
    described.extend(fields.as_object().cloned().unwrap_or_default());
    described.into()
}

fn set_state(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let state = body.state_value.unwrap_or_default();
    account.set_alarm_state(&body.alarm_name, &state, &body.state_reason)?;
    Ok(Reply::json(json!({})))
}

fn delete(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let names = call.json::<Body>()?.alarm_names;
    if names.is_empty() || names.len() > MOST_NAMES {
        return Err(invalid(format!("AlarmNames must have 1 to {MOST_NAMES} names")));
    }
    account.delete_alarms(&names)?;
    Ok(Reply::json(json!({})))
}

fn list_tags(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let arn = call.json::<Body>()?.resource_arn;
    let name = arn.rsplit(':').next().unwrap_or_default();
    let mut alarms = account.alarms();
    let tags: &BTreeMap<String, String> = match alarms.find(|(known, _)| *known == name) {
        Some((name, alarm)) if account.alarm_arn(name) == arn => &alarm.tags,
        _ => {
            return Err(ServiceError::new("ResourceNotFoundException", 404, format!("{arn} does not exist")));
        }
    };
    let tags: Vec<_> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(Reply::json(json!({ "Tags": tags })))
}

fn invalid(message: String) -> ServiceError {
    ServiceError::new("ValidationError", 400, message)
}
