//! What happened at the gateway, for whoever wants to watch.

use std::fmt;

use serde::Serialize;
use tokio::sync::broadcast;

use super::limits::Limit;
use crate::iot_core::policy::{Decision, Explanation};

/// Events kept for a subscriber that is behind; older ones are lost to it.
const CAPACITY: usize = 1024;

/// Why a connection, subscription or message was not let through. AWS tells the client none of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Refusal {
    /// The account does not let the certificate in.
    Certificate {
        /// What the account said.
        reason: String,
    },
    /// The policies do not allow it.
    Policy {
        /// `iot:Publish` and so on.
        action: &'static str,
        /// The resource asked for, an ARN.
        resource: String,
        /// A statement denies it; otherwise none allows it.
        explicit: bool,
        /// The statement that denies it, or what is missing.
        because: String,
    },
    /// Something AWS IoT does not support or limits.
    Unsupported {
        /// What.
        what: Limit,
    },
    /// Not MQTT, or out of order.
    Protocol {
        /// What is wrong with it.
        reason: String,
    },
}

impl Refusal {
    pub(super) fn policy(action: &'static str, resource: String, explanation: Explanation) -> Self {
        let explicit = explanation.decision == Decision::ExplicitDeny;
        Self::Policy { action, resource, explicit, because: explanation.reason }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { reason } | Self::Protocol { reason } => formatter.write_str(reason),
            Self::Policy { action, resource, explicit: true, because } => {
                write!(formatter, "a policy denies {action} on {resource}: {because}")
            }
            Self::Policy { action, resource, explicit: false, because } => {
                write!(formatter, "no policy allows {action} on {resource}: {because}")
            }
            Self::Unsupported { what } => what.fmt(formatter),
        }
    }
}

/// Why a connection that had been let in ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum Ended {
    /// The client sent DISCONNECT.
    Disconnect,
    /// The client's end of the connection closed without DISCONNECT.
    ConnectionLost,
    /// Nothing came for one and a half times the keep-alive interval.
    KeepAlive,
    /// Another connection used the same client id.
    Displaced,
    /// The client read too slowly.
    Slow,
    /// A connection over WebSocket lasts a day at the most, and not longer than the keys that it was signed with.
    Expired,
    /// `DeleteConnection`.
    Deleted,
    /// The client did what it may not.
    Violation(Refusal),
}

impl Ended {
    /// `disconnectReason` of lifecycle events and of the calls about connections.
    #[must_use]
    pub fn disconnect_reason(&self) -> &'static str {
        super::presence::reason(self)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A connection ended before CONNECT, or was refused over HTTP.
    HandshakeFailed {
        /// Address and port of the client.
        peer: String,
        /// What the TLS library, or the gateway, says about it.
        reason: String,
    },
    /// The account registered the certificate as PENDING_ACTIVATION; the connection was closed.
    Registered {
        /// SHA-256 of the DER certificate, 64 hex digits.
        certificate_id: String,
        /// MQTT client id.
        client_id: String,
    },
    /// The connection was closed at CONNECT.
    Refused {
        /// SHA-256 of the DER certificate, 64 hex digits; the access key id of a client that signs.
        certificate_id: String,
        /// MQTT client id.
        client_id: String,
        /// Why.
        refusal: Refusal,
    },
    /// CONNACK was sent.
    Connected {
        /// SHA-256 of the DER certificate, 64 hex digits; the access key id of a client that signs.
        certificate_id: String,
        /// MQTT client id.
        client_id: String,
    },
    /// A subscription was granted.
    Subscribed {
        /// MQTT client id.
        client_id: String,
        /// Topic filter.
        filter: String,
    },
    /// A subscription was answered with failure (MQTT 5), or ended the connection (MQTT 3.1.1).
    SubscriptionRefused {
        /// MQTT client id.
        client_id: String,
        /// Topic filter.
        filter: String,
        /// Why.
        refusal: Refusal,
    },
    /// A message was answered with failure (MQTT 5); the connection goes on.
    PublishRefused {
        /// MQTT client id.
        client_id: String,
        /// Topic name.
        topic: String,
        /// Why.
        refusal: Refusal,
    },
    /// A message was accepted.
    Published {
        /// The publisher's MQTT client id; none for a message from the account's side.
        client_id: Option<String>,
        /// Topic name.
        topic: String,
        /// Length of the payload.
        bytes: usize,
    },
    /// A message was put on its way to a subscriber.
    Delivered {
        /// The subscriber's MQTT client id.
        client_id: String,
        /// Topic name.
        topic: String,
        /// Length of the payload.
        bytes: usize,
    },
    /// A message was kept from a subscriber whose policies do not allow `iot:Receive` on it.
    Withheld {
        /// The subscriber's MQTT client id.
        client_id: String,
        /// Topic name.
        topic: String,
        /// Why.
        refusal: Refusal,
    },
    /// A connection that had been let in ended.
    Closed {
        /// MQTT client id.
        client_id: String,
        /// Why.
        ended: Ended,
    },
}

/// Hands events to every subscriber.
#[derive(Clone, Debug)]
pub(super) struct Journal(broadcast::Sender<Event>);

impl Journal {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }

    pub(super) fn record(&self, event: Event) {
        tracing::debug!(?event, "device gateway");
        // An error says that nobody watches.
        let _ = self.0.send(event);
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
