//! An account, and the clients of its services.

use std::future::Future;
use std::sync::Arc;

use crate::quota::Quotas;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::service_config::ServiceConfigKey;
use jitr::registry::aws::AwsRegistry;
use jitr::registry::genuine::Genuine;
use jitr::registry::{ErrorKind, RegistryError};
use jitr::scope::{Arn, Scope};

use super::aws_settings::{AwsSettings, Loaded, Origin, Trust};
use super::bounded::Bounded;
use super::calls::CallLog;
use super::setup::TOOL;
use super::{Answer, Error};

/// A client of one service, whose calls are logged.
macro_rules! client {
    ($service:ident, $config:expr) => {
        $service::Client::from_conf(
            $service::config::Builder::from(&$config)
                .interceptor(CallLog)
                .interceptor(Genuine)
                .interceptor(Bounded)
                .build(),
        )
    };
}

/// The way to one AWS account in one Region.
#[derive(Clone, Debug)]
pub struct Account {
    config: SdkConfig,
    origin: Origin,
    region: String,
    trust: Trust,
    /// The turns of the calls that a command makes for each of many devices.
    quotas: Arc<Quotas>,
}

impl Account {
    /// The account that these settings lead to. `region` goes before theirs.
    ///
    /// # Errors
    /// [`Error::ProfileNotFound`], [`Error::ProfileFile`], [`Error::NoRegion`], [`Error::MalformedRegion`],
    /// [`Error::CaBundle`]; where a role needs the code of an MFA device, whatever keeps it from being assumed. No other call
    /// is made; whether the credentials are any good shows at the first one.
    pub async fn load(settings: &AwsSettings, region: Option<&str>) -> Result<Self, Error> {
        let Loaded { config, origin, region, trust } = settings.load(region).await?;
        Ok(Self { config, origin, region, trust, quotas: Arc::default() })
    }

    /// The Region that the settings lead to.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// AWS IoT Core.
    pub fn iot(&self) -> aws_sdk_iot::Client {
        client!(aws_sdk_iot, self.config)
    }

    /// AWS IoT Core, for the registration workflow.
    pub(super) fn registry(&self) -> AwsRegistry {
        AwsRegistry::new(self.iot(), TOOL)
    }

    /// AWS IoT Core, each call made once: for callers that decide themselves when to repeat a call.
    pub(super) fn iot_without_retries(&self) -> aws_sdk_iot::Client {
        let once = self.config.to_builder().retry_config(RetryConfig::disabled()).build();
        client!(aws_sdk_iot, once)
    }

    /// The data plane of AWS IoT at the account's device endpoint, unless the settings name another place. Each call is made once.
    pub(super) fn iot_data(&self, endpoint: &str) -> aws_sdk_iotdataplane::Client {
        let mut config = self.config.to_builder().retry_config(RetryConfig::disabled());
        if self.data_plane_url().is_none() {
            config.set_endpoint_url(Some(format!("https://{endpoint}")));
        }
        client!(aws_sdk_iotdataplane, config.build())
    }

    /// AWS Lambda.
    pub fn lambda(&self) -> aws_sdk_lambda::Client {
        client!(aws_sdk_lambda, self.config)
    }

