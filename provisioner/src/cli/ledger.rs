//! `ledger`: every attempt at a board, as a table, as CSV, and checked for keys and serial numbers seen twice.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use time::OffsetDateTime;

use super::plan::{self, Plan};
use super::{Context, named, output};
use crate::cli::Error;
use crate::state::ledger::check::{Finding, check};
use crate::state::ledger::{Ending, Entry, Filter, Ledger, Line, Since, names, record};
use device_pki::visible;
use iot_account::counted;

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
    Export {
        /// CSV file to write; `-` is the standard output. A table of an earlier run is replaced, and no other file
        #[arg(long, value_name = "FILE")]
        csv: PathBuf,
        #[command(flatten)]
        search: Search,
    },
    /// Look for keys and serial numbers that belong to more than one board
    Check,
}

#[derive(Debug, Args)]
struct Search {
    /// Only boards with a serial number (of kit or secure element) ending in this
    #[arg(short, long, value_name = "DIGITS")]
    serial: Option<String>,
    /// Only things with a name starting with this
    #[arg(long, value_name = "NAME")]
    thing: Option<String>,
    /// Only entries since this time: a date, a time, or how long ago (30m, 8h, 7d)
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Only attempts with this outcome
    #[arg(long, alias = "result", value_enum, value_name = "OUTCOME")]
    outcome: Option<Ending>,
    /// Only attempts at this station
    #[arg(long, value_name = "NAME")]
    station: Option<String>,
}

/// What a check of the ledger can find.
#[derive(Debug, thiserror::Error)]
#[error("found on more than one board: {} (key or serial number)", counted(*findings, "identifier"))]
pub struct Doubled {
    findings: usize,
}

/// Prints, exports or checks the ledger.
///
/// # Errors
/// The ledger cannot be read, or the table not be written; or the check finds something.
pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let ledger = Ledger::of(&context.home);
    match &arguments.command {
        None => {
            let (when, station, kit, element) = ("WHEN (UTC)", "STATION", "KIT", "SECURE ELEMENT");
            let (outcome, time) = ("OUTCOME", "TIME");
            let head = format!(
                "{when:<19}  {station:<12}  {kit:<20}  {element:<18}  {outcome:<11}  {time:>7}  THING"
            );
            let mut table = context.table("no attempts", &head);
            let filter = arguments.search.filter();
            for entry in entries(&ledger, context, true)? {
                let entry = entry?;
                if filter.matches(&entry) && table.row(row(&entry), &entry).is_break() {
                    break;
                }
            }
            table.end();
            Ok(())
        }
        Some(Command::Export { csv, search }) => {
            context.home.check_output(csv)?;
            let failed =
                |error| durable_files::Error::io("write", csv.as_path(), std::io::Error::other(error));
            let (head, filter) = (names().map_err(failed)?, search.filter());
            let chosen = entries(&ledger, context, true)?
                .filter(|entry| entry.as_ref().map_or(true, |entry| filter.matches(entry)));
            // The text on the standard output is the table alone.
            if csv == Path::new("-") {
                output::print(&String::from_utf8_lossy(&head));
                for entry in chosen {
                    output::print(&String::from_utf8_lossy(&record(&entry?).map_err(failed)?));
                    if output::heard().is_break() {
                        break;
                    }
                }
                return Ok(());
            }
            named::check_output(csv, &head)?;
            let (mut table, mut attempts) = (head, 0);
            for entry in chosen {
                table.extend(record(&entry?).map_err(failed)?);
                attempts += 1;
            }
            plan::run(context, Export { file: csv, table, attempts }).await
        }
        Some(Command::Check) => {
            let (attempts, is_first) = (Cell::new(0), Cell::new(true));
            let findings = check(|| {
                let entries = entries(&ledger, context, is_first.get())?;
                let counts = is_first.replace(false);
                let attempts = &attempts;
                Ok::<_, Error>(entries.inspect(move |_| attempts.set(attempts.get() + usize::from(counts))))
            });
            report(&findings?, attempts.get(), context)
        }
    }
}

/// The entries of the ledger, one after the other. Lines that are none are skipped; if `tells`, with a note.
fn entries(
    ledger: &Ledger,
    context: &Context,
    tells: bool,
) -> Result<impl Iterator<Item = Result<Entry, Error>>, Error> {
    let lines = ledger.lines()?;
    Ok(lines.filter_map(move |line| match line {
        Ok(Line::Entry(entry)) => Some(Ok(*entry)),
        Ok(Line::Damaged(number)) => {
            if tells {
                context.note(format_args!(
                    "line {number} of {} is not an entry, perhaps cut off by a power failure; it is skipped",
                    ledger.path().display()
                ));
            }
            None
        }
        Err(error) => Some(Err(error.into())),
    }))
}

impl Search {
    fn filter(&self) -> Filter {
        Filter {
            serial: self.serial.clone(),
            thing: self.thing.clone(),
            since: self.since.map(|since| since.seen_from(OffsetDateTime::now_utc())),
            outcome: self.outcome,
            station: self.station.clone(),
        }
    }
}

/// A table that is written to a file.
struct Export<'a> {
    file: &'a Path,
    table: Vec<u8>,
    attempts: usize,
}

impl Plan for Export<'_> {
    const IS_ASIDE: bool = true;

    async fn lines(&mut self, _: &Context) -> Result<Vec<plan::Line>, Error> {
        let attempts = counted(self.attempts, "attempt");
        Ok(vec![plan::Line::plain(format_args!("would write {attempts} to {}", self.file.display()), &())])
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        durable_files::write_named(self.file, &self.table).map_err(Error::Named)?;
        let attempts = counted(self.attempts, "attempt");
        context.note(format_args!("{}: {attempts} written", self.file.display()));
        Ok(())
    }
}

fn report(findings: &[Finding], attempts: usize, context: &Context) -> Result<(), Error> {
    for finding in findings {
        let Finding { what, value, with, partners } = finding;
        let (what, with, partners) = (what.name(), with.name(), partners.join(", "));
        context.result(format_args!("{what} {value} was seen with {with} {partners}"), finding);
    }
    let findings = findings.len();
    let checked = counted(attempts, "attempt");
    let said = match findings {
        0 => format!("{checked}: every key and serial number belongs to one board"),
        _ => format!("{checked}: {} found on more than one board", counted(findings, "identifier")),
    };
    context.result(said, &Checked { attempts, findings });
    match findings {
        0 => Ok(()),
        findings => Err(Error::Ledger(Doubled { findings })),
    }
}

/// What the check of the ledger comes to.
#[derive(Serialize)]
struct Checked {
    attempts: usize,
    findings: usize,
}

fn row(entry: &Entry) -> String {
    let or_dash = |text: &Option<String>| visible::line(text.as_deref().unwrap_or("-")).into_owned();
    let (kit, element) = (or_dash(&entry.usb_serial), or_dash(&entry.secure_element_serial));
    let (outcome, seconds, thing) = (entry.outcome.word(), entry.seconds, or_dash(&entry.thing_name));
    let (date, (hour, minute, second)) = (entry.when.date(), entry.when.time().as_hms());
    let error =
        entry.error.as_ref().map(|error| format!("\n    {}", visible::line(error))).unwrap_or_default();
    format!(
        "{date} {hour:02}:{minute:02}:{second:02}  {:<12}  {kit:<20}  {element:<18}  {outcome:<11}  {seconds:>5.1} s  \
         {thing}{error}",
        visible::line(&entry.station)
    )
}
