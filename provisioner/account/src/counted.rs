//! A number and what it counts, singular or plural.

use std::fmt::Display;

/// `number` and `noun`, which is in the plural unless the number is 1.
///
/// ```
/// assert_eq!(iot_account::counted(1_usize, "board"), "1 board");
/// assert_eq!(iot_account::counted(0_usize, "board"), "0 boards");
/// assert_eq!(iot_account::counted(2_usize, "ledger entry"), "2 ledger entries");
/// ```
#[must_use]
pub fn counted<N: Display + From<u8> + PartialEq>(number: N, noun: &str) -> String {
    match noun.strip_suffix('y') {
        _ if number == N::from(1) => format!("1 {noun}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}
