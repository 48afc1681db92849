//! The event of a certificate's registration, exactly as AWS IoT publishes it.

use serde_json::Value;

use crate::registry::CertificateStatus;

/// The statement of the topic rule that sends the events, for every CA.
pub const TOPIC_RULE_SQL: &str = "SELECT * FROM '$aws/events/certificates/registered/#'";

/// The version of AWS IoT SQL that the statement is written in.
pub const TOPIC_RULE_SQL_VERSION: &str = "2016-03-23";

/// What AWS IoT publishes on `$aws/events/certificates/registered/<caCertificateId>` when it registers a certificate
/// at a device's first connection (AWS IoT Developer Guide, "Just-in-time registration").
///
/// Events come at least once and in any order. The event names the certificate; what may be done with it is decided
/// by what AWS IoT answers about that certificate, never by the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// SHA-256 of the certificate's DER: 64 lower-case hex digits.
    pub certificate_id: String,
    /// The CA that issued the certificate: 64 lower-case hex digits.
    pub ca_certificate_id: String,
    /// The certificate's status when the event was published.
    pub certificate_status: CertificateStatus,
    /// The account the certificate was registered in: 12 digits.
    pub aws_account_id: String,
    /// When the event was published, milliseconds since 1970.
    pub timestamp: Option<u64>,
    /// Documented as a string, observed as null.
    pub certificate_registration_timestamp: Option<String>,
    /// The address the device connected from; undocumented, may be absent.
    pub source_ip: Option<String>,
}

/// An event that is not what AWS IoT publishes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON.
    #[error("the event is not JSON: {0}")]
    Json(String),
    /// JSON, but no object.
    #[error("the event is {found}; a JSON object is expected")]
    NotAnObject {
        /// What it is instead.
        found: String,
    },
    /// A field is missing.
    #[error("the event has no {field:?}; {expected} is expected")]
    Missing {
        /// Name of the field.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A field has another type or form.
    #[error("the event's {field:?} is {found}; {expected} is expected")]
    Invalid {
        /// Name of the field.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
        /// Its value, shortened.
        found: String,
    },
}

impl EventError {
    /// A stable code for logs, metrics and scripts.
    pub fn reason(&self) -> &'static str {
        "malformed_event"
    }
}

impl Event {
    /// Reads an event from JSON text.
    ///
    /// # Errors
    /// Names the first field that is missing or wrong, and what is expected of it.
    pub fn from_json(text: &str) -> Result<Self, EventError> {
        Self::from_value(&serde_json::from_str(text).map_err(|e| EventError::Json(e.to_string()))?)
    }

    /// Reads an event from a JSON value. Fields that are not known are accepted.
    ///
    /// # Errors
    /// Names the first field that is missing or wrong, and what is expected of it.
    pub fn from_value(value: &Value) -> Result<Self, EventError> {
        if !value.is_object() {
            return Err(EventError::NotAnObject { found: shortened(value) });
        }
        Ok(Self {
            certificate_id: required(value, "certificateId", ID, certificate_id)?,
            ca_certificate_id: required(value, "caCertificateId", ID, certificate_id)?,
            certificate_status: required(value, "certificateStatus", STATUS, |v| {
                v.as_str().and_then(CertificateStatus::from_name)
            })?,
            aws_account_id: required(value, "awsAccountId", "a string of 12 digits", |v| {
                v.as_str()
                    .filter(|s| s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit()))
                    .map(str::to_owned)
            })?,
            timestamp: optional(value, "timestamp", "a number of milliseconds", Value::as_u64)?,
            certificate_registration_timestamp: optional(
                value,
                "certificateRegistrationTimestamp",
                "a string or null",
                |v| v.as_str().map(str::to_owned),
            )?,
            source_ip: optional(value, "sourceIp", "a string or null", |v| v.as_str().map(str::to_owned))?,
        })
    }
}

const ID: &str = "a string of 64 hex digits";
const STATUS: &str = "a certificate status such as \"PENDING_ACTIVATION\"";

/// The id of a certificate or CA, in lower case.
fn certificate_id(value: &Value) -> Option<String> {
    value.as_str().filter(|s| is_certificate_id(s)).map(str::to_ascii_lowercase)
}

