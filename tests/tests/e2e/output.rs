//! Results that cannot be printed, readers that have enough, and paths that are not UTF-8.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use serde_json::Value;
use testbed::board::{Options, SimulatedBoard};

use crate::account::Account;
use crate::laptop::Laptop;

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

/// A home with something to show for every command that only shows.
fn laptop() -> (Laptop, SimulatedBoard) {
    let laptop = Laptop::with_ca();
    let board = SimulatedBoard::start(Options::instant(1)).unwrap();
    let port = board.path().to_str().unwrap();
    let provisioned = laptop.run(&["provision", "-P", port, "--endpoint", ENDPOINT], &[]);
    assert_eq!(provisioned.code, 0, "{provisioned}");
    (laptop, board)
}

/// Commands that print to stdout without an account, in both forms of the output where they have two.
const SHOWING: [&[&str]; 16] = [
    &["--help"],
    &["--version"],
    &["help"],
    &["help", "ca", "create"],
    &["completions", "bash"],
    &["completions", "zsh"],
    &["ca", "show"],
    &["ca", "crl", "--dry-run"],
    &["ca", "create", "--force", "--dry-run"],
    &["ledger"],
    &["ledger", "check"],
    &["ledger", "export", "--csv", "-"],
    &["audit", "show"],
    &["audit", "verify"],
    &["boards"],
    &["provision", "--dry-run", "--endpoint", ENDPOINT],
];

fn forms(arguments: &[&'static str]) -> Vec<Vec<&'static str>> {
    let plain = arguments.to_vec();
    // `help` takes the words of a command alone.
    let json = (arguments[0] != "help").then(|| [arguments, &["--output", "json"]].concat());
    [Some(plain), json].into_iter().flatten().collect()
}

#[test]
fn what_cannot_be_printed_is_an_error_that_says_so() {
    let (laptop, board) = laptop();
    let ports = [("MICROCHIP_IOT_PORTS", board.path().to_str().unwrap())];
    for arguments in SHOWING.iter().flat_map(|arguments| forms(arguments)) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let run = laptop.command(&arguments, &ports).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(1), "{arguments:?}: {said}");
        let told =
            "error: cannot print the output\n  caused by: No space left on device (os error 28)\nhelp: ";
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_nothing_and_hears_nothing() {
    let (laptop, board) = laptop();
    let ports = [("MICROCHIP_IOT_PORTS", board.path().to_str().unwrap())];
    for arguments in SHOWING.iter().flat_map(|arguments| forms(arguments)) {
        let mut command = laptop.command(&arguments, &ports);
        let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Nothing is read, or a line.
        let reader = BufReader::new(run.stdout.take().unwrap());
        drop(match arguments[0] {
            "completions" => reader.lines().take(1).map(Result::unwrap).collect(),
            _ => Vec::new(),
        });
        let mut said = String::new();
        run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("error") && !said.contains("panicked"), "{arguments:?}: {said}");
    }
}

/// Where nobody reads on, a list is not read to its end: the damaged line there is not told.
#[test]
fn a_list_ends_with_its_reader() {
    const LINES: usize = 20_000;
    let laptop = Laptop::with_ca();
    let line = |board: usize| {
        format!(
            r#"{{"when":"2026-03-01T08:30:15Z","station":"s","port":"p","usb_serial":"K{board}","secure_element_serial":"E{board}",
            "thing_name":"t{board}","certificate_id":"{board:064x}","method":"jitr","outcome":"provisioned","error":null,"seconds":1}}"#
        )
        .replace('\n', "")
    };
    let text: String = (0..LINES).map(|board| line(board) + "\n").collect();
    std::fs::write(laptop.folder().join("ledger.jsonl"), text + "damaged\n").unwrap();
    for arguments in [&["ledger"][..], &["ledger", "--serial", "0"], &["ledger", "export", "--csv", "-"]] {
        let whole = laptop.command(arguments, &[]).output().unwrap();
        assert!(String::from_utf8_lossy(&whole.stderr).contains("is not an entry"), "{arguments:?}");
        let mut command = laptop.command(arguments, &[]);
        let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(run.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let mut said = String::new();
        run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((run.wait().unwrap().code(), &*said), (Some(0), ""), "{arguments:?}");
    }
    let checked = laptop.run(&["ledger", "check", "--output", "json"], &[]);
    assert_eq!(checked.code, 0, "{checked}");
}

