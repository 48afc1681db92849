//! The event of a certificate's registration, as AWS IoT publishes it and other services hand it on.

mod envelope;
mod foreign;

use serde::Deserialize;
use serde_json::Value;

use crate::registry::CertificateStatus;

pub use envelope::{as_json, opened, records};

/// The statement of the topic rule that sends the events, for every CA.
pub const TOPIC_RULE_SQL: &str = "SELECT * FROM '$aws/events/certificates/registered/#'";

/// The version of AWS IoT SQL that the statement is written in.
pub const TOPIC_RULE_SQL_VERSION: &str = "2016-03-23";

/// What AWS IoT publishes on `$aws/events/certificates/registered/<caCertificateId>` when it registers a certificate
/// at a device's first connection (AWS IoT Developer Guide, "Just-in-time registration").
///
/// Events come at least once and in any order. The event names the certificate; what may be done with it is decided
/// by what AWS IoT answers about that certificate, never by the event. So the ids alone have to have their documented form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// SHA-256 of the certificate's DER: 64 lower-case hex digits.
    pub certificate_id: String,
    /// The CA that issued the certificate: 64 lower-case hex digits.
    pub ca_certificate_id: String,
    /// The account the certificate was registered in: 12 digits, if the event names one.
    pub aws_account_id: Option<String>,
    /// When the event was published, milliseconds since 1970, if the event says so.
    pub timestamp: Option<u64>,
}

/// What is not the event that AWS IoT publishes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// No text.
    #[error("the message is empty; the registration event of AWS IoT is expected")]
    Empty,
    /// Not JSON, in base64 neither.
    #[error("the event is not JSON: {0}")]
    Json(String),
    /// JSON, but no object.
    #[error("the event is {found}; a JSON object is expected")]
    NotAnObject {
        /// What it is instead.
        found: String,
    },
    /// Something else that invokes functions.
    #[error("this is {found}; the registration event of AWS IoT is expected")]
    Foreign {
        /// What it is.
        found: String,
    },
    /// Several events where one is expected.
    #[error("the message has several events; each needs a message of its own")]
    Several,
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
    /// Reads an event from the text of a message: JSON, or JSON in base64; as [`Event::from_value`].
    ///
    /// # Errors
    /// As [`Event::from_value`].
    pub fn from_json(text: &str) -> Result<Self, EventError> {
        let text = envelope::trimmed(text);
        if text.is_empty() {
            return Err(EventError::Empty);
        }
        if let Some(event) = as_published(text) {
            return Ok(event);
        }
        match serde_json::from_str(text) {
            Ok(value) => Self::from_value(&value),
            Err(error) => match envelope::decoded(text) {
                Some(value) => Self::from_value(&value),
                None => Err(EventError::Json(error.to_string())),
            },
        }
    }

    /// Reads an event from a JSON value, out of the envelopes that [`opened`] opens. Fields that are not known are accepted,
    /// and fields that decide nothing in any form.
    ///
    /// # Errors
    /// Says what the value is instead, or names the first field that is missing or wrong, and what is expected of it.
    pub fn from_value(value: &Value) -> Result<Self, EventError> {
        let value = opened(value)?;
        if tracing::enabled!(tracing::Level::DEBUG) {
            for (field, expected, found) in oddities(&value) {
                tracing::debug!(
                    field,
                    found,
                    "the event's {field:?} is not {expected}; nothing depends on it"
                );
            }
        }
        Ok(Self {
            certificate_id: required(&value, "certificateId", ID, certificate_id)?,
            ca_certificate_id: required(&value, "caCertificateId", ID, certificate_id)?,
            aws_account_id: value.get("awsAccountId").and_then(account),
            timestamp: value.get("timestamp").and_then(milliseconds),
        })
    }

    /// Reads an event from the record of a batch: from its body, if a queue delivers it.
    ///
    /// # Errors
    /// As [`Event::from_value`].
    pub fn from_record(record: &Value) -> Result<Self, EventError> {
        const BODY: &str = "the text of the message";
        match record.get("body") {
            Some(Value::String(body)) => Self::from_json(body),
            Some(Value::Null) => Err(EventError::Empty),
            Some(other) => {
                Err(EventError::Invalid { field: "body", expected: BODY, found: shortened(other) })
            }
            None => Self::from_value(record),
        }
    }
}

