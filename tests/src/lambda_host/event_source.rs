//! Event source mappings: queues that functions take messages from, in batches, and what becomes of the messages.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::{Value, json};

use super::{Error, LambdaHost};
use crate::iot_core::account::Message;

/// How often a mapping looks into its queue.
const POLL: Duration = Duration::from_millis(20);

/// An event source mapping (`EventSourceMappingConfiguration`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSource {
    /// Its id.
    pub uuid: String,
    /// Name of the function, with a version or an alias where one is named.
    pub function: String,
    /// ARN of the queue.
    pub queue_arn: String,
    /// Messages in a batch.
    pub batch_size: usize,
    /// Seconds that a batch may wait to be filled.
    pub window: u32,
    /// Environments at the same time, if they are bounded: 2 to 1000.
    pub maximum_concurrency: Option<u32>,
    /// Whether the function answers which messages have failed.
    pub reports_failures: bool,
    /// Whether the function gets messages.
    pub enabled: bool,
}

impl EventSource {
    /// Refuses what AWS Lambda refuses ("CreateEventSourceMapping", and "Using Lambda with Amazon SQS").
    fn check(&self) -> Result<(), Error> {
        let invalid = |reason: &str| Err(Error::InvalidParameter { reason: reason.to_owned() });
        match () {
            () if !(1..=10_000).contains(&self.batch_size) => {
                invalid("Batch size must be between 1 and 10000.")
            }
            () if self.batch_size > 10 && self.window == 0 => invalid(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
            ),
            () if self.window > 300 => invalid("Maximum batch window in seconds must be between 0 and 300."),
            () if self.maximum_concurrency.is_some_and(|maximum| !(2..=1000).contains(&maximum)) => {
                invalid("Maximum concurrency must be between 2 and 1000.")
            }
            () => Ok(()),
        }
    }

    fn queue(&self) -> &str {
        self.queue_arn.rsplit(':').next().unwrap_or_default()
    }
}

