//! What is repaired besides what `setup` knows: a deprecated thing type, the device policy, the registration of a device.

use aws_sdk_iot::types::PolicyVersion;
use jitr::registration::{Registration, Settings as RegistrationSettings};
use serde::Serialize;

use super::{Device, Diagnosis, Error, Finding, Verdict, device_policy};
use crate::setup::{other_rules, thing_type};
use crate::{Account, Error as AccountError, Resource};

/// Most versions of a policy (AWS IoT Core endpoints and quotas, "Policy versions").
const MOST_VERSIONS: usize = 5;

/// A repair that `setup` does not know.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Repair {
    /// The thing type was deprecated; it is taken into use again.
    ReviveThingType {
        /// Its name.
        thing_type: String,
    },
    /// The expected document becomes the default version of the device policy.
    RenewPolicy {
        /// Its name.
        policy: String,
        /// The version that is deleted: the default document of earlier versions of this tool, or, of five, the oldest that is
        /// not in force.
        #[serde(skip_serializing_if = "Option::is_none")]
        deleted_version: Option<String>,
        /// The default version that was looked at.
        #[serde(skip)]
        seen: String,
    },
    /// A rule that gets the events of registrations, and by which checks can be bypassed, is disabled.
    DisableRule {
        /// Its name.
        rule: String,
    },
    /// The certificate of the device is registered.
    Register {
        /// Its id.
        certificate_id: String,
    },
}

/// What can be repaired besides what `setup` knows: a deprecated thing type, the document of the device policy, and the
/// registration of `device`.
///
/// # Errors
/// Errors of the calls for the versions of the policy.
pub async fn repairs(
    account: &Account,
    diagnosis: &Diagnosis,
    device: Option<&Device>,
) -> Result<Vec<Repair>, AccountError> {
    let mut repairs = Vec::new();
    if diagnosis.is_repairable(&[Resource::ThingType]) {
        let thing_type = diagnosis.registration.thing_type.to_string();
        repairs.push(Repair::ReviveThingType { thing_type });
    }
    if diagnosis.is_repairable(&[Resource::DevicePolicy]) {
        repairs.push(renewal(account, &diagnosis.registration).await?);
    }
    let others = diagnosis.findings.iter().filter(|f| f.link == Resource::OtherRule && f.repairable);
    repairs.extend(others.map(|finding| Repair::DisableRule { rule: finding.name.clone() }));
    let device_links = [Resource::Certificate, Resource::AttachedPolicy, Resource::Thing];
    if device.is_some() && diagnosis.is_repairable(&device_links) {
        let certificates = diagnosis.findings.iter();
        let certificates =
            certificates.filter(|f| f.link == Resource::Certificate && (f.repairable || is_good(f)));
        repairs.extend(certificates.map(|finding| Repair::Register { certificate_id: finding.name.clone() }));
    }
    Ok(repairs)
}

/// A certificate that was revoked works, and is not to be registered again.
fn is_good(finding: &Finding) -> bool {
    finding.lets_through() && finding.verdict != Verdict::Dangerous
}

/// What making the expected document the default version of the policy takes.
async fn renewal(account: &Account, registration: &RegistrationSettings) -> Result<Repair, AccountError> {
    let (iot, policy) = (account.iot(), registration.policy.to_string());
    let (listed, stored) = tokio::join!(
        iot.list_policy_versions().policy_name(&policy).send(),
        iot.get_policy().policy_name(&policy).send()
    );
    let versions =
        listed.map_err(account.failed("iot:ListPolicyVersions"))?.policy_versions.unwrap_or_default();
    let stored = stored.map_err(account.failed("iot:GetPolicy"))?;
    let seen = stored.default_version_id.unwrap_or_default();
    let oldest = || {
        let others = versions.iter().filter(|version| version.version_id() != Some(&seen));
        others.min_by_key(|version| number(version)).and_then(|version| version.version_id.clone())
    };
    let scope = account.scope().await?;
    let document = stored.policy_document.unwrap_or_default();
    let deleted_version = match versions.len() >= MOST_VERSIONS {
        true => oldest(),
        // The policy is then as it was made, also for `teardown`.
        false => device_policy::is_former(registration, &scope, &document).then(|| seen.clone()),
    };
    Ok(Repair::RenewPolicy { policy, deleted_version, seen })
}

/// Versions are numbered in the order in which they were made.
fn number(version: &PolicyVersion) -> u64 {
    version.version_id().and_then(|id| id.parse().ok()).unwrap_or(u64::MAX)
}

impl Repair {
    /// Does it.
    ///
    /// # Errors
    /// Whatever the calls end in; [`Error::PolicyChanged`].
    pub async fn carry_out(&self, account: &Account, diagnosis: &Diagnosis) -> Result<(), AccountError> {
        match self {
            Self::ReviveThingType { thing_type } => thing_type::deprecate(account, thing_type, true).await,
            Self::RenewPolicy { policy, deleted_version, seen } => {
                renew_policy(account, policy, deleted_version.as_deref(), seen, &diagnosis.registration).await
            }
            Self::DisableRule { rule } => other_rules::disable(account, rule).await,
            Self::Register { certificate_id } => {
                let workflow = Registration::new(account.registry(), diagnosis.registration.clone());
                let registered = workflow.register_certificate(certificate_id).await;
                Ok(registered.map(drop).map_err(|error| Error::Registration(Box::new(error)))?)
            }
        }
    }
}

/// Makes the expected document the default version of the policy. One that somebody has changed since the look is left as it
/// is.
async fn renew_policy(
    account: &Account,
    policy: &str,
    deleted: Option<&str>,
    seen: &str,
    registration: &RegistrationSettings,
) -> Result<(), AccountError> {
    let (iot, scope) = (account.iot(), account.scope().await?);
    let stored =
        iot.get_policy().policy_name(policy).send().await.map_err(account.failed("iot:GetPolicy"))?;
    if stored.default_version_id.as_deref() != Some(seen) {
        return Err(Error::PolicyChanged { policy: policy.to_owned() }.into());
    }
    let wanted = registration.policy_template.fill(&scope);
    let wanted = wanted.map_err(|source| crate::setup::Error::DevicePolicy { source })?;
    let delete = async |version: &str| {
        let request = iot.delete_policy_version().policy_name(policy).policy_version_id(version);
        account.found("iot:DeletePolicyVersion", request.send().await).map(drop)
    };
    // The version in force can be deleted only after another one is.
    let (before, after) = match deleted {
        Some(version) if version == seen => (None, Some(version)),
        deleted => (deleted, None),
    };
    if let Some(version) = before {
        delete(version).await?;
    }
    let request = iot.create_policy_version().policy_name(policy).policy_document(wanted.to_string());
    let made = request.set_as_default(true).send().await;
    made.map_err(account.failed("iot:CreatePolicyVersion"))?;
    match after {
        Some(version) => delete(version).await,
        None => Ok(()),
    }
}
