//! AWS IoT's request quotas as token buckets.

use std::time::Duration;

/// CONNECT requests a second (AWS IoT Core endpoints and quotas, "Connect requests per second per account").
pub const CONNECTS: f64 = 500.0;

/// The default quota of an operation, requests a second (AWS IoT Core endpoints and quotas). Operations that are not told
/// apart here have what most have, 10.
pub fn default_rate(operation: &str) -> f64 {
    match operation {
        "AttachPolicy" | "ListAttachedPolicies" | "CreateThingType" => 15.0,
        "CreateThing" | "AttachThingPrincipal" | "DescribeThingType" | "AddThingToThingGroup" => 100.0,
        _ => 10.0,
    }
}

/// A bucket that holds one second's worth of requests. A request that finds it empty is throttled and takes nothing.
#[derive(Debug, Clone)]
pub struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    /// A full one that fills up with `rate` requests a second.
    pub fn new(rate: f64) -> Self {
        Self { rate, tokens: rate, filled: Duration::ZERO }
    }

    /// Whether the request at the time `now` is within the quota.
    pub fn take(&mut self, now: Duration) -> bool {
        let refill = (now.saturating_sub(self.filled)).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + refill).min(self.rate);
        self.filled = now;
        let within = self.tokens >= 1.0;
        if within {
            self.tokens -= 1.0;
        }
        within
    }
}
