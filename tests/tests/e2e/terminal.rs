//! Questions to the person at the terminal, answered on a pseudo terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcsetwinsize};
use testbed::board::{Kit, Options, SimulatedBoard, SimulatedDisk};
use testbed::wait;

use crate::laptop::Laptop;

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

/// A terminal with a program on it, and what is on its screen.
struct Terminal {
    keyboard: File,
    program: Child,
    screen: vt100::Parser,
    /// All that the program has written.
    written: String,
}

/// Rows and columns.
type Size = (u16, u16);

impl Terminal {
    /// Starts the provisioner on a terminal of this size.
    fn start(laptop: &Laptop, size: Size, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::of(laptop.command(arguments, environment), size)
    }

    /// Starts a program on a terminal of this size.
    fn of(mut command: Command, size: Size) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let (ws_row, ws_col) = size;
        tcsetwinsize(&master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let open = || File::options().read(true).write(true).open(&path).unwrap();
        command.stdin(Stdio::from(open())).stdout(Stdio::from(open())).stderr(Stdio::from(open()));
        // The program alone keeps the terminal open, so the screen ends with it.
        let program = command.spawn().unwrap();
        drop(command);
        let [rows, columns] = [ws_row, ws_col].map(|size| NonZero::new(size).unwrap());
        let screen = vt100::Parser::new(rows, columns, 1000);
        Self { keyboard: File::from(master), program, screen, written: String::new() }
    }

    /// Takes in what is written next; `false` at the end.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let Ok(count @ 1..) = self.keyboard.read(&mut buffer) else { return false };
        self.screen.process(&buffer[..count]);
        self.written.push_str(&String::from_utf8_lossy(&buffer[..count]));
        true
    }

    /// Takes in what is written until it is on the screen.
    fn until(&mut self, text: &str) {
        while !self.rows().iter().any(|row| row.contains(text)) {
            assert!(self.more(), "\"{text}\" is not on the screen: {:#?}", self.rows());
        }
    }

    /// The screen.
    fn rows(&self) -> Vec<String> {
        let (_, columns) = self.screen.screen().size();
        self.screen.screen().rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect()
    }

    /// The screen, and all that has scrolled off it.
    fn lines(&mut self) -> Vec<String> {
        let screen = self.screen.screen_mut();
        let all = screen.scrollback_len();
        let mut lines = Vec::new();
        for above in (1..=all).rev() {
            screen.set_scrollback(above);
            lines.extend(screen.rows(0, screen.size().1.get()).next());
        }
        screen.set_scrollback(0);
        let mut lines: Vec<_> = lines.iter().map(|line: &String| line.trim_end().to_owned()).collect();
        lines.extend(self.rows());
        lines
    }

    /// Takes in the rest; gives the exit code.
    fn end(&mut self) -> Option<i32> {
        while self.more() {}
        self.program.wait().unwrap().code()
    }
}

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
    kind: &str,
    arguments: &[&str],
    ports: &str,
    question: &str,
    answer: &str,
) -> (Option<i32>, String) {
    let command = laptop.command(arguments, &[("MICROCHIP_IOT_PORTS", ports), ("TERM", kind)]);
    at_terminal(command, question, answer)
}

