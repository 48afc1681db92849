//! One client's connection, from the TLS handshake to the last packet.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rmqtt_codec::v5::{
    Connect, ConnectAck, ConnectAckReason, Disconnect, DisconnectReasonCode, LastWill, QoS,
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::access::{Access, Client};
use super::admission::{self, Identity, Refused, admit};
use super::conversation::{Conversation, Session};
use super::journal::{Ended, Event, Journal, Refusal};
use super::limits::{IN_FLIGHT, MAX_KEEP_ALIVE, MAX_SESSION_EXPIRY, MIN_KEEP_ALIVE, TOPIC_ALIASES};
use super::message::Message;
use super::presence::{Announcement, Presence};
use super::router::Router;
use super::session::Wish;
use super::shadow::{self, Rejection, Shadows};
use super::wire::{MAX_PACKET, Transport, Version, Wire};
use super::{entrance, web};

/// What all connections share.
pub(super) struct Shared {
    pub(super) tls: TlsAcceptor,
    pub(super) access: Access,
    pub(super) router: Arc<Router>,
    pub(super) journal: Journal,
    pub(super) shadows: Mutex<Shadows>,
    /// How long a client may take for its TLS handshake, for its CONNECT, and to take a packet from the gateway.
    pub(super) patience: Duration,
    /// Answers what else is asked over HTTP.
    pub(super) data_plane: Option<axum::Router>,
}

impl Shared {
    /// Publishes what AWS itself says, a lifecycle event or the answer of a shadow: to the rules, and to the subscribers.
    pub(super) fn announce(&self, announcement: Option<Announcement>) {
        let Some((topic, payload)) = announcement else { return };
        let payload = payload.to_string();
        self.access.directory.published(&topic, payload.as_bytes());
        self.router.route(&Message::new(topic, payload), None);
    }

    /// Passes a message on that the policies allow.
    pub(super) fn accept(&self, message: &Message, client_id: &str) {
        self.journal.record(Event::Published {
            client_id: Some(client_id.to_owned()),
            topic: message.topic.clone(),
            bytes: message.payload.len(),
        });
        self.access.directory.published(&message.topic, &message.payload);
        self.router.route(message, Some(client_id));
        let replies = self.shadows().answer(&message.topic, &message.payload, seconds());
        replies.into_iter().for_each(|reply| self.announce(Some(reply)));
    }

    /// Answers a request to a shadow over HTTP.
    pub(super) fn shadow(
        &self,
        name: &shadow::Name,
        operation: &str,
        payload: &[u8],
    ) -> Result<Value, Rejection> {
        let (accepted, told) = self.shadows().request(name, operation, payload, seconds())?;
        told.into_iter().for_each(|reply| self.announce(Some(reply)));
        Ok(accepted)
    }

    pub(super) fn shadows(&self) -> MutexGuard<'_, Shadows> {
        self.shadows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn will(&self, client: &Client, will: LastWill) {
        let LastWill { topic, message, qos, retain, .. } = &will;
        if admission::check_publish(&self.access, client, topic, message, *qos, *retain).is_ok() {
            self.accept(&Message::will(will, Instant::now()), &client.client_id);
        }
    }
}

/// Now, in seconds since 1970.
fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Serves a client until its connection ends.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let outcome = match entrance::arrive(&shared.tls, stream, peer, shared.patience).await {
        Err(reason) => Err(reason),
        Ok(arrival) if arrival.http => match web::serve(&shared, arrival).await {
            None => Ok(()),
            Some(upgraded) => {
                let left = upgraded.end.duration_since(SystemTime::now()).unwrap_or_default();
                let end = Some(Instant::now() + left);
                mqtt(&shared, upgraded.transport, upgraded.identity, peer, end).await
            }
        },
        Ok(arrival) => {
            let server_name = arrival.visitor.server_name;
            match arrival.visitor.leaf {
                None => Err("no client certificate".to_owned()),
                Some(leaf) => {
                    let identity = Identity::Certificate { leaf, server_name };
                    mqtt(&shared, Box::new(arrival.stream), identity, peer, None).await
                }
            }
        }
    };
    if let Err(reason) = outcome {
        shared.journal.record(Event::HandshakeFailed { peer: peer.to_string(), reason });
    }
}

/// MQTT until the connection ends, at `end` at the latest; an error says in words why there was no CONNECT.
async fn mqtt(
    shared: &Shared,
    transport: Transport,
    identity: Identity,
    peer: SocketAddr,
    end: Option<Instant>,
) -> Result<(), String> {
    let accepted = timeout(shared.patience, Wire::accept(transport)).await;
    let (mut wire, mut connect) =
        accepted.map_err(|_| format!("no CONNECT within {:?}", shared.patience))??;
    let session = crate::uuid::of(&crate::secret::random());
    let assigned = connect.client_id.is_empty() && wire.version() == Version::V5;
    if assigned {
        connect.client_id = session.clone().into();
    }
    match admit(&shared.access, &connect, identity, peer.ip(), &session) {
        Ok(client) => converse(shared, client, connect, &mut wire, Begin { session, assigned, end }).await,
        Err(refused) => {
            let Refused { event, code, failed } = *refused;
            shared.journal.record(event);
            shared.announce(failed.and_then(|attempt| attempt.connect_failed()));
            if let Some(reason_code) = code {
                let ack = ConnectAck { reason_code, ..limits_of(0, Duration::ZERO) };
                let _ = timeout(shared.patience, wire.send(ack.into())).await;
            }
        }
    }
    let _ = timeout(shared.patience, wire.close()).await;
    Ok(())
}

