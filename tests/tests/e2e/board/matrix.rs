//! The fault matrix: for each fault what the user sees, how the run ends, and that the next run completes the board.

mod methods;
mod roots;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::laptop::{KILLED, killed};
use rows::{Case, rows};
use testbed::faults::{Fault, Occurrence};

/// Runs side by side. Most of them wait for a board that does not answer.
const WORKERS: usize = 12;

/// The tests here come one after the other: together they would starve each other until boards seem silent.
static ALONE: Mutex<()> = Mutex::new(());

/// How a run with a fault ended, as the table shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    exit: String,
    /// The next step in the message.
    help: String,
    /// The cause in the message.
    message: String,
}

#[test]
fn whatever_happens_the_user_is_told_and_the_next_run_completes_the_board() {
    let rows = rows(&commands_of_a_run());
    let cases = rows.iter().map(|row| row.cases.as_slice());
    let seen = fan_out(cases, Laptop::with_ca, |laptop, row, case| {
        strike(laptop, case, &format!("{}: {case:?}", rows[row].fault))
    });
    insta::assert_snapshot!(table(rows.iter().map(|row| (row.fault, row.spot)), &seen));
}

/// Works through the cases of each row, several at a time, each worker with a desk of its own; gives what was seen, by row.
fn fan_out<'a, C: Sync + 'a, D>(
    rows: impl Iterator<Item = &'a [C]>,
    desk: impl Fn() -> D + Sync,
    strike: impl Fn(&D, usize, &C) -> Vec<Seen> + Sync,
) -> Vec<BTreeSet<Seen>> {
    let rows: Vec<&[C]> = rows.collect();
    // The last ones take longest.
    let each = rows.iter().enumerate().rev();
    let cases: Vec<_> = each.flat_map(|(row, cases)| cases.iter().map(move |case| (row, case))).collect();
    let next = AtomicUsize::new(0);
    let seen = Mutex::new(vec![BTreeSet::new(); rows.len()]);
    let _alone = ALONE.lock();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let desk = desk();
                while let Some((row, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = strike(&desk, *row, case);
                    seen.lock().unwrap()[*row].extend(found);
                }
            });
        }
    });
    seen.into_inner().unwrap()
}

/// How often each command comes in a run that goes well.
fn commands_of_a_run() -> BTreeMap<String, u32> {
    let (laptop, board) = (Laptop::with_ca(), board());
    assert_eq!(provision(&laptop, &board, &[]).code, 0);
    counted(&board)
}

/// How often each command has come to a board.
fn counted(board: &SimulatedBoard) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for command in board.take_statistics().commands {
        *counts.entry(command).or_default() += 1;
    }
    counts
}

/// `rows` are the faults and where they strike.
fn table<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>, seen: &[BTreeSet<Seen>]) -> String {
    let line = |fault: &str, spot: &str, exit: &str, next: &str, text: &str| {
        format!("{fault:<37}  {spot:<30}  {exit:<6}  {next:<9}  {text}").trim_end().to_owned()
    };
    let mut lines = vec![line("fault", "where", "exit", "next run", "what the user sees"), "-".repeat(120)];
    for ((mut fault, mut spot), endings) in rows.zip(seen) {
        let endings: Vec<&Seen> = endings.iter().collect();
        // Endings with the same next step stand together.
        for alike in endings.chunk_by(|a, b| (&a.exit, &a.help) == (&b.exit, &b.help)) {
            let (mut exit, mut next) = (alike[0].exit.as_str(), "completes");
            let texts = alike.iter().map(|seen| &seen.message).chain([&alike[0].help]);
            for text in texts.filter(|text| !text.is_empty()) {
                lines.push(line(fault, spot, exit, next, text));
                (fault, spot, exit, next) = ("", "", "", "");
            }
        }
    }
    lines.join("\n")
}

/// A board that was provisioned before, so that both sectors have to be erased.
fn board() -> SimulatedBoard {
    used(super::board())
}

fn used(board: SimulatedBoard) -> SimulatedBoard {
    board.change_flash(|flash| {
        for page in [0x5000..0x5580, 0x6E00..0x6E40, 0x6F00..0x6F29] {
            flash[page].fill(0x3C);
        }
    });
    board
}

