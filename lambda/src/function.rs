//! The Lambda function around the workflow: start, warm-up, and the loop of the Runtime API.

mod cache;
mod client;
mod command_line;
mod decision;
mod handler;
mod known;
mod log;
mod metrics;
mod phases;
mod records;
mod round;
mod share;
mod tally;
mod trust;
mod xray;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use device_pki::visible;
use lambda_runtime::tower::util::MapRequestLayer;
use lambda_runtime::{LambdaEvent, LambdaInvocation, Runtime, service_fn};

use crate::admission::Admission;
use crate::config::{self, AdmissionPlace, ConfigError, Connection, Lists};
use crate::event;
use crate::published::ListUrl;
use crate::published::client::{CONNECT_TIMEOUT, Client};
use crate::registry::aws::{self, AwsRegistry};
use crate::revocation::{PublishedLists, Revocation};

use trust::{PROVIDER, Trust};
use xray::{Trace, Tracer};

pub use decision::{Answer, Batch, Decision, Failure, ItemFailure};
pub use handler::{Handled, Handler, Invocation};
#[cfg(test)]
pub(crate) use log::LOG_LEVEL;
pub use tally::Tally;

/// How long the warm-up may take: an init phase longer than 10 s is started over by AWS Lambda.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the function until AWS Lambda ends it. Fails only at start, or when the Runtime API is gone. `arguments` are those
/// after the program's name; with any, and outside of AWS Lambda, it says what it is and ends.
pub async fn run(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl Fn(&str) -> Option<String>,
) -> ExitCode {
    let began = Instant::now();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(ended) = command_line::ended(&arguments, &variables) {
        return ended;
    }
    log::init(&variables);
    let tracer = Tracer::new(&variables);
    let function = variables("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
    let handler = match start(variables) {
        Ok(handler) => handler,
        Err(error) => {
            tracing::error!(%error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let configured = began.elapsed();
    let function = Function { handler, tracer, name: function };
    // During init the CPU is not throttled and no event waits for an answer: connections are opened here, not in
    // the first event. What does not need them is set up while the calls are under way.
    let (warmed_up, runtime) = tokio::join!(
        biased;
        tokio::time::timeout(WARM_UP_TIMEOUT, function.handler.warm_up()),
        async {
            Runtime::new(service_fn(|event| function.invoke(event))).layer(MapRequestLayer::new(as_json))
        },
    );
    // After a failure the function continues: the calls of an event may succeed.
    match warmed_up {
        Ok(Ok(policy)) => tracing::debug!(
            ?policy,
            configuredMicroseconds = configured.as_micros(),
            readyMicroseconds = began.elapsed().as_micros(),
            "ready"
        ),
        Ok(Err(error)) => tracing::warn!(%error, "ready, but the warm-up failed"),
        Err(_) => tracing::warn!("ready, but the warm-up took too long"),
    }
    match runtime.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// The runtime fails what is not JSON in its own words; so it gets JSON, and the function answers.
fn as_json(mut invocation: LambdaInvocation) -> LambdaInvocation {
    if let Some(json) = event::as_json(&invocation.body) {
        invocation.body = json.into();
    }
    invocation
}

/// What answers invocations and traces them.
struct Function {
    handler: Handler<AwsRegistry>,
    tracer: Option<Tracer>,
    name: String,
}

impl Function {
    async fn invoke(&self, event: LambdaEvent<serde_json::Value>) -> Result<Answer, Failure> {
        let (payload, context) = event.into_parts();
        let arrived = SystemTime::now();
        let remaining = context.deadline().duration_since(arrived).unwrap_or_default();
        let trace = Trace::sampled(context.xray_trace_id.as_deref()).filter(|_| self.tracer.is_some());
        let request_id = &context.request_id;
        let invocation = Invocation { request_id, arrived, remaining, sampled: trace.is_some() };
        let Handled { answer, tally, traced } = self.handler.handle(payload, invocation).await;
        let now = SystemTime::now();
        for line in metrics::lines(&tally, &self.name, request_id, now) {
            // A log that cannot be written is no reason to stop.
            let _ = writeln!(std::io::stdout(), "{}", visible::json(&line));
        }
        if let (Some(tracer), Some(trace)) = (&self.tracer, trace) {
            tracer.send(&trace, &traced, tokio::time::Instant::now(), now);
        }
        answer
    }
}

/// A client for published lists; the function's role reads those in Amazon S3.
fn list_client(url: &ListUrl, connection: &Connection) -> Client {
    let trust = match url {
        ListUrl::Https(_) => Trust::System,
        ListUrl::S3 { .. } => Trust::in_service(connection, connection.s3_endpoint_url.as_deref()),
    };
    let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
    let connector = Connector::builder().connector_settings(settings).tls_provider(PROVIDER);
    Client::new(url, connection, connector.tls_context(trust.context()).build())
}

fn start(variables: impl Fn(&str) -> Option<String>) -> Result<Handler<AwsRegistry>, ConfigError> {
    let settings = config::settings(&variables)?;
    let connection = config::connection(&variables)?;
    let revocation = match config::revocation(&variables)? {
        None => Revocation::Unchecked,
        Some(Lists::Packaged(lists)) => Revocation::Packaged(lists),
        Some(Lists::Published(publication)) => {
            let source = list_client(&publication.url, &connection);
            Revocation::Published(PublishedLists::new(publication, Box::new(source)))
        }
    };
    let admission = match config::admission(&variables)? {
        None => Admission::default(),
        Some(settings) => match &settings.list {
            AdmissionPlace::Packaged(file) => {
                Admission::packaged(file.display().to_string(), settings.read(file)?, settings.mode)
            }
            AdmissionPlace::Published(url) => {
                let source = Box::new(list_client(url, &connection));
                Admission::published(url, source, settings.key, settings.mode)
            }
        },
    };
    let registry = AwsRegistry::new(client::connect(connection), aws::FUNCTION);
    let handler = Handler::new(registry, settings).with_revocation(revocation).with_admission(admission);
    // Without the file, a crash costs calls, no more.
    Ok(match durable_files::cache(&std::env::temp_dir().join(cache::NAME)) {
        Ok(Some(file)) => handler.with_cache(file),
        Ok(None) => handler,
        Err(error) => {
            tracing::warn!(%error, "what is known of certificates is not kept in a file");
            handler
        }
    })
}
