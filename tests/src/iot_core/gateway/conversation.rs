//! What a client that is let in says, and what it is told.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU16;
use std::time::Duration;

use rmqtt_codec::types::Publish;
use rmqtt_codec::v5::{
    Disconnect, DisconnectReasonCode, Packet, PublishAck, PublishAckReason, QoS, RetainHandling, Subscribe,
    SubscribeAck, SubscribeAckReason, SubscriptionOptions, Unsubscribe, UnsubscribeAck, UnsubscribeAckReason,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::access::{Client, Operation};
use super::admission::check_publish;
use super::connection::Shared;
use super::journal::{Ended, Event, Refusal};
use super::limits::{Limit, MAX_FILTERS_A_PACKET, MAX_SESSION_EXPIRY, MAX_SUBSCRIPTIONS, TOPIC_ALIASES};
use super::message::Message;
use super::presence::Presence;
use super::router::Retained;
use super::session::{Subscription, Ticket};
use super::wire::{Silence, Unsent, Version, Wire};
use crate::iot_core::topic;

/// The session of a connection.
pub(super) struct Session {
    pub(super) ticket: Ticket,
    /// How many messages may wait for a PUBACK of the client.
    pub(super) window: usize,
    /// How long it outlives the connection.
    pub(super) expiry: Duration,
    /// To be delivered before what comes.
    pub(super) pending: VecDeque<Message>,
    pub(super) messages: mpsc::Receiver<Message>,
}

/// A connection that has been let in.
pub(super) struct Conversation<'a> {
    shared: &'a Shared,
    client: &'a Client,
    presence: &'a Presence,
    wire: &'a mut Wire,
    session: Session,
    with_will: bool,
    unacknowledged: BTreeMap<NonZeroU16, Message>,
    next_packet_id: NonZeroU16,
    aliases: HashMap<NonZeroU16, String>,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        client: &'a Client,
        presence: &'a Presence,
        wire: &'a mut Wire,
        session: Session,
    ) -> Self {
        Self {
            shared,
            client,
            presence,
            wire,
            session,
            with_will: false,
            unacknowledged: BTreeMap::new(),
            next_packet_id: NonZeroU16::MIN,
            aliases: HashMap::new(),
        }
    }

    /// What the client has not acknowledged or not got yet, how long its session goes on, and whether it wants its last will published
    /// although it said goodbye.
    pub(super) fn leave(mut self) -> (Vec<Message>, Duration, bool) {
        self.session.messages.close();
        let mut left: Vec<Message> = self.unacknowledged.into_values().collect();
        left.extend(self.session.pending);
        while let Ok(message) = self.session.messages.try_recv() {
            left.push(message);
        }
        (left, self.session.expiry, self.with_will)
    }

    /// Until an end.
    pub(super) async fn run(&mut self, silence: Duration) -> Result<(), Ended> {
        let mut deadline = Instant::now() + silence;
        loop {
            while self.unacknowledged.len() < self.session.window
                && let Some(message) = self.session.pending.pop_front()
            {
                self.deliver(message).await?;
            }
            let ready = self.unacknowledged.len() < self.session.window;
            tokio::select! {
                packet = self.wire.read() => {
                    deadline = Instant::now() + silence;
                    self.handle(packet.map_err(end_of)?).await?;
                }
                message = self.session.messages.recv(), if ready => match message {
                    Some(message) => self.deliver(message).await?,
                    None => return Err(Ended::Displaced),
                },
                () = sleep_until(deadline) => return Err(Ended::KeepAlive),
            }
        }
    }

    async fn handle(&mut self, packet: Packet) -> Result<(), Ended> {
        match packet {
            Packet::Publish(publish) => self.publish(*publish).await,
            Packet::Subscribe(subscribe) => self.subscribe(subscribe).await,
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe).await,
            Packet::PingRequest => self.send(Packet::PingResponse).await,
            Packet::PublishAck(ack) => {
                self.unacknowledged.remove(&ack.packet_id);
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(self.goodbye(&disconnect)),
            other => Err(protocol(format!("unexpected packet of type {:#04x}", other.packet_type()))),
        }
    }

    fn goodbye(&mut self, disconnect: &Disconnect) -> Ended {
        // A session that was to end with its connection cannot be kept any more (MQTT 5, section 3.14.2.2.2).
        if let Some(seconds) = disconnect.session_expiry_interval_secs {
            if self.session.expiry.is_zero() && seconds > 0 {
                return protocol("DISCONNECT prolongs a session that ends with its connection".to_owned());
            }
            self.session.expiry = Duration::from_secs(seconds.into()).min(MAX_SESSION_EXPIRY);
        }
        self.with_will = disconnect.reason_code == DisconnectReasonCode::DisconnectWithWillMessage;
        Ended::Disconnect
    }

    async fn publish(&mut self, publish: Publish) -> Result<(), Ended> {
        let topic = self.topic_of(&publish)?;
        let (packet_id, Publish { payload, qos, retain, .. }) = (publish.packet_id, &publish);
        match check_publish(&self.shared.access, self.client, &topic, payload, *qos, *retain) {
            Ok(()) => {}
            // MQTT 5 has a word for it; the connection of an older client ends.
            Err(Refusal::Policy { action, resource, explicit, because })
                if self.wire.version() == Version::V5 && packet_id.is_some() =>
            {
                let (client_id, refusal) =
                    (self.client.client_id.clone(), Refusal::Policy { action, resource, explicit, because });
                self.shared.journal.record(Event::PublishRefused { client_id, topic, refusal });
                return self.acknowledge(packet_id, PublishAckReason::NotAuthorized).await;
            }
            Err(refusal) => return Err(Ended::Violation(refusal)),
        }
        let message = Message::published(publish, topic, Instant::now());
        self.shared.accept(&message, &self.client.client_id);
        self.acknowledge(packet_id, PublishAckReason::Success).await
    }

    async fn acknowledge(
        &mut self,
        packet_id: Option<NonZeroU16>,
        reason_code: PublishAckReason,
    ) -> Result<(), Ended> {
        match packet_id {
            Some(packet_id) => {
                self.send(Packet::PublishAck(PublishAck { packet_id, reason_code, ..PublishAck::default() }))
                    .await
            }
            None => Ok(()),
        }
    }

    /// The topic of a message, which may be one that an alias stands for.
    fn topic_of(&mut self, publish: &Publish) -> Result<String, Ended> {
        let alias = publish.properties.as_ref().and_then(|properties| properties.topic_alias);
        let Some(alias) = alias else { return Ok(publish.topic.to_string()) };
        if alias.get() <= TOPIC_ALIASES {
            if !publish.topic.is_empty() {
                self.aliases.insert(alias, publish.topic.to_string());
            }
            if let Some(topic) = self.aliases.get(&alias) {
                return Ok(topic.clone());
            }
        }
        Err(unsupported(Limit::TopicAlias))
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Ended> {
        let Subscribe { packet_id, id, topic_filters, .. } = subscribe;
        let limit = match () {
            () if topic_filters.len() > MAX_FILTERS_A_PACKET => Some(Limit::FiltersAPacket),
            () if topic_filters.iter().any(|(_, options)| options.qos == QoS::ExactlyOnce) => {
                Some(Limit::QualityOfService)
            }
            () if id.is_some() => Some(Limit::SubscriptionIdentifier),
            () => None,
        };
        if let Some(what) = limit {
            return Err(unsupported(what));
        }
        let (mut status, mut granted) = (Vec::new(), Vec::new());
        for (filter, options) in topic_filters {
            match self.check_subscribe(&filter) {
                Ok(()) => {
                    status.push(match options.qos {
                        QoS::AtMostOnce => SubscribeAckReason::GrantedQos0,
                        _ => SubscribeAckReason::GrantedQos1,
                    });
                    granted.push(granting(filter.to_string(), options));
                }
                Err(refusal) => {
                    status.push(refused(&refusal));
                    let (client_id, filter) = (self.client.client_id.clone(), filter.to_string());
                    let event = Event::SubscriptionRefused { client_id, filter, refusal: refusal.clone() };
                    self.shared.journal.record(event);
                    // MQTT 5 has a word for it; the connection of an older client ends.
                    if self.wire.version() == Version::V311 {
                        return Err(Ended::Violation(refusal));
                    }
                }
            }
        }
        let filters: Vec<String> = granted.iter().map(|(granted, _)| granted.filter.clone()).collect();
        let (count, retained) = self.shared.router.subscribe(self.client, self.session.ticket, granted);
        if count > MAX_SUBSCRIPTIONS {
            return Err(unsupported(Limit::Subscriptions));
        }
        for filter in filters.clone() {
            self.shared
                .journal
                .record(Event::Subscribed { client_id: self.client.client_id.clone(), filter });
        }
        let (properties, reason_string) = (Vec::new(), None);
        self.send(Packet::SubscribeAck(SubscribeAck { packet_id, properties, reason_string, status }))
            .await?;
        self.session.pending.extend(retained);
        if !filters.is_empty() {
            self.shared.announce(self.presence.subscribed(&filters));
        }
        Ok(())
    }

    fn check_subscribe(&self, filter: &str) -> Result<(), Refusal> {
        if !topic::is_filter(filter) {
            return Err(Refusal::Unsupported { what: Limit::TopicFilter });
        }
        self.shared.access.check(self.client, Operation::Subscribe(filter))
    }

    async fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), Ended> {
        let Unsubscribe { packet_id, topic_filters, .. } = unsubscribe;
        let (mut status, mut ended) = (Vec::new(), Vec::new());
        for filter in topic_filters {
            if self.shared.router.sessions().unsubscribe(&self.client.client_id, self.session.ticket, &filter)
            {
                status.push(UnsubscribeAckReason::Success);
                ended.push(filter.to_string());
            } else {
                status.push(UnsubscribeAckReason::NoSubscriptionExisted);
            }
        }
        let (properties, reason_string) = (Vec::new(), None);
        self.send(Packet::UnsubscribeAck(UnsubscribeAck { packet_id, properties, reason_string, status }))
            .await?;
        if !ended.is_empty() {
            self.shared.announce(self.presence.unsubscribed(&ended));
        }
        Ok(())
    }

    async fn deliver(&mut self, message: Message) -> Result<(), Ended> {
        let now = Instant::now();
        if message.is_expired(now) {
            return Ok(());
        }
        let packet_id = (message.qos == QoS::AtLeastOnce).then(|| self.packet_id());
        let packet = message.packet(packet_id, now);
        if let Some(packet_id) = packet_id {
            self.unacknowledged.insert(packet_id, message);
        }
        match timeout(self.shared.patience, self.wire.send(packet.into())).await {
            Ok(Ok(())) => Ok(()),
            // The client does not get it (MQTT 5, section 3.1.2.11.4).
            Ok(Err(Unsent::TooLarge)) => {
                packet_id.map(|packet_id| self.unacknowledged.remove(&packet_id));
                Ok(())
            }
            Ok(Err(Unsent::Closed)) => Err(Ended::ConnectionLost),
            Err(_) => Err(Ended::Slow),
        }
    }

    /// A packet identifier that is not in use; there are more of them than messages that may wait.
    fn packet_id(&mut self) -> NonZeroU16 {
        loop {
            let packet_id = self.next_packet_id;
            self.next_packet_id = packet_id.checked_add(1).unwrap_or(NonZeroU16::MIN);
            if !self.unacknowledged.contains_key(&packet_id) {
                return packet_id;
            }
        }
    }

    pub(super) async fn send(&mut self, packet: Packet) -> Result<(), Ended> {
        match timeout(self.shared.patience, self.wire.send(packet)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended::ConnectionLost),
            Err(_) => Err(Ended::Slow),
        }
    }
}