/// Lets a fault strike a run, and asserts that the next run completes the board.
fn strike(laptop: &Laptop, case: &Case, title: &str) -> Vec<Seen> {
    let mut board = match case {
        Case::State(kit, _) => {
            used(SimulatedBoard::start(Options { kit: *kit, ..Options::instant(SEED) }).unwrap())
        }
        _ => board(),
    };
    let outcome = match case {
        Case::Board(faults) => {
            faults.iter().for_each(|fault| board.inject(fault.clone()));
            provision(laptop, &board, &["--force"])
        }
        Case::State(_, sent) => {
            let mut port = serialport::new(board.path().to_str().unwrap(), 115_200).open().unwrap();
            port.write_all(sent).unwrap();
            drop(port);
            provision(laptop, &board, &["--force"])
        }
        Case::OtherProgram => {
            let _other = serialport::new(board.path().to_str().unwrap(), 115_200).open().unwrap();
            provision(laptop, &board, &["--force"])
        }
        Case::FullDisk => named(laptop.run_with_full_disk(&forced(&board)), &board),
        Case::Kill(fault) => killed_waiting(laptop, &board, &forced(&board), fault),
        Case::KillAtChanges => return killed_at_changes_of_a_board(&board, title),
        Case::KillAtChangesOfAuthorities => return killed_at_changes_of_authorities(&board, title),
    };
    assert_files_whole(laptop);
    if outcome.code == 0 {
        assert_provisioned(&board, laptop, &board.ecc_serial());
    }
    if let Case::State(..) = case {
        assert_eq!(outcome.code, 0, "{title}: {outcome}");
        let locked = (0..16).filter(|slot| board.is_locked(*slot)).count();
        assert_eq!(locked, 0, "{title}: a slot was locked");
    }
    if !module_is_whole(&board) {
        // What a command that was garbled did to the module's firmware is told, and can only be repaired with another tool.
        let told = outcome.to_string();
        assert_eq!(outcome.code, 3, "{title}: {outcome}");
        assert!(told.contains("boot sector") || told.contains("at another address"), "{title}: {outcome}");
        assert_eq!((board.led("ERROR"), board.led("CONN")), (Some(true), Some(false)), "{title}");
        let factory = super::board().flash();
        board.change_flash(|flash| {
            outside_the_store().for_each(|range| flash[range.clone()].copy_from_slice(&factory[range]));
        });
    }
    let before_all = match case {
        Case::Board(faults) => outcome.code != 0 && faults.iter().all(|fault| fault.on.command.is_none()),
        Case::OtherProgram | Case::FullDisk => true,
        _ => false,
    };
    if before_all {
        let statistics = board.take_statistics();
        assert_eq!(CHANGES.map(|change| statistics.count(change)), [0, 0], "{title}: {outcome}");
    }
    if outcome.code != KILLED {
        assert_no_half_written_file(laptop);
    }
    board.clear_faults();
    board.plug().unwrap();
    assert_next_run_completes(laptop, &board, title);
    if outcome.code == KILLED {
        assert_no_leftover_with_content(laptop);
    }
    vec![Seen::new(&outcome)]
}

/// What of the module's flash is none of the provisioner's business.
fn outside_the_store() -> impl Iterator<Item = std::ops::Range<usize>> {
    [0..0x5000, 0x7000..0x10_0000].into_iter()
}

fn module_is_whole(board: &SimulatedBoard) -> bool {
    let (flash, factory) = (board.flash(), super::board().flash());
    outside_the_store().all(|range| flash[range.clone()] == factory[range])
}

fn assert_next_run_completes(laptop: &Laptop, board: &SimulatedBoard, title: &str) {
    let next = provision(laptop, board, &[]);
    assert_eq!(next.code, 0, "{title}: {next}");
    assert_provisioned(board, laptop, &board.ecc_serial());
}

/// Arguments with which a run does every step, for any state of board and laptop.
fn forced(board: &SimulatedBoard) -> Vec<&str> {
    let port = board.path().to_str().unwrap();
    vec!["provision", "--method", "jitr", "--endpoint", ENDPOINT, "--port", port, "--force"]
}

fn named(outcome: Outcome, board: &SimulatedBoard) -> Outcome {
    outcome.naming(board.path().to_str().unwrap(), "PORT").naming(board.ecc_serial(), "ECC_SERIAL")
}

