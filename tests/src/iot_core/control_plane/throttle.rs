//! AWS IoT's throttling: what is over the quota of an operation is refused.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Fault, Interceptor, Operation, ServiceError, When};
use crate::iot_core::quota::{Bucket, default_rate};

/// Throttles the calls of AWS IoT, each operation by itself.
#[derive(Debug)]
pub struct Throttle {
    rate: fn(&str) -> f64,
    since: Instant,
    buckets: Mutex<BTreeMap<&'static str, Bucket>>,
}

impl Throttle {
    /// One with the `rate` of each operation, requests a second.
    pub fn new(rate: fn(&str) -> f64) -> Self {
        Self { rate, since: Instant::now(), buckets: Mutex::default() }
    }
}

/// AWS's default quotas.
impl Default for Throttle {
    fn default() -> Self {
        Self::new(default_rate)
    }
}

impl Interceptor for Throttle {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        if operation.service != "iot" {
            return None;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket =
            buckets.entry(operation.name).or_insert_with(|| Bucket::new((self.rate)(operation.name)));
        if bucket.take(self.since.elapsed()) {
            return None;
        }
        Some(throttled())
    }
}

/// The call is not carried out, because there were too many.
pub fn throttled() -> Fault {
    let error = ServiceError::new("ThrottlingException", 400, "Rate exceeded");
    Fault { latency: Duration::ZERO, error: Some((When::Before, error)) }
}
