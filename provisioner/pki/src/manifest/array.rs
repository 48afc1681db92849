//! The values of a JSON array (RFC 8259, section 5), found one after the other without the whole array in memory.
//!
//! Only where a value ends is decided here. What is between the commas may be no JSON; whoever parses it finds that, and the next
//! value is found all the same.

use std::io::{self, BufRead};

use super::Damage;

/// What some editors begin a file with.
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One value of the array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// All of its bytes are there.
    Whole,
    /// It has more bytes than it may have.
    TooLarge,
}

/// An array that is being read.
#[derive(Debug)]
pub(super) struct Array<R> {
    input: R,
    /// The most bytes of a value.
    limit: usize,
    /// How many values were found.
    elements: u64,
}

impl<R: BufRead> Array<R> {
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self { input, limit, elements: 0 }
    }

    /// How many values were found.
    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    /// Puts the next value into `value`; `None` after the last one.
    pub(super) fn next(&mut self, value: &mut Vec<u8>) -> Result<Option<Item>, Damage> {
        if self.elements == 0 {
            self.begin()?;
            if self.skip_space()? == Some(b']') {
                self.take()?;
                return self.end();
            }
        } else {
            // The comma or the bracket that the last value has ended at.
            match self.take()? {
                Some(b']') => return self.end(),
                Some(_) => {}
                None => return Err(self.cut_off()),
            }
        }
        self.elements += 1;
        self.value(value).map(Some)
    }

    /// Up to the bracket that opens the array.
    fn begin(&mut self) -> Result<(), Damage> {
        let mut first = self.skip_space()?;
        if first == Some(BYTE_ORDER_MARK[0]) {
            for expected in BYTE_ORDER_MARK {
                if self.take()? != Some(expected) {
                    return Err(Damage::NoArray);
                }
            }
            first = self.skip_space()?;
        }
        match first {
            Some(b'[') => self.take().map(drop).map_err(Damage::Io),
            _ => Err(Damage::NoArray),
        }
    }

    fn end(&mut self) -> Result<Option<Item>, Damage> {
        match self.skip_space()? {
            None => Ok(None),
            Some(_) => Err(Damage::Trailing { elements: self.elements }),
        }
    }

    fn cut_off(&self) -> Damage {
        Damage::CutOff { elements: self.elements }
    }

    /// Up to the comma or bracket behind a value.
    fn value(&mut self, value: &mut Vec<u8>) -> Result<Item, Damage> {
        value.clear();
        let (mut depth, mut in_string, mut is_escaped) = (0u64, false, false);
        let mut item = Item::Whole;
        loop {
            let bytes = filled(&mut self.input)?;
            if bytes.is_empty() {
                return Err(self.cut_off());
            }
            let ends = |&byte: &u8| {
                match (in_string, byte) {
                    (true, _) if is_escaped => is_escaped = false,
                    (true, b'\\') => is_escaped = true,
                    (_, b'"') => in_string = !in_string,
                    (true, _) => {}
                    (false, b',' | b']') if depth == 0 => return true,
                    (false, b'[' | b'{') => depth += 1,
                    (false, b']' | b'}') => depth = depth.saturating_sub(1),
                    (false, _) => {}
                }
                false
            };
            let end = bytes.iter().position(ends);
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if value.len() + part.len() > self.limit {
                item = Item::TooLarge;
            }
            if item == Item::Whole {
                value.extend_from_slice(part);
            }
            let length = part.len();
            self.input.consume(length);
            if end.is_some() {
                return Ok(item);
            }
        }
    }

    /// The next byte that is no white space; it is not taken.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let bytes = filled(&mut self.input)?;
            let found = bytes.iter().position(|byte| !b" \t\r\n".contains(byte));
            let (length, next) = (bytes.len(), found.map(|at| bytes[at]));
            self.input.consume(found.unwrap_or(length));
            if next.is_some() || length == 0 {
                return Ok(next);
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<u8>> {
        let next = filled(&mut self.input)?.first().copied();
        self.input.consume(usize::from(next.is_some()));
        Ok(next)
    }
}

/// What can be read without waiting, or what comes next; nothing at the end.
fn filled(input: &mut impl BufRead) -> io::Result<&[u8]> {
    loop {
        match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    // What is in the buffer is returned without another read.
    input.fill_buf()
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The values, and how the array ended.
    fn read(text: &[u8], buffer: usize, limit: usize) -> (Vec<Option<Vec<u8>>>, Option<Damage>) {
        let mut array = Array::new(BufReader::with_capacity(buffer, text), limit);
        let (mut values, mut value) = (Vec::new(), Vec::new());
        loop {
            match array.next(&mut value) {
                Ok(None) => return (values, None),
                Ok(Some(Item::Whole)) => values.push(Some(value.clone())),
                Ok(Some(Item::TooLarge)) => values.push(None),
                Err(damage) => return (values, Some(damage)),
            }
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            r#"[\[\]{},"\\ ]{0,8}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..4).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_values_are_those_that_a_parser_of_the_whole_finds(
            values in proptest::collection::vec(json(), 0..6),
            pretty in any::<bool>(),
            buffer in 1..40usize,
        ) {
            let text = match pretty {
                true => serde_json::to_vec_pretty(&values),
                false => serde_json::to_vec(&values),
            };
            let (found, damage) = read(&text.unwrap(), buffer, 1 << 20);
            prop_assert!(damage.is_none(), "{damage:?}");
            let found: Vec<Value> =
                found.iter().map(|value| serde_json::from_slice(value.as_ref().unwrap()).unwrap()).collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn a_part_of_an_array_is_cut_off(values in proptest::collection::vec(json(), 0..4), cut in any::<usize>()) {
            let text = serde_json::to_vec(&values).unwrap();
            let cut = cut % text.len();
            let (found, damage) = read(&text[..cut], 16, 1 << 20);
            prop_assert!(damage.is_some(), "{} values", found.len());
            prop_assert!(found.len() <= values.len());
        }
    }

    #[test]
    fn what_is_no_json_ends_at_the_next_comma() {
        let (found, damage) = read(b" \xEF\xBB\xBF [ {\"a\":}, ,x y,\"a\\\"],\" , {}} ] \n", 1, 1 << 20);
        assert!(damage.is_none(), "{damage:?}");
        let found: Vec<_> =
            found.into_iter().map(|value| String::from_utf8(value.unwrap()).unwrap()).collect();
        assert_eq!(found, ["{\"a\":}", " ", "x y", "\"a\\\"],\" ", " {}} "]);
    }

    #[test]
    fn a_value_that_is_too_large_is_passed_over() {
        let (found, damage) = read(b"[\"abcd\",\"abcde\",1]", 3, 6);
        assert_eq!(found, [Some(b"\"abcd\"".to_vec()), None, Some(b"1".to_vec())]);
        assert!(damage.is_none(), "{damage:?}");
    }

    #[test]
    fn what_is_no_array_or_has_something_behind_it_is_damaged() {
        for text in ["", "{}", "x", "\u{FEFF}", "\u{FEFF}{}"] {
            assert!(matches!(read(text.as_bytes(), 8, 8), (_, Some(Damage::NoArray))), "{text}");
        }
        assert!(matches!(read(b"[] []", 8, 8), (_, Some(Damage::Trailing { elements: 0 }))));
        assert!(matches!(read(b"[1]]", 8, 8), (_, Some(Damage::Trailing { elements: 1 }))));
        assert!(matches!(read(b"[1,2", 8, 8), (_, Some(Damage::CutOff { elements: 2 }))));
        assert!(matches!(read(b"[", 8, 8), (_, Some(Damage::CutOff { .. }))));
    }
}
