//! Calls spread over time: as many a second as a quota allows, fewer while AWS says it is too many.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jitr::registry::pace::Pace;
use tokio::time::{Instant, sleep_until};

/// Attempts for one call. Throttling is normal here, and each attempt waits for its turn.
const ATTEMPTS: u32 = 12;
/// There is no limit on the time until a turn.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The turns of the callers of one API.
#[derive(Debug)]
pub(crate) struct Turns(Mutex<Pace>);

impl Turns {
    /// `rate` calls a second.
    pub(crate) fn new(rate: f64) -> Self {
        Self(Mutex::new(Pace::under(rate, Instant::now())))
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next turn. Turns are given in the order of asking.
    pub(crate) async fn turn(&self) {
        let now = Instant::now();
        let slot = self.pace().slot(now, now + FOREVER);
        if let Some(slot) = slot {
            sleep_until(slot).await;
        }
    }

    /// Makes a call when its turn has come, and again while `is_transient` says that may help.
    ///
    /// # Errors
    /// What the last attempt ended in.
    pub(crate) async fn call<T, E, F>(
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
                    self.pace().throttled(Instant::now());
                }
                ended => {
                    if ended.is_ok() {
                        self.pace().accepted();
                    }
                    return ended;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn turns_come_at_the_rate_of_the_quota() {
        let pace = Turns::new(10.0);
        let begun = Instant::now();
        for _ in 0..101 {
            pace.turn().await;
        }
        let took = begun.elapsed();
        assert!((Duration::from_millis(9_700)..=Duration::from_millis(10_200)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_made_up_for_by_a_burst() {
        let pace = Turns::new(10.0);
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
        let pace = Turns::new(10.0);
        let calls = AtomicU32::new(0);
        let answer = pace.call(
            |(): &()| true,
            || {
                let number = calls.fetch_add(1, Ordering::Relaxed);
                async move { if number < 3 { Err(()) } else { Ok(number) } }
            },
        );
        assert_eq!(answer.await, Ok(3));
        assert!(pace.pace().rate().unwrap() < 9.1);
        for _ in 0..200 {
            pace.pace().accepted();
        }
        assert!(pace.pace().rate().unwrap() > 9.9);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_transient_is_not_tried_again_and_patience_ends() {
        let pace = Turns::new(100.0);
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
