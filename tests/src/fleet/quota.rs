//! AWS IoT's request quotas as token buckets.

use std::time::Duration;

use jitr::registry::Operation;

/// CONNECT requests a second (AWS IoT Core endpoints and quotas, "Connect requests per second per account").
pub(super) const CONNECTS: f64 = 500.0;

/// The default quota of an operation, requests a second (AWS IoT Core endpoints and quotas).
pub(super) fn default_rate(operation: Operation) -> f64 {
    match operation {
        Operation::DescribeCertificate
        | Operation::UpdateCertificate
        | Operation::GetPolicy
        | Operation::CreatePolicy
        | Operation::ListThingPrincipals => 10.0,
        Operation::AttachPolicy | Operation::CreateThingType => 15.0,
        Operation::CreateThing
        | Operation::AttachThingPrincipal
        | Operation::DescribeThingType
        | Operation::AddThingToThingGroup => 100.0,
    }
}

/// A bucket that holds one second's worth of requests. A request that finds it empty is throttled and takes nothing.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, tokens: rate, filled: Duration::ZERO }
    }

    /// Whether the request at the time `now` is within the quota.
    pub(super) fn take(&mut self, now: Duration) -> bool {
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
