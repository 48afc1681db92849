//! Intel HEX: the text that programs of microcontrollers are published as.

use crate::Error;

/// The data in `text`: neighbouring records together, each run with its address.
///
/// # Errors
/// [`Error::Hex`] with the number of the line.
pub(crate) fn parse(text: &str) -> Result<Vec<(u32, Vec<u8>)>, Error> {
    let mut runs: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut base = 0u32;
    for (number, line) in (1..).zip(text.lines()) {
        let record = bytes(line.trim_end()).ok_or(Error::Hex(number))?;
        // Count, address, kind, data, check sum.
        match record.as_slice() {
            [_, high, low, 0, data @ .., _] => {
                let address = base.wrapping_add(u32::from(u16::from_be_bytes([*high, *low])));
                match runs.last_mut() {
                    Some((begin, run)) if begin.wrapping_add(run.len() as u32) == address => run.extend(data),
                    _ => runs.push((address, data.to_vec())),
                }
            }
            [0, _, _, 1, _] => return Ok(runs),
            [2, _, _, 2, high, low, _] => base = u32::from_be_bytes([0, 0, *high, *low]) << 4,
            [2, _, _, 4, high, low, _] => base = u32::from_be_bytes([*high, *low, 0, 0]),
            // Where to start, which the reset vector decides.
            [4, _, _, 3 | 5, ..] => {}
            _ => return Err(Error::Hex(number)),
        }
    }
    Err(Error::Incomplete)
}

/// The bytes of a record whose count and check sum are right.
fn bytes(line: &str) -> Option<Vec<u8>> {
    let digits = line.strip_prefix(':')?.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let whole = rest.is_empty() && usize::from(*bytes.first()?) + 5 == bytes.len();
    (whole && sum == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, address: u16, data: &[u8]) -> String {
        let [high, low] = address.to_be_bytes();
        let mut bytes = vec![data.len() as u8, high, low, kind];
        bytes.extend(data);
        let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
        bytes.push(sum);
        format!(":{}\r\n", bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>())
    }

    #[test]
    fn neighbouring_records_are_one_run_and_extended_addresses_another() {
        let text = [
            record(0, 0, &[1, 2]),
            record(0, 2, &[3]),
            record(4, 0, &[0x00, 0x82]),
            record(0, 0, &[4]),
            record(1, 0, &[]),
        ];
        assert_eq!(parse(&text.concat()).unwrap(), [(0, vec![1, 2, 3]), (0x82_0000, vec![4])]);
    }

    #[test]
    fn a_file_without_its_end_is_refused() {
        assert!(matches!(parse(&record(0, 0, &[1])), Err(Error::Incomplete)));
    }

    proptest! {
        #[test]
        fn one_changed_digit_is_noticed(at in 1usize..14, digit in "[0-9A-F]") {
            let good = record(0, 0x1234, &[0xA5, 0x5A]);
            prop_assume!(good[at..=at] != digit);
            let mut bad = good;
            bad.replace_range(at..=at, &digit);
            let refused = parse(&(bad + &record(1, 0, &[])));
            let noticed = matches!(refused, Err(Error::Hex(1)));
            prop_assert!(noticed);
        }
    }
}
