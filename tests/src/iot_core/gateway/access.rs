//! Asks the account whether a client may do something.

use std::net::IpAddr;
use std::sync::Arc;

use super::journal::Refusal;
use crate::iot_core::directory::Directory;
use crate::iot_core::policy::{self, Context, Decision, Explanation, Policy, explain};
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
    Connect {
        /// The session outlives the connection.
        persistent: bool,
        /// Topic of the last will.
        will: Option<&'a str>,
    },
    Publish(&'a str),
    RetainPublish(&'a str),
    Subscribe(&'a str),
    Receive(&'a str),
    /// Over HTTP; over MQTT they are messages.
    Shadow {
        action: &'static str,
        resource: &'a str,
    },
}

impl Operation<'_> {
    fn action(self) -> &'static str {
        match self {
            Self::Connect { .. } => "iot:Connect",
            Self::Publish(_) => "iot:Publish",
            Self::RetainPublish(_) => "iot:RetainPublish",
            Self::Subscribe(_) => "iot:Subscribe",
            Self::Receive(_) => "iot:Receive",
            Self::Shadow { action, .. } => action,
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
            Operation::Connect { .. } => format!("{}:client/{}", self.arn_prefix, client.client_id),
            Operation::Shadow { resource, .. } => format!("{}:{resource}", self.arn_prefix),
            Operation::Subscribe(filter) => format!("{}:topicfilter/{filter}", self.arn_prefix),
            Operation::Publish(topic) | Operation::RetainPublish(topic) | Operation::Receive(topic) => {
                format!("{}:topic/{topic}", self.arn_prefix)
            }
        };
        let explanation = match &client.principal {
            Principal::Certificate(id) => self.decide(client, id, operation, &resource),
            Principal::Keys { caller, .. } => self.of_user(caller, operation.action(), &resource),
        };
        match explanation.decision {
            Decision::Allow => Ok(()),
            _ => Err(Refusal::policy(operation.action(), resource, explanation)),
        }
    }

    /// The Region of the endpoint.
    pub(super) fn region(&self) -> &str {
        self.arn_prefix.split(':').nth(3).unwrap_or_default()
    }

    fn of_user(&self, caller: &Caller, action: &str, resource: &str) -> Explanation {
        let (decision, reason) = match self.directory.allows(caller, action, resource) {
            true => (Decision::Allow, "the identity's policies allow it"),
            false => (Decision::ImplicitDeny, "no policy of the identity that the keys belong to allows it"),
        };
        Explanation { decision, reason: reason.to_owned(), missing: Vec::new() }
    }

    /// The condition keys of a CONNECT (AWS IoT Core developer guide, "Using connectAttributes").
    fn connect_keys(&self, operation: Operation<'_>) -> policy::Keys {
        let mut keys = policy::Keys::new();
        if let Operation::Connect { persistent, will } = operation {
            let attributes = [(persistent, "PersistentConnect"), (will.is_some(), "LastWill")];
            let used = attributes.into_iter().filter(|(used, _)| *used).map(|(_, name)| name.to_owned());
            keys.insert("iot:connectattributes".to_owned(), used.collect());
            let topic = will.map(|topic| format!("{}:topic/{topic}", self.arn_prefix));
            keys.insert("iot:lastwilltopic".to_owned(), topic.into_iter().collect());
        }
        keys
    }

    fn decide(
        &self,
        client: &Client,
        certificate_id: &str,
        operation: Operation<'_>,
        resource: &str,
    ) -> Explanation {
        let mut policies = Vec::new();
        for (name, document) in self.directory.named_policies(certificate_id) {
            match Policy::named(&name, &document) {
                Ok(policy) => policies.push(policy),
                Err(error) => {
                    let reason = format!("{name} cannot be evaluated: {error}");
                    return Explanation { decision: Decision::ExplicitDeny, reason, missing: Vec::new() };
                }
            }
        }
        let mut keys = self.directory.policy_keys(certificate_id, &client.client_id);
        keys.extend(self.connect_keys(operation));
        let context = Context {
            client_id: &client.client_id,
            certificate_id,
            things: &self.directory.things(certificate_id),
            source_ip: client.source_ip,
            keys: &keys,
        };
        explain(&policies, operation.action(), resource, &context)
    }
}