/// The event, if it has the form in which AWS IoT publishes it. This costs less than to read any JSON, and a rush has millions of
/// them. `None` says only that it takes more to understand it.
fn as_published(text: &str) -> Option<Event> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Published<'a> {
        certificate_id: &'a str,
        ca_certificate_id: &'a str,
        aws_account_id: &'a str,
        timestamp: u64,
    }
    let has_form = |id: &str| is_certificate_id(id) && !id.bytes().any(|digit| digit.is_ascii_uppercase());
    let event: Published<'_> = serde_json::from_str(text).ok()?;
    let is_plain = has_form(event.certificate_id)
        && has_form(event.ca_certificate_id)
        && is_account(event.aws_account_id)
        && event.timestamp >= EARLIEST
        // What is odd about the other fields is told then.
        && !tracing::enabled!(tracing::Level::DEBUG);
    is_plain.then(|| Event {
        certificate_id: event.certificate_id.to_owned(),
        ca_certificate_id: event.ca_certificate_id.to_owned(),
        aws_account_id: Some(event.aws_account_id.to_owned()),
        timestamp: Some(event.timestamp),
    })
}

const ID: &str = "a string of 64 hex digits";

/// A field, the form in which AWS IoT publishes it, and whether a value has it.
type Form = (&'static str, &'static str, fn(&Value) -> bool);

/// The fields that decide nothing.
const FORMS: [Form; 5] = [
    ("certificateStatus", "a certificate status such as \"PENDING_ACTIVATION\"", |value| {
        value.as_str().is_some_and(|name| CertificateStatus::from_name(name).is_some())
    }),
    ("awsAccountId", "a string of 12 digits", |value| value.is_string() && account(value).is_some()),
    ("timestamp", "a number of milliseconds", |value| value.is_u64() && milliseconds(value).is_some()),
    // Documented as a string, observed as null.
    ("certificateRegistrationTimestamp", "a string or null", |value| value.is_string() || value.is_null()),
    // Not documented; may be absent.
    ("sourceIp", "a string or null", |value| value.is_string() || value.is_null()),
];

/// The fields that have another form than AWS IoT publishes them in, that form, and what they are.
fn oddities(event: &Value) -> impl Iterator<Item = (&'static str, &'static str, String)> {
    FORMS.iter().filter_map(|(field, expected, has_form)| {
        let value = event.get(field).filter(|value| !has_form(value))?;
        Some((*field, *expected, shortened(value)))
    })
}

/// Whether this is, or was meant to be, the event itself.
fn names_certificate(value: &Value) -> bool {
    ["certificateId", "caCertificateId"].iter().any(|field| value.get(field).is_some())
}

/// 12 digits, as a string or as a number, which has no leading zeros.
fn account(value: &Value) -> Option<String> {
    let digits = match value {
        Value::String(text) => text.trim().to_owned(),
        other => format!("{:012}", whole(other)?),
    };
    Some(digits).filter(|digits| is_account(digits))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// 2015, before there was AWS IoT: what is less is not in milliseconds.
const EARLIEST: u64 = 1_420_070_400_000;

fn milliseconds(value: &Value) -> Option<u64> {
    let number = match value {
        Value::String(text) => whole(&serde_json::from_str(text).ok()?),
        other => whole(other),
    };
    number.filter(|number| *number >= EARLIEST)
}

/// A number that is not negative, without what is behind the point.
fn whole(value: &Value) -> Option<u64> {
    // Above 2^53 a float is not exact any more.
    let of_float = |float: f64| (0.0..9_007_199_254_740_992.0).contains(&float).then_some(float as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(of_float))
}

/// The id of a certificate or CA, in lower case.
fn certificate_id(value: &Value) -> Option<String> {
    value.as_str().filter(|s| is_certificate_id(s)).map(str::to_ascii_lowercase)
}

/// Whether `text` can be the id of a certificate or CA: 64 hex digits.
pub fn is_certificate_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A field that has to be there.
fn required<T>(
    event: &Value,
    field: &'static str,
    expected: &'static str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<T, EventError> {
    match event.get(field) {
        None | Some(Value::Null) => Err(EventError::Missing { field, expected }),
        Some(value) => {
            read(value).ok_or_else(|| EventError::Invalid { field, expected, found: shortened(value) })
        }
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
mod tests;
