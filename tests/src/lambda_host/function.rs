//! What is known of a function: configuration, code, permissions, what becomes of failed events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::Error;
use super::environment::Pool;
use super::package::Package;

/// The version that can be changed.
pub(super) const LATEST: &str = "$LATEST";

/// The settings of a function that `UpdateFunctionConfiguration` can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// `provided.al2023` or `provided.al2`: what the host can run.
    pub runtime: String,
    /// ARN of the execution role.
    pub role: String,
    /// Handed to the runtime in `_HANDLER`.
    pub handler: String,
    /// For people.
    pub description: String,
    /// Longest run, in seconds (1 to 900).
    pub timeout: u32,
    /// In MB (128 to 10240); handed to the function, not enforced.
    pub memory_size: u32,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// ARN of the queue for events that were given up.
    pub dead_letter: Option<String>,
    /// `Active` or `PassThrough`.
    pub tracing: String,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            runtime: String::new(),
            role: String::new(),
            handler: "bootstrap".into(),
            description: String::new(),
            timeout: 3,
            memory_size: 128,
            environment: BTreeMap::new(),
            dead_letter: None,
            tracing: "PassThrough".into(),
        }
    }
}

impl Configuration {
    /// Refuses what Lambda refuses, and runtimes that need more than a `bootstrap`.
    pub(super) fn check(&self) -> Result<(), Error> {
        let invalid = |reason: String| Err(Error::InvalidParameter { reason });
        if !matches!(self.runtime.as_str(), "provided.al2023" | "provided.al2") {
            return invalid(format!(
                "the testbed runs provided.al2023 and provided.al2, not {:?}",
                self.runtime
            ));
        }
        if !(1..=900).contains(&self.timeout) {
            return invalid(format!("timeout {} is not between 1 and 900 seconds", self.timeout));
        }
        if !(128..=10240).contains(&self.memory_size) {
            return invalid(format!("memory size {} is not between 128 and 10240 MB", self.memory_size));
        }
        Ok(())
    }
}

/// The request of `CreateFunction`.
#[derive(Clone, Debug)]
pub struct NewFunction {
    /// Its name.
    pub name: String,
    /// The deployment package: a zip file.
    pub zip: Vec<u8>,
    /// Its settings.
    pub configuration: Configuration,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// The request of `AddPermission`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The version or the alias that it is for; without one, for the function as it is now.
    pub qualifier: Option<String>,
    /// Names the statement within the policy.
    pub statement_id: String,
    /// For example `lambda:InvokeFunction`.
    pub action: String,
    /// A service (`iot.amazonaws.com`) or an account.
    pub principal: String,
    /// Which resource may be behind the call; `*` and `?` match.
    pub source_arn: Option<String>,
    /// Whose resource may be behind the call.
    pub source_account: Option<String>,
}

impl Permission {
    /// The statement in the function's policy.
    pub fn statement(&self, function_arn: &str) -> Value {
        let function_arn = match &self.qualifier {
            Some(qualifier) => format!("{function_arn}:{qualifier}"),
            None => function_arn.to_owned(),
        };
        let principal = if self.principal.contains(".amazonaws.com") {
            json!({ "Service": self.principal })
        } else {
            json!({ "AWS": self.principal })
        };
        let mut statement = json!({
            "Sid": self.statement_id,
            "Effect": "Allow",
            "Principal": principal,
            "Action": self.action,
            "Resource": function_arn,
        });
        if let Some(account) = &self.source_account {
            statement["Condition"]["StringEquals"]["AWS:SourceAccount"] = account.as_str().into();
        }
        if let Some(arn) = &self.source_arn {
            statement["Condition"]["ArnLike"]["AWS:SourceArn"] = arn.as_str().into();
        }
        statement
    }

    /// Whether it lets a service invoke the function on behalf of the resource `source_arn` of `source_account`.
    pub(super) fn allows(&self, service: &str, source_arn: &str, source_account: &str) -> bool {
        matches!(self.action.as_str(), "lambda:InvokeFunction" | "lambda:*" | "*")
            && self.principal == service
            && self.source_arn.as_deref().is_none_or(|pattern| arn_like(pattern, source_arn))
            && self.source_account.as_deref().is_none_or(|account| account == source_account)
    }
}

