//! What the table looks like on a screen of a given size.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use console::{measure_text_width, truncate_str};
use device_pki::visible;
use iot_account::counted;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

/// The longest step, "Locking the slots of the factory certificates", is cut to this.
const STEP: usize = 32;
/// The least of a step that says something.
const SHORTEST_STEP: usize = 18;
/// `9999.9 s`.
const TIME: usize = 8;

/// A board on a port.
pub(super) struct Row {
    pub(super) serial: String,
    pub(super) state: State,
    /// Whether it was unplugged at its end.
    pub(super) left: bool,
    /// The number of the last change of the table that was one of this row.
    pub(super) changed: u64,
}

/// How far a board is.
pub(super) enum State {
    AtWork { step: &'static str, since: Instant },
    Ended { word: &'static str, took: Duration, good: bool },
}

impl Row {
    fn text(&self) -> String {
        match self.state {
            State::AtWork { step, .. } => step.to_owned(),
            State::Ended { word, .. } if self.left => format!("{word}, unplugged"),
            State::Ended { word, .. } => word.to_owned(),
        }
    }

    fn style(&self) -> Style {
        match self.state {
            State::AtWork { .. } => PLAIN,
            State::Ended { .. } if self.left => FAINT,
            State::Ended { good: true, .. } => GOOD,
            State::Ended { good: false, .. } => BAD,
        }
    }

    /// What is shown first where there is no room for all: boards at work, then failures, then the latest changes.
    fn rank(&self) -> (u8, std::cmp::Reverse<u64>) {
        let state = match self.state {
            State::AtWork { .. } => 0,
            State::Ended { good: false, .. } => 1,
            State::Ended { .. } => 2,
        };
        (state, std::cmp::Reverse(self.changed))
    }
}

/// A screen and a moment.
pub(super) struct Frame {
    /// Lines that there is room for.
    pub(super) height: usize,
    /// Columns that there is room for.
    pub(super) width: usize,
    pub(super) color: bool,
    pub(super) now: Instant,
}

/// How wide the columns are; without a serial number where there is no room for one.
struct Columns {
    port: usize,
    serial: Option<usize>,
    step: usize,
}

impl Frame {
    /// The lines: a head, a row a board, and the totals. Where there is no room for all, the head is left out first, then
    /// rows, and the last line says how many.
    pub(super) fn lines(&self, rows: &BTreeMap<String, Row>, ended: (usize, usize)) -> Vec<String> {
        let room = self.height.saturating_sub(1).max(1);
        let mut shown: Vec<(&String, &Row)> = rows.iter().collect();
        let hidden = shown.len().saturating_sub(room);
        if hidden > 0 {
            shown.sort_by_key(|(_, row)| row.rank());
            shown.truncate(room);
            shown.sort_by_key(|(port, _)| *port);
        }
        let columns = self.columns(rows);
        let mut lines = Vec::with_capacity(shown.len() + 2);
        if shown.len() < room {
            lines.push(self.line(FAINT, &columns.cells("PORT", "SERIAL", "STEP OR RESULT", "TIME")));
        }
        for (port, row) in shown {
            let time = match row.state {
                State::AtWork { since, .. } => self.now.saturating_duration_since(since),
                State::Ended { took, .. } => took,
            };
            let time = format!("{:.1} s", time.as_secs_f64());
            let cells = columns.cells(&visible::line(port), &visible::line(&row.serial), &row.text(), &time);
            lines.push(self.line(row.style(), &cells));
        }
        let at_work = rows.values().filter(|row| matches!(row.state, State::AtWork { .. })).count();
        lines.push(self.line(FAINT, &totals(hidden, at_work, ended)));
        lines
    }

    /// A line in its colour that fits.
    fn line(&self, style: Style, text: &str) -> String {
        let text = truncate_str(text.trim_end(), self.width, "…");
        match self.color {
            true => format!("{style}{text}{style:#}"),
            false => text.into_owned(),
        }
    }

    fn columns(&self, rows: &BTreeMap<String, Row>) -> Columns {
        let longest =
            |head: &str, texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0).max(head.len());
        let of = |text: &str| measure_text_width(&visible::line(text));
        let port = longest("PORT", &mut rows.keys().map(|port| of(port))).max(12);
        let serial = longest("SERIAL", &mut rows.values().map(|row| of(&row.serial))).max(18);
        // A blank before each column but the first.
        let rest = |taken: usize| self.width.saturating_sub(taken + TIME + 2).min(STEP);
        match rest(port + 1 + serial) {
            step if step >= SHORTEST_STEP => Columns { port, serial: Some(serial), step },
            _ => {
                let port = port.min(self.width.saturating_sub(SHORTEST_STEP + TIME + 2).max(4));
                Columns { port, serial: None, step: rest(port) }
            }
        }
    }
}

impl Columns {
    fn cells(&self, port: &str, serial: &str, step: &str, time: &str) -> String {
        let mut text = padded(&end_of(port, self.port), self.port);
        if let Some(width) = self.serial {
            text += &format!(" {}", padded(serial, width));
        }
        let step = padded(&truncate_str(step, self.step, "…"), self.step);
        format!("{text} {step} {time:>TIME$}")
    }
}

/// The end of a port's name is what tells it from others.
fn end_of(port: &str, width: usize) -> String {
    let length = port.chars().count();
    match length > width {
        true => format!("…{}", port.chars().skip(length + 1 - width).collect::<String>()),
        false => port.to_owned(),
    }
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(measure_text_width(text))))
}

fn totals(hidden: usize, at_work: usize, (done, failed): (usize, usize)) -> String {
    let more = if hidden > 0 { format!("… {hidden} more; ") } else { String::new() };
    let boards = counted(at_work + done + failed, "board");
    match hidden {
        0 => format!("{boards}: {at_work} at work, {done} done, {failed} failed"),
        _ => format!("{more}{at_work} at work, {done} done, {failed} failed"),
    }
}

#[cfg(test)]
mod tests;
