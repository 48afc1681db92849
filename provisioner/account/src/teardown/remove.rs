//! Removing one entry of the list. What is gone already counts as done.

use aws_sdk_iot::types::{AutoRegistrationStatus, CaCertificateStatus};
use jitr::policy::PolicyTemplate;
use jitr::scope::Scope;

use super::devices::Device;
use super::{CHANGED, Item, Made, Outcome, STAYS, What, devices, find};
use crate::account::existing;
use crate::setup::{self, thing_type};
use crate::{Account, Error as AccountError, queue};

pub(super) async fn remove(account: &Account, scope: &Scope, item: &Item) -> Result<Outcome, AccountError> {
    let (iot, lambda, name) = (account.iot(), account.lambda(), item.name.as_str());
    match &item.what {
        What::Alarm => {
            let answer = account.cloudwatch().delete_alarms().alarm_names(name).send().await;
            account.found("cloudwatch:DeleteAlarms", answer).map(outcome)
        }
        What::TopicRule => {
            let answer = iot.delete_topic_rule().rule_name(name).send().await;
            account.found("iot:DeleteTopicRule", answer).map(outcome)
        }
        What::Permission { function } => {
            let request = lambda.remove_permission().function_name(function).statement_id(name);
            account.found("lambda:RemovePermission", request.send().await).map(outcome)
        }
        What::SwitchOff => {
            let request = iot.update_ca_certificate().certificate_id(name);
            let request = request
                .new_status(CaCertificateStatus::Inactive)
                .new_auto_registration_status(AutoRegistrationStatus::Disable);
            account.found("iot:UpdateCACertificate", request.send().await).map(outcome)
        }
        What::Certificate { known, things } => devices::remove(account, name, known.as_deref(), things).await,
        What::Detach { things } => match Device::look(account, name).await? {
            Some(found) => devices::detach(account, &found, things).await.map(|()| Outcome::Removed),
            None => Ok(Outcome::Gone),
        },
        What::Revoked => Ok(Outcome::Kept(STAYS.to_owned())),
        What::DevicePolicy { made, .. } => policy(account, scope, name, made).await,
        What::ThingType => remove_thing_type(account, scope, name).await,
        What::Function => {
            let answer = lambda.delete_function().function_name(name).send().await;
            account.found("lambda:DeleteFunction", answer).map(outcome)
        }
        What::Mapping(id) => {
            let answer = lambda.delete_event_source_mapping().uuid(id).send().await;
            account.found("lambda:DeleteEventSourceMapping", answer).map(outcome)
        }
        What::Queue(url) => {
            let answer = account.sqs().delete_queue().queue_url(url).send().await;
            match answer.map_err(account.failed("sqs:DeleteQueue")) {
                Err(error) if queue::is_missing(&error) => Ok(Outcome::Gone),
                answer => answer.map(|_| Outcome::Removed),
            }
        }
        What::Role { .. } => remove_role(account, name).await,
        What::SignerCa => {
            let answer = iot.delete_ca_certificate().certificate_id(name).send().await;
            account.found("iot:DeleteCACertificate", answer).map(outcome)
        }
    }
}

/// What was still there has been removed.
fn outcome<T>(removed: Option<T>) -> Outcome {
    removed.map_or(Outcome::Gone, |_| Outcome::Removed)
}

/// What there is of a policy that is to be removed.
pub(super) enum PolicyFound {
    Gone,
    /// Somebody works with it.
    Changed,
    /// The version in force is as it was made.
    AsMade {
        /// The ids of its other versions.
        others: Vec<String>,
    },
}

/// Looks whether a policy is as it was made. One that a tag says is ours is, as long as it has one version.
pub(super) async fn look_at_policy(
    account: &Account,
    scope: &Scope,
    name: &str,
    made: &Made,
) -> Result<PolicyFound, AccountError> {
    let iot = account.iot();
    let versions = iot.list_policy_versions().policy_name(name).send().await;
    let Some(versions) = account.found("iot:ListPolicyVersions", versions)? else {
        return Ok(PolicyFound::Gone);
    };
    let others = versions.policy_versions().iter().filter(|version| !version.is_default_version());
    let others: Vec<String> = others.filter_map(|version| version.version_id.clone()).collect();
    if made.is_tagged && others.is_empty() {
        return Ok(PolicyFound::AsMade { others });
    }
    let stored = iot.get_policy().policy_name(name).send().await;
    let Some(stored) = account.found("iot:GetPolicy", stored)? else { return Ok(PolicyFound::Gone) };
    let stored = stored.policy_document.unwrap_or_default();
    let former = PolicyTemplate::former().ok();
    let templates = [made.registration.as_ref().map(|settings| &settings.policy_template), former.as_ref()];
    let is_same =
        |template: &PolicyTemplate| template.fill(scope).is_ok_and(|document| document.is_same_as(&stored));
    Ok(match templates.into_iter().flatten().any(is_same) {
        true => PolicyFound::AsMade { others },
        false => PolicyFound::Changed,
    })
}

