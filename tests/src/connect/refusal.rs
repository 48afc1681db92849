//! Why a device is turned away: what its own end of the connection shows, and what the testbed's log says. A real endpoint says
//! nothing.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use rumqttc_v4::ConnectionError;
use serde_json::Value;
use tokio::time::sleep;

/// How often the log is looked into after a refusal, and how long in between: its line is written at about the same time.
const LOOKS: usize = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(40);

/// What the device's own end shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing answers there.
    Unreachable(String),
    /// The server's certificate is not by the CA, or for another name.
    Untrusted(String),
    /// The device is turned away.
    TurnedAway(String),
}

/// What an attempt shows that has failed.
pub(super) fn seen(error: &ConnectionError) -> Seen {
    match (tls_error(error), error) {
        (Some(rustls::Error::InvalidCertificate(why)), _) => Seen::Untrusted(why.to_string()),
        (Some(rustls::Error::AlertReceived(alert)), _) => {
            Seen::TurnedAway(format!("the server ends the TLS handshake ({alert:?})"))
        }
        (Some(other), _) => Seen::TurnedAway(other.to_string()),
        (None, ConnectionError::Io(why)) => Seen::Unreachable(why.to_string()),
        (None, ConnectionError::NetworkTimeout) => Seen::Unreachable("no answer".to_owned()),
        (None, ConnectionError::ConnectionRefused(code)) => {
            Seen::TurnedAway(format!("CONNACK says {code:?}"))
        }
        (None, ConnectionError::MqttState(_)) => {
            Seen::TurnedAway("the server closes the connection in answer to CONNECT".to_owned())
        }
        (None, other) => Seen::TurnedAway(other.to_string()),
    }
}

/// What the TLS library says, where it is the cause.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let found = error.downcast_ref().or_else(|| within?.downcast_ref());
        if found.is_some() {
            return found;
        }
        next = error.source();
    }
    None
}

/// The log of the testbed that a shell started, which has the gateway's reasons.
pub(super) struct Log {
    path: PathBuf,
    /// What was there before.
    from: u64,
}

impl Log {
    /// The log from now on; `None` where it cannot be read.
    pub(super) fn from_now(path: PathBuf) -> Option<Self> {
        let from = std::fs::metadata(&path).ok()?.len();
        Some(Self { path, from })
    }

    /// The last reason that it has for the device since it was last asked.
    pub(super) async fn reason(&mut self, certificate_id: &str, client_id: &str) -> Option<String> {
        for _ in 0..LOOKS {
            let text = self.new_text().unwrap_or_default();
            let of_device = |event: &Value| {
                event["certificate_id"] == certificate_id
                    || (event["certificate_id"].is_null() && event["client_id"] == client_id)
            };
            let mut reasons =
                text.lines().filter_map(event).filter(of_device).filter_map(|event| told(&event));
            if let Some(reason) = reasons.next_back() {
                return Some(reason);
            }
            sleep(BETWEEN_LOOKS).await;
        }
        None
    }

    fn new_text(&mut self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A line that is being written is read with the next look.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.from += whole as u64;
        Ok(String::from_utf8_lossy(&bytes[..whole]).into_owned())
    }
}

/// An event of the gateway: `   12.345 gateway {…}`.
fn event(line: &str) -> Option<Value> {
    serde_json::from_str(line.split_once(" gateway ")?.1).ok()
}

/// Why, if the event says so.
fn told(event: &Value) -> Option<String> {
    match event["event"].as_str()? {
        "registered" => {
            Some("the certificate is new: it was registered as PENDING_ACTIVATION just now".to_owned())
        }
        "refused" | "subscription_refused" => refusal(&event["refusal"]),
        "closed" => refusal(&event["ended"]),
        _ => None,
    }
}

fn refusal(value: &Value) -> Option<String> {
    let text = |key: &str| value[key].as_str();
    match text("cause")? {
        "policy" => {
            let says = if value["explicit"] == true { "a policy denies" } else { "no policy allows" };
            Some(format!("{says} {} on {}: {}", text("action")?, text("resource")?, text("because")?))
        }
        "unsupported" => text("what").map(str::to_owned),
        _ => text("reason").map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iot_core::gateway::{Ended, Event, Refusal};

    fn line(event: &Event) -> String {
        format!("    0.123 gateway {}", serde_json::to_string(event).unwrap())
    }

    #[test]
    fn reasons_are_read_back_from_the_lines_of_the_log() {
        let policy = Refusal::Policy {
            action: "iot:Connect",
            resource: "arn:aws:iot:us-east-1:1:client/b".to_owned(),
            explicit: false,
            because: "nothing is attached".to_owned(),
        };
        let says = policy.to_string();
        let (certificate_id, client_id) = ("ab".to_owned(), "b".to_owned());
        let closed = Event::Closed { client_id: client_id.clone(), ended: Ended::Violation(policy.clone()) };
        let refused = Event::Refused { certificate_id: certificate_id.clone(), client_id, refusal: policy };
        for event_ in [closed, refused] {
            assert_eq!(told(&event(&line(&event_)).unwrap()), Some(says.clone()));
        }
        let registered = Event::Registered { certificate_id, client_id: "b".to_owned() };
        assert!(told(&event(&line(&registered)).unwrap()).unwrap().contains("PENDING_ACTIVATION"));
        for other in ["", "    0.1 call    iot CreateThing t → 200", "    0.1 gateway {"] {
            assert_eq!(event(other), None);
        }
    }

    #[tokio::test]
    async fn a_log_tells_of_the_device_alone_and_of_what_is_new() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = |certificate: &str, reason: &str| {
            let refusal = Refusal::Certificate { reason: reason.to_owned() };
            let certificate_id = certificate.to_owned();
            line(&Event::Refused { certificate_id, client_id: "b".to_owned(), refusal }) + "\n"
        };
        std::fs::write(file.path(), refused("ab", "old")).unwrap();
        let mut log = Log::from_now(file.path().to_owned()).unwrap();
        let text = refused("ab", "old") + &refused("ab", "is INACTIVE") + &refused("cd", "of another");
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(log.reason("ab", "b").await.as_deref(), Some("is INACTIVE"));
        assert_eq!(log.reason("ab", "b").await, None);
    }
}
