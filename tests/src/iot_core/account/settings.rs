//! What an account can switch on: registry events, fleet indexing, logs.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Account, Error, epoch};

/// The log entries that are kept.
const LOG_CAPACITY: usize = 10_000;
/// The type of the log entries of connections that were refused (AWS IoT Core developer guide, "CloudWatch Logs log entries").
const AUTHENTICATION_ERROR: &str = "Connection.AuthNError";
/// Kinds of registry events (AWS IoT API, `UpdateEventConfigurations`).
const EVENTS: [&str; 11] = [
    "CA_CERTIFICATE",
    "CERTIFICATE",
    "JOB",
    "JOB_EXECUTION",
    "POLICY",
    "THING",
    "THING_GROUP",
    "THING_GROUP_HIERARCHY",
    "THING_GROUP_MEMBERSHIP",
    "THING_TYPE",
    "THING_TYPE_ASSOCIATION",
];

/// What is switched on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Registry events: kind → on.
    pub events: BTreeMap<String, bool>,
    /// When they were changed.
    pub events_modified: Option<SystemTime>,
    /// Fleet indexing.
    pub indexing: Indexing,
    /// Logs.
    pub logging: Logging,
    log: VecDeque<(SystemTime, String)>,
}

impl Default for Settings {
    /// Everything is off, as in a new account.
    fn default() -> Self {
        Self {
            events: EVENTS.map(|kind| (kind.to_owned(), false)).into(),
            events_modified: None,
            indexing: Indexing::default(),
            logging: Logging::default(),
            log: VecDeque::new(),
        }
    }
}

/// Fleet indexing, as `UpdateIndexingConfiguration` sets it.
#[derive(Clone, Debug)]
pub struct Indexing {
    /// `thingIndexingConfiguration`.
    pub things: Value,
    /// `thingGroupIndexingConfiguration`.
    pub groups: Value,
}

impl Default for Indexing {
    fn default() -> Self {
        Self {
            things: json!({ "thingIndexingMode": "OFF", "thingConnectivityIndexingMode": "OFF" }),
            groups: json!({ "thingGroupIndexingMode": "OFF" }),
        }
    }
}

impl Indexing {
    /// Whether the connectivity of things is indexed, which `GetThingConnectivityData` needs.
    pub fn has_connectivity(&self) -> bool {
        let off = |key: &str| matches!(self.things[key].as_str(), None | Some("OFF"));
        !off("thingIndexingMode") && !off("thingConnectivityIndexingMode")
    }
}

/// Levels of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    Disabled,
    /// Errors.
    Error,
    /// And warnings.
    Warn,
    /// And information.
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// By its name in the API.
    pub fn named(name: &str) -> Result<Self, Error> {
        match name {
            "DISABLED" => Ok(Self::Disabled),
            "ERROR" => Ok(Self::Error),
            "WARN" => Ok(Self::Warn),
            "INFO" => Ok(Self::Info),
            "DEBUG" => Ok(Self::Debug),
            _ => Err(Error::InvalidRequest { reason: format!("log level {name:?} is not known") }),
        }
    }
}

/// Logs, as `SetV2LoggingOptions` sets them.
#[derive(Clone, Debug, Default)]
pub struct Logging {
    /// The options as they were given; null before.
    pub options: Value,
}

impl Logging {
    /// Whether refused authentications are logged: by the event type's own level, or else the default one.
    fn has_authentication_errors(&self) -> bool {
        let level = |value: &Value| value.as_str().and_then(|name| LogLevel::named(name).ok());
        let events = self.options["eventConfigurations"].as_array().into_iter().flatten();
        let own = events
            .filter(|event| event["eventType"] == AUTHENTICATION_ERROR)
            .find_map(|event| level(&event["logLevel"]));
        self.options["disableAllLogs"] != true && own.is_some_and(|level| level >= LogLevel::Error)
    }

    /// Where those entries go.
    fn destination(&self) -> &str {
        let mut events = self.options["eventConfigurations"].as_array().into_iter().flatten();
        let own = events.find(|event| event["eventType"] == AUTHENTICATION_ERROR);
        own.and_then(|event| event["logDestination"].as_str()).unwrap_or("AWSIotLogsV2")
    }
}