/// How a connection begins.
struct Begin {
    /// `sessionIdentifier` of the lifecycle events.
    session: String,
    /// The client has its id from the gateway.
    assigned: bool,
    end: Option<Instant>,
}

/// A connection that is let in.
async fn converse(shared: &Shared, client: Client, connect: Connect, wire: &mut Wire, begin: Begin) {
    let keep_alive = match connect.keep_alive {
        0 => MAX_KEEP_ALIVE,
        seconds => seconds.clamp(MIN_KEEP_ALIVE, MAX_KEEP_ALIVE),
    };
    let expiry = Duration::from_secs(connect.session_expiry_interval_secs.into()).min(MAX_SESSION_EXPIRY);
    let wish = Wish { clean: connect.clean_start, expiry, keep_alive };
    let opened = shared.router.open(client.clone(), wish, shared.patience).await;
    let presence = Presence {
        client_id: client.client_id.clone(),
        principal: client.principal.id().to_owned(),
        address: client.source_ip,
        session: begin.session,
        version: opened.version,
    };
    shared.journal.record(Event::Connected {
        certificate_id: presence.principal.clone(),
        client_id: client.client_id.clone(),
    });
    let ack = ConnectAck {
        session_present: opened.present,
        reason_code: ConnectAckReason::Success,
        assigned_client_id: begin.assigned.then(|| connect.client_id.clone()),
        ..limits_of(keep_alive, expiry)
    };
    let (ticket, over, mut end) = (opened.ticket, opened.over, opened.end);
    let in_flight = connect.receive_max.map_or(IN_FLIGHT, |max| max.get().min(IN_FLIGHT));
    let session = Session {
        ticket,
        window: usize::from(in_flight),
        expiry,
        pending: opened.waiting,
        messages: opened.messages,
    };
    let mut conversation = Conversation::new(shared, &client, &presence, wire, session);
    let ended = {
        let talk = async {
            conversation.send(ack.into()).await?;
            shared.announce(presence.connected());
            conversation.run(Duration::from_secs(keep_alive.into()).mul_f32(1.5)).await
        };
        let expired = async {
            match begin.end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = talk => ended.err().unwrap_or(Ended::ConnectionLost),
            // The sender is dropped with the gateway alone.
            ended = &mut end => ended.unwrap_or(Ended::Displaced),
            () = expired => Ended::Expired,
        }
    };
    let (left, expiry, with_will) = conversation.leave();
    shared.router.sessions().close(&client.client_id, ticket, left, expiry, Instant::now());
    if let Some(code) = code(&ended) {
        let _ = timeout(shared.patience, wire.send(Disconnect::new(code).into())).await;
    }
    shared.announce(presence.disconnected(&ended));
    if let Some(will) = connect.last_will.filter(|_| ended != Ended::Disconnect || with_will) {
        shared.will(&client, will);
    }
    shared.journal.record(Event::Closed { client_id: client.client_id, ended });
    drop(over);
}

/// What AWS IoT tells a client of MQTT 5 (AWS IoT Core developer guide, "MQTT 5 properties").
fn limits_of(keep_alive: u16, expiry: Duration) -> ConnectAck {
    ConnectAck {
        session_expiry_interval_secs: Some(u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX)),
        receive_max: std::num::NonZeroU16::new(IN_FLIGHT).unwrap_or(std::num::NonZeroU16::MAX),
        max_qos: QoS::AtLeastOnce,
        max_packet_size: Some(MAX_PACKET),
        topic_alias_max: TOPIC_ALIASES,
        subscription_identifiers_available: false,
        server_keepalive_sec: Some(keep_alive),
        ..ConnectAck::default()
    }
}

/// What a client of MQTT 5 is told at the end.
fn code(ended: &Ended) -> Option<DisconnectReasonCode> {
    use DisconnectReasonCode as Code;
    match ended {
        Ended::Disconnect | Ended::ConnectionLost => None,
        Ended::KeepAlive => Some(Code::KeepAliveTimeout),
        Ended::Displaced => Some(Code::SessionTakenOver),
        Ended::Slow => Some(Code::QuotaExceeded),
        Ended::Expired => Some(Code::MaximumConnectTime),
        Ended::Deleted => Some(Code::AdministrativeAction),
        Ended::Violation(Refusal::Certificate { .. } | Refusal::Policy { .. }) => Some(Code::NotAuthorized),
        Ended::Violation(Refusal::Unsupported { what }) => Some(what.code()),
        Ended::Violation(Refusal::Protocol { .. }) => Some(Code::ProtocolError),
    }
}