    /// Amazon Simple Queue Service.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        client!(aws_sdk_sqs, self.config)
    }

    /// Amazon CloudWatch.
    pub(super) fn cloudwatch(&self) -> aws_sdk_cloudwatch::Client {
        client!(aws_sdk_cloudwatch, self.config)
    }

    /// Amazon CloudWatch Logs.
    pub fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        client!(aws_sdk_cloudwatchlogs, self.config)
    }

    /// The URL of AWS IoT's data plane, if the settings name one.
    pub(super) fn data_plane_url(&self) -> Option<String> {
        self.service_url("IoT Data Plane")
    }

    /// The URL of a service, if the settings name one (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
    pub(super) fn service_url(&self, service_id: &str) -> Option<String> {
        let key = ServiceConfigKey::builder().service_id(service_id).env("AWS_ENDPOINT_URL");
        let key = key.profile("endpoint_url").build().ok();
        let of_service = self.config.service_config().zip(key).and_then(|(of, key)| of.load_config(key));
        of_service.or_else(|| self.config.endpoint_url().map(str::to_owned))
    }

    /// Where a bucket is, for people.
    pub(super) fn s3_place(&self, bucket: &str) -> String {
        self.service_url("S3").unwrap_or_else(|| format!("the bucket {bucket} in Region {}", self.region))
    }

    /// The credentials that are good now.
    ///
    /// # Errors
    /// [`Error::NoCredentials`] and the others of loading credentials.
    pub(super) async fn credentials(&self) -> Result<Credentials, Error> {
        let nobodys = || Error::NoCredentials { profile: None };
        let provider = self.config.credentials_provider().ok_or_else(nobodys)?;
        provider.provide_credentials().await.map_err(|error| self.origin.failure(&error, &error))
    }

    /// Whom connections trust.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// AWS Identity and Access Management.
    pub fn iam(&self) -> aws_sdk_iam::Client {
        client!(aws_sdk_iam, self.config)
    }

    /// AWS Key Management Service.
    pub fn kms(&self) -> aws_sdk_kms::Client {
        client!(aws_sdk_kms, self.config)
    }

    /// Partition, Region and account number, by asking AWS who the caller is.
    ///
    /// # Errors
    /// Errors of `sts:GetCallerIdentity`; it needs no permission.
    pub async fn scope(&self) -> Result<Scope, Error> {
        const ACTION: &str = "sts:GetCallerIdentity";
        let caller = client!(aws_sdk_sts, self.config)
            .get_caller_identity()
            .send()
            .await
            .map_err(self.failed(ACTION))?;
        let partition = caller.arn().and_then(Arn::parse).map(|arn| arn.partition);
        match (partition, caller.account()) {
            (Some(partition), Some(account)) => Ok(Scope {
                partition: partition.to_owned(),
                region: self.region.clone(),
                account: account.to_owned(),
            }),
            _ => Err(Error::Incomplete { action: ACTION, what: "who the caller is" }),
        }
    }

    /// Where the calls go.
    fn place(&self) -> String {
        match self.config.endpoint_url() {
            Some(url) => url.to_owned(),
            None => format!("AWS in Region {}", self.region),
        }
    }

    /// The failure of a call of the registration workflow.
    pub(super) fn of_registry(&self, error: RegistryError) -> Error {
        let (action, place) = (error.operation.action(), self.place());
        match (error.code, error.kind) {
            (Some(code), kind) => {
                let status = if kind == ErrorKind::Unavailable { 503 } else { 400 };
                Error::from_answer(action, Answer { code, message: error.message, status })
            }
            (None, ErrorKind::Unavailable) => {
                Error::Unreachable { place, action, source: error.message.into() }
            }
            (None, _) => Error::Nonsense { action, place, source: error.message.into() },
        }
    }

    /// Turns the failure of the call `action` (`service:Operation`, as in IAM policies) into an [`Error`].
    pub fn failed<E>(&self, action: &'static str) -> impl FnOnce(SdkError<E, HttpResponse>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let (place, origin) = (self.place(), self.origin.clone());
        move |error| Error::from_call(action, place, &origin, error)
    }

    /// Makes the call `action` (`service:Operation`, as in IAM policies) when its turn has come, and again while AWS throttles it
    /// or does not answer. The client must not make calls again by itself: see [`Account::iot_without_retries`].
    ///
    /// # Errors
    /// What the last attempt ended in.
    pub(super) async fn call<T, E, F>(
        &self,
        action: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let api = action.split_once(':').map_or(action, |(_, api)| api);
        let attempt = || {
            let made = attempt();
            async move { made.await.map_err(self.failed(action)) }
        };
        self.quotas.turns(api).call(Error::is_transient, attempt).await
    }

    /// What `action` answered; nothing where there is no such resource.
    pub(super) fn found<T, E>(
        &self,
        action: &'static str,
        answer: Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<Option<T>, Error>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        existing(answer.map_err(self.failed(action)))
    }
}

