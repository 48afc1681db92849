//! Lifecycle events: that a client has connected, was refused, subscribed, or is gone (AWS IoT Core developer guide, "Lifecycle
//! events"). AWS sends them whether or not anybody asks for them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::journal::{Ended, Refusal};

/// A connection, or the attempt at one.
#[derive(Clone, Debug)]
pub(super) struct Presence {
    pub(super) client_id: String,
    /// Certificate id, or access key id.
    pub(super) principal: String,
    pub(super) address: IpAddr,
    /// A UUID.
    pub(super) session: String,
    /// Orders the events of a client; both ends of a connection have the same.
    pub(super) version: u64,
}

/// Numbers the connections of each client.
#[derive(Debug, Default)]
pub(super) struct Versions(HashMap<String, Version>);

#[derive(Debug)]
struct Version {
    number: u64,
    offline_since: Option<Instant>,
}

/// After this long offline, a client's numbers begin at 0 again.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// With more clients than this, those that have been offline for the longest are forgotten.
const MANY: usize = 4096;

impl Versions {
    /// The number of a connection that begins.
    pub(super) fn connected(&mut self, client_id: &str, now: Instant) -> u64 {
        let remembered =
            |version: &Version| version.offline_since.is_none_or(|since| now < since + FORGOTTEN);
        if self.0.len() >= MANY {
            self.forget(MANY / 2);
        }
        let number = self
            .0
            .get(client_id)
            .filter(|version| remembered(version))
            .map_or(0, |version| version.number + 1);
        self.0.insert(client_id.to_owned(), Version { number, offline_since: None });
        number
    }

    /// Forgets so many clients, those that have been offline for the longest.
    fn forget(&mut self, count: usize) {
        let mut offline: Vec<Instant> = self.0.values().filter_map(|version| version.offline_since).collect();
        offline.sort_unstable();
        if let Some(last) = offline.get(count.min(offline.len()).saturating_sub(1)).copied() {
            self.0.retain(|_, version| version.offline_since.is_none_or(|since| since > last));
        }
    }

    /// The client's connection is over.
    pub(super) fn disconnected(&mut self, client_id: &str, now: Instant) {
        if let Some(version) = self.0.get_mut(client_id) {
            version.offline_since = Some(now);
        }
    }
}

/// Topic and payload.
pub(super) type Announcement = (String, Value);

impl Presence {
    /// The client was let in.
    pub(super) fn connected(&self) -> Option<Announcement> {
        self.event("presence", "connected", json!({"ipAddress": self.address, "versionNumber": self.version}))
    }

    /// The connection is over.
    pub(super) fn disconnected(&self, ended: &Ended) -> Option<Announcement> {
        let more = json!({
            "clientInitiatedDisconnect": *ended == Ended::Disconnect,
            "disconnectReason": reason(ended),
            "versionNumber": self.version,
        });
        self.event("presence", "disconnected", more)
    }

    /// The policies do not let a known certificate in.
    pub(super) fn connect_failed(&self) -> Option<Announcement> {
        let more = json!({"connectFailureReason": "AUTHORIZATION_FAILED", "ipAddress": self.address});
        self.event("presence", "connect_failed", more)
    }

    /// Subscriptions were granted.
    pub(super) fn subscribed(&self, filters: &[String]) -> Option<Announcement> {
        self.event("subscriptions", "subscribed", json!({"topics": filters}))
    }

    /// Subscriptions were ended.
    pub(super) fn unsubscribed(&self, filters: &[String]) -> Option<Announcement> {
        self.event("subscriptions", "unsubscribed", json!({"topics": filters}))
    }

    fn event(&self, kind: &str, name: &str, more: Value) -> Option<Announcement> {
        // There are no events of clients whose id would be a filter.
        if self.client_id.contains(['#', '+']) {
            return None;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut payload = json!({
            "clientId": self.client_id,
            "timestamp": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            "eventType": name,
            "sessionIdentifier": self.session,
            "principalIdentifier": self.principal,
        });
        if let (Value::Object(payload), Value::Object(more)) = (&mut payload, more) {
            payload.extend(more);
        }
        Some((format!("$aws/events/{kind}/{name}/{}", self.client_id), payload))
    }
}

/// `disconnectReason`.
pub(super) fn reason(ended: &Ended) -> &'static str {
    match ended {
        Ended::Disconnect => "CLIENT_INITIATED_DISCONNECT",
        Ended::ConnectionLost => "CONNECTION_LOST",
        Ended::KeepAlive => "MQTT_KEEP_ALIVE_TIMEOUT",
        Ended::Displaced => "DUPLICATE_CLIENTID",
        Ended::Slow => "SERVER_INITIATED_DISCONNECT",
        Ended::Expired => "WEBSOCKET_TTL_EXPIRATION",
        Ended::Deleted => "API_INITIATED_DISCONNECT",
        Ended::Violation(Refusal::Policy { .. } | Refusal::Certificate { .. }) => "AUTH_ERROR",
        Ended::Violation(Refusal::Unsupported { .. } | Refusal::Protocol { .. }) => "CLIENT_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_connections_are_numbered_until_it_has_been_away_for_an_hour() {
        let (mut versions, begin) = (Versions::default(), Instant::now());
        assert_eq!(versions.connected("board1", begin), 0);
        assert_eq!(versions.connected("board1", begin), 1);
        versions.disconnected("board1", begin);
        assert_eq!(versions.connected("board1", begin + FORGOTTEN - Duration::from_secs(1)), 2);
        versions.disconnected("board1", begin);
        assert_eq!(versions.connected("board1", begin + FORGOTTEN), 0);
    }

    #[test]
    fn of_many_clients_those_that_are_offline_the_longest_are_forgotten_and_no_other() {
        let (mut versions, begin) = (Versions::default(), Instant::now());
        versions.connected("stays", begin);
        for number in 0..u32::try_from(3 * MANY).unwrap() {
            let (name, now) = (format!("board{number}"), begin + Duration::from_millis(number.into()));
            assert_eq!(versions.connected(&name, now), 0);
            versions.disconnected(&name, now);
            assert!(versions.0.len() <= MANY);
        }
        let now = begin + Duration::from_secs(60);
        assert_eq!(versions.connected("stays", now), 1);
        assert_eq!(versions.connected(&format!("board{}", 3 * MANY - 1), now), 1);
        assert_eq!(versions.connected("board0", now), 0);
    }
}
