//! One invocation: an event of the topic rule, or a batch of such events from a queue.
//!
//! What cannot succeed is answered, not failed, because a repetition has the same result. What may succeed later fails, so that
//! AWS Lambda or the queue repeats it and in the end keeps it in the queue of failed events. So does a message of a batch that is
//! not understood, and an envelope with several events: an answer would delete it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;

use crate::event::{self, Event, EventError};
use crate::registration::{Error, PolicyState, Refusal, Registered, Registration, Settings};
use crate::registry::record::{RecordedCall, recorded};
use crate::registry::retry::Retrying;
use crate::registry::{Registry, RegistryError};
use crate::revocation::Revocation;

use super::decision::{Answer, Batch, Decision, Failure, ItemFailure};
use super::phases::Phases;
use super::recent::Recent;
use super::tally::Tally;
use super::xray::{Outcome, TRACED, Traced};

/// What is left of an invocation's time for its answer and its log lines to get out.
const RESERVE: Duration = Duration::from_millis(500);

/// Records of a batch that are worked on at the same time: by default an account takes 10 certificates a second.
const CONCURRENT_RECORDS: usize = 10;

/// How long records of a batch are started. By then the events that were new are old, and another batch has newer ones.
const WORKING_TIME: Duration = Duration::from_secs(10);

/// One invocation, as AWS Lambda announces it.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The id of the request, for the log.
    pub request_id: &'a str,
    /// The time when it arrived.
    pub arrived: SystemTime,
    /// What is then left until AWS Lambda stops it.
    pub remaining: Duration,
    /// Whether it is to be traced.
    pub sampled: bool,
}

/// The results of an invocation.
#[derive(Debug)]
pub struct Handled {
    /// The answer to AWS Lambda.
    ///
    /// # Errors
    /// If the event has to be repeated.
    pub answer: Result<Answer, Failure>,
    /// For the metrics.
    pub tally: Tally,
    /// For the trace; empty unless the invocation is sampled.
    pub(super) traced: Vec<Traced>,
}

/// An invocation's clocks.
#[derive(Clone, Copy)]
struct Times<'a> {
    request_id: &'a str,
    arrived: SystemTime,
    start: Instant,
    deadline: Instant,
}

impl Times<'_> {
    fn wall_clock(&self) -> SystemTime {
        self.arrived + self.start.elapsed()
    }
}

/// Handles invocations, one after the other, with what the environment has learnt.
#[derive(Debug)]
pub struct Handler<R> {
    registration: Registration<Retrying<R>>,
    recent: Recent,
}

impl<R: Registry + Send> Handler<R> {
    /// A handler that registers in `registry`, which makes each call once.
    pub fn new(registry: R, settings: Settings) -> Self {
        Self { registration: Registration::new(Retrying::new(registry), settings), recent: Recent::default() }
    }

    /// The same, with a check whether the CA has revoked a certificate.
    #[must_use]
    pub fn with_revocation(mut self, revocation: Revocation) -> Self {
        self.registration = self.registration.with_revocation(revocation);
        self
    }

    /// Learns what there is in the account and opens the connections.
    ///
    /// # Errors
    /// If the policy cannot be asked for.
    pub async fn warm_up(&self) -> Result<PolicyState, RegistryError> {
        self.registration.warm_up().await
    }

    /// Handles one invocation.
    pub async fn handle(&self, payload: Value, invocation: Invocation<'_>) -> Handled {
        let start = Instant::now();
        let deadline = start + invocation.remaining.saturating_sub(RESERVE);
        let times = Times { request_id: invocation.request_id, arrived: invocation.arrived, start, deadline };
        let registry = self.registration.registry();
        registry.set_deadline(deadline);
        let throttled_before = registry.throttled();
        let mut seen = Seen { sampled: invocation.sampled, ..Seen::default() };
        let answer = match event::records(&payload) {
            Some(Ok(records)) => self.batch(records, times, &mut seen).await.map(Answer::Batch),
            Some(Err(error)) => seen.see(not_understood(error, times)).map(Answer::Decision),
            None => {
                let worked = match Event::from_value(&payload) {
                    Ok(event) => self.work(&event, times).await,
                    // An answer would lose every one of them.
                    Err(error @ EventError::Several) => not_understood(error, times),
                    Err(error) => malformed(&error, times),
                };
                seen.see(worked).map(Answer::Decision)
            }
        };
        let Seen { mut tally, traced, .. } = seen;
        tally.throttled = registry.throttled() - throttled_before;
        Handled { answer, tally, traced }
    }

    /// Works through a batch side by side, the newest events first. A record that is refused is done; one that fails, or is
    /// not understood, is repeated, alone.
    ///
    /// # Errors
    /// Of a record that has to be repeated and has no id: the whole batch is.
    async fn batch(&self, records: &[Value], times: Times<'_>, seen: &mut Seen) -> Result<Batch, Failure> {
        let (works, superseded) = works(records);
        seen.tally.duplicates += superseded;
        let stop = times.deadline.min(times.start + WORKING_TIME);
        let work = |Work { event, identifier }: Work| async move {
            let event = match event {
                Ok(event) if self.recent.covers(&event) => return (identifier, Progress::Duplicate),
                Ok(event) => event,
                Err(error) => return (identifier, Progress::Worked(not_understood(error, times))),
            };
            if Instant::now() >= stop {
                return (identifier, Progress::Postponed);
            }
            (identifier, Progress::Worked(self.work(&event, times).await))
        };
        let mut progress = futures::stream::iter(works).map(work).buffer_unordered(CONCURRENT_RECORDS);
        let (mut response, mut whole) = (Batch::default(), Ok(()));
        let mut again = |identifier: Option<String>, failure| match identifier {
            Some(item_identifier) => response.batch_item_failures.push(ItemFailure { item_identifier }),
            None => whole = Err(failure),
        };
        while let Some((identifier, progress)) = progress.next().await {
            match progress {
                Progress::Duplicate => seen.tally.duplicates += 1,
                Progress::Postponed => {
                    seen.tally.postponed += 1;
                    again(identifier, Failure::OutOfTime);
                }
                Progress::Worked(worked) => {
                    if let Err(failure) = seen.see(worked) {
                        again(identifier, failure);
                    }
                }
            }
        }
        let tally = &seen.tally;
        if tally.duplicates + tally.postponed > 0 {
            tracing::info!(
                requestId = times.request_id,
                duplicates = tally.duplicates,
                postponed = tally.postponed,
                "records without a decision of their own"
            );
        }
        whole.map(|()| response)
    }

