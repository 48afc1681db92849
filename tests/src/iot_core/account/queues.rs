//! Standard SQS queues, as far as on-failure destinations and rule actions need them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Account, Error, check_name};

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id, a UUID.
    pub id: String,
    /// What was sent.
    pub body: String,
    /// How often it has been received.
    pub received: u32,
    receipt: String,
    visible_from: Instant,
}

impl Message {
    /// What deletes this delivery of the message.
    pub fn receipt(&self) -> &str {
        &self.receipt
    }
}

/// A standard queue.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Attributes as they were given.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    messages: Vec<Message>,
}

impl Queue {
    /// How many messages can be received now, and how many are in flight.
    pub fn depth(&self) -> (usize, usize) {
        let now = Instant::now();
        let visible = self.messages.iter().filter(|message| message.visible_from <= now).count();
        (visible, self.messages.len() - visible)
    }

    /// How long a received message stays hidden; 30 seconds unless the queue says otherwise.
    pub fn visibility_timeout(&self) -> Duration {
        let seconds = self.attributes.get("VisibilityTimeout").and_then(|seconds| seconds.parse().ok());
        Duration::from_secs(seconds.unwrap_or(30))
    }
}

impl Account {
    /// The ARN of a queue.
    pub fn queue_arn(&self, name: &str) -> String {
        self.identity.arn("sqs", name)
    }

    /// `CreateQueue`: repeating it is harmless, with other attributes it is refused.
    pub fn create_queue(&mut self, name: &str, attributes: BTreeMap<String, String>) -> Result<(), Error> {
        check_name("queue name", name, 80, "_-")?;
        let new = Queue { attributes, tags: BTreeMap::new(), messages: Vec::new() };
        let wanted = new.attributes.clone();
        let queue = self.queues.entry(name.to_owned()).or_insert(new);
        match wanted.iter().all(|(name, value)| queue.attributes.get(name) == Some(value)) {
            true => Ok(()),
            false => Err(Error::QueueNameExists { name: name.to_owned() }),
        }
    }

    /// `SetQueueAttributes`: those that are given.
    pub fn set_queue_attributes(
        &mut self,
        name: &str,
        attributes: BTreeMap<String, String>,
    ) -> Result<(), Error> {
        self.queue_mut(name)?.attributes.extend(attributes);
        Ok(())
    }

    /// `TagQueue`.
    pub fn tag_queue(&mut self, name: &str, tags: BTreeMap<String, String>) -> Result<(), Error> {
        self.queue_mut(name)?.tags.extend(tags);
        Ok(())
    }

    /// All queues, by name.
    pub fn queues(&self) -> impl Iterator<Item = (&str, &Queue)> {
        self.queues.iter().map(|(name, queue)| (name.as_str(), queue))
    }

    /// The queue of that name.
    pub fn queue(&self, name: &str) -> Result<&Queue, Error> {
        self.queues.get(name).ok_or_else(|| Error::QueueDoesNotExist { name: name.to_owned() })
    }

    fn queue_mut(&mut self, name: &str) -> Result<&mut Queue, Error> {
        self.queues.get_mut(name).ok_or_else(|| Error::QueueDoesNotExist { name: name.to_owned() })
    }

    /// `SendMessage`: returns the message's id.
    pub fn send_message(&mut self, queue: &str, body: &str) -> Result<String, Error> {
        self.queue(queue)?;
        let id = self.unique_id("message");
        self.queue_mut(queue)?.messages.push(Message {
            id: id.clone(),
            body: body.to_owned(),
            received: 0,
            receipt: String::new(),
            visible_from: Instant::now(),
        });
        Ok(id)
    }

    /// `ReceiveMessage`: at most `most` messages, hidden for `hidden` (else the queue's own visibility timeout).
    pub fn receive_messages(
        &mut self,
        queue: &str,
        most: usize,
        hidden: Option<Duration>,
    ) -> Result<Vec<Message>, Error> {
        let receipt = self.unique_id("receipt");
        let queue = self.queue_mut(queue)?;
        let hidden = hidden.unwrap_or(queue.visibility_timeout());
        let now = Instant::now();
        let mut taken = Vec::new();
        for message in queue.messages.iter_mut().filter(|m| m.visible_from <= now).take(most) {
            message.received += 1;
            message.receipt = format!("{receipt}.{}", message.id);
            message.visible_from = now + hidden;
            taken.push(message.clone());
        }
        Ok(taken)
    }

    /// `DeleteMessage`: an old receipt deletes nothing.
    pub fn delete_message(&mut self, queue: &str, receipt: &str) -> Result<(), Error> {
        self.queue_mut(queue)?.messages.retain(|message| message.receipt != receipt);
        Ok(())
    }

    /// `ChangeMessageVisibility`: hides a message for `hidden` from now on. An old receipt changes nothing.
    pub fn change_message_visibility(
        &mut self,
        queue: &str,
        receipt: &str,
        hidden: Duration,
    ) -> Result<(), Error> {
        let messages = self.queue_mut(queue)?.messages.iter_mut();
        for message in messages.filter(|message| message.receipt == receipt) {
            message.visible_from = Instant::now() + hidden;
        }
        Ok(())
    }

    /// `DeleteQueue`.
    pub fn delete_queue(&mut self, name: &str) -> Result<(), Error> {
        self.queue(name)?;
        self.queues.remove(name);
        Ok(())
    }
}
