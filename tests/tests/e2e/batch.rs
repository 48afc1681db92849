//! Many boards at one station: side by side, as they are plugged in, and each of them in the ledger after every fault.

mod watch;

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::board::firmware::Stage;
use testbed::board::{Options, SimulatedBoard};
use testbed::certificate_store::CertificateStore;
use testbed::faults::{Effect, Fault, Occurrence, Trigger};

use crate::laptop::{Laptop, Outcome};

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

/// A board that answers at once.
fn quick(seed: u64) -> SimulatedBoard {
    SimulatedBoard::start(Options::instant(seed)).unwrap()
}

/// A board that takes its time, like a real one.
fn slow(seed: u64) -> SimulatedBoard {
    SimulatedBoard::start(Options { wire_speed: true, ..Options::instant(seed) }).unwrap()
}

fn port(board: &SimulatedBoard) -> String {
    board.path().display().to_string()
}

/// The list of ports, with USB serial numbers as kits have them.
fn list<'a>(boards: impl IntoIterator<Item = (&'a SimulatedBoard, &'a str)>) -> String {
    let entries: Vec<_> =
        boards.into_iter().map(|(board, serial)| format!("{}={serial}", port(board))).collect();
    entries.join(",")
}

/// A station with boards on its ports.
struct Bench {
    laptop: Laptop,
    boards: Vec<SimulatedBoard>,
    serials: Vec<String>,
}

impl Bench {
    fn new(boards: Vec<SimulatedBoard>) -> Self {
        let serials = (1..=boards.len()).map(|n| format!("MCHP{n:010}")).collect();
        Self { laptop: Laptop::with_ca(), boards, serials }
    }

    fn list(&self) -> String {
        list(self.boards.iter().zip(self.serials.iter().map(String::as_str)))
    }

    fn provision(&self, arguments: &[&str]) -> Outcome {
        let all = ["provision", "--all", "--endpoint", ENDPOINT, "--station", "bench-1"];
        self.named(self.laptop.run(&[&all, arguments].concat(), &[("MICROCHIP_IOT_PORTS", &self.list())]))
    }

    fn ledger(&self, arguments: &[&str]) -> Outcome {
        self.named(self.laptop.run(&[&["ledger"], arguments].concat(), &[]))
    }

    /// What differs from run to run gets names. Longer ones first: `/dev/pts/1` begins `/dev/pts/10`, too.
    fn named(&self, outcome: Outcome) -> Outcome {
        let mut names = Vec::new();
        for (board, number) in self.boards.iter().zip(["A", "B", "C", "D"]) {
            let name = |what: &str| &*format!("{what}_{number}").leak();
            names.push((port(board), name("PORT")));
            names.push((board.ecc_serial(), name("ECC")));
            names.push((thing_name(board), name("THING")));
        }
        names.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        names.into_iter().fold(outcome, |outcome, (value, name)| outcome.naming(value, name))
    }

    fn entries(&self) -> Vec<Value> {
        lines(&self.ledger(&["--output", "json"]).stdout)
    }
}

/// Fails the command, always.
fn failing(board: &SimulatedBoard, command: &str, effect: Effect) {
    let on =
        Trigger { command: Some(command.into()), stage: Stage::Request, occurrence: Occurrence::From(1) };
    board.inject(Fault { on, effect });
}

fn thing_name(board: &SimulatedBoard) -> String {
    let point = [&[4][..], &board.public_key()].concat();
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &point))
}

fn assert_provisioned(board: &SimulatedBoard) {
    let store = CertificateStore::read(&board.flash()).unwrap();
    assert_eq!((store.thing_name, store.endpoint.as_str()), (thing_name(board), ENDPOINT));
    assert_eq!(
        (board.led("CONN"), board.led("ERROR"), board.led("DATA")),
        (Some(true), Some(false), Some(false))
    );
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A field of each object.
fn field<'a>(objects: &'a [Value], name: &str) -> Vec<&'a str> {
    objects.iter().map(|object| object[name].as_str().unwrap_or("-")).collect()
}

fn sorted(mut words: Vec<&str>) -> Vec<&str> {
    words.sort_unstable();
    words
}

/// Text for a snapshot: boards in the order of their names, and without times; without the boards that are begun.
fn steady(text: &str) -> String {
    let mut blocks: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("at work")) {
        match blocks.last_mut() {
            Some(block) if line.starts_with(' ') => block.push_str(&format!("\n{line}")),
            _ => blocks.push(line.to_owned()),
        }
    }
    let is_board = |block: &String| {
        ["provisioned", "already provisioned", "failed", "20"].iter().any(|w| block.starts_with(w))
    };
    let first = blocks.iter().position(is_board).unwrap_or(blocks.len());
    let last = blocks.iter().rposition(is_board).map_or(first, |last| last + 1);
    blocks[first..last]
        .sort_by_key(|block| block.find("PORT_").or(block.find("ECC_")).map(|at| block[at..].to_owned()));
    let steady_line = |line: &str| {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        // How wide a column is depends on the names of ports.
        let columns: Vec<&str> =
            line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        let columns: Vec<String> = columns.into_iter().map(without_time).collect();
        format!("{indent}{}", columns.join("  "))
    };
    blocks.join("\n").lines().map(steady_line).collect::<Vec<_>>().join("\n")
}

