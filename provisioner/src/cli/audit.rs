//! `audit`: every signature that was made with the keys of this computer, shown and checked.

use std::fmt;

use clap::{Args, Subcommand};
use serde::Serialize;
use time::OffsetDateTime;

use super::{Context, Output};
use crate::cli::Error;
use crate::state::audit::{Document, Entry, Finding, Log, Verified, verify};
use crate::state::ledger::Since;
use device_pki::certificate::rfc3339;

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the signatures
    Show(Show),
    /// Check that no line was changed or taken away
    Verify(Verify),
}

/// Arguments of `audit show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Only from then on: a day, a time, or how long ago (30m, 8h, 7d)
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
}

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Hash that an earlier check printed, kept where nobody who can change the log can reach it
    #[arg(long, value_name = "SHA-256", value_parser = sha256)]
    head: Option<String>,
}

fn sha256(text: &str) -> Result<String, &'static str> {
    let digits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if digits { Ok(text.to_ascii_lowercase()) } else { Err("a hash has 64 hex digits") }
}

/// An audit log that does not hold.
#[derive(Debug, thiserror::Error)]
#[error("the audit log does not hold: {first}{}", more(*count))]
pub struct Broken {
    first: Finding,
    count: usize,
}

fn more(count: usize) -> String {
    if count > 1 { format!(", and {} more", count - 1) } else { String::new() }
}

/// Shows or checks the log.
///
/// # Errors
/// It cannot be read; or the check finds something.
pub(super) fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let log = Log::of(&context.home);
    match command {
        Command::Show(show) => {
            let since = show.since.map(|since| since.seen_from(OffsetDateTime::now_utc()));
            let entries = log.entries()?;
            let shown: Vec<_> =
                entries.iter().filter(|entry| since.is_none_or(|since| entry.when >= since)).collect();
            if shown.is_empty() {
                context.note("no signatures");
            } else if context.global.output.unwrap_or_default() == Output::Human {
                context.result(Head, &());
            }
            shown.iter().for_each(|entry| context.result(Row(entry), entry));
            Ok(())
        }
        Command::Verify(Verify { head: kept }) => {
            let (text, head) = log.read()?;
            let verified = verify(&text, head.as_ref(), kept.as_deref());
            for finding in &verified.findings {
                context.result(finding, finding);
            }
            match verified.findings.first() {
                None => {
                    let shown = Held { holds: true, verified: &verified };
                    context.result(&shown, &shown);
                    Ok(())
                }
                Some(first) => {
                    let (first, count) = (first.clone(), verified.findings.len());
                    Err(Error::Audit(Broken { first, count }))
                }
            }
        }
    }
}

#[derive(Serialize)]
struct Held<'a> {
    holds: bool,
    #[serde(flatten)]
    verified: &'a Verified,
}

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verified { entries, head, .. } = self.verified;
        writeln!(f, "{entries} signatures, each in its place and unchanged")?;
        write!(f, "keep this elsewhere, to check later that none of them was changed: --head {head}")
    }
}

struct Head;
struct Row<'a>(&'a Entry);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, when, key, what) = ("NO", "WHEN (UTC)", "KEY", "SIGNED");
        write!(f, "{number:>6}  {when:<20}  {key:<8}  {what:<24}  NAME, SERIAL NUMBER OR SIZE")
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { number, when, key_id, purpose, document, .. } = self.0;
        let when = rfc3339(when.replace_nanosecond(0).unwrap_or(*when));
        let key = key_id.get(..8).unwrap_or(key_id);
        write!(f, "{number:>6}  {when:<20}  {key:<8}  {:<24}  {}", purpose.text(), document.name())?;
        match document {
            Document::Certificate { serial_number, .. } => write!(f, ", {serial_number}"),
            Document::RevocationList { revoked, .. } => write!(f, ", {revoked} revoked"),
            Document::Request { .. } | Document::Unknown => Ok(()),
        }
    }
}
