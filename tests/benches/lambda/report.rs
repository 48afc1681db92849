//! What was measured, as tables in Markdown, beside the goals.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::account::Transport;
use crate::programs::Program;
use crate::round_trip::RoundTrip;

/// What a row was measured under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Condition {
    /// Whether the CPU was held to a 128 MB function's share.
    pub(crate) held: bool,
    pub(crate) transport: Transport,
    pub(crate) latency: Duration,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = if self.held { "128 MB share" } else { "whole" };
        let transport = match self.transport {
            Transport::Http => "HTTP",
            Transport::Tls => "TLS",
        };
        write!(f, "{cpu} | {transport} | {} ms", self.latency.as_millis())
    }
}

/// Samples of one program under one condition.
#[derive(Default)]
pub(crate) struct Measured {
    /// Process start to the first request for an event.
    pub(crate) start: Vec<Duration>,
    /// The first event of a process.
    pub(crate) first: Vec<Duration>,
    /// Connections opened during it.
    pub(crate) first_connections: Vec<usize>,
    /// Events after that.
    pub(crate) warm: Vec<Duration>,
    /// What they took besides the calls that wait for one another, as long as these take the leanest of clients.
    pub(crate) own: Vec<Duration>,
    /// Calls of a warm event.
    pub(crate) calls: usize,
}

/// The one in the middle; zero without any.
pub(crate) fn median(samples: &[Duration]) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1e3;
    if milliseconds < 100.0 { format!("{milliseconds:.1}") } else { format!("{milliseconds:.0}") }
}

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    rows: BTreeMap<Condition, BTreeMap<Program, Measured>>,
    round_trips: BTreeMap<Condition, RoundTrip>,
    resident: BTreeMap<Program, usize>,
    package: usize,
}

impl Report {
    pub(crate) fn add(&mut self, condition: Condition, program: Program, measured: Measured) {
        self.rows.entry(condition).or_default().insert(program, measured);
    }

    pub(crate) fn round_trip(&mut self, condition: Condition, round_trip: RoundTrip) {
        self.round_trips.insert(condition, round_trip);
    }

    pub(crate) fn resident(&mut self, program: Program, bytes: usize) {
        self.resident.insert(program, bytes);
    }

    pub(crate) fn package(&mut self, bytes: usize) {
        self.package = bytes;
    }

    fn programs(&self) -> Vec<Program> {
        self.resident.keys().copied().collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles: Vec<_> = self.programs().into_iter().map(Program::title).collect();
        writeln!(f, "Start / first event / warm event, ms, medians:\n")?;
        writeln!(f, "| CPU | calls over | latency | {} |", titles.join(" | "))?;
        writeln!(f, "|---|---|---|{}", "---|".repeat(titles.len()))?;
        for (condition, measured) in &self.rows {
            write!(f, "| {condition} |")?;
            for (program, measured) in measured {
                let cells: &[&[Duration]] = match program {
                    program if program.is_echo() => &[&measured.start],
                    _ => &[&measured.start, &measured.first, &measured.warm],
                };
                let cells: Vec<_> = cells.iter().map(|samples| milliseconds(median(samples))).collect();
                write!(f, " {} |", cells.join(" / "))?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\n| | {} |\n|---|{}", titles.join(" | "), "---|".repeat(titles.len()))?;
        let resident = self.resident.values().map(|bytes| format!("{:.1}", *bytes as f64 / 1e6));
        writeln!(f, "| resident after the events, MB | {} |", resident.collect::<Vec<_>>().join(" | "))?;

        writeln!(
            f,
            "\nThe goals of `jitr`:\n\n| | start | at most: echo + echo after a call | a call | own time of a warm event | calls | connections of the first event |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (condition, measured) in &self.rows {
            let of = |program| measured.get(&program);
            let (Some(jitr), Some(echo), Some(echo_after_call)) =
                (of(Program::Jitr), of(Program::Echo), of(Program::EchoAfterCall))
            else {
                continue;
            };
            let call = self.round_trips.get(condition).copied().unwrap_or_default().call;
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} |",
                condition.to_string().replace(" |", ","),
                milliseconds(median(&jitr.start)),
                milliseconds(median(&echo.start) + median(&echo_after_call.start)),
                milliseconds(call),
                milliseconds(median(&jitr.own)),
                jitr.calls,
                jitr.first_connections.iter().max().copied().unwrap_or_default(),
            )?;
        }
        write!(f, "\nPackage: {:.2} MB zipped.", self.package as f64 / 1e6)
    }
}
