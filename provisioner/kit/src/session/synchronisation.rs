//! The way into a board whose firmware is in an unknown state.
//!
//! An earlier program may have left half a command in the firmware's line buffer, or a blob that is awaited. A line end
//! would carry the command out, and a ping would complete it or be programmed as the blob: `MC+WINC+ERASE` takes any
//! argument, and what is no address of a sector erases the Wi-Fi module's boot firmware. So the first thing that is sent
//! is filler without a line end, until the firmware says `ERROR`. A firmware that is dropping the rest of a line that was
//! too long says nothing until the line ends; neither does one that is busy, which loses filler and takes part of it as a
//! line later. So a line end follows silence only when no command can still be under way.

use std::io;
use std::time::{Duration, Instant};

use tracing::debug;

use super::{Error, Fault, Session};
use crate::codec::Event;
use crate::command::Command;

/// How often the way in is tried.
const ATTEMPTS: usize = 11;

/// So many times filler goes unanswered until no command can still be under way: with [`FILLER_TIME`] and [`ANSWER`] more
/// than the three seconds that a command for the Wi-Fi module may take.
const SILENT_ATTEMPTS: usize = 9;

/// What fills a line or a blob: no digit, no hex digit, and no letter of a command.
pub(super) const FILLER: char = 'Z';

/// More than the longest blob, 1024 characters, and the longest line, 126, can have missing.
const FILLER_SIZE: usize = 1100;

/// Time on the wire of [`FILLER_SIZE`] characters of 10 bits at 115200 baud.
const FILLER_TIME: Duration = Duration::from_millis(96);

/// How long the board may take to say `ERROR` after the last filler character.
const ANSWER: Duration = Duration::from_millis(250);

/// After this time without a byte a reply is over.
const QUIET: Duration = Duration::from_millis(20);

/// Ends the bridge mode of a cellular kit; the firmware answers `OK`.
const END_OF_TRANSMISSION: &str = "\x04";
/// How long the answer to [`END_OF_TRANSMISSION`] may take.
const BRIDGE_ANSWER: Duration = Duration::from_millis(25);
/// How long the firmware of a cellular kit needs to leave its bridge mode.
const BRIDGE_END: Duration = Duration::from_millis(300);

/// How long a board may start, from its banner to `READY`: the Wi-Fi module starts in it.
const START: Duration = Duration::from_secs(5);
/// The longest wait for a line that does not become quiet.
pub(super) const NOISE: Duration = Duration::from_secs(1);

/// An answer that takes longer than a [`Command::Ping`] may, and comes within this time, has come over a slow link.
const LATEST: Duration = Duration::from_secs(3);

/// What a board has shown while the way in was tried.
#[derive(Default)]
struct Seen {
    anything: bool,
    /// It has begun to start and has not become ready.
    hanging: bool,
}

impl Session {
    /// Finds the way to a firmware that waits for a command, and proves it by a ping. `ready` says that the banner was just
    /// seen and nothing sent since, so that the state is known.
    pub(super) fn synchronise(&mut self, mut ready: bool) -> Result<(), Error> {
        let mut seen = Seen::default();
        for attempt in 1..=ATTEMPTS {
            self.token = self.token % 999_999 + 1;
            let ping = Command::Ping(self.token);
            match self.attempt(&ping, ready, attempt >= SILENT_ATTEMPTS, &mut seen) {
                Ok(true) => return Ok(()),
                Ok(false) => ready = false,
                Err(source) => return Err(self.error(Fault::Port(source), &ping)),
            }
        }
        let port = self.port.clone();
        Err(match seen {
            Seen { hanging: true, .. } => Error::Hangs { port },
            Seen { anything: true, .. } => match self.late_answer() {
                Ok(Some(took)) => Error::Slow { port, milliseconds: took.as_millis() },
                Ok(None) | Err(_) => Error::Foreign { port },
            },
            Seen { .. } => Error::Silent { port },
        })
    }

