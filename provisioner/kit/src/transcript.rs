//! What goes over a port, with the time of each piece: for reports.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::session::Transport;

/// A run of one character that is longer than this is shown by its length.
const RUN: usize = 24;

/// What has gone over a port so far. Copies are of the same port.
#[derive(Clone, Debug)]
pub struct Transcript(Arc<Mutex<Pieces>>);

#[derive(Debug)]
struct Pieces {
    start: Instant,
    pieces: Vec<Piece>,
}

/// Bytes in one direction, with nothing in the other one between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whether they went to the board.
    pub sent: bool,
    /// When the first went or came, from the beginning on.
    pub at: Duration,
    /// When the last did.
    pub until: Duration,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Default for Transcript {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Pieces { start: Instant::now(), pieces: Vec::new() })))
    }
}

impl Transcript {
    /// A transport whose bytes are noted.
    pub fn of<T: Transport>(&self, transport: T) -> impl Transport + use<T> {
        Noted { transport, transcript: self.clone() }
    }

    /// What has gone over the port.
    pub fn pieces(&self) -> Vec<Piece> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pieces.clone()
    }

    fn note(&self, sent: bool, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = noted.start.elapsed();
        match noted.pieces.last_mut() {
            Some(last) if last.sent == sent => {
                last.until = at;
                last.bytes.extend(bytes);
            }
            _ => noted.pieces.push(Piece { sent, at, until: at, bytes: bytes.to_vec() }),
        }
    }
}

impl Piece {
    /// The bytes as text in one line: what is no printable ASCII is escaped, and long runs of one character are shown by their
    /// length.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for run in self.bytes.chunk_by(|a, b| a == b) {
            let shown = run[..1].escape_ascii().to_string();
            match run.len() > RUN {
                // Writing to a string does not fail.
                true => _ = write!(text, "{shown}{{{}}}", run.len()),
                false => text.extend(std::iter::repeat_n(shown.as_str(), run.len())),
            }
        }
        text
    }
}

struct Noted<T> {
    transport: T,
    transcript: Transcript,
}

impl<T: Transport> Transport for Noted<T> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.transcript.note(true, bytes);
        self.transport.send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        let count = self.transport.receive(buffer, timeout)?;
        self.transcript.note(false, buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Transport for Echo {
        fn send(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn receive(&mut self, buffer: &mut [u8], _: Duration) -> io::Result<usize> {
            buffer[..3].copy_from_slice(b"OK\n");
            Ok(3)
        }
    }

    #[test]
    fn what_goes_over_a_port_is_noted_by_direction() {
        let transcript = Transcript::default();
        let mut port = transcript.of(Echo);
        port.send(&[b'Z'; 1100]).unwrap();
        port.send(b"\r\n").unwrap();
        for _ in 0..2 {
            port.receive(&mut [0; 8], Duration::ZERO).unwrap();
        }
        port.send(b"MC+PING=\xFF").unwrap();
        let pieces = transcript.pieces();
        let shown: Vec<_> = pieces.iter().map(|piece| (piece.sent, piece.text())).collect();
        let expected = [(true, "Z{1100}\\r\\n"), (false, "OK\\nOK\\n"), (true, "MC+PING=\\xff")];
        assert_eq!(shown, expected.map(|(sent, text)| (sent, text.to_owned())));
        assert!(pieces.windows(2).all(|pair| pair[0].until <= pair[1].at));
    }
}
