//! One invocation: an event of the topic rule, or a batch of such events from a queue.
//!
//! What cannot succeed is answered, not failed: AWS Lambda would only repeat it. What may succeed later fails, so that
//! AWS Lambda or the queue brings it again and in the end puts it where nothing is lost.

use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;

use crate::event::{Event, EventError};
use crate::registration::{Error, Refusal, Registered, Registration};
use crate::registry::Registry;

/// What is left of an invocation's time for its answer and its log lines to get out.
const RESERVE: Duration = Duration::from_millis(500);

/// Records of a batch that are worked on at the same time: by default an account takes 10 certificates a second.
const CONCURRENT_RECORDS: usize = 10;

/// What an invocation is answered with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The decision about one event.
    Decision(Decision),
    /// The records of a batch that have to come again.
    Batch(SqsBatchResponse),
}

/// The decision about one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Decision {
    /// The certificate was activated.
    Registered {
        /// The certificate.
        certificate_id: String,
        /// Its thing.
        thing_name: String,
    },
    /// The certificate was ACTIVE already and has everything it needs.
    Repaired {
        /// The certificate.
        certificate_id: String,
        /// Its thing.
        thing_name: String,
    },
    /// Nothing was activated, and nothing will be if the event comes again.
    Refused {
        /// The certificate, if the event names one.
        #[serde(skip_serializing_if = "Option::is_none")]
        certificate_id: Option<String>,
        /// A stable code.
        reason: &'static str,
        /// What is wrong, for people.
        message: String,
    },
}

/// Why an event has to come again.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A call failed.
    #[error(transparent)]
    Registration(Error),
    /// The invocation's time is up.
    #[error("the time of the invocation was up before the registration was complete")]
    OutOfTime,
    /// The batch is not what Amazon SQS sends.
    #[error("the batch cannot be read: {0}")]
    Batch(#[from] serde_json::Error),
}

impl From<Failure> for lambda_runtime::Diagnostic {
    fn from(failure: Failure) -> Self {
        let error_type = match &failure {
            Failure::Registration(Error::Registry(error)) => {
                error.code.clone().unwrap_or_else(|| format!("{:?}", error.kind))
            }
            Failure::Registration(_) => "Registration".to_owned(),
            Failure::OutOfTime => "OutOfTime".to_owned(),
            Failure::Batch(_) => "Batch".to_owned(),
        };
        Self { error_type, error_message: failure.to_string() }
    }
}

/// Handles invocations, one after the other, with what the environment has learnt.
#[derive(Debug)]
pub struct Handler<R> {
    registration: Registration<R>,
}

impl<R: Registry> Handler<R> {
    /// A handler for `registration`.
    pub fn new(registration: Registration<R>) -> Self {
        Self { registration }
    }

    /// Handles one invocation that has `remaining` left until AWS Lambda stops it.
    ///
    /// # Errors
    /// If the event has to come again.
    pub async fn handle(
        &self,
        payload: Value,
        request_id: &str,
        remaining: Duration,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + remaining.saturating_sub(RESERVE);
        if payload.get("Records").is_some_and(Value::is_array) {
            let batch: SqsEvent = serde_json::from_value(payload)?;
            return Ok(Answer::Batch(self.batch(batch, request_id, deadline).await));
        }
        self.one(Event::from_value(&payload), request_id, deadline).await.map(Answer::Decision)
    }

    /// Works through a batch side by side. A record that is refused is done; one that fails comes again, alone.
    async fn batch(&self, batch: SqsEvent, request_id: &str, deadline: Instant) -> SqsBatchResponse {
        let work = |record: SqsMessage| async move {
            let event = Event::from_json(record.body.as_deref().unwrap_or_default());
            let failed = self.one(event, request_id, deadline).await.is_err();
            // Without an id, an empty identifier makes AWS Lambda return the whole batch: late, but nothing is lost.
            failed.then(|| record.message_id.unwrap_or_default())
        };
        let mut failed = futures::stream::iter(batch.records).map(work).buffer_unordered(CONCURRENT_RECORDS);
        let mut response = SqsBatchResponse::default();
        while let Some(record) = failed.next().await {
            if let Some(identifier) = record {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = identifier;
                response.batch_item_failures.push(failure);
            }
        }
        response
    }

    /// Registers one certificate and writes the one log line that tells how it ended.
    async fn one(
        &self,
        event: Result<Event, EventError>,
        request_id: &str,
        deadline: Instant,
    ) -> Result<Decision, Failure> {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                let (reason, message) = ("malformed_event", error.to_string());
                tracing::error!(requestId = request_id, outcome = "refused", reason, "{message}");
                return Ok(Decision::Refused { certificate_id: None, reason, message });
            }
        };
        let certificate_id = event.certificate_id.clone();
        let span =
            tracing::info_span!("registration", requestId = request_id, certificateId = certificate_id);
        let registration = self.registration.register_event(&event).instrument(span);
        let failure = match tokio::time::timeout_at(deadline, registration).await {
            Ok(Ok(registered)) => return Ok(done(registered, certificate_id, request_id)),
            Ok(Err(Error::Refused(refusal))) => return Ok(refused(&refusal, certificate_id, request_id)),
            Ok(Err(error)) => Failure::Registration(error),
            Err(_) => Failure::OutOfTime,
        };
        tracing::error!(
            requestId = request_id,
            certificateId = certificate_id,
            outcome = "failed",
            "{failure}; the event has to come again"
        );
        Err(failure)
    }
}

fn done(registered: Registered, certificate_id: String, request_id: &str) -> Decision {
    use crate::registration::Outcome;

    let outcome = registered.outcome;
    let thing_name = registered.thing_name.to_string();
    tracing::info!(
        requestId = request_id,
        certificateId = certificate_id,
        thingName = thing_name,
        outcome = outcome.name(),
        "{}",
        outcome.name()
    );
    match outcome {
        Outcome::Registered => Decision::Registered { certificate_id, thing_name },
        Outcome::Repaired => Decision::Repaired { certificate_id, thing_name },
    }
}

fn refused(refusal: &Refusal, certificate_id: String, request_id: &str) -> Decision {
    let (reason, message) = (refusal.reason(), refusal.to_string());
    tracing::error!(
        requestId = request_id,
        certificateId = certificate_id,
        outcome = "refused",
        reason,
        "{message}"
    );
    Decision::Refused { certificate_id: Some(certificate_id), reason, message }
}

#[cfg(test)]
mod tests;
