//! The policy that devices get, as it would be created.

use jitr::name::PolicyName;
use jitr::policy::{PolicyDocument, PolicyTemplate};

use crate::{Account, Error as AccountError, registrar, setup};

/// A policy and its document.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its name.
    pub name: PolicyName,
    /// The document, with partition, Region and account filled in.
    pub document: PolicyDocument,
}

/// What the function of this name or ARN creates the policy with; the default where there is no such function. `name` and
/// `template` stand in for what the function has.
///
/// # Errors
/// [`crate::replay::Error::Settings`], [`setup::Error::DevicePolicy`], and errors of the calls.
pub async fn expected(
    account: &Account,
    function: &str,
    name: Option<&PolicyName>,
    template: Option<PolicyTemplate>,
) -> Result<Expected, AccountError> {
    let scope = account.scope().await?;
    let settings = match (name, &template) {
        (Some(_), Some(_)) => setup::defaults()?,
        _ => registrar::settings(account, function).await?,
    };
    let settings = settings.with_names(name, None);
    let template = template.unwrap_or(settings.policy_template);
    let document = template.fill(&scope).map_err(|source| setup::Error::DevicePolicy { source })?;
    Ok(Expected { name: settings.policy, document })
}
