//! The classic device shadow of a thing: a document with what is desired and what is reported, changed and read by messages (AWS IoT
//! Core developer guide, "AWS IoT Device Shadow service"). Named shadows are not there.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// The largest document and the longest client token, in bytes, and the levels of `desired` and `reported`.
const MAX_DOCUMENT: usize = 8 * 1024;
const MAX_TOKEN: usize = 64;
const MAX_LEVELS: usize = 6;
const SECTIONS: [&str; 2] = ["desired", "reported"];

/// The shadows of an account, by thing name. A thing need not be in the registry.
#[derive(Debug, Default)]
pub(super) struct Shadows(HashMap<String, Shadow>);

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
struct Rejection(u16, String);

fn bad(message: &str) -> Rejection {
    Rejection(400, message.to_owned())
}

/// Topic and payload.
pub(super) type Reply = (String, Value);

impl Shadows {
    /// What AWS publishes in answer to a message, if it is one to a shadow. `now` is in seconds since 1970.
    pub(super) fn answer(&mut self, topic: &str, payload: &[u8], now: u64) -> Vec<Reply> {
        let operation = topic.strip_prefix("$aws/things/").and_then(|rest| rest.split_once("/shadow/"));
        let Some((thing, operation @ ("get" | "update" | "delete"))) = operation else { return Vec::new() };
        let (token, outcome) = match request(payload, operation) {
            Err((token, rejection)) => (token, Err(rejection)),
            Ok((token, request)) => {
                let shadow = self.0.entry(thing.to_owned()).or_default();
                let outcome = match operation {
                    "get" => shadow.get(now),
                    "delete" => shadow.delete(now, &request),
                    _ => shadow.update(&request, now),
                };
                if shadow.version == 0 {
                    self.0.remove(thing);
                }
                (token, outcome)
            }
        };
        let replies = match outcome {
            Ok(replies) => replies,
            Err(Rejection(code, message)) => {
                let message = message.replace("{thing}", thing);
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

impl Shadow {
    fn get(&self, now: u64) -> Replies {
        self.existing()?;
        let mut state = self.state.clone();
        if let Some((delta, _)) = self.delta() {
            state.insert("delta".to_owned(), Value::Object(delta));
        }
        let document =
            json!({"state": state, "metadata": self.metadata, "version": self.version, "timestamp": now});
        Ok(vec![("accepted", document)])
    }

    fn delete(&mut self, now: u64, request: &Request) -> Replies {
        self.existing()?;
        self.check_version(request)?;
        let version = self.version;
        *self = Self { version: version + 1, ..Self::default() };
        Ok(vec![("accepted", json!({"version": version, "timestamp": now}))])
    }

    fn update(&mut self, request: &Request, now: u64) -> Replies {
        let state = request.get("state").ok_or_else(|| bad("Missing required node: state"))?;
        let state = state.as_object().ok_or_else(|| bad("State node must be an object"))?;
        if let Some(other) = state.keys().find(|section| !SECTIONS.contains(&section.as_str())) {
            return Err(bad(&format!("State contains an invalid node: '{other}'")));
        }
        for (section, name) in SECTIONS.into_iter().zip(["Desired", "Reported"]) {
            match state.get(section) {
                None | Some(Value::Null) => {}
                Some(node @ Value::Object(_)) => check_node(node, 1)?,
                Some(_) => return Err(bad(&format!("{name} node must be an object"))),
            }
        }
        self.check_version(request)?;
        let before = self.clone();
        let (mut changed, mut dated) = (Map::new(), Map::new());
        for section in SECTIONS {
            let Some(patch) = state.get(section) else { continue };
            changed.insert(section.to_owned(), patch.clone());
            merge(&mut self.state, section, patch);
            let dates = dates(patch, now);
            merge(&mut self.metadata, section, &dates);
            if !patch.is_null() {
                dated.insert(section.to_owned(), dates);
            }
        }
        let size = Value::Object(self.state.clone()).to_string().len();
        if size > MAX_DOCUMENT {
            *self = before;
            return Err(Rejection(413, "The payload exceeds the maximum size allowed".to_owned()));
        }
        (self.version, self.exists) = (self.version + 1, true);
        let version = self.version;
        let accepted = json!({"state": changed, "metadata": dated, "version": version, "timestamp": now});
        let documents = json!({"previous": before.snapshot(), "current": self.snapshot(), "timestamp": now});
        let mut replies = vec![("accepted", accepted), ("documents", documents)];
        if let Some((delta, dates)) = self.delta() {
            replies.push((
                "delta",
                json!({"state": delta, "metadata": dates, "version": version, "timestamp": now}),
            ));
        }
        Ok(replies)
    }

    fn snapshot(&self) -> Value {
        json!({"state": self.state, "metadata": self.metadata, "version": self.version})
    }

    fn existing(&self) -> Result<(), Rejection> {
        match self.exists {
            true => Ok(()),
            false => Err(Rejection(404, "No shadow exists with name: '{thing}'".to_owned())),
        }
    }

    fn check_version(&self, request: &Request) -> Result<(), Rejection> {
        match request.get("version") {
            None | Some(Value::Null) => Ok(()),
            Some(version) => match version.as_u64() {
                None => Err(bad("Invalid version")),
                Some(version) if version == self.version => Ok(()),
                Some(_) => Err(Rejection(409, "Version conflict".to_owned())),
            },
        }
    }

    /// What is desired and not reported so, with its metadata.
    fn delta(&self) -> Option<(Map<String, Value>, Map<String, Value>)> {
        let section = |name| self.state.get(name).and_then(Value::as_object);
        let none = Map::new();
        let dates = self.metadata.get("desired").and_then(Value::as_object).unwrap_or(&none);
        let delta = difference(section("desired")?, section("reported").unwrap_or(&none), dates);
        (!delta.0.is_empty()).then_some(delta)
    }
}

fn check_node(node: &Value, level: usize) -> Result<(), Rejection> {
    if level > MAX_LEVELS {
        return Err(bad(&format!("JSON contains too many levels of nesting; maximum is {MAX_LEVELS}")));
    }
    match node {
        Value::Object(fields) => fields.values().try_for_each(|field| match field {
            Value::Object(_) | Value::Array(_) => check_node(field, level + 1),
            _ => Ok(()),
        }),
        Value::Array(items) if items.iter().any(Value::is_null) => {
            Err(bad("State contains an invalid node: 'null'"))
        }
        _ => Ok(()),
    }
}

/// Puts `patch` over the field `name`: objects field by field, null removes, everything else replaces.
fn merge(target: &mut Map<String, Value>, name: &str, patch: &Value) {
    match patch {
        Value::Null => drop(target.remove(name)),
        Value::Object(fields) => {
            let field = target.entry(name).or_insert_with(|| json!({}));
            if !field.is_object() {
                *field = json!({});
            }
            if let Value::Object(inner) = field {
                fields.iter().for_each(|(name, patch)| merge(inner, name, patch));
                if inner.is_empty() {
                    target.remove(name);
                }
            }
        }
        other => drop(target.insert(name.to_owned(), other.clone())),
    }
}

/// The metadata of a patch: a timestamp for each value, and null where the patch removes.
fn dates(patch: &Value, now: u64) -> Value {
    match patch {
        Value::Null => Value::Null,
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), dates(field, now))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(|item| dates(item, now)).collect::<Vec<_>>().into(),
        _ => json!({"timestamp": now}),
    }
}

fn difference(
    desired: &Map<String, Value>,
    reported: &Map<String, Value>,
    dates: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut delta, mut dated) = (Map::new(), Map::new());
    for (name, wanted) in desired {
        let date = dates.get(name).cloned().unwrap_or_default();
        match (wanted, reported.get(name)) {
            (wanted, Some(is)) if wanted == is => {}
            (Value::Object(wanted), Some(Value::Object(is))) => {
                let (inner, inner_dates) = difference(wanted, is, date.as_object().unwrap_or(&Map::new()));
                if !inner.is_empty() {
                    delta.insert(name.clone(), inner.into());
                    dated.insert(name.clone(), inner_dates.into());
                }
            }
            (wanted, _) => {
                delta.insert(name.clone(), wanted.clone());
                dated.insert(name.clone(), date);
            }
        }
    }
    (delta, dated)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(shadows: &mut Shadows, operation: &str, payload: &Value) -> Vec<(String, Value)> {
        let replies = shadows.answer(
            &format!("$aws/things/lamp/shadow/{operation}"),
            payload.to_string().as_bytes(),
            7,
        );
        let short = |topic: String| topic.trim_start_matches("$aws/things/lamp/shadow/").to_owned();
        replies.into_iter().map(|(topic, payload)| (short(topic), payload)).collect()
    }

    #[test]
    fn a_change_that_is_desired_is_accepted_documented_and_told_as_a_delta() {
        let mut shadows = Shadows::default();
        let reported =
            json!({"state": {"reported": {"color": "red", "rgb": [1, 2], "at": {"x": 1, "y": 2}}}});
        let replies = ask(&mut shadows, "update", &reported);
        assert_eq!(
            replies.iter().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>(),
            ["update/accepted", "update/documents"]
        );
        let desired = json!({"state": {"desired": {"color": "green", "rgb": [1, 2], "at": {"x": 1, "y": 3}}}, "clientToken": "t", "version": 1});
        let replies = ask(&mut shadows, "update", &desired);
        let time = json!({"timestamp": 7});
        assert_eq!(
            replies[0],
            (
                "update/accepted".to_owned(),
                json!({
                    "state": desired["state"],
                    "metadata": {"desired": {"color": time, "rgb": [time, time], "at": {"x": time, "y": time}}},
                    "version": 2, "timestamp": 7, "clientToken": "t"
                })
            )
        );
        assert_eq!(replies[1].1["previous"]["version"], 1);
        assert_eq!(replies[1].1["current"]["state"]["desired"]["color"], "green");
        assert_eq!(
            replies[2],
            (
                "update/delta".to_owned(),
                json!({
                    "state": {"color": "green", "at": {"y": 3}}, "metadata": {"color": time, "at": {"y": time}},
                    "version": 2, "timestamp": 7, "clientToken": "t"
                })
            )
        );
        let got = ask(&mut shadows, "get", &json!({}));
        assert_eq!(got[0].1["state"]["delta"], json!({"color": "green", "at": {"y": 3}}));
        let done =
            json!({"state": {"reported": {"color": "green", "at": {"y": 3}, "rgb": null}, "desired": null}});
        assert_eq!(ask(&mut shadows, "update", &done).len(), 2);
        let got = ask(&mut shadows, "get", &json!({}));
        assert_eq!(got[0].1["state"], json!({"reported": {"color": "green", "at": {"x": 1, "y": 3}}}));
    }

    #[test]
    fn what_cannot_be_is_rejected_and_changes_nothing() {
        let mut shadows = Shadows::default();
        let long = "x".repeat(65);
        let deep = json!({"state": {"desired": {"1": {"2": {"3": {"4": {"5": {"6": {"7": 8}}}}}}}}});
        for (operation, payload, code, message) in [
            ("get", json!({}), 404, "No shadow exists with name: 'lamp'"),
            ("delete", json!({}), 404, "No shadow exists with name: 'lamp'"),
            ("update", json!([]), 400, "Payload contains invalid json"),
            ("update", json!({}), 400, "Missing required node: state"),
            ("update", json!({"state": 1}), 400, "State node must be an object"),
            ("update", json!({"state": {"desired": 1}}), 400, "Desired node must be an object"),
            ("update", json!({"state": {"reported": []}}), 400, "Reported node must be an object"),
            (
                "update",
                json!({"state": {"desired": {"a": [null]}}}),
                400,
                "State contains an invalid node: 'null'",
            ),
            ("update", json!({"state": {}, "version": "1"}), 400, "Invalid version"),
            ("update", json!({"state": {}, "version": 4}), 409, "Version conflict"),
            ("update", json!({"state": {}, "clientToken": long}), 400, "Invalid clientToken"),
            ("update", deep, 400, "JSON contains too many levels of nesting; maximum is 6"),
            (
                "update",
                json!({"state": {"desired": {"a": "x".repeat(9000)}}}),
                413,
                "The payload exceeds the maximum size allowed",
            ),
        ] {
            let replies = ask(&mut shadows, operation, &payload);
            let rejected = json!({"code": code, "message": message, "timestamp": 7});
            assert_eq!(replies, [(format!("{operation}/rejected"), rejected)], "{payload}");
        }
        assert!(shadows.0.is_empty());
    }

    #[test]
    fn the_version_goes_on_over_a_deletion() {
        let mut shadows = Shadows::default();
        let update = json!({"state": {"reported": {"on": true}}});
        ask(&mut shadows, "update", &update);
        assert_eq!(ask(&mut shadows, "delete", &json!({}))[0].1, json!({"version": 1, "timestamp": 7}));
        assert_eq!(ask(&mut shadows, "get", &json!({}))[0].1["code"], 404);
        assert_eq!(ask(&mut shadows, "update", &update)[0].1["version"], 3);
    }

    #[test]
    fn other_topics_have_no_answer() {
        let mut shadows = Shadows::default();
        for topic in [
            "a",
            "$aws/things/lamp/shadow/name/x/get",
            "$aws/things/lamp/shadow/get/accepted",
            "$aws/things/lamp/jobs/get",
        ] {
            assert_eq!(shadows.answer(topic, b"{}", 7), [], "{topic}");
        }
    }

    proptest! {
        #[test]
        fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            Shadows::default().answer("$aws/things/lamp/shadow/update", &payload, 7);
        }
    }
}