fn granting(filter: String, options: SubscriptionOptions) -> (Subscription, Retained) {
    let SubscriptionOptions { qos, no_local, retain_as_published, retain_handling } = options;
    let retained = match retain_handling {
        RetainHandling::AtSubscribe => Retained::Always,
        RetainHandling::AtSubscribeNew => Retained::IfNew,
        RetainHandling::NoAtSubscribe => Retained::Never,
    };
    // MQTT 5, section 4.8.2.
    let retained = match topic::shared(&filter) {
        Some(_) => Retained::Never,
        None => retained,
    };
    (Subscription { filter, qos, no_local, retain_as_published }, retained)
}

fn refused(refusal: &Refusal) -> SubscribeAckReason {
    match refusal {
        Refusal::Unsupported { what: Limit::TopicFilter } => SubscribeAckReason::TopicFilterInvalid,
        _ => SubscribeAckReason::NotAuthorized,
    }
}

fn end_of(silence: Silence) -> Ended {
    match silence {
        Silence::Closed => Ended::ConnectionLost,
        Silence::Malformed { reason } => protocol(reason),
    }
}

fn unsupported(what: Limit) -> Ended {
    Ended::Violation(Refusal::Unsupported { what })
}

fn protocol(reason: String) -> Ended {
    Ended::Violation(Refusal::Protocol { reason })
}
