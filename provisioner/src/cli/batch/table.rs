//! The live table: a row a port, with the board that is on it, how far it is, and how it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::display::word;
use crate::cli::provision::says;
use crate::work::fleet::Event;
use crate::work::provision::Step;
use crate::work::station::Attempt;
use device_pki::visible;
use iot_kit::Kit;

/// How often the time of a board at work is updated.
const TICK: Duration = Duration::from_millis(100);

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// Rows in the order of their ports. They stay where they are, so that the eye finds them.
pub(super) struct Table {
    bars: MultiProgress,
    head: ProgressBar,
    rows: BTreeMap<String, Row>,
}

struct Row {
    bar: ProgressBar,
    serial: String,
}

impl Table {
    pub(super) fn new() -> Self {
        let bars = MultiProgress::new();
        let head = bars.add(ProgressBar::new_spinner());
        head.set_style(style("{msg}"));
        head.set_message(format!("{FAINT}{}{FAINT:#}", row("PORT", "SERIAL", "STEP OR RESULT", "TIME")));
        Self { bars, head, rows: BTreeMap::new() }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Started(kit) => self.started(kit),
            Event::Step(kit, step) => self.step(kit, step),
            Event::Finished(attempt) => self.finished(attempt),
            Event::Left(port) => self.left(port),
            Event::NoList(_) | Event::Stopping(_) => {}
        }
    }

    /// A line above the table; it scrolls away.
    pub(super) fn say(&self, text: &str) {
        // A terminal that has gone leaves nobody to tell.
        let _ = self.bars.println(text);
    }

    /// Whether the terminal can show it: one that cannot move its cursor gets lines.
    pub(super) fn is_shown(&self) -> bool {
        !self.bars.is_hidden()
    }

    /// The table stays on the screen as it is.
    pub(super) fn leave(self) {
        self.rows.values().for_each(|row| row.bar.abandon());
        self.head.abandon();
    }

    fn started(&mut self, kit: &Kit) {
        let serial = kit.usb_serial.clone().unwrap_or_else(|| "-".to_owned());
        if let Some(old) = self.rows.remove(&kit.port) {
            self.bars.remove(&old.bar);
        }
        let below = self.rows.range(..kit.port.clone()).next_back().map_or(&self.head, |(_, row)| &row.bar);
        let bar = self.bars.insert_after(below, ProgressBar::new_spinner());
        bar.set_style(style("{prefix} {msg:32} {elapsed:>6}"));
        bar.set_prefix(prefix(&kit.port, &serial));
        bar.set_message(says(&Step::Open));
        bar.enable_steady_tick(TICK);
        self.rows.insert(kit.port.clone(), Row { bar, serial });
    }

    fn step(&mut self, kit: &Kit, step: &Step) {
        let Some(row) = self.rows.get_mut(&kit.port) else { return };
        if let (Step::Identified(element), None) = (step, &kit.usb_serial) {
            row.serial.clone_from(element);
            row.bar.set_prefix(prefix(&kit.port, element));
        }
        row.bar.set_message(says(step));
    }

    fn finished(&mut self, attempt: &Attempt) {
        let Some(found) = self.rows.get(&attempt.kit.port) else { return };
        let color = if attempt.result.is_ok() { GOOD } else { BAD };
        let seconds = format!("{:.1} s", attempt.duration.as_secs_f64());
        let text = row(&attempt.kit.port, &found.serial, word(attempt), &seconds);
        found.bar.disable_steady_tick();
        found.bar.set_style(style("{msg}"));
        found.bar.set_message(format!("{color}{text}{color:#}"));
    }

    fn left(&mut self, port: &str) {
        let Some(found) = self.rows.get(port) else { return };
        // A board that was unplugged in the middle is told when its work has ended.
        if !found.bar.prefix().is_empty() && found.bar.message().contains(&*visible::line(port)) {
            let last = found.bar.message();
            let last = anstream::adapter::strip_str(&last).to_string();
            found.bar.set_message(format!("{FAINT}{last}  unplugged{FAINT:#}"));
        }
    }
}

fn row(port: &str, serial: &str, what: &str, time: &str) -> String {
    format!("{} {what:<32} {time:>6}", prefix(port, serial))
}

fn prefix(port: &str, serial: &str) -> String {
    format!("{:<16} {:<20}", visible::line(port), visible::line(serial))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
