//! Sessions by client id: subscriptions, and what waits for a client that is away (MQTT 5, section 4.1; AWS IoT Core developer guide,
//! "MQTT persistent sessions").

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use rmqtt_codec::types::QoS;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::access::{Client, Principal};
use super::journal::Ended;
use super::limits::MAX_WAITING;
use super::message::Message;
use super::presence::Versions;
use crate::iot_core::topic;

/// Messages waiting for a client that reads slowly; with more, its connection ends.
const OUTBOX: usize = 256;

/// A connection's identity: client ids repeat, tickets do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) filter: String,
    pub(super) qos: QoS,
    /// Not the client's own messages.
    pub(super) no_local: bool,
    /// Messages come with the retain flag that they were published with.
    pub(super) retain_as_published: bool,
}

/// How a client wants its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Without what there was before.
    pub(super) clean: bool,
    /// How long it outlives its connection.
    pub(super) expiry: Duration,
    /// In seconds.
    pub(super) keep_alive: u16,
}

/// A session with its connection, as the connection sees it.
pub(super) struct Opened {
    pub(super) ticket: Ticket,
    /// There was one before, and it goes on.
    pub(super) present: bool,
    /// What has come for the client while it was away.
    pub(super) waiting: VecDeque<Message>,
    pub(super) messages: mpsc::Receiver<Message>,
    /// Says why the connection has to end.
    pub(super) end: oneshot::Receiver<Ended>,
    /// `versionNumber` of the lifecycle events.
    pub(super) version: u64,
    /// To be dropped when everything of the connection is over.
    pub(super) over: DropGuard,
}

struct Online {
    ticket: Ticket,
    outbox: mpsc::Sender<Message>,
    end: Option<oneshot::Sender<Ended>>,
    over: CancellationToken,
    since: SystemTime,
}

struct Session {
    client: Client,
    wish: Wish,
    subscriptions: Vec<Subscription>,
    waiting: VecDeque<Message>,
    online: Option<Online>,
    /// When a session whose client is away comes to its end.
    ends: Option<Instant>,
}

/// A connection, as an operator may ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// MQTT client id.
    pub client_id: String,
    /// Certificate id, or access key id.
    pub principal: String,
    /// The client's address.
    pub source_ip: std::net::IpAddr,
    /// When it was let in.
    pub since: SystemTime,
    /// Its session ends with it.
    pub clean: bool,
    /// How long the session outlives the connection.
    pub session_expiry: Duration,
    /// The keep-alive interval that is held to, in seconds.
    pub keep_alive: u16,
    /// Topic filters and qualities of service.
    pub subscriptions: Vec<(String, u8)>,
}

/// Where a message goes.
pub(super) struct Recipient {
    pub(super) client: Client,
    pub(super) qos: QoS,
    pub(super) retain_as_published: bool,
}

#[derive(Default)]
pub(super) struct Sessions {
    by_client_id: HashMap<String, Session>,
    versions: Versions,
    tickets: u64,
}

impl Sessions {
    /// Ends the connection of the client, if it has one; the token says when it is over.
    pub(super) fn end(&mut self, client_id: &str, ended: Ended) -> Option<CancellationToken> {
        let online = self.by_client_id.get_mut(client_id)?.online.as_mut()?;
        if let Some(end) = online.end.take() {
            // An error says that it has ended of itself.
            let _ = end.send(ended);
        }
        Some(online.over.clone())
    }

    pub(super) fn open(&mut self, client: Client, wish: Wish, now: Instant) -> Opened {
        self.by_client_id.retain(|_, session| session.ends.is_none_or(|ends| now < ends));
        let before = self.by_client_id.remove(&client.client_id).filter(|_| !wish.clean);
        let present = before.is_some();
        let (subscriptions, waiting) =
            before.map_or_else(Default::default, |session| (session.subscriptions, session.waiting));
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let (end_sender, end) = oneshot::channel();
        self.tickets += 1;
        let (ticket, over) = (Ticket(self.tickets), CancellationToken::new());
        let version = self.versions.connected(&client.client_id, now);
        let online =
            Online { ticket, outbox, end: Some(end_sender), over: over.clone(), since: SystemTime::now() };
        let client_id = client.client_id.clone();
        let session = Session {
            client,
            wish,
            subscriptions,
            waiting: VecDeque::new(),
            online: Some(online),
            ends: None,
        };
        self.by_client_id.insert(client_id, session);
        Opened { ticket, present, waiting, messages, end, version, over: over.drop_guard() }
    }

    /// The connection is over. What the client has not acknowledged waits for it, if its session goes on.
    pub(super) fn close(
        &mut self,
        client_id: &str,
        ticket: Ticket,
        left: Vec<Message>,
        expiry: Duration,
        now: Instant,
    ) {
        let Some(session) = self.current(client_id, ticket) else { return };
        session.online = None;
        if expiry.is_zero() {
            self.by_client_id.remove(client_id);
        } else {
            session.ends = Some(now + expiry);
            left.into_iter()
                .filter(|message| message.qos != QoS::AtMostOnce)
                .for_each(|message| session.wait(message));
        }
        self.versions.disconnected(client_id, now);
    }

