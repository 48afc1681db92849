//! AWS IoT policies: a document parsed once and evaluated without I/O.
//!
//! Explicit deny wins, default is deny. What the evaluation does not know (a condition operator, a key, a variable) makes
//! an Allow void and leaves a Deny in force; a document that cannot be parsed denies everything.

mod condition;
mod explanation;
mod keys;
mod pattern;
#[cfg(test)]
mod tests;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

pub use condition::Condition;
pub use explanation::{Explanation, explain};
pub use keys::{ALTERNATIVE_NAMES, ATTRIBUTE_PREFIX, Context, Keys, NAME_ATTRIBUTES, Value, thing};
pub use pattern::{Pattern, PatternError};

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
    name: String,
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    /// Its `Sid`, or its place in the document.
    name: String,
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
        Self::named("the policy", document)
    }

    /// Parses the document of the policy that is called `name` in explanations.
    ///
    /// # Errors
    /// As [`Policy::parse`].
    pub fn named(name: impl Into<String>, document: &str) -> Result<Self, PolicyError> {
        let document: Document = serde_json::from_str(document)?;
        if document.version != VERSION {
            return Err(PolicyError::Version(document.version));
        }
        let statements = document.statement.into_vec().into_iter().enumerate();
        let statements = statements
            .map(|(index, statement)| Statement::read(index, statement))
            .collect::<Result<_, _>>()?;
        Ok(Self { name: name.into(), statements })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The policy variables, condition keys and condition operators in it that the testbed does not evaluate, each once.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        let mut unknown: Vec<String> = Vec::new();
        for statement in &self.statements {
            let patterns = statement.actions.iter().chain(&statement.resources);
            let variables = patterns.flat_map(Pattern::variables).chain(
                statement
                    .conditions
                    .iter()
                    .flat_map(|condition| condition.values().iter().flat_map(Pattern::variables)),
            );
            unknown.extend(variables.filter(|key| !keys::is_known(key)).map(|key| format!("${{{key}}}")));
            unknown.extend(statement.conditions.iter().flat_map(Condition::unknown));
        }
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }
}

/// Evaluates `action` (`iot:Connect`) on `resource` (an ARN) over all of a certificate's policies.
#[must_use]
pub fn evaluate(policies: &[Policy], action: &str, resource: &str, context: &Context<'_>) -> Decision {
    explain(policies, action, resource, context).decision
}

/// Why a statement has nothing to say about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Miss {
    Action,
    Resource,
    /// The condition with this index.
    Condition(usize),
}

impl Statement {
    fn read(index: usize, document: StatementDocument) -> Result<Self, PolicyError> {
        // Action names are compared without regard to case, as in IAM.
        let actions = document.action.into_vec().iter().map(|text| text.to_ascii_lowercase()).collect();
        Ok(Self {
            name: document.sid.filter(|sid| !sid.is_empty()).unwrap_or_else(|| (index + 1).to_string()),
            effect: document.effect,
            actions: patterns(actions)?,
            resources: patterns(document.resource.into_vec())?,
            conditions: Condition::parse(document.condition)?,
        })
    }

    /// The first of its elements that does not fit the request; `None` if it applies.
    fn miss(&self, action: &str, resource: &str, context: &Context<'_>) -> Option<Miss> {
        // What cannot be evaluated must not widen access: it makes an Allow void and leaves a Deny in force.
        let settle = |outcome: Option<bool>| outcome.unwrap_or(self.effect == Effect::Deny);
        let action = action.to_ascii_lowercase();
        if !self.actions.iter().any(|pattern| settle(pattern.matches(&action, context))) {
            return Some(Miss::Action);
        }
        if !self.resources.iter().any(|pattern| settle(pattern.matches(resource, context))) {
            return Some(Miss::Resource);
        }
        let failed = |condition: &Condition| !settle(condition.holds(context));
        self.conditions.iter().position(failed).map(Miss::Condition)
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
    sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
    #[serde(default)]
    condition: condition::Document,
}

enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// Read by its form, so that an error says what is wrong inside.
impl<'de, T: DeserializeOwned> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let read = match value {
            many @ serde_json::Value::Array(_) => serde_json::from_value(many).map(Self::Many),
            one => serde_json::from_value(one).map(Self::One),
        };
        read.map_err(D::Error::custom)
    }
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

fn patterns(texts: Vec<String>) -> Result<Vec<Pattern>, PolicyError> {
    let parse = |text: String| {
        Pattern::parse(&text).map_err(|source| PolicyError::Pattern { text: text.clone(), source })
    };
    texts.into_iter().map(parse).collect()
}
