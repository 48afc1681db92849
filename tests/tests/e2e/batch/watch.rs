//! Boards that are plugged in and unplugged, and runs that are interrupted or killed while boards are at work.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use schemas::checked_line;
use testbed::wait;

use super::*;

/// The provisioner while it runs.
struct Running<'a> {
    arguments: Vec<&'a str>,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl<'a> Running<'a> {
    fn start(laptop: &Laptop, arguments: &[&'a str], ports: &str) -> Self {
        Self::spawn(laptop.command(arguments, &[("MICROCHIP_IOT_PORTS", ports)]), arguments)
    }

    /// Starts it with the hangup signal at its default or ignored: as a terminal has it, and as `nohup` has it.
    fn start_with_hangup(setting: &str, laptop: &Laptop, arguments: &[&'a str], ports: &str) -> Self {
        let plain = laptop.command(arguments, &[("MICROCHIP_IOT_PORTS", ports)]);
        let environment = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let mut command = Command::new("env");
        command.arg(format!("--{setting}-signal=HUP")).arg(plain.get_program()).args(plain.get_args());
        command.env_clear().envs(environment).stdin(Stdio::null());
        Self::spawn(command, arguments)
    }

    fn spawn(mut command: Command, arguments: &[&'a str]) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { arguments: arguments.to_vec(), child, stdout }
    }

    /// The next object that it prints.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        checked_line(&self.arguments, &line)
    }

    /// Ctrl-C.
    fn interrupt(&self) {
        self.signal("-INT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    fn end(mut self) -> (i32, Vec<Value>) {
        let mut rest = Vec::new();
        loop {
            let mut line = String::new();
            if self.stdout.read_line(&mut line).unwrap() == 0 {
                break;
            }
            rest.push(checked_line(&self.arguments, &line));
        }
        (self.child.wait().unwrap().code().unwrap_or(-1), rest)
    }
}

/// A file that names the boards that are plugged in.
struct PortsFile(PathBuf);

impl PortsFile {
    fn new(laptop: &Laptop) -> Self {
        let file = Self(laptop.folder().with_file_name("ports"));
        file.name(&[]);
        file
    }

    fn name(&self, boards: &[&SimulatedBoard]) {
        let text: Vec<_> = boards.iter().map(|board| format!("{}\n", port(board))).collect();
        let new = self.0.with_extension("new");
        std::fs::write(&new, text.concat()).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    fn variable(&self) -> String {
        format!("@{}", self.0.display())
    }
}

const WATCH: [&str; 6] = ["provision", "--watch", "--endpoint", ENDPOINT, "--output", "json"];

#[test]
fn boards_are_done_as_they_are_plugged_in_and_an_interrupt_finishes_those_in_hand() {
    let (laptop, mut first) = (Laptop::with_ca(), quick(1));
    let (second, third, last, fourth) = (quick(2), quick(3), slow(4), quick(5));
    let ports = PortsFile::new(&laptop);
    let mut running = Running::start(&laptop, &WATCH, &ports.variable());

    ports.name(&[&first]);
    assert_eq!(running.next()["port"], port(&first));
    ports.name(&[&first, &second, &third]);
    let both = [running.next(), running.next()];
    assert_eq!(sorted(field(&both, "outcome")), ["provisioned", "provisioned"]);

    // Plugged in again, it is a board like any other; the others stay and are left alone.
    // The first is seen to be gone when a board is begun that came as it went.
    first.unplug();
    ports.name(&[&second, &third, &fourth]);
    assert_eq!(running.next()["port"], port(&fourth));
    first.plug().unwrap();
    ports.name(&[&first, &second, &third, &fourth]);
    let again = running.next();
    assert_eq!(
        (again["outcome"].as_str(), again["port"].as_str()),
        (Some("unchanged"), Some(&*port(&first)))
    );

    ports.name(&[&last]);
    wait::until("the last board is at work", || last.led("DATA") == Some(true)).unwrap();
    running.interrupt();
    let (code, rest) = running.end();
    assert_eq!(code, 0, "{rest:?}");
    assert_eq!((&rest[0]["port"], &rest[0]["outcome"]), (&port(&last).into(), &"provisioned".into()));
    assert_eq!(rest[1]["summary"]["provisioned"], 5);
    for board in [&first, &second, &third, &fourth, &last] {
        assert_provisioned(board);
    }
    let entries = lines(&laptop.run(&["ledger", "--output", "json"], &[]).stdout);
    assert_eq!(entries.len(), 6);
}

#[test]
fn an_interrupt_finishes_the_boards_of_a_tray_too_and_sums_up() {
    let bench = Bench::new(vec![slow(1), slow(2)]);
    let arguments = ["provision", "--all", "--endpoint", ENDPOINT, "--output", "json"];
    let running = Running::start(&bench.laptop, &arguments, &bench.list());
    let mut begun = [false; 2];
    wait::until("two boards are at work", || {
        for (begun, board) in begun.iter_mut().zip(&bench.boards) {
            *begun |= !board.take_statistics().commands.is_empty();
        }
        begun == [true; 2]
    })
    .unwrap();
    running.interrupt();
    let (code, rest) = running.end();
    assert_eq!((code, rest.len()), (0, 3), "{rest:?}");
    assert_eq!(rest[2]["summary"]["provisioned"], 2);
    bench.boards.iter().for_each(assert_provisioned);
    assert_eq!(bench.entries().len(), 2);
}

#[test]
fn the_end_of_the_terminal_ends_a_run_as_an_interrupt_does() {
    let bench = Bench::new(vec![slow(1)]);
    let arguments = ["provision", "--watch", "--endpoint", ENDPOINT, "--output", "json"];
    let running = Running::start_with_hangup("default", &bench.laptop, &arguments, &bench.list());
    wait::until("the board is at work", || !bench.boards[0].take_statistics().commands.is_empty()).unwrap();
    running.signal("-HUP");
    let (code, rest) = running.end();
    assert_eq!((code, rest.len()), (0, 2), "{rest:?}");
    assert_eq!(rest[1]["summary"]["provisioned"], 1);
    assert_provisioned(&bench.boards[0]);
}

#[test]
fn a_run_under_nohup_goes_on_when_the_terminal_ends() {
    let bench = Bench::new(vec![slow(1), quick(2)]);
    let arguments = ["provision", "--watch", "--endpoint", ENDPOINT, "--output", "json"];
    let ports = PortsFile::new(&bench.laptop);
    ports.name(&[&bench.boards[0]]);
    let mut running = Running::start_with_hangup("ignore", &bench.laptop, &arguments, &ports.variable());
    wait::until("the board is at work", || !bench.boards[0].take_statistics().commands.is_empty()).unwrap();
    running.signal("-HUP");
    assert_eq!(running.next()["outcome"], "provisioned");
    ports.name(&[&bench.boards[0], &bench.boards[1]]);
    assert_eq!(running.next()["outcome"], "provisioned");
    running.interrupt();
    let (code, rest) = running.end();
    assert_eq!((code, &rest[0]["summary"]["provisioned"]), (0, &2.into()), "{rest:?}");
}

#[test]
fn a_second_interrupt_ends_at_once_and_the_next_run_completes() {
    let (laptop, board) = (Laptop::with_ca(), quick(1));
    // It would keep the provisioner busy for several seconds.
    failing(&board, "MC+WINC+READ", Effect::Ignore);
    let ports = PortsFile::new(&laptop);
    ports.name(&[&board]);
    let mut running = Running::start(&laptop, &WATCH, &ports.variable());
    wait::until("the board is at work", || board.led("DATA") == Some(true)).unwrap();
    let mut told = BufReader::new(running.child.stderr.take().unwrap()).lines().map(Result::unwrap);
    running.interrupt();
    assert!(told.any(|line| line.starts_with("boards at work: 1;")));
    running.interrupt();
    let (code, rest) = running.end();
    assert_eq!((code, &rest[0]["summary"]["aborted"]), (1, &1.into()), "{rest:?}");

    board.clear_faults();
    let next = Bench { laptop, boards: vec![board], serials: vec!["MCHP1".into()] };
    let outcome = next.provision(&[]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_provisioned(&next.boards[0]);
}

#[test]
fn a_killed_run_loses_no_finished_board_and_the_next_completes_the_others() {
    let bench = Bench::new(vec![quick(1), quick(2), slow(3), slow(4)]);
    let arguments = ["provision", "--all", "--endpoint", ENDPOINT];
    let mut running = Running::start(&bench.laptop, &arguments, &bench.list());
    let finished = [running.next(), running.next()];
    running.child.kill().unwrap();
    running.child.wait().unwrap();

    let entries = bench.entries();
    for board in &finished {
        let entry = entries.iter().find(|entry| entry["thing_name"] == board["thing_name"]).unwrap();
        assert_eq!(
            (&entry["outcome"], &entry["certificate_id"]),
            (&"provisioned".into(), &board["certificate_id"])
        );
    }
    // A board that shows green is in the ledger, even if nothing was printed.
    let green = bench.boards.iter().filter(|board| board.led("CONN") == Some(true)).count();
    assert!(entries.len() >= green);

    let next = bench.provision(&[]);
    assert_eq!(next.code, 0, "{next}");
    bench.boards.iter().for_each(assert_provisioned);
    assert_eq!(lines(&next.stdout)[4]["summary"]["failed"], 0);
    assert_eq!(bench.ledger(&["check"]).code, 0);
}

#[test]
fn a_running_station_knows_what_is_revoked_while_it_runs() {
    let (laptop, mut first, second, third) = (Laptop::with_ca(), quick(1), quick(2), quick(3));
    let ports = PortsFile::new(&laptop);
    let mut running = Running::start(&laptop, &WATCH, &ports.variable());
    ports.name(&[&first]);
    let provisioned = running.next();
    assert_eq!(provisioned["outcome"], "provisioned");
    let thing = provisioned["thing_name"].as_str().unwrap();
    let revoke = ["revoke", thing, "--reason", "key-compromise", "--list-only", "--yes"];
    let revoked = laptop.run(&revoke, &[]);
    assert_eq!(revoked.code, 0, "{revoked}");
    // It is seen to be gone when another board is begun that came as it went.
    first.unplug();
    ports.name(&[&third]);
    assert_eq!(running.next()["port"], port(&third));
    first.plug().unwrap();
    ports.name(&[&first, &third]);
    let refused = running.next();
    assert_eq!((&refused["outcome"], &refused["exit_code"]), (&"failed".into(), &5.into()), "{refused}");
    assert!(refused["error"].as_str().unwrap().ends_with("(key-compromise)"), "{refused}");

    // What `revoke --signer` writes, without an account.
    let note = r#"{"when":"2026-03-01T08:30:15Z","reason":"key-compromise"}"#;
    std::fs::write(laptop.folder().join("signer-ca.revoked"), note).unwrap();
    ports.name(&[&first, &third, &second]);
    let refused = running.next();
    assert_eq!((&refused["port"], &refused["exit_code"]), (&port(&second).into(), &5.into()), "{refused}");
    let audit = laptop.run(&["audit", "show", "--output", "json"], &[]);
    assert_eq!(audit.stdout.matches(r#""purpose":"device_certificate""#).count(), 2, "{audit}");
    running.interrupt();
    assert_eq!(running.end().0, 5);
}
