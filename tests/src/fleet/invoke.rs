//! AWS Lambda's asynchronous invocation: a queue of its own, retries, and in the end the on-failure destination.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::calendar::Calendar;
use super::clock::Clock;
use super::device::{Certificates, Event};
use super::function::{Environment, Function, Invoked};

/// Pauses before the two repetitions of a failed event.
const REPETITIONS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// When no environment is free, AWS Lambda tries again with growing pauses, …
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// … until the event is so old.
const OLDEST: Duration = Duration::from_secs(6 * 3600);

/// An event in the queue that AWS Lambda has for asynchronous invocations.
struct Waiting {
    event: Event,
    since: Duration,
    failures: u8,
    /// How often the first pause was doubled.
    doubled: u8,
}

/// AWS Lambda's queue, and the environments that wait for work.
pub(super) struct Delivery {
    clock: Clock,
    certificates: Arc<Certificates>,
    function: Arc<Function>,
    /// Environments that there may be.
    concurrency: usize,
    chance: fastrand::Rng,
    waiting: Calendar<Waiting>,
    idle: Vec<Environment>,
    /// Environments that there are.
    count: usize,
    /// What is under way: dropped with this, if the simulation ends before.
    invocations: JoinSet<(Waiting, Environment, Invoked)>,
}

impl Delivery {
    pub(super) fn new(
        clock: Clock,
        certificates: Arc<Certificates>,
        function: Arc<Function>,
        concurrency: usize,
        chance: fastrand::Rng,
    ) -> Self {
        let (waiting, idle, invocations) = (Calendar::default(), Vec::new(), JoinSet::new());
        Self { clock, certificates, function, concurrency, chance, waiting, idle, count: 0, invocations }
    }

    /// Invokes the function for each event, until there are no more.
    pub(super) async fn deliver(mut self, mut events: UnboundedReceiver<Event>) {
        let mut open = true;
        while open || !self.invocations.is_empty() || !self.waiting.is_empty() {
            let due = self.waiting.next();
            tokio::select! {
                biased;
                Some(ended) = self.invocations.join_next() => {
                    if let Ok((waiting, environment, invoked)) = ended {
                        self.ended(waiting, environment, &invoked);
                    }
                }
                event = events.recv(), if open => match event {
                    Some(event) => {
                        let since = self.clock.elapsed();
                        self.attempt(Waiting { event, since, failures: 0, doubled: 0 });
                    }
                    None => open = false,
                },
                () = self.clock.sleep_until(due.unwrap_or_default()), if due.is_some() => {
                    for waiting in self.waiting.take(self.clock.elapsed()).unwrap_or_default() {
                        self.attempt(waiting);
                    }
                }
            }
        }
    }

    /// Invokes the function if an environment is free or may be started.
    fn attempt(&mut self, mut waiting: Waiting) {
        let environment = self.idle.pop();
        if environment.is_none() && self.count >= self.concurrency {
            if self.clock.elapsed() > waiting.since + OLDEST {
                self.function.count(|counts| counts.given_up += 1);
                return;
            }
            let bound = (FIRST_PAUSE * (1 << waiting.doubled)).min(LONGEST_PAUSE);
            let pause = bound.mul_f64(0.5 + self.chance.f64() / 2.0);
            waiting.doubled += u8::from(bound < LONGEST_PAUSE);
            self.waiting.put(self.clock.elapsed() + pause, waiting);
            return;
        }
        self.count += usize::from(environment.is_none());
        let (function, certificates) = (Arc::clone(&self.function), Arc::clone(&self.certificates));
        self.invocations.spawn(async move {
            let environment = match environment {
                Some(environment) => environment,
                // An event has its own invocation here: there is nothing to remember.
                None => function.start(None).await,
            };
            let payload = serde_json::from_str(&waiting.event.json(&certificates)).unwrap_or_default();
            let invoked = function.invoke(&environment, payload, 1).await;
            (waiting, environment, invoked)
        });
    }

    fn ended(&mut self, mut waiting: Waiting, environment: Environment, invoked: &Invoked) {
        match invoked {
            Invoked::Crashed => self.count -= 1,
            _ => self.idle.push(environment),
        }
        if matches!(invoked, Invoked::Answer(_)) {
            return;
        }
        match REPETITIONS.get(usize::from(waiting.failures)) {
            Some(pause) => {
                waiting.failures += 1;
                self.waiting.put(self.clock.elapsed() + *pause, waiting);
            }
            None => self.function.count(|counts| counts.given_up += 1),
        }
    }
}
