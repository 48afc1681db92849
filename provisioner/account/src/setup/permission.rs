//! The permission for this topic rule alone to invoke the function.

use serde_json::Value;

mod audience;

use self::audience::audience_of;
pub(crate) use self::audience::{Audience, Doors, doors};
use super::holds;
use super::link::Link;
use crate::Resource;
use crate::{Account, Error as AccountError};

const INVOKE: &str = "lambda:InvokeFunction";
/// What a caller of the function's URL needs.
const INVOKE_URL: &str = "lambda:InvokeFunctionUrl";
const IOT: &str = "iot.amazonaws.com";

/// Who may invoke what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Name or ARN of the function.
    pub(crate) function: String,
    /// Statement id in the function's policy: the name of the rule.
    pub(crate) statement: String,
    /// ARN of the rule.
    pub(crate) rule: String,
    /// Account number of the rule.
    pub(crate) account: String,
}

/// What is to be done about the permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Leave,
    Add,
    /// Remove the statement of ours that is not right, then add.
    Replace(String),
}

/// The resource policy of the function, if the function and the policy are there.
pub(crate) async fn find(account: &Account, function: &str) -> Result<Option<Value>, AccountError> {
    const ACTION: &str = "lambda:GetPolicy";
    let answer = account.lambda().get_policy().function_name(function).send().await;
    let Some(answer) = account.found(ACTION, answer)? else { return Ok(None) };
    let policy = serde_json::from_str(answer.policy().unwrap_or("{}"));
    policy.map(Some).map_err(|_| AccountError::Incomplete { action: ACTION, what: "the policy as JSON" })
}

pub(crate) fn decide(policy: Option<&Value>, wanted: &Wanted) -> Step {
    let is_ours = |statement: &&Value| statement["Sid"] == wanted.statement.as_str();
    let statements = statements(policy);
    match statements.iter().find(is_ours).map(|ours| difference(ours, wanted)) {
        Some(difference) if difference.is_empty() => Step::Leave,
        Some(difference) => Step::Replace(difference),
        None if statements.iter().any(|statement| audience_of(statement, wanted) == Audience::Rule) => {
            Step::Leave
        }
        None => Step::Add,
    }
}

fn statements(policy: Option<&Value>) -> &[Value] {
    policy.and_then(|policy| policy["Statement"].as_array()).map_or(&[], Vec::as_slice)
}

fn is_invocation(statement: &Value) -> bool {
    let principal = &statement["Principal"]["Service"];
    holds(&statement["Action"], INVOKE) && holds(principal, IOT)
}

fn difference(statement: &Value, wanted: &Wanted) -> String {
    if statement["Effect"] != "Allow" || !is_invocation(statement) {
        return format!("does not allow {INVOKE} for {IOT}");
    }
    let rule = condition(statement, "AWS:SourceArn");
    let account = condition(statement, "AWS:SourceAccount");
    match (rule, account) {
        (None, _) => "is not limited to the rule".to_owned(),
        (Some(arn), _) if !holds(arn, &wanted.rule) => format!("is for {arn}"),
        (_, None) => "is not limited to the account".to_owned(),
        (_, Some(number)) if !holds(number, &wanted.account) => format!("is for account {number}"),
        _ => String::new(),
    }
}

/// The value of a condition key, under whichever operator; keys ignore case.
pub(crate) fn condition<'a>(statement: &'a Value, key: &str) -> Option<&'a Value> {
    let operators = statement["Condition"].as_object()?;
    operators
        .values()
        .filter_map(Value::as_object)
        .flatten()
        .find_map(|(name, value)| name.eq_ignore_ascii_case(key).then_some(value))
}

impl Step {
    pub(crate) fn link(&self, wanted: &Wanted) -> Link {
        let changes = match self {
            Self::Leave | Self::Add => Vec::new(),
            Self::Replace(difference) => vec![difference.clone()],
        };
        Link::new(Resource::Permission, &wanted.statement, *self != Self::Add, changes)
    }

    pub(crate) async fn apply(&self, account: &Account, wanted: &Wanted) -> Result<(), AccountError> {
        let lambda = account.lambda();
        if let Self::Replace(_) = self {
            lambda
                .remove_permission()
                .function_name(&wanted.function)
                .statement_id(&wanted.statement)
                .send()
                .await
                .map_err(account.failed("lambda:RemovePermission"))?;
        }
        if *self != Self::Leave {
            lambda
                .add_permission()
                .function_name(&wanted.function)
                .statement_id(&wanted.statement)
                .action(INVOKE)
                .principal(IOT)
                .source_arn(&wanted.rule)
                .source_account(&wanted.account)
                .send()
                .await
                .map_err(account.failed("lambda:AddPermission"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn wanted() -> Wanted {
        Wanted {
            function: "JITR".into(),
            statement: "ForwardSignedButUnknownDevices".into(),
            rule: "arn:aws:iot:us-east-2:123456789012:rule/ForwardSignedButUnknownDevices".into(),
            account: "123456789012".into(),
        }
    }

    pub(super) fn policy(sid: &str, condition: Value) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{
            "Sid": sid, "Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": "arn:aws:lambda:us-east-2:123456789012:function:JITR", "Condition": condition,
        }]})
    }

    #[test]
    fn a_permission_for_this_rule_and_account_is_left_under_whichever_name() {
        let condition = json!({
            "StringEquals": {"AWS:SourceAccount": "123456789012"},
            "ArnLike": {"aws:sourcearn": wanted().rule},
        });
        assert_eq!(decide(Some(&policy("mine", condition.clone())), &wanted()), Step::Leave);
        assert_eq!(decide(Some(&policy(&wanted().statement, condition)), &wanted()), Step::Leave);
    }

    #[test]
    fn without_policy_or_without_our_statement_it_is_added() {
        assert_eq!(decide(None, &wanted()), Step::Add);
        assert_eq!(decide(Some(&json!({})), &wanted()), Step::Add);
        assert_eq!(decide(Some(&policy("other", json!({}))), &wanted()), Step::Add);
    }

    #[test]
    fn a_statement_of_ours_that_is_too_wide_or_for_another_rule_is_replaced() {
        let arn = json!({"AWS:SourceArn": wanted().rule});
        let cases = [
            (json!({}), "not limited to the rule"),
            (json!({"ArnLike": arn}), "not limited to the account"),
            (json!({"ArnLike": {"AWS:SourceArn": "arn:other"}}), "arn:other"),
            (json!({"ArnLike": arn, "StringEquals": {"AWS:SourceAccount": "1"}}), "account \"1\""),
        ];
        for (condition, named) in cases {
            let step = decide(Some(&policy(&wanted().statement, condition)), &wanted());
            let Step::Replace(difference) = &step else { panic!("{named}: {step:?}") };
            assert!(difference.contains(named), "{difference}");
        }
    }
}
