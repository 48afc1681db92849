//! What is due when. Putting something in and taking it out costs the same however much is in it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Things are due at multiples of this. It is the shortest pause in the simulation's large populations.
const TICK: Duration = Duration::from_millis(10);

/// Things that are due at a time, in the order in which they were put in.
#[derive(Debug)]
pub(super) struct Calendar<T>(BTreeMap<u64, Vec<T>>);

impl<T> Default for Calendar<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Calendar<T> {
    /// `thing` is due at the time `at`, or up to a tick later.
    pub(super) fn put(&mut self, at: Duration, thing: T) {
        self.0.entry(tick(at)).or_default().push(thing);
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Duration> {
        let (tick, _) = self.0.first_key_value()?;
        Some(TICK * u32::try_from(*tick).unwrap_or(u32::MAX))
    }

    /// Takes what is due next, if it is due at the time `now`.
    pub(super) fn take(&mut self, now: Duration) -> Option<Vec<T>> {
        let first = self.0.first_entry()?;
        let is_due = *first.key() <= (now.as_nanos() / TICK.as_nanos()) as u64;
        is_due.then(|| first.remove())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn tick(at: Duration) -> u64 {
    at.as_nanos().div_ceil(TICK.as_nanos()) as u64
}
