//! What the testbed does not have, declined by name and in the wire format of the service that was meant.

use axum::http::request::Parts;

use super::reply::{Protocol, ServiceError};
use super::{Dispatched, SERVICES};
use crate::journal::Caller;

/// Services whose answers are XML although their requests are not forms.
const REST_XML: [&str; 4] = ["cloudfront", "route53", "s3", "s3express"];

/// An operation that the testbed does not have of a service that it has.
pub(super) fn operation(asked: &str, service: &str) -> ServiceError {
    declined(format!("the testbed does not implement {asked} of {service}"))
}

/// A service that the testbed does not have.
pub(super) fn service(
    service: &str,
    parts: &Parts,
    action: Option<String>,
    caller: &Result<Caller, ServiceError>,
) -> Dispatched {
    let form = parts
        .headers
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form"));
    let protocol = match service {
        "ec2" => Protocol::Ec2,
        _ if REST_XML.contains(&service) => Protocol::RestXml,
        _ if form => Protocol::Query,
        _ => Protocol::Json,
    };
    let message = format!(
        "the testbed has no service {service}; it has {}. ministack and moto emulate more of AWS",
        SERVICES.join(", ")
    );
    let error = match caller {
        Ok(_) => declined(message),
        Err(error) => error.clone(),
    };
    Dispatched {
        service: service.to_owned().into(),
        protocol,
        operation: action.unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path())),
        argument: String::new(),
        outcome: Err(error),
    }
}

fn declined(message: String) -> ServiceError {
    ServiceError::new("NotImplemented", 501, message)
}
