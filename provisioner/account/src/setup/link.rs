//! One link of the chain that a first connection takes, and what setting up does about it.

use serde::Serialize;

use super::Versions;
use crate::Resource;

/// What is to be done about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It exists and is right.
    Leave,
    /// It does not exist.
    Create,
    /// It exists and is not right.
    Change,
    /// It exists, and others take part by it who should not.
    Disable,
}

/// One line of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Which link.
    #[serde(rename = "resource")]
    pub link: Resource,
    /// Its name in the account.
    pub name: String,
    /// What is to be done.
    pub action: Action,
    /// What changes, one item each; for a link that is left or created, what is notable about it.
    pub details: Vec<String>,
    /// Of the function: which version there is.
    #[serde(flatten)]
    pub versions: Option<Versions>,
}

impl Link {
    /// A link that is created if `exists` is false, changed if there are changes, and else left.
    pub(crate) fn new(link: Resource, name: impl Into<String>, exists: bool, changes: Vec<String>) -> Self {
        let action = match (exists, changes.is_empty()) {
            (false, _) => Action::Create,
            (true, false) => Action::Change,
            (true, true) => Action::Leave,
        };
        Self { link, name: name.into(), action, details: changes, versions: None }
    }

    /// The line for people: a result if `done`, otherwise a plan.
    pub fn line(&self, done: bool) -> String {
        let verb = match (self.action, done) {
            (Action::Leave, _) => "unchanged",
            (Action::Create, false) => "would be created",
            (Action::Create, true) => "created",
            (Action::Change, false) => "would be changed",
            (Action::Change, true) => "changed",
            (Action::Disable, false) => "would be disabled",
            (Action::Disable, true) => "disabled",
        };
        // Of policies there is only one here.
        let link = match self.link {
            Resource::DevicePolicy => "policy".to_owned(),
            other => other.to_string(),
        };
        let mut line = format!("{link:<11} {verb:<17} {}", self.name);
        if !self.details.is_empty() {
            line.push_str(": ");
            line.push_str(&self.details.join("; "));
        }
        line
    }
}
