//! Sessions by client id, and messages from one to the others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rmqtt_codec::v3::QoS;
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;

use super::access::{Access, Client, Operation};
use super::journal::{Event, Journal};
use crate::iot_core::topic;

/// Messages waiting for a client that reads slowly; with more, its session ends.
const OUTBOX: usize = 256;

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) qos: QoS,
}

/// A session's identity: client ids repeat, tickets do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

struct Session {
    ticket: Ticket,
    client: Client,
    outbox: mpsc::Sender<Message>,
    subscriptions: Vec<(String, QoS)>,
}

#[derive(Default)]
struct Sessions {
    by_client_id: HashMap<String, Session>,
    tickets: u64,
}

pub(super) struct Router {
    access: Access,
    journal: Journal,
    sessions: Mutex<Sessions>,
}

impl Router {
    pub(super) fn new(access: Access, journal: Journal) -> Self {
        Self { access, journal, sessions: Mutex::default() }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session. An older one of the same client id ends: its outbox closes (MQTT 3.1.1, 3.1.4-2).
    pub(super) fn open(&self, client: Client) -> (Ticket, mpsc::Receiver<Message>) {
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let mut sessions = self.sessions();
        sessions.tickets += 1;
        let ticket = Ticket(sessions.tickets);
        let session = Session { ticket, client: client.clone(), outbox, subscriptions: Vec::new() };
        sessions.by_client_id.insert(client.client_id, session);
        (ticket, messages)
    }

    pub(super) fn close(&self, client_id: &str, ticket: Ticket) {
        let mut sessions = self.sessions();
        if sessions.by_client_id.get(client_id).is_some_and(|session| session.ticket == ticket) {
            sessions.by_client_id.remove(client_id);
        }
    }

    /// Replaces the subscriptions to the filters given; returns the number the session then has.
    pub(super) fn subscribe(&self, client_id: &str, ticket: Ticket, filters: Vec<(String, QoS)>) -> usize {
        self.change(client_id, ticket, |subscriptions| {
            subscriptions.retain(|(filter, _)| filters.iter().all(|(added, _)| added != filter));
            subscriptions.extend(filters);
        })
    }

    pub(super) fn unsubscribe(&self, client_id: &str, ticket: Ticket, filters: &[&str]) {
        self.change(client_id, ticket, |subscriptions| {
            subscriptions.retain(|(filter, _)| !filters.contains(&filter.as_str()));
        });
    }

    fn change(&self, client_id: &str, ticket: Ticket, change: impl FnOnce(&mut Vec<(String, QoS)>)) -> usize {
        let mut sessions = self.sessions();
        let session = sessions.by_client_id.get_mut(client_id).filter(|session| session.ticket == ticket);
        session.map_or(0, |session| {
            change(&mut session.subscriptions);
            session.subscriptions.len()
        })
    }

    /// Hands a message to every session with a subscription that covers its topic and policies that let it receive it;
    /// once to each, at the highest quality of service of the subscriptions that cover it.
    pub(super) fn route(&self, message: &Message) {
        // The account is asked without the lock held: it may have one of its own.
        for (ticket, client, outbox, qos) in self.subscribers(&message.topic) {
            let client_id = client.client_id.clone();
            let (topic, bytes) = (message.topic.clone(), message.payload.len());
            if self.access.check(&client, Operation::Receive(&topic)).is_err() {
                self.journal.record(Event::Withheld { client_id, topic });
                continue;
            }
            match outbox.try_send(Message { qos: qos.min(message.qos), ..message.clone() }) {
                Ok(()) => self.journal.record(Event::Delivered { client_id, topic, bytes }),
                Err(_) => self.close(&client_id, ticket),
            }
        }
    }

    fn subscribers(&self, topic: &str) -> Vec<(Ticket, Client, mpsc::Sender<Message>, QoS)> {
        let mut subscribers = Vec::new();
        for session in self.sessions().by_client_id.values() {
            let covering = session.subscriptions.iter().filter(|(filter, _)| topic::matches(filter, topic));
            if let Some(qos) = covering.map(|(_, qos)| *qos).max() {
                subscribers.push((session.ticket, session.client.clone(), session.outbox.clone(), qos));
            }
        }
        subscribers
    }
}
