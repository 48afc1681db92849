//! Replay of the queue of failed events: a message is deleted once its certificate is registered.

use std::collections::BTreeMap;

use jitr::scope::Scope;

use super::{Error, Failed, Job, Ready, Route, Row, look, recorded, refusal, send};
use crate::queue::{self, BATCH};
use crate::turns::Turns;
use crate::{Account, Error as AccountError, Queue};

/// Seconds that a message is taken for, besides the turns of its batch: a function may need 15 minutes (AWS Lambda quotas).
const TAKEN_FOR: i32 = 900;
/// Seconds that a message is taken for to be looked at. It is given back before.
const LOOKED_AT_FOR: i32 = 300;

/// The queue that `wanted` (ARN, URL or name) means, or else the one that the function sends failed events to.
///
/// # Errors
/// [`Error::NoQueue`], [`Error::NotAQueue`], and errors of the calls.
pub async fn queue(account: &Account, function: &str, wanted: Option<&str>) -> Result<Queue, AccountError> {
    let wanted = match wanted {
        Some(wanted) => wanted.to_owned(),
        None => queue::destinations(account, function)
            .await?
            .failed
            .ok_or_else(|| Error::NoQueue { function: function.to_owned() })?,
    };
    let found = Queue::find(account, &wanted).await?;
    found.ok_or_else(|| Error::NotAQueue { arn: wanted }.into())
}

/// Sends the events of a queue one after the other, and deletes each once its certificate is registered. The others
/// are given back at the end, so that each event is tried once a run. The certificates that `revoked` has a reason for are
/// refused: a function without lists would register them.
///
/// # Errors
/// As [`super::replay`]. Messages that were taken and not processed are returned first.
pub async fn replay_queue(
    account: &Account,
    scope: &Scope,
    route: &Route,
    queue: &Queue,
    rate: f64,
    revoked: impl Fn(&str) -> Option<String>,
    mut done: impl FnMut(&Row),
) -> Result<(), AccountError> {
    let mut failed = Failed::default();
    let mut done = |row: &Row| {
        failed.count(row);
        done(row);
    };
    let refused = |ready| unless_revoked(ready, &revoked);
    // Receipts of the messages that this run has taken and not deleted, by the message's id.
    let mut taken = BTreeMap::new();
    let worked_off = work_off(account, scope, route, queue, rate, refused, &mut taken, &mut done).await;
    give_back(account, queue, taken.values()).await;
    failed.of_queue(worked_off?, queue)
}

/// What the events of a queue would lead to, as far as the account tells without a change: an event that would be sent, or a row
/// that says why not. The messages are taken and given back, so that they are hidden from others for a moment.
///
/// # Errors
/// What concerns all of them: credentials, permissions, the way to AWS.
pub async fn look_into(
    account: &Account,
    scope: &Scope,
    queue: &Queue,
    revoked: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Result<Ready, Row>>, AccountError> {
    let mut taken = BTreeMap::new();
    let looked = look_through(account, scope, queue, revoked, &mut taken).await;
    give_back(account, queue, taken.values()).await;
    looked
}

async fn look_through(
    account: &Account,
    scope: &Scope,
    queue: &Queue,
    revoked: impl Fn(&str) -> Option<String>,
    taken: &mut BTreeMap<String, String>,
) -> Result<Vec<Result<Ready, Row>>, AccountError> {
    let mut events = Vec::new();
    loop {
        let fresh = take(account, queue, LOOKED_AT_FOR, taken).await?;
        if fresh.is_empty() {
            return Ok(events);
        }
        for (id, body) in fresh {
            let job = Job::Recorded { source: id, event: recorded::of_message(&body) };
            let mut event =
                look(account, scope, &job).await?.and_then(|ready| unless_revoked(ready, &revoked));
            if let Ok(ready) = &event
                && let Some(row) = refusal(account, ready).await?
            {
                event = Err(row);
            }
            events.push(event);
        }
    }
}

fn unless_revoked(ready: Ready, revoked: &impl Fn(&str) -> Option<String>) -> Result<Ready, Row> {
    match revoked(ready.certificate_id()) {
        Some(why) => Err(Row::revoked(ready.certificate_id(), why)),
        None => Ok(ready),
    }
}

/// Takes some messages for `seconds`: the ids and bodies of those that this run has not taken before.
async fn take(
    account: &Account,
    queue: &Queue,
    seconds: i32,
    taken: &mut BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, AccountError> {
    let mut fresh = Vec::new();
    for message in queue.receive(account, seconds).await? {
        let (id, receipt) =
            (message.message_id.unwrap_or_default(), message.receipt_handle.unwrap_or_default());
        if taken.insert(id.clone(), receipt).is_none() {
            fresh.push((id, message.body.unwrap_or_default()));
        }
    }
    Ok(fresh)
}

async fn give_back(account: &Account, queue: &Queue, receipts: impl Iterator<Item = &String>) {
    for receipt in receipts {
        // A message that is not returned becomes visible later by itself.
        if let Err(error) = queue.give_back(account, receipt).await {
            tracing::warn!(%error, queue = queue.name, "a message stays hidden for some minutes");
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "they are those of the run")]
/// Processes the queue until there are no new messages, and returns their number.
async fn work_off(
    account: &Account,
    scope: &Scope,
    route: &Route,
    queue: &Queue,
    rate: f64,
    refused: impl Fn(Ready) -> Result<Ready, Row>,
    taken: &mut BTreeMap<String, String>,
    done: &mut impl FnMut(&Row),
) -> Result<usize, AccountError> {
    let turns = Turns::new(rate);
    // Twelve hours are the longest (Amazon SQS API reference, `ReceiveMessage`).
    let seconds = (f64::from(BATCH) / rate + f64::from(TAKEN_FOR)).min(43_200.0) as i32;
    let mut total = 0;
    loop {
        let fresh = take(account, queue, seconds, taken).await?;
        if fresh.is_empty() {
            return Ok(total);
        }
        for (id, body) in fresh {
            turns.turn().await;
            total += 1;
            let job = Job::Recorded { source: id.clone(), event: recorded::of_message(&body) };
            let row = match look(account, scope, &job).await?.and_then(&refused) {
                Ok(ready) => send(account, route, &ready).await?,
                Err(row) => row,
            };
            if row.is_good()
                && let Some(receipt) = taken.get(&id)
            {
                queue.delete(account, receipt).await?;
                taken.remove(&id);
            }
            done(&row);
        }
    }
}
