//! A fleet that is switched on within a minute, against AWS's default quotas, in virtual time.
//!
//! Devices, quotas, the queue and AWS Lambda are simulated here; what runs in the simulated environments is the real
//! handler of the function, `jitr`'s, calling a registry that throttles. Time is Tokio's paused clock and chance comes
//! from one seed: the same seed gives the same run, to the millisecond.

mod calendar;
pub mod cli;
mod clock;
mod cost;
mod device;
mod function;
mod invoke;
mod plot;
mod queue;
mod registry;
mod report;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use clock::Clock;
use device::{Certificates, Fleet};
use function::Function;
use queue::Queue;
use registry::Registry;

pub use cost::{Cost, PRICES};
pub use plot::svg;
pub use queue::{QueueSettings, Requests};
pub use report::Report;

/// How events get from the topic rule to the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// The rule invokes the function, asynchronously, event by event.
    Rule,
    /// The rule puts events into a queue; AWS Lambda reads them in batches.
    Queue,
}

impl Shape {
    /// The shape in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rule => "rule → Lambda",
            Self::Queue => "rule → queue → Lambda",
        }
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// Devices that have never connected before.
    pub devices: usize,
    /// They are all switched on within this time.
    pub switched_on_within: Duration,
    /// Devices a second that AWS IoT's quotas allow. The default quotas allow 10; all quotas are in proportion.
    pub quota: f64,
    /// Seed of the random numbers.
    pub seed: u64,
    /// How events get to the function.
    pub shape: Shape,
    /// Environments of the function that may run at the same time, without a queue: an account's default is 1000.
    pub concurrency: usize,
    /// The queue, and how AWS Lambda takes events from it.
    pub queue: QueueSettings,
    /// Share of the events that are published twice.
    pub duplicated: f64,
    /// Share of the events that arrive up to a minute late, and so out of order.
    pub delayed: f64,
    /// Share of the invocations in which the function's process crashes.
    pub crashing: f64,
    /// Share of the calls that AWS answers with a fault of its own.
    pub faulty: f64,
    /// The simulation ends here even if devices are still waiting.
    pub give_up_after: Duration,
}

impl Options {
    /// The standard fleet: everything that goes wrong in the field goes wrong now and then.
    pub fn new(shape: Shape) -> Self {
        Self {
            devices: 10_000,
            switched_on_within: Duration::from_secs(60),
            quota: registry::default_quota(),
            seed: 1,
            shape,
            concurrency: 1000,
            queue: QueueSettings::default(),
            duplicated: 0.02,
            delayed: 0.02,
            crashing: 0.005,
            faulty: 0.002,
            give_up_after: Duration::from_secs(24 * 3600),
        }
    }
}

/// Runs the simulation, on a thread and a runtime of its own, and reports what happened.
///
/// # Errors
/// If the runtime or the pattern of the certificates cannot be made.
pub fn run(options: &Options) -> Result<Report, Error> {
    let simulation = || {
        // The jitter between the function's attempts comes from the thread's generator.
        fastrand::seed(options.seed);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(simulate(options))
    };
    std::thread::scope(|scope| match scope.spawn(simulation).join() {
        Ok(report) => report,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Why a simulation cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No runtime.
    #[error("cannot start the runtime of the simulation")]
    Runtime(#[from] std::io::Error),
    /// No certificate.
    #[error("cannot make the pattern of the devices' certificates")]
    Certificate(#[from] rcgen::Error),
    /// The function's settings.
    #[error("the function's settings cannot be used")]
    Settings(#[from] jitr::policy::PolicyError),
}

async fn simulate(options: &Options) -> Result<Report, Error> {
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let clock = Clock::start();
    let certificates = Arc::new(Certificates::new(options.devices, &mut chance)?);
    let registry =
        Registry::new(clock, Arc::clone(&certificates), chance.fork(), options.faulty, options.quota);
    let function = Arc::new(Function::new(registry.clone(), chance.fork(), options.crashing)?);
    let queue = Arc::new(Queue::new(options.queue.clone(), clock, Arc::clone(&certificates)));
    let (publish, events) = mpsc::unbounded_channel();
    let mut fleet = Fleet::new(registry.clone(), publish, chance.fork(), options);
    let delivery = match options.shape {
        Shape::Rule => {
            let (function, concurrency) = (Arc::clone(&function), options.concurrency);
            let delivery = invoke::Delivery::new(clock, certificates, function, concurrency, chance.fork());
            tokio::spawn(delivery.deliver(events))
        }
        Shape::Queue => tokio::spawn(Arc::clone(&queue).deliver(events, Arc::clone(&function))),
    };
    let _ = tokio::time::timeout(options.give_up_after, fleet.live()).await;
    let topic = fleet.counts();
    // There are no more events; those on their way are worked on to the end.
    drop(fleet);
    let _ = tokio::time::timeout(options.give_up_after, delivery).await;
    Ok(Report::new(options, &registry, &function, queue.requests(), topic))
}

#[cfg(test)]
mod tests;
