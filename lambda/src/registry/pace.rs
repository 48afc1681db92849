//! The rate of the calls of one operation, adapted to what AWS IoT accepts and throttles.

use std::time::Duration;

use tokio::time::Instant;

/// Calls a second after the first `ThrottlingException`: the default quota of the tightest operations
/// (AWS IoT Core endpoints and quotas, `DescribeCertificate` and `UpdateCertificate`).
const FIRST_RATE: f64 = 10.0;
/// What an accepted call adds to the rate, in calls a second, …
const GAIN: f64 = 0.03;
/// … or, above ten calls a second, as a share of it: raised quotas are found as fast as the default ones.
const GROWTH: f64 = 0.003;
/// What a throttled call leaves of the rate.
const LOSS: f64 = 0.9;
/// However often AWS IoT throttles, one call in two seconds is tried.
const SLOWEST_RATE: f64 = 0.5;
/// After so long without a call the rush is over, and the pace with it.
const MEMORY: Duration = Duration::from_secs(60);
/// Under a quota, a call that comes late may be made up for within this time, so that a busy moment costs no throughput.
const LENIENCE: Duration = Duration::from_millis(250);
/// Calls that were under way side by side when AWS throttled are answered alike; they count once.
const ONE_SIGN: Duration = Duration::from_secs(1);

/// The pace of one operation.
///
/// The account's quota is shared with others that cannot be seen. So the rate is found as TCP finds it:
/// each accepted call adds a little, each throttled one takes a tenth. Calls wait for their slot instead of being throttled, and the
/// quota stays used up. Without a quota ([`Pace::default`], as in one environment of the function) there is no pace at all until
/// AWS IoT throttles for the first time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// The fastest rate, calls a second, where a quota is known.
    quota: Option<f64>,
    /// The rate, calls a second, and the next free slot; none while nothing is throttled.
    held: Option<(f64, Instant)>,
    slowed: Option<Instant>,
    /// The last call did not need its slot when that was free: something else is slower than the pace.
    is_ample: bool,
}

impl Pace {
    /// At most so many calls a second, from now on.
    pub fn under(quota: f64, now: Instant) -> Self {
        Self { quota: Some(quota), held: Some((quota, now)), slowed: None, is_ample: false }
    }

    /// The time of the next slot.
    pub fn next(&self, now: Instant) -> Instant {
        let lenience = self.quota.map_or(Duration::ZERO, |_| LENIENCE);
        self.held.map_or(now, |(_, next)| next.max(now.checked_sub(lenience).unwrap_or(now)))
    }

    /// Takes the next slot if it is before `deadline`, and returns its time.
    pub fn slot(&mut self, now: Instant, deadline: Instant) -> Option<Instant> {
        let Some((rate, free)) = self.held else { return Some(now) };
        if !self.is_held(now) {
            self.held = None;
            return Some(now);
        }
        let slot = self.next(now);
        if slot >= deadline {
            return None;
        }
        let interval = Duration::from_secs_f64(1.0 / rate);
        self.is_ample = now > free + interval;
        self.held = Some((rate, slot + interval));
        Some(slot)
    }

    /// Whether calls have to wait for slots: under a quota, and after AWS IoT has throttled, until a minute without a call.
    pub fn is_held(&self, now: Instant) -> bool {
        let is_recent = |next| self.quota.is_some() || now.saturating_duration_since(next) <= MEMORY;
        self.held.is_some_and(|(_, next)| is_recent(next))
    }

    /// AWS IoT took the call.
    pub fn accepted(&mut self) {
        if let Some((rate, _)) = self.held.as_mut().filter(|_| !self.is_ample) {
            *rate = (*rate + GAIN.max(*rate * GROWTH)).min(self.quota.unwrap_or(f64::INFINITY));
        }
    }

    /// AWS IoT throttled the call.
    pub fn throttled(&mut self, now: Instant) {
        if self.quota.is_some() && self.slowed.is_some_and(|at| now < at + ONE_SIGN) {
            return;
        }
        self.slowed = Some(now);
        self.held = Some(match self.held {
            None => (FIRST_RATE, now + Duration::from_secs_f64(1.0 / FIRST_RATE)),
            Some((rate, next)) => {
                let slowest = self.quota.map_or(SLOWEST_RATE, |quota| SLOWEST_RATE.min(quota));
                ((rate * LOSS).max(slowest), next)
            }
        });
    }

    /// Calls a second at the moment; `None` while there is no pace.
    pub fn rate(&self) -> Option<f64> {
        self.held.map(|(rate, _)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(pace: &mut Pace, now: Instant, count: u32) -> Vec<Duration> {
        let deadline = now + Duration::from_secs(3600);
        (0..count).map(|_| pace.slot(now, deadline).unwrap() - now).collect()
    }

    #[test]
    fn nothing_waits_until_aws_throttles() {
        let now = Instant::now();
        assert_eq!(slots(&mut Pace::default(), now, 100).last(), Some(&Duration::ZERO));
    }

    #[test]
    fn after_throttling_calls_keep_their_distance() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.throttled(now);
        let tenth = Duration::from_millis(100);
        assert_eq!(slots(&mut pace, now, 3), [tenth, tenth * 2, tenth * 3]);
    }

    #[test]
    fn the_rate_falls_with_each_throttling_and_rises_with_each_success_and_never_stops() {
        let now = Instant::now();
        let mut pace = Pace::default();
        let rate = |pace: &Pace| pace.rate().unwrap();
        pace.throttled(now);
        pace.throttled(now);
        assert!((rate(&pace) - 9.0).abs() < 1e-9);
        pace.accepted();
        assert!((rate(&pace) - 9.03).abs() < 1e-9);
        (0..1000).for_each(|_| pace.throttled(now));
        assert!((rate(&pace) - SLOWEST_RATE).abs() < 1e-9);
    }

    #[test]
    fn a_high_rate_rises_in_proportion() {
        let now = Instant::now();
        let mut pace = Pace { held: Some((50.0, now)), ..Pace::default() };
        (0..10).for_each(|_| pace.accepted());
        assert!((pace.rate().unwrap() - 50.0 * (1.0 + GROWTH).powi(10)).abs() < 1e-9);
    }

    #[test]
    fn a_rate_that_is_not_used_does_not_rise() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.throttled(now);
        let late = now + Duration::from_secs(1);
        pace.slot(late, late + Duration::from_secs(1));
        pace.accepted();
        assert_eq!(pace.rate(), Some(FIRST_RATE));
        pace.slot(late, late + Duration::from_secs(1));
        pace.accepted();
        assert_eq!(pace.rate(), Some(FIRST_RATE + GAIN));
    }

    #[test]
    fn no_slot_is_taken_that_comes_too_late() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.throttled(now);
        let deadline = now + Duration::from_millis(250);
        let taken: Vec<_> = (0..4).map(|_| pace.slot(now, deadline)).collect();
        assert_eq!(taken.iter().filter(|slot| slot.is_some()).count(), 2);
        assert!(pace.slot(now + Duration::from_millis(300), now + Duration::from_secs(9)).is_some());
    }

    #[test]
    fn a_quiet_minute_ends_the_pace() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.throttled(now);
        let later = now + Duration::from_secs(62);
        assert_eq!(slots(&mut pace, later, 50).last(), Some(&Duration::ZERO));
    }
}
