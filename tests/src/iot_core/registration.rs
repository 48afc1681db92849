//! Just-in-time registration at the CONNECT: the account as the device gateway sees it.

use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};
use std::time::SystemTime;

use axum::http::request::Parts;
use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::account::{Account, Presented, Status, x509};
use super::control_plane::Services;
use super::directory::{AttachedThing, Directory, Keys, Peer, Verdict};
use super::policy;
use super::rules::RuleEngine;
use crate::journal::Caller;

/// Answers the device gateway out of the account, and publishes the registration events.
#[derive(Clone)]
pub struct Registration {
    services: Services,
    rules: RuleEngine,
    events: UnboundedSender<Published>,
}

/// A message of the account's own, for the subscribers at the gateway.
#[derive(Clone, Debug)]
pub struct Published {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Registration {
    /// The gateway's view of the account of `services`. Registration events go to `rules` and, for subscribers at the gateway, to `events`: the gateway
    /// holds this, so that this must not hold the gateway.
    pub fn new(services: Services, rules: RuleEngine, events: UnboundedSender<Published>) -> Self {
        Self { services, rules, events }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.services.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the event of a registration, with the fields as they are observed in AWS.
    fn publish_event(&self, certificate_id: &str, ca_id: &str, source_ip: IpAddr) {
        let account_id = self.account().identity().account_id.clone();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let event = json!({
            "certificateId": certificate_id,
            "caCertificateId": ca_id,
            "timestamp": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            "certificateStatus": "PENDING_ACTIVATION",
            "awsAccountId": account_id,
            "certificateRegistrationTimestamp": null,
            "sourceIp": source_ip.to_string(),
        });
        let (topic, payload) = (format!("$aws/events/certificates/registered/{ca_id}"), event.to_string());
        self.rules.publish(&topic, payload.as_bytes());
        // Without a gateway there are no subscribers.
        let _ = self.events.send(Published { topic, payload: payload.into_bytes() });
    }
}

impl Directory for Registration {
    fn connecting(&self, leaf: &[u8], peer: Peer) -> Verdict {
        let presented = self.account().present_certificate(leaf, peer.server_name);
        let refused = |id: &str, reason: &str| {
            self.account().log_authentication_error(reason, id, peer.address, peer.server_name);
        };
        let (verdict, event) = match presented {
            Err(error) => {
                refused(&x509::certificate_id(leaf), "DEVICE_CERTIFICATE_NOT_REGISTERED");
                (Verdict::Refused { reason: error.to_string() }, None)
            }
            Ok(Presented::Registered { id, ca_id }) => {
                (Verdict::Registered { certificate_id: id.clone() }, Some((id, ca_id)))
            }
            Ok(Presented::Known { id, status: Status::Active, .. }) => {
                (Verdict::Active { certificate_id: id }, None)
            }
            Ok(Presented::Known { id, ca_id, status }) => {
                refused(&id, status.authentication_error());
                let reason = format!("certificate is {}", status.as_str());
                let pending = status == Status::PendingActivation;
                (Verdict::Refused { reason }, ca_id.filter(|_| pending).map(|ca_id| (id, ca_id)))
            }
        };
        if let Some((certificate_id, ca_id)) = event {
            self.publish_event(&certificate_id, &ca_id, peer.address);
        }
        verdict
    }

    fn policies(&self, certificate_id: &str) -> Vec<String> {
        self.named_policies(certificate_id).into_iter().map(|(_, document)| document).collect()
    }

    fn named_policies(&self, certificate_id: &str) -> Vec<(String, String)> {
        let account = self.account();
        let policies = account.effective_policies(Some(&account.certificate_arn(certificate_id)), None);
        let policies = policies.unwrap_or_default().into_iter();
        policies.map(|policy| (policy.name.clone(), policy.document().to_owned())).collect()
    }

    fn things(&self, certificate_id: &str) -> Vec<AttachedThing> {
        self.account().attached_things(certificate_id)
    }

    fn policy_keys(&self, certificate_id: &str, client_id: &str) -> policy::Keys {
        self.account().policy_keys(certificate_id, client_id)
    }

    fn published(&self, topic: &str, payload: &[u8]) {
        self.rules.publish(topic, payload);
    }

    fn inactive(&self, certificate_id: &str) -> Option<String> {
        match self.account().certificate(certificate_id) {
            Ok(certificate) if certificate.status == Status::Active => None,
            Ok(certificate) => Some(format!("certificate is {}", certificate.status.as_str())),
            Err(error) => Some(error.to_string()),
        }
    }

    fn certificate_changes(&self) -> watch::Receiver<()> {
        self.account().certificate_changes()
    }

    fn caller(&self, parts: &Parts, body: &[u8]) -> Result<(String, Caller), String> {
        self.services.data_plane_caller(parts, body).map_err(|error| error.message)
    }

    fn keys(&self, access_key_id: &str) -> Option<Keys> {
        self.services.keys(access_key_id)
    }

    /// The account's user may do everything, unless there is a policy.
    fn allows(&self, caller: &Caller, action: &str, resource: &str) -> bool {
        match caller {
            Caller::User => self.services.user_may(action, resource, &policy::Keys::new()).allows(),
            Caller::Function(name) => {
                let function = self.services.lambda.function(name);
                function.is_ok_and(|function| {
                    self.account().role_allows(&function.configuration.role, action, resource)
                })
            }
            Caller::Stranger => false,
        }
    }
}
