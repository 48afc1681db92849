//! A link that loses, doubles, alters and adds bytes, and a board that is reset in the middle: each run ends in a provisioned
//! board or in an error, what was damaged is told, and the next run on a good link completes the board.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use kit_hardware::Board;
use testbed::board::Seed;
use testbed::board::emulated::{Direction, EmulatedBoard, Link, Pace, kit_options};
use testbed::certificate_store::CertificateStore;

use super::{AVR, Run, SAM, User, image};

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
const BEFORE: u8 = 0xA5;
/// Two sectors for the store and the names.
const STORE: std::ops::Range<usize> = 0x5000..0x7000;
/// A run exchanges some 3000 bytes each way; the faults of a run are spread over so many.
const REACH: usize = 6000;
/// Boards that are provisioned side by side.
const ABREAST: u64 = 2;

/// A link on which bytes at random places suffer, as often as the count says.
fn noisy(seed: u64, faults: usize, happened: Arc<AtomicUsize>) -> Link {
    let mut random = Rng::with_seed(seed);
    let mut places: Vec<usize> = (0..faults).map(|_| random.usize(..REACH)).collect();
    places.sort_unstable();
    places.reverse();
    let mut passed = 0;
    Box::new(move |_: Direction, bytes: &[u8]| {
        let mut through = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if places.last().is_none_or(|place| *place > passed) {
                through.push(*byte);
            } else {
                places.pop();
                happened.fetch_add(1, Ordering::Relaxed);
                match random.u8(..4) {
                    0 => {}
                    1 => through.extend([*byte, *byte]),
                    2 => through.push(byte ^ (1 << random.u8(..7))),
                    _ => through.extend([random.u8(..), *byte]),
                }
            }
            passed += 1;
        }
        through
    })
}

fn provision(user: &User, board: &EmulatedBoard) -> Run {
    let port = board.path().to_str().unwrap();
    user.run(&["provision", "--method", "jitr", "--endpoint", ENDPOINT, "--port", port])
}

/// What is wrong after a run, if something is.
fn judge(run: &Run, board: &EmulatedBoard) -> Result<(), String> {
    let flash = board.flash();
    let is_whole = flash[..STORE.start].iter().chain(&flash[STORE.end..]).all(|byte| *byte == BEFORE);
    let said = format!("{:?}\n{}{}", run.code, run.stdout, run.stderr);
    let is_told = ["boot sector", "at another address"].iter().any(|words| run.stderr.contains(words));
    if !is_whole && !is_told {
        return Err(format!("damage that is not told: {said}"));
    }
    if run.code == Some(0) {
        let store = CertificateStore::read(&flash).map_err(|error| format!("{error:?}: {said}"))?;
        if store.endpoint != ENDPOINT || store.certificates.len() != 2 {
            return Err(format!("not what was reported: {store:?}\n{said}"));
        }
    } else if !run.stderr.contains("error: ") || !run.stderr.contains("help: ") {
        return Err(format!("an end without an error: {said}"));
    }
    if (0..16).any(|slot| board.with(|board| board.is_locked(slot))) {
        return Err(format!("a slot is locked: {said}"));
    }
    Ok(())
}

/// One board, on a link with faults, then on a good one.
fn suffers(hex: &str, seed: u64) -> Result<usize, String> {
    let user = User::new();
    let options = kit_hardware::Options { flash: vec![BEFORE; 1 << 20], ..kit_options(Seed(seed)).unwrap() };
    let mut board = Board::new(hex, &options).unwrap();
    board.boot().unwrap();
    let happened = Arc::new(AtomicUsize::new(0));
    let mut random = Rng::with_seed(seed);
    let link = noisy(seed, random.usize(1..6), happened.clone());
    let board = EmulatedBoard::plug_through(board, Pace::Host, link).unwrap();
    let run = std::thread::scope(|scope| {
        // Every third board is reset once, somewhere in the run.
        if seed.is_multiple_of(3) {
            let after = Duration::from_millis(random.u64(50..1500));
            let board = &board;
            scope.spawn(move || {
                std::thread::sleep(after);
                board.with(Board::press_reset);
            });
        }
        provision(&user, &board)
    });
    judge(&run, &board).map_err(|error| format!("seed {seed}: {error}"))?;
    let again = provision(&user, &board);
    judge(&again, &board).map_err(|error| format!("seed {seed}, the run after it: {error}"))?;
    Ok(happened.load(Ordering::Relaxed))
}

fn every_end_is_told(path: &str, seeds: std::ops::Range<u64>) {
    let Some(hex) = image(path) else { return };
    let hex = hex.as_str();
    let (mut failures, mut happened) = (Vec::new(), 0);
    let seeds: Vec<u64> = seeds.collect();
    for seeds in seeds.chunks(ABREAST as usize) {
        std::thread::scope(|scope| {
            let runs: Vec<_> = seeds.iter().map(|seed| scope.spawn(move || suffers(hex, *seed))).collect();
            for run in runs {
                match run.join().unwrap() {
                    Ok(faults) => happened += faults,
                    Err(failure) => failures.push(failure),
                }
            }
        });
    }
    println!("{happened} faults on {} boards", seeds.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(happened > 0, "nothing went wrong, so nothing was shown");
}

#[test]
fn avr_iot_is_provisioned_or_an_error_tells_why_whatever_the_link_does() {
    every_end_is_told(AVR, 0..seeds(12));
}

#[test]
fn sam_iot_is_provisioned_or_an_error_tells_why_whatever_the_link_does() {
    every_end_is_told(SAM, 100..100 + seeds(4));
}

/// How many boards suffer: more with the variable `NOISY_BOARDS`.
fn seeds(usual: u64) -> u64 {
    std::env::var("NOISY_BOARDS").map_or(usual, |boards| boards.parse().unwrap())
}
