//! Wi-Fi credentials: checked by the rules of IEEE 802.11, and given to the demo application over its console.

use std::fmt;
use std::time::{Duration, Instant};

use super::session::Transport;

/// Speed of the demo application's console, in baud.
pub const CONSOLE_BAUD_RATE: u32 = 9600;

/// The most characters that the debugger types into the console from a file, the line end counted. It drops the rest without
/// a word (`CMD:SEND_UART`, user guides of the kits).
const TYPED_MAX: usize = 50;

/// How long the application may take to store credentials.
const ANSWER: Duration = Duration::from_secs(5);
/// How often they are typed: an application that has just been programmed takes three seconds until it listens.
const ATTEMPTS: usize = 3;
/// Ends an answer of the application (EOT).
const END_OF_ANSWER: u8 = 0x04;

/// No line of its console is longer, in bytes.
const LINE: usize = 1024;

/// How a network authenticates. The numbers are those of the demo application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all.
    Open = 1,
    /// WPA or WPA2 with a passphrase.
    WpaPsk = 2,
    /// WEP, which protects nothing; for networks that have nothing else.
    Wep = 3,
    /// IEEE 802.1X.
    Ieee8021x = 4,
}

/// Name and secret of a network. The secret is shown by nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    ssid: String,
    secret: String,
    authentication: Authentication,
}

