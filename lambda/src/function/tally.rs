//! The results of an invocation, as numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decision::{Decision, Failure};
use super::phases::Phases;

/// The results of an invocation, as numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Certificates that were activated.
    pub registered: u32,
    /// Certificates that were ACTIVE already and have what they need again.
    pub repaired: u32,
    /// Events that were refused, by reason.
    pub refused: BTreeMap<&'static str, u32>,
    /// Events that have to be repeated because a call failed or the time was up.
    pub failed: u32,
    /// Records that needed nothing done: another event said the same.
    pub duplicates: u32,
    /// Records that are repeated because there was no time to start on them.
    pub postponed: u32,
    /// Calls that AWS IoT throttled.
    pub throttled: u64,
    /// Boards that were registered and are not on the admission list: the list is only reported on.
    pub not_admitted: u64,
    /// What is left of the admission list's validity, in per cent.
    pub admission_left: Option<i64>,
    /// How long each event took that was decided or failed.
    pub durations: Vec<Duration>,
    /// How long it took to describe the certificate, of each event that got so far.
    pub describing: Vec<Duration>,
    /// How long it took from there to attach thing and policy.
    pub attaching: Vec<Duration>,
    /// How long it took from there to activate the certificate.
    pub activating: Vec<Duration>,
}

impl Tally {
    /// Counts one event that was worked on.
    pub(super) fn count(&mut self, decision: &Result<Decision, Failure>, duration: Duration, phases: Phases) {
        match decision {
            Ok(Decision::Registered { .. }) => self.registered += 1,
            Ok(Decision::Repaired { .. }) => self.repaired += 1,
            Ok(Decision::Refused { reason, .. }) => *self.refused.entry(reason).or_default() += 1,
            Err(_) => self.failed += 1,
        }
        self.durations.push(duration);
        self.describing.extend(phases.describe);
        self.attaching.extend(phases.attach);
        self.activating.extend(phases.activate);
    }
}
