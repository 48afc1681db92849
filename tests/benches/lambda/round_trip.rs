//! What a call costs the leanest of clients. What a function takes beyond this is its own.

use std::time::{Duration, Instant};

use baselines::{Connection, Keys};

use crate::account::BenchAccount;
use crate::report::median;

const CALLS: usize = 100;

/// Medians, on a connection that is open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip {
    /// A call.
    pub(crate) call: Duration,
    /// What of it is spent before and after the stand-in works on it.
    pub(crate) transport: Duration,
}

impl RoundTrip {
    pub(crate) fn measure(account: &BenchAccount) -> Self {
        let access = account.access();
        let keys = Keys {
            endpoint_url: access.endpoint_url.clone(),
            access_key_id: access.access_key_id.clone(),
            secret_access_key: access.secret_access_key.clone(),
        };
        let mut connection = Connection::open(&keys, account.authority());
        let (mut calls, mut transports) = (Vec::new(), Vec::new());
        for _ in 0..CALLS {
            account.take_calls();
            let begin = Instant::now();
            connection.call();
            let took = begin.elapsed();
            calls.push(took);
            let in_stand_in = account.take_calls().iter().map(|call| call.took).sum();
            transports.push(took.saturating_sub(in_stand_in));
        }
        Self { call: median(&calls), transport: median(&transports) }
    }
}
