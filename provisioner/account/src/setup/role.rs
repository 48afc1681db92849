//! A role: its permissions, and which service may assume it.

use std::collections::BTreeMap;

use aws_sdk_iam::types::Tag;
use futures::future;
use percent_encoding::percent_decode_str;
use serde_json::Value;

pub(crate) mod granted;

use super::link::Link;
use super::{holds, tags};
use crate::Resource;
use crate::{Account, Error as AccountError};

/// Name of the inline policy of the function's role that is for registrations.
pub(crate) const INLINE: &str = "jitr";

/// Who assumes the function's role.
pub(crate) const LAMBDA: &str = "lambda.amazonaws.com";
/// Who assumes the role of the topic rule.
pub(crate) const IOT: &str = "iot.amazonaws.com";

/// A role as it has to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// The service that assumes it.
    pub(crate) service: &'static str,
    pub(crate) trust: Value,
    pub(crate) description: &'static str,
    /// Inline policies by name. Others are left alone.
    pub(crate) policies: BTreeMap<&'static str, Value>,
}

/// The role as the account has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) trust: Value,
    /// Of the inline policies that are wanted, those that are there.
    policies: BTreeMap<&'static str, Value>,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Leave,
    Create,
    Repair {
        trust: bool,
        /// The names of inline policies that are missing or differ.
        policies: Vec<&'static str>,
    },
}

/// The role and the inline policies of these names, as far as they are there.
pub(crate) async fn find(
    account: &Account,
    name: &str,
    policies: &[&'static str],
) -> Result<Option<Found>, AccountError> {
    let iam = account.iam();
    let role = async { account.found("iam:GetRole", iam.get_role().role_name(name).send().await) };
    let policies = policies.iter().map(|policy| {
        let iam = &iam;
        async move {
            let answer = iam.get_role_policy().role_name(name).policy_name(*policy).send().await;
            let found = account.found("iam:GetRolePolicy", answer)?;
            Ok::<_, AccountError>(found.map(|answer| (*policy, document(answer.policy_document()))))
        }
    });
    let (role, policies) = future::try_join(role, future::try_join_all(policies)).await?;
    Ok(role.and_then(|answer| answer.role).map(|role| Found {
        trust: document(role.assume_role_policy_document().unwrap_or_default()),
        policies: policies.into_iter().flatten().collect(),
    }))
}

/// IAM returns documents percent-encoded (RFC 3986). What is no JSON equals no document, and is repaired.
pub(crate) fn document(text: &str) -> Value {
    let text = percent_decode_str(text).decode_utf8_lossy();
    serde_json::from_str(&text).unwrap_or_default()
}

pub(crate) fn decide(found: Option<&Found>, wanted: &Wanted) -> Step {
    let Some(found) = found else { return Step::Create };
    let trust = !trusts(&found.trust, wanted.service);
    let differs = |name: &&&str| found.policies.get(**name) != wanted.policies.get(**name);
    let policies: Vec<_> = wanted.policies.keys().filter(differs).copied().collect();
    if trust || !policies.is_empty() { Step::Repair { trust, policies } } else { Step::Leave }
}

/// Whether a service may assume a role with this trust policy.
pub(crate) fn trusts(trust: &Value, service: &str) -> bool {
    trust["Statement"].as_array().is_some_and(|statements| {
        statements.iter().any(|statement| {
            statement["Effect"] == "Allow"
                && holds(&statement["Principal"]["Service"], service)
                && holds(&statement["Action"], "sts:AssumeRole")
        })
    })
}

impl Step {
    pub(crate) fn link(&self, wanted: &Wanted) -> Link {
        let mut changes = Vec::new();
        if let Self::Repair { trust, policies } = self {
            let who = if wanted.service == LAMBDA { "Lambda" } else { "AWS IoT" };
            changes.extend(trust.then(|| format!("{who} may not assume it")));
            changes.extend(policies.iter().map(|policy| match *policy {
                INLINE => "its policy is not what the function needs".to_owned(),
                other => format!("its policy {other} is missing or differs"),
            }));
        }
        Link::new(Resource::Role, &wanted.name, *self != Self::Create, changes)
    }

    pub(crate) async fn apply(
        &self,
        account: &Account,
        wanted: &Wanted,
        ca: Option<&str>,
    ) -> Result<(), AccountError> {
        let (iam, name) = (account.iam(), &wanted.name);
        let trust_policy = wanted.trust.to_string();
        if *self == Self::Create {
            const ACTION: &str = "iam:CreateRole";
            let tags = tags(ca)
                .into_iter()
                .map(|(key, value)| Tag::builder().key(key).value(value).build())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| AccountError::Incomplete { action: ACTION, what: "the key of a tag" })?;
            iam.create_role()
                .role_name(name)
                .assume_role_policy_document(&trust_policy)
                .description(wanted.description)
                .set_tags(Some(tags))
                .send()
                .await
                .map_err(account.failed(ACTION))?;
        }
        if let Self::Repair { trust: true, .. } = self {
            iam.update_assume_role_policy()
                .role_name(name)
                .policy_document(&trust_policy)
                .send()
                .await
                .map_err(account.failed("iam:UpdateAssumeRolePolicy"))?;
        }
        let policies: Vec<_> = match self {
            Self::Leave => Vec::new(),
            Self::Create => wanted.policies.keys().copied().collect(),
            Self::Repair { policies, .. } => policies.clone(),
        };
        for policy in policies {
            iam.put_role_policy()
                .role_name(name)
                .policy_name(policy)
                .policy_document(wanted.policies[policy].to_string())
                .send()
                .await
                .map_err(account.failed("iam:PutRolePolicy"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::link::Action;
    use serde_json::json;

    fn wanted() -> Wanted {
        let policies = [(INLINE, json!({"Statement": []})), ("more", json!({"Statement": [1]}))];
        Wanted {
            name: "r".into(),
            service: LAMBDA,
            trust: jitr::iam::lambda_trust_policy(),
            description: "a role",
            policies: policies.into(),
        }
    }

    fn found() -> Found {
        Found { trust: wanted().trust, policies: wanted().policies }
    }

    #[test]
    fn a_role_that_is_right_is_left_and_a_missing_one_created() {
        assert_eq!(decide(Some(&found()), &wanted()).link(&wanted()).action, Action::Leave);
        assert_eq!(decide(None, &wanted()).link(&wanted()).action, Action::Create);
    }

    #[test]
    fn trust_and_each_policy_are_mended_by_themselves() {
        let untrusting = Found { trust: json!({"Statement": []}), ..found() };
        assert_eq!(decide(Some(&untrusting), &wanted()), Step::Repair { trust: true, policies: Vec::new() });
        let mut bare = found();
        bare.policies.remove("more");
        let step = decide(Some(&bare), &wanted());
        assert_eq!(step, Step::Repair { trust: false, policies: vec!["more"] });
        assert_eq!(step.link(&wanted()).details, ["its policy more is missing or differs"]);
        assert!(!trusts(&wanted().trust, IOT));
    }

    #[test]
    fn documents_are_read_percent_encoded_or_not() {
        assert_eq!(document("%7B%22a%22%3A%20%22b%2Bc%22%7D"), json!({"a": "b+c"}));
        assert_eq!(document(r#"{"a": 1}"#), json!({"a": 1}));
        assert_eq!(document("nonsense"), Value::Null);
    }
}
