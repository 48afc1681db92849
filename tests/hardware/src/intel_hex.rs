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
        let record = bytes(line.trim_end()).ok_or(Error::Hex { line: number })?;
        // Count, address, kind, data, check sum.
        let [count, high, low, kind, data @ .., _] = record.as_slice() else {
            return Err(Error::Hex { line: number });
        };
        let sum = record.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        if sum != 0 || usize::from(*count) != data.len() {
            return Err(Error::Hex { line: number });
        }
        let address = base.wrapping_add(u32::from(u16::from_be_bytes([*high, *low])));
        match (kind, data) {
            (0, data) => match runs.last_mut() {
                Some((begin, run)) if begin.wrapping_add(run.len() as u32) == address => run.extend(data),
                _ => runs.push((address, data.to_vec())),
            },
            (1, []) => return Ok(runs),
            (2, &[high, low]) => base = u32::from(u16::from_be_bytes([high, low])) << 4,
            (4, &[high, low]) => base = u32::from(u16::from_be_bytes([high, low])) << 16,
            // Where to start, which the reset vector decides.
            (3 | 5, _) => {}
            _ => return Err(Error::Hex { line: number }),
        }
    }
    Err(Error::Incomplete)
}

fn bytes(line: &str) -> Option<Vec<u8>> {
    let digits = line.strip_prefix(':')?.as_bytes();
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
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
            let noticed = matches!(refused, Err(Error::Hex { line: 1 }));
            prop_assert!(noticed);
        }
    }
}