/// A policy is removed if it is as it was made and not attached.
async fn policy(account: &Account, scope: &Scope, name: &str, made: &Made) -> Result<Outcome, AccountError> {
    let others = match look_at_policy(account, scope, name, made).await? {
        PolicyFound::Gone => return Ok(Outcome::Gone),
        PolicyFound::Changed => return Ok(Outcome::Kept(CHANGED.to_owned())),
        PolicyFound::AsMade { others } => others,
    };
    let iot = account.iot();
    let targets = |marker| iot.list_targets_for_policy().policy_name(name).set_marker(marker).send();
    let targets = account.all("iot:ListTargetsForPolicy", targets, |page| page.targets).await;
    let Some(targets) = existing(targets)? else { return Ok(Outcome::Gone) };
    if !targets.is_empty() {
        return Ok(Outcome::Kept(format!("is attached to {} that stay", targets.len())));
    }
    for version in others {
        let request = iot.delete_policy_version().policy_name(name).policy_version_id(version);
        account.found("iot:DeletePolicyVersion", request.send().await)?;
    }
    let deleted = iot.delete_policy().policy_name(name).send().await;
    account.found("iot:DeletePolicy", deleted).map(outcome)
}

/// A thing type is removed in two steps with five minutes between them. The tag shows the next run that the first is done.
async fn remove_thing_type(account: &Account, scope: &Scope, name: &str) -> Result<Outcome, AccountError> {
    let Some(deprecated) = thing_type::is_deprecated(account, name).await? else { return Ok(Outcome::Gone) };
    let iot = account.iot();
    let things = |token| iot.list_things().thing_type_name(name).set_next_token(token).send();
    let things = account.some("iot:ListThings", things, |page| page.things, 1).await;
    // Some stand-ins answer that a type does not exist.
    let Some(things) = existing(things)? else { return Ok(Outcome::Gone) };
    if !things.is_empty() {
        return Ok(Outcome::Kept("other things have it".to_owned()));
    }
    if !deprecated {
        let arn = scope.arn(format_args!("thingtype/{name}"));
        let tags = setup::iot_tags("iot:TagResource", None)?;
        let tagged = iot.tag_resource().resource_arn(arn).set_tags(Some(tags)).send().await;
        if account.found("iot:TagResource", tagged)?.is_none() {
            return Ok(Outcome::Gone);
        }
        thing_type::deprecate(account, name, false).await?;
    }
    let deleted = iot.delete_thing_type().thing_type_name(name).send().await;
    match deleted.map_err(account.failed("iot:DeleteThingType")) {
        Err(error) if error.has_code("InvalidRequestException") => Ok(Outcome::Waiting(
            "is deprecated; AWS removes it five minutes later at the earliest".to_owned(),
        )),
        deleted => existing(deleted).map(outcome),
    }
}

/// A role is removed after its policies.
async fn remove_role(account: &Account, name: &str) -> Result<Outcome, AccountError> {
    let iam = account.iam();
    let attached = |marker| iam.list_attached_role_policies().role_name(name).set_marker(marker).send();
    let attached = account.all("iam:ListAttachedRolePolicies", attached, |page| page.attached_policies).await;
    let Some(attached) = existing(attached)? else { return Ok(Outcome::Gone) };
    let inline = find::role_policies(account, name).await?;
    if let Some(stays) = find::foreign(&inline) {
        return Ok(Outcome::Kept(stays));
    }
    for arn in attached.iter().filter_map(|policy| policy.policy_arn()) {
        let request = iam.detach_role_policy().role_name(name).policy_arn(arn);
        request.send().await.map_err(account.failed("iam:DetachRolePolicy"))?;
    }
    for policy in inline {
        let request = iam.delete_role_policy().role_name(name).policy_name(policy);
        request.send().await.map_err(account.failed("iam:DeleteRolePolicy"))?;
    }
    account.found("iam:DeleteRole", iam.delete_role().role_name(name).send().await).map(outcome)
}
