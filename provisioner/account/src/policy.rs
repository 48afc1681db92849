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
    /// Whether there is no function whose document it could be.
    pub is_default: bool,
}

/// What the function of this name or ARN creates the policy with; the default where there is no such function. `name` and
/// `template` stand in for what the function has: with both it is not asked.
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
    let of_function = match (name, &template) {
        (Some(_), Some(_)) => None,
        _ => registrar::settings_of(account, function).await?,
    };
    let is_default = of_function.is_none() && template.is_none();
    let settings = of_function.map_or_else(setup::defaults, Ok)?.with_names(name, None);
    let template = template.unwrap_or(settings.policy_template);
    let document = template.fill(&scope).map_err(|source| setup::Error::DevicePolicy { source })?;
    Ok(Expected { name: settings.policy, document, is_default })
}