impl Account {
    /// What is switched on.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// `UpdateEventConfigurations`.
    pub fn update_events(&mut self, changed: BTreeMap<String, bool>) -> Result<(), Error> {
        if let Some(unknown) = changed.keys().find(|kind| !EVENTS.contains(&kind.as_str())) {
            return Err(Error::InvalidRequest { reason: format!("event type {unknown:?} is not known") });
        }
        let on: Vec<&str> = changed.iter().filter(|(_, on)| **on).map(|(kind, _)| kind.as_str()).collect();
        if !on.is_empty() {
            self.note(format!(
                "registry events ({}) are switched on; the testbed publishes none",
                on.join(", ")
            ));
        }
        self.settings.events.extend(changed);
        self.settings.events_modified = Some(SystemTime::now());
        Ok(())
    }

    /// `UpdateIndexingConfiguration`: what is null stays.
    pub fn update_indexing(&mut self, things: Value, groups: Value) -> Result<(), Error> {
        let mode = |value: &Value, key: &str, known: &[&str]| match &value[key] {
            Value::Null => Ok(()),
            Value::String(mode) if known.contains(&mode.as_str()) => Ok(()),
            other => Err(Error::InvalidRequest {
                reason: format!("{key} {other} is not one of {}", known.join(", ")),
            }),
        };
        mode(&things, "thingIndexingMode", &["OFF", "REGISTRY", "REGISTRY_AND_SHADOW"])?;
        mode(&things, "thingConnectivityIndexingMode", &["OFF", "STATUS"])?;
        mode(&groups, "thingGroupIndexingMode", &["OFF", "ON"])?;
        if things["thingIndexingMode"] == "OFF" && things["thingConnectivityIndexingMode"] == "STATUS" {
            let reason =
                "thingConnectivityIndexingMode STATUS needs a thingIndexingMode other than OFF".to_owned();
            return Err(Error::InvalidRequest { reason });
        }
        for (new, own) in
            [(things, &mut self.settings.indexing.things), (groups, &mut self.settings.indexing.groups)]
        {
            if !new.is_null() {
                *own = new;
            }
        }
        Ok(())
    }

    /// `SetV2LoggingOptions`.
    pub fn set_logging(&mut self, options: Value) -> Result<(), Error> {
        let events = options["eventConfigurations"].as_array().into_iter().flatten();
        let levels = events.map(|event| &event["logLevel"]).chain([&options["defaultLogLevel"]]);
        for level in levels.filter_map(Value::as_str) {
            LogLevel::named(level)?;
        }
        self.settings.logging.options = options;
        Ok(())
    }

    /// Logs that a device was not let in, if that is switched on. A device that names no server leaves no entry.
    pub(in crate::iot_core) fn log_authentication_error(
        &mut self,
        reason: &str,
        certificate_id: &str,
        source_ip: IpAddr,
        server_name: bool,
    ) {
        if !server_name || !self.settings.logging.has_authentication_errors() {
            return;
        }
        let now = SystemTime::now();
        let entry = json!({
            "timestamp": OffsetDateTime::from(now).format(&Rfc3339).unwrap_or_default(),
            "logLevel": "ERROR",
            "traceId": crate::uuid::of(&format!("{certificate_id} {}", epoch(now))),
            "accountId": self.identity.account_id,
            "status": "Failure",
            "eventType": AUTHENTICATION_ERROR,
            "reason": reason,
            "authenticationType": "X509",
            "principalId": certificate_id,
            "serverNameIndication": self.endpoint,
            "sourceIp": source_ip.to_string(),
        });
        self.settings.log.push_back((now, entry.to_string()));
        if self.settings.log.len() > LOG_CAPACITY {
            self.settings.log.pop_front();
        }
    }

    /// AWS IoT's log: the name of its group, once there is one, and its entries.
    pub fn iot_log(&self) -> Option<(&str, impl Iterator<Item = &(SystemTime, String)>)> {
        let has = !self.settings.logging.options.is_null();
        has.then(|| (self.settings.logging.destination(), self.settings.log.iter()))
    }
}