impl LambdaHost {
    /// `CreateEventSourceMapping`; the id is made up here.
    pub fn create_event_source(&self, mut new: EventSource) -> Result<EventSource, Error> {
        new.check()?;
        let function = self.function(&new.function)?;
        new.uuid = crate::uuid::of(&format!("{} {} {}", new.function, new.queue_arn, self.revision()));
        {
            let account = self.account();
            let invalid = |reason: String| Err(Error::InvalidParameter { reason });
            let Ok(queue) = account.queue(new.queue()) else {
                return invalid(format!(
                    "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: {}",
                    new.queue_arn
                ));
            };
            let (visible, longest) = (queue.visibility_timeout().as_secs(), function.configuration.timeout);
            if visible < longest.into() {
                return invalid(format!(
                    "Queue visibility timeout: {visible} seconds is less than Function timeout: {longest} seconds"
                ));
            }
            for action in ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"] {
                let role = &function.configuration.role;
                if !account.role_allows(role, &format!("sqs:{action}"), &new.queue_arn) {
                    return invalid(format!(
                        "The provided execution role does not have permissions to call {action} on SQS"
                    ));
                }
            }
        }
        let mut sources = self.event_sources();
        let is_same =
            |other: &&EventSource| (&other.function, &other.queue_arn) == (&new.function, &new.queue_arn);
        if let Some(other) = sources.iter().find(is_same) {
            return Err(Error::Conflict {
                reason: format!(
                    "An event source mapping with SQS arn (\" {} \") and function (\" {} \") already exists. Please update or delete the existing mapping with UUID {}",
                    other.queue_arn, other.function, other.uuid
                ),
            });
        }
        sources.push(new.clone());
        drop(sources);
        let (host, uuid) = (self.clone(), new.uuid.clone());
        self.0.runtime.spawn(async move { host.poll(&uuid).await });
        Ok(new)
    }

    /// `ListEventSourceMappings`, of a function where one is given.
    pub fn list_event_sources(&self, function: Option<&str>) -> Vec<EventSource> {
        let name = function.map(|function| self.short(function));
        let sources = self.event_sources();
        sources
            .iter()
            .filter(|source| name.as_ref().is_none_or(|name| source.function == *name))
            .cloned()
            .collect()
    }

    /// The name in a function's name or ARN, with its version or alias.
    pub(crate) fn short(&self, reference: &str) -> String {
        match self.qualifier(reference) {
            Some(qualifier) => format!("{}:{qualifier}", self.name_in(reference)),
            None => self.name_in(reference).to_owned(),
        }
    }

    /// `GetEventSourceMapping`.
    pub fn event_source(&self, uuid: &str) -> Result<EventSource, Error> {
        let sources = self.event_sources();
        let found = sources.iter().find(|source| source.uuid == uuid).cloned();
        found.ok_or_else(|| Error::NotFound { what: "event source mapping", name: uuid.to_owned() })
    }

    /// `UpdateEventSourceMapping`: `update` changes a copy, which counts if it is valid.
    pub fn update_event_source(
        &self,
        uuid: &str,
        update: impl FnOnce(&mut EventSource),
    ) -> Result<EventSource, Error> {
        let mut changed = self.event_source(uuid)?;
        update(&mut changed);
        changed.check()?;
        let mut sources = self.event_sources();
        sources.iter_mut().filter(|source| source.uuid == uuid).for_each(|source| *source = changed.clone());
        Ok(changed)
    }

    /// `DeleteEventSourceMapping`.
    pub fn delete_event_source(&self, uuid: &str) -> Result<EventSource, Error> {
        let found = self.event_source(uuid)?;
        self.event_sources().retain(|source| source.uuid != uuid);
        Ok(found)
    }

    /// Hands the messages of the queue over until the mapping is deleted.
    async fn poll(&self, uuid: &str) {
        loop {
            tokio::time::sleep(POLL).await;
            let Ok(source) = self.event_source(uuid) else { return };
            if !source.enabled {
                continue;
            }
            if self.account().queue(source.queue()).is_ok_and(|queue| queue.depth().0 > 0) {
                let window = Duration::from_secs(source.window.into());
                tokio::time::sleep(window.min(self.0.settings.longest_window)).await;
                let received = self
                    .account()
                    .receive_messages(source.queue(), source.batch_size, None)
                    .unwrap_or_default();
                let (host, source) = (self.clone(), source.clone());
                tokio::spawn(async move { host.hand_over(&source, received).await });
            }
        }
    }

    /// Invokes the function with a batch, and deletes what it does not want again.
    async fn hand_over(&self, source: &EventSource, batch: Vec<Message>) {
        if batch.is_empty() {
            return;
        }
        let records: Vec<Value> = batch
            .iter()
            .map(|message| {
                json!({
                    "messageId": message.id,
                    "receiptHandle": message.receipt(),
                    "body": message.body,
                    "attributes": { "ApproximateReceiveCount": message.received.to_string() },
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": source.queue_arn,
                    "awsRegion": self.0.identity.region,
                })
            })
            .collect();
        let payload = Bytes::from(json!({ "Records": records }).to_string());
        let answer = match self.invoke(&source.function, payload).await.map(|invoked| invoked.outcome) {
            Ok(Ok(answer)) => answer,
            // All of them come back when their time out of sight is over.
            Ok(Err(_)) | Err(_) => return,
        };
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let failures = answer["batchItemFailures"].as_array().filter(|_| source.reports_failures);
        let failed: BTreeSet<&str> =
            failures.into_iter().flatten().filter_map(|failure| failure["itemIdentifier"].as_str()).collect();
        let mut account = self.account();
        for message in batch.iter().filter(|message| !failed.contains(message.id.as_str())) {
            // The queue may have been deleted meanwhile.
            let _ = account.delete_message(source.queue(), message.receipt());
        }
    }
}
