//! Where credentials come from, and why there are none.

use std::error::Error as StdError;

use aws_config::imds::client::error::ImdsError;
use aws_config::profile::Profile;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use super::profiles::Profiles;
use super::redaction::{redacted, secrets_of};
use crate::error::{Answer, Cause, Error, deepest, find_cause};

/// The kind of the first credentials of a profile: with them its roles are assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Keys in the file, or none.
    Keys,
    /// What `credential_process` prints.
    Process,
    /// Single sign-on: `aws sso login`.
    SingleSignOn,
    /// A session of the console: `aws login`.
    ConsoleSession,
    /// A token in a file, for `sts:AssumeRoleWithWebIdentity`.
    WebIdentity,
    /// What `credential_source` names: environment, container or instance.
    Named,
    /// Not a profile.
    Standard,
}

/// The way from a profile to its first credentials.
pub(super) struct Way<'a> {
    /// Profiles whose role is assumed, the one in use first.
    pub(super) roles: Vec<&'a Profile>,
    /// The profile with the first credentials.
    pub(super) base: &'a Profile,
    /// Whether the keys of that profile are meant, although it has a role.
    pub(super) is_keys: bool,
}

impl<'a> Way<'a> {
    /// Follows `source_profile` as the SDK does.
    ///
    /// # Errors
    /// What keeps it from coming to an end.
    pub(super) fn from(profiles: &'a Profiles, name: &str) -> Result<Self, String> {
        let mut base = profiles.get(name).ok_or_else(|| format!("there is no profile `{name}`"))?;
        let (mut roles, mut visited) = (Vec::new(), vec![base.name()]);
        loop {
            let is_keys = !roles.is_empty() && base.get("aws_access_key_id").is_some();
            let has_role = base.get("role_arn").is_some() && base.get("web_identity_token_file").is_none();
            if is_keys || !has_role {
                return Ok(Self { roles, base, is_keys });
            }
            roles.push(base);
            let Some(next) = base.get("source_profile") else {
                return match base.get("credential_source") {
                    Some(_) => Ok(Self { roles, base, is_keys: false }),
                    None => Err(format!(
                        "profile `{}` has a role_arn and neither source_profile nor credential_source",
                        base.name()
                    )),
                };
            };
            if next == base.name() {
                return Ok(Self { roles, base, is_keys: true });
            }
            let of = base.name();
            base = profiles
                .get(next)
                .ok_or_else(|| format!("there is no profile `{next}`, the source_profile of `{of}`"))?;
            if visited.contains(&base.name()) {
                return Err(format!("the source_profile of `{of}` leads back to profile `{}`", base.name()));
            }
            visited.push(base.name());
        }
    }

    /// Which setting of single sign-on is missing, if one is.
    fn lacks(&self, profiles: &Profiles) -> Option<String> {
        let name = self.base.name();
        let session = self.base.get("sso_session");
        let is_known = |session: &str| profiles.has_session(session);
        if let Some(session) = session.filter(|session| !is_known(session)) {
            return Some(format!("there is no [sso-session {session}], which profile `{name}` names"));
        }
        let needed: &[&str] = match session {
            Some(_) => &["sso_account_id", "sso_role_name"],
            None => &["sso_account_id", "sso_role_name", "sso_start_url", "sso_region"],
        };
        let missing = needed.iter().find(|key| self.base.get(key).is_none())?;
        Some(format!("profile `{name}` uses single sign-on and has no {missing}"))
    }

    fn source(&self) -> Source {
        let has = |key| self.base.get(key).is_some();
        match () {
            () if self.is_keys => Source::Keys,
            () if has("credential_source") => Source::Named,
            () if has("web_identity_token_file") => Source::WebIdentity,
            () if has("sso_session") || has("sso_start_url") || has("sso_account_id") => Source::SingleSignOn,
            () if has("login_session") => Source::ConsoleSession,
            () if has("credential_process") => Source::Process,
            () => Source::Keys,
        }
    }
}

/// Where the credentials of a run come from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The profile, where no keys in the environment go before it.
    profile: Option<String>,
    is_named: bool,
    files: String,
    source: Source,
    /// Whether they are keys in the environment.
    is_environment: bool,
    /// Why there can be none.
    problem: Option<String>,
    /// What its process gets on the command line and nobody else has to see.
    secrets: Vec<String>,
}

