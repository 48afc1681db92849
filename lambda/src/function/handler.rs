//! One invocation: an event of the topic rule, or a batch of such events from a queue.
//!
//! What cannot succeed is answered, not failed, because a repetition has the same result. What may succeed later fails, so that
//! AWS Lambda or the queue repeats it and in the end keeps it in the queue of failed events. So does a message of a batch that is
//! not understood, and an envelope with several events: an answer would delete it.

mod batch;

use std::fs::File;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;

use crate::admission::Admission;
use crate::event::{self, Event, EventError};
use crate::registration::{self, Error, PolicyState, Refusal, Registered, Registration, Settings};
use crate::registry::record::{RecordedCall, recorded};
use crate::registry::retry::Retrying;
use crate::registry::{Operation, Registry, RegistryError};
use crate::revocation::Revocation;

use super::decision::{Answer, Decision, Failure};
use super::known::{Known, Subject};
use super::phases::Phases;
use super::records::Work;
use super::share::{Share, WorkedOn};
use super::tally::Tally;
use super::xray::{Outcome, TRACED, Traced};

/// What is left of an invocation's time for its answer and its log lines to get out.
const RESERVE: Duration = Duration::from_millis(500);

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
    known: Known,
    share: Share,
}

impl<R: Registry + Send> Handler<R> {
    /// A handler that registers in `registry`, which makes each call once.
    pub fn new(registry: R, settings: Settings) -> Self {
        let registration = Registration::new(Retrying::new(registry), settings);
        Self { registration, known: Known::default(), share: Share::default() }
    }

    /// The same, with a check whether the CA has revoked a certificate.
    #[must_use]
    pub fn with_revocation(mut self, revocation: Revocation) -> Self {
        self.registration = self.registration.with_revocation(revocation);
        self
    }

    /// The same, with a check whether a board is let in.
    #[must_use]
    pub fn with_admission(mut self, admission: Admission) -> Self {
        self.registration = self.registration.with_admission(admission);
        self
    }

    /// The same, with a file for what it knows, which outlives a crash of the process.
    #[must_use]
    pub fn with_cache(self, file: File) -> Self {
        let mut worked_on = WorkedOn::default();
        if let Err(error) = self.known.keep_in(file, |key| worked_on.add(key)) {
            tracing::warn!(%error, "what is known of certificates is not kept in a file");
        }
        self.share.resume(worked_on);
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
        let admission = self.registration.admission();
        let (throttled_before, reported_before) = (registry.throttled(), admission.reported());
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
        tally.not_admitted = admission.reported() - reported_before;
        tally.admission_left = admission.left(times.wall_clock());
        Handled { answer, tally, traced }
    }

    /// On the heap: there are several side by side.
    fn begin<'a>(&'a self, work: Work, times: Times<'a>) -> BoxFuture<'a, (Work, Worked)> {
        async move {
            let worked = self.work(&work.event, times).await;
            (work, worked)
        }
        .boxed()
    }

    async fn work(&self, event: &Event, times: Times<'_>) -> Worked {
        let certificate_id = Some(event.certificate_id.clone());
        let start = Instant::now();
        let (decision, calls) = recorded(self.one(event, times)).await;
        if let Ok(Decision::Registered { .. } | Decision::Repaired { .. }) = &decision {
            let is_answer = |call: &&RecordedCall| {
                call.operation == Operation::DescribeCertificate && call.error.is_none()
            };
            if let Some(asked) = calls.iter().rfind(is_answer) {
                let asked = times.arrived + asked.start.duration_since(times.start);
                self.known.is_active(&event.certificate_id, milliseconds(asked));
            }
        }
        Worked { certificate_id, start, end: Instant::now(), decision, calls }
    }

    /// Learns who works on which certificates.
    fn learn(&self, event: &Event, registered: &Registered, now: SystemTime) {
        let subject = Subject::of(event);
        match (registered.outcome, registered.changed) {
            (registration::Outcome::Registered, _) => self.share.registered(subject.as_ref()),
            (registration::Outcome::Repaired, Some(changed)) => {
                self.share.taken(subject.as_ref(), changed, now);
            }
            (registration::Outcome::Repaired, None) => {}
        }
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
                self.learn(event, &registered, times.wall_clock());
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

/// Milliseconds since 1970.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
