//! The device gateway against an account of the test's own.

mod boards;
mod client;
mod http;
mod mqtt5;
mod sessions;
mod websocket;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::request::Parts;
use rcgen::{CertificateParams, KeyPair, SigningKey};
use serde_json::json;
use sha2::{Digest, Sha256};
use testbed::device::{Credentials, Device, Endpoint};
use testbed::iot_core::directory::{AttachedThing, Directory, Keys, Peer, Verdict};
use testbed::iot_core::gateway::{Ended, Event, Gateway, Options};
use testbed::journal::Caller;
use tokio::sync::{broadcast, watch};

const ARN: &str = "arn:aws:iot:us-east-2:420230807713";

/// An account with certificates in it, each with its thing and policies.
#[derive(Default)]
struct Account {
    certificates: Mutex<HashMap<String, Entry>>,
    published: Mutex<Vec<(String, Vec<u8>)>>,
    keys: Mutex<HashMap<String, Keys>>,
    changes: watch::Sender<()>,
}

#[derive(Clone, Default)]
struct Entry {
    pending: bool,
    policies: Vec<String>,
    things: Vec<AttachedThing>,
}

impl Account {
    fn entry(&self, certificate_id: &str) -> Option<Entry> {
        self.certificates.lock().unwrap().get(certificate_id).cloned()
    }

    /// What clients have published.
    fn messages(&self) -> Vec<(String, Vec<u8>)> {
        let published = self.published.lock().unwrap();
        published.iter().filter(|(topic, _)| !topic.starts_with("$aws/events/")).cloned().collect()
    }

    fn activate(&self, certificate_id: &str, policy: &str, things: &[&str]) {
        let attached = |name: &&str| AttachedThing { name: (*name).to_owned(), exclusive: false };
        let things = things.iter().map(attached).collect();
        let entry = Entry { pending: false, policies: vec![policy.to_owned()], things };
        self.certificates.lock().unwrap().insert(certificate_id.to_owned(), entry);
    }
}

impl Directory for Account {
    fn connecting(&self, leaf: &[u8], _peer: Peer) -> Verdict {
        let certificate_id = hex::encode(Sha256::digest(leaf));
        match self.entry(&certificate_id) {
            None => {
                let entry = Entry { pending: true, ..Entry::default() };
                self.certificates.lock().unwrap().insert(certificate_id.clone(), entry);
                Verdict::Registered { certificate_id }
            }
            Some(entry) if entry.pending => Verdict::Refused { reason: "PENDING_ACTIVATION".to_owned() },
            Some(_) => Verdict::Active { certificate_id },
        }
    }

    fn policies(&self, certificate_id: &str) -> Vec<String> {
        self.entry(certificate_id).unwrap_or_default().policies
    }

    fn things(&self, certificate_id: &str) -> Vec<AttachedThing> {
        self.entry(certificate_id).unwrap_or_default().things
    }

    fn published(&self, topic: &str, payload: &[u8]) {
        self.published.lock().unwrap().push((topic.to_owned(), payload.to_vec()));
    }

    fn inactive(&self, certificate_id: &str) -> Option<String> {
        self.entry(certificate_id).is_none().then(|| "REVOKED".to_owned())
    }

    fn certificate_changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn caller(&self, _parts: &Parts, _body: &[u8]) -> Result<(String, Caller), String> {
        Err("this account knows no headers".to_owned())
    }

    fn keys(&self, access_key_id: &str) -> Option<Keys> {
        self.keys.lock().unwrap().get(access_key_id).cloned()
    }

    fn allows(&self, caller: &Caller, _action: &str, _resource: &str) -> bool {
        *caller == Caller::User
    }
}

/// A board's policy: its own client id and topics.
fn own_topics() -> String {
    let name = "${iot:Connection.Thing.ThingName}";
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": format!("{ARN}:client/{name}")},
        {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": format!("{ARN}:topic/{name}/*")},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": format!("{ARN}:topicfilter/{name}/#")},
    ]})
    .to_string()
}

fn anything() -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]})
        .to_string()
}

/// A key with a certificate, and the certificate's id.
fn board() -> (Credentials, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    let id = hex::encode(Sha256::digest(certificate.der()));
    let sign = Arc::new(move |message: &[u8]| key.sign(message).map_err(Into::into));
    (Credentials { chain: vec![certificate.der().clone()], sign, roots: None }, id)
}

struct Bench {
    account: Arc<Account>,
    gateway: Gateway,
    events: broadcast::Receiver<Event>,
}

impl Bench {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut Options)) -> Self {
        let account = Arc::new(Account::default());
        let mut options = Options::new(ARN);
        adjust(&mut options);
        let gateway = Gateway::start(account.clone(), options).await.unwrap();
        let events = gateway.events();
        Self { account, gateway, events }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new("localhost", self.gateway.port(), self.gateway.server_ca_pem())
    }

    /// A device that is let in, with its thing attached.
    async fn device(&self, client_id: &str, policy: &str) -> Device {
        let (credentials, id) = board();
        self.account.activate(&id, policy, &[client_id]);
        Device::connect(&self.endpoint(), &credentials, client_id).await.unwrap()
    }

    /// Waits for the event that `wanted` picks.
    async fn event<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the event comes")
    }

    async fn ended(&mut self, of: &str) -> Ended {
        self.event(|event| match event {
            Event::Closed { client_id, ended } if client_id == of => Some(ended),
            _ => None,
        })
        .await
    }
}
