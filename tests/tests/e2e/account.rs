//! The testbed, tested with AWS's own SDK.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
use testbed::{Access, Options, Testbed};

/// A testbed and what the SDKs need to reach it.
pub(crate) struct Account {
    pub(crate) testbed: Testbed,
    pub(crate) config: SdkConfig,
}

impl Account {
    pub(crate) async fn empty() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        let testbed = Testbed::start(options).await.unwrap();
        let config = sdk_config(testbed.access()).await;
        Self { testbed, config }
    }

    pub(crate) fn iot(&self) -> aws_sdk_iot::Client {
        aws_sdk_iot::Client::new(&self.config)
    }

    pub(crate) fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config)
    }

    pub(crate) fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.config)
    }

    pub(crate) fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.config)
    }

    /// Registers `ca` with its verification certificate, ACTIVE and registering devices; returns its id.
    pub(crate) async fn register(&self, ca: &Ca) -> String {
        register(&self.iot(), ca).await
    }
}

/// The settings of a user who has this access.
pub(crate) async fn sdk_config(access: &Access) -> SdkConfig {
    let keys = Credentials::new(&access.access_key_id, &access.secret_access_key, None, None, "test");
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(&access.endpoint_url)
        .region(Region::new(access.region.clone()))
        .credentials_provider(keys)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .load()
        .await
}

/// Registers `ca` with its verification certificate, ACTIVE and registering devices; returns its id.
pub(crate) async fn register(iot: &aws_sdk_iot::Client, ca: &Ca) -> String {
    let code = iot.get_registration_code().send().await.unwrap().registration_code.unwrap();
    let register = iot
        .register_ca_certificate()
        .ca_certificate(ca.pem())
        .verification_certificate(ca.issue(&code))
        .set_as_active(true)
        .allow_auto_registration(true);
    register.send().await.unwrap().certificate_id.unwrap()
}

/// A certificate authority made by rcgen.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// A certificate for a fresh key with this common name, PEM.
    pub(crate) fn issue(&self, name: &str) -> String {
        self.issue_for(&KeyPair::generate().unwrap(), name)
    }

    /// A certificate for `key`.
    pub(crate) fn issue_for(&self, key: &KeyPair, name: &str) -> String {
        params(name).signed_by(key, &self.0).unwrap().pem()
    }

    /// One for a fresh key, valid from the first day of one year to the first day of another.
    pub(crate) fn issue_valid(&self, name: &str, from: i32, to: i32) -> String {
        let mut params = params(name);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params.signed_by(&KeyPair::generate().unwrap(), &self.0).unwrap().pem()
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A policy document that lets everything happen.
pub(crate) const OPEN_POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
