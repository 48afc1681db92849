//! Time for one board at 115200 baud with a real board's device times, beside the least it could take.
//!
//! `cargo bench -p testbed --bench serial`; it runs the provisioner as built beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testbed::board::{Options, SimulatedBoard, Statistics};

const ROUNDS: usize = 3;

fn main() {
    let testbed = Path::new(env!("CARGO_BIN_EXE_testbed"));
    let provisioner = testbed.with_file_name(format!("provisioner{}", std::env::consts::EXE_SUFFIX));
    assert!(
        provisioner.is_file(),
        "there is no {}: build it first, with the profile of this bench (`cargo build --bins --release`)",
        provisioner.display()
    );
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let begin = Instant::now();
        let output =
            Command::new(&provisioner).args(arguments).env_clear().env("HOME", home.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        begin.elapsed()
    };
    run(&["ca", "create"]);

    println!(
        "{:<24}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "milliseconds", "process", "serial", "floor", "wire", "device", "ratio"
    );
    for _ in 0..ROUNDS {
        let board = SimulatedBoard::start(Options::default()).unwrap();
        let port = board.path().to_str().unwrap();
        let provision = [
            "provision",
            "--method",
            "jitr",
            "--endpoint",
            "example-ats.iot.eu-central-1.amazonaws.com",
            "--port",
            port,
        ];
        let process = run(&provision);
        report("a new board", process, &board.take_statistics());
        let process = run(&provision);
        report("the same board again", process, &board.take_statistics());
    }
}

fn report(what: &str, process: Duration, statistics: &Statistics) {
    let (elapsed, floor) = (statistics.elapsed(), statistics.floor());
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    println!(
        "{what:<24}{:>8.0}{:>8.0}{:>8.0}{:>8.0}{:>8.0}{:>8.3}  {} commands, {} + {} bytes",
        ms(process),
        ms(elapsed),
        ms(floor),
        ms(statistics.wire_time()),
        ms(statistics.device_time),
        elapsed.as_secs_f64() / floor.as_secs_f64(),
        statistics.commands.len(),
        statistics.bytes_in,
        statistics.bytes_out,
    );
}
