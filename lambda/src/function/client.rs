//! The client of AWS IoT, built without `aws-config`: a function's credentials and Region are in its environment, and
//! looking for them elsewhere costs more than everything else at start.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_iot::config::retry::RetryConfig;
use aws_sdk_iot::config::timeout::TimeoutConfig;
use aws_sdk_iot::config::{Config, Region};
use aws_smithy_http_client::Builder as HttpClient;

use super::trust::{PROVIDER, Trust};
use crate::config::Connection;
use crate::registry::genuine::Genuine;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(6);

/// A client for `connection`. Nothing is sent yet.
pub(super) fn connect(connection: Connection) -> aws_sdk_iot::Client {
    let trust = Trust::in_service(&connection, connection.endpoint_url.as_deref());
    let http = HttpClient::new().tls_provider(PROVIDER).tls_context(trust.context()).build_https();
    let Connection { region, access_key_id, secret_access_key, session_token, endpoint_url, .. } = connection;
    let credentials = Credentials::new(access_key_id, secret_access_key, session_token, None, "environment");
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let mut config = Config::builder()
        .behavior_version_latest()
        .region(Region::new(region))
        .http_client(http)
        .credentials_provider(credentials)
        // The client's own retries respect neither the invocation's deadline nor the other records of a batch.
        .retry_config(RetryConfig::disabled())
        .interceptor(Genuine)
        .timeout_config(timeouts);
    config.set_endpoint_url(endpoint_url);
    aws_sdk_iot::Client::from_conf(config.build())
}
