//! Asks the account whether a client may do something.

use std::net::IpAddr;
use std::sync::Arc;

use super::journal::Refusal;
use crate::iot_core::directory::Directory;
use crate::iot_core::policy::{Context, Decision, Policy, evaluate};
use crate::journal::Caller;

/// A client as the policies see it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) client_id: String,
    pub(super) principal: Principal,
    pub(super) source_ip: IpAddr,
}

/// How a client has shown who it is.
#[derive(Clone, Debug)]
pub(super) enum Principal {
    /// With a certificate: the SHA-256 of its DER, 64 hex digits. The policies attached to it count.
    Certificate(String),
    /// With keys of the account. The policies of the user or role count.
    Keys { access_key_id: String, caller: Caller },
}

impl Principal {
    /// What events name it by.
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Certificate(id) => id,
            Self::Keys { access_key_id, .. } => access_key_id,
        }
    }
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
        let decision = match &client.principal {
            Principal::Certificate(id) => self.decide(client, id, operation.action(), &resource),
            Principal::Keys { caller, .. }
                if self.directory.allows(caller, operation.action(), &resource) =>
            {
                Decision::Allow
            }
            Principal::Keys { .. } => Decision::ImplicitDeny,
        };
        match decision {
            Decision::Allow => Ok(()),
            decision => Err(Refusal::policy(operation.action(), resource, decision)),
        }
    }

    /// The Region of the endpoint.
    pub(super) fn region(&self) -> &str {
        self.arn_prefix.split(':').nth(3).unwrap_or_default()
    }

    fn decide(&self, client: &Client, certificate_id: &str, action: &str, resource: &str) -> Decision {
        let documents = self.directory.policies(certificate_id);
        let parsed: Result<Vec<_>, _> = documents.iter().map(|document| Policy::parse(document)).collect();
        let policies = match parsed {
            Ok(policies) => policies,
            Err(error) => {
                tracing::warn!(certificate_id = certificate_id, %error, "everything is denied");
                return Decision::ExplicitDeny;
            }
        };
        let context = Context {
            client_id: &client.client_id,
            certificate_id,
            things: &self.directory.things(certificate_id),
            source_ip: client.source_ip,
        };
        evaluate(&policies, action, resource, &context)
    }
}
