//! `ledger`: every attempt at a board, as a table, as CSV, and checked for keys and serial numbers seen twice.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use time::OffsetDateTime;

use super::Context;
use crate::cli::Error;
use crate::state::ledger::check::{Finding, check};
use crate::state::ledger::{Contents, Ending, Entry, Filter, Ledger, Since, to_csv};
use durable_files::Access;

/// Arguments of `ledger`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(flatten)]
    search: Search,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the attempts as a table for spreadsheets
    Export(Export),
    /// Look for keys and serial numbers that belong to more than one board
    Check,
}

#[derive(Debug, Args)]
struct Export {
    /// CSV file to write; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    #[command(flatten)]
    search: Search,
}

#[derive(Debug, Args)]
struct Search {
    /// Only boards whose serial number, the kit's or the secure element's, ends so
    #[arg(short, long, value_name = "DIGITS")]
    serial: Option<String>,
    /// Only things whose name begins so
    #[arg(long, value_name = "NAME")]
    thing: Option<String>,
    /// Only from then on: a day, a time, or how long ago (30m, 8h, 7d)
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Only attempts that ended so
    #[arg(long, value_enum, value_name = "RESULT")]
    result: Option<Ending>,
    /// Only attempts at this station
    #[arg(long, value_name = "NAME")]
    station: Option<String>,
}

impl From<&Search> for Filter {
    fn from(search: &Search) -> Self {
        Self {
            serial: search.serial.clone(),
            thing: search.thing.clone(),
            since: search.since.map(|since| since.seen_from(OffsetDateTime::now_utc())),
            result: search.result,
            station: search.station.clone(),
        }
    }
}

/// What a check of the ledger can find.
#[derive(Debug, thiserror::Error)]
#[error("{findings} keys or serial numbers belong to more than one board")]
pub struct Doubled {
    findings: usize,
}

/// Prints, exports or checks the ledger.
///
/// # Errors
/// The ledger cannot be read, or the table not be written; or the check finds something.
pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let ledger = Ledger::of(&context.home);
    let Contents { entries, damaged } = ledger.read()?;
    for line in damaged {
        context.note(format_args!(
            "line {line} of {} is no entry, perhaps cut short by a power failure; it is left out",
            ledger.path().display()
        ));
    }
    match &arguments.command {
        None => {
            print(&chosen(&entries, &arguments.search), context);
            Ok(())
        }
        Some(Command::Export(export)) => write(&chosen(&entries, &export.search), &export.csv),
        Some(Command::Check) => report(&check(&entries), entries.len(), context),
    }
}

fn chosen<'a>(entries: &'a [Entry], search: &Search) -> Vec<&'a Entry> {
    let filter = Filter::from(search);
    entries.iter().filter(|entry| filter.matches(entry)).collect()
}

fn print(entries: &[&Entry], context: &Context) {
    if entries.is_empty() {
        context.note("no attempts");
    } else if context.global.output.unwrap_or_default() == super::Output::Human {
        context.result(Head, &());
    }
    for entry in entries {
        context.result(Row(entry), entry);
    }
}

fn write(entries: &[&Entry], file: &Path) -> Result<(), Error> {
    let fail = |source| durable_files::Error::io("write", file, source);
    let csv = to_csv(entries.iter().copied()).map_err(|error| fail(std::io::Error::other(error)))?;
    if file == Path::new("-") {
        std::io::stdout().lock().write_all(&csv).map_err(fail)?;
    } else {
        durable_files::write(file, &csv, Access::Public)?;
    }
    Ok(())
}

fn report(findings: &[Finding], attempts: usize, context: &Context) -> Result<(), Error> {
    for finding in findings {
        context.result(Shown(finding), finding);
    }
    if findings.is_empty() {
        context.note(format_args!("{attempts} attempts: every key and serial number belongs to one board"));
        return Ok(());
    }
    Err(Error::Ledger(Doubled { findings: findings.len() }))
}

struct Head;
struct Row<'a>(&'a Entry);
struct Shown<'a>(&'a Finding);

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (when, station, kit, element) = ("WHEN (UTC)", "STATION", "KIT", "SECURE ELEMENT");
        write!(
            f,
            "{when:<19}  {station:<12}  {kit:<20}  {element:<18}  {:<11}  {:>7}  THING",
            "RESULT", "TIME"
        )
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = self.0;
        let or_dash = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
        let (date, time) = (entry.when.date(), entry.when.time());
        let (hour, minute, second) = time.as_hms();
        write!(f, "{date} {hour:02}:{minute:02}:{second:02}  {:<12}", entry.station)?;
        write!(f, "  {:<20}  {:<18}", or_dash(&entry.kit_serial), or_dash(&entry.secure_element_serial))?;
        write!(f, "  {:<11}  {:>5.1} s  {}", entry.result.word(), entry.seconds, or_dash(&entry.thing_name))?;
        entry.error.as_ref().map_or(Ok(()), |error| write!(f, "\n    {error}"))
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { what, value, with, partners } = self.0;
        write!(f, "{} {value} was seen with {} {}", what.name(), with.name(), partners.join(", "))
    }
}