impl Origin {
    pub(super) fn of(profiles: &Profiles, is_flag: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let has_keys = is_set("AWS_ACCESS_KEY_ID") && is_set("AWS_SECRET_ACCESS_KEY");
        let missing_token = missing_token_file(std::env::var_os(TOKEN_FILE), TOKEN_FILE);
        let standard =
            Self { source: Source::Standard, problem: missing_token.filter(|_| !has_keys), ..Self::none() };
        if has_keys && !is_flag {
            return Self { is_environment: true, ..standard };
        }
        let name = profiles.chosen().unwrap_or("default");
        if profiles.get(name).is_none() {
            return standard;
        }
        let way = Way::from(profiles, name);
        let process = way.as_ref().ok().and_then(|way| way.base.get("credential_process"));
        let source = way.as_ref().map_or(Source::Keys, Way::source);
        let lacks = match source {
            Source::SingleSignOn => way.as_ref().ok().and_then(|way| way.lacks(profiles)),
            _ => None,
        };
        let missing_token = way.as_ref().ok().filter(|_| source == Source::WebIdentity).and_then(|way| {
            let setting = format!("web_identity_token_file of profile `{}`", way.base.name());
            missing_token_file(way.base.get("web_identity_token_file").map(Into::into), &setting)
        });
        Self {
            profile: Some(name.to_owned()),
            is_named: profiles.chosen().is_some(),
            files: profiles.paths_of(name),
            is_environment: false,
            source: if lacks.is_some() { Source::Keys } else { source },
            secrets: process.map(secrets_of).unwrap_or_default(),
            problem: way.err().or(lacks).or(missing_token),
        }
    }

    /// No profile.
    pub(crate) fn none() -> Self {
        Self {
            profile: None,
            is_named: false,
            files: String::new(),
            source: Source::Standard,
            is_environment: false,
            problem: None,
            secrets: Vec::new(),
        }
    }

    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// Whose credentials they are, in words that begin with a space; empty where that is not known.
    pub(crate) fn credentials(&self) -> String {
        match &self.profile {
            Some(profile) => format!(" of profile `{profile}` ({})", self.files),
            None if self.is_environment => " of the environment (AWS_ACCESS_KEY_ID)".to_owned(),
            None => String::new(),
        }
    }

    /// That there are no credentials, because of `cause`.
    pub(crate) fn without_credentials(&self, cause: Cause) -> Error {
        match &self.profile {
            Some(profile) => Error::ProfileCredentials {
                profile: profile.clone(),
                files: self.files.clone(),
                from: self.source,
                source: cause,
            },
            None => Error::Credentials { source: cause },
        }
    }

    /// What kept `error` from giving credentials, as far as that says.
    pub(crate) fn failure(&self, error: &CredentialsError, whole: &(dyn StdError + 'static)) -> Error {
        if self.source == Source::ConsoleSession {
            return Error::ConsoleSession { profile: self.profile.clone().unwrap_or_default() };
        }
        if let Some(problem) = &self.problem {
            return self.without_credentials(problem.clone().into());
        }
        if let Some(answer) = answer(whole) {
            let (action, answer) = answer;
            // A wrong code has the same error type as a missing permission.
            let is_of_code = answer.message.contains("MultiFactorAuthentication");
            return self.without_credentials(match is_of_code {
                true => answer.into(),
                false => Error::from_answer(action, answer).into(),
            });
        }
        // The instance metadata service is the last place to look; a computer that is no EC2 instance has none.
        let is_elsewhere = find_cause::<ImdsError>(whole).is_some() && self.source != Source::Named;
        match error {
            CredentialsError::CredentialsNotLoaded(_) if self.source != Source::SingleSignOn => {
                self.nothing()
            }
            _ if is_elsewhere => self.nothing(),
            _ => {
                let said = deepest(whole);
                let said = said.strip_prefix("ProfileFile provider could not be built: ").unwrap_or(&said);
                self.without_credentials(redacted(said, &self.secrets).into())
            }
        }
    }

    fn nothing(&self) -> Error {
        Error::NoCredentials { profile: self.profile.clone().filter(|_| self.is_named) }
    }
}

/// The environment variable that names the file with a token, for `sts:AssumeRoleWithWebIdentity`.
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// That the file with a token, which `setting` names, is not there.
fn missing_token_file(path: Option<std::ffi::OsString>, setting: &str) -> Option<String> {
    let path = std::path::PathBuf::from(path.filter(|path| !path.is_empty())?);
    let is_missing = matches!(path.try_exists(), Ok(false));
    is_missing.then(|| format!("{setting} names {}, and there is no such file", path.display()))
}

/// What AWS STS answered on the way to credentials, and to which call.
fn answer(error: &(dyn StdError + 'static)) -> Option<(&'static str, Answer)> {
    let of = |meta: &aws_smithy_types::error::ErrorMetadata| Answer {
        code: meta.code().unwrap_or_default().to_owned(),
        message: meta.message().unwrap_or_default().to_owned(),
        status: 403,
    };
    let role = find_cause::<AssumeRoleError>(error).map(|error| ("sts:AssumeRole", of(error.meta())));
    role.or_else(|| {
        let error = find_cause::<AssumeRoleWithWebIdentityError>(error)?;
        Some(("sts:AssumeRoleWithWebIdentity", of(error.meta())))
    })
    .filter(|(_, answer)| !answer.code.is_empty())
}