/// `ArnLike`: `*` stands for any characters, `?` for one.
fn arn_like(pattern: &str, arn: &str) -> bool {
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                matches(rest, text) || text.split_first().is_some_and(|(_, tail)| matches(pattern, tail))
            }
            (Some((b'?', rest)), Some((_, tail))) => matches(rest, tail),
            (Some((p, rest)), Some((t, tail))) if p == t => matches(rest, tail),
            _ => false,
        }
    }
    matches(pattern.as_bytes(), arn.as_bytes())
}

/// What becomes of asynchronous invocations that fail: `PutFunctionEventInvokeConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventInvokeConfig {
    /// 0 to 2; 2 unless given.
    pub retries: Option<u32>,
    /// 60 to 21600 seconds.
    pub maximum_age: Option<u32>,
    /// ARN of the destination of events that succeeded.
    pub on_success: Option<String>,
    /// ARN of the destination of events that were given up.
    pub on_failure: Option<String>,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its ARN, with the version or the alias that it was asked for by.
    pub arn: String,
    /// `$LATEST`, or the number of a published version.
    pub version: String,
    /// Its settings.
    pub configuration: Configuration,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// When code or configuration were changed.
    pub modified: SystemTime,
    /// Changes with everything that changes.
    pub revision: u64,
    /// Who may invoke it.
    pub permissions: Vec<Permission>,
    /// What becomes of failed events, if it was said.
    pub event_invoke: Option<EventInvokeConfig>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Aliases, each with the version that it leads to.
    pub aliases: BTreeMap<String, String>,
    /// What was published: the first has number 1.
    pub versions: Vec<Function>,
    /// Reserved concurrency, if any.
    pub reserved_concurrency: Option<u32>,
    pub(super) created: Instant,
    pub(super) updated: Option<Instant>,
    pub(super) settling: Duration,
    pub(super) package: Arc<Package>,
    pub(super) pool: Arc<Pool>,
}

impl Function {
    /// `Active`, or `Pending` for a while after its creation.
    pub fn state(&self) -> &'static str {
        if self.created.elapsed() < self.settling { "Pending" } else { "Active" }
    }

    /// `Successful`, or `InProgress` for a while after a change.
    pub fn last_update_status(&self) -> &'static str {
        let settling = self.updated.is_some_and(|at| at.elapsed() < self.settling);
        if settling || self.state() == "Pending" { "InProgress" } else { "Successful" }
    }

    /// Whether code and configuration are those of another one.
    pub(super) fn runs_as(&self, other: &Self) -> bool {
        let of = |function: &Self| (function.configuration.clone(), function.architecture.clone());
        self.code_sha256() == other.code_sha256() && of(self) == of(other)
    }

    /// The version with this number, or the one that this alias leads to, as it is called with that.
    pub(super) fn qualified(&self, qualifier: &str) -> Option<Self> {
        let version = self.aliases.get(qualifier).map_or(qualifier, String::as_str);
        let found =
            if version == LATEST { self } else { self.versions.iter().find(|v| v.version == version)? };
        Some(Self {
            arn: format!("{}:{qualifier}", self.arn),
            permissions: self.permissions.clone(),
            event_invoke: self.event_invoke.clone(),
            ..found.clone()
        })
    }

    /// Size of the deployment package in bytes.
    pub fn code_size(&self) -> usize {
        self.package.size
    }

    /// SHA-256 of the deployment package, base64.
    pub fn code_sha256(&self) -> &str {
        &self.package.sha256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission() -> Permission {
        Permission {
            statement_id: "rule".into(),
            action: "lambda:InvokeFunction".into(),
            qualifier: None,
            principal: "iot.amazonaws.com".into(),
            source_arn: Some("arn:aws:iot:us-east-1:123456789012:rule/Forward*".into()),
            source_account: Some("123456789012".into()),
        }
    }

    const RULE: &str = "arn:aws:iot:us-east-1:123456789012:rule/ForwardSignedButUnknownDevices";

    #[test]
    fn a_permission_holds_for_its_source_arn_and_account_alone() {
        assert!(permission().allows("iot.amazonaws.com", RULE, "123456789012"));
        assert!(!permission().allows("s3.amazonaws.com", RULE, "123456789012"));
        assert!(!permission().allows("iot.amazonaws.com", RULE, "999999999999"));
        let other = "arn:aws:iot:us-east-1:123456789012:rule/Other";
        assert!(!permission().allows("iot.amazonaws.com", other, "123456789012"));
    }

    #[test]
    fn a_permission_without_conditions_lets_every_account_in() {
        let open = Permission { source_arn: None, source_account: None, ..permission() };
        assert!(open.allows("iot.amazonaws.com", RULE, "999999999999"));
    }
}
