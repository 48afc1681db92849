//! A batch of a queue's messages: which events are begun, when, and what goes back to the queue.

use std::cmp::Reverse;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::time::Instant;

use crate::registry::{Operation, Registry};

use super::super::decision::{Batch, Failure, ItemFailure};
use super::super::records::{Work, works};
use super::super::round::{self, Round, Turn};
use super::{Handler, Seen, Times, Worked, milliseconds, not_understood};

/// Records of a batch that are worked on at the same time: by default an account takes 10 certificates a second.
pub(super) const CONCURRENT_RECORDS: usize = 10;

/// How long records of a batch are begun. By then the events that were new are old, and another batch has newer ones.
const WORKING_TIME: Duration = Duration::from_secs(8);

/// Whoever publishes an event of this age, in milliseconds, may have been registered since.
const DOUBT: u64 = 1000;

/// So long an invocation works on what another environment takes first, while many wait: that one has newer events of them.
const FOREIGN_TIME: Duration = Duration::from_secs(1);

/// A record is not begun so shortly before the deadline, or in the last quarter of a shorter time.
const LAST_START: Duration = Duration::from_secs(1);

impl<R: Registry + Send> Handler<R> {
    /// Works through a batch side by side, the newest events first. A record that is refused is done; one that fails, or is
    /// not understood, is repeated, alone.
    ///
    /// # Errors
    /// Of a record that has to be repeated and has no id: the whole batch is.
    pub(super) async fn batch(
        &self,
        records: &[Value],
        times: Times<'_>,
        seen: &mut Seen,
    ) -> Result<Batch, Failure> {
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
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
