//! What a simulated rush costs, and a month without any, by AWS's list prices.

use jitr::registry::Operation;

use super::{Report, Shape};

/// Where and when the prices hold.
pub const PRICES: &str = "list prices of us-east-1 in US dollars, 2025, without free tiers";

/// A million events that trigger a rule, and a million actions (AWS IoT Core pricing, "Rules engine").
const RULE_TRIGGERED: f64 = 0.15;
const ACTION: f64 = 0.15;
/// A million operations of the registry (AWS IoT Core pricing, "Device shadow and registry").
const REGISTRY: f64 = 1.25;
/// A million invocations, and a GB-second on arm64 (AWS Lambda pricing).
const INVOCATIONS: f64 = 0.20;
const GB_SECOND: f64 = 0.000_013_333_4;
/// A million requests to a standard queue, each with up to 64 KB (Amazon SQS pricing).
const QUEUE_REQUESTS: f64 = 0.40;

/// Pollers of an event source mapping that has nothing to do, and the length of their long polling, in seconds (AWS Lambda
/// Developer Guide, "Using Lambda with Amazon SQS": five batches at first; Amazon SQS Developer Guide: at the most 20 s).
const IDLE_POLLERS: f64 = 5.0;
const LONG_POLL: f64 = 20.0;
const MONTH: f64 = 30.0 * 24.0 * 3600.0;

/// Costs in US dollars. What both ways of delivery have alike is not in them: connections, logs, metrics, alarms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The topic rule and its action.
    pub rule: f64,
    /// Things and their attachments.
    pub registry: f64,
    /// The function.
    pub function: f64,
    /// The queue.
    pub queue: f64,
    /// A month in which no device registers.
    pub idle_month: f64,
}

impl Cost {
    /// The cost of what was simulated.
    pub fn of(report: &Report) -> Self {
        let millions = |count: u64| count as f64 / 1e6;
        let is_metered = |operation: &Operation| {
            // AWS IoT Core pricing, "Additional metering details": certificates and policies are not.
            matches!(
                operation,
                Operation::CreateThing
                    | Operation::DescribeThingType
                    | Operation::CreateThingType
                    | Operation::AddThingToThingGroup
                    | Operation::AttachThingPrincipal
                    | Operation::ListThingPrincipals
            )
        };
        let metered = report.calls.iter().filter(|(operation, _)| is_metered(operation));
        let calls = metered.map(|(_, calls)| calls.made).sum();
        let function = &report.function;
        Self {
            rule: millions(report.topic.published) * (RULE_TRIGGERED + ACTION),
            registry: millions(calls) * REGISTRY,
            function: millions(function.invocations) * INVOCATIONS + function.gb_seconds() * GB_SECOND,
            queue: millions(report.requests.all()) * QUEUE_REQUESTS,
            idle_month: match report.shape {
                Shape::Rule => 0.0,
                Shape::Queue => IDLE_POLLERS * MONTH / LONG_POLL / 1e6 * QUEUE_REQUESTS,
            },
        }
    }

    /// The cost of the rush.
    pub fn rush(&self) -> f64 {
        self.rule + self.registry + self.function + self.queue
    }
}
