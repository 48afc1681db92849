//! What payloads are that have no registration event: for the message that says so.

use serde_json::Value;

use super::envelope::{decoded, trimmed};
use super::{EventError, shortened};

/// The error of a payload in which no event was found.
pub(super) fn error(value: &Value) -> EventError {
    if let Value::String(text) = value {
        match decoded(text) {
            Some(inner) => return error(&inner),
            None if trimmed(text).is_empty() => return EventError::Empty,
            None => {}
        }
    }
    match (name(value), value) {
        (Some(found), _) => EventError::Foreign { found },
        (None, Value::Object(_)) => EventError::Missing { field: "certificateId", expected: super::ID },
        (None, other) => EventError::NotAnObject { found: shortened(other) },
    }
}

/// A request that API Gateway, a function URL or a load balancer hands on.
pub(super) fn is_web_request(value: &Value) -> bool {
    value.get("requestContext").is_some()
        && ["httpMethod", "rawPath"].iter().any(|field| value.get(field).is_some())
}

/// What a payload is, if it is known.
fn name(value: &Value) -> Option<String> {
    if let Value::Array(items) = value {
        return items.first().and_then(name);
    }
    let members = value.as_object()?;
    let text = |field| members.get(field).and_then(Value::as_str);
    let quoted = |field| members.get(field).map(shortened).unwrap_or_default();
    let has = |field: &str| members.contains_key(field);
    if let Some(records) = members.get("Records") {
        return records.as_array()?.first().and_then(name);
    }
    if let Some(source) = text("eventSource").or(text("EventSource")) {
        return Some(record_of(source));
    }
    Some(match text("Type") {
        Some("Notification") => match text("Message").and_then(decoded).as_ref().and_then(name) {
            Some(inner) => format!("an Amazon SNS notification with {inner}"),
            None => "an Amazon SNS notification".to_owned(),
        },
        Some("SubscriptionConfirmation" | "UnsubscribeConfirmation") => {
            "the question of Amazon SNS whether to confirm a subscription".to_owned()
        }
        _ if members.is_empty() => "an empty object".to_owned(),
        _ if ["key1", "key2", "key3"].iter().all(|field| has(field)) => {
            "the test event of the AWS Lambda console".to_owned()
        }
        _ if members.keys().any(|field| field.to_lowercase().contains("warm"))
            || text("source").is_some_and(|source| source.to_lowercase().contains("warm")) =>
        {
            "a call that keeps the function warm".to_owned()
        }
        _ if has("detail-type") => format!("the Amazon EventBridge event {}", quoted("detail-type")),
        _ if is_web_request(value) => "a web request".to_owned(),
        _ if has("requestPayload") => match members.get("requestPayload").and_then(name) {
            Some(inner) => format!("a record of an invocation of AWS Lambda with {inner}"),
            None => "a record of an invocation of AWS Lambda".to_owned(),
        },
        _ if has("KinesisBatchInfo") || has("DDBStreamBatchInfo") => {
            "a record of a batch of a stream, which does not hold the batch".to_owned()
        }
        _ if text("Event") == Some("s3:TestEvent") => "the test event of Amazon S3".to_owned(),
        _ if has("ResponseURL") => "a request of AWS CloudFormation".to_owned(),
        _ if has("awslogs") => "data of Amazon CloudWatch Logs".to_owned(),
        _ if has("deliveryStreamArn") => "records of Amazon Data Firehose".to_owned(),
        _ if has("clientCertificateChain") => "a client certificate callback of AWS IoT".to_owned(),
        _ if has("claimCertificateId") || has("certificatePem") => {
            "a pre-provisioning hook of AWS IoT".to_owned()
        }
        _ if has("eventType") => format!("the AWS IoT event {}", quoted("eventType")),
        _ => return None,
    })
}

fn record_of(source: &str) -> String {
    let service = match source {
        "aws:s3" => "Amazon S3",
        "aws:sqs" => "Amazon SQS",
        "aws:sns" => "Amazon SNS",
        "aws:ses" => "Amazon SES",
        "aws:dynamodb" => "Amazon DynamoDB",
        "aws:kinesis" => "Amazon Kinesis",
        "aws:codecommit" => "AWS CodeCommit",
        "aws:kafka" | "SelfManagedKafka" => "Apache Kafka",
        "aws:mq" | "aws:rmq" => "Amazon MQ",
        "aws:docdb" => "Amazon DocumentDB",
        other => return format!("a record of {}", shortened(&Value::from(other))),
    };
    format!("a record of {service}")
}
