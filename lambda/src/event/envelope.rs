//! What other services put around an event, and the records of a batch.

use std::borrow::Cow;

use serde_json::Value;

use super::{EventError, foreign, names_certificate, shortened};

/// Levels of objects, lists and texts that are opened. A notification of Amazon SNS is two; a destination's record of one is seven.
const LEVELS: usize = 12;

/// The event in `value`: itself, or what is found when the envelopes around it are opened:
/// - Amazon SNS: `Message` is the text of the event ("Fanout to Amazon SQS queues", Amazon SNS Developer Guide);
/// - a destination of AWS Lambda: `requestPayload` is the event ("Capturing records of Lambda asynchronous invocations", AWS
///   Lambda Developer Guide);
/// - Amazon EventBridge: `detail`;
/// - a topic rule: `base64OriginalPayload` of its error action, `encode(*, 'base64')` or `*` under any name, and the body
///   of a message sent with `useBase64` (AWS IoT Core Developer Guide).
///
/// # Errors
/// [`EventError::Foreign`], [`EventError::Several`] or [`EventError::Missing`] if there is not one event in it.
pub fn opened(value: &Value) -> Result<Cow<'_, Value>, EventError> {
    if names_certificate(value) {
        return Ok(Cow::Borrowed(value));
    }
    // Its body is the sender's, whoever that is.
    if foreign::is_web_request(value) {
        return Err(foreign::error(value));
    }
    let mut found = None;
    search(value, LEVELS, &mut found)?;
    found.map(Cow::Owned).ok_or_else(|| foreign::error(value))
}

/// # Errors
/// [`EventError::Several`] for another event than the one that is found.
fn search(value: &Value, levels: usize, found: &mut Option<Value>) -> Result<(), EventError> {
    if names_certificate(value) {
        return match found.get_or_insert_with(|| value.clone()) == value {
            true => Ok(()),
            false => Err(EventError::Several),
        };
    }
    let Some(levels) = levels.checked_sub(1) else { return Ok(()) };
    match value {
        // What a function has answered is no event, even if it names a certificate.
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "responsePayload")
            .try_for_each(|(_, member)| search(member, levels, found)),
        Value::Array(items) if items.len() == 1 => search(&items[0], levels, found),
        // Of several items, one alone cannot be repeated.
        Value::Array(items) => {
            let mut inner = None;
            items.iter().try_for_each(|item| search(item, levels, &mut inner))?;
            inner.map_or(Ok(()), |_| Err(EventError::Several))
        }
        Value::String(text) => match decoded(text) {
            Some(inner) => search(&inner, levels, found),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The JSON in a text, plain or in base64.
pub(super) fn decoded(text: &str) -> Option<Value> {
    let json = |text: &str| serde_json::from_str(text).ok();
    let is_nested = |text: &str| text.starts_with(['{', '[', '"']);
    let text = trimmed(text);
    if is_nested(text) {
        return json(text);
    }
    let bytes = base64(text)?;
    let inner = std::str::from_utf8(&bytes).ok()?;
    json(Some(trimmed(inner)).filter(|inner| is_nested(inner))?)
}

/// Longer payloads are batches, which AWS Lambda makes itself: to read one only to see that it is JSON costs as much as its events.
const LONGEST_CHECKED: usize = 64 * 1024;

/// What the function takes an invocation's payload for, if that is not JSON: what is behind a byte-order mark, or else its text
/// as a JSON string, so that a payload that is no event is told as one. `None` for JSON, which stays as it is.
pub fn as_json(payload: &[u8]) -> Option<Vec<u8>> {
    let is_json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok();
    let is_batch = payload.len() > LONGEST_CHECKED && payload.starts_with(b"{");
    if is_batch || is_json(payload) {
        return None;
    }
    let text = String::from_utf8_lossy(payload);
    let text = trimmed(&text);
    Some(if is_json(text.as_bytes()) { text.to_owned() } else { Value::from(text).to_string() }.into_bytes())
}

/// Without white space and the byte-order mark around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim().trim_start_matches('\u{feff}').trim_start()
}

/// Base64 in either alphabet, in one line or several, with or without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    let text = text.trim_end_matches('=');
    let is_digit = |b: u8| b.is_ascii_alphanumeric() || b"+/-_".contains(&b);
    // Anything shorter has no event in it.
    if text.len() < 64 || !text.bytes().all(is_digit) {
        return None;
    }
    let padding = "=".repeat(text.len().wrapping_neg() % 4);
    aws_smithy_types::base64::decode(text.replace('-', "+").replace('_', "/") + &padding).ok()
}

/// The records of a batch that a service read for the function: it deletes them, or goes on, if they are answered well.
/// `None` if it is no batch.
///
/// # Errors
/// If it is one that cannot be taken apart; the batch has to fail as a whole.
pub fn records(payload: &Value) -> Option<Result<&[Value], EventError>> {
    match payload {
        // Amazon EventBridge Pipes.
        Value::Array(records) if !records.is_empty() => Some(Ok(records)),
        Value::Object(members) if !names_certificate(payload) => match members.get("Records") {
            Some(Value::Array(records)) => Some(Ok(records)),
            Some(other) => Some(Err(EventError::Invalid {
                field: "Records",
                expected: "a list of records",
                found: shortened(other),
            })),
            // Amazon MSK, Amazon MQ and Amazon DocumentDB have other lists.
            None => members.get("eventSource").map(|_| Err(foreign::error(payload))),
        },
        _ => None,
    }
}
