//! What an environment remembers of the certificates it has seen ACTIVE, so that their late events cause no call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::event::Event;

/// Certificates in one generation; two are kept. 32 bytes of id and 16 of time each: about 1 MB in all.
const GENERATION: usize = 8_192;

/// How long after an activation AWS IoT may still treat a device as pending: it is eventually consistent.
const SETTLING: Duration = Duration::from_secs(30);

/// Certificates seen ACTIVE, and when.
///
/// A waiting device publishes an event at each of its attempts to connect, so most events of a rush are about
/// certificates that are ACTIVE by the time they are read. An event that was published before the certificate was seen
/// ACTIVE says nothing new. One published later does: the certificate was deleted and registered again.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<[u8; 32], SystemTime>,
    old: HashMap<[u8; 32], SystemTime>,
}

impl Recent {
    /// Remembers that the certificate was ACTIVE at the time `seen`.
    pub(super) fn remember(&self, certificate_id: &str, seen: SystemTime) {
        let Some(key) = key(certificate_id) else { return };
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(key, seen);
    }

    /// Whether the event was published before its certificate was last seen ACTIVE. One without a time never was.
    pub(super) fn covers(&self, event: &Event) -> bool {
        let (Some(key), Some(published)) = (key(&event.certificate_id), event.timestamp) else {
            return false;
        };
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = generations.young.get(&key).or_else(|| generations.old.get(&key));
        seen.is_some_and(|seen| SystemTime::UNIX_EPOCH + Duration::from_millis(published) < *seen + SETTLING)
    }
}

fn key(certificate_id: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    hex::decode_to_slice(certificate_id, &mut key).ok()?;
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn only_events_from_before_the_activation_are_covered() {
        let fixture = Fixture::new();
        let recent = Recent::default();
        let mut event = fixture.event();
        event.timestamp = Some(100_000);
        assert!(!recent.covers(&event));
        recent.remember(&event.certificate_id, at(130_000));
        assert!(recent.covers(&event));
        event.timestamp = Some(159_999);
        assert!(recent.covers(&event), "the gateway may not know of the activation yet");
        event.timestamp = Some(160_000);
        assert!(!recent.covers(&event), "registered again");
        event.timestamp = None;
        assert!(!recent.covers(&event));
    }

    #[test]
    fn memory_is_bounded_and_the_latest_are_kept() {
        let recent = Recent::default();
        let id = |n: usize| format!("{n:064x}");
        let count = 5 * GENERATION;
        (0..count).for_each(|n| recent.remember(&id(n), at(1)));
        let covered = |n| {
            let mut event = Fixture::new().event_for(&id(n));
            event.timestamp = Some(0);
            recent.covers(&event)
        };
        assert!(covered(count - 1) && covered(count - GENERATION));
        assert!(!covered(0));
        let generations = recent.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
