//! Asks the account whether a client may do something.

use std::net::IpAddr;
use std::sync::Arc;

use super::journal::Refusal;
use crate::iot_core::directory::Directory;
use crate::iot_core::policy::{Context, Decision, Explanation, Policy, explain};

/// A client as the policies see it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) client_id: String,
    /// SHA-256 of the DER certificate, 64 hex digits.
    pub(super) certificate_id: String,
    pub(super) source_ip: IpAddr,
}

/// What a client asks for; the names are those of the AWS IoT service authorization reference.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation<'a> {
    Connect,
    Publish(&'a str),
    RetainPublish(&'a str),
    Subscribe(&'a str),
    Receive(&'a str),
}

impl Operation<'_> {
    fn action(self) -> &'static str {
        match self {
            Self::Connect => "iot:Connect",
            Self::Publish(_) => "iot:Publish",
            Self::RetainPublish(_) => "iot:RetainPublish",
            Self::Subscribe(_) => "iot:Subscribe",
            Self::Receive(_) => "iot:Receive",
        }
    }
}

/// The account's policies, read anew for every question.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) directory: Arc<dyn Directory>,
    /// `arn:<partition>:iot:<region>:<account>`.
    pub(super) arn_prefix: Arc<str>,
}

impl Access {
    /// # Errors
    /// The refusal, when the policies do not allow the operation.
    pub(super) fn check(&self, client: &Client, operation: Operation<'_>) -> Result<(), Refusal> {
        let resource = match operation {
            Operation::Connect => format!("{}:client/{}", self.arn_prefix, client.client_id),
            Operation::Subscribe(filter) => format!("{}:topicfilter/{filter}", self.arn_prefix),
            Operation::Publish(topic) | Operation::RetainPublish(topic) | Operation::Receive(topic) => {
                format!("{}:topic/{topic}", self.arn_prefix)
            }
        };
        match self.decide(client, operation.action(), &resource) {
            Explanation { decision: Decision::Allow, .. } => Ok(()),
            explanation => Err(Refusal::policy(operation.action(), resource, explanation)),
        }
    }

    fn decide(&self, client: &Client, action: &str, resource: &str) -> Explanation {
        let mut policies = Vec::new();
        for (name, document) in self.directory.named_policies(&client.certificate_id) {
            match Policy::named(&name, &document) {
                Ok(policy) => policies.push(policy),
                Err(error) => {
                    let reason = format!("{name} cannot be evaluated: {error}");
                    return Explanation { decision: Decision::ExplicitDeny, reason, missing: Vec::new() };
                }
            }
        }
        let context = Context {
            client_id: &client.client_id,
            certificate_id: &client.certificate_id,
            things: &self.directory.things(&client.certificate_id),
            source_ip: client.source_ip,
            keys: &self.directory.policy_keys(&client.certificate_id, &client.client_id),
        };
        explain(&policies, action, resource, &context)
    }
}
