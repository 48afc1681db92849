//! The journal: everything that happens in the testbed, in order, to read back or to follow.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::broadcast;

use crate::iot_core::gateway;

/// Entries that a follower may lag behind before it loses the oldest.
const FOLLOWER_CAPACITY: usize = 4096;

/// Entries that are kept, unless another number is asked for. A testbed that runs for days does not grow.
pub const CAPACITY: usize = 1 << 17;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Since the testbed started.
    pub at: Duration,
    /// What happened.
    pub what: Happening,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A call of an AWS API was answered.
    Call(Call),
    /// Something happened at the device gateway.
    Gateway(gateway::Event),
    /// A message was published on a topic that a rule reads.
    RuleTriggered {
        /// Rule name.
        rule: String,
        /// Topic.
        topic: String,
    },
    /// A rule's action could not be carried out.
    ActionFailed {
        /// Rule name.
        rule: String,
        /// Why.
        reason: String,
    },
    /// A function finished an invocation.
    Invocation {
        /// Function name.
        function: String,
        /// Request id.
        request_id: String,
        /// Counts deliveries of the event from 1.
        attempt: u32,
        /// How long the function took.
        took: Duration,
        /// What it answered, or how it failed (JSON text).
        outcome: Result<String, String>,
    },
    /// An event was given up after the last attempt.
    EventDropped {
        /// Function name.
        function: String,
        /// Request id.
        request_id: String,
        /// ARN of the on-failure destination that has it now.
        destination: Option<String>,
    },
    /// Something that a person should know, told once.
    Note(String),
    /// A function wrote a line to its log.
    Log {
        /// Function name.
        function: String,
        /// The line.
        line: String,
    },
}

/// One line for a person who watches.
impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(call) => {
                let Call { service, operation, argument, .. } = call;
                match &call.caller {
                    Caller::User | Caller::Stranger => write!(f, "call    {service} {operation} {argument}")?,
                    Caller::Function(name) => {
                        write!(f, "call    {service} {operation} {argument} by {name}")?
                    }
                }
                match &call.outcome {
                    Ok(status) => write!(f, " → {status}"),
                    Err((code, status)) => write!(f, " → {status} {code}"),
                }
            }
            Self::Gateway(event) => {
                write!(f, "gateway {}", serde_json::to_string(event).map_err(|_| fmt::Error)?)
            }
            Self::RuleTriggered { rule, topic } => write!(f, "rule    {rule} reads {topic}"),
            Self::ActionFailed { rule, reason } => write!(f, "rule    {rule} failed: {reason}"),
            Self::Invocation { function, request_id, attempt, took, outcome } => {
                let took = took.as_millis();
                write!(f, "lambda  {function} {request_id} attempt {attempt}, {took} ms: ")?;
                match outcome {
                    Ok(answer) => f.write_str(answer),
                    Err(error) => write!(f, "failed: {error}"),
                }
            }
            Self::EventDropped { function, request_id, destination } => {
                let destination = destination.as_deref().unwrap_or("nowhere");
                write!(f, "lambda  {function} {request_id} given up, event sent to {destination}")
            }
            Self::Note(text) => write!(f, "note    {text}"),
            Self::Log { function, line } => write!(f, "log     {function} {line}"),
        }
    }
}

/// A call of an AWS API.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The signing name: `iot`, `lambda`, `iam`, `sts`, `sqs`; that of a service that is declined, too.
    pub service: Cow<'static, str>,
    /// The operation, for example `DescribeCertificate`.
    pub operation: String,
    /// The resource it is about, as the request names it.
    pub argument: String,
    /// Who called.
    pub caller: Caller,
    /// Time to the answer, injected latency included.
    pub took: Duration,
    /// HTTP status, or the error type with it.
    pub outcome: Result<u16, (String, u16)>,
}

/// Whose credentials a call was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The user's.
    User,
    /// Those that the Lambda host gave to this function.
    Function(String),
    /// None that the account knows, or a signature that is wrong. The call is refused.
    Stranger,
}

/// The journal of one testbed; clones write to the same one.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    /// The same moment by the clock.
    started_at: SystemTime,
    entries: Mutex<VecDeque<Entry>>,
    capacity: usize,
    followers: broadcast::Sender<Entry>,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Journal {
    /// One that keeps so many entries, the latest.
    pub fn new(capacity: usize) -> Self {
        let (followers, _) = broadcast::channel(FOLLOWER_CAPACITY);
        let (started, started_at) = (Instant::now(), SystemTime::now());
        Self(Arc::new(Inner { started, started_at, entries: Mutex::default(), capacity, followers }))
    }

    /// Writes down what has just happened.
    pub fn record(&self, what: Happening) {
        let mut entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry { at: self.0.started.elapsed(), what };
        tracing::debug!(entry = ?entry.what, "journal");
        if entries.len() >= self.0.capacity {
            entries.pop_front();
        }
        entries.push_back(entry.clone());
        // There may be no follower.
        let _ = self.0.followers.send(entry);
    }

    /// Everything so far; of very much, the latest.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// When and how the latest connection of a client ended.
    pub fn last_end_of(&self, client_id: &str) -> Option<(SystemTime, gateway::Ended)> {
        let entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().rev().find_map(|entry| match &entry.what {
            Happening::Gateway(gateway::Event::Closed { client_id: of, ended }) if of == client_id => {
                Some((self.0.started_at + entry.at, ended.clone()))
            }
            _ => None,
        })
    }

    /// The lines that functions have logged: when, the function's name, the line.
    pub fn log_lines(&self) -> Vec<(SystemTime, String, String)> {
        let entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |entry: &Entry| match &entry.what {
            Happening::Log { function, line } => {
                Some((self.0.started_at + entry.at, function.clone(), line.clone()))
            }
            _ => None,
        };
        entries.iter().filter_map(line).collect()
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        let call = |entry: Entry| match entry.what {
            Happening::Call(call) => Some(call),
            _ => None,
        };
        self.entries().into_iter().filter_map(call).collect()
    }

    /// Everything from now on.
    pub fn follow(&self) -> broadcast::Receiver<Entry> {
        self.0.followers.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_entries_are_kept() {
        let journal = Journal::new(2);
        ["one", "two", "three"].iter().for_each(|text| journal.record(Happening::Note((*text).to_owned())));
        let notes: Vec<Happening> = journal.entries().into_iter().map(|entry| entry.what).collect();
        assert_eq!(notes, ["two", "three"].map(|text| Happening::Note(text.to_owned())));
    }
}
