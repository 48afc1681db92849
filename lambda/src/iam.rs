//! IAM policies of the function's role: its permissions, and who may assume it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::description::{Description, NameTemplate};
use crate::name::{PolicyName, ThingTypeName};
use crate::scope::{Scope, substitute};

/// The role's policy with open placeholders: CloudFormation's pseudo parameters, and the parameters of
/// `infra/template.yaml` (`${PolicyName}`, `${ThingType}`, `${ThingGroup}`, `${BillingGroup}`,
/// `${FunctionName}`).
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
    /// The groups that things are put into and made in.
    pub description: &'a Description,
}

/// The identity policy of the function's role: the calls the registration makes, each on the narrowest resource it
/// supports (Service Authorization Reference, "Actions, resources, and condition keys for AWS IoT"), and its logs.
///
/// # Errors
/// Only if the template in `infra/` is not JSON.
pub fn lambda_role_policy(scope: &Scope, settings: &RoleSettings<'_>) -> Result<Value, serde_json::Error> {
    let mut document: Value = serde_json::from_str(LAMBDA_POLICY_TEMPLATE)?;
    let Description { groups, billing_group, .. } = settings.description;
    let groups = groups.iter().map(NameTemplate::pattern).collect();
    for_each(&mut document, "ThingGroup", "${ThingGroup}", groups);
    let billing_group = billing_group.iter().map(NameTemplate::pattern).collect();
    for_each(&mut document, "BillingGroup", "${BillingGroup}", billing_group);
    scope.fill(&mut document);
    substitute(
        &mut document,
        &[
            ("${FunctionName}", settings.function),
            ("${PolicyName}", settings.policy.as_str()),
            ("${ThingType}", settings.thing_type.as_str()),
        ],
    );
    Ok(document)
}

/// Repeats each resource with the placeholder for each name. Without names, the statement with the `sid` is left out.
fn for_each(document: &mut Value, sid: &str, placeholder: &str, names: BTreeSet<String>) {
    let Some(statements) = document.get_mut("Statement").and_then(Value::as_array_mut) else { return };
    if names.is_empty() {
        statements.retain(|statement| statement["Sid"] != sid);
    }
    for statement in statements.iter_mut().filter(|statement| statement["Sid"] == sid) {
        let Some(resources) = statement.get_mut("Resource").and_then(Value::as_array_mut) else { continue };
        let repeated = |resource: &Value| match resource.as_str().filter(|text| text.contains(placeholder)) {
            Some(text) => names.iter().map(|name| text.replace(placeholder, name).into()).collect(),
            None => vec![resource.clone()],
        };
        *resources = resources.iter().flat_map(repeated).collect();
    }
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
