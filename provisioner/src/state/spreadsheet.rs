//! Cells of the CSV files that people open with a spreadsheet.

use std::borrow::Cow;

use device_pki::visible;

/// What makes a spreadsheet take a cell for a formula if it stands at the beginning (OWASP, "CSV Injection"), the full-width
/// forms included.
const FORMULA: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}'];

/// A cell that is text in every spreadsheet: one that would be a formula gets an apostrophe before it, and hidden characters
/// are shown.
pub fn cell(text: &str) -> Cow<'_, str> {
    let shown = visible::block(text);
    match text.starts_with(FORMULA) {
        true => Cow::Owned(format!("'{shown}")),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_spreadsheet_would_carry_out_is_text() {
        for (text, is) in [
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+1", "'+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\\t=1"),
            ("\r=1", "'\\r=1"),
            ("\u{FF1D}1", "'\u{FF1D}1"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("two\nlines", "two\nlines"),
            ("ATML 7-2", "ATML 7-2"),
            ("", ""),
        ] {
            assert_eq!(cell(text), is);
        }
    }

    proptest! {
        #[test]
        fn no_cell_begins_a_formula(text in any::<String>()) {
            prop_assert!(!cell(&text).starts_with(FORMULA));
        }
    }
}
