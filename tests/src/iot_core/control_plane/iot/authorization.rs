//! What a certificate's policies allow, asked without a connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::Call;
use crate::iot_core::account::{Account, Error, Policy as Stored};
use crate::iot_core::policy::{Context, Decision, Policy, explain};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    principal: Option<String>,
    cognito_identity_pool_id: Option<String>,
    #[serde(default)]
    auth_infos: Vec<Question>,
    #[serde(default)]
    policy_names_to_add: Vec<String>,
    #[serde(default)]
    policy_names_to_skip: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    action_type: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
}

impl Body {
    fn of(call: &Call) -> Result<Self, ServiceError> {
        let body: Self = call.json()?;
        if body.cognito_identity_pool_id.is_some() {
            return Err(ServiceError::invalid_request(
                "the testbed has no Amazon Cognito; name a certificate as the principal",
            ));
        }
        Ok(body)
    }
}

pub(super) fn effective_policies(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body = Body::of(call)?;
    let thing = call.query("thingName");
    if body.principal.is_none() && thing.is_none() {
        return Err(ServiceError::invalid_request("name a principal, a thing, or both"));
    }
    let policies = account.effective_policies(body.principal.as_deref(), thing)?;
    let described = |policy: &Stored| {
        json!({
            "policyName": policy.name,
            "policyArn": account.policy_arn(&policy.name),
            "policyDocument": policy.document(),
        })
    };
    let policies: Vec<Value> = policies.into_iter().map(described).collect();
    Ok(Reply::json(json!({ "effectivePolicies": policies })))
}

pub(super) fn test(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body = Body::of(call)?;
    if !(1..=10).contains(&body.auth_infos.len()) {
        return Err(ServiceError::invalid_request("authInfos has one to ten entries"));
    }
    let mut policies: BTreeMap<String, Policy> = BTreeMap::new();
    let mut stored = account.effective_policies(body.principal.as_deref(), None)?;
    stored.retain(|policy| !body.policy_names_to_skip.contains(&policy.name));
    for name in &body.policy_names_to_add {
        stored.push(account.policy(name)?);
    }
    for policy in stored {
        let parsed = Policy::named(&policy.name, policy.document());
        let parsed =
            parsed.map_err(|error| Error::MalformedPolicy { reason: format!("{}: {error}", policy.name) })?;
        policies.insert(policy.name.clone(), parsed);
    }
    let policies: Vec<Policy> = policies.into_values().collect();
    let certificate_id = body.principal.as_deref().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
    let client_id = call.query("clientId").unwrap_or_default();
    let context = Context {
        client_id,
        certificate_id,
        things: &account.attached_things(certificate_id),
        source_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        keys: &account.policy_keys(certificate_id, client_id),
    };
    let mut results = Vec::new();
    for question in &body.auth_infos {
        let action = match question.action_type.as_deref() {
            Some("CONNECT") => "iot:Connect",
            Some("PUBLISH") => "iot:Publish",
            Some("SUBSCRIBE") => "iot:Subscribe",
            Some("RECEIVE") => "iot:Receive",
            other => return Err(ServiceError::invalid_request(format!("actionType {other:?} is not known"))),
        };
        results.push(answer(account, question, action, &policies, &context));
    }
    Ok(Reply::json(json!({ "authResults": results })))
}

/// The answer to one question, which may name several resources: the least favourable decision counts.
fn answer(
    account: &Account,
    question: &Question,
    action: &str,
    policies: &[Policy],
    context: &Context<'_>,
) -> Value {
    let explained = question.resources.iter().map(|resource| explain(policies, action, resource, context));
    let explained: Vec<_> = explained.collect();
    let decided = |decision| explained.iter().any(|explanation| explanation.decision == decision);
    let decision = match (decided(Decision::ExplicitDeny), decided(Decision::ImplicitDeny)) {
        (true, _) => "EXPLICIT_DENY",
        (false, true) => "IMPLICIT_DENY",
        (false, false) => "ALLOWED",
    };
    let with = |decision: Decision| -> Vec<Value> {
        let decides = |policy: &&Policy| {
            let own = std::slice::from_ref(*policy);
            question
                .resources
                .iter()
                .any(|resource| explain(own, action, resource, context).decision == decision)
        };
        let summary = |policy: &Policy| json!({ "policyName": policy.name(), "policyArn": account.policy_arn(policy.name()) });
        policies.iter().filter(decides).map(summary).collect()
    };
    let mut missing: Vec<&String> = explained.iter().flat_map(|explanation| &explanation.missing).collect();
    missing.sort_unstable();
    missing.dedup();
    json!({
        "authInfo": { "actionType": question.action_type, "resources": question.resources },
        "allowed": { "policies": with(Decision::Allow) },
        "denied": {
            "implicitDeny": { "policies": with(Decision::ImplicitDeny) },
            "explicitDeny": { "policies": with(Decision::ExplicitDeny) },
        },
        "authDecision": decision,
        "missingContextValues": missing,
    })
}
