//! The function in the simulation: environments that run the real handler, and their end.

use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jitr::function::{Answer, Handler, Invocation};
use jitr::registration::Settings;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::Error;
use super::registry::Registry;

/// The function's time-out, as in `infra/template.yaml`.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// From the decision to start an environment to its first call.
const COLD_START: Duration = Duration::from_millis(150);
/// To read one record of a batch with the function's 128 MB of memory: a fourteenth of a processor ("Configure Lambda function
/// memory": 1,769 MB are one), for what takes 4 µs of a whole one.
const READING: Duration = Duration::from_micros(56);
/// The function's memory, in GB.
const MEMORY: f64 = 128.0 / 1024.0;
/// What the warm-up may take.
const WARM_UP: Duration = Duration::from_secs(3);

/// One environment of the function.
pub(super) type Environment = Handler<Registry>;

/// What invocations came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Environments started.
    pub environments: u64,
    /// Invocations, repetitions included.
    pub invocations: u64,
    /// Invocations in which the process crashed.
    pub crashes: u64,
    /// Events that no call was made for, because another said the same.
    pub duplicates: u64,
    /// Records given back because there was no time to start on them.
    pub postponed: u64,
    /// Events that AWS Lambda or the queue gave up; they are kept for people to look at.
    pub given_up: u64,
    /// The time of all invocations and starts, which is billed.
    pub billed: Duration,
}

impl Counts {
    /// The billed time, in GB-seconds.
    pub fn gb_seconds(&self) -> f64 {
        self.billed.as_secs_f64() * MEMORY
    }
}

pub(super) struct Function {
    registry: Registry,
    settings: Settings,
    crashing: f64,
    chance: Mutex<fastrand::Rng>,
    counts: Mutex<Counts>,
}

/// What became of an invocation.
pub(super) enum Invoked {
    Answer(Answer),
    /// It failed; the environment lives.
    Failed,
    /// The process crashed, and the environment is gone.
    Crashed,
}

impl Function {
    pub(super) fn new(registry: Registry, chance: fastrand::Rng, crashing: f64) -> Result<Self, Error> {
        let settings = Settings::zero_touch()?;
        Ok(Self { registry, settings, crashing, chance: Mutex::new(chance), counts: Mutex::default() })
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the function in an environment. AWS Lambda leaves the environment's file there when a process crashes.
    pub(super) async fn start(&self, file: Option<File>) -> Environment {
        let started = Instant::now();
        self.count(|counts| counts.environments += 1);
        sleep(COLD_START).await;
        let mut environment = Handler::new(self.registry.clone(), self.settings.clone());
        if let Some(file) = file {
            environment = environment.with_cache(file);
        }
        // As in the function: a warm-up that fails is no reason to give up.
        let _ = timeout(WARM_UP, environment.warm_up()).await;
        self.count(|counts| counts.billed += started.elapsed());
        environment
    }

    /// Invokes the function in an environment, with so many records.
    pub(super) async fn invoke(&self, environment: &Environment, payload: Value, records: usize) -> Invoked {
        let begun = Instant::now();
        self.count(|counts| counts.invocations += 1);
        let dies_after = {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            let dies = chance.f64() < self.crashing;
            // Skewed towards the beginning, where a single event is worked on.
            if dies { TIMEOUT.mul_f64(chance.f64().powi(4)) } else { TIMEOUT }
        };
        let reading = READING * u32::try_from(records).unwrap_or(u32::MAX);
        sleep(reading).await;
        let arrived = self.registry.clock().wall_clock();
        let remaining = TIMEOUT.saturating_sub(reading);
        let invocation = Invocation { request_id: "simulated", arrived, remaining, sampled: false };
        let handled = timeout(dies_after, environment.handle(payload, invocation)).await;
        self.count(|counts| counts.billed += begun.elapsed());
        match handled {
            Err(_) => {
                self.count(|counts| counts.crashes += 1);
                Invoked::Crashed
            }
            Ok(handled) => {
                self.count(|counts| {
                    counts.duplicates += u64::from(handled.tally.duplicates);
                    counts.postponed += u64::from(handled.tally.postponed);
                });
                handled.answer.map_or(Invoked::Failed, Invoked::Answer)
            }
        }
    }
}
