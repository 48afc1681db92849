//! Calls spread over time: as many a second as a quota allows, fewer while AWS says it is too many.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A call that comes late may be made up for within this time, so that a busy moment does not cost throughput.
const LENIENCE: Duration = Duration::from_millis(250);
/// How much longer the interval gets when AWS throttles, and how little of that is taken back with each success.
const SLOWER: f64 = 1.2;
const FASTER: f64 = 0.05;
/// The longest interval, as a multiple of the one that the quota allows.
const SLOWEST: f64 = 30.0;
/// Calls that were under way when AWS throttled are answered alike; they count once.
const ONE_SIGN: Duration = Duration::from_secs(1);
/// Attempts for one call. Throttling is normal here, and each attempt waits for its turn.
const ATTEMPTS: u32 = 12;

/// The pace of one API.
#[derive(Debug)]
pub(super) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Seconds between two calls, as the quota allows.
    base: f64,
    /// Seconds between two calls now.
    interval: f64,
    next: Instant,
    slowed: Option<Instant>,
}

impl Pace {
    /// `rate` calls a second.
    pub(super) fn new(rate: f64) -> Self {
        let base = 1.0 / rate;
        Self(Mutex::new(State { base, interval: base, next: Instant::now(), slowed: None }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next turn. Turns are given in the order of asking.
    pub(super) async fn turn(&self) {
        let at = self.state().reserve(Instant::now());
        sleep_until(at).await;
    }

    /// Makes a call when its turn has come, and again while `is_transient` says that may help.
    ///
    /// # Errors
    /// What the last attempt ended in.
    pub(super) async fn call<T, E, F>(
        &self,
        is_transient: impl Fn(&E) -> bool,
        attempt: impl Fn() -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut attempts = 0;
        loop {
            self.turn().await;
            attempts += 1;
            match attempt().await {
                Err(error) if is_transient(&error) && attempts < ATTEMPTS => {
                    self.state().slow_down(Instant::now());
                }
                ended => {
                    if ended.is_ok() {
                        self.state().speed_up();
                    }
                    return ended;
                }
            }
        }
    }
}

impl State {
    fn reserve(&mut self, now: Instant) -> Instant {
        let earliest = now.checked_sub(LENIENCE).unwrap_or(now);
        let at = self.next.max(earliest);
        self.next = at + Duration::from_secs_f64(self.interval);
        at
    }

    fn slow_down(&mut self, now: Instant) {
        if self.slowed.is_some_and(|at| now < at + ONE_SIGN) {
            return;
        }
        self.slowed = Some(now);
        self.interval = (self.interval * SLOWER).min(self.base * SLOWEST);
        self.next = self.next.max(now + Duration::from_secs_f64(self.interval));
    }

    fn speed_up(&mut self) {
        self.interval = (self.interval - (self.interval - self.base) * FASTER).max(self.base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn turns_come_at_the_rate_of_the_quota() {
        let pace = Pace::new(10.0);
        let begun = Instant::now();
        for _ in 0..101 {
            pace.turn().await;
        }
        let took = begun.elapsed();
        assert!((Duration::from_millis(9_700)..=Duration::from_millis(10_200)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_made_up_for_by_a_burst() {
        let pace = Pace::new(10.0);
        pace.turn().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        for _ in 0..11 {
            pace.turn().await;
        }
        assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_calls_are_made_again_slower_and_success_brings_the_rate_back() {
        let pace = Pace::new(10.0);
        let calls = AtomicU32::new(0);
        let answer = pace.call(
            |(): &()| true,
            || {
                let number = calls.fetch_add(1, Ordering::Relaxed);
                async move { if number < 3 { Err(()) } else { Ok(number) } }
            },
        );
        assert_eq!(answer.await, Ok(3));
        assert!(pace.state().interval > 0.11);
        for _ in 0..200 {
            pace.state().speed_up();
        }
        assert!(pace.state().interval < 0.101);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_transient_is_not_tried_again_and_patience_ends() {
        let pace = Pace::new(100.0);
        let calls = AtomicU32::new(0);
        let attempt = || {
            calls.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(()) }
        };
        assert_eq!(pace.call(|(): &()| false, attempt).await, Err(()));
        assert_eq!(calls.swap(0, Ordering::Relaxed), 1);
        assert_eq!(pace.call(|(): &()| true, attempt).await, Err(()));
        assert_eq!(calls.load(Ordering::Relaxed), ATTEMPTS);
    }
}
