//! The document of one shadow: what changes it, and what is told about that.

use serde_json::{Map, Value, json};

use super::{MAX_DOCUMENT, MAX_LEVELS, Rejection, Replies, Request, SECTIONS, Shadow, bad};

impl Shadow {
    pub(super) fn get(&self, now: u64) -> Replies {
        self.existing()?;
        let mut state = self.state.clone();
        if let Some((delta, _)) = self.delta() {
            state.insert("delta".to_owned(), Value::Object(delta));
        }
        let document =
            json!({"state": state, "metadata": self.metadata, "version": self.version, "timestamp": now});
        Ok(vec![("accepted", document)])
    }

    pub(super) fn delete(&mut self, now: u64, request: &Request) -> Replies {
        self.existing()?;
        self.check_version(request)?;
        let version = self.version;
        *self = Self { version: version + 1, ..Self::default() };
        Ok(vec![("accepted", json!({"version": version, "timestamp": now}))])
    }

    pub(super) fn update(&mut self, request: &Request, now: u64) -> Replies {
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
            false => Err(Rejection(404, "No shadow exists with name: '{name}'".to_owned())),
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
