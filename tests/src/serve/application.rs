//! The applications of the boards of `testbed serve`: what a kit's demo application does once the board is provisioned.
//!
//! Topics and payloads are those of Microchip's AWS demo for AVR-IoT (`application_manager.c`); the topic `THING/led` is this testbed's.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::board::SimulatedBoard;
use crate::device::{BackOff, Credentials, Device, DeviceError, Endpoint, Message};
use crate::journal::{Happening, Journal};
use crate::testbed::{HOST, Testbed};

/// How often a board is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How often it publishes.
const PERIOD: Duration = Duration::from_secs(5);
/// What it publishes.
const MESSAGE: &[u8] = br#"{"Light":412,"Temp":2315}"#;
/// How long the port of a board without a disk has to be silent until its application runs.
const SILENCE: Duration = Duration::from_secs(1);
/// The LED that messages switch.
const LED: &str = "DATA";

/// When the application of a board runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    /// While it is the program in the microcontroller, and knows a network.
    Programmed,
    /// In place of the provisioning firmware, when no command has come for a while.
    InBetween,
}

/// Lets the applications of the boards connect, until the result is dropped.
pub(super) fn start(boards: &[Arc<SimulatedBoard>], runs: Runs, testbed: &Testbed) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for board in boards {
        let application = Application {
            board: board.clone(),
            runs,
            port: testbed.gateway().port(),
            server_ca: testbed.gateway().server_ca_pem().to_owned(),
            journal: testbed.journal().clone(),
        };
        tasks.spawn(application.run());
    }
    tasks
}

struct Application {
    board: Arc<SimulatedBoard>,
    runs: Runs,
    port: u16,
    server_ca: String,
    journal: Journal,
}

/// What it connects with.
struct Provisioned {
    thing_name: String,
    host: String,
    credentials: Credentials,
}

impl Provisioned {
    fn is(&self, other: &Self) -> bool {
        (&self.thing_name, &self.host, &self.credentials.chain)
            == (&other.thing_name, &other.host, &other.credentials.chain)
    }
}

impl Application {
    async fn run(self) {
        let mut back_off = BackOff::default();
        let mut told = String::new();
        loop {
            let pause = match self.provisioned() {
                None => {
                    back_off = BackOff::default();
                    POLL
                }
                // Nothing of the testbed leaves this computer.
                Some(provisioned) if provisioned.host != HOST => {
                    if told != provisioned.host {
                        let Provisioned { thing_name, host, .. } = provisioned;
                        self.note(format!(
                            "board {thing_name} does not connect: its endpoint is {host}, not {HOST}"
                        ));
                        told = host;
                    }
                    POLL
                }
                // What the gateway refuses is in the testbed's log; the application tries again.
                Some(provisioned) => match self.talk(&provisioned).await {
                    Ok(()) => POLL,
                    Err(_) => back_off.pause(),
                },
            };
            sleep(pause).await;
        }
    }

    fn note(&self, text: String) {
        self.journal.record(Happening::Note(text));
    }

    /// What the board connects with, if its application runs and the board is provisioned.
    fn provisioned(&self) -> Option<Provisioned> {
        match self.runs {
            Runs::Programmed => drop(self.board.network()?),
            Runs::InBetween => drop(self.board.silent_for().filter(|silence| *silence >= SILENCE)?),
        }
        let (thing_name, host) = self.board.names()?;
        let (credentials, _) = Credentials::of(&self.board).ok()?;
        Some(Provisioned { thing_name, host, credentials })
    }

    /// Connects, publishes and obeys as long as the application runs and the board is provisioned as it is.
    async fn talk(&self, provisioned: &Provisioned) -> Result<(), DeviceError> {
        let Provisioned { thing_name, host, credentials } = provisioned;
        let endpoint = Endpoint::new(host, self.port, self.server_ca.as_str());
        let mut device = Device::connect(&endpoint, credentials, thing_name).await?;
        let delta = format!("$aws/things/{thing_name}/shadow/update/delta");
        for filter in [&delta, &format!("{thing_name}/led")] {
            match device.subscribe(filter).await {
                // A policy may allow less.
                Ok(()) | Err(DeviceError::SubscriptionRefused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (mut publishing, mut looking) = (interval(PERIOD), interval(POLL));
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = device.receive() => match message {
                    Ok(message) => self.obey(&mut device, thing_name, &delta, &message).await?,
                    Err(DeviceError::Timeout { .. }) => {}
                    Err(error) => return Err(error),
                },
                _ = publishing.tick() => device.publish(&format!("{thing_name}/sensors"), MESSAGE).await?,
                _ = looking.tick() => {
                    if !self.provisioned().is_some_and(|now| now.is(provisioned)) {
                        return device.disconnect().await;
                    }
                }
            }
        }
    }

    /// Switches the LED that a message asks for, and reports it to the shadow.
    async fn obey(
        &self,
        device: &mut Device,
        thing_name: &str,
        delta: &str,
        message: &Message,
    ) -> Result<(), DeviceError> {
        let Message { topic, payload } = message;
        let Some(on) = (if topic == delta { toggle(payload) } else { led(payload) }) else { return Ok(()) };
        self.board.set_led(LED, on);
        self.note(format!("board {thing_name} switches its LED {LED} {}", if on { "on" } else { "off" }));
        let reported = json!({ "state": { "reported": { "toggle": u8::from(on) } } });
        device
            .publish(&format!("$aws/things/{thing_name}/shadow/update"), reported.to_string().as_bytes())
            .await
    }
}

/// What the delta of a shadow wants: `{"state":{"toggle":1}}`.
fn toggle(payload: &[u8]) -> Option<bool> {
    let delta: Value = serde_json::from_slice(payload).ok()?;
    delta["state"]["toggle"].as_u64().map(|toggle| toggle == 1)
}

/// What a message to the LED wants: `on`, `true` or `1`, alone or as the member `on` or `led` of a JSON object.
fn led(payload: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(payload).ok()?.trim();
    let wanted = match serde_json::from_str(text) {
        Ok(Value::Object(mut members)) => members.remove("on").or_else(|| members.remove("led"))?,
        Ok(value) => value,
        Err(_) => text.into(),
    };
    match wanted {
        Value::Bool(on) => Some(on),
        Value::Number(number) => number.as_u64().map(|number| number == 1),
        Value::String(word) => match word.as_str() {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_switch_the_led_and_others_do_not() {
        for on in ["on", "true", "1", r#"{"on":true}"#, r#"{"led":"on"}"#, r#""on""#, "on\n"] {
            assert_eq!(led(on.as_bytes()), Some(true), "{on}");
        }
        for off in ["off", "false", "0", r#"{"on":false}"#, r#"{"led":"off"}"#] {
            assert_eq!(led(off.as_bytes()), Some(false), "{off}");
        }
        for other in ["", "perhaps", "{}", r#"{"on":[]}"#, "{"] {
            assert_eq!(led(other.as_bytes()), None, "{other}");
        }
        assert_eq!(led(&[0xff]), None);
        assert_eq!(toggle(br#"{"version":3,"state":{"toggle":1}}"#), Some(true));
        assert_eq!(toggle(br#"{"state":{"toggle":0}}"#), Some(false));
        assert_eq!((toggle(b"{}"), toggle(b"")), (None, None));
    }
}
