//! The firmware's line buffer: bytes become lines and blobs, from any sender.

/// Characters of the line buffer, the line end included.
const LINE_MAX: usize = 128;

/// A line as it arrived, without its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The characters.
    pub bytes: Vec<u8>,
    /// It is longer than the buffer, or a blob longer than announced. The rest of it is dropped.
    pub overrun: bool,
}

/// What becomes of the next byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Collect,
    /// The buffer was filled by a line and its end: any next byte overruns it.
    Full,
    /// Everything up to a line end is dropped.
    Drop,
}

/// Collects bytes until they are a line or a blob. There is no time-out.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    state: State,
}

impl Buffer {
    /// Takes one byte of a line, or of a blob of `awaited` characters; gives the line that it completes.
    ///
    /// `\r`, `\n` and both end a line, and empty lines are nothing. Before a blob line ends are nothing, in it they are
    /// data, and after it one is needed.
    pub(super) fn receive(&mut self, byte: u8, awaited: Option<usize>) -> Option<Line> {
        let line_end = matches!(byte, b'\r' | b'\n');
        if self.state == State::Drop {
            if line_end {
                self.state = State::Collect;
            }
            return None;
        }
        let length = self.bytes.len();
        let full = match awaited {
            Some(awaited) => length == awaited && !(line_end && awaited > 0),
            None => length == LINE_MAX || self.state == State::Full,
        };
        if line_end && length == 0 && self.state == State::Collect {
            return None;
        }
        if full {
            self.state = if line_end { State::Collect } else { State::Drop };
            self.bytes.clear();
            return Some(Line { bytes: Vec::new(), overrun: true });
        }
        if line_end && awaited.is_none_or(|awaited| length == awaited) {
            let mut bytes = std::mem::take(&mut self.bytes);
            if awaited.is_none() && length == LINE_MAX - 1 {
                // With its end it fills the buffer, and the firmware does not find the end of the command's name.
                self.state = State::Full;
                bytes.clear();
            }
            return Some(Line { bytes, overrun: false });
        }
        self.bytes.push(match (awaited, byte) {
            (Some(_), _) => byte,
            (None, b' '..=b'~') => byte.to_ascii_uppercase(),
            (None, _) => b'#',
        });
        None
    }
}
