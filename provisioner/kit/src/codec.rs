//! The link's codec: bytes of a reply become events, however the bytes are divided. No I/O.

/// Lines longer than this are noise; the longest reply line is 256 bytes of flash in hex.
const LINE_MAX: usize = 1024;

/// What the board said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `>`: the board waits for the blob of the command.
    Prompt,
    /// A line of the reply, without its end. Bytes outside ASCII are shown as `\u{FFFD}`.
    Line(String),
    /// `OK`: the command is done.
    Ok,
    /// `ERROR: 0xHHHH`: the command failed, with this code.
    Error(u16),
    /// `READY`: the board has started; a command under way is lost.
    Ready,
}

/// Decodes the stream of replies.
///
/// An incomplete line stays until its end arrives, so nothing is lost at a timeout. Line ends are `\r`, `\n` and any
/// mixture (one reply of the firmware ends in `\n\r`); empty lines mean nothing.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes and says what they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        bytes.iter().filter_map(|&byte| self.byte(byte)).collect()
    }

    /// Forgets an incomplete line.
    pub fn clear(&mut self) {
        self.line.clear();
    }

    fn byte(&mut self, byte: u8) -> Option<Event> {
        match byte {
            b'\r' | b'\n' if self.line.is_empty() => None,
            b'\r' | b'\n' => Some(event(&std::mem::take(&mut self.line))),
            // No reply line begins with it, and it has no line end of its own.
            b'>' if self.line.is_empty() => Some(Event::Prompt),
            _ => {
                if self.line.len() < LINE_MAX {
                    self.line.push(byte);
                }
                None
            }
        }
    }
}

fn event(line: &[u8]) -> Event {
    let text = String::from_utf8_lossy(line);
    // Some firmware versions put an "=" in front of the first line of a reply.
    let text = text.strip_prefix('=').unwrap_or(&text).trim();
    match text {
        "OK" => Event::Ok,
        "READY" => Event::Ready,
        _ => match text.strip_prefix("ERROR: 0x").and_then(|code| u16::from_str_radix(code, 16).ok()) {
            Some(code) => Event::Error(code),
            None => Event::Line(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Vec<Event> {
        Decoder::default().push(bytes)
    }

    #[test]
    fn replies_are_told_apart() {
        assert_eq!(
            decode(b"Welcome to the avr-iot command handler!\r\nREADY\r\nMC+PONG=000001\r\nOK\r\n>ERROR: 0x0102\r\n"),
            [
                Event::Line("Welcome to the avr-iot command handler!".into()),
                Event::Ready,
                Event::Line("MC+PONG=000001".into()),
                Event::Ok,
                Event::Prompt,
                Event::Error(0x0102),
            ]
        );
    }

    #[test]
    fn reversed_line_ends_and_a_leading_equals_sign_are_understood() {
        assert_eq!(
            decode(b"LED:CONN is ON\n\rOK\r\n=WINC firmware 19.7.6\r\nOK\r\n"),
            [
                Event::Line("LED:CONN is ON".into()),
                Event::Ok,
                Event::Line("WINC firmware 19.7.6".into()),
                Event::Ok
            ]
        );
    }

    #[test]
    fn a_greater_than_sign_within_a_line_is_no_prompt() {
        assert_eq!(decode(b"a>b\r\n"), [Event::Line("a>b".into())]);
    }

    #[test]
    fn an_incomplete_line_waits_for_its_end() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(b"MC+PON"), []);
        assert_eq!(decoder.push(b"G=1\r"), [Event::Line("MC+PONG=1".into())]);
    }

    fn reply() -> impl Strategy<Value = (String, Event)> {
        prop_oneof![
            Just(("OK\r\n".to_owned(), Event::Ok)),
            Just((">".to_owned(), Event::Prompt)),
            Just(("READY\r\n".to_owned(), Event::Ready)),
            any::<u16>().prop_map(|c| (format!("ERROR: 0x{c:04X}\r\n"), Event::Error(c))),
            ("[0-9a-fA-F]{1,512}", prop_oneof![Just("\r\n"), Just("\n\r")])
                .prop_map(|(hex, end)| (format!("{hex}{end}"), Event::Line(hex))),
        ]
    }

    proptest! {
        #[test]
        fn any_chunking_decodes_the_same(
            replies in proptest::collection::vec(reply(), 0..20),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let bytes: Vec<u8> = replies.iter().flat_map(|(text, _)| text.bytes()).collect();
            let expected: Vec<Event> = replies.into_iter().map(|(_, event)| event).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut decoder = Decoder::default();
            let events: Vec<Event> = cuts.windows(2).flat_map(|w| decoder.push(&bytes[w[0]..w[1]])).collect();
            prop_assert_eq!(events, expected);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_pile_up(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            prop_assert!(decoder.line.len() <= LINE_MAX);
        }
    }
}
