//! In which order the events of a batch are begun, and how many of them.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

/// How long the events of a batch are begun, times its records. A batch that is not full is worked on for as long as there is time.
/// The fuller it is, the more wait behind it, and the sooner the next one has to be taken: 4000 records are worked on for 5 s.
const TIME_TIMES_RECORDS: Duration = Duration::from_secs(20_000);

/// How long events of a batch of `records` are begun.
pub(super) fn working_time(records: usize) -> Duration {
    TIME_TIMES_RECORDS / u32::try_from(records.max(1)).unwrap_or(u32::MAX)
}

/// What decides about an event's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// How often it has failed here.
    pub(super) failures: u32,
    /// Whether the certificate is one that another environment takes first.
    pub(super) is_foreign: bool,
    /// When it was published, milliseconds since 1970.
    pub(super) published: Reverse<Option<u64>>,
}

/// The events of a batch that say something new, in their order.
///
/// The newest come first. They are about devices that were waiting a moment ago; the older an event is, the more likely another
/// environment has registered the device since. Before them come those that no other environment takes first. Events that have
/// failed here come last, so that they hold up no other.
#[derive(Debug)]
pub(super) struct Round<T> {
    waiting: VecDeque<(Turn, T)>,
    /// Those that others have begun.
    aside: Vec<T>,
    /// Whether there were any that no other environment takes first.
    pub(super) has_own: bool,
}

impl<T> Round<T> {
    /// A round through `events`. Those `aside` are not begun.
    pub(super) fn new(mut events: Vec<(Turn, T)>, aside: Vec<T>) -> Self {
        events.sort_by_key(|(turn, _)| *turn);
        let has_own = events.iter().any(|(turn, _)| !turn.is_foreign);
        Self { waiting: events.into(), aside, has_own }
    }

    /// Whether there is another to begin.
    pub(super) fn goes_on(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next that may be begun, and its turn.
    pub(super) fn next(&mut self) -> Option<(Turn, T)> {
        self.waiting.pop_front()
    }

    /// Another environment has begun it.
    pub(super) fn put_aside(&mut self, event: T) {
        self.aside.push(event);
    }

    /// Takes those that were not begun.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(_, event)| event)
            .chain(std::mem::take(&mut self.aside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_come_first_then_the_foreign_and_what_has_failed_last() {
        let event = |failures, is_foreign, published, name| {
            (Turn { failures, is_foreign, published: Reverse(published) }, name)
        };
        let events = vec![
            event(0, false, Some(1), "old"),
            event(1, false, Some(9), "failed"),
            event(0, true, Some(8), "foreign"),
            event(0, false, None, "timeless"),
            event(0, false, Some(5), "new"),
        ];
        let mut round = Round::new(events, vec!["begun"]);
        let order: Vec<_> = std::iter::from_fn(|| round.next()).map(|(_, event)| event).collect();
        assert_eq!(order, ["new", "old", "timeless", "foreign", "failed"]);
        assert!(!round.goes_on());
        round.put_aside("failed");
        assert!(round.rest().eq(["begun", "failed"]), "nothing is lost");
    }

    #[test]
    fn the_fuller_a_batch_is_the_sooner_the_next_one_is_taken() {
        for (records, seconds) in [(0, 20_000), (100, 200), (4000, 5), (10_000, 2)] {
            assert_eq!(working_time(records), Duration::from_secs(seconds));
        }
    }
}
