//! What a role allows, by its inline and its attached policies, whoever made it.

use jitr::scope::Arn;
use serde_json::Value;

use super::document;
use crate::policy_evaluation::{Request, is_allowed, permissions};
use crate::{Account, Error as AccountError};

/// What a role allows, inline and attached.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Granted {
    pub(crate) trust: Value,
    pub(crate) documents: Vec<Value>,
    /// Attached policies that could not be read.
    pub(crate) unread: Vec<String>,
    /// The account that the role is of, and all that it needs.
    pub(crate) account: String,
}

impl Granted {
    /// The permissions of these documents that it does not allow: action and resource.
    pub(crate) fn missing<'a>(&self, needed: &'a [Value]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let needed = needed.iter().flat_map(permissions);
        needed.filter(|(action, resource)| {
            let keys = &[("aws:ResourceAccount", Some(self.account.as_str()))];
            let request = Request { action, resource, caller: None, keys, doubt: false };
            !is_allowed(&self.documents, &request)
        })
    }
}

/// Reads the role and all its policies; `None` if it does not exist.
pub(crate) async fn find(account: &Account, name: &str) -> Result<Option<Granted>, AccountError> {
    let iam = account.iam();
    let found = account.found("iam:GetRole", iam.get_role().role_name(name).send().await)?;
    let Some(found) = found.and_then(|answer| answer.role) else { return Ok(None) };
    let mut role = Granted {
        trust: document(found.assume_role_policy_document().unwrap_or_default()),
        account: Arn::parse(found.arn()).map(|arn| arn.account.to_owned()).unwrap_or_default(),
        ..Granted::default()
    };
    let inline = |marker| iam.list_role_policies().role_name(name).set_marker(marker).send();
    let inline = account.all("iam:ListRolePolicies", inline, |page| page.policy_names).await?;
    for policy in inline {
        let answer = iam.get_role_policy().role_name(name).policy_name(policy).send().await;
        let answer = answer.map_err(account.failed("iam:GetRolePolicy"))?;
        role.documents.push(document(answer.policy_document()));
    }
    let attached = |marker| iam.list_attached_role_policies().role_name(name).set_marker(marker).send();
    let attached =
        account.all("iam:ListAttachedRolePolicies", attached, |page| page.attached_policies).await?;
    for arn in attached.iter().filter_map(|policy| policy.policy_arn()) {
        match managed(account, arn).await {
            Ok(document) => role.documents.push(document),
            Err(_) => role.unread.push(arn.to_owned()),
        }
    }
    Ok(Some(role))
}

/// The default version of a managed policy.
async fn managed(account: &Account, arn: &str) -> Result<Value, AccountError> {
    let iam = account.iam();
    let policy = iam.get_policy().policy_arn(arn).send().await.map_err(account.failed("iam:GetPolicy"))?;
    let version = policy.policy.and_then(|policy| policy.default_version_id).unwrap_or_default();
    let answer = iam.get_policy_version().policy_arn(arn).version_id(version).send().await;
    let answer = answer.map_err(account.failed("iam:GetPolicyVersion"))?;
    Ok(document(answer.policy_version().and_then(|version| version.document()).unwrap_or_default()))
}
