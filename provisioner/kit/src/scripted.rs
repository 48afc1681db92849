//! A board whose answers a closure decides, for tests: no port, and no time passes.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::session::Transport;

/// What the board does with one line it receives.
pub enum Act {
    /// Answers with these pieces, one at a receive.
    Say(Vec<Vec<u8>>),
    /// Says nothing.
    Silence,
    /// Is unplugged.
    Unplug,
}

/// An answer that comes in one piece.
pub fn say(text: &str) -> Act {
    Act::Say(vec![text.as_bytes().to_vec()])
}

/// Characters of the firmware's line buffer.
pub const LINE_MAX: usize = 128;

/// A board whose answer to each line is decided by a closure. Time does not pass: waiting ends at once.
pub struct Scripted<F> {
    answer: F,
    /// What has arrived of a line.
    pub partial: Vec<u8>,
    /// The rest of a line is dropped that was too long.
    dropping: bool,
    /// So many characters of a blob are missing.
    pub awaited: Option<usize>,
    /// A blob of any length is asked for.
    prompted: bool,
    pending: VecDeque<Vec<u8>>,
    unplugged: bool,
    log: Arc<Mutex<Vec<String>>>,
}

impl<F: FnMut(&str) -> Act + Send> Scripted<F> {
    /// The board, and the lines that it has received.
    pub fn new(answer: F) -> (Self, Arc<Mutex<Vec<String>>>) {
        let log = Arc::default();
        let board = Self {
            answer,
            partial: Vec::new(),
            dropping: false,
            awaited: None,
            prompted: false,
            pending: VecDeque::new(),
            unplugged: false,
            log: Arc::clone(&log),
        };
        (board, log)
    }

    fn overrun(&mut self, error: &str) {
        self.partial.clear();
        self.dropping = true;
        self.pending.push_back(error.into());
    }

    fn receive(&mut self, byte: u8) {
        let line_end = matches!(byte, b'\r' | b'\n');
        if self.dropping {
            self.dropping = !line_end;
        } else if let Some(awaited) = self.awaited {
            self.awaited = awaited.checked_sub(1);
            if awaited == 0 {
                self.overrun("ERROR: 0x4\r\n");
            }
        } else if !line_end {
            self.partial.push(byte);
            if self.partial.len() > LINE_MAX && !self.prompted {
                self.overrun("ERROR: 0x2\r\n");
            }
        } else if !self.partial.is_empty() {
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
            self.log.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
            let act = (self.answer)(&line);
            let takes_blob = ["SIGNDIGEST", "WRITEBLOB"].iter().any(|name| line.contains(name));
            self.prompted = takes_blob && matches!(&act, Act::Say(pieces) if pieces.concat() == b">");
            match act {
                Act::Say(pieces) => self.pending.extend(pieces),
                Act::Silence => {}
                Act::Unplug => self.unplugged = true,
            }
        }
    }
}

impl<F: FnMut(&str) -> Act + Send> Transport for Scripted<F> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.iter().for_each(|byte| Self::receive(self, *byte));
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], _timeout: Duration) -> io::Result<usize> {
        if self.unplugged {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match self.pending.pop_front() {
            Some(piece) => {
                buffer[..piece.len()].copy_from_slice(&piece);
                Ok(piece.len())
            }
            None => Ok(0),
        }
    }
}

/// The answer to a ping; `None` for other lines.
pub fn pong(line: &str) -> Option<Act> {
    line.strip_prefix("MC+PING=").map(|token| say(&format!("MC+PONG={token}\r\nOK\r\n")))
}
