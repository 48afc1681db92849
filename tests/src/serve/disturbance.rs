//! What `testbed serve` puts between calls and their answers: latency, quotas, and errors.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::iot_core::control_plane::{
    Fault, Interceptor, Operation, ServiceError, Throttle, When, has_operation, throttled,
};
use crate::iot_core::quota::Bucket;

/// The options.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Disturbances of the AWS APIs")]
pub struct Disturbances {
    /// Refuse AWS IoT calls over AWS's default quotas with ThrottlingException
    #[arg(long)]
    pub throttle: bool,
    /// Allow N calls of an operation a second; may be repeated
    ///
    /// Further calls get ThrottlingException. Example: --quota CreateThing=5
    #[arg(long, value_name = "OPERATION=N", value_parser = quota)]
    pub quota: Vec<(String, f64)>,
    /// Let the first N calls of an operation fail with this error, without effect; may be repeated
    ///
    /// Examples: --fault AttachPolicy=ServiceUnavailableException:2, --fault CreateThing=ThrottlingException (once)
    #[arg(long, value_name = "OPERATION=ERROR[:N]", value_parser = failure)]
    pub fault: Vec<Failure>,
    /// Let each call wait so long before it is carried out
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency: u64,
}

/// An operation that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    operation: String,
    error: String,
    times: u32,
}

fn operation_and_value(text: &str) -> Result<(&str, &str), String> {
    let (operation, value) =
        text.split_once('=').ok_or("expected OPERATION=…, for example AttachPolicy=…")?;
    match has_operation(operation) {
        true => Ok((operation, value)),
        false => Err(format!(
            "the testbed has no operation {operation:?}; names are written as in AWS's API, for example AttachPolicy"
        )),
    }
}

fn quota(text: &str) -> Result<(String, f64), String> {
    let (operation, rate) = operation_and_value(text)?;
    match rate.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok((operation.to_owned(), rate)),
        _ => Err(format!("{rate:?} is not a number of calls a second")),
    }
}

fn failure(text: &str) -> Result<Failure, String> {
    let (operation, rest) = operation_and_value(text)?;
    let (error, times) = rest.split_once(':').unwrap_or((rest, "1"));
    if error.is_empty() || !error.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("{error:?} is not the name of an error, such as ThrottlingException"));
    }
    let times = times.parse().map_err(|_| format!("{times:?} is not a number of calls"))?;
    Ok(Failure { operation: operation.to_owned(), error: error.to_owned(), times })
}

/// The HTTP status that AWS IoT gives to an error.
fn status(error: &str) -> u16 {
    match error {
        "UnauthorizedException" => 401,
        "AccessDeniedException" => 403,
        "ResourceNotFoundException" => 404,
        "CertificateStateException" => 406,
        "ConflictException" | "DeleteConflictException" | "ResourceAlreadyExistsException" => 409,
        "LimitExceededException" => 410,
        "InternalFailureException" | "InternalException" | "ServiceException" => 500,
        "ServiceUnavailableException" => 503,
        _ => 400,
    }
}

/// Carries the options out.
pub(super) struct Disturbance {
    latency: Duration,
    throttle: Option<Throttle>,
    since: Instant,
    quotas: Mutex<BTreeMap<String, Bucket>>,
    failures: Mutex<Vec<Failure>>,
}

impl Disturbance {
    pub(super) fn new(arguments: &Disturbances) -> Self {
        let quotas = arguments.quota.iter().map(|(operation, rate)| (operation.clone(), Bucket::new(*rate)));
        Self {
            latency: Duration::from_millis(arguments.latency),
            throttle: arguments.throttle.then(Throttle::default),
            since: Instant::now(),
            quotas: Mutex::new(quotas.collect()),
            failures: Mutex::new(arguments.fault.clone()),
        }
    }

    fn failed(&self, operation: &Operation<'_>) -> Option<Fault> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = failures.iter_mut().find(|f| f.operation == operation.name && f.times > 0)?;
        failure.times -= 1;
        let message = format!("{} by --fault", failure.error);
        let error = ServiceError::new(&failure.error, status(&failure.error), message);
        Some(Fault { latency: Duration::ZERO, error: Some((When::Before, error)) })
    }

    fn over_quota(&self, operation: &Operation<'_>) -> Option<Fault> {
        let mut quotas = self.quotas.lock().unwrap_or_else(PoisonError::into_inner);
        match quotas.get_mut(operation.name) {
            Some(bucket) => (!bucket.take(self.since.elapsed())).then(throttled),
            None => self.throttle.as_ref()?.intercept(operation),
        }
    }
}

impl Interceptor for Disturbance {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        let fault = self.failed(operation).or_else(|| self.over_quota(operation)).unwrap_or_default();
        Some(Fault { latency: self.latency, ..fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Caller;

    #[test]
    fn an_operation_fails_as_often_as_asked_and_is_held_to_its_quota() {
        let arguments = Disturbances {
            fault: vec![failure("CreateThing=ServiceUnavailableException:2").unwrap()],
            quota: vec![quota("AttachPolicy=1").unwrap()],
            latency: 7,
            ..Disturbances::default()
        };
        let disturbance = Disturbance::new(&arguments);
        let call = |name| {
            let operation = Operation { service: "iot", name, argument: "", caller: &Caller::User };
            let fault = disturbance.intercept(&operation).unwrap();
            assert_eq!(fault.latency, Duration::from_millis(7));
            fault.error.map(|(_, error)| (error.code, error.status))
        };
        let unavailable = Some(("ServiceUnavailableException".to_owned(), 503));
        assert_eq!(
            [call("CreateThing"), call("CreateThing"), call("CreateThing")],
            [unavailable.clone(), unavailable, None]
        );
        let throttled = Some(("ThrottlingException".to_owned(), 400));
        assert_eq!([call("AttachPolicy"), call("AttachPolicy")], [None, throttled]);
        assert_eq!((0..30).map(|_| call("DescribeThing")).collect::<Vec<_>>(), vec![None; 30]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for text in
            ["CreateThing", "CreateThng=X", "CreateThing=", "CreateThing=X:many", "CreateThing=two words"]
        {
            assert!(failure(text).is_err(), "{text}");
        }
        for text in ["CreateThing=0", "CreateThing=-1", "CreateThing=inf", "CreateThing=x"] {
            assert!(quota(text).is_err(), "{text}");
        }
        assert_eq!(failure("CreateThing=X").unwrap().times, 1);
    }
}