    fn current(&mut self, client_id: &str, ticket: Ticket) -> Option<&mut Session> {
        let session = self.by_client_id.get_mut(client_id)?;
        let is_current = session.online.as_ref().is_some_and(|online| online.ticket == ticket);
        is_current.then_some(session)
    }

    /// Adds subscriptions, or replaces those to the same filters; returns how many there are then, and which filters were there.
    pub(super) fn subscribe(
        &mut self,
        client_id: &str,
        ticket: Ticket,
        added: Vec<Subscription>,
    ) -> (usize, Vec<String>) {
        let Some(session) = self.current(client_id, ticket) else { return (0, Vec::new()) };
        let mut known = Vec::new();
        for subscription in added {
            match session.subscriptions.iter_mut().find(|known| known.filter == subscription.filter) {
                Some(same) => {
                    known.push(subscription.filter.clone());
                    *same = subscription;
                }
                None => session.subscriptions.push(subscription),
            }
        }
        (session.subscriptions.len(), known)
    }

    /// Ends a subscription; tells whether there was one.
    pub(super) fn unsubscribe(&mut self, client_id: &str, ticket: Ticket, filter: &str) -> bool {
        self.current(client_id, ticket).is_some_and(|session| {
            let before = session.subscriptions.len();
            session.subscriptions.retain(|subscription| subscription.filter != filter);
            session.subscriptions.len() < before
        })
    }

    /// The clients with a subscription that covers the topic, each once, at the highest quality of service of those that do; and one
    /// client for each shared subscription that does. A client that is away gets the message of its group if all of them are.
    pub(super) fn recipients(&self, topic: &str, publisher: Option<&str>) -> Vec<Recipient> {
        let (mut recipients, mut groups) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        for session in self.by_client_id.values() {
            let own = publisher == Some(session.client.client_id.as_str());
            let mut covering = Vec::new();
            for one in &session.subscriptions {
                match topic::shared(&one.filter) {
                    Some((_, filter)) if topic::matches(filter, topic) => {
                        groups.entry(&one.filter).or_default().push((session, one));
                    }
                    None if topic::matches(&one.filter, topic) && !(own && one.no_local) => {
                        covering.push(one)
                    }
                    _ => {}
                }
            }
            recipients.extend(session.recipient(&covering));
        }
        for members in groups.into_values() {
            let online = members.iter().filter(|(session, _)| session.online.is_some());
            let one = fastrand::choice(online.collect::<Vec<_>>());
            let one = one.or_else(|| fastrand::choice(&members));
            recipients.extend(one.and_then(|(session, one)| session.recipient(&[one])));
        }
        recipients
    }

    /// Puts a message on its way to a client, or where it waits for it; tells whether it is on its way.
    pub(super) fn send(&mut self, client_id: &str, message: Message) -> bool {
        let Some(session) = self.by_client_id.get_mut(client_id) else { return false };
        let Some(online) = &mut session.online else {
            if message.qos != QoS::AtMostOnce {
                session.wait(message);
            }
            return false;
        };
        let sent = online.outbox.try_send(message).is_ok();
        if !sent && let Some(end) = online.end.take() {
            let _ = end.send(Ended::Slow);
        }
        sent
    }

    /// The clients that are connected with a certificate, and its id.
    pub(super) fn certified(&self) -> Vec<(String, String)> {
        let online = self.by_client_id.values().filter(|session| session.online.is_some());
        let certified = online.filter_map(|session| match &session.client.principal {
            Principal::Certificate(id) => Some((session.client.client_id.clone(), id.clone())),
            Principal::Keys { .. } => None,
        });
        certified.collect()
    }

    /// The connections that there are.
    pub(super) fn connections(&self) -> impl Iterator<Item = Connection> {
        self.by_client_id.values().filter_map(|session| {
            let subscription = |one: &Subscription| (one.filter.clone(), one.qos.value());
            Some(Connection {
                client_id: session.client.client_id.clone(),
                principal: session.client.principal.id().to_owned(),
                source_ip: session.client.source_ip,
                since: session.online.as_ref()?.since,
                clean: session.wish.clean,
                session_expiry: session.wish.expiry,
                keep_alive: session.wish.keep_alive,
                subscriptions: session.subscriptions.iter().map(subscription).collect(),
            })
        })
    }
}

impl Session {
    /// The client as one of the recipients of a message, if there are subscriptions for it.
    fn recipient(&self, covering: &[&Subscription]) -> Option<Recipient> {
        let qos = covering.iter().map(|one| one.qos).max()?;
        let retain_as_published = covering.iter().any(|one| one.retain_as_published);
        Some(Recipient { client: self.client.clone(), qos, retain_as_published })
    }

    fn wait(&mut self, message: Message) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(message);
    }
}
