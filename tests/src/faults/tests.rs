//! What each fault makes of an exchange.

use super::*;
use crate::board::{Kit, Profile, Seed};

const PONG: &str = "\r\nMC+PONG=000001\r\nOK\r\n";

fn on(command: &str, occurrence: Occurrence, effect: Effect) -> Fault {
    Fault { on: Trigger { command: Some(command.into()), stage: Stage::Request, occurrence }, effect }
}

/// What a board with these faults does for the lines, one entry a line.
fn play(faults: &[Fault], lines: &[&str]) -> Vec<Vec<Step>> {
    let mut injector = Injector::default();
    for fault in faults {
        injector.inject(fault.clone());
    }
    let mut firmware = Firmware::new(Kit::AvrIotWg, Seed(7), Profile::Mah1h).unwrap();
    let mut played = Vec::new();
    for byte in lines.join("\n").bytes().chain(*b"\n") {
        if let Some(line) = firmware.receive(byte) {
            played.push(injector.exchange(&mut firmware, line));
        }
    }
    played
}

fn sent(steps: &[Step]) -> String {
    let bytes = steps.iter().filter_map(|step| match step {
        Step::Send(bytes) => Some(bytes.clone()),
        _ => None,
    });
    String::from_utf8(bytes.flatten().collect()).unwrap()
}

#[test]
fn a_fault_strikes_at_its_occurrence_of_its_command_only() {
    let error = |occurrence| on("MC+PING", occurrence, Effect::Error(0x0201));
    let lines = ["MC+PING=000001", "MC+SETLED=CONN,ON", "MC+PING=000001", "MC+PING=000001"];
    let once: Vec<_> = play(&[error(Occurrence::Nth(2))], &lines).iter().map(|s| sent(s)).collect();
    assert_eq!(once, [PONG, "\r\nOK\r\n", "\r\nERROR: 0x201\r\n", PONG]);
    let on_and_on: Vec<_> = play(&[error(Occurrence::From(2))], &lines).iter().map(|s| sent(s)).collect();
    assert_eq!(on_and_on, [PONG, "\r\nOK\r\n", "\r\nERROR: 0x201\r\n", "\r\nERROR: 0x201\r\n"]);
}

#[test]
fn replies_are_damaged_as_told() {
    let insert = |offset| Damage::Insert { offset, bytes: b"##".to_vec() };
    for (damage, reply) in [
        (insert(0), "##\r\nMC+PONG=000001\r\nOK\r\n"),
        (insert(5), "\r\nMC+##PONG=000001\r\nOK\r\n"),
        (insert(usize::MAX), "\r\nMC+PONG=000001\r\nOK\r\n##"),
        (Damage::Drop { offset: 6 }, "\r\nMC+PNG=000001\r\nOK\r\n"),
        (Damage::Double { offset: usize::MAX }, "\r\nMC+PONG=000001\r\nOK\r\n\n"),
        (Damage::Alter { offset: 10 }, "\r\nMC+PONG=100001\r\nOK\r\n"),
    ] {
        let fault = on("MC+PING", Occurrence::Nth(1), Effect::Reply(damage));
        assert_eq!(sent(&play(&[fault], &["MC+PING=000001"])[0]), reply);
    }
}

#[test]
fn damage_of_nothing_is_nothing() {
    for damage in [Damage::Drop { offset: 0 }, Damage::Double { offset: 0 }, Damage::Alter { offset: 0 }] {
        let mut text = vec![];
        damage.apply(&mut text);
        assert!(text.is_empty());
    }
}

#[test]
fn a_damaged_request_is_what_the_firmware_sees() {
    let fault = on("MC+PING", Occurrence::Nth(1), Effect::Request(Damage::Drop { offset: 3 }));
    assert_eq!(sent(&play(&[fault], &["MC+PING=000001"])[0]), "\r\nERROR: 0x1\r\n");
}

#[test]
fn a_fault_in_the_blob_stage_leaves_the_prompt_alone() {
    let fault = Fault {
        on: Trigger {
            command: Some("MC+BLOBTEST".into()),
            stage: Stage::Blob,
            occurrence: Occurrence::Nth(1),
        },
        effect: Effect::Error(0x0004),
    };
    let played = play(&[fault], &["MC+BLOBTEST=2", "00", "MC+PING=000001"]);
    assert_eq!(played.iter().map(|s| sent(s)).collect::<Vec<_>>(), ["\r\n>", "\r\nERROR: 0x4\r\n", PONG]);
}

