//! The queue (Amazon SQS, standard) and the event source mapping that sends its messages to the function.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jitr::function::Answer;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use super::calendar::Calendar;
use super::clock::Clock;
use super::device::{Certificates, Event};
use super::function::{Environment, Function, Invoked};

/// How often the event source mapping looks again when the queue is empty.
const POLL: Duration = Duration::from_millis(500);
/// Messages that one request to Amazon SQS receives, or deletes, at the most.
const MESSAGES_A_REQUEST: usize = 10;

/// The queue and its event source mapping, as `infra/template.yaml` sets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// Environments that work on the queue at the same time (`MaximumConcurrency`; AWS takes 2 to 1000).
    pub concurrency: usize,
    /// Messages in a batch (`BatchSize`; up to 10 000 with a window).
    pub batch_size: usize,
    /// How long a batch may wait to be filled (`MaximumBatchingWindowInSeconds`).
    pub window: Duration,
    /// For how long a message that was handed over cannot be seen (`VisibilityTimeout`).
    pub visibility_timeout: Duration,
    /// How often a message is handed over before it goes to the dead-letter queue (`maxReceiveCount`).
    pub receives: u16,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            concurrency: 2,
            batch_size: 4000,
            window: Duration::from_secs(1),
            visibility_timeout: Duration::from_secs(10),
            receives: 1000,
        }
    }
}

/// Requests to Amazon SQS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// Messages sent.
    pub sent: u64,
    /// Requests that received messages, ten at the most.
    pub receiving: u64,
    /// Messages received, each time counted.
    pub received: u64,
    /// Requests that deleted messages, ten at the most.
    pub deleting: u64,
}

impl Requests {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.sent + self.receiving + self.deleting
    }
}

#[derive(Clone, Copy)]
struct Message {
    event: Event,
    id: u64,
    received: u16,
}

pub(super) struct Queue {
    settings: QueueSettings,
    clock: Clock,
    certificates: Arc<Certificates>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    visible: VecDeque<Message>,
    invisible: Calendar<Vec<Message>>,
    /// Messages that an environment has.
    in_hand: usize,
    closed: bool,
    requests: Requests,
}

impl State {
    /// Whether no message is left, and none will come.
    fn is_done(&self) -> bool {
        self.closed && self.visible.is_empty() && self.invisible.is_empty() && self.in_hand == 0
    }
}

impl Queue {
    pub(super) fn new(settings: QueueSettings, clock: Clock, certificates: Arc<Certificates>) -> Self {
        Self { settings, clock, certificates, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn requests(&self) -> Requests {
        self.state().requests
    }

    /// Takes the events into the queue and works it off, until there are no more.
    pub(super) async fn deliver(
        self: Arc<Self>,
        mut events: UnboundedReceiver<Event>,
        function: Arc<Function>,
    ) {
        // Dropped with this future, and the pollers with it.
        let mut pollers = tokio::task::JoinSet::new();
        for _ in 0..self.settings.concurrency {
            pollers.spawn(Arc::clone(&self).poll(Arc::clone(&function)));
        }
        while let Some(event) = events.recv().await {
            let mut state = self.state();
            let id = state.requests.sent;
            state.requests.sent += 1;
            state.visible.push_back(Message { event, id, received: 0 });
        }
        self.state().closed = true;
        while pollers.join_next().await.is_some() {}
    }

    async fn poll(self: Arc<Self>, function: Arc<Function>) {
        let mut environment: Option<Environment> = None;
        // Without it, only a crash costs more.
        let file = tempfile::tempfile().ok();
        while !self.state().is_done() {
            let is_full = self.state().visible.len() >= self.settings.batch_size;
            if !is_full {
                sleep(self.settings.window.max(POLL)).await;
            }
            let batch = self.receive(&function);
            if batch.is_empty() {
                continue;
            }
            let received = self.clock.elapsed();
            let warm = match environment.take() {
                Some(environment) => environment,
                None => function.start(file.as_ref().and_then(|file| file.try_clone().ok())).await,
            };
            let size = batch.len();
            let again: Vec<Message> = match function.invoke(&warm, self.payload(&batch), size).await {
                Invoked::Answer(Answer::Batch(response)) => {
                    environment = Some(warm);
                    let failed = response.batch_item_failures.iter();
                    let failed: HashSet<u64> =
                        failed.filter_map(|failure| failure.item_identifier.parse().ok()).collect();
                    batch.into_iter().filter(|message| failed.contains(&message.id)).collect()
                }
                Invoked::Answer(Answer::Decision(_)) | Invoked::Failed => {
                    environment = Some(warm);
                    batch
                }
                Invoked::Crashed => batch,
            };
            let mut state = self.state();
            state.in_hand -= size;
            state.requests.deleting += requests(size - again.len());
            // What was not done stays out of sight until its time is up.
            if !again.is_empty() {
                state.invisible.put(received + self.settings.visibility_timeout, again);
            }
        }
    }

    /// Takes messages for one batch; those that were handed over too often go to the dead-letter queue.
    fn receive(&self, function: &Function) -> Vec<Message> {
        let mut state = self.state();
        while let Some(batches) = state.invisible.take(self.clock.elapsed()) {
            state.visible.extend(batches.into_iter().flatten());
        }
        let size = self.settings.batch_size.min(state.visible.len());
        let mut batch: Vec<Message> = state.visible.drain(..size).collect();
        batch.iter_mut().for_each(|message| message.received += 1);
        batch.retain(|message| {
            let given_up = message.received > self.settings.receives;
            function.count(|counts| counts.given_up += u64::from(given_up));
            !given_up
        });
        state.in_hand += batch.len();
        state.requests.receiving += requests(batch.len());
        state.requests.received += batch.len() as u64;
        batch
    }

    fn payload(&self, batch: &[Message]) -> Value {
        let records: Vec<Value> = batch
            .iter()
            .map(|message| {
                let body = message.event.json(&self.certificates);
                json!({"messageId": message.id.to_string(), "eventSource": "aws:sqs", "body": body})
            })
            .collect();
        json!({ "Records": records })
    }
}

fn requests(messages: usize) -> u64 {
    messages.div_ceil(MESSAGES_A_REQUEST) as u64
}
