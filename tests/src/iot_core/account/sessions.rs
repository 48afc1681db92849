//! Sessions of roles: the temporary keys that AWS STS gives (AWS STS API Reference, "AssumeRole").

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::{Account, Role};
use crate::secret;

/// How long the keys of a session are valid unless something else is asked for.
const DURATION: Duration = Duration::from_secs(3600);

/// Temporary keys.
#[derive(Clone, Debug)]
pub struct Session {
    /// `ASIA…`.
    pub access_key_id: String,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// Goes with every request.
    pub token: String,
    /// ARN of the assumed role, with the name of the session.
    pub arn: String,
    /// Until when they are valid.
    pub end: SystemTime,
}

/// What proves who asks for a session.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// Keys of the account, and perhaps a code of an MFA device: its ARN, and six digits.
    Keys(Option<(&'a str, &'a str)>),
    /// A token of an identity provider.
    Token(&'a str),
}

impl Account {
    /// A session of the role `role_arn`, named `name`. A code of a device is good for one session.
    ///
    /// # Errors
    /// Why it is denied.
    pub fn assume_role(
        &mut self,
        role_arn: &str,
        name: &str,
        proof: Proof<'_>,
        duration: Option<Duration>,
    ) -> Result<Session, String> {
        let role = self.roles.values().find(|role| self.role_arn(role) == role_arn);
        let action = match proof {
            Proof::Keys(_) => "sts:AssumeRole",
            Proof::Token(_) => "sts:AssumeRoleWithWebIdentity",
        };
        let trusts = role.and_then(|role| trusting(role, action));
        let Some(trust) = trusts else {
            let user = self.identity.iam_arn("user/testbed");
            return Err(format!(
                "User: {user} is not authorized to perform: {action} on resource: {role_arn}"
            ));
        };
        if let Proof::Keys(Some((device, code))) = proof {
            let is_code = code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit());
            if !is_code || !self.used_codes.insert((device.to_owned(), code.to_owned())) {
                return Err(
                    "MultiFactorAuthentication failed with invalid MFA one time pass code.".to_owned()
                );
            }
        }
        let needs_code = trust["Condition"]["Bool"]["aws:MultiFactorAuthPresent"] == "true";
        if needs_code && !matches!(proof, Proof::Keys(Some(_))) {
            let user = self.identity.iam_arn("user/testbed");
            return Err(format!(
                "User: {user} is not authorized to perform: {action} on resource: {role_arn}"
            ));
        }
        let role = role_arn.rsplit('/').next().unwrap_or_default();
        let partition = self.identity.partition();
        let account = &self.identity.account_id;
        let session = Session {
            access_key_id: format!("ASIA{}", secret::random()[..16].to_ascii_uppercase()),
            secret_access_key: secret::random(),
            token: secret::random(),
            arn: format!("arn:{partition}:sts::{account}:assumed-role/{role}/{name}"),
            end: SystemTime::now() + duration.unwrap_or(DURATION),
        };
        self.sessions.insert(session.access_key_id.clone(), session.clone());
        Ok(session)
    }

    /// The session that has this access key.
    pub fn session(&self, access_key_id: &str) -> Option<&Session> {
        self.sessions.get(access_key_id)
    }
}

/// The statement of the role's trust policy that allows the call.
fn trusting(role: &Role, action: &str) -> Option<Value> {
    let trust: Value = serde_json::from_str(&role.trust).ok()?;
    let statements = trust["Statement"].as_array().cloned().unwrap_or_default();
    let names = |statement: &Value| statement["Action"] == action;
    statements.into_iter().find(|statement| statement["Effect"] == "Allow" && names(statement))
}
