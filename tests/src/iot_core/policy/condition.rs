//! Conditions of policy statements.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::{Context, OneOrMany, Pattern, PolicyError, Value, keys, patterns};

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

/// The comparisons the testbed makes (IAM user guide, "Condition operators").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equals,
    EqualsIgnoreCase,
    Like,
    Null,
    Ip,
    /// The number compared is equal to, less than or greater than the value.
    Numeric {
        equal: bool,
        less: bool,
        greater: bool,
    },
}

/// How the values of a key with several are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    /// The first one.
    First,
    /// `ForAnyValue:`: one of them fits.
    Any,
    /// `ForAllValues:`: each of them fits; so does a key without a value.
    All,
}

/// A condition operator.
#[derive(Clone, Copy, Debug)]
struct Operator {
    comparison: Comparison,
    negated: bool,
    quantifier: Quantifier,
    /// `…IfExists`: a key without a value fits.
    if_exists: bool,
}

impl Operator {
    fn read(name: &str) -> Option<Self> {
        let (quantifier, rest) = match name.split_once(':') {
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(_) => return None,
            None => (Quantifier::First, name),
        };
        let (rest, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |rest| (rest, true));
        let numeric = |equal, less, greater| Comparison::Numeric { equal, less, greater };
        let (comparison, negated) = match rest {
            "StringEquals" => (Comparison::Equals, false),
            "StringNotEquals" => (Comparison::Equals, true),
            "Bool" | "StringEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, true),
            "StringLike" | "ArnLike" | "ArnEquals" => (Comparison::Like, false),
            "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Comparison::Like, true),
            "Null" => (Comparison::Null, false),
            "IpAddress" => (Comparison::Ip, false),
            "NotIpAddress" => (Comparison::Ip, true),
            "NumericEquals" => (numeric(true, false, false), false),
            "NumericNotEquals" => (numeric(true, false, false), true),
            "NumericLessThan" => (numeric(false, true, false), false),
            "NumericLessThanEquals" => (numeric(true, true, false), false),
            "NumericGreaterThan" => (numeric(false, false, true), false),
            "NumericGreaterThanEquals" => (numeric(true, false, true), false),
            _ => return None,
        };
        Some(Self { comparison, negated, quantifier, if_exists })
    }

    /// Whether `value` fits `actual`; `None` if a variable in it is not known.
    fn fits(self, value: &Pattern, actual: &str, context: &Context<'_>) -> Option<bool> {
        match self.comparison {
            Comparison::Equals => value.equals(actual, context, str::eq),
            Comparison::EqualsIgnoreCase => value.equals(actual, context, str::eq_ignore_ascii_case),
            Comparison::Like => value.matches(actual, context),
            Comparison::Ip => value.equals(actual, context, is_in_network),
            Comparison::Numeric { equal, less, greater } => {
                let (number, limit) = (actual.parse::<f64>().ok(), value.text(context)?);
                let limit = limit.and_then(|limit| limit.parse::<f64>().ok());
                Some(number.zip(limit).is_some_and(|(number, limit)| {
                    equal && number == limit || less && number < limit || greater && number > limit
                }))
            }
            // It asks for the presence of the key alone; see `holds`.
            Comparison::Null => Some(false),
        }
    }
}

/// Whether the address is in the network, `192.0.2.0/24`, or is the address `192.0.2.7`.
fn is_in_network(network: &str, address: &str) -> bool {
    let (base, length) =
        network.split_once('/').map_or((network, None), |(base, length)| (base, Some(length)));
    let (Ok(base), Ok(address)) = (base.parse::<IpAddr>(), address.parse::<IpAddr>()) else { return false };
    let (base, address, bits) = match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            (u128::from(base.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    match length.map_or(Ok(bits), str::parse::<u32>) {
        Ok(length) if length <= bits => (base ^ address).checked_shr(bits - length).unwrap_or(0) == 0,
        _ => false,
    }
}

/// One operator applied to one key.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The operator as it stands in the document.
    name: String,
    /// `None`: an operator the testbed does not evaluate.
    operator: Option<Operator>,
    key: String,
    values: Vec<Pattern>,
}

impl Condition {
    pub(super) fn parse(document: Document) -> Result<Vec<Self>, PolicyError> {
        let mut conditions = Vec::new();
        for (name, keys) in document {
            let operator = Operator::read(&name);
            for (key, values) in keys {
                let values = patterns(values.into_vec().into_iter().map(String::from).collect())?;
                conditions.push(Self { name: name.clone(), operator, key, values });
            }
        }
        Ok(conditions)
    }

    /// The values that the key is compared with.
    pub(super) fn values(&self) -> &[Pattern] {
        &self.values
    }

    /// The operator and the key, if the testbed does not evaluate them.
    pub(super) fn unknown(&self) -> impl Iterator<Item = String> {
        let operator = self.operator.is_none().then(|| self.name.clone());
        let key = (!keys::is_known(&self.key)).then(|| self.key.clone());
        operator.into_iter().chain(key)
    }

    /// Whether the condition holds; `None` when its operator, its key or a variable in its values is not one the testbed
    /// evaluates.
    #[must_use]
    pub fn holds(&self, context: &Context<'_>) -> Option<bool> {
        let operator = self.operator?;
        let actual = match context.value(&self.key) {
            Value::Unsupported => return None,
            Value::Known(values) => Some(values),
            Value::Absent => None,
        };
        if operator.comparison == Comparison::Null {
            let absent = actual.is_none().to_string();
            let mut fits =
                self.values.iter().map(|value| value.equals(&absent, context, str::eq_ignore_ascii_case));
            return fits.try_fold(false, |fits, next| Some(fits | next?));
        }
        let Some(actual) = actual else {
            // IAM: a key without a value fails every operator but the negated ones, `ForAllValues:` and `…IfExists`.
            return Some(operator.negated || operator.if_exists || operator.quantifier == Quantifier::All);
        };
        let fits = |actual: &String| {
            let mut fits = self.values.iter().map(|value| operator.fits(value, actual, context));
            fits.try_fold(false, |fits, next| Some(fits | next?)).map(|fits| fits != operator.negated)
        };
        match operator.quantifier {
            Quantifier::First => fits(actual.first()?),
            Quantifier::Any => actual.iter().map(fits).try_fold(false, |any, next| Some(any | next?)),
            Quantifier::All => actual.iter().map(fits).try_fold(true, |all, next| Some(all & next?)),
        }
    }

    /// What the condition asks for and what it finds, for a person.
    pub(super) fn described(&self, context: &Context<'_>) -> String {
        let values: Vec<String> =
            self.values.iter().map(|value| format!("{:?}", value.to_string())).collect();
        let asked = format!("{} {} [{}]", self.name, self.key, values.join(", "));
        let found = match context.value(&self.key) {
            _ if self.operator.is_none() => format!("the testbed does not evaluate {}", self.name),
            Value::Known(found) => format!("{} is {}", self.key, found.join(", ")),
            Value::Absent => format!("{} has no value", self.key),
            Value::Unsupported => format!("the testbed does not know {}", self.key),
        };
        format!("{asked}, and {found}")
    }

    /// The key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}
