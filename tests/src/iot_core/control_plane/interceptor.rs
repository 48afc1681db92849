//! What can come between a call and its answer: latency, throttling, errors, lost answers.

use std::time::Duration;

use super::ServiceError;
use crate::journal::Caller;

/// The call that is about to be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// The signing name: `iot`, `lambda`, `iam`, `sts`, `sqs`.
    pub service: &'static str,
    /// For example `DescribeCertificate`.
    pub name: &'static str,
    /// The resource it is about.
    pub argument: &'a str,
    /// Who calls.
    pub caller: &'a Caller,
}

/// Whether the call has its effect before the error is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing has been done.
    Before,
    /// It has been done, but the caller does not learn of it.
    After,
}

/// What happens to a call.
#[derive(Clone, Debug, Default)]
pub struct Fault {
    /// Time that passes before the call is carried out.
    pub latency: Duration,
    /// The error that is returned.
    pub error: Option<(When, ServiceError)>,
}

/// Decides what happens to each call.
pub trait Interceptor: Send + Sync + 'static {
    /// Called once for each call, in the order of arrival; `None` lets it pass.
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault>;
}

/// Lets every call pass.
impl Interceptor for () {
    fn intercept(&self, _: &Operation<'_>) -> Option<Fault> {
        None
    }
}
