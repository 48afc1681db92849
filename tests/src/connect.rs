//! `testbed connect`: a device by hand, with certificate and key from files.

use std::future::pending;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::http::uri::Authority;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::device::{BackOff, Device, DeviceError, Message};

mod identity;
mod refusal;

use identity::Identity;
use refusal::{Log, Seen};

/// The port of MQTT with client certificates at AWS IoT.
const MQTT_PORT: u16 = 8883;

/// The options of `testbed connect`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eval \"$(testbed serve --ready --env)\"
  testbed connect --cert board.crt --key board.key
      Connect to the testbed of this shell. The first connection of a new device is turned away and registers it, the second is let in.
  testbed connect --cert board.crt --key board.key --subscribe 'THING/#' --publish THING/sensors '{\"Temp\":21}' --for 10s
      Subscribe, publish a message, and end after ten seconds.

Each line says what happens, after its time in seconds. The exit code is 0 if the device was let in and everything that was
asked for was accepted, and 1 otherwise.")]
pub struct Arguments {
    /// File with the device's certificate (PEM); the certificate of its signer may follow
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// File with the device's private key (PEM): PKCS#8, SEC1 or PKCS#1, not encrypted
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Where to connect; without PORT, 8883 [default: the testbed of this shell, by TESTBED_MQTT_HOST and TESTBED_MQTT_PORT]
    #[arg(long, value_name = "HOST[:PORT]")]
    pub endpoint: Option<Authority>,
    /// File with the CA of the server's certificate (PEM)
    #[arg(long, value_name = "FILE", env = "TESTBED_SERVER_CA", hide_env_values = true)]
    pub ca: Option<PathBuf>,
    /// MQTT client id [default: the thing name of the kits' boards, the SHA-1 of the public key in hexadecimal]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Subscribe to these topic filters, and print the messages
    #[arg(long, value_name = "TOPIC", num_args = 1..)]
    pub subscribe: Vec<String>,
    /// Publish a message once; may be repeated
    #[arg(long, num_args = 2, value_names = ["TOPIC", "PAYLOAD"], action = clap::ArgAction::Append)]
    pub publish: Vec<String>,
    /// End after this time, such as 90s, 5m or 1h [default: at Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub limit: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time such as 90s, 5m or 1h");
    let (number, seconds) = match text.chars().last() {
        Some('s') => (&text[..text.len() - 1], 1),
        Some('m') => (&text[..text.len() - 1], 60),
        Some('h') => (&text[..text.len() - 1], 3600),
        _ => (text, 1),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// Why there is no connection to be tried, or none that another attempt could make.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The files.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// Nothing says where to connect.
    #[error(
        "there is no endpoint: `eval \"$(testbed serve --ready --env)\"` starts a testbed that this shell knows, or --endpoint HOST[:PORT] names one"
    )]
    NoEndpoint,
    /// Nothing says which server to trust.
    #[error("there is no CA to know the server by: --ca FILE names the file with it")]
    NoAuthority,
    /// A message to a topic that is none.
    #[error(
        "`{topic}` is no topic that something can be published to: it is not empty, and has neither + nor #"
    )]
    Topic {
        /// As given.
        topic: String,
    },
    /// A topic filter that is none.
    #[error("`{filter}` is no topic filter: + and # stand for whole levels, and # is the last one")]
    Filter {
        /// As given.
        filter: String,
    },
    /// Nothing answers.
    #[error("{place} cannot be reached ({reason}): check that the testbed runs, and --endpoint")]
    Unreachable {
        /// Host name and port.
        place: String,
        /// What the system says.
        reason: String,
    },
    /// The server shows the certificate of another CA, or of another name.
    #[error(
        "the server at {place} is not the one that --ca is for ({reason}): name the CA of this server's certificate, and the host name that the certificate has"
    )]
    Untrusted {
        /// Host name and port.
        place: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// The device itself.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Signals of the system.
    #[error("cannot listen for SIGTERM and Ctrl-C")]
    Signals(#[source] io::Error),
}

/// Connects, does what is asked for, and says on stdout what happens, until the time is over or a signal comes.
///
/// # Errors
/// [`Error`] where no attempt can succeed.
pub async fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    let mut terminated = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let mut visit = Visit::new(arguments)?;
    let over = async {
        match arguments.limit {
            Some(limit) => sleep(limit).await,
            None => pending().await,
        }
    };
    tokio::select! {
        failed = visit.go_on() => return Err(failed),
        () = over => {}
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(visit.end().await)
}

/// A device that connects for as long as it is wanted.
struct Visit {
    identity: Identity,
    host: String,
    port: u16,
    client_id: String,
    filters: Vec<String>,
    /// Topics and payloads that have not been sent.
    messages: std::vec::IntoIter<(String, String)>,
    log: Option<Log>,
    began: Instant,
    device: Option<Device>,
    attempts: u32,
    was_let_in: bool,
    /// Something that was asked for was refused.
    was_refused: bool,
}

impl Visit {
    fn new(arguments: &Arguments) -> Result<Self, Error> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (host, port) = match &arguments.endpoint {
            Some(place) => (place.host().to_owned(), place.port_u16().unwrap_or(MQTT_PORT)),
            None => {
                let port = variable("TESTBED_MQTT_PORT").and_then(|port| port.parse().ok());
                let place = variable("TESTBED_MQTT_HOST").zip(port);
                place.ok_or(Error::NoEndpoint)?
            }
        };
        if let Some(filter) = arguments.subscribe.iter().find(|filter| !rumqttc_v4::valid_filter(filter)) {
            return Err(Error::Filter { filter: filter.clone() });
        }
        let messages: Vec<(String, String)> =
            arguments.publish.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let is_topic = |topic: &str| !topic.is_empty() && rumqttc_v4::valid_topic(topic);
        if let Some((topic, _)) = messages.iter().find(|(topic, _)| !is_topic(topic)) {
            return Err(Error::Topic { topic: topic.clone() });
        }
        let authority = arguments.ca.as_deref().ok_or(Error::NoAuthority)?;
        let identity = Identity::read(&arguments.cert, &arguments.key, authority)?;
        let log = variable("TESTBED_LOG").filter(|_| arguments.endpoint.is_none());
        Ok(Self {
            client_id: arguments.client_id.clone().unwrap_or_else(|| identity.key_identifier.clone()),
            identity,
            host,
            port,
            filters: arguments.subscribe.clone(),
            messages: messages.into_iter(),
            log: log.and_then(|path| Log::from_now(path.into())),
            began: Instant::now(),
            device: None,
            attempts: 0,
            was_let_in: false,
            was_refused: false,
        })
    }

    /// Connects and serves, again and again; returns what another attempt cannot change.
    async fn go_on(&mut self) -> Error {
        self.say("device", &format!("certificate {}", self.identity.certificate_id));
        let mut back_off = BackOff::default();
        loop {
            self.attempts += 1;
            let tls = self.identity.tls.clone();
            match Device::connect_by(tls, &self.host, self.port, &self.client_id).await {
                Ok(device) => {
                    self.device = Some(device);
                    self.was_let_in = true;
                    let at = if self.attempts == 1 {
                        String::new()
                    } else {
                        format!(", attempt {}", self.attempts)
                    };
                    self.say("connected", &format!("to {} as {}{at}", self.place(), self.client_id));
                    back_off = BackOff::default();
                    if let Err(failed) = self.serve().await {
                        return failed;
                    }
                }
                Err(DeviceError::Connection(error)) => match refusal::seen(&error) {
                    Seen::Untrusted(reason) => return Error::Untrusted { place: self.place(), reason },
                    Seen::Unreachable(reason) if self.attempts == 1 => {
                        return Error::Unreachable { place: self.place(), reason };
                    }
                    Seen::Unreachable(reason) => self.say("unreachable", &reason),
                    Seen::TurnedAway(what) => {
                        let why = self.reason(&what).await;
                        self.say("turned away", &why);
                    }
                },
                Err(DeviceError::Timeout { what }) => self.say("turned away", &format!("no {what} came")),
                Err(other) => return other.into(),
            }
            sleep(back_off.pause()).await;
        }
    }

    /// Does what is asked for, and prints messages until the connection ends.
    async fn serve(&mut self) -> Result<(), Error> {
        for filter in self.filters.clone() {
            let Some(device) = &mut self.device else { return Ok(()) };
            match device.subscribe(&filter).await {
                Ok(()) => self.say("subscribed", &visible(&filter)),
                Err(DeviceError::SubscriptionRefused { .. }) => {
                    self.was_refused = true;
                    let why = self.reason("the server grants no subscription").await;
                    self.say("refused", &format!("subscription to {}: {why}", visible(&filter)));
                }
                Err(error) => return self.ended(error, Some(&format!("subscription to {filter}"))).await,
            }
        }
        while let Some(device) = &mut self.device {
            let Some((topic, payload)) = self.messages.next() else { break };
            match device.publish(&topic, payload.as_bytes()).await {
                Ok(()) => self.say("published", &format!("{}  {}", visible(&topic), visible(&payload))),
                // What the server does not take is not sent again: it would end the next connection, too.
                Err(error) => return self.ended(error, Some(&format!("message to {topic}"))).await,
            }
        }
        while let Some(device) = &mut self.device {
            match device.receive().await {
                Ok(Message { topic, payload }) => {
                    self.say("message", &format!("{}  {}", visible(&topic), shown(&payload)));
                }
                Err(DeviceError::Timeout { .. }) => {}
                Err(error) => return self.ended(error, None).await,
            }
        }
        Ok(())
    }

    /// The connection has ended; `asked` is what it ended with.
    async fn ended(&mut self, error: DeviceError, asked: Option<&str>) -> Result<(), Error> {
        self.device = None;
        if !matches!(error, DeviceError::Connection(_) | DeviceError::Timeout { .. }) {
            return Err(error.into());
        }
        let why = self.reason("the server has closed the connection").await;
        match asked {
            Some(asked) => {
                self.was_refused = true;
                self.say("refused", &format!("{}: {why}", visible(asked)));
            }
            None => self.say("disconnected", &why),
        }
        Ok(())
    }

    /// What the device's own end shows, and the reason if the testbed's log has it.
    async fn reason(&mut self, seen: &str) -> String {
        let Some(log) = &mut self.log else { return seen.to_owned() };
        match log.reason(&self.identity.certificate_id, &self.client_id).await {
            Some(reason) => format!("{seen}: {}", visible(&reason)),
            None => seen.to_owned(),
        }
    }

    /// Takes leave.
    async fn end(mut self) -> ExitCode {
        if let Some(device) = self.device.take() {
            // The server notices the end of the connection without it.
            let _ = device.disconnect().await;
            self.say("disconnected", "by this device");
        }
        match (self.was_let_in, self.was_refused || self.messages.len() > 0) {
            (true, false) => ExitCode::SUCCESS,
            (true, true) => ExitCode::FAILURE,
            (false, _) => {
                self.say("ended", &format!("not let in, attempts: {}", self.attempts));
                ExitCode::FAILURE
            }
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// One line on stdout. Nobody may read it.
    fn say(&self, what: &str, text: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let _ = writeln!(io::stdout().lock(), "{seconds:>9.3}  {what:<12}  {text}");
    }
}

/// Text of others on one line, with what a terminal would obey made visible.
fn visible(text: &str) -> String {
    let shown = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// A payload: text, or bytes that are none.
fn shown(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok("") => "(empty)".to_owned(),
        Ok(text) => visible(text),
        Err(_) => format!("{} bytes, hex {}", payload.len(), hex::encode(payload)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_what_is_none_is_refused() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        for text in ["", "s", "-1s", "1d", "1.5s", "5 m", "99999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn payloads_cannot_steer_a_terminal() {
        assert_eq!(shown(b"\x1b[2J\n"), "\\u{1b}[2J\\n");
        assert_eq!(shown(b""), "(empty)");
        assert_eq!(shown(&[0xff, 0]), "2 bytes, hex ff00");
    }
}
