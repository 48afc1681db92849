//! The lines that `monitor` prints: text for people, an object for programs.

use std::fmt;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use device_pki::visible;
use iot_account::live::Stage;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::cli::Context;
use crate::cli::output::{self, Part};

/// The longest payload that is shown to people, in characters.
const LONGEST: usize = 160;

/// What has happened, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Happened {
    Registered,
    Function,
    Status,
    Connected,
    Disconnected,
    ConnectFailed,
    Message,
    Sent,
    Malformed,
    Overdue,
    Refused,
    Lost,
    Again,
}

impl Happened {
    fn says(self) -> (Style, &'static str) {
        const PLAIN: Style = Style::new();
        const GOOD: Style = AnsiColor::Green.on_default();
        const NOTABLE: Style = AnsiColor::Yellow.on_default();
        const BAD: Style = AnsiColor::Red.on_default().bold();
        match self {
            Self::Registered => (NOTABLE, "turned away"),
            Self::Function => (PLAIN, "function"),
            Self::Status => (PLAIN, "certificate"),
            Self::Connected => (GOOD, "connected"),
            Self::Disconnected => (NOTABLE, "disconnected"),
            Self::ConnectFailed => (BAD, "refused"),
            Self::Message => (PLAIN, "message"),
            Self::Sent => (PLAIN, "sent"),
            Self::Malformed => (NOTABLE, "not an event"),
            Self::Overdue => (BAD, "missing"),
            Self::Refused => (NOTABLE, "not shown"),
            Self::Lost => (NOTABLE, "interrupted"),
            Self::Again => (NOTABLE, "again"),
        }
    }
}

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Seen<'a> {
    pub(super) when: String,
    pub(super) event: Happened,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thing_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) certificate_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "stage")]
    pub(super) missing: Option<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<&'a str>,
    #[serde(flatten)]
    pub(super) payload: Payload<'a>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub(super) seconds: Option<Duration>,
    #[serde(skip)]
    pub(super) text: String,
}

impl<'a> Seen<'a> {
    /// The line of what happens now; the rest is filled in.
    pub(super) fn now(event: Happened, text: impl Into<String>) -> Self {
        let now = OffsetDateTime::now_utc();
        let now = now.replace_nanosecond(now.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(now);
        Self {
            when: now.format(&Rfc3339).unwrap_or_default(),
            event,
            thing_name: None,
            client_id: None,
            certificate_id: None,
            status: None,
            outcome: None,
            detail: None,
            source_ip: None,
            missing: None,
            topic: None,
            payload: Payload::None {},
            seconds: None,
            text: text.into(),
        }
    }

    /// The device with this client id. Names of things have fewer characters than client ids.
    pub(super) fn of_client(self, client_id: &'a str) -> Self {
        Self { client_id: Some(client_id), ..self.of_thing(Some(client_id)) }
    }

    pub(super) fn of_thing(self, name: Option<&'a str>) -> Self {
        Self { thing_name: name.filter(|name| is_thing_name(name)), ..self }
    }

    pub(super) fn show(&self, context: &Context) {
        let (style, word) = self.event.says();
        let clock = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
        let when = OffsetDateTime::parse(&self.when, &Rfc3339).ok().and_then(|when| when.format(clock).ok());
        let of = self.thing_name.or(self.client_id).map(|name| short(name, 14));
        let of = of.or_else(|| self.certificate_id.map(|id| format!("({})", short(id, 12))));
        let begin = format!("{}  {:<14}  ", when.unwrap_or_default(), visible::line(&of.unwrap_or_default()));
        let rest = format!("  {}", visible::line(&self.text));
        let parts: [Part<'_>; 3] = [
            (Style::new(), begin.into()),
            (style, format!("{word:<12}").into()),
            (Style::new(), rest.into()),
        ];
        output::result(context.global.output, output::painted(&parts).trim_end(), self);
    }
}

/// The beginning of a name.
fn short(name: &str, characters: usize) -> String {
    match name.chars().count() > characters {
        true => name.chars().take(characters - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

fn is_thing_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte))
}

fn stage<S: Serializer>(stage: &Option<Stage>, serializer: S) -> Result<S::Ok, S::Error> {
    stage.map(stage_name).serialize(serializer)
}

fn seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0).serialize(serializer)
}

/// A stage as programs read it: that of a new board is its first connection.
pub(super) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Registered => "registered",
        Stage::Function => "function",
        Stage::Active => "active",
        Stage::Connected => "connected",
        Stage::Message => "message",
    }
}

/// What was published: text, or bytes that are none.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Payload<'a> {
    None {},
    Text {
        payload: &'a str,
    },
    Bytes {
        #[serde(serialize_with = "hexadecimal")]
        payload_hex: &'a [u8],
    },
}

impl<'a> Payload<'a> {
    pub(super) fn of(payload: &'a [u8]) -> Self {
        match std::str::from_utf8(payload) {
            Ok(payload) => Self::Text { payload },
            Err(_) => Self::Bytes { payload_hex: payload },
        }
    }
}

fn hexadecimal<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

impl fmt::Display for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None {} => Ok(()),
            Self::Text { payload: "" } => f.write_str("(empty)"),
            Self::Text { payload } => f.write_str(&visible::line(&short(payload, LONGEST))),
            Self::Bytes { payload_hex: bytes } => {
                let shown = bytes.len().min(LONGEST / 2);
                let more = if shown < bytes.len() { "…" } else { "" };
                write!(f, "{} bytes, hex {}{more}", bytes.len(), hex::encode(&bytes[..shown]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_shown_as_text_or_as_hex_and_not_without_end() {
        let shown = |payload: &[u8]| Payload::of(payload).to_string();
        assert_eq!(shown(b""), "(empty)");
        assert_eq!(shown(b"{\"t\": 21}\n\x1b[2J"), "{\"t\": 21}\\n\\u{1b}[2J");
        assert_eq!(shown(&[0xff, 0]), "2 bytes, hex ff00");
        assert_eq!(shown(&[b'x'; 100_000]).chars().count(), LONGEST);
        assert!(shown(&[0xff; 100_000]).len() < 2 * LONGEST);
    }

    #[test]
    fn programs_get_text_as_it_is_and_bytes_in_hex() {
        let line = |payload: &[u8]| {
            let seen = Seen { payload: Payload::of(payload), ..Seen::now(Happened::Message, "") };
            serde_json::to_value(seen).unwrap()
        };
        assert_eq!((&line(b"a\n")["payload"], line(b"a").get("payload_hex")), (&"a\n".into(), None));
        assert_eq!((&line(&[0xff])["payload_hex"], line(&[0xff]).get("payload")), (&"ff".into(), None));
        assert_eq!(
            serde_json::to_value(Seen::now(Happened::Lost, "")).unwrap().as_object().unwrap().len(),
            2
        );
    }

    #[test]
    fn a_client_id_that_can_be_no_name_of_a_thing_is_not_told_as_one() {
        let seen = Seen::now(Happened::Connected, "").of_client("a b");
        assert_eq!((seen.thing_name, seen.client_id), (None, Some("a b")));
        assert_eq!(Seen::now(Happened::Connected, "").of_client("a:b").thing_name, Some("a:b"));
    }
}
