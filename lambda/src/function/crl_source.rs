//! Fetches published revocation lists: from a web server, or with a signed request from Amazon S3.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::http::Request;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use device_pki::revocation_list::MAX_SIZE;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::trust::{PROVIDER, Trust};
use crate::config::Connection;
use crate::revocation::{Fetched, ListError, ListUrl, Source};

/// How long fetching a list may take in all. An event whose CA has no valid list waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A client for one folder of lists.
#[derive(Debug)]
pub(super) struct CrlSource {
    connector: Connector,
    /// Without a slash at its end.
    folder: String,
    signer: Option<Signer>,
}

/// What requests to Amazon S3 are signed with.
#[derive(Debug)]
struct Signer {
    identity: Identity,
    region: String,
}

impl CrlSource {
    /// A client for the lists at `url`; the function's role reads those in Amazon S3.
    pub(super) fn new(url: &ListUrl, connection: &Connection) -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let trust = match url {
            ListUrl::Https(_) => Trust::System,
            ListUrl::S3 { .. } => Trust::in_service(connection, connection.s3_endpoint_url.as_deref()),
        };
        let connector = Connector::builder()
            .connector_settings(settings)
            .tls_provider(PROVIDER)
            .tls_context(trust.context())
            .build();
        let (folder, signer) = match url {
            ListUrl::Https(url) => (url.clone(), None),
            ListUrl::S3 { bucket, prefix } => {
                let credentials = Credentials::new(
                    &connection.access_key_id,
                    &connection.secret_access_key,
                    connection.session_token.clone(),
                    None,
                    "environment",
                );
                let region = connection.region.clone();
                let folder = s3_folder(connection, bucket, prefix);
                (folder, Some(Signer { identity: credentials.into(), region }))
            }
        };
        Self { connector, folder, signer }
    }

    async fn get(&self, name: &str, version: Option<&str>) -> Result<Fetched, ListError> {
        let url = format!("{}/{name}", self.folder);
        let broken = |error: &dyn std::fmt::Display| ListError::Request(error.to_string());
        let mut request = Request::new(SdkBody::empty());
        request.set_uri(url.as_str()).map_err(|error| broken(&error))?;
        if let Some(signer) = &self.signer {
            for (name, value) in signer.headers(&url)? {
                request.headers_mut().try_insert(name, value).map_err(|error| broken(&error))?;
            }
        }
        if let Some(version) = version {
            let header = ("if-none-match", version.to_owned());
            request.headers_mut().try_insert(header.0, header.1).map_err(|error| broken(&error))?;
        }
        let answer = self.connector.call(request).await;
        let mut answer = answer.map_err(|error| ListError::Connection(chain(&error)))?;
        match answer.status().as_u16() {
            200 => {}
            304 if version.is_some() => return Ok(Fetched::Unchanged),
            status => return Err(ListError::Status(status)),
        }
        let version = answer.headers().get("etag").map(str::to_owned);
        let mut bytes = Vec::new();
        let mut body = ByteStream::new(answer.take_body());
        while let Some(part) = body.next().await {
            bytes.extend_from_slice(&part.map_err(|error| ListError::Connection(chain(&error)))?);
            if bytes.len() > MAX_SIZE {
                return Err(ListError::TooLong);
            }
        }
        Ok(Fetched::List { bytes, version })
    }
}

impl Source for CrlSource {
    fn fetch<'a>(
        &'a self,
        name: &'a str,
        version: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Fetched, ListError>> {
        async move {
            match tokio::time::timeout(TIMEOUT, self.get(name, version)).await {
                Ok(fetched) => fetched,
                Err(_) => Err(ListError::TimedOut(TIMEOUT)),
            }
        }
        .boxed()
    }
}

/// Where the keys below `prefix` are. The bucket goes into the path where it cannot be part of the host name: a dot in it
/// does not fit the endpoint's certificate, and other endpoints have no such names (Amazon S3 User Guide, "Virtual
/// hosting of general purpose buckets").
fn s3_folder(connection: &Connection, bucket: &str, prefix: &str) -> String {
    let region = &connection.region;
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let bucket_url = match &connection.s3_endpoint_url {
        Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
        None if bucket.contains('.') => format!("https://s3.{region}.{suffix}/{bucket}"),
        None => format!("https://{bucket}.s3.{region}.{suffix}"),
    };
    if prefix.is_empty() { bucket_url } else { format!("{bucket_url}/{prefix}") }
}

impl Signer {
    /// The headers that a request for `url` is signed with (Amazon S3 API Reference, "Authenticating Requests: Using the
    /// Authorization Header").
    fn headers(&self, url: &str) -> Result<Vec<(&'static str, String)>, ListError> {
        let broken = |error: &dyn std::fmt::Display| ListError::Request(error.to_string());
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let params = SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| broken(&error))?
            .into();
        let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::empty())
            .map_err(|error| broken(&error))?;
        let (instructions, _) = sign(request, &params).map_err(|error| broken(&error))?.into_parts();
        let (headers, _) = instructions.into_parts();
        Ok(headers.into_iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }
}

/// An error and what is behind it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(region: &str, s3_endpoint_url: Option<&str>) -> Connection {
        Connection {
            region: region.into(),
            access_key_id: "AKID".into(),
            secret_access_key: "s3cret".into(),
            session_token: Some("t0ken".into()),
            endpoint_url: None,
            s3_endpoint_url: s3_endpoint_url.map(str::to_owned),
            own_roots: false,
        }
    }

    #[test]
    fn the_bucket_is_in_the_host_name_where_it_can_be() {
        let folder = |region, endpoint, bucket| s3_folder(&connection(region, endpoint), bucket, "crl/a");
        assert_eq!(folder("us-east-2", None, "lists"), "https://lists.s3.us-east-2.amazonaws.com/crl/a");
        assert_eq!(
            folder("us-east-2", None, "my.lists"),
            "https://s3.us-east-2.amazonaws.com/my.lists/crl/a"
        );
        assert_eq!(folder("cn-north-1", None, "lists"), "https://lists.s3.cn-north-1.amazonaws.com.cn/crl/a");
        assert_eq!(folder("x", Some("http://127.0.0.1:1/"), "lists"), "http://127.0.0.1:1/lists/crl/a");
        let top = s3_folder(&connection("us-east-2", None), "lists", "");
        assert_eq!(top, "https://lists.s3.us-east-2.amazonaws.com");
    }

    #[test]
    fn requests_to_s3_are_signed_and_no_secret_is_shown() {
        let url = ListUrl::S3 { bucket: "lists".into(), prefix: "crl".into() };
        let source = CrlSource::new(&url, &connection("us-east-2", None));
        let headers = source.signer.as_ref().unwrap().headers(&source.folder).unwrap();
        let header = |name| headers.iter().find(|(found, _)| *found == name).unwrap().1.as_str();
        let authorization = header("authorization");
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
        assert!(authorization.contains("/us-east-2/s3/aws4_request"), "{authorization}");
        let signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
        assert!(authorization.contains(signed), "{authorization}");
        assert_eq!(header("x-amz-security-token"), "t0ken");
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(header("x-amz-content-sha256"), empty);
        let shown = format!("{source:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }
}
