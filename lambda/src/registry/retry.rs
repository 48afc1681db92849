//! Calls that are repeated: after transient errors, with full jitter, at the account's pace, until the deadline.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep, sleep_until};

use super::layer::Layer;
use super::pace::Pace;
use super::record::record;
use super::{ErrorKind, Operation, Registry, RegistryError, Result};

/// Upper bound of the first pause between two attempts. The pause is random below its bound ("full jitter"), so that
/// environments which were throttled together do not come back together; the bound doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Upper bound of any pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// A registry that repeats calls after transient errors for as long as there is time.
///
/// Throttling is the normal case when many devices come on line at once. What AWS IoT refuses for good is returned at
/// once, and so is a transient error when the next attempt would come after the deadline: then AWS Lambda's retry or the
/// queue takes over.
#[derive(Debug)]
pub struct Retrying<R> {
    registry: R,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    deadline: Option<Instant>,
    paces: [Pace; Operation::ALL.len()],
    throttled: u64,
}

impl<R: Registry> Retrying<R> {
    /// Calls `registry`. Nothing is repeated before a deadline is set.
    pub fn new(registry: R) -> Self {
        let paces = [Pace::default(); Operation::ALL.len()];
        Self { registry, state: Mutex::new(State { deadline: None, paces, throttled: 0 }) }
    }

    /// Sets the time until which calls are repeated. An environment works on one invocation at a time, so the
    /// deadline is that of the environment.
    pub fn set_deadline(&self, deadline: Instant) {
        self.state().deadline = Some(deadline);
    }

    /// How many calls AWS IoT has throttled so far.
    pub fn throttled(&self) -> u64 {
        self.state().throttled
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether AWS IoT has throttled the operation in the last minute.
    pub fn is_paced(&self, operation: Operation) -> bool {
        self.state().paces[operation as usize].is_held(Instant::now())
    }

    /// Waits until a call of the operation would be made at once; `false` if that is not before `latest`. Takes no slot.
    pub async fn ready(&self, operation: Operation, latest: Instant) -> bool {
        loop {
            let now = Instant::now();
            let next = self.state().paces[operation as usize].next(now);
            if next >= latest {
                return false;
            }
            if next <= now {
                return true;
            }
            sleep_until(next).await;
        }
    }

    /// Waits until the operation's pace allows a call.
    async fn wait_for_slot(&self, operation: Operation) -> Result<()> {
        let now = Instant::now();
        let slot = {
            let mut state = self.state();
            let deadline = state.deadline.unwrap_or(now + LONGEST_PAUSE);
            state.paces[operation as usize].slot(now, deadline)
        };
        match slot {
            Some(slot) if slot > now => sleep_until(slot).await,
            Some(_) => {}
            None => {
                return Err(RegistryError {
                    operation,
                    kind: ErrorKind::Throttled,
                    code: Some("ThrottlingException".to_owned()),
                    message: "AWS IoT throttles it, and its pace allows no call before the deadline"
                        .to_owned(),
                });
            }
        }
        Ok(())
    }

    async fn once<T: Send>(&self, operation: Operation, call: BoxFuture<'_, Result<T>>) -> Result<T> {
        let result = record(operation, call).await;
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::Throttled) {
            self.state().throttled += 1;
        }
        result
    }

    async fn again_and_again<'a, T: Send>(
        &'a self,
        operation: Operation,
        call: impl Fn() -> BoxFuture<'a, Result<T>>,
    ) -> Result<T> {
        let mut bound = FIRST_PAUSE;
        loop {
            self.wait_for_slot(operation).await?;
            let result = self.once(operation, call()).await;
            let now = Instant::now();
            let deadline = {
                let mut state = self.state();
                let pace = &mut state.paces[operation as usize];
                match &result {
                    Err(error) if error.kind == ErrorKind::Throttled => pace.throttled(now),
                    // Without an answer of AWS IoT nothing is known about its quota.
                    Err(error) if error.kind.is_transient() => {}
                    _ => pace.accepted(),
                }
                state.deadline
            };
            let pause = bound.mul_f64(fastrand::f64());
            match result {
                Err(error)
                    if error.kind.is_transient()
                        && deadline.is_some_and(|deadline| now + pause < deadline) =>
                {
                    tracing::debug!(%error, ?pause, "asking again");
                }
                last => return last,
            }
            sleep(pause).await;
            bound = (bound * 2).min(LONGEST_PAUSE);
        }
    }
}

impl<R: Registry + Send> Layer for Retrying<R> {
    type Inner = R;

    fn inner(&self) -> &R {
        &self.registry
    }

    /// What the workflow can do without (`GetPolicy` and `DescribeThingType` only show earlier what it would find out
    /// by doing) is asked once: waiting for it would take longer.
    async fn around<'a, T: Send>(
        &'a self,
        operation: Operation,
        call: impl Fn() -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        match operation {
            Operation::GetPolicy | Operation::DescribeThingType => self.once(operation, call()).await,
            _ => self.again_and_again(operation, call).await,
        }
    }
}

#[cfg(test)]
mod tests;
