//! Where Region and credentials come from: flags, environment, and the profiles of the shared files.
//!
//! The order is that of the AWS CLI: a profile that a flag names wins over keys in the environment, and these win over
//! `AWS_PROFILE`. Everything else about a profile is the same, whoever has named it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::sync::OnceCell;

mod origin;
mod profiles;
mod redaction;
mod role_session;
mod trust;
mod values;

pub(crate) use self::origin::Origin;
pub use self::origin::Source;
use self::profiles::Profiles;
use self::role_session::Chain;
pub(crate) use self::trust::Trust;
pub use self::trust::ca_bundle_variable;
use crate::Error;
use crate::error::Cause;

/// Time-out of a call. It is repeated as often as [`ATTEMPTS`] allows.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time-out of a call with all its repetitions, also where bytes of an answer keep coming.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(90);
const ATTEMPTS: u32 = 5;

/// Who knows the codes of MFA devices.
pub trait TokenCodes: fmt::Debug + Send + Sync {
    /// The code that the device with this serial number or ARN shows now; `None` where nobody can be asked.
    ///
    /// # Errors
    /// What kept the code from being read.
    fn code(&self, device: &str) -> Result<Option<String>, Cause>;
}

/// Nobody can be asked.
impl TokenCodes for () {
    fn code(&self, _: &str) -> Result<Option<String>, Cause> {
        Ok(None)
    }
}

/// What a user has chosen beside the standard settings. Copies share the session of a role that needs a code: a code can be
/// used once.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// The profile, if a flag names one.
    pub profile: Option<String>,
    /// The Region, if a flag names one.
    pub region: Option<String>,
    codes: Arc<dyn TokenCodes>,
    session: Arc<OnceCell<Credentials>>,
}

/// What the settings lead to.
pub(crate) struct Loaded {
    /// What clients are made with.
    pub(crate) config: SdkConfig,
    /// Where the credentials come from.
    pub(crate) origin: Origin,
    pub(crate) region: String,
    pub(crate) trust: Trust,
}

impl AwsSettings {
    /// The standard settings, with what flags name.
    pub fn new(profile: Option<String>, region: Option<String>, codes: impl TokenCodes + 'static) -> Self {
        Self { profile, region, codes: Arc::new(codes), session: Arc::default() }
    }

    /// What clients are made with; the Region is `region` if it is given.
    pub(crate) async fn load(&self, region: Option<&str>) -> Result<Loaded, Error> {
        let profiles = Profiles::read(self.profile.as_deref()).await?;
        values::check(|name| std::env::var(name).ok(), |key| profiles.value(key))?;
        let region = find_region(&profiles, region.or(self.region.as_deref())).await?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let mut of_roles = ProviderConfig::without_region()
            .with_region(Some(Region::new(region.clone())))
            .with_retry_config(retries.clone())
            .with_timeout_config(timeouts.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .retry_config(retries)
            .timeout_config(timeouts)
            .profile_files(profiles.files())
            .profile_name(profiles.selected());
        let trust = Trust::find(profiles.value("ca_bundle"))?;
        if let Some(client) = trust.http_client() {
            of_roles = of_roles.with_http_client(client.clone());
            loader = loader.http_client(client);
        }
        if let Ok(name) = AppName::new("provisioner") {
            loader = loader.app_name(name);
        }
        let origin = Origin::of(&profiles, self.profile.is_some());
        let chain = origin.profile().and_then(|profile| Chain::of(&profiles, profile));
        if chain.is_none() && self.profile.is_some() {
            loader = loader.credentials_provider(of_profile(&profiles, &of_roles));
        }
        let mut config = loader.load().await;
        if let Some(chain) = chain {
            let sts = |keys| {
                let config = config.to_builder().credentials_provider(keys).build();
                aws_sdk_sts::Client::new(&config)
            };
            let open = || chain.open(&of_roles, &profiles, &origin, sts, &*self.codes);
            let keys = self.session.get_or_try_init(open).await?.clone();
            config = config.to_builder().credentials_provider(SharedCredentialsProvider::new(keys)).build();
        }
        Ok(Loaded { config, origin, region, trust })
    }
}

/// The credentials of the profile in use, and where it has none, those that the default chain looks for after a profile. In
/// the default chain itself keys of the environment come first.
fn of_profile(profiles: &Profiles, config: &ProviderConfig) -> CredentialsProviderChain {
    let profile = ProfileFileCredentialsProvider::builder().configure(config);
    let profile = profile.profile_files(profiles.files()).profile_name(profiles.selected()).build();
    let token = WebIdentityTokenCredentialsProvider::builder().configure(config).build();
    CredentialsProviderChain::first_try("Profile", profile)
        .or_else("WebIdentityToken", token)
        .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(config).build())
        .or_else("Ec2InstanceMetadata", ImdsCredentialsProvider::builder().configure(config).build())
}

/// The instance metadata service is not asked for the Region: without a network that takes seconds, and setting one is easy.
async fn find_region(profiles: &Profiles, given: Option<&str>) -> Result<String, Error> {
    let (region, setting) = match given {
        Some(region) => (region.to_owned(), None),
        None => {
            let of_profile = ProfileFileRegionProvider::builder()
                .profile_files(profiles.files())
                .profile_name(profiles.selected());
            let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(of_profile.build());
            let found = chain.region().await.filter(|region| !region.as_ref().is_empty());
            let region = found.ok_or(Error::NoRegion)?.to_string();
            let has_it = |name: &&str| std::env::var(name).is_ok_and(|value| value == region);
            let variable = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find(has_it).map(str::to_owned);
            let profile = || format!("profile `{}`", profiles.chosen().unwrap_or("default"));
            (region, Some(variable.unwrap_or_else(profile)))
        }
    };
    if is_region(&region) { Ok(region) } else { Err(Error::MalformedRegion { region, setting }) }
}

/// Whether this has the form of a Region's name: lower-case words and a number, joined by dashes.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [words @ .., number] if words.len() >= 2 => {
            words.iter().all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_regions_are_told_from_typing_errors() {
        for region in ["us-east-2", "eu-central-1", "us-gov-west-1", "ap-southeast-7", "cn-north-1"] {
            assert!(is_region(region), "{region}");
        }
        for other in ["", "us-east", "us_east_1", "us-east-2a", "US-EAST-1", "Frankfurt", "-1", "us--1"] {
            assert!(!is_region(other), "{other}");
        }
    }
}
