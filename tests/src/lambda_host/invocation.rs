//! Invocations: synchronous, or as events with AWS Lambda's retries and the place of events that failed for good.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use serde_json::{Value, json};

use super::environment::{Finished, Spec};
use super::function::LATEST;
use super::{Error, EventInvokeConfig, Function, Invoked, LambdaHost, access_key_of};
use crate::journal::Happening;

impl LambdaHost {
    /// `Invoke` with `RequestResponse`.
    pub async fn invoke(&self, name: &str, payload: Bytes) -> Result<Invoked, Error> {
        let function = self.invocable(name)?;
        let request_id = self.request_id(&function.name);
        let finished = self.run(&function, &request_id, 1, payload).await;
        Ok(Invoked { outcome: finished.outcome, log: finished.log })
    }

    /// `Invoke` with `Event`: returns the request id at once. A failed event is tried again, twice unless the function says otherwise, and
    /// then goes to the on-failure destination.
    pub fn invoke_event(&self, name: &str, payload: Bytes) -> Result<String, Error> {
        let function = self.invocable(name)?;
        let request_id = self.request_id(&function.name);
        let (host, name, id) = (self.clone(), name.to_owned(), request_id.clone());
        self.0.runtime.spawn(async move { host.deliver(name, id, payload).await });
        Ok(request_id)
    }

    async fn deliver(&self, name: String, request_id: String, payload: Bytes) {
        let mut attempt = 0;
        loop {
            attempt += 1;
            // Read anew each time: the function may have been changed, or deleted, since the last attempt.
            let Ok(function) = self.function(&name) else { return };
            let finished = self.run(&function, &request_id, attempt, payload.clone()).await;
            let Err(error) = finished.outcome else { return };
            let config = function.event_invoke.clone().unwrap_or_default();
            if attempt > config.retries.unwrap_or(2) {
                return self.give_up(&function, &config, &request_id, attempt, &payload, &error);
            }
            let delays = self.0.settings.retry_delays;
            tokio::time::sleep(delays[(attempt as usize - 1).min(delays.len() - 1)]).await;
        }
    }

    /// Sends the event to the on-failure destination (a record of what happened) and to the dead-letter queue (the bare event).
    fn give_up(
        &self,
        function: &Function,
        config: &EventInvokeConfig,
        request_id: &str,
        attempts: u32,
        payload: &[u8],
        error: &[u8],
    ) {
        let json_of =
            |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(Value::String(lossy(bytes).into_owned()));
        let record = json!({
            "version": "1.0",
            "timestamp": time::OffsetDateTime::now_utc()
                .format(&time::format_description::well_known::Rfc3339)
                .unwrap_or_default(),
            "requestContext": {
                "requestId": request_id,
                "functionArn": match function.arn.ends_with(&format!(":{}", function.name)) {
                    true => format!("{}:{LATEST}", function.arn),
                    false => function.arn.clone(),
                },
                "condition": "RetriesExhausted",
                "approximateInvokeCount": attempts,
            },
            "requestPayload": json_of(payload),
            "responseContext": { "statusCode": 200, "executedVersion": function.version, "functionError": "Unhandled" },
            "responsePayload": json_of(error),
        });
        let mut taken_by = None;
        let destinations = [
            (&config.on_failure, record.to_string()),
            (&function.configuration.dead_letter, lossy(payload).into_owned()),
        ];
        for (arn, body) in destinations {
            let Some(arn) = arn else { continue };
            let queue = arn.rsplit(':').next().unwrap_or_default();
            if self.account().send_message(queue, &body).is_ok() {
                taken_by = Some(arn.clone());
            }
        }
        self.0.journal.record(Happening::EventDropped {
            function: function.name.clone(),
            request_id: request_id.to_owned(),
            destination: taken_by,
        });
    }

    fn invocable(&self, name: &str) -> Result<Function, Error> {
        let function = self.function(name)?;
        if function.state() == "Pending" {
            return Err(Error::Conflict {
                reason: format!(
                    "The operation cannot be performed at this time. The function is currently in the following state: Pending ({})",
                    function.arn
                ),
            });
        }
        Ok(function)
    }

    async fn run(&self, function: &Function, request_id: &str, attempt: u32, payload: Bytes) -> Finished {
        let begun = Instant::now();
        let spec = self.spec(function);
        let finished = function.pool.run(&spec, &self.0.journal, request_id, payload).await;
        let outcome = match &finished.outcome {
            Ok(answer) => Ok(lossy(answer).into_owned()),
            Err(error) => Err(lossy(error).into_owned()),
        };
        self.0.journal.record(Happening::Invocation {
            function: function.name.clone(),
            request_id: request_id.to_owned(),
            attempt,
            took: begun.elapsed(),
            outcome,
        });
        finished
    }

    /// The environment variables that Lambda sets, and the function's own.
    fn spec(&self, function: &Function) -> Spec {
        let configuration = &function.configuration;
        let region = self.0.identity.region.as_str();
        let (secret, token) = self.role_keys(&function.name);
        let set = [
            ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", function.version.clone()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", configuration.memory_size.to_string()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", format!("[{}]{:016x}", function.version, function.revision)),
            ("AWS_REGION", region.into()),
            ("AWS_DEFAULT_REGION", region.into()),
            ("AWS_ACCESS_KEY_ID", access_key_of(&function.name)),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_SESSION_TOKEN", token),
            ("_HANDLER", configuration.handler.clone()),
            ("LANG", "en_US.UTF-8".into()),
            ("TZ", ":UTC".into()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ];
        let mut variables: BTreeMap<String, String> =
            set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if let Some(url) = self.0.endpoint_url.get() {
            variables.insert("AWS_ENDPOINT_URL".into(), url.clone());
        }
        variables.extend(configuration.environment.clone());
        Spec {
            function: function.name.clone(),
            arn: function.arn.clone(),
            timeout: Duration::from_secs(configuration.timeout.into()),
            // AWS samples the first invocation of a second and some of the others.
            sampled: configuration.tracing == "Active",
            variables: variables.into_iter().collect(),
            package: Arc::clone(&function.package),
        }
    }

    /// A request id in the form of a UUID.
    fn request_id(&self, name: &str) -> String {
        let seed = format!("{name} {} {:?}", self.revision(), SystemTime::now());
        crate::uuid::of(&seed)
    }
}

fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
