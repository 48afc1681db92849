//! What an environment knows of certificates, so that their other events cause no call.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::Event;

use super::cache::Cache;

/// Certificates that are ACTIVE in one generation; two are kept. It fills a hash table of 2^18 places: 7 MB.
pub(super) const MOST_ACTIVE: usize = 229_376;

/// Certificates that wait, or were begun by another environment, in one generation. It fills a hash table of 2^17 places: 6 MB
/// and 4 MB.
const MOST_WAITING: usize = 114_688;

/// Milliseconds after the answer that a registration was begun, in which the device may have connected once more in vain.
const GRACE: u64 = 5000;

/// Certificates seen waiting, up to which others are asked about. Among more, few events are about what another has begun.
const MOST_ASKED: usize = 4000;

/// The half of a certificate's id, which no two certificates share: 16 of the 32 bytes of a SHA-256.
pub(super) type Key = [u8; 16];

/// Certificates that were seen ACTIVE, and those with an event that waits in the queue.
///
/// A waiting device publishes an event at each of its attempts to connect, so most events of a rush say nothing new. An event
/// says nothing new if
/// - it was published before AWS IoT was asked for the certificate, and the certificate then was or became ACTIVE; or
/// - this environment has left a newer event with the same claims in the queue.
///
/// In the second case the newer event is still there, or was decided after both were published, or is kept among the failed
/// events. The newest event of a certificate is never covered by another: one that was published after the certificate
/// was seen ACTIVE says that it was deleted and registered again.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the certificate was asked for, milliseconds since 1970.
    active: Generations<u64, MOST_ACTIVE>,
    waiting: Generations<Waiting, MOST_WAITING>,
    /// When another environment was seen to have begun its registration, milliseconds since 1970.
    begun: Generations<u64, MOST_WAITING>,
    /// The ACTIVE ones, for the process after this one.
    cache: Option<Cache>,
}

/// The newest event of a certificate in the queue.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// Milliseconds since 1970.
    published: u64,
    claims: u64,
    failures: u32,
}

/// The part of an event that is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    key: Key,
    claims: u64,
}

impl AsRef<Key> for Subject {
    fn as_ref(&self) -> &Key {
        &self.key
    }
}

impl Subject {
    /// The certificate, and what the event claims about it. Only what claims the same says the same.
    pub(super) fn of(event: &Event) -> Self {
        let mut hasher = DefaultHasher::new();
        (&event.ca_certificate_id, &event.aws_account_id).hash(&mut hasher);
        Self { key: key(&event.certificate_id), claims: hasher.finish() }
    }
}

impl Known {
    /// Knows what a file says of certificates that are ACTIVE, and adds to it. `seen` gets each of them.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn keep_in(&self, file: File, mut seen: impl FnMut(&Key)) -> io::Result<()> {
        let mut state = self.state();
        let cache = Cache::read(file, |key, asked| {
            seen(&key);
            state.active.insert(key, asked);
        })?;
        state.cache = Some(cache);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificate was asked for at the time `asked`, milliseconds since 1970, and then was or became ACTIVE.
    pub(super) fn is_active(&self, certificate_id: &str, asked: u64) {
        let key = key(certificate_id);
        let state = &mut *self.state();
        let asked = state.active.get(&key).map_or(asked, |before| asked.max(before));
        state.active.insert(key, asked);
        // One that was published later still waits.
        if state.waiting.get(&key).is_some_and(|waiting| waiting.published < asked) {
            state.waiting.remove(&key);
        }
        if let Some(Err(error)) = state.cache.as_mut().map(|cache| cache.add(&key, asked)) {
            tracing::warn!(%error, "what is known of certificates is not kept in a file any more");
            state.cache = None;
        }
    }

    /// The event goes back to the queue; `failed` if a repetition is likely to fail, too. `now` in milliseconds since 1970.
    pub(super) fn waits(&self, subject: Subject, event: &Event, failed: bool, now: u64) {
        // One from the future would cover all that are still to come.
        let Some(published) = event.timestamp.filter(|published| *published <= now) else { return };
        let waiting = &mut self.state().waiting;
        let before = waiting.get(&subject.key).filter(|before| before.claims == subject.claims);
        let failures = before.map_or(0, |before| before.failures) + u32::from(failed);
        let published = before.map_or(published, |before| published.max(before.published));
        waiting.insert(subject.key, Waiting { published, claims: subject.claims, failures });
    }

    /// Whether the event says nothing new. One without a time always does.
    pub(super) fn covers(&self, subject: Subject, event: &Event) -> bool {
        let Some(published) = event.timestamp else { return false };
        let state = self.state();
        let is_newer = |waiting: Waiting| waiting.claims == subject.claims && published < waiting.published;
        state.active.get(&subject.key).is_some_and(|asked| published < asked)
            || state.waiting.get(&subject.key).is_some_and(is_newer)
    }

    /// Whether so few wait that many events are about what another environment has begun.
    pub(super) fn are_few(&self) -> bool {
        let waiting = &self.state().waiting;
        waiting.young.len() + waiting.old.len() <= MOST_ASKED
    }

    /// Another environment had begun the registration at the time `asked`, milliseconds since 1970.
    pub(super) fn begun(&self, subject: Subject, asked: u64) {
        self.state().begun.insert(subject.key, asked);
    }

    /// Whether another environment was seen to have begun it, at any time.
    pub(super) fn was_begun(&self, subject: Subject) -> bool {
        self.state().begun.get(&subject.key).is_some()
    }

