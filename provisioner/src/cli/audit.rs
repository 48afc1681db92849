//! `audit`: every signature that was made with the keys of this computer, shown and checked.

use clap::Subcommand;
use serde::Serialize;
use time::OffsetDateTime;

use super::Context;
use crate::cli::Error;
use crate::state::audit::{Contents, Document, Entry, Finding, HeadLoss, Log, Verified, entries, verify};
use crate::state::ledger::Since;
use crate::work;
use crate::work::audit::Comparison;
use device_pki::certificate::rfc3339;
use device_pki::visible;
use iot_account::counted;

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the signatures
    Show {
        /// Only entries since this time: a date, a time, or how long ago (30m, 8h, 7d)
        #[arg(long, value_name = "WHEN")]
        since: Option<Since>,
    },
    /// Check that no entry was changed or removed, and that what is signed here has one
    Verify {
        /// Hash that an earlier `audit verify` printed: the entry with this hash has to be in the log
        #[arg(long, value_name = "SHA-256", value_parser = sha256)]
        head: Option<String>,
    },
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
        Command::Show { since } => {
            let since = since.map(|since| since.seen_from(OffsetDateTime::now_utc()));
            let mut entries = log.entries()?;
            entries.retain(|entry| since.is_none_or(|since| entry.when >= since));
            let (number, when, key, what) = ("NO", "WHEN (UTC)", "KEY", "SIGNED");
            let head = format!("{number:>6}  {when:<20}  {key:<8}  {what:<24}  NAME, SERIAL NUMBER OR SIZE");
            let mut table = context.table("no signatures", &head);
            _ = entries.iter().try_for_each(|entry| table.row(row(entry), entry));
            table.end();
            Ok(())
        }
        Command::Verify { head: kept } => {
            let Contents { text, torn, head } = log.read()?;
            if torn > 0 {
                context.note(format_args!(
                    "{} ends with {} of a line that was not finished; the next signature replaces them",
                    log.path().display(),
                    counted(torn, "byte")
                ));
            }
            let has_log = !text.is_empty() || head != Err(HeadLoss::Missing);
            let head = head.as_ref().map_err(|lost| *lost);
            let verified = verify(&text, head, kept.as_deref());
            let compared = work::audit::compare(&context.home, &entries(&text), has_log)?;
            let mut findings = verified.findings.iter().chain(&compared.findings);
            findings.clone().for_each(|finding| context.show(finding));
            match findings.next() {
                None => {
                    let Verified { entries, head, .. } = &verified;
                    let mut said =
                        format!("{}: the chain of hashes is complete", counted(*entries, "signature"));
                    let Comparison { recorded, made_elsewhere, .. } = &compared;
                    said.push_str(&format!(
                        "\n{} here with a certificate or revocation list: {recorded} in the log, {made_elsewhere} made \
                         elsewhere or before it",
                        counted(recorded + made_elsewhere, "file")
                    ));
                    // The hash before the first entry is that of every log.
                    if *entries > 0 {
                        said.push_str("\nto find out later whether the log was replaced, keep this hash elsewhere: --head ");
                        said.push_str(head);
                    }
                    context
                        .result_block(said, &Held { holds: true, verified: &verified, compared: &compared });
                    Ok(())
                }
                Some(first) => {
                    let (first, count) = (first.clone(), findings.count() + 1);
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
    #[serde(flatten)]
    compared: &'a Comparison,
}

fn row(entry: &Entry) -> String {
    let Entry { number, when, authority_key_identifier, purpose, document, .. } = entry;
    let when = rfc3339(when.replace_nanosecond(0).unwrap_or(*when));
    let key = authority_key_identifier.get(..8).unwrap_or(authority_key_identifier);
    let detail = match document {
        Document::Certificate { serial_number, .. } => format!(", {serial_number}"),
        Document::RevocationList { revoked_certificates, .. } => format!(", {revoked_certificates} revoked"),
        Document::AdmissionList { admission_number, admitted_keys, .. } => {
            format!("{admission_number}, {admitted_keys} admitted")
        }
        Document::Request { .. } | Document::Unknown => String::new(),
    };
    let line =
        format!("{number:>6}  {when:<20}  {key:<8}  {:<24}  {}{detail}", purpose.text(), document.name());
    visible::line(&line).into_owned()
}
