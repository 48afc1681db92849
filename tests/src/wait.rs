//! Waits for states without a notification: they are polled, for a limited time.

use std::thread;
use std::time::{Duration, Instant};

/// The limit. It is long for busy machines; a test that passes takes less.
const LONG: Duration = Duration::from_secs(60);
/// Between two polls.
const PAUSE: Duration = Duration::from_millis(10);

/// The time limit is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: not within {LONG:?}")]
pub struct NotWithin {
    /// What was waited for.
    pub what: String,
}

/// Returns when `holds` does. It blocks the thread.
///
/// # Errors
/// [`NotWithin`] a minute.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), NotWithin> {
    let deadline = Instant::now() + LONG;
    while !holds() {
        if Instant::now() >= deadline {
            return Err(NotWithin { what: what.to_owned() });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Returns what `look` finds, as soon as it finds something.
///
/// # Errors
/// [`NotWithin`] a minute.
pub async fn found<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, NotWithin> {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.map_err(|_| NotWithin { what: what.to_owned() })
}
