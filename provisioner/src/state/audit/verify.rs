//! Verifies the chain of the audit log. No I/O.

use serde::Serialize;

use super::{Entry, Head, NOTHING, sha256};

/// What is wrong with a log, and where: lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// A line that is no entry.
    #[error("line {line} is no entry: it was changed, or is no line of this log")]
    Unreadable {
        /// The line.
        line: usize,
    },
    /// A line whose hash is another than the one that was noted when it was written.
    #[error("line {line} was changed: its hash is not the one that {noted_in} holds")]
    Changed {
        /// The line.
        line: usize,
        /// Where its hash is noted.
        noted_in: String,
    },
    /// Entries that should be there.
    #[error("{} missing before line {line}", entries(*first, *last))]
    Missing {
        /// The line that follows the gap; one more than there are lines if the end is missing.
        line: usize,
        /// Number of the first missing entry.
        first: u64,
        /// Number of the last missing entry.
        last: u64,
    },
    /// A line whose number was there before.
    #[error(
        "line {line} has the number {number}, and {expected} was expected: lines were duplicated or reordered"
    )]
    OutOfOrder {
        /// The line.
        line: usize,
        /// Its number.
        number: u64,
        /// The number expected.
        expected: u64,
    },
    /// The hash that was kept elsewhere is of no line.
    #[error("no line has the hash {sha256}: the log was replaced after this hash was printed")]
    Rewritten {
        /// As given.
        sha256: String,
    },
}

fn entries(first: u64, last: u64) -> String {
    if first == last { format!("entry {first} is") } else { format!("entries {first} to {last} are") }
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// How many entries can be read.
    pub entries: usize,
    /// Hash of the last line; zeros for an empty log. Kept elsewhere, it proves later that nothing up to here was changed.
    pub head: String,
    /// What is wrong.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// Checks the whole lines of a log against its own hashes, its `head`, and a hash that was `kept` elsewhere.
pub fn verify(text: &[u8], head: Option<&Head>, kept: Option<&str>) -> Verified {
    let lines: Vec<&[u8]> = durable_files::lines(text).collect();
    let mut findings = Vec::new();
    let (mut expected, mut previous, mut readable) = (1, NOTHING.to_owned(), 0);
    // Whether the line before is known from the note of its successor.
    let mut comparable = true;
    for (index, raw) in lines.iter().enumerate() {
        let line = index + 1;
        let Ok(entry) = serde_json::from_slice::<Entry>(raw) else {
            findings.push(Finding::Unreadable { line });
            (expected, previous, comparable) = (expected + 1, sha256(raw), false);
            continue;
        };
        readable += 1;
        if entry.number > expected {
            findings.push(Finding::Missing { line, first: expected, last: entry.number - 1 });
        } else if entry.number < expected {
            findings.push(Finding::OutOfOrder { line, number: entry.number, expected });
        } else if entry.previous != previous && comparable {
            let (line, noted_in) = match index {
                0 => (1, "the beginning of every log".to_owned()),
                _ => (line - 1, format!("line {line}")),
            };
            findings.push(Finding::Changed { line, noted_in });
        }
        (expected, previous, comparable) = (entry.number + 1, sha256(raw), true);
    }
    if let Some(head) = head {
        let end = expected - 1;
        if head.number > end {
            let line = lines.len() + 1;
            findings.push(Finding::Missing { line, first: expected, last: head.number });
        } else if head.number == end && head.sha256 != previous && comparable {
            findings.push(Finding::Changed { line: lines.len(), noted_in: super::HEAD.to_owned() });
        }
    }
    if let Some(kept) = kept.filter(|kept| !lines.iter().any(|line| sha256(line).eq_ignore_ascii_case(kept)))
    {
        findings.push(Finding::Rewritten { sha256: kept.to_owned() });
    }
    Verified { entries: readable, head: previous, findings }
}
