//! Roles that need the code of an MFA device. The SDK assumes roles without one.

use std::time::SystemTime;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::{Profile, ProfileFileCredentialsProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sts::error::SdkError;
use aws_smithy_types::date_time::DateTime;

use super::TokenCodes;
use super::origin::{Origin, Way};
use super::profiles::Profiles;
use crate::Error;

/// The name that AWS gives the credentials in its logs.
const SESSION: &str = "provisioner";

/// A role to assume.
#[derive(Clone, Debug)]
struct Role {
    profile: String,
    arn: String,
    device: Option<String>,
    external_id: Option<String>,
    session: Option<String>,
    seconds: Option<i32>,
}

impl Role {
    fn of(profile: &Profile) -> Self {
        let value =
            |key| profile.get(key).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        Self {
            profile: profile.name().to_owned(),
            arn: value("role_arn").unwrap_or_default(),
            device: value("mfa_serial"),
            external_id: value("external_id"),
            session: value("role_session_name"),
            seconds: value("duration_seconds").and_then(|text| text.parse().ok()),
        }
    }
}

/// Where the keys come from that the first role is assumed with.
#[derive(Clone, Debug)]
enum Base {
    Keys(Credentials),
    Profile(String),
    Named(String),
}

/// The roles between a profile and its first credentials, at least one of which needs a code.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    base: Base,
    /// In the order in which they are assumed.
    roles: Vec<Role>,
}

impl Chain {
    /// The chain of the profile in use; `None` if no role in it needs a code.
    pub(super) fn of(profiles: &Profiles, name: &str) -> Option<Self> {
        let way = Way::from(profiles, name).ok()?;
        let roles: Vec<_> = way.roles.iter().rev().map(|profile| Role::of(profile)).collect();
        if roles.iter().all(|role| role.device.is_none()) {
            return None;
        }
        let base = match way.base.get("credential_source") {
            _ if way.is_keys => {
                let value = |key| way.base.get(key).map(str::to_owned);
                let (id, secret) = (value("aws_access_key_id")?, value("aws_secret_access_key")?);
                Base::Keys(Credentials::new(id, secret, value("aws_session_token"), None, "profile"))
            }
            Some(source) => Base::Named(source.to_owned()),
            None => Base::Profile(way.base.name().to_owned()),
        };
        Some(Self { base, roles })
    }

    /// Assumes the roles, one after the other.
    ///
    /// # Errors
    /// [`Error::NoTokenCode`]; why a role cannot be assumed.
    pub(super) async fn open(
        &self,
        config: &ProviderConfig,
        profiles: &Profiles,
        origin: &Origin,
        client: impl Fn(SharedCredentialsProvider) -> aws_sdk_sts::Client,
        codes: &dyn TokenCodes,
    ) -> Result<Credentials, Error> {
        let mut keys =
            self.first_keys(config, profiles).await.map_err(|error| origin.failure(&error, &error))?;
        for role in &self.roles {
            let mut request = client(SharedCredentialsProvider::new(keys))
                .assume_role()
                .role_arn(&role.arn)
                .role_session_name(role.session.as_deref().unwrap_or(SESSION))
                .set_external_id(role.external_id.clone())
                .set_duration_seconds(role.seconds);
            if let Some(device) = &role.device {
                let code = codes.code(device).map_err(|cause| origin.without_credentials(cause))?;
                let Some(code) = code else {
                    return Err(Error::NoTokenCode { profile: role.profile.clone(), device: device.clone() });
                };
                request = request.serial_number(device).token_code(code.trim());
            }
            let answer = request.send().await.map_err(|error| match &error {
                SdkError::ServiceError(_) => {
                    origin.failure(&CredentialsError::provider_error("refused"), &error)
                }
                _ => Error::from_call("sts:AssumeRole", "AWS STS".to_owned(), origin, error),
            })?;
            let incomplete = Error::Incomplete { action: "sts:AssumeRole", what: "the credentials" };
            let given = answer.credentials.ok_or(incomplete)?;
            keys = Credentials::new(
                given.access_key_id,
                given.secret_access_key,
                Some(given.session_token),
                end(&given.expiration),
                "sts",
            );
        }
        Ok(keys)
    }

    async fn first_keys(
        &self,
        config: &ProviderConfig,
        profiles: &Profiles,
    ) -> Result<Credentials, CredentialsError> {
        match &self.base {
            Base::Keys(keys) => Ok(keys.clone()),
            Base::Profile(name) => {
                let provider = ProfileFileCredentialsProvider::builder().configure(config);
                let provider = provider.profile_files(profiles.files()).profile_name(name).build();
                provider.provide_credentials().await
            }
            Base::Named(source) => match source.to_ascii_lowercase().as_str() {
                "environment" => EnvironmentVariableCredentialsProvider::new().provide_credentials().await,
                "ecscontainer" => {
                    EcsCredentialsProvider::builder().configure(config).build().provide_credentials().await
                }
                "ec2instancemetadata" => {
                    ImdsCredentialsProvider::builder().configure(config).build().provide_credentials().await
                }
                other => Err(CredentialsError::invalid_configuration(format!(
                    "credential_source is {other}; Environment, EcsContainer and Ec2InstanceMetadata are known"
                ))),
            },
        }
    }
}

fn end(expiration: &DateTime) -> Option<SystemTime> {
    SystemTime::try_from(*expiration).ok()
}
