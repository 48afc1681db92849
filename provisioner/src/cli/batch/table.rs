//! The live table: a row a port, with the board that is on it, how far it is, and how it ended.

use std::collections::BTreeMap;
use std::io::stderr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use console::{Term, measure_text_width};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::display::word;
use crate::cli::output::{self, Drawn, locked};
use crate::cli::provision::says;
use crate::work::fleet::Event;
use crate::work::provision::Step;
use crate::work::station::Attempt;
use iot_kit::Kit;

mod frame;

use frame::{Frame, Row, State};

/// How often the time of a board at work is updated.
const TICK: Duration = Duration::from_millis(100);

/// The table, drawn until it is left.
pub(super) struct Table {
    rows: Arc<Mutex<Rows>>,
    bar: ProgressBar,
    drawn: Drawn,
    color: bool,
}

/// Rows in the order of their ports. They stay where they are, so that the eye finds them.
#[derive(Default)]
struct Rows {
    rows: BTreeMap<String, Row>,
    /// Boards that have ended: done, failed.
    ended: (usize, usize),
    /// Counts changes, so that the latest are known.
    changes: u64,
}

impl Rows {
    fn lines(&self, height: usize, width: usize, color: bool) -> Vec<String> {
        Frame { height, width, color, now: Instant::now() }.lines(&self.rows, self.ended)
    }
}

impl Table {
    /// The table, if the terminal can show it: one that cannot move its cursor gets lines.
    pub(super) fn new() -> Option<Self> {
        let bar = ProgressBar::new_spinner();
        if bar.is_hidden() {
            return None;
        }
        let color = AutoStream::choice(&stderr()) != ColorChoice::Never;
        let rows = Arc::new(Mutex::new(Rows::default()));
        let (shown, terminal) = (Arc::clone(&rows), Term::stderr());
        let lines = move |_: &ProgressState, to: &mut dyn std::fmt::Write| {
            let (height, width) = terminal.size();
            let lines = locked(&shown).lines(height.into(), width.into(), color);
            let last = lines.last().map_or(0, |line| measure_text_width(line));
            // The line is filled, and the cursor waits in its first column: there what the terminal echoes, such as ^C, moves
            // no line.
            let (text, blanks) = (lines.join("\n"), " ".repeat(usize::from(width).saturating_sub(last)));
            // The screen takes what it gets; the next draw is another try.
            let _ = write!(to, "{text}{blanks}\r");
        };
        let style = ProgressStyle::with_template("{rows}").ok()?;
        bar.set_style(style.with_key("rows", lines));
        let drawn = Drawn::new(bar.clone());
        bar.enable_steady_tick(TICK);
        Some(Self { rows, bar, drawn, color })
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Started(kit) => self.started(kit),
            Event::Step(kit, step) => self.step(kit, step),
            Event::Finished(attempt) => self.finished(attempt),
            Event::Left(port) => self.left(port),
            Event::NoList(_) | Event::Stopping(_) => {}
        }
        self.bar.tick();
    }

    /// The whole table stays on the screen as it is, and scrolls where it is longer.
    pub(super) fn leave(self) {
        drop(self.drawn);
        let width = Term::stderr().size().1.into();
        output::note(&locked(&self.rows).lines(usize::MAX, width, self.color).join("\n"));
    }

    fn started(&mut self, kit: &Kit) {
        let serial = kit.usb_serial.clone().unwrap_or_else(|| "-".to_owned());
        let state = State::AtWork { step: says(&Step::Open), since: Instant::now() };
        let mut rows = locked(&self.rows);
        rows.changes += 1;
        let row = Row { serial, state, left: false, changed: rows.changes };
        rows.rows.insert(kit.port.clone(), row);
    }

    fn change(&self, port: &str, change: impl FnOnce(&mut Row)) {
        let mut rows = locked(&self.rows);
        rows.changes += 1;
        let changes = rows.changes;
        if let Some(row) = rows.rows.get_mut(port) {
            row.changed = changes;
            change(row);
        }
    }

    fn step(&mut self, kit: &Kit, step: &Step) {
        self.change(&kit.port, |row| {
            if let (Step::Identified(element), None) = (step, &kit.usb_serial) {
                row.serial.clone_from(element);
            }
            if let State::AtWork { step: shown, .. } = &mut row.state {
                *shown = says(step);
            }
        });
    }

    fn finished(&mut self, attempt: &Attempt) {
        let good = attempt.result.is_ok();
        {
            let ended = &mut locked(&self.rows).ended;
            *(if good { &mut ended.0 } else { &mut ended.1 }) += 1;
        }
        let state = State::Ended { word: word(attempt), took: attempt.duration, good };
        self.change(&attempt.kit.port, |row| row.state = state);
    }

    fn left(&mut self, port: &str) {
        // A board that was unplugged in the middle is told when its work has ended.
        self.change(port, |row| row.left = matches!(row.state, State::Ended { .. }));
    }
}