    async fn work(&self, event: &Event, times: Times<'_>) -> Worked {
        let certificate_id = Some(event.certificate_id.clone());
        let start = Instant::now();
        let (decision, calls) = recorded(self.one(event, times)).await;
        Worked { certificate_id, start, end: Instant::now(), decision, calls }
    }

    /// Registers one certificate and writes one log line with the result.
    async fn one(&self, event: &Event, times: Times<'_>) -> Result<Decision, Failure> {
        let request_id = times.request_id;
        let certificate_id = event.certificate_id.clone();
        let span =
            tracing::info_span!("registration", requestId = request_id, certificateId = certificate_id);
        let registration = self.registration.register_event(event).instrument(span);
        let failure = match tokio::time::timeout_at(times.deadline, registration).await {
            Ok(Ok(registered)) => {
                self.recent.remember(&certificate_id, times.wall_clock());
                return Ok(done(registered, certificate_id, request_id));
            }
            Ok(Err(Error::Refused(refusal))) => return Ok(refused(&refusal, certificate_id, request_id)),
            Ok(Err(error)) => Failure::Registration(error),
            Err(_) => Failure::OutOfTime,
        };
        tracing::error!(
            requestId = request_id,
            certificateId = certificate_id,
            outcome = "failed",
            "{failure}; the event has to be repeated"
        );
        Err(failure)
    }
}

/// One event that was worked on.
struct Worked {
    certificate_id: Option<String>,
    start: Instant,
    end: Instant,
    decision: Result<Decision, Failure>,
    calls: Vec<RecordedCall>,
}

/// The invocation itself is no event. A repetition would be none either.
fn malformed(error: &EventError, times: Times<'_>) -> Worked {
    let (reason, message) = (error.reason(), error.to_string());
    tracing::error!(requestId = times.request_id, outcome = "refused", reason, "{message}");
    Worked::without_event(Ok(Decision::Refused { certificate_id: None, reason, message }))
}

/// A message of a batch is no event, or an envelope has several. Whoever delivers it keeps it.
fn not_understood(error: EventError, times: Times<'_>) -> Worked {
    let reason = error.reason();
    tracing::error!(requestId = times.request_id, outcome = "failed", reason, "{error}; the message is kept");
    Worked::without_event(Err(error.into()))
}

impl Worked {
    fn without_event(decision: Result<Decision, Failure>) -> Self {
        let now = Instant::now();
        Self { certificate_id: None, start: now, end: now, decision, calls: Vec::new() }
    }
}

/// What an invocation produces besides its answer.
#[derive(Default)]
struct Seen {
    sampled: bool,
    tally: Tally,
    traced: Vec<Traced>,
}

impl Seen {
    /// Counts and traces an event, and leaves its decision.
    fn see(&mut self, worked: Worked) -> Result<Decision, Failure> {
        let Worked { certificate_id, start, end, decision, calls } = worked;
        self.tally.count(&decision, end - start, Phases::of(start, &calls));
        if self.sampled && self.traced.len() < TRACED {
            let outcome = Outcome::of(&decision);
            self.traced.push(Traced { certificate_id, start, end, outcome, calls });
        }
        decision
    }
}

/// The result of one record of a batch.
enum Progress {
    /// The certificate was seen ACTIVE after the event.
    Duplicate,
    /// There was no time for it; it is repeated.
    Postponed,
    Worked(Worked),
}

/// A record to work on.
struct Work {
    event: Result<Event, EventError>,
    /// The id of the message.
    identifier: Option<String>,
}

/// What there is to do in a batch, and how many records need nothing done because a newer one says the same: if that
/// one fails, it is the one that is repeated.
///
/// The newest events come first. They are about devices that were waiting a moment ago; the older an event is, the more
/// likely another environment has registered the device since.
fn works(records: &[Value]) -> (Vec<Work>, u32) {
    let mut works = Vec::with_capacity(records.len());
    let mut by_claim = HashMap::with_capacity(records.len());
    let mut superseded = 0;
    for record in records {
        let event = Event::from_record(record);
        let identifier = record["messageId"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        let work = Work { event, identifier };
        let Ok(event) = &work.event else {
            works.push(work);
            continue;
        };
        let claim =
            (event.certificate_id.clone(), event.ca_certificate_id.clone(), event.aws_account_id.clone());
        match by_claim.entry(claim) {
            Entry::Vacant(vacant) => {
                vacant.insert(works.len());
                works.push(work);
            }
            Entry::Occupied(occupied) => {
                superseded += 1;
                let other = &mut works[*occupied.get()];
                if published(&work.event) > published(&other.event) {
                    *other = work;
                }
            }
        }
    }
    works.sort_by_key(|work| Reverse(published(&work.event)));
    (works, superseded)
}

fn published(event: &Result<Event, EventError>) -> Option<u64> {
    event.as_ref().ok().and_then(|event| event.timestamp)
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
