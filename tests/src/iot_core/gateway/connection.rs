//! One client's connection, from the TLS handshake to the last packet.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use rmqtt_codec::types::Publish;
use rmqtt_codec::v3::{
    Codec, Connect, ConnectAck, ConnectAckReason, LastWill, Packet, QoS, SubscribeReturnCode,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::codec::Framed;

use super::access::{Access, Client, Operation};
use super::journal::{Ended, Event, Journal, Refusal};
use super::router::{Message, Router, Ticket};
use crate::iot_core::directory::{Peer, Verdict};
use crate::iot_core::topic;

/// The largest payload that AWS IoT takes, in bytes.
const MAX_PAYLOAD: usize = 128 * 1024;
/// Room for that payload and its topic (256 bytes) with their headers.
const MAX_PACKET: u32 = MAX_PAYLOAD as u32 + 512;
/// The rest of AWS IoT's limits on MQTT (AWS IoT Core endpoints and quotas).
const MAX_CLIENT_ID: usize = 128;
const MAX_FILTERS_A_PACKET: usize = 8;
const MAX_SUBSCRIPTIONS: usize = 50;
/// The keep-alive interval of a client that asks for none or for a longer one, and the shortest that is held to.
const MAX_KEEP_ALIVE: u64 = 1200;
const MIN_KEEP_ALIVE: u64 = 30;

const QOS_2: Refusal = Refusal::Unsupported { what: "AWS IoT has no quality of service 2" };

/// What all connections share.
pub(super) struct Shared {
    pub(super) tls: TlsAcceptor,
    pub(super) access: Access,
    pub(super) router: Arc<Router>,
    pub(super) journal: Journal,
    /// How long a client may take for its TLS handshake, for its CONNECT, and to take a packet from the gateway.
    pub(super) patience: Duration,
}

type Stream = Framed<TlsStream<TcpStream>, Codec>;

/// Serves a client until its connection ends.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    match greet(&shared, stream).await {
        Ok((connect, leaf, server_name, mut stream)) => {
            let peer = Peer { address: peer.ip(), server_name };
            match admit(&shared, &connect, &leaf, peer) {
                Ok(client) => Connection::run(&shared, client, connect, &mut stream).await,
                Err(event) => shared.journal.record(event),
            }
            // AWS closes the connection and says nothing more.
            let _ = timeout(shared.patience, stream.close()).await;
        }
        Err(reason) => {
            shared.journal.record(Event::HandshakeFailed { peer: peer.to_string(), reason });
        }
    }
}

/// TLS handshake and CONNECT packet, and whether the client named the server; an error says in words why there was none.
async fn greet(shared: &Shared, stream: TcpStream) -> Result<(Connect, Vec<u8>, bool, Stream), String> {
    let late = |what: &str| format!("no {what} within {:?}", shared.patience);
    let handshake = timeout(shared.patience, shared.tls.accept(stream)).await;
    let stream = handshake.map_err(|_| late("TLS handshake"))?.map_err(|error| error.to_string())?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|leaf| leaf.to_vec());
    let leaf = leaf.ok_or("no client certificate")?;
    let named = stream.get_ref().1.server_name().is_some();
    let mut stream = Framed::new(stream, Codec::new(MAX_PACKET));
    match timeout(shared.patience, stream.next()).await.map_err(|_| late("CONNECT"))? {
        Some(Ok((Packet::Connect(connect), _))) => Ok((*connect, leaf, named, stream)),
        Some(Ok(_)) => Err("the first packet is not CONNECT".to_owned()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("closed before CONNECT".to_owned()),
    }
}

/// Asks the account, then the policies; an error is what to record before the connection is closed.
fn admit(shared: &Shared, connect: &Connect, leaf: &[u8], peer: Peer) -> Result<Client, Event> {
    let client_id = connect.client_id.to_string();
    let refused = |certificate_id: &str, refusal: Refusal| Event::Refused {
        certificate_id: certificate_id.to_owned(),
        client_id: client_id.clone(),
        refusal,
    };
    let certificate_id = match shared.access.directory.connecting(leaf, peer) {
        Verdict::Active { certificate_id } => certificate_id,
        Verdict::Registered { certificate_id } => {
            return Err(Event::Registered { certificate_id, client_id });
        }
        Verdict::Refused { reason } => {
            return Err(refused(&hex::encode(Sha256::digest(leaf)), Refusal::Certificate { reason }));
        }
    };
    if !(1..=MAX_CLIENT_ID).contains(&client_id.len()) {
        return Err(refused(
            &certificate_id,
            Refusal::Unsupported { what: "a client id has 1 to 128 bytes" },
        ));
    }
    let client = Client {
        client_id: client_id.clone(),
        certificate_id: certificate_id.clone(),
        source_ip: peer.address,
    };
    shared.access.check(&client, Operation::Connect).map_err(|refusal| refused(&certificate_id, refusal))?;
    if let Some(will) = &connect.last_will {
        check_publish(&shared.access, &client, &will.topic, &will.message, will.qos, will.retain)
            .map_err(|refusal| refused(&certificate_id, refusal))?;
    }
    Ok(client)
}

