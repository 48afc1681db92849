//! Device shadows of things, the classic one and named ones: documents with what is desired and what is reported, changed and read by
//! messages or over HTTP (AWS IoT Core developer guide, "AWS IoT Device Shadow service").

mod document;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// The largest document and the longest client token, in bytes, and the levels of `desired` and `reported`.
const MAX_DOCUMENT: usize = 8 * 1024;
const MAX_TOKEN: usize = 64;
const MAX_LEVELS: usize = 6;
const SECTIONS: [&str; 2] = ["desired", "reported"];

/// The classic shadow of a thing, or one of its named ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    thing: String,
    /// None for the classic one.
    shadow: Option<String>,
}

impl Name {
    pub(super) fn new(thing: &str, shadow: Option<&str>) -> Self {
        Self { thing: thing.to_owned(), shadow: shadow.map(str::to_owned) }
    }

    /// The shadow that a message to this topic is for, and what the message asks.
    fn of_topic(topic: &str) -> Option<(Self, &str)> {
        let (thing, rest) = topic.strip_prefix("$aws/things/")?.split_once("/shadow/")?;
        let (shadow, operation) = match rest.strip_prefix("name/") {
            Some(named) => named.split_once('/').map(|(shadow, operation)| (Some(shadow), operation))?,
            None => (None, rest),
        };
        Some((Self::new(thing, shadow), operation))
    }

    /// What the topics of the shadow begin with.
    fn topic(&self) -> String {
        match &self.shadow {
            Some(shadow) => format!("$aws/things/{}/shadow/name/{shadow}", self.thing),
            None => format!("$aws/things/{}/shadow", self.thing),
        }
    }

    /// What policies name it by (AWS IoT Core developer guide, "AWS IoT Core action resources").
    pub(super) fn resource(&self) -> String {
        match &self.shadow {
            Some(shadow) => format!("thing/{}/{shadow}", self.thing),
            None => format!("thing/{}", self.thing),
        }
    }

    fn check(&self) -> Result<(), Rejection> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$:_-".contains(&byte);
        match &self.shadow {
            Some(shadow) if !(1..=64).contains(&shadow.len()) || !shadow.bytes().all(allowed) => {
                Err(bad("Invalid shadow name"))
            }
            _ => Ok(()),
        }
    }
}

/// The shadows of an account. A thing need not be in the registry.
#[derive(Debug, Default)]
pub(super) struct Shadows(HashMap<Name, Shadow>);

#[derive(Clone, Debug, Default)]
struct Shadow {
    state: Map<String, Value>,
    metadata: Map<String, Value>,
    /// Goes on over a deletion.
    version: u64,
    exists: bool,
}

/// Why a request is rejected: an HTTP status, and AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::iot_core) struct Rejection(pub(in crate::iot_core) u16, pub(in crate::iot_core) String);

fn bad(message: &str) -> Rejection {
    Rejection(400, message.to_owned())
}

/// Topic and payload.
pub(super) type Reply = (String, Value);

impl Shadows {
    /// What AWS publishes in answer to a message, if it is one to a shadow. `now` is in seconds since 1970.
    pub(super) fn answer(&mut self, topic: &str, payload: &[u8], now: u64) -> Vec<Reply> {
        let Some((name, operation @ ("get" | "update" | "delete"))) = Name::of_topic(topic) else {
            return Vec::new();
        };
        let (token, outcome) = self.operate(&name, operation, payload, now);
        let replies = match outcome {
            Ok(replies) => replies,
            Err(Rejection(code, message)) => {
                vec![("rejected", json!({"code": code, "message": message, "timestamp": now}))]
            }
        };
        let reply = |(suffix, mut payload): (&str, Value)| {
            if let Some(token) = &token {
                payload["clientToken"] = json!(token);
            }
            (format!("{topic}/{suffix}"), payload)
        };
        replies.into_iter().map(reply).collect()
    }

    /// Answers a request over HTTP: with the document that AWS sends, and what AWS publishes besides.
    pub(super) fn request(
        &mut self,
        name: &Name,
        operation: &str,
        payload: &[u8],
        now: u64,
    ) -> Result<(Value, Vec<Reply>), Rejection> {
        let (token, outcome) = self.operate(name, operation, payload, now);
        let mut replies = outcome?;
        if let (Some(token), Some((_, accepted))) = (token, replies.first_mut()) {
            accepted["clientToken"] = json!(token);
        }
        let accepted = replies.first().map(|(_, accepted)| accepted.clone()).unwrap_or_default();
        // What is read changes nothing that others have to know.
        let told = if operation == "get" { Vec::new() } else { replies };
        let topic = name.topic();
        let reply = |(suffix, payload)| (format!("{topic}/{operation}/{suffix}"), payload);
        Ok((accepted, told.into_iter().map(reply).collect()))
    }

    /// The named shadows of a thing, in order.
    pub(super) fn named(&self, thing: &str) -> Vec<String> {
        let existing = self.0.iter().filter(|(name, shadow)| name.thing == thing && shadow.exists);
        let mut names: Vec<String> = existing.filter_map(|(name, _)| name.shadow.clone()).collect();
        names.sort();
        names
    }

    /// The request's client token, and the outcome; what is accepted comes first.
    fn operate(
        &mut self,
        name: &Name,
        operation: &str,
        payload: &[u8],
        now: u64,
    ) -> (Option<String>, Replies) {
        let (token, request) = match request(payload, operation) {
            Ok((token, request)) => (token, request),
            Err((token, rejection)) => return (token, Err(rejection)),
        };
        if let Err(rejection) = name.check() {
            return (token, Err(rejection));
        }
        let shadow = self.0.entry(name.clone()).or_default();
        let outcome = match operation {
            "get" => shadow.get(now),
            "delete" => shadow.delete(now, &request),
            _ => shadow.update(&request, now),
        };
        if shadow.version == 0 {
            self.0.remove(name);
        }
        let with_name = |Rejection(code, message): Rejection| {
            let parts = name.shadow.as_ref().map(|shadow| format!("{}~{shadow}", name.thing));
            Rejection(code, message.replace("{name}", parts.as_ref().unwrap_or(&name.thing)))
        };
        (token, outcome.map_err(with_name))
    }
}

type Replies = Result<Vec<(&'static str, Value)>, Rejection>;
type Request = Map<String, Value>;

/// The request with its client token.
fn request(
    payload: &[u8],
    operation: &str,
) -> Result<(Option<String>, Request), (Option<String>, Rejection)> {
    if payload.len() > MAX_DOCUMENT {
        return Err((None, Rejection(413, "The payload exceeds the maximum size allowed".to_owned())));
    }
    if payload.is_empty() && operation != "update" {
        return Ok((None, Map::new()));
    }
    let Ok(Value::Object(request)) = serde_json::from_slice(payload) else {
        return Err((None, bad("Payload contains invalid json")));
    };
    match request.get("clientToken") {
        None => Ok((None, request)),
        Some(Value::String(token)) if token.len() <= MAX_TOKEN => Ok((Some(token.clone()), request)),
        Some(_) => Err((None, bad("Invalid clientToken"))),
    }
}