/// Kills a run once the command has come whose answer `fault` keeps back.
fn killed_waiting(laptop: &Laptop, board: &SimulatedBoard, arguments: &[&str], fault: &Fault) -> Outcome {
    let (Some(command), Occurrence::Nth(nth)) = (&fault.on.command, fault.on.occurrence) else {
        panic!("no single moment: {fault:?}")
    };
    board.inject(fault.clone());
    let mut run = laptop.start(arguments, &[]);
    let mut come = 0;
    testbed::wait::until("the command, or the end of the run", || {
        come += board.take_statistics().count(command);
        come >= nth as usize || run.try_wait().unwrap().is_some()
    })
    .unwrap();
    run.kill().unwrap();
    named(laptop.outcome(arguments, run.wait_with_output().unwrap()), board)
}

/// Kills runs at every change of a file; gives how they ended. No file is ever half written, and nothing is left over.
fn killed_at_changes(
    laptop: impl FnMut() -> Laptop,
    run: (&[&str], &[(&str, &str)]),
    mut after: impl FnMut(&Laptop),
) -> Vec<Outcome> {
    killed::killed_at_changes(laptop, run, |laptop| {
        assert_files_whole(laptop);
        after(laptop);
        assert_no_leftover_with_content(laptop);
    })
}

fn killed_at_changes_of_a_board(board: &SimulatedBoard, title: &str) -> Vec<Seen> {
    let new = || {
        let laptop = Laptop::with_ca();
        std::fs::create_dir(laptop.folder().join(board.ecc_serial())).unwrap();
        laptop
    };
    let after = |laptop: &Laptop| assert_next_run_completes(laptop, board, title);
    let killed = killed_at_changes(new, (&forced(board), &[]), after);
    // Three files are created, filled, given their mode and renamed.
    assert!(killed.len() >= 6, "{title}: only {} runs were killed", killed.len());
    killed.iter().map(Seen::new).collect()
}

fn killed_at_changes_of_authorities(board: &SimulatedBoard, title: &str) -> Vec<Seen> {
    let new = || {
        let laptop = Laptop::new();
        std::fs::create_dir(laptop.folder()).unwrap();
        laptop
    };
    let killed = killed_at_changes(new, (&["ca", "create"], &[]), |laptop| {
        let again = laptop.run(&["ca", "create"], &[]);
        assert_eq!(again.code, 0, "{title}: {again}");
        assert_next_run_completes(laptop, board, title);
    });
    assert!(killed.len() >= 10, "{title}: only {} runs were killed", killed.len());
    killed.iter().map(Seen::new).collect()
}

/// The temporary files of a killed run are removed by the next one. A file that it had only just made has no content yet, and
/// is left until it is old; here it is removed, because it would hide what later runs leave.
fn assert_no_leftover_with_content(laptop: &Laptop) {
    for (path, content) in laptop.files() {
        if path.file_name().unwrap().to_str().unwrap().starts_with(".new-") {
            assert!(content.is_empty(), "{} is left over", path.display());
            std::fs::remove_file(laptop.folder().join(path)).unwrap();
        }
    }
}

impl Seen {
    fn new(outcome: &Outcome) -> Self {
        if outcome.code == KILLED {
            return Self { exit: "killed".into(), help: String::new(), message: "(nothing)".into() };
        }
        let text = outcome.to_string();
        // The first line is the exit code, and of what a run that goes well says, the next one is enough.
        let lines = || text.lines().skip(1).filter(|line| !line.starts_with("board "));
        let help = lines().find(|line| line.starts_with("help: ")).unwrap_or_default().to_owned();
        let mut message = lines().next().unwrap_or_default().to_owned();
        if let Some(cause) = lines().find_map(|line| line.trim_start().strip_prefix("caused by: ")) {
            // The path of a temporary file is another one each time.
            message = format!("{message} ({})", cause.split(" at path").next().unwrap());
        }
        // Which page it was says nothing that the row does not.
        if let Some((before, after)) = message.split_once("flash at 0x") {
            message =
                format!("{before}flash{}", after.trim_start_matches(|digit: char| digit.is_ascii_hexdigit()));
        }
        Self { exit: outcome.code.to_string(), help, message }
    }
}
