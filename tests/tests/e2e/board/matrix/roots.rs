//! The fault matrix of `roots install`: no fault loses the roots that the board came with, the next run installs the new ones,
//! and `roots restore` puts the old ones back, byte for byte.

use super::rows::Spot;
use super::*;
use testbed::board::firmware::Stage;
use testbed::faults::{Damage, Effect, Progress, Trigger};

const SECTOR: std::ops::Range<usize> = 0x4000..0x5000;
const READ: &str = "MC+WINC+READ";
const ERASE: &str = CHANGES[0];
const WRITE: &str = CHANGES[1];

struct Row {
    fault: &'static str,
    spot: &'static str,
    cases: Vec<Trouble>,
}

/// What goes wrong.
enum Trouble {
    Board(Fault),
    /// The tool is killed while it waits for the answer that this fault keeps back.
    Kill(Fault),
    KillAtChanges,
    FullDisk,
    /// A page is written wrong each time that the new store is written, and not when the old one is put back.
    PutBack(Effect),
}

fn install(board: &SimulatedBoard) -> Vec<&str> {
    vec!["roots", "install", "--port", board.path().to_str().unwrap()]
}

fn run(laptop: &Laptop, arguments: &[&str], board: &SimulatedBoard) -> Outcome {
    named(laptop.run(arguments, &[]), board)
}

fn factory() -> Vec<u8> {
    super::super::board().flash()
}

/// The copy of what the board came with, once there is one.
fn copy(laptop: &Laptop, board: &SimulatedBoard) -> Option<Vec<u8>> {
    std::fs::read(laptop.folder().join(board.ecc_serial()).join("root-store-1.bin")).ok()
}

/// Asserts that the next run installs the roots, and that what the board came with can be put back.
fn assert_next_run_installs(laptop: &Laptop, board: &SimulatedBoard, title: &str) {
    let next = run(laptop, &install(board), board);
    assert_eq!(next.code, 0, "{title}: {next}");
    let (flash, factory) = (board.flash(), factory());
    assert_eq!(flash[SECTOR.start + 16..][..4], [3, 0, 0, 0], "{title}: not three roots");
    assert!(flash[SECTOR.start + 736..SECTOR.end].iter().all(|byte| *byte == 0xFF), "{title}");
    assert!(copy(laptop, board).unwrap() == factory[SECTOR], "{title}: the first copy is another one");
    let restored = run(laptop, &["roots", "restore", "--port", board.path().to_str().unwrap()], board);
    assert_eq!(restored.code, 0, "{title}: {restored}");
    assert!(board.flash() == factory, "{title}: not every byte is back");
}

fn outside() -> [std::ops::Range<usize>; 2] {
    [0..SECTOR.start, SECTOR.end..0x10_0000]
}

fn strike(trouble: &Trouble, fault: &str) -> Vec<Seen> {
    let (laptop, mut board) = (Laptop::new(), super::super::board());
    let title = match trouble {
        Trouble::Board(fault) | Trouble::Kill(fault) => format!("{fault:?}"),
        _ => fault.to_owned(),
    };
    let outcome = match trouble {
        Trouble::Board(fault) => {
            board.inject(fault.clone());
            run(&laptop, &install(&board), &board)
        }
        Trouble::Kill(fault) => killed_waiting(&laptop, &board, &install(&board), fault),
        Trouble::PutBack(effect) => {
            // The new store has three pages.
            for first in [1, 4] {
                let on = Trigger {
                    command: Some(WRITE.into()),
                    stage: Stage::Blob,
                    occurrence: Occurrence::Nth(first),
                };
                board.inject(Fault { on, effect: effect.clone() });
            }
            let outcome = run(&laptop, &install(&board), &board);
            assert!(board.flash() == factory(), "{title}: the old content is not back: {outcome}");
            outcome
        }
        Trouble::FullDisk => named(laptop.run_with_full_disk(&install(&board)), &board),
        Trouble::KillAtChanges => {
            let new = || {
                let laptop = Laptop::new();
                std::fs::create_dir_all(laptop.folder().join(board.ecc_serial())).unwrap();
                laptop
            };
            let after = |laptop: &Laptop| assert_next_run_installs(laptop, &board, &title);
            let killed = killed_at_changes(new, (&install(&board), &[]), after);
            assert!(killed.len() >= 4, "{title}: only {} runs were killed", killed.len());
            return killed.iter().map(Seen::new).collect();
        }
    };
    let (flash, factory) = (board.flash(), factory());
    if flash[SECTOR] != factory[SECTOR] {
        assert!(
            copy(&laptop, &board).is_some_and(|copy| copy == factory[SECTOR]),
            "{title}: nothing was kept"
        );
    }
    if outcome.code == 0 {
        assert_eq!(flash[SECTOR.start + 16..][..4], [3, 0, 0, 0], "{title}: {outcome}");
    }
    if outside().into_iter().any(|range| flash[range.clone()] != factory[range]) {
        // What a command that was garbled did elsewhere is told, and can only be repaired with another tool.
        let told = outcome.to_string();
        assert_eq!(outcome.code, 3, "{title}: {outcome}");
        assert!(told.contains("boot sector") || told.contains("at another address"), "{title}: {outcome}");
        board.change_flash(|flash| {
            outside().into_iter().for_each(|range| flash[range.clone()].copy_from_slice(&factory[range]));
        });
    }
    board.clear_faults();
    board.plug().unwrap();
    assert_next_run_installs(&laptop, &board, &title);
    vec![Seen::new(&outcome)]
}

