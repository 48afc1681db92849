//! Time for boards at 115200 baud with a real board's device times, beside the least it could take: one, one that is
//! right already, one that held something else, one of another kit, and eight side by side.
//!
//! `cargo bench -p testbed --bench serial`; it runs the provisioner as built beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testbed::board::wire::DeviceTimes;
use testbed::board::{Kit, Options, SimulatedBoard, Statistics};

const ROUNDS: usize = 3;
const SIDE_BY_SIDE: usize = 8;

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
        "{:<26}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}",
        "milliseconds", "process", "serial", "floor", "wire", "device", "ratio"
    );
    let arguments =
        ["provision", "--method", "jitr", "--endpoint", "example-ats.iot.eu-central-1.amazonaws.com"];
    let mut one = Duration::MAX;
    for _ in 0..ROUNDS {
        let new = board();
        let provision = [&arguments[..], &["--port", port(&new)]].concat();
        let process = run(&provision);
        one = one.min(process);
        report("a new board", process, &new.take_statistics());
        let process = run(&provision);
        let statistics = new.take_statistics();
        report("the same board again", process, &statistics);
        let [reads, erases] = ["MC+WINC+READ", "MC+WINC+ERASE"].map(|command| statistics.count(command));
        println!("  every byte read once, in {reads} commands of at most 256 bytes; {erases} erases");
        let used = board();
        used.change_flash(|flash| flash[0x5000..0x7000].fill(0x3C));
        let process = run(&[&arguments[..], &["--port", port(&used)]].concat());
        report("a board to be erased", process, &used.take_statistics());
        let sam = SimulatedBoard::start(Options {
            kit: Kit::SamIotWg,
            device_times: DeviceTimes::OBSERVED_ON_SAM,
            ..Options::default()
        })
        .unwrap();
        let process = run(&[&arguments[..], &["--port", port(&sam)]].concat());
        report("a new SAM-IoT board", process, &sam.take_statistics());
    }
    for _ in 0..ROUNDS {
        let boards: Vec<_> = (0..SIDE_BY_SIDE).map(|_| board()).collect();
        let ports = boards.iter().flat_map(|board| ["--port", port(board)]);
        let process = run(&arguments.into_iter().chain(ports).collect::<Vec<_>>());
        let statistics: Vec<_> = boards.iter().map(SimulatedBoard::take_statistics).collect();
        if let Some(slowest) = statistics.iter().max_by_key(|statistics| statistics.elapsed()) {
            report(&format!("{SIDE_BY_SIDE} new boards, the slowest"), process, slowest);
        }
        println!("  {:.3} times one board", process.as_secs_f64() / one.as_secs_f64());
    }
}

fn board() -> SimulatedBoard {
    SimulatedBoard::start(Options::default()).unwrap()
}

fn port(board: &SimulatedBoard) -> &str {
    board.path().to_str().unwrap()
}

fn report(what: &str, process: Duration, statistics: &Statistics) {
    let (elapsed, floor) = (statistics.elapsed(), statistics.floor());
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    println!(
        "{what:<26}{:>8.0}{:>8.0}{:>8.0}{:>8.0}{:>8.0}{:>8.3}  {} commands, {} + {} bytes",
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
