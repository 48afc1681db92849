//! The simulation's clock: virtual time since its start, and the wall clock that goes with it.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The wall clock at the start: 2026-01-01 00:00 UTC.
const START: Duration = Duration::from_secs(1_767_225_600);

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Waits until so much time has passed since the start.
    pub(super) async fn sleep_until(self, elapsed: Duration) {
        tokio::time::sleep_until(self.0 + elapsed).await;
    }

    pub(super) fn wall_clock(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + START + self.elapsed()
    }

    /// Milliseconds since 1970, as events have them.
    pub(super) fn timestamp(self) -> u64 {
        u64::try_from((START + self.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }
}