    /// Whether the event can be left to the environment that has begun the registration, for as long as the rush lasts. That one
    /// deletes it when it sees it. A device that is not let in publishes another event.
    pub(super) fn is_begun(&self, subject: Subject, event: &Event) -> bool {
        let Some(asked) = self.state().begun.get(&subject.key) else { return false };
        event.timestamp.is_some_and(|published| published < asked + GRACE)
    }

    /// How often events of the certificate have failed here.
    pub(super) fn failures(&self, subject: Subject) -> u32 {
        self.state().waiting.get(&subject.key).map_or(0, |waiting| waiting.failures)
    }
}

/// A bounded map: when the young generation is full, the old one is forgotten.
#[derive(Debug)]
struct Generations<V, const MOST: usize> {
    young: HashMap<Key, V>,
    old: HashMap<Key, V>,
}

impl<V, const MOST: usize> Default for Generations<V, MOST> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<V: Copy, const MOST: usize> Generations<V, MOST> {
    fn insert(&mut self, key: Key, value: V) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &Key) {
        self.young.remove(key);
        self.old.remove(key);
    }

    fn get(&self, key: &Key) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }
}

/// Ids are checked when events are read: 64 hex digits.
fn key(certificate_id: &str) -> Key {
    let mut key = Key::default();
    let half = certificate_id.get(..2 * key.len()).unwrap_or_default();
    // What is no id has the key of zeros, which is that of no certificate.
    let _ = hex::decode_to_slice(half, &mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const NOW: u64 = 1_000_000;

    fn published(event: &Event, timestamp: u64) -> Event {
        Event { timestamp: Some(timestamp), ..event.clone() }
    }

    #[test]
    fn only_events_from_before_a_certificate_was_asked_for_are_covered() {
        let known = Known::default();
        let event = Fixture::new().event();
        let covers = |event: &Event| known.covers(Subject::of(event), event);
        assert!(!covers(&published(&event, 1)));
        known.is_active(&event.certificate_id, 100);
        known.is_active(&event.certificate_id, 50);
        assert!(covers(&published(&event, 99)));
        assert!(!covers(&published(&event, 100)), "it may be about what came after");
        assert!(!covers(&Event { timestamp: None, ..event }));
    }

    #[test]
    fn an_event_that_waits_covers_older_ones_with_the_same_claims_alone() {
        let known = Known::default();
        let event = Fixture::new().event();
        let covers = |event: &Event| known.covers(Subject::of(event), event);
        known.waits(Subject::of(&event), &published(&event, 100), false, NOW);
        known.waits(Subject::of(&event), &published(&event, 50), false, NOW);
        assert!(covers(&published(&event, 99)));
        assert!(!covers(&published(&event, 100)), "this is the one that waits");
        assert!(!covers(&published(&event, 101)));
        let other = Event { ca_certificate_id: "f".repeat(64), ..published(&event, 1) };
        assert!(!covers(&other));
        let other = Event { aws_account_id: None, ..published(&event, 1) };
        assert!(!covers(&other));
    }

    #[test]
    fn an_event_from_the_future_covers_none() {
        let known = Known::default();
        let event = Fixture::new().event();
        known.waits(Subject::of(&event), &published(&event, NOW + 1), false, NOW);
        assert!(!known.covers(Subject::of(&event), &published(&event, NOW)));
    }

    #[test]
    fn what_is_active_waits_no_more_unless_a_later_event_does() {
        let known = Known::default();
        let event = Fixture::new().event();
        let subject = Subject::of(&event);
        let waiting = || known.state().waiting.get(&subject.key).is_some();
        known.waits(subject, &published(&event, 100), false, NOW);
        known.is_active(&event.certificate_id, 100);
        assert!(waiting());
        known.is_active(&event.certificate_id, 101);
        assert!(!waiting());
    }

    #[test]
    fn failures_are_counted_and_a_postponement_is_none() {
        let known = Known::default();
        let event = published(&Fixture::new().event(), 1);
        let subject = Subject::of(&event);
        known.waits(subject, &event, false, NOW);
        assert_eq!(known.failures(subject), 0);
        known.waits(subject, &event, true, NOW);
        known.waits(subject, &event, false, NOW);
        assert_eq!(known.failures(subject), 1);
    }

    #[test]
    fn a_process_knows_what_the_one_before_has_kept() {
        let file = tempfile::tempfile().unwrap();
        let event = published(&Fixture::new().event(), 99);
        let before = Known::default();
        before.keep_in(file.try_clone().unwrap(), |_| ()).unwrap();
        before.is_active(&event.certificate_id, 100);
        let after = Known::default();
        assert!(!after.covers(Subject::of(&event), &event));
        let mut seen = Vec::new();
        after.keep_in(file, |key| seen.push(*key)).unwrap();
        assert_eq!(seen, [*Subject::of(&event).as_ref()]);
        assert!(after.covers(Subject::of(&event), &event));
        assert!(!after.covers(Subject::of(&event), &published(&event, 100)));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_are_kept() {
        let known = Known::default();
        let id = |n: usize| format!("{n:032x}{n:032x}");
        let count = 5 * MOST_ACTIVE;
        (0..count).for_each(|n| known.is_active(&id(n), 1));
        let covered = |n| {
            let event = published(&Fixture::new().event_for(&id(n)), 0);
            known.covers(Subject::of(&event), &event)
        };
        assert!(covered(count - 1) && covered(count - MOST_ACTIVE));
        assert!(!covered(0));
        let active = &known.state().active;
        assert!(active.young.len() + active.old.len() <= 2 * MOST_ACTIVE);
    }
}