/// A column of a table without the time in it.
fn without_time(column: &str) -> String {
    if column.starts_with("20") {
        return "WHEN".to_owned();
    }
    let mut words: Vec<&str> = column.split(' ').collect();
    for at in 1..words.len() {
        if words[at].starts_with('s') && words[at - 1].parse::<f64>().is_ok() {
            words[at - 1] = "N";
        }
    }
    words.join(" ")
}

#[test]
fn a_board_that_fails_holds_up_no_other() {
    let bench = Bench::new((1..=8).map(quick).collect());
    // The first on the list is silent for three seconds; the second has a broken secure element.
    failing(&bench.boards[0], "MC+PING", Effect::Ignore);
    failing(&bench.boards[1], "MC+ECC+GENPUBKEY", Effect::Error(0x01F0));

    let outcome = bench.provision(&[]);
    assert_eq!(outcome.code, 3, "{outcome}");
    let objects = lines(&outcome.stdout);
    let ended = &objects[..8];
    assert_eq!(sorted(field(ended, "outcome"))[..3], ["failed", "failed", "provisioned"]);
    assert_eq!(ended[7]["port"], port(&bench.boards[0]), "the silent board is the last to end");
    assert_eq!(objects[8]["summary"]["provisioned"], 6);
    assert!(outcome.stderr.contains("\nerror: 2 of 8 boards failed\nhelp: "), "{outcome}");
    bench.boards[2..].iter().for_each(assert_provisioned);
    assert_eq!((bench.boards[1].led("CONN"), bench.boards[1].led("ERROR")), (Some(false), Some(true)));

    let entries = bench.entries();
    assert_eq!(sorted(field(&entries, "usb_serial")), bench.serials);
    for (object, entry) in ended.iter().map(|o| (o, entries.iter().find(|e| e["port"] == o["port"]).unwrap()))
    {
        assert_eq!((&entry["outcome"], &entry["thing_name"]), (&object["outcome"], &object["thing_name"]));
        assert_eq!(
            (&entry["certificate_id"], &entry["error"]),
            (&object["certificate_id"], &object["error"])
        );
    }

    bench.boards.iter().for_each(SimulatedBoard::clear_faults);
    let next = bench.provision(&[]);
    assert_eq!(next.code, 0, "{next}");
    assert_eq!(lines(&next.stdout)[8]["summary"]["unchanged"], 6);
    bench.boards.iter().for_each(assert_provisioned);
}

#[test]
fn people_see_a_line_a_board_a_summary_and_the_ledger() {
    let bench = Bench::new((1..=4).map(quick).collect());
    let ports: Vec<String> = bench.boards[..2].iter().map(port).collect();
    let two =
        ["provision", "--endpoint", ENDPOINT, "--output", "human", "-P", &ports[0], "--port", &ports[1]];
    let ports = bench.list();
    let first =
        bench.laptop.run(&[&two[..], &["--station", "bench-1"]].concat(), &[("MICROCHIP_IOT_PORTS", &ports)]);
    assert_eq!(first.code, 0, "{first}");
    failing(&bench.boards[3], "MC+WINC+WRITEBLOB", Effect::Error(0x0201));
    let second = bench.provision(&["--output", "human"]);
    insta::assert_snapshot!("summary", steady(&second.to_string()));
    insta::assert_snapshot!("ledger", steady(&bench.ledger(&["--since", "1h"]).to_string()));

    let serial = &bench.boards[3].ecc_serial()[10..];
    for search in [["--serial", serial], ["--outcome", "failed"], ["--serial", "0004"]] {
        let found = lines(&bench.ledger(&[&search[..], &["--output", "json"]].concat()).stdout);
        assert_eq!(field(&found, "usb_serial"), ["MCHP0000000004"], "{search:?}");
    }
    let none = bench.ledger(&["--station", "bench-2"]);
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (0, "", "no attempts\n"));
    let csv = bench.ledger(&["export", "--csv", "-", "--result", "unchanged"]).stdout;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let shift = ["ledger", "export", "--csv", "shift.csv"];
    let folder = tempfile::tempdir().unwrap();
    let exported = bench.laptop.command(&shift, &[]).current_dir(&folder).output().unwrap();
    let exported = bench.laptop.outcome(&shift, exported);
    let rows = std::fs::read_to_string(folder.path().join("shift.csv")).unwrap().lines().count() - 1;
    assert_eq!((exported.code, &*exported.stdout), (0, ""), "{exported}");
    assert_eq!(exported.stderr, format!("shift.csv: {rows} attempts written\n"));
    let check = bench.ledger(&["check"]);
    assert_eq!(check.code, 0, "{check}");
}

