//! Conditions of a statement, as far as the request says what they ask for.

use serde_json::Value;

use super::{Request, covers, filled, items};

/// Whether all conditions hold; `None` if that depends on what the request does not say.
pub(super) fn holds(conditions: &Value, request: &Request<'_>) -> Option<bool> {
    let Some(operators) = conditions.as_object() else { return Some(conditions.is_null()) };
    let each = operators.iter().flat_map(|(operator, keys)| {
        keys.as_object().into_iter().flatten().map(|(key, values)| one(operator, key, values, request))
    });
    let each: Vec<_> = each.collect();
    match each.contains(&Some(false)) {
        true => Some(false),
        false if each.contains(&None) => None,
        false => Some(true),
    }
}

/// One condition (IAM User Guide, "IAM JSON policy elements: Condition operators").
fn one(operator: &str, key: &str, values: &Value, request: &Request<'_>) -> Option<bool> {
    let operator = operator.to_ascii_lowercase();
    let (operator, if_exists) = match operator.strip_suffix("ifexists") {
        Some(operator) => (operator, true),
        None => (operator.as_str(), false),
    };
    let value = request.value(key)?;
    let (operator, is_negated) = match operator {
        "stringnotequals" => ("stringequals", true),
        "stringnotequalsignorecase" => ("stringequalsignorecase", true),
        "stringnotlike" => ("stringlike", true),
        "arnnotequals" | "arnnotlike" => ("arnlike", true),
        other => (other, false),
    };
    let compare: fn(&str, &str) -> bool = match operator {
        "stringequals" => |wanted, value| wanted == value,
        "stringequalsignorecase" | "bool" => str::eq_ignore_ascii_case,
        "stringlike" => |wanted, value| covers(wanted.as_bytes(), value.as_bytes()),
        "arnequals" | "arnlike" => is_like_arn,
        _ => return None,
    };
    let Some(value) = value else { return Some(if_exists || is_negated) };
    let texts = items(values).iter().filter_map(text);
    let any = texts.filter_map(|wanted| filled(&wanted, request)).any(|wanted| compare(&wanted, value));
    Some(any != is_negated)
}

/// A value may be written as a number or a truth value, too.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Each of the six parts of an ARN is compared by itself.
fn is_like_arn(pattern: &str, arn: &str) -> bool {
    let (pattern, arn): (Vec<_>, Vec<_>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    pattern == ["*"]
        || pattern.len() == arn.len()
            && pattern.iter().zip(&arn).all(|(pattern, part)| covers(pattern.as_bytes(), part.as_bytes()))
}
