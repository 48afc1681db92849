//! Just-in-time registration at the CONNECT: the account as the device gateway sees it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::json;
use tokio::sync::mpsc::UnboundedSender;

use super::account::{Account, Presented, Status, x509};
use super::directory::{AttachedThing, Directory, Peer, Verdict};
use super::policy::Keys;
use super::rules::RuleEngine;

/// Answers the device gateway out of the account, and publishes the registration events.
#[derive(Clone, Debug)]
pub struct Registration {
    account: Arc<Mutex<Account>>,
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
    /// The gateway's view of `account`. Registration events go to `rules` and, for subscribers at the gateway, to `events`: the gateway
    /// holds this, so that this must not hold the gateway.
    pub fn new(account: Arc<Mutex<Account>>, rules: RuleEngine, events: UnboundedSender<Published>) -> Self {
        Self { account, rules, events }
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn policy_keys(&self, certificate_id: &str, client_id: &str) -> Keys {
        self.account().policy_keys(certificate_id, client_id)
    }

    fn published(&self, topic: &str, payload: &[u8]) {
        self.rules.publish(topic, payload);
    }
}
