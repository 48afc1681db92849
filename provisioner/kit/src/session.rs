//! A conversation with one board: synchronise, then one request and one reply at a time.
//!
//! A reply that is late, cut short or garbled leads to synchronising again and to a repetition; every command that
//! [`Command`] knows can be repeated without harm. Nothing is sent ahead: a blob follows only the board's `>`, and a request
//! only the reply to the one before. A board's receive buffer holds as few as 7 bytes while it is busy.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use serialport::SerialPort;
use tracing::debug;

use super::codec::{Decoder, Event};
use super::command::Command;
use super::kits::Radio;
use super::{Error, Kit};

mod synchronisation;

/// How often a command is tried.
const ATTEMPTS: usize = 3;

/// A line of the serial port.
pub trait Transport: Send {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// The port is gone.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Waits for bytes and returns as soon as there are any; `0` if none came in time.
    ///
    /// # Errors
    /// The port is gone.
    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize>;
}

impl Transport for Box<dyn SerialPort> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.set_timeout(Duration::from_secs(1))?;
        self.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.set_timeout(timeout)?;
        loop {
            return match self.read(buffer) {
                // A serial port has no end of file; this is a port that has gone.
                Ok(0) => Err(io::ErrorKind::BrokenPipe.into()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::TimedOut => Ok(0),
                other => other,
            };
        }
    }
}

/// The bytes sent and received so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Requests.
    pub commands: usize,
    /// Bytes to the board.
    pub sent: usize,
    /// Bytes from the board.
    pub received: usize,
}

/// One board that answers.
pub struct Session {
    transport: Box<dyn Transport>,
    port: String,
    decoder: Decoder,
    events: VecDeque<Event>,
    token: u32,
    traffic: Traffic,
    /// A modem may be behind the port, which must get no filler.
    may_be_cellular: bool,
    /// The board has said that it starts, and not yet that it is ready.
    starting: bool,
}

/// Why one exchange failed.
enum Fault {
    Port(io::Error),
    Code(u16),
    Reply(&'static str),
}

const LATE: &str = "did not answer in time";
const GARBLED: &str = "gave a garbled answer";
const RESTARTED: &str = "started anew in the middle";

/// What the first line says that the firmware sends after a reset; half a reply may stand before it.
const BANNER: &str = "Welcome to the";

impl Session {
    /// Takes the board of a kit, in any state of its firmware, once it answers to a ping.
    ///
    /// # Errors
    /// [`Error::Silent`], [`Error::Slow`], [`Error::Foreign`], [`Error::Hangs`], [`Error::Lost`].
    pub fn start(transport: impl Transport + 'static, kit: &Kit) -> Result<Self, Error> {
        let mut session = Self {
            transport: Box::new(transport),
            port: kit.port.clone(),
            decoder: Decoder::default(),
            events: VecDeque::new(),
            token: 0,
            traffic: Traffic::default(),
            may_be_cellular: kit.model.is_none_or(|model| model.radio() == Radio::Cellular),
            starting: false,
        };
        session.synchronise(false)?;
        Ok(session)
    }

    /// The port's name.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// The bytes sent and received so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Carries out a command without a result.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Link`], [`Error::Lost`], [`Error::Silent`], [`Error::Slow`], [`Error::Foreign`],
    /// [`Error::Hangs`].
    pub fn run(&mut self, command: Command<'_>) -> Result<(), Error> {
        self.query(command, |lines| lines.is_empty().then_some(()))
    }

    /// Carries out a command; `parse` makes the result of the reply's lines, or says `None` for a garbled reply.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn query<R>(
        &mut self,
        command: Command<'_>,
        parse: impl Fn(&[String]) -> Option<R>,
    ) -> Result<R, Error> {
        let mut attempt = 1;
        loop {
            let result = self.exchange(&command);
            let fault = match result.map(|lines| parse(&lines)) {
                Ok(Some(result)) => return Ok(result),
                Ok(None) => Fault::Reply(GARBLED),
                Err(fault) => fault,
            };
            if attempt == ATTEMPTS || matches!(fault, Fault::Port(_)) {
                return Err(self.error(fault, &command));
            }
            debug!(port = self.port, doing = %command, attempt, "repeating");
            attempt += 1;
            self.synchronise(matches!(fault, Fault::Reply(RESTARTED))).map_err(|error| match error {
                // The user learns what was under way, whether the loss shows at once or only when the answer is late.
                Error::Lost { port, source, .. } => Error::Lost { port, doing: command.to_string(), source },
                error => error,
            })?;
        }
    }

    fn error(&self, fault: Fault, command: &Command<'_>) -> Error {
        let (port, doing) = (self.port.clone(), command.to_string());
        match fault {
            Fault::Port(source) => Error::Lost { port, doing, source },
            Fault::Code(code) => Error::Refused { port, doing, code },
            Fault::Reply(trouble) => Error::Link { port, doing, trouble },
        }
    }

    fn exchange(&mut self, command: &Command<'_>) -> Result<Vec<String>, Fault> {
        self.discard()?;
        self.traffic.commands += 1;
        self.send(&command.line())?;
        let deadline = Instant::now() + command.timeout();
        let mut blob = command.blob();
        let mut lines = Vec::new();
        loop {
            match self.event(deadline)?.ok_or(Fault::Reply(LATE))? {
                Event::Prompt => match blob.take() {
                    Some(blob) => {
                        lines.clear();
                        self.send(&blob)?;
                    }
                    None => return Err(Fault::Reply(GARBLED)),
                },
                Event::Line(line) => lines.push(line),
                Event::Ok if blob.is_some() => return Err(Fault::Reply(GARBLED)),
                Event::Ok => return Ok(lines),
                Event::Error(code) => return Err(Fault::Code(code)),
                Event::Ready => return Err(Fault::Reply(RESTARTED)),
            }
        }
    }

    /// The next event, or `None` at the deadline.
    fn event(&mut self, deadline: Instant) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                debug!(port = self.port, ?event, "received");
                match &event {
                    Event::Line(line) if line.contains(BANNER) => self.starting = true,
                    Event::Ready => self.starting = false,
                    _ => {}
                }
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.receive(left)? {
                return Ok(None);
            }
        }
    }

    /// Waits for bytes and decodes them; false if none came in time.
    fn receive(&mut self, timeout: Duration) -> io::Result<bool> {
        let mut buffer = [0; 1024];
        let count = self.transport.receive(&mut buffer, timeout)?;
        self.traffic.received += count;
        self.events.extend(self.decoder.push(&buffer[..count]));
        Ok(count > 0)
    }

    /// Bytes that arrived before a request was sent are no answer to it.
    fn discard(&mut self) -> io::Result<()> {
        let (mut buffer, limit) = ([0; 1024], Instant::now() + synchronisation::NOISE);
        // A line that never becomes quiet is told of by what follows.
        while self.transport.receive(&mut buffer, Duration::ZERO)? > 0 && Instant::now() < limit {}
        self.decoder.clear();
        self.events.clear();
        Ok(())
    }

    fn send(&mut self, text: &str) -> io::Result<()> {
        debug!(
            port = self.port,
            text = text.trim_end().trim_start_matches(synchronisation::FILLER),
            "sending"
        );
        self.traffic.sent += text.len();
        self.transport.send(text.as_bytes())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Port(error)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("port", &self.port)
            .field("traffic", &self.traffic)
            .finish_non_exhaustive()
    }
}
