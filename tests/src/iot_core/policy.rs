//! AWS IoT policies: a document parsed once and evaluated without I/O.
//!
//! Explicit deny wins, default is deny. What the evaluation does not know (a condition operator, a key, a variable) makes
//! an Allow void and leaves a Deny in force; a document that cannot be parsed denies everything.

mod condition;
mod pattern;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use serde::Deserialize;

pub use condition::Condition;
pub use pattern::{Pattern, PatternError};

use super::directory::AttachedThing;

/// The only version of the policy language AWS IoT takes.
const VERSION: &str = "2012-10-17";

/// Why a policy document was not understood (AWS: `MalformedPolicyException`).
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON, or not the shape of a policy document.
    #[error("policy document is malformed: {0}")]
    Document(#[from] serde_json::Error),
    /// Another version of the policy language.
    #[error("policy document has version {0:?}, expected {VERSION:?}")]
    Version(String),
    /// An action, resource or condition value that is not a pattern.
    #[error("policy document has a malformed pattern {text:?}: {source}")]
    Pattern {
        /// The text as it stands in the document.
        text: String,
        /// What is wrong with it.
        source: PatternError,
    },
}

/// What is known of a connection when a policy is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// MQTT client id.
    pub client_id: &'a str,
    /// SHA-256 of the DER certificate, 64 hex digits.
    pub certificate_id: &'a str,
    /// The things the certificate is attached to.
    pub things: &'a [AttachedThing],
    /// The client's address.
    pub source_ip: IpAddr,
}

/// What a policy variable or condition key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Its value for this connection.
    Known(String),
    /// It has no value for this connection.
    Absent,
    /// The testbed does not know the variable.
    Unsupported,
}

impl Context<'_> {
    /// The thing the connection speaks for: the attached one whose name equals the client id, or the one the
    /// certificate is attached to exclusively (AWS IoT developer guide, "Thing policy variables").
    #[must_use]
    pub fn thing(&self) -> Option<&str> {
        let named = self.things.iter().find(|thing| thing.name == self.client_id);
        named.or_else(|| self.things.iter().find(|thing| thing.exclusive)).map(|thing| thing.name.as_str())
    }

    /// The value of a policy variable or condition key; keys are compared without regard to case, as in IAM.
    #[must_use]
    pub fn value(&self, key: &str) -> Value {
        match key.to_ascii_lowercase().as_str() {
            "iot:clientid" => Value::Known(self.client_id.to_owned()),
            "iot:certificateid" => Value::Known(self.certificate_id.to_owned()),
            "aws:sourceip" => Value::Known(self.source_ip.to_string()),
            "iot:connection.thing.isattached" => Value::Known(self.thing().is_some().to_string()),
            "iot:connection.thing.thingname" => {
                self.thing().map_or(Value::Absent, |name| Value::Known(name.to_owned()))
            }
            _ => Value::Unsupported,
        }
    }
}

/// The outcome of an evaluation over all policies of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it and none denies it.
    Allow,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

impl Decision {
    /// Whether the action may be carried out.
    #[must_use]
    pub fn allows(self) -> bool {
        self == Self::Allow
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// A parsed policy document.
#[derive(Clone, Debug)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    actions: Vec<Pattern>,
    resources: Vec<Pattern>,
    conditions: Vec<Condition>,
}

impl Policy {
    /// Parses a policy document. Elements that AWS IoT does not document for its policies (`NotAction`, `NotResource`,
    /// `Principal`) are refused rather than passed over.
    ///
    /// # Errors
    /// [`PolicyError`] says what is malformed; an unreadable policy must be taken as denying everything.
    pub fn parse(document: &str) -> Result<Self, PolicyError> {
        let document: Document = serde_json::from_str(document)?;
        if document.version != VERSION {
            return Err(PolicyError::Version(document.version));
        }
        let statements = document.statement.into_vec();
        Ok(Self { statements: statements.into_iter().map(Statement::try_from).collect::<Result<_, _>>()? })
    }
}

/// Evaluates `action` (`iot:Connect`) on `resource` (an ARN) over all of a certificate's policies.
#[must_use]
pub fn evaluate(policies: &[Policy], action: &str, resource: &str, context: &Context<'_>) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for statement in policies.iter().flat_map(|policy| &policy.statements) {
        match statement.effect {
            Effect::Deny if statement.applies(action, resource, context) => return Decision::ExplicitDeny,
            Effect::Allow if statement.applies(action, resource, context) => decision = Decision::Allow,
            Effect::Allow | Effect::Deny => {}
        }
    }
    decision
}

impl Statement {
    fn applies(&self, action: &str, resource: &str, context: &Context<'_>) -> bool {
        // What cannot be evaluated must not widen access: it makes an Allow void and leaves a Deny in force.
        let settle = |outcome: Option<bool>| outcome.unwrap_or(self.effect == Effect::Deny);
        let action = action.to_ascii_lowercase();
        self.actions.iter().any(|pattern| settle(pattern.matches(&action, context)))
            && self.resources.iter().any(|pattern| settle(pattern.matches(resource, context)))
            && self.conditions.iter().all(|condition| settle(condition.holds(context)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    version: String,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<StatementDocument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatementDocument {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
    #[serde(default)]
    condition: condition::Document,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

impl TryFrom<StatementDocument> for Statement {
    type Error = PolicyError;

    fn try_from(document: StatementDocument) -> Result<Self, PolicyError> {
        // Action names are compared without regard to case, as in IAM.
        let actions = document.action.into_vec().iter().map(|text| text.to_ascii_lowercase()).collect();
        Ok(Self {
            effect: document.effect,
            actions: patterns(actions)?,
            resources: patterns(document.resource.into_vec())?,
            conditions: Condition::parse(document.condition)?,
        })
    }
}

fn patterns(texts: Vec<String>) -> Result<Vec<Pattern>, PolicyError> {
    let parse = |text: String| {
        Pattern::parse(&text).map_err(|source| PolicyError::Pattern { text: text.clone(), source })
    };
    texts.into_iter().map(parse).collect()
}
