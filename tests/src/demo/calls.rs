//! How many calls the Lambda function made for an event, and how many of them had to wait for one another.

use std::fmt;
use std::time::Duration;

use crate::iot_core::control_plane::{Fault, Interceptor, Operation};
use crate::journal::Caller;

/// What a call takes at the least when a function makes it: as little as it may be in AWS, and enough here to see which
/// calls wait for which.
const LATENCY: Duration = Duration::from_millis(20);

/// Lets the calls of functions take [`LATENCY`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency;

impl Interceptor for Latency {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        matches!(operation.caller, Caller::Function(_))
            .then(|| Fault { latency: LATENCY, ..Fault::default() })
    }
}

/// When a call was under way, since the testbed started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The call arrived.
    pub(super) from: Duration,
    /// It was answered.
    pub(super) to: Duration,
}

/// The calls made for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallCount {
    /// All of them.
    pub(super) calls: usize,
    /// The most of them of which none began before the one before it had ended.
    pub(super) in_sequence: usize,
}

impl CallCount {
    /// Counts; the spans may come in any order.
    #[must_use]
    pub(super) fn of(mut spans: Vec<Span>) -> Self {
        // Taking always the call that ends first among those that begin after the last one gives the longest chain.
        spans.sort_by_key(|span| span.to);
        let mut chain = Vec::new();
        for span in &spans {
            if chain.last().is_none_or(|last: &Span| last.to <= span.from) {
                chain.push(*span);
            }
        }
        Self { calls: spans.len(), in_sequence: chain.len() }
    }
}

impl fmt::Display for CallCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} calls, {} in sequence", self.calls, self.in_sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span { from: Duration::from_millis(from), to: Duration::from_millis(to) }
    }

    #[test]
    fn calls_that_overlap_are_not_in_sequence() {
        let spans = vec![span(0, 10), span(11, 21), span(12, 22), span(22, 32), span(33, 43)];
        assert_eq!(CallCount::of(spans), CallCount { calls: 5, in_sequence: 4 });
        assert_eq!(CallCount::of(vec![span(0, 9), span(1, 8), span(2, 7)]).in_sequence, 1);
        assert_eq!(CallCount::of(Vec::new()), CallCount { calls: 0, in_sequence: 0 });
    }
}