/// Runs a command on a terminal, types `answer` once `question` is on the screen, and gives the exit code and all that was on
/// the screen.
pub(crate) fn at_terminal(command: Command, question: &str, answer: &str) -> (Option<i32>, String) {
    let mut terminal = Terminal::of(command, (24, 200));
    terminal.until(question.trim_end());
    if ["Passphrase", "Code of"].iter().any(|hidden| question.starts_with(hidden)) {
        await_hidden_input(&terminal.keyboard);
    }
    terminal.keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
    (terminal.end(), terminal.written)
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

/// Boards that answer at once, and the list of their ports, in its order.
fn tray(count: u64) -> (Vec<SimulatedBoard>, String) {
    let boards: Vec<_> =
        (1..=count).map(|seed| SimulatedBoard::start(Options::instant(seed)).unwrap()).collect();
    let mut ports: Vec<_> = boards.iter().map(|board| board.path().display().to_string()).collect();
    ports.sort();
    let named = ports.iter().enumerate().map(|(n, port)| format!("{port}=MCHP326102180000{n:04}"));
    let list = named.collect::<Vec<_>>().join(",");
    (boards, list)
}

/// The ports of a list.
fn ports(list: &str) -> Vec<&str> {
    list.split(',').map(|entry| entry.split('=').next().unwrap()).collect()
}

const SPINNER: [char; 10] = ['⠁', '⠂', '⠄', '⡀', '⢀', '⠠', '⠐', '⠈', '⠋', '⠙'];

#[test]
fn seventeen_boards_on_twelve_rows_scroll_and_the_last_row_counts_them() {
    let (laptop, (_boards, list)) = (Laptop::with_ca(), tray(17));
    let environment = [("MICROCHIP_IOT_PORTS", &*list), ("TERM", "xterm")];
    let watch = ["provision", "--watch", "--endpoint", ENDPOINT];
    let mut terminal = Terminal::start(&laptop, (12, 100), &watch, &environment);
    terminal.until("17 done, 0 failed");
    let rows = terminal.rows();
    assert_eq!(rows.last().unwrap(), "… 6 more; 0 at work, 17 done, 0 failed", "{rows:#?}");
    let shown = rows[..11].iter().filter(|row| {
        let port = row.split(' ').next().unwrap();
        ports(&list).contains(&port) && row.contains("provisioned") && row.ends_with(" s")
    });
    assert_eq!(shown.count(), 11, "{rows:#?}");

    // The terminal echoes what is typed, as ^C, and the next draw takes it away.
    terminal.keyboard.write_all(b"\x03").unwrap();
    terminal.until("^C");
    let interrupt = ["-INT", &terminal.program.id().to_string()].map(str::to_owned);
    assert!(std::process::Command::new("kill").args(interrupt).status().unwrap().success());
    assert_eq!(terminal.end(), Some(0));
    // At the end all are there, once, with what was said before and after.
    let lines = terminal.lines();
    let text = lines.join("\n");
    for first in ports(&list).into_iter().chain(["PORT"]) {
        let rows = lines.iter().filter(|line| line.split(' ').next() == Some(first));
        assert_eq!(rows.count(), 1, "{first}: {text}");
    }
    assert!(text.contains("17 boards: 0 at work, 17 done, 0 failed") && !text.contains("^C"), "{text}");
    assert!(text.contains("17 provisioned, 0 already provisioned, 0 failed"), "{text}");
    assert_eq!(text.matches("plug in a board").count(), 1, "{text}");
}

#[test]
fn forty_columns_have_a_row_a_board_and_no_row_runs_on() {
    let (laptop, (_boards, list)) = (Laptop::with_ca(), tray(3));
    let environment = [("MICROCHIP_IOT_PORTS", &*list), ("TERM", "xterm")];
    let all = ["provision", "--all", "--endpoint", ENDPOINT];
    let mut terminal = Terminal::start(&laptop, (24, 40), &all, &environment);
    assert_eq!(terminal.end(), Some(0), "{}", terminal.written);
    let lines = terminal.lines();
    assert!(lines[0].starts_with("PORT ") && lines[0].ends_with(" TIME"), "{lines:#?}");
    for (line, port) in lines[1..4].iter().zip(ports(&list)) {
        assert!(line.starts_with(&format!("{port} ")) && line.ends_with(" s"), "{lines:#?}");
        assert!(line.contains(" provisioned "), "{lines:#?}");
    }
    assert_eq!(lines[4], "3 boards: 0 at work, 3 done, 0 failed", "{lines:#?}");
    assert!(lines[5].starts_with("3 boards in "), "{lines:#?}");
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted_and_a_dumb_terminal_gets_lines() {
    let (laptop, (_boards, list)) = (Laptop::with_ca(), tray(2));
    let all = ["provision", "--all", "--force", "--endpoint", ENDPOINT];
    let run = |environment: &[(&str, &str)]| {
        let environment = [&[("MICROCHIP_IOT_PORTS", &*list)], environment].concat();
        let mut terminal = Terminal::start(&laptop, (24, 100), &all, &environment);
        assert_eq!(terminal.end(), Some(0), "{}", terminal.written);
        terminal
    };
    // ECMA-48, 8.3.117: select graphic rendition.
    let paints = |text: &str| {
        text.split('\u{1b}').skip(1).any(|rest| {
            rest.strip_prefix('[').is_some_and(|rest| {
                rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
            })
        })
    };
    assert!(paints(&run(&[("TERM", "xterm")]).written));
    for unwanted in [("NO_COLOR", "1"), ("CLICOLOR", "0")] {
        let mut terminal = run(&[("TERM", "xterm"), unwanted]);
        assert!(!paints(&terminal.written), "{unwanted:?}: {:?}", terminal.written);
        assert!(terminal.lines().iter().any(|line| line.starts_with("2 boards: 0 at work")));
    }
    for kind in [&[("TERM", "dumb")][..], &[]] {
        let mut terminal = run(kind);
        assert!(!terminal.written.contains('\u{1b}'), "{kind:?}: {:?}", terminal.written);
        let lines = terminal.lines();
        let of = |word: &str| lines.iter().filter(|line| line.starts_with(word)).count();
        assert_eq!((of("at work "), of("provisioned "), of("2 boards in ")), (2, 2, 1), "{lines:#?}");
    }
}

#[test]
fn what_is_told_meanwhile_has_lines_of_its_own_and_no_spinner_is_left() {
    let laptop = Laptop::with_ca();
    let board = SimulatedBoard::start(Options { wire_speed: true, ..Options::instant(1) }).unwrap();
    let port = board.path().to_str().unwrap();
    let provision = ["provision", "-P", port, "--endpoint", ENDPOINT, "-l", "info"];
    let mut terminal = Terminal::start(&laptop, (24, 100), &provision, &[("TERM", "xterm")]);
    assert_eq!(terminal.end(), Some(0), "{}", terminal.written);
    let lines = terminal.lines();
    assert!(!lines.concat().contains(SPINNER), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("board ")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("provisioned ")), "{lines:#?}");
    let last = lines.iter().rposition(|line| !line.is_empty()).unwrap();
    assert!(lines[last].starts_with("  "), "{lines:#?}");
}
