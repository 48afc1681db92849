//! Firmware that was left in the middle of something, as by a terminal program that was closed or a tool that was killed: the
//! provisioner finds its way back, and nothing is erased, programmed or locked on the way.

use std::time::Duration;

use testbed::board::Seed;
use testbed::board::emulated::{EmulatedBoard, Pace};

use super::{AVR, SAM, User, booted, image};

/// How long after its last byte a host comes back.
const PAUSE: Duration = Duration::from_millis(1200);
/// Boards that are looked at side by side.
const ABREAST: usize = 2;

/// What the last host has sent, and never finished.
fn left_behind() -> Vec<(&'static str, String)> {
    let page = |digits: usize| format!("MC+WINC+WRITEBLOB=16384,256,512\r\n{}", "0".repeat(digits));
    vec![
        ("nothing", String::new()),
        ("half a ping", "MC+PI".into()),
        ("half an erase, of sector 0", "MC+WINC+ERASE=2048".into()),
        ("an erase without address", "MC+WINC+ERASE=".into()),
        ("an erase without line end", "MC+WINC+ERASE=8192".into()),
        ("half a lock", "MC+ECC+LOCK=1".into()),
        ("the longest line", "Z".repeat(127)),
        ("one character more", "Z".repeat(128)),
        ("a line that is too long", "Z".repeat(150)),
        ("a blob of 1024 characters, awaited", "MC+BLOBTEST=1024\r\n".into()),
        ("a blob of 8 characters, awaited", "MC+WINC+WRITEBLOB=16384,4,8\r\n".into()),
        ("a blob of 14 characters, awaited", "MC+WINC+WRITEBLOB=16384,7,14\r\n".into()),
        ("the begin of a page", page(12)),
        ("a page but for its end", page(498)),
        ("a page without line end", page(512)),
        ("a blob that is too long", "MC+BLOBTEST=8\r\n123456789".into()),
    ]
}

/// What went wrong, if something did.
fn way_back(user: &User, hex: &str, (state, sent): &(&str, String)) -> Option<String> {
    let (mut board, _) = booted(hex, Seed(22));
    // As a host does it: what comes behind a line waits for the answer.
    for part in sent.split_inclusive('\n') {
        board.ask(part.as_bytes(), PAUSE).unwrap();
    }
    board.run(PAUSE).unwrap();
    let board = EmulatedBoard::plug(board, Pace::Host).unwrap();
    let looked = user.run(&["inspect", "--port", board.path().to_str().unwrap()]);
    let (writes, locked) = board.with(|board| {
        (board.writes().to_vec(), (0..16).filter(|slot| board.is_locked(*slot)).collect::<Vec<_>>())
    });
    let unharmed = writes.is_empty() && locked.is_empty();
    (looked.code != Some(0) || !unharmed)
        .then(|| format!("{state}: {:?}, {writes:?}, locked {locked:?}\n{}", looked.code, looked.stderr))
}

fn finds_its_way_back(path: &str) {
    let Some(hex) = image(path) else { return };
    let user = User::new();
    let (user, hex) = (&user, hex.as_str());
    let mut failures = Vec::new();
    for states in left_behind().chunks(ABREAST) {
        std::thread::scope(|scope| {
            let looks: Vec<_> =
                states.iter().map(|state| scope.spawn(move || way_back(user, hex, state))).collect();
            failures.extend(looks.into_iter().filter_map(|look| look.join().unwrap()));
        });
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_provisioner_finds_its_way_back_whatever_avr_iot_was_left_in() {
    finds_its_way_back(AVR);
}

#[test]
fn the_provisioner_finds_its_way_back_whatever_sam_iot_was_left_in() {
    finds_its_way_back(SAM);
}
