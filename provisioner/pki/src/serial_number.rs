//! Serial numbers of certificates, as they are written and read.

use std::fmt;
use std::str::FromStr;

/// The most octets of a serial number (RFC 5280, section 4.1.2.2).
pub const OCTETS_MAX: usize = 20;

/// The serial number of a certificate: 1 to 20 octets, and not zero. Its text is upper-case hex without leading zeros, with
/// a minus sign before a negative one, which RFC 5280 has issuers avoid and readers handle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber {
    negative: bool,
    /// Without leading zeros.
    magnitude: Vec<u8>,
}

/// Why a text is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is hex of 1 to {OCTETS_MAX} octets, and not zero")]
pub struct Malformed;

impl SerialNumber {
    /// The octets of a positive number, the most significant first; `None` for a negative one.
    pub fn positive(&self) -> Option<&[u8]> {
        (!self.negative).then_some(&self.magnitude)
    }

    /// The text for the content octets of a DER INTEGER, whatever their number and value.
    pub fn text_of(integer: &[u8]) -> String {
        let negative = integer.first().is_some_and(|first| first & 0x80 != 0);
        let magnitude = if negative { negated(integer) } else { integer.to_vec() };
        text(negative, &magnitude)
    }
}

/// The magnitude of a negative number in two's complement.
fn negated(integer: &[u8]) -> Vec<u8> {
    let mut carry = true;
    let mut magnitude: Vec<u8> = integer
        .iter()
        .rev()
        .map(|octet| {
            let (octet, overflows) = (!octet).overflowing_add(u8::from(carry));
            carry = overflows;
            octet
        })
        .collect();
    magnitude.reverse();
    magnitude
}

fn text(negative: bool, magnitude: &[u8]) -> String {
    let digits = hex::encode_upper(magnitude);
    let digits = digits.trim_start_matches('0');
    match (negative, digits) {
        (_, "") => "0".to_owned(),
        (true, digits) => format!("-{digits}"),
        (false, digits) => digits.to_owned(),
    }
}

impl FromStr for SerialNumber {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let digits = digits.trim_start_matches('0');
        let even = if digits.len().is_multiple_of(2) { digits.to_owned() } else { format!("0{digits}") };
        let magnitude = hex::decode(even).map_err(|_| Malformed)?;
        // The largest positive number of 20 octets has its top bit clear (DER INTEGER).
        let sign = usize::from(magnitude.first().is_some_and(|first| first & 0x80 != 0));
        match (1..=OCTETS_MAX).contains(&(magnitude.len() + sign)) && !magnitude.is_empty() {
            true => Ok(Self { negative, magnitude }),
            false => Err(Malformed),
        }
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.negative, &self.magnitude))
    }
}

impl serde::Serialize for SerialNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for SerialNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_serial_number_is_refused() {
        for text in
            ["", "-", "4G", "0", "-0", "00", " 1", "0x1", "+1", "1 ", &"1".repeat(41), &"F".repeat(40)]
        {
            assert_eq!(text.parse::<SerialNumber>(), Err(Malformed), "{text:?}");
        }
    }

    #[test]
    fn the_sign_is_kept_and_zeros_before_the_number_are_not() {
        for (text, shown, octets) in [
            ("ABC", "ABC", Some(&[0x0A, 0xBC][..])),
            ("00ab", "AB", Some(&[0xAB])),
            ("-1", "-1", None),
            (&"7F".repeat(20), &"7F".repeat(20), Some(&[0x7F; 20])),
        ] {
            let number: SerialNumber = text.parse().unwrap();
            assert_eq!((number.to_string().as_str(), number.positive()), (shown, octets));
        }
    }

    #[test]
    fn an_integer_is_shown_as_what_it_is() {
        let cases: [(&[u8], &str); 6] = [
            (&[0xFF], "-1"),
            (&[0x80], "-80"),
            (&[0xFF, 0x00], "-100"),
            (&[0x00, 0x80], "80"),
            (&[0], "0"),
            (&[0x7F], "7F"),
        ];
        for (integer, shown) in cases {
            assert_eq!(SerialNumber::text_of(integer), shown);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic_and_what_it_takes_is_shown_so_that_it_is_read_again(text in "-?[0-9a-fA-F]{0,42}|\\PC*") {
            if let Ok(number) = text.parse::<SerialNumber>() {
                prop_assert_eq!(number.to_string().parse::<SerialNumber>(), Ok(number));
            }
        }
    }
}
