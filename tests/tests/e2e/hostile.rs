//! Text of others that a terminal would act on: from boards, files, other users of the account, and a hand in the home
//! folder. It is shown, and it does nothing.

use std::sync::Arc;

use testbed::board::firmware::Stage;
use testbed::board::{Options, SimulatedBoard};
use testbed::faults::{Damage, Effect, Fault, Occurrence, Trigger};
use testbed::iot_core::control_plane::{self, Interceptor, Operation, ServiceError, When};
use testbed::{Options as TestbedOptions, Testbed};

use crate::laptop::{Laptop, Outcome};

/// Clears the screen, sets the title, turns the direction of text around, and goes to the beginning of the line.
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{7f}\u{202e}\u{2066}\u{2028}\rerror: x";

/// Nothing that a terminal acts on, and nothing that changes the order of characters; but what was hidden is to be seen.
#[track_caller]
fn is_harmless(outcome: &Outcome) {
    let hidden = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    for text in [&outcome.stdout, &outcome.stderr] {
        assert!(!text.contains(hidden), "{text:?}");
    }
    let both = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(both.contains("\\u{9b}31m") || both.contains("\\u009b31m"), "{both:?}");
    assert!(both.lines().all(|line| !line.starts_with("error: x")), "{both:?}");
}

/// Runs it for people and for programs, with everything logged.
fn runs(laptop: &Laptop, arguments: &[&str], environment: &[(&str, &str)]) {
    for form in ["human", "json"] {
        let common = ["--output", form, "--logging", "debug"];
        is_harmless(&laptop.run(&[&common, arguments].concat(), environment));
    }
}

#[test]
fn what_a_board_says_does_nothing_to_the_terminal() {
    let (laptop, board) = (Laptop::with_ca(), SimulatedBoard::start(Options::instant(0)).unwrap());
    // Within the first line of each reply, where text stands. A board's line has no line end in it.
    let on = Trigger { command: None, stage: Stage::Request, occurrence: Occurrence::From(1) };
    let bytes = ESCAPES.replace('\r', "").into_bytes();
    board.inject(Fault { on, effect: Effect::Reply(Damage::Insert { offset: 3, bytes }) });
    let port = board.path().display().to_string();
    runs(&laptop, &["inspect", "--port", &port], &[]);
    // Of the firmware alone, the board is read to its end.
    for command in ["MC+ABOUT", "MC+VERSION"] {
        let board = SimulatedBoard::start(Options::instant(0)).unwrap();
        let on =
            Trigger { command: Some(command.into()), stage: Stage::Request, occurrence: Occurrence::From(1) };
        let bytes = ESCAPES.replace('\r', "").into_bytes();
        board.inject(Fault { on, effect: Effect::Reply(Damage::Insert { offset: 3, bytes }) });
        let port = board.path().display().to_string();
        runs(&laptop, &["inspect", "--port", &port], &[]);
    }
}

#[test]
fn what_is_in_the_home_folder_does_nothing_to_the_terminal() {
    let laptop = Laptop::with_ca();
    let text = serde_json::to_string(&format!("{ESCAPES}\nerror: x")).unwrap();
    let entry = format!(
        r#"{{"when":"2026-03-01T08:30:15Z","station":{text},"port":{text},"usb_serial":null,"secure_element_serial":null,"thing_name":null,"certificate_id":null,"method":"jitr","outcome":"failed","error":{text},"seconds":1.5}}"#
    );
    std::fs::write(laptop.folder().join("ledger.jsonl"), format!("{entry}\n")).unwrap();
    for form in ["human", "json"] {
        is_harmless(&laptop.run(&["--output", form, "ledger"], &[]));
    }
    let exported = laptop.run(&["ledger", "export", "--csv", "-"], &[]);
    assert_eq!(exported.code, 0, "{exported}");
    assert!(!exported.stdout.contains('\u{1b}'), "{exported}");

    let file = format!("{ESCAPES}.crt");
    for arguments in [
        &["provision", "--endpoint", "localhost", "--certificate", &file][..],
        &["flash", &file],
        &["audit", "show", "--since", &file],
    ] {
        runs(&laptop, arguments, &[]);
    }
}

/// Refuses everything with a message that somebody else wrote.
struct Refusing;

impl Interceptor for Refusing {
    fn intercept(&self, operation: &Operation<'_>) -> Option<control_plane::Fault> {
        let message = format!("User: {ESCAPES}\nerror: x is not authorized");
        let error = ServiceError::new("AccessDeniedException", 403, message);
        (operation.service != "sts")
            .then(|| control_plane::Fault { error: Some((When::Before, error)), ..Default::default() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_says_does_nothing_to_the_terminal() {
    let options = TestbedOptions { interceptor: Arc::new(Refusing), ..TestbedOptions::default() };
    let testbed = Testbed::start(options).await.unwrap();
    let environment = testbed.access().environment();
    let laptop = Laptop::with_ca();
    tokio::task::block_in_place(|| {
        for arguments in [&["setup"][..], &["doctor"], &["certificates"], &["teardown", "--yes"]] {
            runs(&laptop, arguments, &environment);
        }
    });
}