fn rows() -> Vec<Row> {
    let (laptop, board) = (Laptop::new(), super::super::board());
    let outcome = run(&laptop, &install(&board), &board);
    assert_eq!(outcome.code, 0, "{outcome}");
    let commands = counted(&board);
    let row = |fault, spot: Spot, effects: &[Effect]| {
        let faults = effects.iter().flat_map(|effect| spot.faults(&commands, effect));
        Row { fault, spot: spot.says(), cases: faults.map(Trouble::Board).collect() }
    };
    let arguments = |command: &str, damage: fn(usize) -> Damage| -> Vec<Effect> {
        let end = command.len() + if command == WRITE { "=16384,256,512".len() } else { "=16384".len() };
        (command.len()..end).map(|offset| Effect::Request(damage(offset))).collect()
    };
    let drop: fn(usize) -> Damage = |offset| Damage::Drop { offset };
    let double: fn(usize) -> Damage = |offset| Damage::Double { offset };
    let alter = Damage::Alter { offset: 3 };
    let each_read = (1..=commands[READ]).map(|nth| {
        let on =
            Trigger { command: Some(READ.into()), stage: Stage::Request, occurrence: Occurrence::Nth(nth) };
        Trouble::Board(Fault { on, effect: Effect::Reply(alter.clone()) })
    });
    let waits = [Effect::Ignore, Effect::LoseReply];
    let killed = [ERASE, WRITE].into_iter().flat_map(|command| {
        waits.iter().flat_map(|effect| Spot::OnceAt(command).faults(&commands, effect)).collect::<Vec<_>>()
    });
    vec![
        row("unplugged in the middle", Spot::Each, &[Effect::Unplug(Progress::Half)]),
        row("ERROR", Spot::Lasting, &[Effect::Error(0x0201)]),
        row("any character of the erase lost", Spot::OnceAt(ERASE), &arguments(ERASE, drop)),
        row("any character of the erase doubled", Spot::OnceAt(ERASE), &arguments(ERASE, double)),
        row("any character of a write lost", Spot::OnceAt(WRITE), &arguments(WRITE, drop)),
        row("any character of a write doubled", Spot::OnceAt(WRITE), &arguments(WRITE, double)),
        row("a page is written wrong", Spot::DataOnceAt(WRITE), &[Effect::Request(alter.clone())]),
        row("a page is written wrong", Spot::DataLastingAt(WRITE), &[Effect::Request(alter.clone())]),
        Row {
            fault: "a page is written wrong",
            spot: "twice",
            cases: vec![Trouble::PutBack(Effect::Request(alter.clone()))],
        },
        Row { fault: "a page reads wrong", spot: "each time", cases: each_read.collect() },
        Row {
            fault: "the tool killed while it waits",
            spot: "erase, write",
            cases: killed.map(Trouble::Kill).collect(),
        },
        Row { fault: "the tool killed", spot: "every file write", cases: vec![Trouble::KillAtChanges] },
        Row { fault: "a full disk", spot: "the whole run", cases: vec![Trouble::FullDisk] },
    ]
}

#[test]
fn no_fault_loses_the_roots_that_a_board_came_with() {
    let rows = rows();
    let seen = fan_out(
        rows.iter().map(|row| row.cases.as_slice()),
        || (),
        |(), row, case| strike(case, rows[row].fault),
    );
    insta::assert_snapshot!(table(rows.iter().map(|row| (row.fault, row.spot)), &seen));
}
