//! What the device gateway asks of the account.

use std::time::SystemTime;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::policy;
use crate::journal::Caller;

/// What the account says about a client certificate at the MQTT CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The certificate is ACTIVE: the policies decide.
    Active {
        /// SHA-256 of the DER certificate, 64 hex digits.
        certificate_id: String,
    },
    /// The certificate was unknown, its CA is registered, active and auto-registering: it is PENDING_ACTIVATION from
    /// now on and the event has been published. The gateway closes the connection.
    Registered {
        /// SHA-256 of the DER certificate, 64 hex digits.
        certificate_id: String,
    },
    /// Known, but not ACTIVE (pending certificates have their event published again), or not to be known at all.
    Refused {
        /// Why, for the testbed's own log and timeline; AWS tells the device nothing.
        reason: String,
    },
}

/// What the gateway knows of a client besides its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: std::net::IpAddr,
    /// Whether its TLS handshake named the server (RFC 6066, "Server Name Indication").
    pub server_name: bool,
}

/// A thing attached to a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedThing {
    /// Thing name.
    pub name: String,
    /// Attached with `thingPrincipalType=EXCLUSIVE_THING`.
    pub exclusive: bool,
}

/// Keys that the account has given to a user or a role.
#[derive(Clone)]
pub struct Keys {
    /// Who has them.
    pub caller: Caller,
    /// What requests are signed with.
    pub secret_access_key: String,
    /// Goes with every request, if the keys are those of a role.
    pub session_token: Option<String>,
    /// Until when they are valid.
    pub end: Option<SystemTime>,
}

/// The account as the device gateway sees it.
pub trait Directory: Send + Sync + 'static {
    /// Called once at every MQTT CONNECT (not at the TLS handshake) with the client's leaf certificate (DER).
    fn connecting(&self, leaf: &[u8], peer: Peer) -> Verdict;
    /// The default versions' documents (JSON text) of the policies attached to the certificate.
    fn policies(&self, certificate_id: &str) -> Vec<String>;
    /// Name and document of the policies that apply to the certificate, those of its things' groups included.
    fn named_policies(&self, certificate_id: &str) -> Vec<(String, String)> {
        let documents = self.policies(certificate_id).into_iter().enumerate();
        documents.map(|(index, document)| (format!("policy {}", index + 1), document)).collect()
    }
    /// The things attached to the certificate.
    fn things(&self, certificate_id: &str) -> Vec<AttachedThing>;
    /// What the policies can refer to besides, for a connection with this client id.
    fn policy_keys(&self, _certificate_id: &str, _client_id: &str) -> policy::Keys {
        policy::Keys::new()
    }
    /// A message a device published, for the rule engine.
    fn published(&self, topic: &str, payload: &[u8]);
    /// Why a certificate does not let its device stay connected; `None` while it is ACTIVE.
    fn inactive(&self, certificate_id: &str) -> Option<String>;
    /// Told whenever the status of a certificate changes.
    fn certificate_changes(&self) -> watch::Receiver<()>;
    /// Who has signed an HTTP request with these headers and this body, and the key's id; an error says why it is nobody.
    fn caller(&self, parts: &Parts, body: &[u8]) -> Result<(String, Caller), String>;
    /// Answers a signed call of the data plane's API that comes to the gateway; `None` where there is no such API.
    fn data_plane(&self, _request: Request<Body>) -> Option<BoxFuture<'static, Response<Body>>> {
        None
    }
    /// The keys with this id.
    fn keys(&self, access_key_id: &str) -> Option<Keys>;
    /// Whether the policies of a user or a role allow an action.
    fn allows(&self, caller: &Caller, action: &str, resource: &str) -> bool;
}
