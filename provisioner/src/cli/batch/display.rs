//! What is shown of many boards: a live table on a terminal, a line a board elsewhere, and the summary.

use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::failures::{Failures, Trouble};
use super::table::Table;
use crate::cli::{Context, Error, Output};
use crate::work::fleet::{Boards, Event, Summary};
use crate::work::provision::{Done, Outcome};
use crate::work::station::Attempt;
use device_pki::visible;
use iot_account::counted;

/// Shows the events of a batch.
pub(super) struct Display {
    context: Context,
    table: Option<Table>,
    /// Whether the JSON lines are on the same terminal as the notes: they are all that is shown then.
    shared: bool,
    started: Instant,
    /// Boards that failed, and why.
    failed: Vec<String>,
    failures: Failures,
}

/// A board whose work has ended, as programs read it.
#[derive(Serialize)]
#[serde(untagged)]
enum Ended<'a> {
    Done(Done<'a>),
    Failed {
        action: &'static str,
        outcome: &'static str,
        port: &'a str,
        usb_serial: Option<&'a str>,
        secure_element_serial: Option<&'a str>,
        #[serde(flatten)]
        trouble: Trouble,
        seconds: f64,
        done: bool,
    },
}

fn ended(attempt: &Attempt) -> Ended<'_> {
    match &attempt.result {
        Ok(report) => Ended::Done(Done::new(report, attempt.label.as_ref().map(super::cause))),
        Err(error) => Ended::Failed {
            action: "provision",
            outcome: "failed",
            port: &attempt.kit.port,
            usb_serial: attempt.kit.usb_serial.as_deref(),
            secure_element_serial: attempt.secure_element_serial.as_deref(),
            trouble: Trouble::of(error),
            seconds: attempt.duration.as_secs_f64(),
            done: false,
        },
    }
}

/// A board whose work has ended, as people read it.
fn ending(attempt: &Attempt) -> String {
    let (port, seconds) = (&attempt.kit.port, attempt.duration.as_secs_f64());
    let rest = match &attempt.result {
        Ok(report) => format!(
            "  {}{}{}",
            visible::line(&report.about.thing_name),
            super::clash_text(report.about.clash),
            super::superseded(&report.about.superseded)
        ),
        Err(error) => format!("\n  {}", Trouble::of(error)),
    };
    let label =
        attempt.label.as_ref().map(|label| format!("\n  done, but {}", visible::line(&super::cause(label))));
    let (begin, label) = (columns(word(attempt), port, name(attempt)), label.unwrap_or_default());
    format!("{begin}  {seconds:>6.2} s{rest}{label}")
}

/// How far a board is, and which it is.
fn columns(word: &str, port: &str, name: &str) -> String {
    let (port, name) = (visible::line(port), visible::line(name));
    format!("{word:<19}  {port:<14}  {name:<18}")
}

/// How it ended, in a word.
pub(super) fn word(attempt: &Attempt) -> &'static str {
    match &attempt.result {
        Ok(report) => match report.outcome {
            Outcome::Provisioned => "provisioned",
            Outcome::Unchanged => "already provisioned",
        },
        Err(_) => "failed",
    }
}

/// What the board is called: the serial number on its sticker, or its secure element's.
fn name(attempt: &Attempt) -> &str {
    let name = attempt.kit.usb_serial.as_ref().or(attempt.secure_element_serial.as_ref());
    name.map_or("-", String::as_str)
}

/// The last line for programs.
#[derive(Serialize)]
struct Total<'a> {
    summary: &'a Summary,
    seconds: f64,
}

/// The same for people.
fn sum(summary: &Summary, failed_boards: &[String], elapsed: Duration) -> String {
    let Summary { provisioned, unchanged, failed, aborted, without_label } = *summary;
    let all = provisioned + unchanged + failed + aborted;
    let (boards, seconds) = (counted(all, "board"), elapsed.as_secs_f64());
    let counts = [(aborted, "aborted"), (without_label, "without a label")];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: String = counts.map(|(count, what)| format!(", {count} {what}")).collect();
    let failures: String =
        failed_boards.iter().map(|board| format!("\n  failed: {}", visible::line(board))).collect();
    format!(
        "{boards} in {seconds:.2} s: {provisioned} provisioned, {unchanged} already provisioned, {failed} failed\
         {counts}{failures}"
    )
}

impl Display {
    pub(super) fn new(mut context: Context, form: Output, boards: &Boards) -> Self {
        context.global.output = Some(form);
        let shared =
            form == Output::Json && std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let table = if shared { None } else { Table::new() };
        let (started, failed, failures) = (Instant::now(), Vec::new(), Failures::default());
        let display = Self { context, table, shared, started, failed, failures };
        if matches!(boards, Boards::Arriving) {
            display.say(
                "plug in a board; green: done, red: failed; Ctrl-C finishes the boards at work and ends",
            );
        }
        display
    }

    pub(super) fn show(&mut self, event: Event<'_>) {
        if let Some(table) = &mut self.table {
            table.show(&event);
        }
        match event {
            Event::Finished(attempt) => self.finished(attempt),
            Event::NoList(error) => self.say(visible::line(&format!("{error}; trying again"))),
            Event::Stopping(0) => {}
            Event::Stopping(boards) => {
                self.say(format_args!("boards at work: {boards}; they are finished; Ctrl-C again aborts"));
            }
            Event::Started(kit) if self.table.is_none() && !self.shared => {
                let name = kit.usb_serial.as_deref().unwrap_or("-");
                self.say(columns("at work", &kit.port, name).trim_end());
            }
            Event::Started(_) | Event::Step(..) | Event::Left(_) => {}
        }
    }

    fn finished(&mut self, attempt: &Attempt) {
        let ending = ending(attempt);
        if self.table.is_none() || self.context.global.output == Some(Output::Json) {
            self.context.result_block(&ending, &ended(attempt));
        }
        if let Err(error) = &attempt.result {
            let trouble = self.failures.add(error);
            self.failed.push(format!("{}  {}  {}", attempt.kit.port, name(attempt), trouble.error));
        }
        // The table says how it ended; why it failed, and where the files are, has no room in it.
        let as_ever = attempt.result.as_ref().is_ok_and(|report| report.about.clash.is_none());
        if self.table.is_some() && (!as_ever || attempt.label.is_some()) {
            self.say(&ending);
        }
    }

    /// The end: how many were done, and which were not.
    ///
    /// # Errors
    /// [`Error::Boards`] if any failed.
    pub(super) fn sum_up(self, summary: &Summary) -> Result<(), Error> {
        let Self { context, table, shared, started, failed, mut failures } = self;
        if let Some(table) = table {
            table.leave();
        }
        let elapsed = started.elapsed();
        let total = Total { summary, seconds: elapsed.as_secs_f64() };
        let sum = sum(summary, &failed, elapsed);
        // Who reads the lines that programs get sees the end here.
        if context.global.output == Some(Output::Json) && !shared {
            context.note_block(&sum);
        }
        context.result_block(sum, &total);
        failures.all = summary.provisioned + summary.unchanged + summary.failed;
        failures.verdict()
    }

    pub(super) fn say(&self, text: impl fmt::Display) {
        self.context.note_block(text);
    }
}
