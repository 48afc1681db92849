//! The queue (Amazon SQS, standard) and the event source mapping that sends its messages to the function.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jitr::function::Answer;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use super::function::{Environment, Function, Invoked};

/// How often the event source mapping looks again when the queue is empty.
const POLL: Duration = Duration::from_millis(500);

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
    pub receives: u32,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            concurrency: 2,
            batch_size: 4000,
            window: Duration::from_secs(1),
            visibility_timeout: Duration::from_secs(30),
            receives: 1000,
        }
    }
}

#[derive(Clone)]
struct Message {
    id: u64,
    body: String,
    received: u32,
}

#[derive(Default)]
struct Queue {
    visible: VecDeque<Message>,
    sent: u64,
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the events into the queue and works it off.
pub(super) async fn deliver(
    mut events: UnboundedReceiver<String>,
    function: Arc<Function>,
    settings: QueueSettings,
) {
    let queue = Arc::new(Mutex::new(Queue::default()));
    // Dropped with this future, and the pollers with it.
    let mut pollers = tokio::task::JoinSet::new();
    for _ in 0..settings.concurrency {
        pollers.spawn(poll(Arc::clone(&queue), Arc::clone(&function), settings.clone()));
    }
    while let Some(body) = events.recv().await {
        let mut queue = lock(&queue);
        let id = queue.sent;
        queue.sent += 1;
        queue.visible.push_back(Message { id, body, received: 0 });
    }
}

async fn poll(queue: Arc<Mutex<Queue>>, function: Arc<Function>, settings: QueueSettings) {
    let mut environment: Option<Environment> = None;
    loop {
        let full = lock(&queue).visible.len() >= settings.batch_size;
        if !full {
            sleep(settings.window.max(POLL)).await;
        }
        let batch = receive(&mut lock(&queue), &function, &settings);
        if batch.is_empty() {
            continue;
        }
        let received = tokio::time::Instant::now();
        let warm = match environment.take() {
            Some(environment) => environment,
            None => function.start().await,
        };
        let again: Vec<Message> = match function.invoke(&warm, payload(&batch)).await {
            Invoked::Answer(Answer::Batch(response)) => {
                environment = Some(warm);
                let failed: BTreeSet<String> =
                    response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
                batch.into_iter().filter(|message| failed.contains(&message.id.to_string())).collect()
            }
            Invoked::Answer(Answer::Decision(_)) | Invoked::Failed => {
                environment = Some(warm);
                batch
            }
            Invoked::Crashed => batch,
        };
        // What was not done stays out of sight until its time is up.
        let queue = Arc::clone(&queue);
        let visible_again = received + settings.visibility_timeout;
        tokio::spawn(async move {
            tokio::time::sleep_until(visible_again).await;
            lock(&queue).visible.extend(again);
        });
    }
}

/// Takes messages for one batch; those that were handed over too often go to the dead-letter queue.
fn receive(queue: &mut Queue, function: &Function, settings: &QueueSettings) -> Vec<Message> {
    let mut batch = Vec::new();
    while batch.len() < settings.batch_size {
        let Some(mut message) = queue.visible.pop_front() else { break };
        message.received += 1;
        if message.received > settings.receives {
            function.count(|counts| counts.given_up += 1);
        } else {
            batch.push(message);
        }
    }
    batch
}

fn payload(batch: &[Message]) -> Value {
    let records: Vec<Value> = batch
        .iter()
        .map(|message| {
            json!({"messageId": message.id.to_string(), "eventSource": "aws:sqs", "body": message.body})
        })
        .collect();
    json!({ "Records": records })
}
