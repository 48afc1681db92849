//! Faults in the middle: what a run survives by itself, and what the next run completes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use testbed::board::firmware::Stage;
use testbed::faults::{Damage, Effect, Fault, Occurrence, Progress, Trigger};

fn at(command: &str, stage: Stage, occurrence: u32, effect: Effect) -> Fault {
    let occurrence = Occurrence::Nth(occurrence);
    Fault { on: Trigger { command: Some(command.into()), stage, occurrence }, effect }
}

/// How often each command comes in a run that goes well.
fn commands_of_a_run() -> BTreeMap<String, u32> {
    let (laptop, board) = (Laptop::with_ca(), board());
    assert_eq!(provision(&laptop, &board, &[]).code, 0);
    let mut counts = BTreeMap::new();
    for command in board.take_statistics().commands {
        *counts.entry(command).or_default() += 1;
    }
    counts
}

/// Does `each` for every command of a run that goes well, side by side, each with a laptop of its own; mostly they wait.
fn for_each_command<T: Send>(each: impl Fn(&Laptop, &str, u32) -> T + Sync) -> Vec<T> {
    let commands = commands_of_a_run();
    std::thread::scope(|scope| {
        let start = |(command, count)| {
            let (command, count, each): (&String, &u32, _) = (command, count, &each);
            scope.spawn(move || each(&Laptop::with_ca(), command, *count))
        };
        let running: Vec<_> = commands.iter().map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn unplugged_at_any_command_the_next_run_completes() {
    let messages = for_each_command(|laptop, command, count| {
        let mut messages = BTreeSet::new();
        // The first and the last of each, before, in the middle and after it has been carried out.
        let stage = if command.ends_with("WRITEBLOB") { Stage::Blob } else { Stage::Request };
        let cases = [1, count].into_iter().flat_map(|occurrence| {
            [Progress::Before, Progress::Half, Progress::Done].map(|progress| (occurrence, progress))
        });
        for (occurrence, progress) in cases {
            let case = format!("{command} {occurrence} {progress:?}");
            let mut board = board();
            // With a certificate from an earlier round on the disk or without, it must work.
            if occurrence == 1 {
                let _ = std::fs::remove_dir_all(laptop.folder().join(board.ecc_serial()));
            }
            board.inject(at(command, stage, occurrence, Effect::Unplug(progress)));
            let outcome = provision(laptop, &board, &["--force"]);
            assert_no_half_written_file(laptop);
            if command == "MC+SETLED" && occurrence == count {
                // Everything is done by then; the LED is only for the eye.
                assert_eq!(outcome.code, 0, "{case}: {outcome}");
                assert_provisioned(&board, laptop, &board.ecc_serial());
            } else {
                assert_eq!(outcome.code, 3, "{case}: {outcome}");
                messages.insert(outcome.to_string());
            }
            board.plug().unwrap();
            let next = provision(laptop, &board, &[]);
            assert_eq!(next.code, 0, "{case}: {next}");
            assert_provisioned(&board, laptop, &board.ecc_serial());
        }
        messages
    });
    let messages: BTreeSet<_> = messages.into_iter().flatten().collect();
    insta::assert_snapshot!(messages.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_passing_fault_is_got_over_in_the_same_run() {
    let noise = |offset| Damage::Insert { offset, bytes: b"\xFF~#\r\n".to_vec() };
    for_each_command(|laptop, command, count| {
        for effect in [
            Effect::Reply(noise(0)),
            Effect::Reply(noise(1)),
            Effect::Reply(noise(usize::MAX)),
            Effect::Reply(Damage::Drop { offset: 2 }),
            Effect::Reply(Damage::Double { offset: 2 }),
            Effect::Request(Damage::Drop { offset: 3 }),
            Effect::Request(Damage::Double { offset: 3 }),
            Effect::Split { offset: 1, pause: Duration::from_millis(20) },
            Effect::Error(0x0201),
            Effect::Ignore,
            Effect::LoseReply,
            Effect::Reset { offset: 1 },
        ] {
            let board = board();
            board.inject(at(command, Stage::Request, count, effect.clone()));
            let outcome = provision(laptop, &board, &["--force"]);
            assert_eq!(outcome.code, 0, "{command} {effect:?}: {outcome}");
            assert_provisioned(&board, laptop, &board.ecc_serial());
        }
    });
}

#[test]
fn a_page_that_reads_back_wrong_once_is_got_over_and_one_that_always_does_is_reported() {
    let laptop = Laptop::with_ca();
    let wrong = Effect::Reply(Damage::Alter { offset: 7 });
    let once = board();
    let reads = commands_of_a_run()["MC+WINC+READ"];
    once.inject(at("MC+WINC+READ", Stage::Request, reads, wrong.clone()));
    let outcome = provision(&laptop, &once, &[]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_provisioned(&once, &laptop, &once.ecc_serial());

    let always = board();
    always.inject(Fault {
        on: Trigger {
            command: Some("MC+WINC+READ".into()),
            stage: Stage::Request,
            occurrence: Occurrence::From(1),
        },
        effect: wrong,
    });
    let outcome = provision(&laptop, &always, &[]);
    assert_eq!(outcome.code, 3, "{outcome}");
    always.clear_faults();
    let next = provision(&laptop, &always, &[]);
    assert_eq!(next.code, 0, "{next}");
    assert_provisioned(&always, &laptop, &always.ecc_serial());
    insta::assert_snapshot!(outcome);
}
