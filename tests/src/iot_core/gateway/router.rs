//! Messages from one client to the others, and those that are kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::access::{Access, Client, Operation};
use super::journal::{Ended, Event, Journal, Refusal};
use super::message::Message;
use super::session::{Connection, Opened, Sessions, Subscription, Ticket, Wish};

pub(super) struct Router {
    access: Access,
    journal: Journal,
    sessions: Mutex<Sessions>,
    /// Retained messages, by topic.
    retained: Mutex<BTreeMap<String, Message>>,
}

impl Router {
    pub(super) fn new(access: Access, journal: Journal) -> Self {
        Self { access, journal, sessions: Mutex::default(), retained: Mutex::default() }
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retained(&self) -> MutexGuard<'_, BTreeMap<String, Message>> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session, or goes on with the one that there is. An older connection of the same client id ends first, and is waited
    /// for as long as `patience` (MQTT 3.1.1, 3.1.4-2).
    pub(super) async fn open(&self, client: Client, wish: Wish, patience: Duration) -> Opened {
        loop {
            let older = self.sessions().end(&client.client_id, Ended::Displaced);
            let Some(over) = older else { break };
            if timeout(patience, over.cancelled()).await.is_err() {
                break;
            }
        }
        self.sessions().open(client, wish, Instant::now())
    }

    /// Ends a connection from the account's side; tells whether there was one.
    pub(super) fn end(&self, client_id: &str, ended: Ended) -> bool {
        self.sessions().end(client_id, ended).is_some()
    }

    /// Cuts off whose certificate is not ACTIVE any more.
    pub(super) fn cut_off(&self) {
        // The account is asked without the lock held: it may have one of its own.
        let certified = self.sessions().certified();
        for (client_id, certificate_id) in certified {
            if let Some(reason) = self.access.directory.inactive(&certificate_id) {
                self.end(&client_id, Ended::Violation(Refusal::Certificate { reason }));
            }
        }
    }

    pub(super) fn connection(&self, client_id: &str) -> Option<Connection> {
        self.sessions().connections().find(|connection| connection.client_id == client_id)
    }

    /// Adds subscriptions; returns how many there are then, and the retained messages that are due to those.
    pub(super) fn subscribe(
        &self,
        client: &Client,
        ticket: Ticket,
        added: Vec<(Subscription, Retained)>,
    ) -> (usize, Vec<Message>) {
        let subscriptions = added.iter().map(|(subscription, _)| subscription.clone()).collect();
        let (count, known) = self.sessions().subscribe(&client.client_id, ticket, subscriptions);
        let due = added.iter().filter(|(subscription, retained)| match retained {
            Retained::Always => true,
            Retained::IfNew => !known.contains(&subscription.filter),
            Retained::Never => false,
        });
        let now = Instant::now();
        let mut messages = Vec::new();
        for (subscription, _) in due {
            // A filter with wildcards gets none (AWS IoT Core developer guide, "MQTT retained messages").
            let kept =
                self.retained().get(&subscription.filter).filter(|kept| !kept.is_expired(now)).cloned();
            if let Some(message) = kept
                && self.may_receive(client, &message.topic)
            {
                messages.push(message.copy(subscription.qos, true));
            }
        }
        (count, messages)
    }

    /// Hands a message to every session with a subscription that covers its topic and policies that let it receive it;
    /// once to each. A message to be retained takes the place of the one kept for its topic, and an empty one clears it.
    pub(super) fn route(&self, message: &Message, publisher: Option<&str>) {
        if message.retain {
            match message.payload.is_empty() {
                true => drop(self.retained().remove(&message.topic)),
                false => drop(self.retained().insert(message.topic.clone(), message.clone())),
            }
        }
        // The account is asked without the lock held: it may have one of its own.
        let recipients = self.sessions().recipients(&message.topic, publisher);
        for recipient in recipients {
            if !self.may_receive(&recipient.client, &message.topic) {
                continue;
            }
            let client_id = recipient.client.client_id;
            let copy = message.copy(recipient.qos, message.retain && recipient.retain_as_published);
            let (topic, bytes) = (message.topic.clone(), message.payload.len());
            if self.sessions().send(&client_id, copy) {
                self.journal.record(Event::Delivered { client_id, topic, bytes });
            }
        }
    }

    fn may_receive(&self, client: &Client, topic: &str) -> bool {
        let Err(refusal) = self.access.check(client, Operation::Receive(topic)) else { return true };
        let (client_id, topic) = (client.client_id.clone(), topic.to_owned());
        self.journal.record(Event::Withheld { client_id, topic, refusal });
        false
    }
}

/// Whether a subscription asks for the retained messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retained {
    Always,
    /// If it was not there before.
    IfNew,
    Never,
}
