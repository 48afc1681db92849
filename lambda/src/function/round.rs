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

/// The events of a batch that say something new, in their order.
///
/// The newest come first. They are about devices that were waiting a moment ago; the older an event is, the more likely another
/// environment has registered the device since. Events that have failed here come last, so that they hold up no other.
#[derive(Debug)]
pub(super) struct Round<T> {
    waiting: VecDeque<T>,
    /// Those that others have begun.
    aside: Vec<T>,
}

impl<T> Round<T> {
    /// A round through `events`. Each has the number of its failures, and the time when it was published. Those `aside` are not begun.
    pub(super) fn new(mut events: Vec<(u32, Option<u64>, T)>, aside: Vec<T>) -> Self {
        events.sort_by_key(|(failures, published, _)| (*failures, Reverse(*published)));
        Self { waiting: events.into_iter().map(|(_, _, event)| event).collect(), aside }
    }

    /// Whether there is another to begin.
    pub(super) fn goes_on(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next that may be begun.
    pub(super) fn next(&mut self) -> Option<T> {
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
        let mut round = Round::new(events, vec!["begun"]);
        let order: Vec<_> = std::iter::from_fn(|| round.next()).collect();
        assert_eq!(order, ["new", "old", "timeless", "failed"]);
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
