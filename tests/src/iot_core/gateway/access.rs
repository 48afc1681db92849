//! Asks the account whether a client may do something.

use std::net::IpAddr;
use std::sync::Arc;

use super::journal::Refusal;
use crate::iot_core::directory::Directory;
use crate::iot_core::policy::{Context, Decision, Policy, evaluate};

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
            Decision::Allow => Ok(()),
            decision => Err(Refusal::policy(operation.action(), resource, decision)),
        }
    }

    fn decide(&self, client: &Client, action: &str, resource: &str) -> Decision {
        let documents = self.directory.policies(&client.certificate_id);
        let parsed: Result<Vec<_>, _> = documents.iter().map(|document| Policy::parse(document)).collect();
        let policies = match parsed {
            Ok(policies) => policies,
            Err(error) => {
                tracing::warn!(certificate_id = client.certificate_id, %error, "everything is denied");
                return Decision::ExplicitDeny;
            }
        };
        let context = Context {
            client_id: &client.client_id,
            certificate_id: &client.certificate_id,
            things: &self.directory.things(&client.certificate_id),
            source_ip: client.source_ip,
        };
        evaluate(&policies, action, resource, &context)
    }
}