#[test]
fn an_ignored_command_is_not_carried_out_and_a_lost_reply_is() {
    let lines = ["MC+SETLED=CONN,ON", "MC+GETLED=CONN"];
    for (effect, state) in [(Effect::Ignore, "OFF"), (Effect::LoseReply, "ON")] {
        let played = play(&[on("MC+SETLED", Occurrence::Nth(1), effect)], &lines);
        assert_eq!(sent(&played[0]), "");
        assert_eq!(sent(&played[1]), format!("\r\nLED:CONN is {state}\n\r\r\nOK\r\n"));
    }
}

#[test]
fn a_split_reply_pauses_in_the_middle() {
    let pause = Duration::from_millis(20);
    let fault = on("MC+PING", Occurrence::Nth(1), Effect::Split { offset: 5, pause });
    let steps = &play(&[fault], &["MC+PING=000001"])[0];
    assert_eq!(*steps, [Step::Send(b"\r\nMC+".into()), Step::Pause(pause), Step::Send(PONG[5..].into())]);
}

#[test]
fn a_trickling_reply_pauses_after_each_byte() {
    let pause = Duration::from_millis(1);
    let fault = on("MC+PING", Occurrence::Nth(1), Effect::Trickle { pause });
    let steps = &play(&[fault], &["MC+PING=000001"])[0];
    let pieces = steps.iter().filter(|step| matches!(step, Step::Send(bytes) if bytes.len() == 1)).count();
    assert_eq!((pieces, sent(steps)), (PONG.len(), PONG.to_owned()));
    assert_eq!(steps.iter().filter(|step| **step == Step::Pause(pause)).count(), PONG.len() - 1);
}

#[test]
fn a_blob_that_lost_a_character_takes_the_line_end_for_it() {
    let fault = Fault {
        on: Trigger { command: None, stage: Stage::Blob, occurrence: Occurrence::Nth(1) },
        effect: Effect::Request(Damage::Drop { offset: 0 }),
    };
    let played = play(&[fault], &["MC+WINC+WRITEBLOB=20480,2,4", "1234", "", "MC+WINC+READ=20480,2"]);
    let sent: Vec<_> = played.iter().map(|steps| sent(steps)).collect();
    assert_eq!(sent, ["\r\n>", "", "\r\n\r\nOK\r\n", "\r\n2340\r\nOK\r\n"]);
}

#[test]
fn unplugging_ends_the_exchange() {
    for progress in [Progress::Before, Progress::Half, Progress::Done] {
        let fault = on("MC+PING", Occurrence::Nth(1), Effect::Unplug(progress));
        let played = play(&[fault], &["MC+PING=000001"]);
        assert_eq!((played[0].last(), sent(&played[0])), (Some(&Step::Unplug), String::new()));
    }
}

#[test]
fn power_lost_in_the_middle_leaves_half_of_it() {
    let mut injector = Injector::default();
    let on = Trigger { command: None, stage: Stage::Blob, occurrence: Occurrence::Nth(1) };
    injector.inject(Fault { on, effect: Effect::Unplug(Progress::Half) });
    let mut firmware = Firmware::new(Kit::AvrIotWg, Seed(7), Profile::Mah1h).unwrap();
    for byte in *b"MC+WINC+WRITEBLOB=20480,4,8\r01020304\r" {
        if let Some(line) = firmware.receive(byte) {
            injector.exchange(&mut firmware, line);
        }
    }
    assert_eq!(firmware.flash.image()[0x5000..0x5004], [1, 2, 0xFF, 0xFF]);
}

#[test]
fn a_reset_cuts_the_reply_and_prints_the_banner() {
    let fault = on("MC+PING", Occurrence::Nth(1), Effect::Reset { offset: 4 });
    let steps = &play(&[fault], &["MC+PING=000001"])[0];
    assert!(sent(steps).starts_with("\r\nMCWelcome to the avr-iot command handler!\r\n"));
    assert!(steps.contains(&Step::Work(Work::Boot)));
}
