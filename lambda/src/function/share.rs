//! Which certificates an environment takes first, so that two environments seldom work on the same.

use std::cmp::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::known::Key;

/// A certificate of the own half that another environment has just taken weighs as much as so many that it has not.
const WEIGHT: u32 = 8;

/// The half is chosen anew when so much speaks against it: three certificates in a short time.
const LIMIT: u32 = 3 * WEIGHT;

/// What was changed before that does not tell what the other environment does now. A batch takes no longer.
const NOW: Duration = Duration::from_secs(60);

/// The half of all certificates that an environment takes first.
///
/// Environments know nothing of each other: each takes a half by chance. If another has the same, both find certificates there
/// that were registered a moment ago, and choose anew until they have different ones.
#[derive(Debug)]
pub(super) struct Share(Mutex<State>);

#[derive(Debug)]
struct State {
    half: Half,
    /// What speaks against it.
    against: u32,
}

/// Certificates whose id is odd, or those whose id is even: ids are hashes, so these are equally many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Odd,
    Even,
}

/// How many certificates of each half there are among some.
#[derive(Debug, Default)]
pub(super) struct WorkedOn {
    odd: usize,
    even: usize,
}

impl WorkedOn {
    pub(super) fn add(&mut self, key: &Key) {
        match Half::of(key) {
            Half::Odd => self.odd += 1,
            Half::Even => self.even += 1,
        }
    }
}

impl Half {
    fn of(key: &Key) -> Self {
        let [.., last] = key;
        if last % 2 == 1 { Self::Odd } else { Self::Even }
    }

    fn by_chance() -> Self {
        if fastrand::bool() { Self::Odd } else { Self::Even }
    }
}

impl Default for Share {
    fn default() -> Self {
        Self(Mutex::new(State { half: Half::by_chance(), against: 0 }))
    }
}

impl Share {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the certificate is of the half.
    pub(super) fn has(&self, key: &Key) -> bool {
        Half::of(key) == self.state().half
    }

    /// Takes the half to which most certificates belong on which the environment has worked before.
    pub(super) fn resume(&self, worked_on: WorkedOn) {
        match worked_on.odd.cmp(&worked_on.even) {
            Ordering::Greater => self.state().half = Half::Odd,
            Ordering::Less => self.state().half = Half::Even,
            Ordering::Equal => {}
        }
    }

    /// This environment was the one that registered a certificate.
    pub(super) fn registered(&self, key: &Key) {
        let state = &mut *self.state();
        if Half::of(key) == state.half {
            state.against = state.against.saturating_sub(1);
        }
    }

    /// Another one was, and the certificate was last changed at the time `changed`.
    pub(super) fn taken(&self, key: &Key, changed: SystemTime, now: SystemTime) {
        let state = &mut *self.state();
        let is_recent = now.duration_since(changed).is_ok_and(|age| age <= NOW);
        if is_recent && Half::of(key) == state.half {
            state.against += WEIGHT;
            if state.against >= LIMIT {
                *state = State { half: Half::by_chance(), against: 0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: Key = [1; 16];
    const EVEN: Key = [2; 16];

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    /// A share with the odd half.
    fn odd() -> Share {
        Share(Mutex::new(State { half: Half::Odd, against: 0 }))
    }

    #[test]
    fn two_environments_with_the_same_half_part() {
        for seed in 0..64 {
            fastrand::seed(seed);
            let (one, other) = (odd(), odd());
            let mut taken = 0;
            while one.has(&ODD) == other.has(&ODD) {
                let key = if one.has(&ODD) { ODD } else { EVEN };
                one.taken(&key, now(), now());
                other.taken(&key, now(), now());
                taken += 2;
                assert!(taken < 200, "they choose, each time, with an even chance");
            }
        }
    }

    #[test]
    fn what_another_takes_of_its_own_half_or_took_long_ago_or_seldom_changes_nothing() {
        let share = odd();
        for _ in 0..100 {
            share.taken(&EVEN, now(), now());
            share.taken(&ODD, now() - Duration::from_secs(61), now());
            share.taken(&ODD, now() + Duration::from_secs(1), now());
            share.taken(&ODD, now(), now());
            (0..WEIGHT).for_each(|_| share.registered(&ODD));
            assert!(share.has(&ODD) && !share.has(&EVEN));
            assert_eq!(share.state().against, 0);
        }
    }

    #[test]
    fn the_process_after_a_crash_goes_on_with_the_half_of_the_one_before() {
        for (keys, expected) in [([ODD, EVEN, EVEN], EVEN), ([ODD, ODD, EVEN], ODD)] {
            let mut worked_on = WorkedOn::default();
            keys.iter().for_each(|key| worked_on.add(key));
            let share = odd();
            share.resume(worked_on);
            assert!(share.has(&expected));
        }
    }
}
