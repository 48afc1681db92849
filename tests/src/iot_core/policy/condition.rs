//! Conditions of policy statements.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Context, OneOrMany, Pattern, PolicyError, Value, patterns};

/// `{"<operator>": {"<key>": <value or values>}}`.
pub(super) type Document = BTreeMap<String, BTreeMap<String, OneOrMany<Scalar>>>;

/// Condition values may be written as JSON strings, booleans or numbers.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Text(String),
    Truth(bool),
    Number(serde_json::Number),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Truth(truth) => truth.to_string(),
            Scalar::Number(number) => number.to_string(),
        }
    }
}

/// The operators the testbed evaluates (IAM user guide, "Condition operators").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equals,
    EqualsIgnoreCase,
    Like,
}

/// One operator applied to one key.
#[derive(Clone, Debug)]
pub struct Condition {
    /// `None`: an operator the testbed does not evaluate.
    operator: Option<Operator>,
    negated: bool,
    key: String,
    values: Vec<Pattern>,
}

impl Condition {
    pub(super) fn parse(document: Document) -> Result<Vec<Self>, PolicyError> {
        let mut conditions = Vec::new();
        for (name, keys) in document {
            let (operator, negated) = match name.as_str() {
                "StringEquals" => (Some(Operator::Equals), false),
                "StringNotEquals" => (Some(Operator::Equals), true),
                "Bool" | "StringEqualsIgnoreCase" => (Some(Operator::EqualsIgnoreCase), false),
                "StringNotEqualsIgnoreCase" => (Some(Operator::EqualsIgnoreCase), true),
                "StringLike" => (Some(Operator::Like), false),
                "StringNotLike" => (Some(Operator::Like), true),
                _ => (None, false),
            };
            for (key, values) in keys {
                let values = patterns(values.into_vec().into_iter().map(String::from).collect())?;
                conditions.push(Self { operator, negated, key, values });
            }
        }
        Ok(conditions)
    }

    /// Whether the condition holds; `None` when its operator, its key or a variable in its values is not one the testbed
    /// evaluates.
    #[must_use]
    pub fn holds(&self, context: &Context<'_>) -> Option<bool> {
        let operator = self.operator?;
        let actual = match context.value(&self.key) {
            Value::Known(actual) => actual,
            // IAM: a key without a value fails every operator but the negated ones.
            Value::Absent => return Some(self.negated),
            Value::Unsupported => return None,
        };
        let mut matched = false;
        for value in &self.values {
            matched |= match operator {
                Operator::Equals => value.equals(&actual, context, str::eq),
                Operator::EqualsIgnoreCase => value.equals(&actual, context, str::eq_ignore_ascii_case),
                Operator::Like => value.matches(&actual, context),
            }?;
        }
        Some(matched != self.negated)
    }
}