/// Whether `text` can be the id of a certificate or CA: 64 hex digits.
pub fn is_certificate_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn required<T>(
    event: &Value,
    field: &'static str,
    expected: &'static str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<T, EventError> {
    optional(event, field, expected, read)?.ok_or(EventError::Missing { field, expected })
}

/// A field that may be absent or null, but not anything else.
fn optional<T>(
    event: &Value,
    field: &'static str,
    expected: &'static str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, EventError> {
    match event.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(EventError::Invalid { field, expected, found: shortened(value) }),
        },
    }
}

/// A value for a message, shortened to fit a log line.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 80;
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.chars().count() > LONGEST => {
            let start: String = text.chars().take(LONGEST).collect();
            format!("{start:?}… ({} characters)", text.chars().count())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn observed() -> Value {
        json!({
            "certificateId": "a1".repeat(32),
            "caCertificateId": "b2".repeat(32),
            "timestamp": 1_761_991_200_123_u64,
            "certificateStatus": "PENDING_ACTIVATION",
            "awsAccountId": "420230807713",
            "certificateRegistrationTimestamp": null,
            "sourceIp": "192.0.2.7",
        })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut event = observed();
        event[field] = value;
        event
    }

    fn without(field: &str) -> Value {
        let mut event = observed();
        event.as_object_mut().unwrap().remove(field);
        event
    }

    #[test]
    fn the_observed_event_is_read() {
        let event = Event::from_json(&observed().to_string()).unwrap();
        assert_eq!(event.certificate_id, "a1".repeat(32));
        assert_eq!(event.ca_certificate_id, "b2".repeat(32));
        assert_eq!(event.certificate_status, CertificateStatus::PendingActivation);
        assert_eq!(event.aws_account_id, "420230807713");
        assert_eq!(event.timestamp, Some(1_761_991_200_123));
        assert_eq!(event.certificate_registration_timestamp, None);
        assert_eq!(event.source_ip.as_deref(), Some("192.0.2.7"));
    }

    #[test]
    fn optional_fields_may_be_absent_null_or_filled_and_unknown_ones_are_accepted() {
        for field in ["timestamp", "certificateRegistrationTimestamp", "sourceIp"] {
            assert!(Event::from_value(&without(field)).is_ok(), "{field} absent");
            assert!(Event::from_value(&with(field, Value::Null)).is_ok(), "{field} null");
        }
        let filled = with("certificateRegistrationTimestamp", json!("2026-05-01T10:00:00Z"));
        let event = Event::from_value(&filled).unwrap();
        assert_eq!(event.certificate_registration_timestamp.as_deref(), Some("2026-05-01T10:00:00Z"));
        assert!(Event::from_value(&with("somethingNew", json!({"deep": [1]}))).is_ok());
    }

    #[test]
    fn ids_are_read_in_lower_case() {
        let event = Event::from_value(&with("certificateId", json!("A1".repeat(32)))).unwrap();
        assert_eq!(event.certificate_id, "a1".repeat(32));
    }

    #[test]
    fn errors_name_the_field_and_what_is_expected() {
        let errors: Vec<String> = [
            json!([]),
            without("certificateId"),
            with("certificateId", json!("xyz")),
            with("certificateId", json!("a".repeat(10_000))),
            with("certificateId", json!({"a": 1})),
            with("caCertificateId", Value::Null),
            with("caCertificateId", json!("é".repeat(32))),
            with("certificateStatus", json!("PENDING")),
            with("awsAccountId", json!(420_230_807_713_u64)),
            with("awsAccountId", json!("42023080771")),
            with("timestamp", json!("yesterday")),
            with("timestamp", json!(-1)),
            with("certificateRegistrationTimestamp", json!(17)),
            with("sourceIp", json!(["192.0.2.7"])),
        ]
        .iter()
        .map(|event| Event::from_value(event).unwrap_err().to_string())
        .chain([Event::from_json("{").unwrap_err().to_string()])
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text: String) {
            let _ = Event::from_json(&text);
        }

        #[test]
        fn whatever_one_field_holds_the_error_names_that_field(
            field in prop::sample::select(vec!["certificateId", "caCertificateId", "certificateStatus", "awsAccountId"]),
            text in ".*",
        ) {
            if let Err(error) = Event::from_value(&with(field, json!(text))) {
                prop_assert!(error.to_string().contains(field));
            }
        }
    }
}
