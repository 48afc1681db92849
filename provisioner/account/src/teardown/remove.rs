//! Removing one entry of the list. What is gone already counts as done.

use aws_sdk_iot::types::{AutoRegistrationStatus, CaCertificateStatus, Tag};
use jitr::registration::Settings as Registration;
use jitr::scope::Scope;

use super::{Item, Outcome, What, devices};
use crate::setup::{self, role};
use crate::{Account, Error as AccountError};

pub(super) async fn remove(account: &Account, scope: &Scope, item: &Item) -> Result<Outcome, AccountError> {
    let (iot, lambda, name) = (account.iot(), account.lambda(), item.name.as_str());
    match &item.what {
        What::TopicRule => gone_or(
            iot.delete_topic_rule()
                .rule_name(name)
                .send()
                .await
                .map_err(account.failed("iot:DeleteTopicRule")),
        ),
        What::Permission { function } => gone_or(
            lambda
                .remove_permission()
                .function_name(function)
                .statement_id(name)
                .send()
                .await
                .map_err(account.failed("lambda:RemovePermission")),
        ),
        What::SwitchOff => {
            let request = iot.update_ca_certificate().certificate_id(name);
            let request = request
                .new_status(CaCertificateStatus::Inactive)
                .new_auto_registration_status(AutoRegistrationStatus::Disable);
            gone_or(request.send().await.map_err(account.failed("iot:UpdateCACertificate")))
        }
        What::Certificate { thing_types } => devices::remove(account, name, thing_types).await,
        What::DevicePolicy { registration } => policy(account, scope, name, registration.as_deref()).await,
        What::ThingType => thing_type(account, scope, name).await,
        What::Function => gone_or(
            lambda
                .delete_function()
                .function_name(name)
                .send()
                .await
                .map_err(account.failed("lambda:DeleteFunction")),
        ),
        What::Role => remove_role(account, name).await,
        What::SignerCa => gone_or(
            iot.delete_ca_certificate()
                .certificate_id(name)
                .send()
                .await
                .map_err(account.failed("iot:DeleteCACertificate")),
        ),
    }
}

fn gone_or<T>(answer: Result<T, AccountError>) -> Result<Outcome, AccountError> {
    match answer {
        Ok(_) => Ok(Outcome::Removed),
        Err(error) if error.has_code("ResourceNotFoundException") || error.has_code("NoSuchEntity") => {
            Ok(Outcome::Gone)
        }
        Err(error) => Err(error),
    }
}

/// A policy goes if nothing uses it and nobody has changed it. `registration` makes one like it, where no tag says that it
/// is ours.
async fn policy(
    account: &Account,
    scope: &Scope,
    name: &str,
    registration: Option<&Registration>,
) -> Result<Outcome, AccountError> {
    let iot = account.iot();
    let targets = iot.list_targets_for_policy().policy_name(name).into_paginator().items().send();
    let targets: Vec<String> =
        match targets.collect::<Result<_, _>>().await.map_err(account.failed("iot:ListTargetsForPolicy")) {
            Err(error) if error.has_code("ResourceNotFoundException") => return Ok(Outcome::Gone),
            targets => targets?,
        };
    if !targets.is_empty() {
        return Ok(Outcome::Kept(format!("is attached to {} that stay", targets.len())));
    }
    let kept = || Outcome::Kept("is not as it was made: somebody works with it".to_owned());
    if let Some(registration) = registration {
        let stored = iot.get_policy().policy_name(name).send().await;
        let stored = match stored.map_err(account.failed("iot:GetPolicy")) {
            Err(error) if error.has_code("ResourceNotFoundException") => return Ok(Outcome::Gone),
            stored => stored?.policy_document.unwrap_or_default(),
        };
        let made = registration.policy_template.fill(scope).is_ok_and(|made| made.is_same_as(&stored));
        if !made {
            return Ok(kept());
        }
    }
    let versions = iot.list_policy_versions().policy_name(name).send().await;
    let versions = versions.map_err(account.failed("iot:ListPolicyVersions"))?;
    if versions.policy_versions().len() > 1 {
        return Ok(kept());
    }
    gone_or(iot.delete_policy().policy_name(name).send().await.map_err(account.failed("iot:DeletePolicy")))
}

/// A thing type goes in two steps with five minutes between them. The tag tells the next run that the first is done.
async fn thing_type(account: &Account, scope: &Scope, name: &str) -> Result<Outcome, AccountError> {
    let iot = account.iot();
    let mut things = iot.list_things().thing_type_name(name).into_paginator().items().send();
    match things.next().await.transpose().map_err(account.failed("iot:ListThings")) {
        Ok(None) => {}
        Ok(Some(_)) => return Ok(Outcome::Kept("other things have it".to_owned())),
        // Some stand-ins answer so for a type that is gone.
        Err(error) if error.has_code("ResourceNotFoundException") => return Ok(Outcome::Gone),
        Err(error) => return Err(error),
    }
    let tag = Tag::builder()
        .key(setup::CREATED_BY)
        .value(setup::TOOL)
        .build()
        .map_err(|_| AccountError::Incomplete { action: "iot:TagResource", what: "the key of a tag" })?;
    let arn = scope.arn(format_args!("thingtype/{name}"));
    let tagged = iot.tag_resource().resource_arn(arn).tags(tag).send().await;
    match tagged.map_err(account.failed("iot:TagResource")) {
        Err(error) if error.has_code("ResourceNotFoundException") => return Ok(Outcome::Gone),
        tagged => drop(tagged?),
    }
    let deprecated = iot.deprecate_thing_type().thing_type_name(name).send().await;
    deprecated.map_err(account.failed("iot:DeprecateThingType"))?;
    let deleted = iot.delete_thing_type().thing_type_name(name).send().await;
    match deleted.map_err(account.failed("iot:DeleteThingType")) {
        Err(error) if error.has_code("InvalidRequestException") => Ok(Outcome::Waiting(
            "is deprecated now; AWS removes it five minutes later at the earliest".to_owned(),
        )),
        deleted => gone_or(deleted),
    }
}

/// A role goes after its policies.
async fn remove_role(account: &Account, name: &str) -> Result<Outcome, AccountError> {
    let iam = account.iam();
    let attached = iam.list_attached_role_policies().role_name(name).into_paginator().items().send();
    let attached: Vec<_> = match attached
        .collect::<Result<_, _>>()
        .await
        .map_err(account.failed("iam:ListAttachedRolePolicies"))
    {
        Err(error) if error.has_code("NoSuchEntity") => return Ok(Outcome::Gone),
        attached => attached?,
    };
    for arn in attached.iter().filter_map(|policy| policy.policy_arn()) {
        let request = iam.detach_role_policy().role_name(name).policy_arn(arn);
        request.send().await.map_err(account.failed("iam:DetachRolePolicy"))?;
    }
    let inline = iam.list_role_policies().role_name(name).into_paginator().items().send();
    let inline: Vec<String> =
        inline.collect::<Result<_, _>>().await.map_err(account.failed("iam:ListRolePolicies"))?;
    if let Some(other) = inline.iter().find(|policy| *policy != role::INLINE) {
        return Ok(Outcome::Kept(format!("somebody gave it another policy, {other}")));
    }
    for policy in inline {
        let request = iam.delete_role_policy().role_name(name).policy_name(policy);
        request.send().await.map_err(account.failed("iam:DeleteRolePolicy"))?;
    }
    gone_or(iam.delete_role().role_name(name).send().await.map_err(account.failed("iam:DeleteRole")))
}
