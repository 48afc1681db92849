//! A decision, and the statement or key that it comes from.

use super::{Context, Decision, Effect, Miss, Pattern, Policy, Statement, Value};

/// A decision and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The statement that decides, or what is missing, in words.
    pub reason: String,
    /// Keys without a value in statements about the action, each once. With a value the decision might be another one.
    pub missing: Vec<String>,
}

/// Evaluates `action` (`iot:Connect`) on `resource` (an ARN) over all of a certificate's policies, and says why it is allowed
/// or refused.
#[must_use]
pub fn explain(policies: &[Policy], action: &str, resource: &str, context: &Context<'_>) -> Explanation {
    let statements = || {
        policies.iter().flat_map(|policy| policy.statements.iter().map(move |statement| (policy, statement)))
    };
    let mut allowing = None;
    let mut nearest: Option<(Miss, &Policy, &Statement)> = None;
    let mut missing = Vec::new();
    let mut denying = None;
    for (policy, statement) in statements() {
        let miss = statement.miss(action, resource, context);
        if miss != Some(Miss::Action) {
            missing.extend(
                statement.keys().filter(|key| context.value(key) == Value::Absent).map(str::to_owned),
            );
        }
        match (statement.effect, miss) {
            (Effect::Deny, None) => denying = denying.or(Some((policy, statement))),
            (Effect::Allow, None) => allowing = allowing.or(Some((policy, statement))),
            (Effect::Allow, Some(miss)) if nearest.is_none_or(|(nearer, ..)| rank(miss) > rank(nearer)) => {
                nearest = Some((miss, policy, statement));
            }
            _ => {}
        }
    }
    missing.sort_unstable();
    missing.dedup();
    let of = |(policy, statement): (&Policy, &Statement)| {
        format!("statement {} of {}", statement.name, policy.name)
    };
    let (decision, reason) = match (denying, allowing, nearest) {
        (Some(denying), ..) => (Decision::ExplicitDeny, format!("{} denies it", of(denying))),
        (None, Some(allowing), _) => (Decision::Allow, format!("{} allows it", of(allowing))),
        (None, None, Some((miss, policy, statement))) if miss != Miss::Action => {
            let lacking = lacking(statement, miss, action, context);
            (Decision::ImplicitDeny, format!("{} {lacking}", of((policy, statement))))
        }
        (None, None, _) => (Decision::ImplicitDeny, format!("{} allows {action}", nothing_of(policies))),
    };
    Explanation { decision, reason, missing }
}

/// How near a statement came to applying.
fn rank(miss: Miss) -> u8 {
    match miss {
        Miss::Action => 0,
        Miss::Resource => 1,
        Miss::Condition(_) => 2,
    }
}

fn nothing_of(policies: &[Policy]) -> String {
    let names: Vec<&str> = policies.iter().map(Policy::name).collect();
    match names.is_empty() {
        true => {
            "no policy is attached to the certificate or to a group of its things, so that nothing".to_owned()
        }
        false => format!("no statement of {}", names.join(", ")),
    }
}

/// What keeps an Allow from applying.
fn lacking(statement: &Statement, miss: Miss, action: &str, context: &Context<'_>) -> String {
    if let Miss::Condition(index) = miss {
        return format!("has the condition {}", statement.conditions[index].described(context));
    }
    let resources: Vec<String> = statement.resources.iter().map(Pattern::to_string).collect();
    let mut text = format!("allows {action} on {} alone", resources.join(", "));
    let mut variables: Vec<&str> = statement.resources.iter().flat_map(Pattern::variables).collect();
    variables.sort_unstable();
    variables.dedup();
    for variable in variables {
        match context.value(variable) {
            Value::Known(values) => text.push_str(&format!("; ${{{variable}}} is {}", values.join(", "))),
            Value::Absent if variable.to_ascii_lowercase().starts_with("iot:connection.thing.") => text.push_str(
                &format!(
                    "; ${{{variable}}} has no value: the certificate is attached to no thing with the client id {:?} as its \
                     name, and to none exclusively",
                    context.client_id
                ),
            ),
            Value::Absent => text.push_str(&format!("; ${{{variable}}} has no value")),
            Value::Unsupported => text.push_str(&format!("; the testbed does not know ${{{variable}}}")),
        }
    }
    text
}

impl Statement {
    /// The keys that it refers to.
    fn keys(&self) -> impl Iterator<Item = &str> {
        let values = self.conditions.iter().flat_map(|condition| condition.values());
        let variables = self.resources.iter().chain(values).flat_map(Pattern::variables);
        variables.chain(self.conditions.iter().map(|condition| condition.key()))
    }
}
