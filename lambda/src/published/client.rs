//! Fetches published lists: from a web server, or with a signed request from Amazon S3. Puts lists into Amazon S3.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::http::Request;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Fetched, ListError, ListUrl, Source, Wanted};
use crate::config::Connection;

/// How long a connection may take to open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long putting a list may take in all: a list of 20 MB at 1 Mbit/s.
const PUT_TIMEOUT: Duration = Duration::from_secs(180);

/// A client for one folder of lists.
#[derive(Debug)]
pub struct Client {
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

impl Client {
    /// A client for the lists at `url`, with the connections of `connector`. Requests to Amazon S3 are signed with the credentials of
    /// `connection`.
    pub fn new(url: &ListUrl, connection: &Connection, connector: Connector) -> Self {
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

    async fn get(&self, wanted: Wanted<'_>) -> Result<Fetched, ListError> {
        let Wanted { name, version, longest, .. } = wanted;
        let url = format!("{}/{name}", self.folder);
        let broken = |error: &dyn std::fmt::Display| ListError::Request(error.to_string());
        let mut request = Request::new(SdkBody::empty());
        request.set_uri(url.as_str()).map_err(|error| broken(&error))?;
        if let Some(signer) = &self.signer {
            for (name, value) in signer.headers("GET", &url, SignableBody::empty())? {
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
        let length = answer.headers().get("content-length").and_then(|length| length.parse::<usize>().ok());
        // A vector that grows takes up to three times its size meanwhile.
        let mut bytes = Vec::with_capacity(length.unwrap_or_default().min(longest));
        let mut body = ByteStream::new(answer.take_body());
        while let Some(part) = body.next().await {
            bytes.extend_from_slice(&part.map_err(|error| ListError::Connection(chain(&error)))?);
            if bytes.len() > longest {
                return Err(ListError::TooLong(longest));
            }
        }
        Ok(Fetched::List { bytes, version })
    }

    /// Puts a list into Amazon S3, in the place of the one with this version, or where there is none (Amazon S3 User Guide, "How to
    /// prevent object overwrites with conditional writes").
    ///
    /// # Errors
    /// [`ListError::Request`] for a web server; [`ListError::Status`] 409 and 412 where another list is there; what the connection
    /// or Amazon S3 says.
    pub async fn put(&self, name: &str, bytes: Vec<u8>, replaces: Option<&str>) -> Result<(), ListError> {
        let broken = |error: &dyn std::fmt::Display| ListError::Request(error.to_string());
        let Some(signer) = &self.signer else {
            return Err(broken(&"lists are put into Amazon S3 alone"));
        };
        let url = format!("{}/{name}", self.folder);
        let headers = signer.headers("PUT", &url, SignableBody::Bytes(&bytes))?;
        let mut request = Request::new(SdkBody::from(bytes));
        request.set_method("PUT").map_err(|error| broken(&error))?;
        request.set_uri(url.as_str()).map_err(|error| broken(&error))?;
        let condition = replaces.map_or(("if-none-match", "*"), |version| ("if-match", version));
        let condition = (condition.0, condition.1.to_owned());
        for (name, value) in headers.into_iter().chain([condition]) {
            request.headers_mut().try_insert(name, value).map_err(|error| broken(&error))?;
        }
        let answered = tokio::time::timeout(PUT_TIMEOUT, self.connector.call(request)).await;
        let answer = answered.map_err(|_| ListError::TimedOut(PUT_TIMEOUT))?;
        match answer.map_err(|error| ListError::Connection(chain(&error)))?.status() {
            status if status.is_success() => Ok(()),
            status => Err(ListError::Status(status.as_u16())),
        }
    }
}

impl Source for Client {
    fn fetch<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Fetched, ListError>> {
        async move {
            match tokio::time::timeout(wanted.time, self.get(wanted)).await {
                Ok(fetched) => fetched,
                Err(_) => Err(ListError::TimedOut(wanted.time)),
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
    fn headers(
        &self,
        method: &str,
        url: &str,
        body: SignableBody<'_>,
    ) -> Result<Vec<(&'static str, String)>, ListError> {
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
        let request =
            SignableRequest::new(method, url, std::iter::empty(), body).map_err(|error| broken(&error))?;
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
    use aws_smithy_http_client::tls::Provider;
    use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

    use super::*;

    const PROVIDER: Provider = Provider::Rustls(CryptoMode::AwsLc);

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
        let connector = Connector::builder().tls_provider(PROVIDER).build();
        let source = Client::new(&url, &connection("us-east-2", None), connector);
        let signer = source.signer.as_ref().unwrap();
        let headers = signer.headers("GET", &source.folder, SignableBody::empty()).unwrap();
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
