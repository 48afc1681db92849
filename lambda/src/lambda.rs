//! The Lambda function around the workflow: start, warm-up, and the loop of the Runtime API.

mod client;
mod handler;
mod log;
mod metrics;
mod recent;
mod tally;

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use lambda_runtime::{LambdaEvent, Runtime, service_fn};

use crate::config::{self, ConfigError};
use crate::registry::aws::{self, AwsRegistry};

pub use handler::{Answer, Decision, Failure, Handled, Handler, Invocation};
#[cfg(test)]
pub(crate) use log::LOG_LEVEL;
pub use tally::Tally;

/// How long the warm-up may take: an init phase longer than 10 s is started over by AWS Lambda.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the function until AWS Lambda ends it. Fails only at start, or when the Runtime API is gone.
pub async fn run(variables: impl Fn(&str) -> Option<String>) -> ExitCode {
    log::init(&variables);
    let function = variables("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    let function = function.as_str();
    let handler = match start(variables) {
        Ok(handler) => handler,
        Err(error) => {
            tracing::error!(%error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    // During init the CPU is not throttled and nobody waits for an answer yet: connections are opened here, not in
    // the first event. A failure is no reason to give up: the event may find AWS IoT in a better state.
    match tokio::time::timeout(WARM_UP_TIMEOUT, handler.warm_up()).await {
        Ok(Ok(policy)) => tracing::debug!(?policy, "ready"),
        Ok(Err(error)) => tracing::warn!(%error, "ready, but the warm-up failed"),
        Err(_) => tracing::warn!("ready, but the warm-up took too long"),
    }
    let handler = &handler;
    let service = service_fn(|event: LambdaEvent<serde_json::Value>| async move {
        let (payload, context) = event.into_parts();
        let arrived = SystemTime::now();
        let remaining = context.deadline().duration_since(arrived).unwrap_or_default();
        let invocation = Invocation { request_id: &context.request_id, arrived, remaining };
        let Handled { answer, tally } = handler.handle(payload, invocation).await;
        for line in metrics::lines(&tally, function, &context.request_id, SystemTime::now()) {
            println!("{line}");
        }
        answer
    });
    match Runtime::new(service).run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

fn start(variables: impl Fn(&str) -> Option<String>) -> Result<Handler<AwsRegistry>, ConfigError> {
    let settings = config::settings(&variables)?;
    let connection = config::connection(&variables)?;
    Ok(Handler::new(AwsRegistry::new(client::connect(connection), aws::FUNCTION), settings))
}
