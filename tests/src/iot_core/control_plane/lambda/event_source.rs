//! Event source mappings of AWS Lambda, for queues.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::iot_core::control_plane::reply::{Reply, ServiceError};
use crate::iot_core::control_plane::request::Call;
use crate::lambda_host::{EventSource, LambdaHost};

const REPORTS_FAILURES: &str = "ReportBatchItemFailures";

/// The fields of the requests that make and change one.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    function_name: Option<String>,
    event_source_arn: Option<String>,
    enabled: Option<bool>,
    batch_size: Option<usize>,
    maximum_batching_window_in_seconds: Option<u32>,
    function_response_types: Option<Vec<String>>,
    scaling_config: Option<ScalingConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScalingConfig {
    maximum_concurrency: Option<u32>,
}

impl Body {
    /// What is given; what is not stays.
    fn change(&self, lambda: &LambdaHost, source: &mut EventSource) {
        if let Some(function) = &self.function_name {
            source.function = lambda.short(function);
        }
        source.enabled = self.enabled.unwrap_or(source.enabled);
        source.batch_size = self.batch_size.unwrap_or(source.batch_size);
        source.window = self.maximum_batching_window_in_seconds.unwrap_or(source.window);
        if let Some(types) = &self.function_response_types {
            source.reports_failures = types.iter().any(|kind| kind == REPORTS_FAILURES);
        }
        if let Some(scaling) = &self.scaling_config {
            source.maximum_concurrency = scaling.maximum_concurrency;
        }
    }
}

/// The `EventSourceMappingConfiguration` of the API.
fn description(lambda: &LambdaHost, source: &EventSource) -> Value {
    let function = lambda.function(&source.function).map(|function| function.arn);
    let types: &[&str] = if source.reports_failures { &[REPORTS_FAILURES] } else { &[] };
    json!({
        "UUID": source.uuid,
        "FunctionArn": function.unwrap_or_default(),
        "EventSourceArn": source.queue_arn,
        "BatchSize": source.batch_size,
        "MaximumBatchingWindowInSeconds": source.window,
        "FunctionResponseTypes": types,
        "ScalingConfig": source.maximum_concurrency.map(|maximum| json!({ "MaximumConcurrency": maximum })),
        "State": if source.enabled { "Enabled" } else { "Disabled" },
    })
}

fn reply(lambda: &LambdaHost, source: &EventSource) -> Reply {
    Reply::json(description(lambda, source)).status(202)
}

pub(super) fn create(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let mut new = EventSource {
        uuid: String::new(),
        function: String::new(),
        queue_arn: body.event_source_arn.clone().unwrap_or_default(),
        batch_size: 10,
        window: 0,
        maximum_concurrency: None,
        reports_failures: false,
        enabled: true,
    };
    body.change(lambda, &mut new);
    Ok(reply(lambda, &lambda.create_event_source(new)?))
}

pub(super) fn list(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let arn = call.query("EventSourceArn");
    let found = lambda.list_event_sources(call.query("FunctionName"));
    let found = found.iter().filter(|source| arn.is_none_or(|arn| source.queue_arn == arn));
    let found: Vec<_> = found.map(|source| description(lambda, source)).collect();
    Ok(Reply::json(json!({ "EventSourceMappings": found })))
}

pub(super) fn get(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    Ok(Reply::json(description(lambda, &lambda.event_source(call.name())?)))
}

pub(super) fn update(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let changed = lambda.update_event_source(call.name(), |source| body.change(lambda, source))?;
    Ok(reply(lambda, &changed))
}

pub(super) fn delete(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    Ok(reply(lambda, &lambda.delete_event_source(call.name())?))
}