/// What there is: that a resource does not exist is an answer, and no failure.
pub(super) fn existing<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        // The codes of IAM and CloudWatch differ from that of the other services.
        Err(error)
            if ["ResourceNotFoundException", "NoSuchEntity", "ResourceNotFound"]
                .iter()
                .any(|code| error.has_code(code)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};

    use super::*;
    use std::io::{BufRead, BufReader, Write};

    /// The account behind an endpoint that answers every request with this.
    fn behind(answer: &'static str) -> Account {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                lines.find(String::is_empty);
                let mut stream = stream;
                write!(stream, "{answer}").unwrap();
            }
        });
        let credentials = aws_credential_types::Credentials::new("id", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-2"))
            .endpoint_url(url)
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .build();
        let (origin, trust) = (Origin::none(), Trust::default());
        Account { config, origin, region: "us-east-2".to_owned(), trust, quotas: Arc::default() }
    }

    /// An answer of AWS to these calls has nothing in it but its headers.
    #[tokio::test]
    async fn what_something_else_than_aws_answers_with_status_200_is_no_success() {
        let deleted = |answer| async move {
            let account = behind(answer);
            let request = account.iot_without_retries().delete_thing().thing_name("t");
            request.send().await.map(drop).map_err(account.failed("iot:DeleteThing"))
        };
        for foreign in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 17\r\ncontent-type: text/html\r\n\r\n<html>Log in here",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ] {
            let error = deleted(foreign).await.unwrap_err();
            let is_told = match &error {
                Error::Nonsense { source, .. } => source.to_string().contains("request id"),
                Error::WebPage { .. } => foreign.contains("text/html"),
                _ => false,
            };
            assert!(is_told, "{error:?}");
        }
        deleted("HTTP/1.1 200 OK\r\nx-amzn-RequestId: 7\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }

    /// Without a limit it fills the memory until the time-out, with gigabytes on a loopback interface.
    #[tokio::test]
    async fn an_answer_without_an_end_is_read_to_a_limit() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sending = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok).find(String::is_empty);
            let head = "HTTP/1.1 200 OK\r\nx-amzn-RequestId: 7\r\ncontent-length: 100000000000\r\n\r\n";
            let mut sent = 0_usize;
            let mut piece = head.as_bytes().to_vec();
            while stream.write_all(&piece).is_ok() {
                sent += piece.len();
                piece = vec![b' '; 1 << 20];
                assert!(sent < 1 << 30, "nobody stops reading");
            }
            sent
        });
        let account =
            Account { config: behind("").config.into_builder().endpoint_url(url).build(), ..behind("") };
        let answer = account.iot_without_retries().delete_thing().thing_name("t").send().await;
        assert!(answer.is_err());
        let sent = tokio::task::spawn_blocking(|| sending.join().unwrap()).await.unwrap();
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }

    /// The paginators of the SDK end at such a page as at the last one.
    #[tokio::test]
    async fn a_list_with_the_same_marker_twice_is_an_error_and_no_shorter_list() {
        let account = behind(
            "HTTP/1.1 200 OK\r\nx-amzn-RequestId: 7\r\nconnection: close\r\ncontent-length: 57\r\n\r\n\
            {\"certificates\":[{\"certificateId\":\"1\"}],\"nextMarker\":\"m\"}",
        );
        let iot = account.iot();
        let ask = |marker| iot.list_certificates().set_marker(marker).send();
        let listed = account.all("iot:ListCertificates", ask, |page| page.certificates).await;
        assert!(matches!(listed, Err(Error::Endless { pages: 2, .. })), "{listed:?}");
    }
}
