//! An answer counts as one of AWS only if it says which request of AWS it belongs to.

use aws_sdk_iot::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_iot::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_iot::error::BoxError;

/// The headers with the id of the request, which each answer of AWS has
/// (AWS IoT API Reference, "Common response headers"; Amazon S3 has the second).
const REQUEST_IDS: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];

/// Refuses a success that AWS did not send. Many calls have an empty answer: without this, the log-in page of a network
/// or whatever else answers with HTTP status 200 would count as done.
#[derive(Debug, Clone, Copy)]
pub struct Genuine;

/// An answer without the id of a request.
#[derive(Debug, thiserror::Error)]
#[error("HTTP status {status} without a request id of AWS: something else answers in its place")]
pub struct Foreign {
    /// The status.
    pub status: u16,
}

impl Intercept for Genuine {
    fn name(&self) -> &'static str {
        "Genuine"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let is_from_aws = REQUEST_IDS.iter().any(|name| response.headers().get(*name).is_some());
        match response.status().is_success() && !is_from_aws {
            true => Err(Foreign { status: response.status().as_u16() }.into()),
            false => Ok(()),
        }
    }
}
