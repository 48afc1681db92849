//! The results of a simulation.

use std::fmt;
use std::time::Duration;

use jitr::registry::Operation;
use serde_json::{Value, json};

use super::registry::{Calls, Registry};
use super::{Cost, Options, PRICES, Requests, Shape, device, function};

/// The results of a simulation.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How events got to the function.
    pub shape: Shape,
    /// The seed.
    pub seed: u64,
    /// Devices that were switched on.
    pub devices: usize,
    /// Devices a second that AWS IoT's quotas allow.
    pub quota: f64,
    /// When each device was activated, in order, since the first was switched on.
    pub activations: Vec<Duration>,
    /// Devices that were ACTIVE before policy and thing were attached. There must be none.
    pub unfinished: usize,
    /// The calls, by operation.
    pub calls: Vec<(Operation, Calls)>,
    /// Connections and events.
    pub topic: device::Counts,
    /// Environments and invocations.
    pub function: function::Counts,
    /// Requests to the queue.
    pub requests: Requests,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        registry: &Registry,
        function: &function::Function,
        requests: Requests,
        topic: device::Counts,
    ) -> Self {
        let (activations, unfinished) = registry.activations();
        Self {
            shape: options.shape,
            seed: options.seed,
            devices: options.devices,
            quota: options.quota,
            activations,
            unfinished,
            calls: registry.calls(),
            topic,
            function: function.counts(),
            requests,
        }
    }

    /// Devices that were never activated.
    pub fn lost(&self) -> usize {
        self.devices - self.activations.len()
    }

    /// When `share` (0 to 1) of the devices were activated; none if it did not come to that.
    pub fn registered(&self, share: f64) -> Option<Duration> {
        let wanted = (self.devices as f64 * share).ceil() as usize;
        self.activations.get(wanted.checked_sub(1)?).copied()
    }

    /// The rate of activations until `share` of the devices were activated, relative to the quota.
    pub fn of_quota(&self, share: f64) -> f64 {
        let Some(time) = self.registered(share) else { return 0.0 };
        self.devices as f64 * share / self.quota / time.as_secs_f64()
    }

    /// Calls that brought no device further: throttled ones, and those about devices that were ACTIVE already.
    pub fn wasted(&self) -> u64 {
        self.calls.iter().map(|(_, calls)| calls.throttled + calls.needless).sum()
    }

    /// All calls.
    pub fn calls_made(&self) -> u64 {
        self.calls.iter().map(|(_, calls)| calls.made).sum()
    }

    /// The report for programs.
    pub fn json(&self) -> Value {
        let cost = Cost::of(self);
        let seconds = |share| self.registered(share).map(|time| time.as_secs_f64());
        let calls = self.calls.iter().filter(|(_, calls)| calls.made > 0).map(|(operation, calls)| {
            let counts =
                json!({"made": calls.made, "throttled": calls.throttled, "needless": calls.needless});
            (operation.to_string(), counts)
        });
        json!({
            "shape": self.shape.title(),
            "seed": self.seed,
            "devices": self.devices,
            "lost": self.lost(),
            "activeBeforeAttached": self.unfinished,
            "secondsToHalf": seconds(0.5),
            "secondsTo99Percent": seconds(0.99),
            "secondsToLast": seconds(1.0),
            "ofQuota": self.of_quota(1.0),
            "ofQuotaTo99Percent": self.of_quota(0.99),
            "calls": calls.collect::<serde_json::Map<_, _>>(),
            "callsMade": self.calls_made(),
            "callsWasted": self.wasted(),
            "connects": self.topic.connects,
            "events": self.topic.published,
            "eventsGivenUp": self.function.given_up,
            "invocations": self.function.invocations,
            "environments": self.function.environments,
            "crashes": self.function.crashes,
            "gigabyteSeconds": self.function.gb_seconds(),
            "queueRequests": self.requests.all(),
            "queueReceived": self.requests.received,
            "dollars": {
                "rule": cost.rule,
                "registry": cost.registry,
                "function": cost.function,
                "queue": cost.queue,
                "rush": cost.rush(),
                "idleMonth": cost.idle_month,
            },
        })
    }
}

fn time(time: Option<Duration>) -> String {
    match time {
        None => "never".to_owned(),
        Some(time) => {
            format!("{} min {:04.1} s", time.as_secs() / 60, (time.as_millis() % 60_000) as f64 / 1e3)
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, function, .. } = self;
        writeln!(f, "{}: {} devices, seed {}", self.shape.title(), self.devices, self.seed)?;
        writeln!(f, "  devices lost             {:>10}", self.lost())?;
        writeln!(f, "  half registered after    {:>16}", time(self.registered(0.5)))?;
        writeln!(f, "  99 % registered after    {:>16}", time(self.registered(0.99)))?;
        writeln!(f, "  last registered after    {:>16}", time(self.registered(1.0)))?;
        writeln!(
            f,
            "  rate of the quota        {:>9.1} % ({:.1} % until 99 % were registered)",
            self.of_quota(1.0) * 100.0,
            self.of_quota(0.99) * 100.0
        )?;
        writeln!(
            f,
            "  calls                    {:>10}, of which wasted {} ({:.2} a device)",
            self.calls_made(),
            self.wasted(),
            self.wasted() as f64 / self.devices as f64
        )?;
        for (operation, calls) in self.calls.iter().filter(|(_, calls)| calls.made > 0) {
            writeln!(
                f,
                "    {:<22} {:>10}, throttled {:>7}, about active devices {:>6}",
                operation.name(),
                calls.made,
                calls.throttled,
                calls.needless
            )?;
        }
        writeln!(
            f,
            "  connections              {:>10}, throttled {}",
            topic.connects, topic.connects_throttled
        )?;
        writeln!(
            f,
            "  events                   {:>10}, duplicated {}, saved by what was known {}, postponed {}, given up {}",
            topic.published, topic.duplicated, function.duplicates, function.postponed, function.given_up
        )?;
        if self.shape == Shape::Queue {
            let requests = &self.requests;
            writeln!(
                f,
                "  requests to the queue    {:>10}, messages sent {}, received {}",
                requests.all(),
                requests.sent,
                requests.received
            )?;
        }
        writeln!(
            f,
            "  invocations              {:>10}, crashed {}, environments {}, GB-seconds {:.1}",
            function.invocations,
            function.crashes,
            function.environments,
            function.gb_seconds()
        )?;
        let cost = Cost::of(self);
        writeln!(
            f,
            "  cost of the rush        ${:>10.5}: rule {:.5}, registry {:.5}, function {:.5}, queue {:.5}",
            cost.rush(),
            cost.rule,
            cost.registry,
            cost.function,
            cost.queue
        )?;
        write!(f, "  a month without any     ${:>10.5} ({PRICES})", cost.idle_month)
    }
}
