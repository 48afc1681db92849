//! One invocation: an event of the topic rule, or a batch of such events from a queue.
//!
//! What cannot succeed is answered, not failed, because a repetition has the same result. What may succeed later fails, so that
//! AWS Lambda or the queue repeats it and in the end keeps it in the queue of failed events. So does a message of a batch that is
//! not understood, and an envelope with several events: an answer would delete it.

use std::cmp::Reverse;
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
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

use super::decision::{Answer, Batch, Decision, Failure, ItemFailure};
use super::known::{Known, Subject};
use super::phases::Phases;
use super::records::{Work, works};
use super::round::{self, Round, Turn};
use super::share::{Share, WorkedOn};
use super::tally::Tally;
use super::xray::{Outcome, TRACED, Traced};

/// What is left of an invocation's time for its answer and its log lines to get out.
const RESERVE: Duration = Duration::from_millis(500);

/// Records of a batch that are worked on at the same time: by default an account takes 10 certificates a second.
const CONCURRENT_RECORDS: usize = 10;

/// How long records of a batch are begun. By then the events that were new are old, and another batch has newer ones.
const WORKING_TIME: Duration = Duration::from_secs(8);

/// Whoever publishes an event of this age, in milliseconds, may have been registered since.
const DOUBT: u64 = 1000;

/// So long an invocation works on what another environment takes first, while many wait: that one has newer events of them.
const FOREIGN_TIME: Duration = Duration::from_secs(1);

/// A record is not begun so shortly before the deadline, or in the last quarter of a shorter time.
const LAST_START: Duration = Duration::from_secs(1);

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

    /// Works through a batch side by side, the newest events first. A record that is refused is done; one that fails, or is
    /// not understood, is repeated, alone.
    ///
    /// # Errors
    /// Of a record that has to be repeated and has no id: the whole batch is.
    async fn batch(&self, records: &[Value], times: Times<'_>, seen: &mut Seen) -> Result<Batch, Failure> {
        let (mut response, mut whole) = (Batch::default(), Ok(()));
        let mut again = |identifier: Option<String>, failure| match identifier {
            Some(item_identifier) => response.batch_item_failures.push(ItemFailure { item_identifier }),
            None => whole = Err(failure),
        };
        let (works, malformed) = works(records);
        seen.tally.duplicates += (records.len() - works.len() - malformed.len()) as u32;
        for (identifier, error) in malformed {
            if let Err(failure) = seen.see(not_understood(error, times)) {
                again(identifier, failure);
            }
        }
        let read = works.len();
        let (asks, is_paced) = (self.asks(), self.is_paced());
        let news = works.into_iter().filter(|work| !self.known.covers(work.subject, &work.event));
        let (others, news): (Vec<_>, Vec<_>) =
            news.partition(|work| asks && self.known.is_begun(work.subject, &work.event));
        seen.tally.duplicates += (read - news.len() - others.len()) as u32;
        let turn = |work: &Work| Turn {
            failures: self.known.failures(work.subject),
            is_foreign: is_paced && !self.share.has(work.subject.as_ref()),
            published: Reverse(work.event.timestamp),
        };
        let news = news.into_iter().map(|work| (turn(&work), work));

        let left = times.deadline.saturating_duration_since(times.start);
        let stop = (times.deadline - LAST_START.min(left / 4))
            .min(times.start + WORKING_TIME.min(round::working_time(records.len())));
        let round = Mutex::new(Round::new(news.collect(), others));
        let mut worked = self.around(&round, stop, times);
        while let Some((work, worked)) = worked.next().await {
            if let Err(failure) = seen.see(worked) {
                let lasts = !failure.is_transient();
                self.known.waits(work.subject, &work.event, lasts, milliseconds(times.wall_clock()));
                again(work.identifier, failure);
            }
        }
        let now = milliseconds(times.wall_clock());
        for work in lock(&round).rest() {
            seen.tally.postponed += 1;
            self.known.waits(work.subject, &work.event, false, now);
            again(work.identifier, Failure::OutOfTime);
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

    /// Begins the events of a round, some side by side, and ends with the last that was begun.
    fn around<'a>(
        &'a self,
        round: &'a Mutex<Round<Work>>,
        stop: Instant,
        times: Times<'a>,
    ) -> BoxStream<'a, (Work, Worked)> {
        stream::unfold((), move |()| self.next(round, stop, times))
            .map(move |work| self.begin(work, times))
            .buffer_unordered(CONCURRENT_RECORDS)
            .boxed()
    }

    /// What comes next is decided when its first call can be made, not before.
    fn next<'a>(
        &'a self,
        round: &'a Mutex<Round<Work>>,
        stop: Instant,
        times: Times<'a>,
    ) -> BoxFuture<'a, Option<(Work, ())>> {
        async move {
            let registry = self.registration.registry();
            // A round without more to begin does not wait for a slot.
            while lock(round).goes_on() && registry.ready(Operation::DescribeCertificate, stop).await {
                let (turn, work) = lock(round).next()?;
                let is_left = turn.is_foreign
                    && lock(round).has_own
                    && !self.known.are_few()
                    && times.start.elapsed() >= FOREIGN_TIME;
                if !is_left && !self.is_begun_elsewhere(turn, &work, times).await {
                    return Some((work, ()));
                }
                lock(round).put_aside(work);
                if is_left {
                    return None;
                }
            }
            None
        }
        .boxed()
    }

    /// Whether AWS IoT throttles.
    fn is_paced(&self) -> bool {
        self.registration.registry().is_paced(Operation::DescribeCertificate)
    }

    /// Whether it is worthwhile to know what other environments have begun: while AWS IoT throttles, and few wait.
    fn asks(&self) -> bool {
        self.is_paced() && self.known.are_few()
    }

    /// Whether another environment works on it, or has done so. An answer of another operation saves one of
    /// `DescribeCertificate`.
    async fn is_begun_elsewhere(&self, turn: Turn, work: &Work, times: Times<'_>) -> bool {
        let now = times.wall_clock();
        let asked = milliseconds(now);
        let doubtful = work.event.timestamp.is_some_and(|published| published + DOUBT <= asked);
        let begun = doubtful
            && (self.asks() || turn.is_foreign)
            && !self.known.was_begun(work.subject)
            && self.registration.is_begun(&work.event).await;
        if begun {
            // The device was not let in when it published the event, so the registration was begun after that.
            if let Some(published) = work.event.timestamp {
                let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(published);
                self.share.taken(work.subject.as_ref(), changed, now);
            }
            self.known.begun(work.subject, asked);
        }
        begun
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

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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
