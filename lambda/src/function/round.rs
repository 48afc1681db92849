//! In which order the events of a batch are begun, and how many of them.

use std::collections::VecDeque;

/// Events begun, times records in the batch. A batch that is not full is worked on to its end. The fuller a batch is, the more
/// wait behind it, and the sooner the next one has to be taken: of 4000 records, 25 are begun.
const BEGUN_TIMES_RECORDS: usize = 100_000;

/// The events of a batch that say something new.
///
/// All ids of certificates form a ring. Each environment starts at a place of its own and goes around. So environments that do
/// not know of each other work on different certificates, whichever of a device's events each of them gets. One that finds
/// a certificate already registered has come to where another has been, and goes on at another place.
#[derive(Debug)]
pub(super) struct Round<T> {
    /// With their places on the ring.
    waiting: VecDeque<(u64, T)>,
    may_begin: usize,
    /// How often it went to another place.
    moves: u32,
}

impl<T> Round<T> {
    /// A round through `events` of a batch of `records`, from the place `start`. Each event has its place, and the number of its
    /// failures: those that have failed come last, so that they hold up no other.
    pub(super) fn new(mut events: Vec<(u32, u64, T)>, records: usize, start: u64) -> Self {
        events.sort_by_key(|(failures, place, _)| (*failures, place.wrapping_sub(start)));
        let may_begin = (BEGUN_TIMES_RECORDS / records.max(1)).max(1);
        let waiting = events.into_iter().map(|(_, place, event)| (place, event)).collect();
        Self { waiting, may_begin, moves: 0 }
    }

    /// Whether there is another to begin.
    pub(super) fn goes_on(&self) -> bool {
        self.may_begin > 0 && !self.waiting.is_empty()
    }

    /// The next to begin, with what [`move_on`](Self::move_on) needs.
    pub(super) fn next(&mut self) -> Option<(u32, T)> {
        self.may_begin = self.may_begin.checked_sub(1)?;
        let (_, event) = self.waiting.pop_front()?;
        Some((self.moves, event))
    }

    /// Goes on at another place, because an event that was begun after `moves` moves found its certificate registered. Returns
    /// the place; none if there is nothing left, or if it has moved since.
    pub(super) fn move_on(&mut self, moves: u32) -> Option<u64> {
        if moves != self.moves || self.waiting.is_empty() {
            return None;
        }
        self.moves += 1;
        self.waiting.rotate_left(fastrand::usize(..self.waiting.len()));
        self.waiting.front().map(|(place, _)| *place)
    }

    /// Takes those that were not begun.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, event)| event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(mut round: Round<u64>) -> Vec<u64> {
        std::iter::from_fn(|| round.next()).map(|(_, event)| event).collect()
    }

    fn events(places: impl IntoIterator<Item = u64>) -> Vec<(u32, u64, u64)> {
        places.into_iter().map(|place| (0, place, place)).collect()
    }

    #[test]
    fn a_round_goes_around_the_ring_from_its_start_and_to_what_has_failed_last() {
        let round = |start| Round::new(events([1, u64::MAX, 5, 9]), 4, start);
        assert_eq!(order(round(5)), [5, 9, u64::MAX, 1]);
        let mut failed = events([1, 2, 3]);
        failed[0].0 = 1;
        assert_eq!(order(Round::new(failed, 3, 0)), [2, 3, 1]);
    }

    #[test]
    fn the_fuller_a_batch_is_the_fewer_of_its_events_are_begun() {
        for (records, begun) in [(1, 1), (300, 300), (1000, 100), (4000, 25), (10_000, 10), (1_000_000, 1)] {
            let mut round = Round::new(events(0..records as u64), records, 0);
            let order = std::iter::from_fn(|| round.next()).count();
            assert_eq!(order, begun);
            assert_eq!(round.rest().count(), records - begun);
        }
    }

    #[test]
    fn what_finds_another_environments_work_moves_on_once() {
        let mut round = Round::new(events(0..100), 100, 0);
        let (before, _) = round.next().unwrap();
        let (also_before, _) = round.next().unwrap();
        let place = round.move_on(before).unwrap();
        assert_eq!(round.move_on(also_before), None);
        let (after, next) = round.next().unwrap();
        assert_eq!(next, place);
        assert!(round.move_on(after).is_some());
        assert_eq!(round.rest().count(), 97);
    }
}