#[test]
fn nobody_reads_what_is_noted_and_the_work_goes_on() {
    let (laptop, board) = laptop();
    let port = board.path().to_str().unwrap();
    let provision =
        ["provision", "-P", port, "--endpoint", ENDPOINT, "--force", "-l", "debug", "--output", "json"];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let run = laptop.command(&provision, &[]).stderr(full).output().unwrap();
    assert_eq!(run.status.code(), Some(0));
    let line: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(line["outcome"], "provisioned");
}

#[test]
fn help_that_cannot_be_printed_is_an_error_of_every_program() {
    for (program, arguments) in [
        ("provisioner", &["--help"][..]),
        ("provisioner", &["--version"]),
        ("provisioner", &["help", "ca"]),
        ("provisioner", &["ca", "rotate", "--help"]),
        ("testbed", &["--help"]),
        ("testbed", &["--version"]),
        ("testbed", &["help", "serve"]),
        ("testbed", &["serve", "-h"]),
        ("jitr", &["--help"]),
        ("jitr", &["--version"]),
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let path = crate::laptop::built(program);
        let run = Command::new(path).args(arguments).stdout(full).output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(1), "{program} {arguments:?}: {said}");
        assert!(said.contains("No space left on device"), "{program} {arguments:?}: {said}");
    }
}

#[test]
fn what_cannot_be_printed_ends_with_1_also_where_a_board_fails() {
    let laptop = Laptop::with_ca();
    let board = SimulatedBoard::start(Options::instant(1)).unwrap();
    let ports = format!("{},/dev/nowhere", board.path().display());
    let full = File::options().write(true).open("/dev/full").unwrap();
    let all = ["provision", "--all", "--endpoint", ENDPOINT];
    let run = laptop.command(&all, &[("MICROCHIP_IOT_PORTS", &ports)]).stdout(full).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("1 of 2 boards failed") && said.contains("cannot print the output"), "{said}");
    let run = laptop.run(&all, &[("MICROCHIP_IOT_PORTS", &ports)]);
    assert_eq!(run.code, 3, "{run}");
}

#[test]
fn a_run_that_cannot_print_still_does_all_its_boards() {
    let laptop = Laptop::with_ca();
    let boards = [1, 2, 3].map(|seed| SimulatedBoard::start(Options::instant(seed)).unwrap());
    let ports: Vec<_> = boards.iter().map(|board| board.path().display().to_string()).collect();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let all = ["provision", "--all", "--endpoint", ENDPOINT];
    let run =
        laptop.command(&all, &[("MICROCHIP_IOT_PORTS", &ports.join(","))]).stdout(full).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot print the output"), "{said}");
    assert!(boards.iter().all(|board| board.led("CONN") == Some(true)));
    assert_eq!(laptop.run(&["ledger", "--output", "json"], &[]).stdout.lines().count(), 3);
}

#[test]
fn without_a_terminal_there_is_progress_and_a_summary() {
    let laptop = Laptop::with_ca();
    let boards = [1, 2].map(|seed| SimulatedBoard::start(Options::instant(seed)).unwrap());
    let ports: Vec<_> = boards.iter().map(|board| board.path().display().to_string()).collect();
    let all = ["provision", "--all", "--force", "--endpoint", ENDPOINT];
    for (form, ends) in [(&[][..], true), (&["--output", "human"], false)] {
        let run = laptop.run(&[&all, form].concat(), &[("MICROCHIP_IOT_PORTS", &ports.join(","))]);
        let begun: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("at work  ")).collect();
        assert!(ports.iter().all(|port| begun.iter().any(|line| line.contains(port))), "{run}");
        let summed = |text: &str| text.contains("2 provisioned, 0 already provisioned, 0 failed");
        assert_eq!((summed(&run.stderr), summed(&run.stdout)), (ends, !ends), "{run}");
    }
}