    /// How long the board takes to answer a ping, if it does: what has come before may be the answers to earlier ones.
    fn late_answer(&mut self) -> io::Result<Option<Duration>> {
        self.token = self.token % 999_999 + 1;
        let ping = Command::Ping(self.token);
        let begin = Instant::now();
        self.send(&ping.line())?;
        let pong = pong(&ping);
        while let Some(event) = self.event(begin + LATEST)? {
            if matches!(&event, Event::Line(line) if line.ends_with(&pong)) {
                return Ok(Some(begin.elapsed()));
            }
        }
        Ok(None)
    }

    /// `idle` says that no command can be under way, however silent the board is.
    fn attempt(&mut self, ping: &Command<'_>, ready: bool, idle: bool, seen: &mut Seen) -> io::Result<bool> {
        if !ready {
            seen.anything |= self.pass_over(Duration::ZERO)?;
            if !self.starting {
                // The answer to filler does not begin with a line end.
                self.decoder.clear();
                self.leave_bridge(seen)?;
            }
            if !self.fill(seen)? && !idle {
                return Ok(false);
            }
            self.send("\r\n")?;
            self.pass_over(QUIET)?;
        }
        self.ping(ping, seen)
    }

    /// Gets a modem out of the way, where there may be one.
    fn leave_bridge(&mut self, seen: &mut Seen) -> io::Result<()> {
        if !self.may_be_cellular {
            return Ok(());
        }
        self.send(END_OF_TRANSMISSION)?;
        let deadline = Instant::now() + BRIDGE_ANSWER;
        while let Some(event) = self.event(deadline)? {
            seen.anything = true;
            // Output of the modem may stand before it on the same line.
            if event == Event::Ok || matches!(&event, Event::Line(line) if line.ends_with("OK")) {
                self.pass_over(BRIDGE_END)?;
                break;
            }
        }
        Ok(())
    }

    /// Completes a line or blob that the firmware waits for with filler; false if no firmware answers. Waits for a board that
    /// starts instead.
    fn fill(&mut self, seen: &mut Seen) -> io::Result<bool> {
        let begin = Instant::now();
        if !self.starting {
            self.send(&FILLER.to_string().repeat(FILLER_SIZE))?;
        }
        let mut answered = false;
        loop {
            let wait = match (self.starting, answered) {
                (true, _) => START,
                (false, true) => FILLER_TIME,
                (false, false) => FILLER_TIME + ANSWER,
            };
            match self.event(begin + wait)? {
                Some(event) => {
                    seen.anything = true;
                    answered |= matches!(event, Event::Error(_) | Event::Ready);
                }
                // Its `READY` may have been lost; filler finds out.
                None if std::mem::take(&mut self.starting) => {
                    seen.hanging = true;
                    return Ok(false);
                }
                None => return Ok(answered),
            }
        }
    }

    /// Discards received bytes until there are none for `quiet`; returns whether there were any.
    fn pass_over(&mut self, quiet: Duration) -> io::Result<bool> {
        let limit = Instant::now() + NOISE;
        let mut heard = false;
        loop {
            while self.event(Instant::now())?.is_some() {}
            if Instant::now() > limit || !self.receive(quiet)? {
                return Ok(heard);
            }
            heard = true;
        }
    }

    /// Whether the board answers to a ping.
    fn ping(&mut self, ping: &Command<'_>, seen: &mut Seen) -> io::Result<bool> {
        self.decoder.clear();
        self.events.clear();
        self.send(&ping.line())?;
        let pong = pong(ping);
        let deadline = Instant::now() + ping.timeout();
        let mut answered = false;
        while let Some(event) = self.event(deadline)? {
            seen.anything = true;
            match event {
                Event::Line(line) if line.ends_with(&pong) => answered = true,
                Event::Ok if answered => return Ok(true),
                Event::Ready | Event::Error(_) => break,
                _ => {}
            }
        }
        debug!(port = self.port, "no answer to the ping");
        Ok(false)
    }
}

/// The line that answers a ping.
fn pong(ping: &Command<'_>) -> String {
    ping.line().trim_end().replace("PING", "PONG")
}