/// Why credentials cannot be used, or did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network's name.
    #[error("the name of the network has {0} bytes")]
    SsidLength(usize),
    /// A secret for a network without one.
    #[error("an open network has no passphrase")]
    OpenWithSecret,
    /// A passphrase that WPA does not allow; it is not shown.
    #[error("this is no WPA passphrase")]
    WpaPassphrase,
    /// A key that WEP does not allow; it is not shown.
    #[error("this is no WEP key")]
    WepKey,
    /// A secret that cannot be one; it is not shown.
    #[error("the secret of the network is empty, too long or has characters that cannot be typed")]
    Secret,
    /// A character that the console of the application cannot carry.
    #[error("the {what} has a comma or a control character, which the board's console cannot carry")]
    Console {
        /// Which of the two.
        what: &'static str,
    },
    /// The console did not answer.
    #[error("the application on {port} does not confirm the Wi-Fi credentials")]
    NoAnswer {
        /// The port.
        port: String,
    },
    /// The port broke.
    #[error("lost the board on {port} while setting the Wi-Fi credentials")]
    Lost {
        /// The port.
        port: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl Credentials {
    /// Takes a name and a secret, if the rules allow them. The secret of an open network is empty.
    ///
    /// # Errors
    /// [`Error`], but for what happens on the port.
    pub fn new(ssid: &str, secret: &str, authentication: Authentication) -> Result<Self, Error> {
        if !(1..=32).contains(&ssid.len()) {
            return Err(Error::SsidLength(ssid.len()));
        }
        let printable = secret.bytes().all(|b| (0x20..=0x7E).contains(&b));
        let is_hex = secret.bytes().all(|b| b.is_ascii_hexdigit());
        match (authentication, secret.len()) {
            (Authentication::Open, 0) => {}
            (Authentication::Open, _) => return Err(Error::OpenWithSecret),
            (Authentication::WpaPsk, 8..=63) if printable => {}
            (Authentication::WpaPsk, 64) if is_hex => {}
            (Authentication::WpaPsk, _) => return Err(Error::WpaPassphrase),
            (Authentication::Wep, 5 | 13) if printable => {}
            (Authentication::Wep, 10 | 26) if is_hex => {}
            (Authentication::Wep, _) => return Err(Error::WepKey),
            (Authentication::Ieee8021x, 1..=63) if printable => {}
            (Authentication::Ieee8021x, _) => return Err(Error::Secret),
        }
        for (what, text) in [("name of the network", ssid), ("passphrase", secret)] {
            if text.contains(|c: char| c == ',' || c.is_control()) {
                return Err(Error::Console { what });
            }
        }
        Ok(Self { ssid: ssid.to_owned(), secret: secret.to_owned(), authentication })
    }

    /// Name of the network.
    pub fn ssid(&self) -> &str {
        &self.ssid
    }

    /// The command of the application's console, without its line end. Holds the secret: not to be shown or logged.
    pub(crate) fn command(&self) -> String {
        format!("wifi {},{},{}", self.ssid, self.secret, self.authentication as u8)
    }

    /// Whether the debugger can type them: name and passphrase have at most 41 characters together.
    pub fn can_be_typed(&self) -> bool {
        // With the line end.
        self.command().len() < TYPED_MAX
    }

    /// Types the credentials into the application's console and waits for its `OK`. A name or a secret that is `OK` and
    /// echoed is no answer.
    ///
    /// # Errors
    /// [`Error::NoAnswer`], [`Error::Lost`].
    pub fn send(&self, console: &mut dyn Transport, port: &str) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            match self.send_within(console, port, ANSWER) {
                Err(Error::NoAnswer { .. }) if attempt < ATTEMPTS => attempt += 1,
                ended => return ended,
            }
        }
    }

    fn send_within(&self, console: &mut dyn Transport, port: &str, patience: Duration) -> Result<(), Error> {
        let lost = |source| Error::Lost { port: port.to_owned(), source };
        // What was typed before, by whomever, ends here.
        console.send(b"\n").map_err(lost)?;
        console.send(format!("{}\n", self.command()).as_bytes()).map_err(lost)?;
        let deadline = Instant::now() + patience;
        let mut answer = Vec::new();
        let mut buffer = [0; 256];
        loop {
            // Bytes that come do not make the time longer.
            let left = deadline.saturating_duration_since(Instant::now());
            let count = match left.is_zero() {
                true => 0,
                false => console.receive(&mut buffer, left).map_err(lost)?,
            };
            if count == 0 {
                return Err(Error::NoAnswer { port: port.to_owned() });
            }
            answer.extend(&buffer[..count]);
            let ends_line = |b: &u8| matches!(*b, b'\r' | b'\n' | END_OF_ANSWER);
            if answer.split(ends_line).any(|line| line.trim_ascii() == b"OK") {
                return Ok(());
            }
            let last = answer.iter().rposition(ends_line).unwrap_or(0);
            // A line that long is no OK, and does not become one.
            answer.drain(..last.max(answer.len().saturating_sub(LINE)));
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("ssid", &self.ssid)
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Act, Scripted, say};
    use super::Authentication::{Ieee8021x, Open, Wep, WpaPsk};
    use super::*;

    /// Sends without end.
    struct Babbling;

    impl Transport for Babbling {
        fn send(&mut self, _: &[u8]) -> std::io::Result<()> {
            Ok(())
        }

        fn receive(&mut self, buffer: &mut [u8], _: Duration) -> std::io::Result<usize> {
            buffer.fill(b'O');
            Ok(buffer.len())
        }
    }

    #[test]
    fn the_rules_of_802_11_are_kept() {
        let hex = "0123456789abcdefABCDEF9876543210";
        let good = [
            ("net", "", Open),
            ("n", "8 chars!", WpaPsk),
            (&"x".repeat(32), &"p".repeat(63), WpaPsk),
            ("net", &hex.repeat(2), WpaPsk),
            ("net", "12345", Wep),
            ("net", "1234567890123", Wep),
            ("net", &hex[..10], Wep),
            ("net", &hex[..26], Wep),
            ("Küche", "secret!!", WpaPsk),
            ("net", "s", Ieee8021x),
        ];
        for (ssid, secret, authentication) in good {
            Credentials::new(ssid, secret, authentication).unwrap();
        }
        let bad = [
            ("", "", Open),
            (&"x".repeat(33), "", Open),
            ("net", "word", Open),
            ("net", "7 chars", WpaPsk),
            ("net", &"p".repeat(64), WpaPsk),
            ("net", "pässword!", WpaPsk),
            ("net", "1234", Wep),
            ("net", "123456789x", Wep),
            ("a,b", "", Open),
            ("net", "comma,comma", WpaPsk),
            ("two\nlines", "", Open),
            ("net", "", Ieee8021x),
        ];
        for (ssid, secret, authentication) in bad {
            let error = Credentials::new(ssid, secret, authentication).unwrap_err();
            assert!(secret.len() < 4 || !format!("{error} {error:?}").contains(secret), "{error:?}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let credentials = Credentials::new("net", "hush-hush", WpaPsk).unwrap();
        assert_eq!(credentials.command(), "wifi net,hush-hush,2");
        assert!(!format!("{credentials:?}").contains("hush"));
    }

    #[test]
    fn what_is_longer_than_the_debugger_types_is_known() {
        let secret = "p".repeat(41 - "net".len());
        let at_most = Credentials::new("net", &secret, WpaPsk).unwrap();
        assert_eq!(format!("{}\n", at_most.command()).len(), 50);
        assert!(at_most.can_be_typed());
        assert!(!Credentials::new("net1", &secret, WpaPsk).unwrap().can_be_typed());
    }

    #[test]
    fn an_application_that_starts_late_gets_the_credentials_again() {
        let credentials = Credentials::new("net", "hush-hush", WpaPsk).unwrap();
        let mut heard = 0;
        let (mut console, log) = Scripted::new(move |line: &str| {
            heard += usize::from(line.starts_with("wifi"));
            if heard < 3 { Act::Silence } else { say("OK\r\n\x04") }
        });
        credentials.send(&mut console, "test").unwrap();
        assert_eq!(log.lock().unwrap().len(), 3);
    }

    #[test]
    fn the_console_must_say_ok() {
        let credentials = Credentials::new("OK", "hush-hush", WpaPsk).unwrap();
        let (mut console, log) = Scripted::new(|line: &str| match line {
            "wifi OK,hush-hush,2" => say("wifi OK,hush-hush,2\r\nOK\r\n"),
            _ => Act::Silence,
        });
        credentials.send(&mut console, "test").unwrap();
        assert_eq!(*log.lock().unwrap(), ["wifi OK,hush-hush,2"]);
        let (mut console, _) = Scripted::new(|line: &str| match line {
            "" => Act::Silence,
            _ => say("Unknown command\r\n\x04OK\r\n\x04"),
        });
        credentials.send(&mut console, "test").unwrap();
        for answer in ["", "wifi OK,hush-hush,2\r\n", "Unknown command\r\n"] {
            let (mut console, _) = Scripted::new(move |_: &str| say(answer));
            let error = credentials.send(&mut console, "test").unwrap_err();
            assert!(matches!(error, Error::NoAnswer { .. }));
        }
        let error = credentials.send_within(&mut Babbling, "test", Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "bytes that come do not make the time longer");
        let (mut console, _) = Scripted::new(|_: &str| Act::Unplug);
        assert!(matches!(credentials.send(&mut console, "test"), Err(Error::Lost { .. })));
    }
}
