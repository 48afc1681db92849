//! What arrives over MQTT, as values. Pure: anything may be published by others, and nothing is trusted.
//!
//! The events of presence are those of the AWS IoT Core Developer Guide, "Lifecycle events".

use jitr::event::Event as Registration;
use serde::Deserialize;

/// The longest text that is kept of an event, in characters: reasons, addresses and names of others.
const LONGEST: usize = 128;

/// How the topics of registrations begin.
const REGISTERED: &str = "$aws/events/certificates/registered/";
/// How the topics of presence begin.
const PRESENCE: &str = "$aws/events/presence/";

/// What has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// AWS IoT has registered a certificate as PENDING_ACTIVATION, and turned its device away.
    Registered {
        /// SHA-256 of the certificate's DER, 64 lower-case hex digits.
        certificate_id: String,
    },
    /// A device was let in.
    Connected {
        /// Its MQTT client id.
        client_id: String,
        /// Its certificate, if it has one: a user with credentials has none.
        certificate_id: Option<String>,
        /// Where it connects from, if AWS says so.
        source_ip: Option<String>,
    },
    /// A connection has ended.
    Disconnected {
        /// The MQTT client id.
        client_id: String,
        /// Why, in AWS's word, such as `MQTT_KEEP_ALIVE_TIMEOUT`.
        reason: Option<String>,
    },
    /// The policies of a registered certificate do not let its device in.
    ConnectFailed {
        /// The MQTT client id.
        client_id: String,
        /// The certificate.
        certificate_id: Option<String>,
        /// Why, in AWS's word.
        reason: Option<String>,
    },
    /// A message on another topic.
    Message {
        /// The topic.
        topic: String,
        /// What was published.
        payload: Vec<u8>,
    },
    /// A topic of AWS's events with something else than such an event.
    Malformed {
        /// The topic.
        topic: String,
    },
}

impl Event {
    /// Reads what was published on `topic`.
    pub fn read(topic: &str, payload: &[u8]) -> Self {
        if topic.starts_with(REGISTERED) {
            let event = std::str::from_utf8(payload).ok().and_then(|text| Registration::from_json(text).ok());
            return event.map_or_else(
                || Self::malformed(topic),
                |event| Self::Registered { certificate_id: event.certificate_id },
            );
        }
        match topic.strip_prefix(PRESENCE).and_then(|rest| rest.split_once('/')) {
            Some((kind, client_id)) => {
                Presence::read(kind, client_id, payload).unwrap_or_else(|| Self::malformed(topic))
            }
            None => Self::Message { topic: topic.to_owned(), payload: payload.to_owned() },
        }
    }

    fn malformed(topic: &str) -> Self {
        Self::Malformed { topic: topic.to_owned() }
    }

    /// The thing that it is about, as far as it says so: client id and first level of the topics are the thing's name.
    pub fn thing(&self) -> Option<&str> {
        match self {
            Self::Connected { client_id, .. }
            | Self::Disconnected { client_id, .. }
            | Self::ConnectFailed { client_id, .. } => Some(client_id),
            Self::Message { topic, .. } => thing_of(topic),
            Self::Registered { .. } | Self::Malformed { .. } => None,
        }
    }
}

/// The thing whose topic this is, by the policy that devices get: `THING/…`, or that of its shadow.
fn thing_of(topic: &str) -> Option<&str> {
    let mut levels = topic.split('/');
    match (levels.next(), levels.next(), levels.next()) {
        (Some("$aws"), Some("things"), Some(thing)) => Some(thing),
        (Some("$aws") | None, ..) => None,
        (Some(first), ..) => Some(first),
    }
    .filter(|thing| !thing.is_empty())
}

/// Whether a message on this topic can come from the device itself: not the answers of its shadow.
pub fn may_be_of_device(topic: &str) -> bool {
    let of_shadow = topic.starts_with("$aws/things/");
    !of_shadow || !["accepted", "rejected", "delta", "documents"].iter().any(|end| topic.ends_with(end))
}

/// The fields of presence that are shown. All may be absent, and others may come.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Presence {
    principal_identifier: Option<String>,
    ip_address: Option<String>,
    disconnect_reason: Option<String>,
    connect_failure_reason: Option<String>,
}

