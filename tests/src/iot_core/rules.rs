//! The rule engine: a message on a topic → the rules that read it → their actions, beside whatever published it.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use serde_json::Value;

use super::account::Account;
use super::topic;
use crate::journal::{Happening, Journal};
use crate::lambda_host::LambdaHost;

/// The principal that AWS IoT invokes functions as.
const IOT_SERVICE: &str = "iot.amazonaws.com";

/// Carries messages to functions and queues.
#[derive(Clone, Debug)]
pub struct RuleEngine {
    account: Arc<Mutex<Account>>,
    lambda: LambdaHost,
    journal: Journal,
}

/// A rule that reads the topic of the message.
struct Triggered {
    name: String,
    arn: String,
    actions: Vec<Value>,
    error_action: Option<Value>,
}

impl RuleEngine {
    /// An engine over the rules of `account`.
    pub fn new(account: Arc<Mutex<Account>>, lambda: LambdaHost, journal: Journal) -> Self {
        Self { account, lambda, journal }
    }

    /// Hands the message to each enabled rule whose topic filter fits.
    pub fn publish(&self, topic: &str, payload: &[u8]) {
        let triggered: Vec<Triggered> = {
            let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
            let reads = account
                .topic_rules()
                .filter(|rule| !rule.disabled() && topic::matches(&rule.topic_filter, topic));
            reads
                .map(|rule| Triggered {
                    name: rule.name.clone(),
                    arn: account.topic_rule_arn(&rule.name),
                    actions: rule.actions().to_vec(),
                    error_action: rule.payload.get("errorAction").cloned(),
                })
                .collect()
        };
        for rule in triggered {
            self.journal
                .record(Happening::RuleTriggered { rule: rule.name.clone(), topic: topic.to_owned() });
            for action in &rule.actions {
                if let Err(reason) = self.act(&rule.arn, action, payload) {
                    self.action_failed(&rule, reason, payload);
                }
            }
        }
    }

    fn action_failed(&self, rule: &Triggered, reason: Failure, payload: &[u8]) {
        let mut reason = reason.to_string();
        if let Some(action) = &rule.error_action
            && let Err(second) = self.act(&rule.arn, action, payload)
        {
            reason = format!("{reason}; the error action: {second}");
        }
        self.journal.record(Happening::ActionFailed { rule: rule.name.clone(), reason });
    }

    fn act(&self, rule_arn: &str, action: &Value, payload: &[u8]) -> Result<(), Failure> {
        // `SELECT *` takes a message apart as JSON before it goes on.
        let message: Value = serde_json::from_slice(payload).map_err(|_| Failure::NotJson)?;
        if let Some(function) = action["lambda"]["functionArn"].as_str() {
            if !self.lambda.permits(function, IOT_SERVICE, rule_arn)? {
                return Err(Failure::NotPermitted {
                    function: function.to_owned(),
                    rule: rule_arn.to_owned(),
                });
            }
            self.lambda.invoke_event(function, Bytes::copy_from_slice(payload))?;
            return Ok(());
        }
        if let Some(url) = action["sqs"]["queueUrl"].as_str() {
            let queue = url.rsplit('/').next().unwrap_or_default();
            let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
            let role = action["sqs"]["roleArn"].as_str().unwrap_or_default();
            let arn = account.queue_arn(queue);
            if !account.can_assume(IOT_SERVICE, role) || !account.role_allows(role, "sqs:SendMessage", &arn) {
                return Err(Failure::NoRole { role: role.to_owned(), queue: arn });
            }
            account.send_message(queue, &message.to_string())?;
            return Ok(());
        }
        let kind = action.as_object().and_then(|fields| fields.keys().next().cloned()).unwrap_or_default();
        Err(Failure::Unsupported { kind })
    }
}

/// Why an action came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the message is not JSON")]
    NotJson,
    #[error("the policy of {function} does not let iot.amazonaws.com invoke it for {rule}")]
    NotPermitted { function: String, rule: String },
    #[error("the role {role:?} does not let iot.amazonaws.com send messages to {queue}")]
    NoRole { role: String, queue: String },
    #[error(transparent)]
    Lambda(#[from] crate::lambda_host::Error),
    #[error(transparent)]
    Queue(#[from] super::account::Error),
    #[error("the testbed does not carry out actions of the kind {kind:?}")]
    Unsupported { kind: String },
}
