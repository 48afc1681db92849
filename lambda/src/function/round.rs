//! In which order the events of a batch are begun, and how many of them.

use std::cmp::Reverse;
use std::collections::VecDeque;

/// Events begun, times records in the batch. A batch that is not full is worked on for as long as there is time. The fuller it
/// is, the more wait behind it, and the sooner the next one has to be taken: of 4000 records, 25 are begun.
const BEGUN_TIMES_RECORDS: usize = 100_000;

/// The events of a batch that say something new, in their order.
///
/// The newest come first. They are about devices that were waiting a moment ago; the older an event is, the more likely another
/// environment has registered the device since. Events that have failed here come last, so that they hold up no other.
#[derive(Debug)]
pub(super) struct Round<T> {
    waiting: VecDeque<T>,
    /// Those that others have begun.
    aside: Vec<T>,
    may_begin: usize,
}

impl<T> Round<T> {
    /// A round through `events` of a batch of `records`. Each event has the number of its failures, and the time when it was
    /// published. Those `aside` are not begun.
    pub(super) fn new(mut events: Vec<(u32, Option<u64>, T)>, aside: Vec<T>, records: usize) -> Self {
        events.sort_by_key(|(failures, published, _)| (*failures, Reverse(*published)));
        let may_begin = (BEGUN_TIMES_RECORDS / records.max(1)).max(1);
        Self { waiting: events.into_iter().map(|(_, _, event)| event).collect(), aside, may_begin }
    }

    /// Whether there is another to begin.
    pub(super) fn goes_on(&self) -> bool {
        self.may_begin > 0 && !self.waiting.is_empty()
    }

    /// The next that may be begun.
    pub(super) fn next(&mut self) -> Option<T> {
        self.may_begin = self.may_begin.checked_sub(1)?;
        self.waiting.pop_front()
    }

    /// Another environment has begun it.
    pub(super) fn put_aside(&mut self, event: T) {
        self.aside.push(event);
    }

    /// Takes those that were not begun.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.waiting).into_iter().chain(std::mem::take(&mut self.aside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_come_first_and_what_has_failed_last() {
        let events =
            vec![(0, Some(1), "old"), (1, Some(9), "failed"), (0, None, "timeless"), (0, Some(5), "new")];
        let mut round = Round::new(events, vec!["begun"], 5);
        let order: Vec<_> = std::iter::from_fn(|| round.next()).collect();
        assert_eq!(order, ["new", "old", "timeless", "failed"]);
        assert!(!round.goes_on());
        round.put_aside("failed");
        assert!(round.rest().eq(["begun", "failed"]), "nothing is lost");
    }

    #[test]
    fn the_fuller_a_batch_is_the_fewer_of_its_events_are_begun() {
        for (records, begun) in [(1, 1), (300, 300), (1000, 100), (4000, 25), (10_000, 10), (1_000_000, 1)] {
            let events = (0..records as u64).map(|n| (0, Some(n), n)).collect();
            let mut round = Round::new(events, Vec::new(), records);
            assert_eq!(std::iter::from_fn(|| round.next()).count(), begun);
            assert_eq!(round.rest().count(), records - begun);
        }
    }
}
