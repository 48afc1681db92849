//! IAM policies of the function's role: its permissions, and who may assume it.

use serde_json::Value;

use crate::name::{PolicyName, ThingGroupName, ThingTypeName};
use crate::scope::{Scope, substitute};

/// The role's policy with open placeholders: CloudFormation's pseudo parameters, and the parameters of
/// `infra/template.yaml` (`${PolicyName}`, `${ThingType}`, `${ThingGroup}`, `${FunctionName}`).
pub const LAMBDA_POLICY_TEMPLATE: &str = include_str!("../../infra/lambda-policy.json");

/// What the role's policy depends on besides the scope.
#[derive(Debug, Clone)]
pub struct RoleSettings<'a> {
    /// The Lambda function, whose log group the role writes to.
    pub function: &'a str,
    /// The policy that devices get.
    pub policy: &'a PolicyName,
    /// The type of the things.
    pub thing_type: &'a ThingTypeName,
    /// The group of the things, if there is one.
    pub thing_group: Option<&'a ThingGroupName>,
}

/// The identity policy of the function's role: the calls the registration makes, each on the narrowest resource it
/// supports (Service Authorization Reference, "Actions, resources, and condition keys for AWS IoT"), and its logs.
///
/// # Errors
/// Only if the template in `infra/` is not JSON.
pub fn lambda_role_policy(scope: &Scope, settings: &RoleSettings<'_>) -> Result<Value, serde_json::Error> {
    let mut document: Value = serde_json::from_str(LAMBDA_POLICY_TEMPLATE)?;
    if settings.thing_group.is_none()
        && let Some(statements) = document.get_mut("Statement").and_then(Value::as_array_mut)
    {
        statements.retain(|statement| statement["Sid"] != "ThingGroup");
    }
    scope.fill(&mut document);
    substitute(
        &mut document,
        &[
            ("${FunctionName}", settings.function),
            ("${PolicyName}", settings.policy.as_str()),
            ("${ThingType}", settings.thing_type.as_str()),
            ("${ThingGroup}", settings.thing_group.map_or("", ThingGroupName::as_str)),
        ],
    );
    Ok(document)
}

/// The trust policy of the function's role: AWS Lambda may assume it.
pub fn lambda_trust_policy() -> Value {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }],
    })
}

#[cfg(test)]
mod tests;
