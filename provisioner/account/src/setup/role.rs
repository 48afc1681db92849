//! The role of the function: its permissions, and that AWS Lambda may assume it.

use aws_sdk_iam::types::Tag;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::link::Link;
use super::{holds, tags, wrong};
use crate::Resource;
use crate::{Account, Error as AccountError};

/// Name of the inline policy.
pub(crate) const INLINE: &str = "jitr";

/// The role as the account has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) trust: Value,
    /// The inline policy, if it is there.
    policy: Option<Value>,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Leave,
    Create,
    Repair { trust: bool, policy: bool },
}

/// The role and its inline policy, if they are there.
pub(crate) async fn find(account: &Account, name: &str) -> Result<Option<Found>, AccountError> {
    let iam = account.iam();
    let role = async { account.found("iam:GetRole", iam.get_role().role_name(name).send().await) };
    let policy = async {
        let answer = iam.get_role_policy().role_name(name).policy_name(INLINE).send().await;
        account.found("iam:GetRolePolicy", answer)
    };
    let (role, policy) = tokio::try_join!(role, policy)?;
    Ok(role.and_then(|answer| answer.role).map(|role| Found {
        trust: document(role.assume_role_policy_document().unwrap_or_default()),
        policy: policy.map(|answer| document(answer.policy_document())),
    }))
}

/// IAM returns documents percent-encoded (RFC 3986). What is no JSON equals no document, and is repaired.
pub(crate) fn document(text: &str) -> Value {
    let text = percent_decode_str(text).decode_utf8_lossy();
    serde_json::from_str(&text).unwrap_or_default()
}

pub(crate) fn decide(found: Option<&Found>, policy: &Value) -> Step {
    let Some(found) = found else { return Step::Create };
    let trust = !trusts_lambda(&found.trust);
    let policy = found.policy.as_ref() != Some(policy);
    if trust || policy { Step::Repair { trust, policy } } else { Step::Leave }
}

pub(crate) fn trusts_lambda(trust: &Value) -> bool {
    trust["Statement"].as_array().is_some_and(|statements| {
        statements.iter().any(|statement| {
            statement["Effect"] == "Allow"
                && holds(&statement["Principal"]["Service"], "lambda.amazonaws.com")
                && holds(&statement["Action"], "sts:AssumeRole")
        })
    })
}

impl Step {
    pub(crate) fn link(&self, name: &str) -> Link {
        let changes = match *self {
            Self::Leave | Self::Create => Vec::new(),
            Self::Repair { trust, policy } => wrong(&[
                (trust, "Lambda may not assume it"),
                (policy, "its policy is not what the function needs"),
            ]),
        };
        Link::new(Resource::Role, name, *self != Self::Create, changes)
    }

    pub(crate) async fn apply(
        &self,
        account: &Account,
        name: &str,
        policy: &Value,
        ca: Option<&str>,
    ) -> Result<(), AccountError> {
        let iam = account.iam();
        let trust_policy = jitr::iam::lambda_trust_policy().to_string();
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
                .description("Lets the function JITR register boards in AWS IoT Core")
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
        if matches!(self, Self::Create | Self::Repair { policy: true, .. }) {
            iam.put_role_policy()
                .role_name(name)
                .policy_name(INLINE)
                .policy_document(policy.to_string())
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

    fn found() -> Found {
        Found { trust: jitr::iam::lambda_trust_policy(), policy: Some(json!({"Statement": []})) }
    }

    #[test]
    fn a_role_that_is_right_is_left_and_a_missing_one_created() {
        let policy = json!({"Statement": []});
        assert_eq!(decide(Some(&found()), &policy).link("r").action, Action::Leave);
        assert_eq!(decide(None, &policy).link("r").action, Action::Create);
    }

    #[test]
    fn trust_and_policy_are_mended_each_by_itself() {
        let policy = json!({"Statement": []});
        let untrusting = Found { trust: json!({"Statement": []}), ..found() };
        assert_eq!(decide(Some(&untrusting), &policy), Step::Repair { trust: true, policy: false });
        let bare = Found { policy: None, ..found() };
        assert_eq!(decide(Some(&bare), &policy), Step::Repair { trust: false, policy: true });
    }

    #[test]
    fn documents_are_read_percent_encoded_or_not() {
        assert_eq!(document("%7B%22a%22%3A%20%22b%2Bc%22%7D"), json!({"a": "b+c"}));
        assert_eq!(document(r#"{"a": 1}"#), json!({"a": 1}));
        assert_eq!(document("nonsense"), Value::Null);
    }
}
