//! The records of a batch: which events there are to work on, and what is none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::Value;

use crate::event::{Event, EventError};

use super::known::Subject;

/// A record to work on.
pub(super) struct Work {
    pub(super) subject: Subject,
    pub(super) event: Event,
    /// The id of the message.
    pub(super) identifier: Option<String>,
}

/// The events of a batch, of those about the same the newest alone: if that one fails, it is the one that is repeated. And the
/// records that have none.
pub(super) fn works(records: &[Value]) -> (Vec<Work>, Vec<(Option<String>, EventError)>) {
    let mut works: Vec<Work> = Vec::with_capacity(records.len());
    let mut by_subject = HashMap::with_capacity(records.len());
    let mut malformed = Vec::new();
    for record in records {
        let identifier = record["messageId"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        let event = match Event::from_record(record) {
            Ok(event) => event,
            Err(error) => {
                malformed.push((identifier, error));
                continue;
            }
        };
        let work = Work { subject: Subject::of(&event), event, identifier };
        match by_subject.entry(work.subject) {
            Entry::Vacant(vacant) => {
                vacant.insert(works.len());
                works.push(work);
            }
            Entry::Occupied(occupied) => {
                let other = &mut works[*occupied.get()];
                if work.event.timestamp > other.event.timestamp {
                    *other = work;
                }
            }
        }
    }
    (works, malformed)
}
