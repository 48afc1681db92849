//! Questions to the person at the terminal, answered on a pseudo terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::LocalModes;
use testbed::board::{Kit, Options, SimulatedBoard, SimulatedDisk};
use testbed::wait;

use crate::laptop::Laptop;

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

/// Runs the provisioner on a terminal, types `answer` once `question` is on the screen, and gives the exit code and all
/// that was on the screen.
fn answered(
    laptop: &Laptop,
    arguments: &[&str],
    ports: &str,
    question: &str,
    answer: &str,
) -> (Option<i32>, String) {
    on_terminal(laptop, "dumb", arguments, ports, question, answer)
}

/// As [`answered`], on a terminal of this kind.
fn on_terminal(
    laptop: &Laptop,
    terminal: &str,
    arguments: &[&str],
    ports: &str,
    question: &str,
    answer: &str,
) -> (Option<i32>, String) {
    let command = laptop.command(arguments, &[("MICROCHIP_IOT_PORTS", ports), ("TERM", terminal)]);
    at_terminal(command, question, answer)
}

/// Runs a command on a terminal, types `answer` once `question` is on the screen, and gives the exit code and all that was on
/// the screen.
pub(crate) fn at_terminal(mut command: Command, question: &str, answer: &str) -> (Option<i32>, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let open = || File::options().read(true).write(true).open(&path).unwrap();
    command.stdin(Stdio::from(open())).stdout(Stdio::from(open())).stderr(Stdio::from(open()));
    let mut child = command.spawn().unwrap();
    // The child alone keeps the terminal open, so the screen ends with it.
    drop(command);
    let mut terminal = File::from(master);
    let (mut screen, mut buffer, mut typed) = (String::new(), [0; 4096], false);
    while let Ok(count @ 1..) = terminal.read(&mut buffer) {
        screen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if !typed && screen.contains(question) {
            if ["Passphrase", "Code of"].iter().any(|hidden| question.starts_with(hidden)) {
                await_hidden_input(&terminal);
            }
            terminal.write_all(format!("{answer}\n").as_bytes()).unwrap();
            typed = true;
        }
    }
    assert!(typed, "\"{question}\" was not asked: {screen}");
    (child.wait().unwrap().code(), screen)
}

/// Waits until the terminal no longer shows what is typed: what is typed before that is thrown away.
fn await_hidden_input(terminal: &File) {
    let shown = || rustix::termios::tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO);
    wait::until("the terminal that hides the passphrase", || !shown()).unwrap();
}

fn boards() -> ([SimulatedBoard; 2], String) {
    let mut boards = [1, 2].map(|seed| SimulatedBoard::start(Options::instant(seed)).unwrap());
    // In the order in which they are listed.
    boards.sort_by_key(|board| board.path().to_owned());
    let ports = boards.iter().zip(["MCHP0000000001", "MCHP0000000002"]);
    let ports: Vec<_> = ports.map(|(board, serial)| format!("{}={serial}", board.path().display())).collect();
    (boards, ports.join(","))
}

#[test]
fn which_of_two_boards_is_meant_is_asked_with_a_list() {
    let (laptop, (boards, ports)) = (Laptop::with_ca(), boards());
    let provision = ["provision", "--endpoint", ENDPOINT];
    let (code, screen) = answered(&laptop, &provision, &ports, "Number: ", "2");
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("There are several boards:") && screen.contains("MCHP0000000001"), "{screen}");
    assert_eq!([boards[0].led("CONN"), boards[1].led("CONN")], [Some(false), Some(true)]);

    let (code, screen) = answered(&laptop, &provision, &ports, "Number: ", "3");
    assert_eq!(code, Some(5), "{screen}");
    assert!(screen.contains("cancelled; nothing was changed"), "{screen}");
}

#[test]
fn locking_slots_is_asked_and_a_no_leaves_the_board_as_it_is() {
    let (laptop, ([board, _], _)) = (Laptop::new(), boards());
    let port = board.path().to_str().unwrap();
    let arguments = ["-m", "sandbox", "--lock-slots", "-P", port];
    let (code, screen) = answered(&laptop, &arguments, "", "Type yes: ", "no");
    assert_eq!(code, Some(5), "{screen}");
    assert!(screen.contains("This cannot be undone"), "{screen}");
    let statistics = board.take_statistics();
    assert!(!board.is_locked(10) && statistics.count("MC+WINC+WRITEBLOB") == 0, "{statistics:?}");
    let (code, screen) = answered(&laptop, &arguments, "", "Type yes: ", "yes");
    assert_eq!((code, [10, 11, 12].map(|slot| board.is_locked(slot))), (Some(0), [true; 3]), "{screen}");
}

#[test]
fn a_passphrase_is_asked_for_and_does_not_show() {
    const SERIAL: &str = "MCHP3261021800001234";
    let (laptop, ([board, _], _)) = (Laptop::new(), boards());
    let disk = SimulatedDisk::start(Kit::AvrIotWg, SERIAL).unwrap();
    let (port, folder) = (board.path().to_str().unwrap(), disk.folder().to_str().unwrap());
    let arguments = ["wifi", "--ssid", "net", "-P", port, "-s", SERIAL, "--disk", folder];
    let (code, screen) = answered(&laptop, &arguments, "", "Passphrase of net: ", "correct horse");
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("horse"), "{screen}");
}

#[test]
fn where_the_files_of_a_board_are_is_told_on_every_terminal() {
    let (laptop, (_boards, ports)) = (Laptop::with_ca(), boards());
    let ports = ports.replace("MCHP0000000002", "MCHP0000000001");
    let provision = ["provision", "--all", "--endpoint", ENDPOINT];
    for terminal in ["dumb", "xterm"] {
        let (code, screen) = on_terminal(&laptop, terminal, &provision, &ports, "2 boards in ", "");
        assert_eq!(code, Some(0), "{screen}");
        let note = "the folder that the USB serial number names has the files of another board";
        assert_eq!(screen.matches(note).count(), 1, "{terminal}: {screen}");
    }
}
