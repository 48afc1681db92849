//! Verifies the chain of the audit log. No I/O.

use serde::Serialize;

use super::{Entry, Head, HeadLoss, sha256};

/// What the first line names as the hash of the line before it: the hash of an empty log.
pub const NO_ENTRY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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
    /// The file that says where the log ends is not there, cannot be read, or is older than the log.
    #[error("{} is {head_loss}: whether the end of the log was removed is not known", super::HEAD)]
    Headless {
        /// What is wrong with it.
        head_loss: &'static str,
    },
    /// A line that was added without it.
    #[error(
        "{} was {head_loss} when line {line} was added: whether entries before it were removed is not known",
        super::HEAD
    )]
    AddedHeadless {
        /// The line.
        line: usize,
        /// What was wrong with it.
        head_loss: &'static str,
    },
    /// There is no log, though the home has what was signed.
    #[error("there is no audit log, though {} here is signed: the log was removed, or all of it was made by another program", documents(*signed))]
    Gone {
        /// How many certificates and lists there are.
        signed: usize,
    },
    /// A certificate or list of a key that the log has, from a time that the log covers, and without an entry.
    #[error("{file} is signed with a key of this log, after its first signature, and no entry has it")]
    Unrecorded {
        /// The file.
        file: String,
        /// SHA-256 of what is signed, DER.
        sha256: String,
    },
    /// The hash that was kept elsewhere is of no line.
    #[error("no line has the hash {sha256}: the log was replaced after this hash was printed")]
    Rewritten {
        /// As given.
        sha256: String,
    },
}

fn documents(count: usize) -> String {
    if count == 1 { "what".to_owned() } else { format!("what {count} files have") }
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
pub fn verify(text: &[u8], head: Result<&Head, HeadLoss>, kept: Option<&str>) -> Verified {
    let lines: Vec<&[u8]> = durable_files::lines(text).collect();
    let mut findings = Vec::new();
    let (mut previous, mut readable) = (NO_ENTRY.to_owned(), 0);
    // A number that was tampered with may be the largest there is.
    let mut expected = 1_u128;
    // Whether the line before is known from the note of its successor.
    let mut comparable = true;
    let mut of_head = None;
    for (index, raw) in lines.iter().enumerate() {
        let line = index + 1;
        let Ok(entry) = serde_json::from_slice::<Entry>(raw) else {
            findings.push(Finding::Unreadable { line });
            (expected, previous, comparable) = (expected + 1, sha256(raw), false);
            continue;
        };
        readable += 1;
        let number = u128::from(entry.number);
        if number > expected {
            findings.push(Finding::Missing { line, first: narrow(expected), last: entry.number - 1 });
        } else if number < expected {
            let expected = narrow(expected);
            findings.push(Finding::OutOfOrder { line, number: entry.number, expected });
        } else if entry.previous != previous && comparable {
            let (line, noted_in) = match index {
                0 => (1, "the beginning of every log".to_owned()),
                _ => (line - 1, format!("line {line}")),
            };
            findings.push(Finding::Changed { line, noted_in });
        }
        if let Some(lost) = entry.head_lost {
            findings.push(Finding::AddedHeadless { line, head_loss: lost.text() });
        }
        (expected, previous, comparable) = (number + 1, sha256(raw), true);
        if head.is_ok_and(|head| head.number == entry.number) {
            of_head = Some((line, previous.clone()));
        }
    }
    let end = expected - 1;
    match head {
        // Without a line there need be no head.
        Err(HeadLoss::Missing) if lines.is_empty() => {}
        Err(lost) => findings.push(Finding::Headless { head_loss: lost.text() }),
        Ok(head) if u128::from(head.number) > end => {
            let (line, first) = (lines.len() + 1, narrow(expected));
            findings.push(Finding::Missing { line, first, last: head.number });
        }
        // A run that was killed between line and head leaves it one line behind.
        Ok(head) if u128::from(head.number) + 1 < end => {
            findings.push(Finding::Headless { head_loss: "older than the log" });
        }
        Ok(head) => {
            let (line, hash) = of_head.unwrap_or((lines.len(), previous.clone()));
            let is_known = comparable || line < lines.len();
            if head.number > 0 && head.sha256 != hash && is_known {
                findings.push(Finding::Changed { line, noted_in: super::HEAD.to_owned() });
            }
        }
    }
    // Every log goes on from the empty one.
    let kept = kept.filter(|kept| *kept != NO_ENTRY);
    if let Some(kept) = kept.filter(|kept| !lines.iter().any(|line| sha256(line).eq_ignore_ascii_case(kept)))
    {
        findings.push(Finding::Rewritten { sha256: kept.to_owned() });
    }
    Verified { entries: readable, head: previous, findings }
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
