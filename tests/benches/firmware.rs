//! Time for one new board that is a kit's own firmware at a kit's pace: our run, Microchip's driver doing the same, and the time
//! that the kit itself needs for our commands.
//!
//! `cargo bench -p testbed --features hardware --bench firmware`; it runs the provisioner as built beside it. The Python packages
//! of `.ci/requirements.txt` have to be on the PATH.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kit_hardware::Board;
use testbed::board::Seed;
use testbed::board::emulated::{Direction, EmulatedBoard, Pace, kit_options};
use testbed::certificate_store::CertificateStore;

const ENDPOINT: &str = "example-ats.iot.eu-central-1.amazonaws.com";
const IMAGES: [(&str, &str); 2] = [
    ("AVR-IoT WG", "avr/atmega4808-iot-provision-v2.hex"),
    ("SAM-IoT WG", "sam/samd21g18a-iot-provision.hex"),
];
/// The longest that a command takes on a kit.
const LIMIT: Duration = Duration::from_secs(6);
/// How exactly the end of an answer is seen.
const STEP: Duration = Duration::from_micros(100);

/// The folder of the Python programs.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |folder: &PathBuf| folder.join("iotprovision").is_file();
    std::env::split_paths(&path)
        .find(has)
        .expect("iotprovision is not on the PATH; pip install -r .ci/requirements.txt")
}

fn board(hex: &str) -> Board {
    let mut board = Board::new(hex, &kit_options(Seed(1)).unwrap()).unwrap();
    board.boot().unwrap();
    board
}

/// Has the board answer one line, and goes on at once.
fn answer(board: &mut Board, line: &[u8]) {
    let (begin, mut reply) = (board.now(), Vec::new());
    board.feed(line);
    let is_over = |reply: &[u8]| {
        let is_error = reply.windows(6).any(|word| word == b"ERROR:") && reply.ends_with(b"\r\n");
        is_error || reply.ends_with(b"OK\r\n") || reply.ends_with(b">")
    };
    while !is_over(&reply) {
        assert!(board.now() - begin < LIMIT, "no answer to {}", String::from_utf8_lossy(line));
        board.run(STEP).unwrap();
        reply.extend(board.take());
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn main() {
    let testbed = Path::new(env!("CARGO_BIN_EXE_testbed"));
    let provisioner = testbed.with_file_name(format!("provisioner{}", std::env::consts::EXE_SUFFIX));
    let programs = programs();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/referee/vendor.py");
    let finder = "import importlib.util as u; print(u.find_spec('pykitcommander').submodule_search_locations[0], end='')";
    let folder = output(Command::new(programs.join("python")).args(["-c", finder]));

    println!(
        "{:<14}{:>14}{:>14}{:>14}{:>20}",
        "seconds", "provisioner", "kit alone", "ratio", "Microchip's driver"
    );
    for (kit, image) in IMAGES {
        let hex = std::fs::read_to_string(Path::new(&folder).join("fw").join(image)).unwrap();
        let home = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            output(Command::new(&provisioner).args(arguments).env_clear().env("HOME", home.path()))
        };
        run(&["ca", "create"]);

        let sent = Arc::new(Mutex::new(Vec::new()));
        let record = sent.clone();
        let link = Box::new(move |direction, bytes: &[u8]| {
            if direction == Direction::ToBoard {
                record.lock().unwrap().extend_from_slice(bytes);
            }
            bytes.to_vec()
        });
        let ours = EmulatedBoard::plug_through(board(&hex), Pace::Kit, link).unwrap();
        let port = ours.path().to_str().unwrap().to_owned();
        let begin = Instant::now();
        run(&["provision", "--method", "jitr", "--endpoint", ENDPOINT, "--port", &port]);
        let provisioner = begin.elapsed();

        // The same lines, each as soon as the one before it is answered.
        let mut alone = board(&hex);
        let begin = alone.now();
        for line in sent.lock().unwrap().split_inclusive(|byte| *byte == b'\n') {
            answer(&mut alone, line);
        }
        let alone = alone.now() - begin;

        let store = CertificateStore::read(&ours.flash()).unwrap();
        let theirs = EmulatedBoard::plug(board(&hex), Pace::Kit).unwrap();
        let certificates = store.certificates.iter().map(|file| hex::encode(&file.content));
        let seconds = output(
            Command::new(programs.join("python"))
                .arg(&script)
                .arg("--write")
                .arg(theirs.path())
                .args([store.thing_name.as_str(), ENDPOINT])
                .args(certificates),
        );
        assert!(ours.flash() == theirs.flash(), "Microchip's driver writes other bytes");
        let ratio = provisioner.as_secs_f64() / alone.as_secs_f64();
        println!(
            "{kit:<14}{:>14.2}{:>14.2}{ratio:>14.3}{:>20.2}",
            provisioner.as_secs_f64(),
            alone.as_secs_f64(),
            seconds.trim().parse::<f64>().unwrap()
        );
    }
}
