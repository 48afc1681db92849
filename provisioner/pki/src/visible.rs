//! Text of others made visible: what a terminal would act on, and what changes the order of characters, is shown escaped.
//!
//! Names, versions and messages come from boards, from files, and from the account. A terminal carries out the escape
//! sequences in them (ECMA-48), and text in another direction (Unicode Standard Annex #9) makes one name look like another.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

/// Whether a character acts on what shows it, and is not shown itself: controls (C0, DEL, C1), the marks, embeddings,
/// overrides and isolates of the bidirectional algorithm, and the separators of lines and paragraphs.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// One line for people: hidden characters as `\n`, `\t`, `\u{1b}`, …
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden, |c, to| to.extend(c.escape_default()))
}

/// Lines for people: as [`line()`], but line feeds stay.
pub fn block(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_hidden(c), |c, to| to.extend(c.escape_default()))
}

/// JSON text, such as a line of it: hidden characters, which are in strings alone, as `\u001b`. Line feeds between values stay.
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| c != '\n' && is_hidden(c),
        |c, to| {
            // Each is in the Basic Multilingual Plane.
            let _ = write!(to, "\\u{:04x}", u32::from(c));
        },
    )
}

fn escaped(text: &str, is: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(&is) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is(c) { escape(c, &mut escaped) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// A writer of whole records, each with a line feed at its end, such as the lines of a log.
#[derive(Debug)]
pub struct Records<W> {
    to: W,
    escape: for<'a> fn(&'a str) -> Cow<'a, str>,
}

impl<W> Records<W> {
    /// Writes to `to` what `escape` makes of each record.
    pub fn new(to: W, escape: for<'a> fn(&'a str) -> Cow<'a, str>) -> Self {
        Self { to, escape }
    }
}

impl<W: io::Write> io::Write for Records<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let (text, end) = match record.strip_suffix(b"\n") {
            Some(text) => (text, "\n"),
            None => (record, ""),
        };
        let text = String::from_utf8_lossy(text);
        self.to.write_all(format!("{}{end}", (self.escape)(&text)).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_acts_on_is_shown() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{7f}\r\nb\u{202e}c\u{2066}d\u{2028}\u{7}";
        assert_eq!(line(hostile), r"a\u{1b}[2J\u{9b}31m\u{7f}\r\nb\u{202e}c\u{2066}d\u{2028}\u{7}");
        assert_eq!(block("a\nb\t\u{85}"), "a\nb\\t\\u{85}");
        for harmless in ["", "Größe 5 µm, 東京, שלום", "a\\b\"c'd"] {
            assert!(matches!(line(harmless), Cow::Borrowed(text) if text == harmless));
        }
    }

    proptest! {
        #[test]
        fn json_hides_nothing_and_says_the_same(text in any::<String>()) {
            let shown = json(&text);
            prop_assert!(!shown.contains(|c| c != '\n' && is_hidden(c)));
            let mut read = shown.into_owned();
            for c in text.chars().filter(|c| *c != '\n' && is_hidden(*c)) {
                read = read.replacen(&format!("\\u{:04x}", u32::from(c)), &c.to_string(), 1);
            }
            prop_assert_eq!(read, text);
        }

        #[test]
        fn nothing_hidden_is_left_in_a_line(text in any::<String>()) {
            prop_assert!(!line(&text).contains(is_hidden));
            prop_assert!(!block(&text).contains(|c| c != '\n' && is_hidden(c)));
        }
    }
}
