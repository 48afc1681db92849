//! Which calls a piece of work made, and how long each took: for metrics and traces.

use std::cell::RefCell;
use std::future::Future;

use tokio::time::Instant;

use super::{ErrorKind, Operation, Result};

tokio::task_local! {
    static CALLS: RefCell<Vec<RecordedCall>>;
}

/// One attempt of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedCall {
    /// The operation.
    pub operation: Operation,
    /// When it was made.
    pub start: Instant,
    /// When it was answered; none if the work was stopped before.
    pub end: Option<Instant>,
    /// How it failed, if it did.
    pub error: Option<ErrorKind>,
}

/// Does `work` and returns the calls that were made in it, in their order.
pub async fn recorded<T>(work: impl Future<Output = T>) -> (T, Vec<RecordedCall>) {
    let work = async {
        let output = work.await;
        (output, CALLS.with(RefCell::take))
    };
    CALLS.scope(RefCell::default(), work).await
}

/// Makes a call, and records it if a recording is under way.
pub(super) async fn record<T>(operation: Operation, call: impl Future<Output = Result<T>>) -> Result<T> {
    let begun = RecordedCall { operation, start: Instant::now(), end: None, error: None };
    let place = CALLS.try_with(|calls| {
        let mut calls = calls.borrow_mut();
        calls.push(begun);
        calls.len() - 1
    });
    let result = call.await;
    if let Ok(place) = place {
        CALLS.with(|calls| {
            if let Some(call) = calls.borrow_mut().get_mut(place) {
                call.end = Some(Instant::now());
                call.error = result.as_ref().err().map(|error| error.kind);
            }
        });
    }
    result
}