impl Presence {
    /// The topic says of whom it is: devices cannot publish there.
    fn read(kind: &str, client_id: &str, payload: &[u8]) -> Option<Event> {
        let presence: Self = serde_json::from_slice(payload).ok()?;
        let client_id = client_id.to_owned();
        let certificate_id = presence.principal_identifier.filter(|id| is_certificate_id(id));
        Some(match kind {
            "connected" => {
                Event::Connected { client_id, certificate_id, source_ip: short(presence.ip_address) }
            }
            "disconnected" => Event::Disconnected { client_id, reason: short(presence.disconnect_reason) },
            "connect_failed" => {
                let reason = short(presence.connect_failure_reason);
                Event::ConnectFailed { client_id, certificate_id, reason }
            }
            _ => return None,
        })
    }
}

fn is_certificate_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn short(text: Option<String>) -> Option<String> {
    let text: String = text?.chars().take(LONGEST).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn presence(kind: &str, payload: &serde_json::Value) -> Event {
        Event::read(&format!("$aws/events/presence/{kind}/board"), payload.to_string().as_bytes())
    }

    #[test]
    fn the_events_of_the_developer_guide_are_read() {
        let topic = format!("$aws/events/certificates/registered/{ID}");
        let event = json!({"certificateId": ID, "caCertificateId": ID, "timestamp": 1, "certificateStatus":
            "PENDING_ACTIVATION", "awsAccountId": "123456789012", "certificateRegistrationTimestamp": null});
        let registered = Event::read(&topic, event.to_string().as_bytes());
        assert_eq!(registered, Event::Registered { certificate_id: ID.to_owned() });
        let connected = presence(
            "connected",
            &json!({"clientId": "board", "timestamp": 1573002230757_u64, "eventType": "connected",
                "sessionIdentifier": "00000000-0000-0000-0000-000000000000", "principalIdentifier": ID,
                "ipAddress": "192.0.2.1", "versionNumber": 0}),
        );
        assert_eq!(
            connected,
            Event::Connected {
                client_id: "board".to_owned(),
                certificate_id: Some(ID.to_owned()),
                source_ip: Some("192.0.2.1".to_owned()),
            }
        );
        let disconnected =
            presence("disconnected", &json!({"disconnectReason": "CLIENT_INITIATED_DISCONNECT"}));
        assert_eq!(
            disconnected,
            Event::Disconnected {
                client_id: "board".to_owned(),
                reason: Some("CLIENT_INITIATED_DISCONNECT".to_owned()),
            }
        );
        let failed = presence(
            "connect_failed",
            &json!({"connectFailureReason": "AUTHORIZATION_FAILED", "principalIdentifier": "AIDAEXAMPLE:ann"}),
        );
        assert_eq!(
            failed,
            Event::ConnectFailed {
                client_id: "board".to_owned(),
                certificate_id: None,
                reason: Some("AUTHORIZATION_FAILED".to_owned()),
            }
        );
        assert_eq!(failed.thing(), Some("board"));
    }

    #[test]
    fn the_first_level_of_a_topic_and_the_shadow_name_the_thing() {
        let thing = |topic: &str| Event::read(topic, b"\xff").thing().map(str::to_owned);
        assert_eq!(thing("board/sensors").as_deref(), Some("board"));
        assert_eq!(thing("board").as_deref(), Some("board"));
        assert_eq!(thing("$aws/things/board/shadow/update").as_deref(), Some("board"));
        for other in ["/a", "$aws/events/thing/board/created", "$aws/rules/r", ""] {
            assert_eq!(thing(other), None, "{other}");
        }
        assert!(may_be_of_device("$aws/things/board/shadow/update") && may_be_of_device("board/accepted"));
        assert!(!may_be_of_device("$aws/things/board/shadow/update/accepted"));
    }

    #[test]
    fn what_others_publish_in_the_place_of_events_is_malformed_and_short() {
        for payload in ["", "{", "[]", "7", r#"{"certificateId": "0123"}"#] {
            let topic = "$aws/events/certificates/registered/x";
            assert_eq!(Event::read(topic, payload.as_bytes()), Event::malformed(topic), "{payload}");
        }
        let topic = "$aws/events/presence/connected/board";
        assert_eq!(Event::read(topic, b"{\"ipAddress\": 7}"), Event::malformed(topic));
        let long = presence("disconnected", &json!({"disconnectReason": "x".repeat(100_000)}));
        let Event::Disconnected { reason: Some(reason), .. } = long else { panic!("{long:?}") };
        assert_eq!(reason.len(), LONGEST);
    }

    proptest! {
        #[test]
        fn nothing_hurts(topic in "(\\$aws/events/(certificates/registered|presence/connected)/)?\\PC*", payload: Vec<u8>) {
            let event = Event::read(&topic, &payload);
            if let Event::Message { payload: kept, .. } = &event {
                prop_assert_eq!(kept, &payload);
            }
            let _ = event.thing();
        }
    }
}