#[test]
fn two_boards_with_one_serial_number_have_a_folder_each_on_every_run_and_are_flagged() {
    let mut bench = Bench::new(vec![slow(1), slow(2)]);
    bench.serials[1] = bench.serials[0].clone();
    let run = |arguments: &[&str]| {
        let outcome = bench.provision(arguments);
        assert_eq!(outcome.code, 0, "{outcome}");
        bench.boards.iter().for_each(assert_provisioned);
        let mut lines = lines(&outcome.stdout);
        lines.truncate(2);
        lines.sort_by_key(|line| line["port"].as_str().unwrap().to_owned());
        lines
    };
    let plan = lines(&bench.provision(&["--dry-run", "--output", "json"]).stdout);
    assert_eq!(sorted(field(&plan, "clash")), ["-", "other_key"]);
    let first = run(&[]);
    assert_eq!(sorted(field(&first, "clash")), ["-", "other_key"]);
    let again = run(&[]);
    assert_eq!(field(&again, "outcome"), ["unchanged", "unchanged"]);
    for name in ["folder", "certificate_id", "clash"] {
        assert_eq!(field(&again, name), field(&first, name));
    }
    let forced = run(&["--force"]);
    assert_eq!(field(&forced, "folder"), field(&first, "folder"));
    let check = bench.ledger(&["check"]);
    assert_eq!(check.code, 1, "{check}");
    assert!(check.stdout.starts_with("kit MCHP0000000001 was seen with secure element "), "{check}");
}

#[test]
fn a_label_command_gets_no_secrets_in_its_environment() {
    let bench = Bench::new(vec![quick(1)]);
    let file = bench.laptop.folder().with_file_name("environment");
    let command = format!("env > '{}'", file.display());
    let arguments = ["provision", "--all", "--endpoint", ENDPOINT, "--label-command", &command];
    let ports = bench.list();
    let outcome = bench.laptop.run(
        &arguments,
        &[
            ("MICROCHIP_IOT_PORTS", &ports),
            ("MICROCHIP_IOT_PASSPHRASE", "hush 1"),
            ("MICROCHIP_IOT_PSK", "hush 2"),
            ("AWS_SECRET_ACCESS_KEY", "hush 3"),
            ("AWS_SESSION_TOKEN", "hush 4"),
            ("PRINTER", "bench-1"),
        ],
    );
    assert_eq!(outcome.code, 0, "{outcome}");
    let environment = std::fs::read_to_string(file).unwrap();
    assert!(environment.contains("PRINTER=bench-1") && !environment.contains("hush"), "{environment}");
}

#[test]
fn labels_are_made_of_finished_boards_and_one_that_fails_leaves_its_board_done() {
    let bench = Bench::new((1..=3).map(quick).collect());
    failing(&bench.boards[2], "MC+ECC+SIGNDIGEST", Effect::Error(0x01F0));
    let folder = bench.laptop.folder().with_file_name("labels");
    let directory = folder.display().to_string();
    let command = format!("cat >> '{directory}/printed'");
    let outcome = bench.provision(&["--label-dir", &directory, "--label-command", &command]);
    assert_eq!(outcome.code, 3, "{outcome}");
    let printed = std::fs::read_to_string(folder.join("printed")).unwrap();
    let printed = schemas::checked(&["provision", "--output=json"], &printed);
    let things: BTreeSet<_> = field(&printed, "thing_name").into_iter().map(str::to_owned).collect();
    assert_eq!(things, bench.boards[..2].iter().map(thing_name).collect());
    for thing in &things {
        assert!(std::fs::read_to_string(folder.join(format!("{thing}.svg"))).unwrap().contains("<svg"));
    }

    bench.boards[2].clear_faults();
    let outcome = bench.provision(&["--label-dir", &directory, "--label-format", "png"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    for board in &bench.boards {
        let file = std::fs::read(folder.join(format!("{}.png", thing_name(board)))).unwrap();
        assert!(file.starts_with(b"\x89PNG\r\n"));
    }
    let outcome = bench.provision(&["--label-command", "echo out of labels >&2; exit 3"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    let objects = lines(&outcome.stdout);
    assert_eq!(objects[3]["summary"]["without_label"], 3);
    assert!(objects[0]["label_error"].as_str().unwrap().contains("out of labels"), "{outcome}");
    bench.boards.iter().for_each(assert_provisioned);
}

#[test]
fn a_board_that_cannot_be_entered_in_the_ledger_does_not_show_green() {
    let bench = Bench::new(vec![quick(1)]);
    let in_the_way = bench.laptop.folder().join("ledger.jsonl");
    std::fs::create_dir(&in_the_way).unwrap();
    let outcome = bench.provision(&[]);
    assert_eq!(outcome.code, 1, "{outcome}");
    let error = &lines(&outcome.stdout)[0]["error"];
    assert!(error.as_str().unwrap().contains("ledger.jsonl is a folder and not a regular file"), "{outcome}");
    assert_eq!((bench.boards[0].led("CONN"), bench.boards[0].led("ERROR")), (Some(false), Some(true)));

    std::fs::remove_dir(&in_the_way).unwrap();
    let next = bench.provision(&[]);
    assert_eq!(next.code, 0, "{next}");
    assert_eq!(field(&bench.entries(), "outcome"), ["unchanged"]);
    assert_provisioned(&bench.boards[0]);
}
