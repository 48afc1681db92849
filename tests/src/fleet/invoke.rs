//! AWS Lambda's asynchronous invocation: a queue of its own, retries, and in the end the on-failure destination.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep};

use super::function::{Environment, Function, Invoked};

/// Pauses before the two repetitions of a failed event.
const REPETITIONS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// When no environment is free, AWS Lambda tries again with growing pauses, …
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// … until the event is so old.
const OLDEST: Duration = Duration::from_secs(6 * 3600);

/// The environments: those that wait for work, and how many there are.
#[derive(Default)]
struct Pool {
    idle: Vec<Environment>,
    count: usize,
}

/// Invokes the function for each event.
pub(super) async fn deliver(
    mut events: UnboundedReceiver<String>,
    function: Arc<Function>,
    concurrency: usize,
    mut chance: fastrand::Rng,
) {
    let pool = Arc::new(Mutex::new(Pool::default()));
    // Dropped with this future, and the invocations with it.
    let mut invocations = tokio::task::JoinSet::new();
    while let Some(event) = events.recv().await {
        let Ok(payload) = serde_json::from_str(&event) else { continue };
        let (function, pool) = (Arc::clone(&function), Arc::clone(&pool));
        invocations.spawn(one(payload, function, pool, concurrency, chance.fork()));
        while invocations.try_join_next().is_some() {}
    }
}

async fn one(
    payload: Value,
    function: Arc<Function>,
    pool: Arc<Mutex<Pool>>,
    concurrency: usize,
    mut chance: fastrand::Rng,
) {
    let start = Instant::now();
    let mut repetitions = REPETITIONS.into_iter();
    let mut bound = FIRST_PAUSE;
    loop {
        let Some(environment) = environment(&function, &pool, concurrency).await else {
            if start.elapsed() > OLDEST {
                break;
            }
            sleep(bound.mul_f64(0.5 + chance.f64() / 2.0)).await;
            bound = (bound * 2).min(LONGEST_PAUSE);
            continue;
        };
        let invoked = function.invoke(&environment, payload.clone()).await;
        {
            let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
            match invoked {
                Invoked::Crashed => pool.count -= 1,
                _ => pool.idle.push(environment),
            }
        }
        if matches!(invoked, Invoked::Answer(_)) {
            return;
        }
        match repetitions.next() {
            Some(pause) => sleep(pause).await,
            None => break,
        }
    }
    function.count(|counts| counts.given_up += 1);
}

/// An environment that waits, or a new one if there may be one more.
async fn environment(function: &Function, pool: &Mutex<Pool>, concurrency: usize) -> Option<Environment> {
    {
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = pool.idle.pop() {
            return Some(environment);
        }
        if pool.count >= concurrency {
            return None;
        }
        pool.count += 1;
    }
    Some(function.start().await)
}