#[test]
fn paths_that_are_not_utf_8_are_shown_in_whole_lines() {
    let laptop = Laptop::new();
    let strange = laptop.folder().with_file_name(OsStr::from_bytes(b"h\xffome"));
    let out = strange.with_file_name(OsStr::from_bytes(b"out\xff"));
    std::fs::create_dir(&out).unwrap();
    let board = SimulatedBoard::start(Options::instant(1)).unwrap();
    let port = board.path().to_str().unwrap();
    let run = |arguments: &[&str], folder: bool| {
        let mut command = laptop.command(arguments, &[]);
        command.arg("--home").arg(&strange);
        if folder {
            command.arg(&out);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        // Text for people is UTF-8, too.
        let text = String::from_utf8(output.stdout).unwrap();
        if arguments.contains(&"json") {
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert!(!lines.is_empty() && lines.iter().all(Value::is_object), "{arguments:?}: {text}");
        }
        text
    };
    assert!(run(&["ca", "create"], false).contains("h\u{fffd}ome"));
    for form in ["human", "json"] {
        run(&["ca", "show", "--output", form], false);
        assert!(run(&["ca", "crl", "--output", form], false).contains("h\u{fffd}ome"));
        let provision = ["provision", "-P", port, "--endpoint", ENDPOINT, "--force", "--output", form];
        assert!(run(&provision, false).contains("h\u{fffd}ome"));
        assert!(run(&["ca", "export-root", "--dry-run", "--output", form], true).contains("out\u{fffd}"));
        for showing in [&["ledger"][..], &["audit", "show"], &["ledger", "check"]] {
            run(&[showing, &["--output", form]].concat(), false);
        }
    }
    let csr = ["provision", "-P", port, "--csr-only", "--force", "--output", "json"];
    assert!(run(&csr, false).contains("h\u{fffd}ome"));
}

/// Commands that print what there is in the account.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_of_an_account_cannot_get_lost_either() {
    let (account, laptop) = (Account::empty().await, Laptop::with_ca());
    let access = account.testbed.access();
    let environment: Vec<_> = access.environment().into_iter().collect();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let run = |arguments: &[&str]| {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = laptop.command(arguments, &environment);
        let run = tokio::task::block_in_place(|| command.stdout(full).output()).unwrap();
        (run.status.code(), String::from_utf8(run.stderr).unwrap())
    };
    let (code, said) = run(&["setup", "--method", "mar", "--dry-run"]);
    assert!(code == Some(1) && said.contains("cannot print the output"), "{said}");
    // What was found is told, and not all of it is printed.
    let (code, said) = run(&["doctor"]);
    assert!(code == Some(1) && said.contains("cannot print the output"), "{said}");
}

/// 1 MiB is what Windows gives the main thread.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_stack_of_the_main_thread_is_enough_for_every_command() {
    let (account, (laptop, board)) = (Account::empty().await, laptop());
    let port = board.path().to_str().unwrap();
    let access = account.testbed.access();
    let environment: Vec<_> = access.environment().into_iter().collect();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    for (code, arguments) in [
        (0, &["ca", "create"][..]),
        (0, &["setup", "--method", "mar"]),
        (4, &["setup"]),
        (4, &["doctor"]),
        (0, &["provision", "-P", port, "-m", "mar", "--force"]),
        (0, &["certificates"]),
        (0, &["roots", "show", "-P", port]),
        (0, &["inspect", "-P", port]),
        (0, &["audit", "verify"]),
        (0, &["teardown", "--yes"]),
    ] {
        let run = || laptop.run_limited("ulimit -s 1024", arguments, &environment);
        let run = tokio::task::block_in_place(run);
        assert_eq!(run.code, code, "{arguments:?}: {run}");
    }
}
