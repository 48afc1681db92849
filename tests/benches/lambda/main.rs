//! The Lambda function beside an echo function and beside handlers written the straightforward way: start, first event,
//! warm event; over plain HTTP and TLS, with calls that take 0, 20 and 50 ms, with a whole CPU and a 128 MB function's share.
//!
//! `cargo bench --bench lambda`; it builds the functions with the release profile itself, and
//! prints tables in Markdown on stdout. Words limit it to the rows that have all of them: `-- whole TLS "20 ms"`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

mod account;
mod cpu;
mod function;
mod programs;
mod report;
mod round_trip;

use std::time::Duration;

use account::{BenchAccount, Transport};
use cpu::Share;
use function::Function;
use programs::{Program, Programs};
use report::{Condition, Measured, Report};
use round_trip::RoundTrip;

const LATENCIES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(50)];

/// Events after which memory is looked at.
const EVENTS: usize = 100;

/// How often things are measured: (process starts, each with its first event; warm events of the last process).
fn rounds(program: Program, held: bool) -> (usize, usize) {
    match (program, held) {
        (Program::Python, false) => (5, 20),
        (Program::Python, true) => (2, 10),
        (_, false) => (21, 50),
        (_, true) => (5, 20),
    }
}

#[tokio::main]
async fn main() {
    // cargo adds a flag of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let programs = Programs::build();
    let share = Share::of_128_mb();
    if let Err(reason) = &share {
        eprintln!("no rows with the CPU held to a 128 MB function's share: {reason}");
    }
    let mut report = Report::default();
    let shares = [None].into_iter().chain(share.as_ref().ok().map(Some));
    for share in shares {
        for transport in [Transport::Http, Transport::Tls] {
            for latency in LATENCIES {
                let condition = Condition { held: share.is_some(), transport, latency };
                let row = condition.to_string();
                if !words.iter().all(|word| row.contains(word.as_str())) {
                    continue;
                }
                eprintln!("{row}");
                let account = BenchAccount::start(transport, latency).await;
                account.onboard(&programs).await;
                let round_trip = RoundTrip::measure(&account);
                report.round_trip(condition, round_trip);
                for program in programs.all() {
                    let measured = measure(&programs, program, &account, share, round_trip).await;
                    report.add(condition, program, measured);
                }
            }
        }
    }
    memory(&programs, &mut report).await;
    report.package(programs.package_size());
    println!("{report}");
}

async fn measure(
    programs: &Programs,
    program: Program,
    account: &BenchAccount,
    share: Option<&Share>,
    round_trip: RoundTrip,
) -> Measured {
    let (starts, events) = rounds(program, share.is_some());
    let mut measured = Measured::default();
    for round in 0..starts {
        let mut function = Function::start(programs, program, account, share).await;
        measured.start.push(function.started);
        account.take_calls();
        let connections = account.connections();
        if !program.is_echo() {
            measured.first.push(function.invoke(account).await.0);
            measured.first_connections.push(account.connections() - connections);
            account.take_calls();
        }
        if round + 1 < starts {
            continue;
        }
        for _ in 0..events {
            let (took, _) = function.invoke(account).await;
            let calls = account.take_calls();
            measured.warm.push(took);
            let in_sequence =
                Programs::in_sequence(program, &calls).map(|call| call.took + round_trip.transport);
            measured.own.push(took.saturating_sub(in_sequence.sum()));
            measured.calls = calls.len();
        }
    }
    measured
}

async fn memory(programs: &Programs, report: &mut Report) {
    let account = BenchAccount::start(Transport::Tls, Duration::ZERO).await;
    account.onboard(programs).await;
    for program in programs.all() {
        let mut function = Function::start(programs, program, &account, None).await;
        for _ in 0..EVENTS {
            function.invoke(&account).await;
        }
        report.resident(program, function.resident_bytes());
    }
}