fn check_publish(
    access: &Access,
    client: &Client,
    topic: &str,
    payload: &[u8],
    qos: QoS,
    retain: bool,
) -> Result<(), Refusal> {
    if qos == QoS::ExactlyOnce {
        return Err(QOS_2);
    }
    if !topic::is_name(topic) {
        return Err(Refusal::Unsupported {
            what: "a topic has 1 to 256 bytes, at most 7 slashes and no wildcards",
        });
    }
    if payload.len() > MAX_PAYLOAD {
        return Err(Refusal::Unsupported { what: "a payload has at most 128 KiB" });
    }
    if topic::is_reserved(topic) {
        return Err(Refusal::Unsupported {
            what: "topics that begin with $ are reserved; devices publish to $aws/things/… and $aws/rules/… alone",
        });
    }
    access.check(client, Operation::Publish(topic))?;
    if retain {
        access.check(client, Operation::RetainPublish(topic))?;
    }
    Ok(())
}

/// A connection that has been let in.
struct Connection<'a> {
    shared: &'a Shared,
    client: Client,
    ticket: Ticket,
    stream: &'a mut Stream,
    next_packet_id: NonZeroU16,
}

impl Connection<'_> {
    async fn run(shared: &Shared, client: Client, connect: Connect, stream: &mut Stream) {
        let client_id = client.client_id.clone();
        let (ticket, mut messages) = shared.router.open(client.clone());
        shared.journal.record(Event::Connected {
            certificate_id: client.certificate_id.clone(),
            client_id: client_id.clone(),
        });
        let mut connection = Connection { shared, client, ticket, stream, next_packet_id: NonZeroU16::MIN };
        let ended = connection.converse(connect.keep_alive, &mut messages).await;
        shared.router.close(&client_id, ticket);
        if let Some(will) = connect.last_will.filter(|_| ended != Ended::Disconnect) {
            connection.publish_will(will);
        }
        shared.journal.record(Event::Closed { client_id, ended });
    }

    async fn converse(&mut self, keep_alive: u16, messages: &mut mpsc::Receiver<Message>) -> Ended {
        let accepted =
            ConnectAck { return_code: ConnectAckReason::ConnectionAccepted, session_present: false };
        if let Err(ended) = self.send(Packet::ConnectAck(accepted)).await {
            return ended;
        }
        let keep_alive = match u64::from(keep_alive) {
            0 => MAX_KEEP_ALIVE,
            seconds => seconds.clamp(MIN_KEEP_ALIVE, MAX_KEEP_ALIVE),
        };
        let silence = Duration::from_secs(keep_alive).mul_f32(1.5);
        let mut deadline = Instant::now() + silence;
        loop {
            let outcome = tokio::select! {
                packet = self.stream.next() => {
                    deadline = Instant::now() + silence;
                    match packet {
                        Some(Ok((packet, _))) => self.handle(packet).await,
                        Some(Err(rmqtt_codec::error::DecodeError::Io(_))) | None => Err(Ended::ConnectionLost),
                        Some(Err(error)) => Err(protocol(&error)),
                    }
                }
                message = messages.recv() => match message {
                    Some(message) => self.deliver(message).await,
                    None => Err(Ended::Displaced),
                },
                () = sleep_until(deadline) => Err(Ended::KeepAlive),
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    }

    async fn handle(&mut self, packet: Packet) -> Result<(), Ended> {
        match packet {
            Packet::Publish(publish) => self.publish(*publish).await,
            Packet::Subscribe { packet_id, topic_filters } => {
                let topic_filters = topic_filters.into_iter().map(|(filter, qos)| (filter.to_string(), qos));
                self.subscribe(packet_id, topic_filters.collect()).await
            }
            Packet::Unsubscribe { packet_id, topic_filters } => {
                let filters: Vec<&str> = topic_filters.iter().map(|filter| &**filter).collect();
                self.shared.router.unsubscribe(&self.client.client_id, self.ticket, &filters);
                self.send(Packet::UnsubscribeAck { packet_id }).await
            }
            Packet::PingRequest => self.send(Packet::PingResponse).await,
            // TCP and TLS have delivered what is acknowledged here, and no session outlives its connection.
            Packet::PublishAck { .. } => Ok(()),
            Packet::Disconnect => Err(Ended::Disconnect),
            other => Err(protocol(&format_args!("unexpected packet of type {:#04x}", other.packet_type()))),
        }
    }

    async fn publish(&mut self, publish: Publish) -> Result<(), Ended> {
        let Publish { topic, payload, qos, retain, .. } = &publish;
        check_publish(&self.shared.access, &self.client, topic, payload, *qos, *retain)
            .map_err(Ended::Violation)?;
        let topic = publish.topic.to_string();
        self.accept(Message { topic, payload: publish.payload, qos: publish.qos });
        match publish.packet_id {
            Some(packet_id) => self.send(Packet::PublishAck { packet_id }).await,
            None => Ok(()),
        }
    }

    /// Passes a message on that the policies allow.
    fn accept(&self, message: Message) {
        self.shared.journal.record(Event::Published {
            client_id: Some(self.client.client_id.clone()),
            topic: message.topic.clone(),
            bytes: message.payload.len(),
        });
        self.shared.access.directory.published(&message.topic, &message.payload);
        self.shared.router.route(&message);
    }

    fn publish_will(&self, will: LastWill) {
        let topic = will.topic.to_string();
        let LastWill { message, qos, retain, .. } = &will;
        if check_publish(&self.shared.access, &self.client, &topic, message, *qos, *retain).is_ok() {
            self.accept(Message { topic, payload: will.message, qos: will.qos });
        }
    }

    async fn subscribe(&mut self, packet_id: NonZeroU16, filters: Vec<(String, QoS)>) -> Result<(), Ended> {
        let unsupported = |what| Err(Ended::Violation(Refusal::Unsupported { what }));
        if filters.len() > MAX_FILTERS_A_PACKET {
            return unsupported("a SUBSCRIBE has at most 8 topic filters");
        }
        if filters.iter().any(|(_, qos)| *qos == QoS::ExactlyOnce) {
            return Err(Ended::Violation(QOS_2));
        }
        let (mut status, mut granted) = (Vec::new(), Vec::new());
        for (filter, qos) in filters {
            match self.check_subscribe(&filter) {
                Ok(()) => {
                    status.push(SubscribeReturnCode::Success(qos));
                    granted.push((filter, qos));
                }
                Err(refusal) => {
                    status.push(SubscribeReturnCode::Failure);
                    self.record_subscription(filter, Some(refusal));
                }
            }
        }
        let names: Vec<String> = granted.iter().map(|(filter, _)| filter.clone()).collect();
        if self.shared.router.subscribe(&self.client.client_id, self.ticket, granted) > MAX_SUBSCRIPTIONS {
            return unsupported("a connection has at most 50 subscriptions");
        }
        for filter in names {
            self.record_subscription(filter, None);
        }
        self.send(Packet::SubscribeAck { packet_id, status }).await
    }

    fn check_subscribe(&self, filter: &str) -> Result<(), Refusal> {
        if !topic::is_filter(filter) {
            return Err(Refusal::Unsupported {
                what: "a topic filter has 1 to 256 bytes, at most 7 slashes and whole levels of wildcards",
            });
        }
        if filter.starts_with("$share/") {
            return Err(Refusal::Unsupported { what: "the testbed has no shared subscriptions ($share)" });
        }
        self.shared.access.check(&self.client, Operation::Subscribe(filter))
    }

    fn record_subscription(&self, filter: String, refusal: Option<Refusal>) {
        let client_id = self.client.client_id.clone();
        self.shared.journal.record(match refusal {
            None => Event::Subscribed { client_id, filter },
            Some(refusal) => Event::SubscriptionRefused { client_id, filter, refusal },
        });
    }

    async fn deliver(&mut self, message: Message) -> Result<(), Ended> {
        let packet_id = (message.qos == QoS::AtLeastOnce).then(|| {
            let packet_id = self.next_packet_id;
            self.next_packet_id = packet_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
            packet_id
        });
        let publish = Publish {
            dup: false,
            retain: false,
            qos: message.qos,
            topic: message.topic.into(),
            packet_id,
            payload: message.payload,
            properties: None,
        };
        self.send(publish.into()).await
    }

    async fn send(&mut self, packet: Packet) -> Result<(), Ended> {
        match timeout(self.shared.patience, self.stream.send(packet)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::ConnectionLost),
            Err(_) => Err(Ended::Displaced),
        }
    }
}

fn protocol(reason: &dyn std::fmt::Display) -> Ended {
    Ended::Violation(Refusal::Protocol { reason: reason.to_string() })
}
