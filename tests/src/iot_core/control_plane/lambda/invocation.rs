//! Invoking a function, and what becomes of events that fail.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Content, Reply, ServiceError};
use super::super::request::Call;
use crate::iot_core::account::epoch;
use crate::lambda_host::{EventInvokeConfig, Function, LambdaHost};

/// `Invoke`: waits for the function unless the invocation type says `Event`.
pub(in super::super) async fn invoke(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let payload = call.body.clone();
    if !payload.is_empty() && serde_json::from_slice::<Value>(&payload).is_err() {
        let message = "Could not parse request body into json";
        return Err(ServiceError::new("InvalidRequestContentException", 400, message));
    }
    match call.header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "Event" => {
            lambda.invoke_event(call.name(), payload)?;
            Ok(Reply::empty().status(202))
        }
        "DryRun" => {
            lambda.function(call.name())?;
            Ok(Reply::empty().status(204))
        }
        _ => {
            let invoked = lambda.invoke(call.name(), payload).await?;
            let mut headers = vec![("X-Amz-Executed-Version", "$LATEST".to_owned())];
            if call.header("x-amz-log-type") == Some("Tail") {
                headers.push(("X-Amz-Log-Result", STANDARD.encode(&invoked.log)));
            }
            if invoked.outcome.is_err() {
                headers.push(("X-Amz-Function-Error", "Unhandled".to_owned()));
            }
            let (Ok(body) | Err(body)) = invoked.outcome;
            Ok(Reply { status: 200, headers, content: Content::Bytes(body.to_vec()) })
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    destination: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DestinationConfig {
    on_success: Destination,
    on_failure: Destination,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventInvokeBody {
    maximum_retry_attempts: Option<u32>,
    maximum_event_age_in_seconds: Option<u32>,
    destination_config: Option<DestinationConfig>,
}

pub(super) fn put_event_invoke(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    set_event_invoke(lambda, call, EventInvokeConfig::default())
}

pub(super) fn update_event_invoke(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    set_event_invoke(lambda, call, event_invoke(&lambda.function(call.name())?)?)
}

/// Puts the request's settings over `config`.
fn set_event_invoke(
    lambda: &LambdaHost,
    call: &Call,
    mut config: EventInvokeConfig,
) -> Result<Reply, ServiceError> {
    let body: EventInvokeBody = call.json()?;
    if body.maximum_retry_attempts.is_some_and(|retries| retries > 2) {
        let message = "MaximumRetryAttempts must be between 0 and 2";
        return Err(ServiceError::new("InvalidParameterValueException", 400, message));
    }
    config.retries = body.maximum_retry_attempts.or(config.retries);
    config.maximum_age = body.maximum_event_age_in_seconds.or(config.maximum_age);
    if let Some(destinations) = body.destination_config {
        config.on_success = destinations.on_success.destination;
        config.on_failure = destinations.on_failure.destination;
    }
    let function = lambda.set_event_invoke(call.name(), Some(config))?;
    event_invoke_reply(&function)
}

fn event_invoke(function: &Function) -> Result<EventInvokeConfig, ServiceError> {
    function.event_invoke.clone().ok_or_else(|| {
        let message = format!("The function {} doesn't have an EventInvokeConfig", function.arn);
        ServiceError::new("ResourceNotFoundException", 404, message)
    })
}

fn event_invoke_reply(function: &Function) -> Result<Reply, ServiceError> {
    let config = event_invoke(function)?;
    let destination =
        |arn: &Option<String>| arn.as_ref().map_or(json!({}), |arn| json!({ "Destination": arn }));
    Ok(Reply::json(json!({
        "LastModified": epoch(function.modified),
        "FunctionArn": format!("{}:$LATEST", function.arn),
        "MaximumRetryAttempts": config.retries,
        "MaximumEventAgeInSeconds": config.maximum_age,
        "DestinationConfig": {
            "OnSuccess": destination(&config.on_success),
            "OnFailure": destination(&config.on_failure),
        },
    })))
}

pub(super) fn get_event_invoke(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    event_invoke_reply(&lambda.function(call.name())?)
}

pub(super) fn delete_event_invoke(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    event_invoke(&lambda.function(call.name())?)?;
    lambda.set_event_invoke(call.name(), None)?;
    Ok(Reply::empty().status(204))
}
