//! A session against a scripted board: what is sent, what is repeated, what is given up.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::command::{Command, Component};
use super::session::Transport;
use super::{Error, Session, flash, wifi_module};

/// What the board does with one line it receives.
pub(crate) enum Act {
    /// Answers with these pieces, one at a receive.
    Say(Vec<Vec<u8>>),
    /// Says nothing.
    Silence,
    /// Is unplugged.
    Unplug,
}

pub(crate) fn say(text: &str) -> Act {
    Act::Say(vec![text.as_bytes().to_vec()])
}

/// A board whose answer to each line is decided by a closure. Time does not pass: waiting ends at once.
pub(crate) struct Scripted<F> {
    answer: F,
    partial: Vec<u8>,
    pending: VecDeque<Vec<u8>>,
    unplugged: bool,
    log: Arc<Mutex<Vec<String>>>,
}

impl<F: FnMut(&str) -> Act + Send> Scripted<F> {
    pub(crate) fn new(answer: F) -> (Self, Arc<Mutex<Vec<String>>>) {
        let log = Arc::default();
        let board = Self {
            answer,
            partial: Vec::new(),
            pending: VecDeque::new(),
            unplugged: false,
            log: Arc::clone(&log),
        };
        (board, log)
    }
}

impl<F: FnMut(&str) -> Act + Send> Transport for Scripted<F> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' if self.partial.is_empty() => {}
                b'\r' | b'\n' => {
                    let line = String::from_utf8(std::mem::take(&mut self.partial)).unwrap();
                    self.log.lock().unwrap().push(line.clone());
                    match (self.answer)(&line) {
                        Act::Say(pieces) => self.pending.extend(pieces),
                        Act::Silence => {}
                        Act::Unplug => self.unplugged = true,
                    }
                }
                _ => self.partial.push(byte),
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], _timeout: Duration) -> io::Result<usize> {
        if self.unplugged {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match self.pending.pop_front() {
            Some(piece) => {
                buffer[..piece.len()].copy_from_slice(&piece);
                Ok(piece.len())
            }
            None => Ok(0),
        }
    }
}

pub(crate) fn pong(line: &str) -> Option<Act> {
    line.strip_prefix("MC+PING=").map(|token| say(&format!("MC+PONG={token}\r\nOK\r\n")))
}

fn start(
    mut answer: impl FnMut(&str) -> Act + Send + 'static,
) -> (Result<Session, Error>, Arc<Mutex<Vec<String>>>) {
    let (board, log) = Scripted::new(move |line: &str| pong(line).unwrap_or_else(|| answer(line)));
    (Session::start(board, "test"), log)
}

fn serial_of(session: &mut Session) -> Result<String, Error> {
    super::secure_element::serial(session)
}

const SERIAL: &str = "0123AABBCCDDEEFFEE\r\nOK\r\n";

#[test]
fn one_ping_synchronises_a_board_that_is_idle() {
    let (session, log) = start(|_| Act::Silence);
    session.unwrap();
    assert_eq!(*log.lock().unwrap(), ["MC+PING=000001"]);
}

#[test]
fn old_answers_and_a_banner_before_the_pong_are_passed_over() {
    let (board, log) = Scripted::new({
        let mut first = true;
        move |line: &str| {
            if std::mem::take(&mut first) {
                return say(
                    "DD\r\nOK\r\nMC+PONG=000777\r\nOK\r\nWelcome to the avr-iot command handler!\r\nREADY\r\n",
                );
            }
            pong(line).unwrap_or(Act::Silence)
        }
    });
    Session::start(board, "test").unwrap();
    assert_eq!(*log.lock().unwrap(), ["MC+PING=000001", "MC+PING=000002"]);
}

#[test]
fn a_board_that_waits_for_a_blob_is_freed_without_completing_it() {
    let mut waiting = true;
    let (board, log) = Scripted::new(move |line: &str| {
        if waiting {
            waiting = line.len() < 512;
            return if waiting { Act::Silence } else { say("ERROR: 0x0004\r\n") };
        }
        pong(line).unwrap_or(Act::Silence)
    });
    Session::start(board, "test").unwrap();
    let log = log.lock().unwrap();
    let filler = log.iter().find(|line| line.len() >= 512).unwrap();
    assert!(filler.chars().all(|c| !c.is_ascii_hexdigit()));
}

#[test]
fn silence_and_a_foreign_device_are_told_apart() {
    let (board, _) = Scripted::new(|_: &str| Act::Silence);
    assert!(matches!(Session::start(board, "test"), Err(Error::Silent { .. })));
    let (board, _) = Scripted::new(|_: &str| say("AT\r\n+CME ERROR\r\n"));
    assert!(matches!(Session::start(board, "test"), Err(Error::Foreign { .. })));
}

#[test]
fn a_reply_may_arrive_in_any_pieces() {
    for cut in 0..=SERIAL.len() {
        let (session, _) = start(move |_| {
            let (a, b) = SERIAL.split_at(cut);
            Act::Say([a, b].iter().filter(|p| !p.is_empty()).map(|p| p.as_bytes().to_vec()).collect())
        });
        assert_eq!(serial_of(&mut session.unwrap()).unwrap(), "0123AABBCCDDEEFFEE");
    }
}

#[test]
fn damaged_replies_are_asked_for_again() {
    for damaged in [
        "0123AABBCCDDEEFFE\r\nOK\r\n",
        "0123AABBCCDDEEFFEE0\r\nOK\r\n",
        "xx\r\n0123AABBCCDDEEFFEE\r\nOK\r\n",
        "OK\r\n",
        ">",
        "ERROR: 0x0001\r\n",
        "READY\r\n",
        "0123AABB",
    ] {
        let mut first = true;
        let (session, log) =
            start(move |_| if std::mem::take(&mut first) { say(damaged) } else { say(SERIAL) });
        assert_eq!(serial_of(&mut session.unwrap()).unwrap(), "0123AABBCCDDEEFFEE", "{damaged:?}");
        assert_eq!(
            *log.lock().unwrap(),
            ["MC+PING=000001", "MC+ECC+SERIAL", "MC+PING=000002", "MC+ECC+SERIAL"],
            "{damaged:?}"
        );
    }
}

#[test]
fn a_late_reply_is_not_taken_for_the_next_one() {
    let mut count = 0;
    let (board, _) = Scripted::new(move |line: &str| {
        count += 1;
        match count {
            1 => pong(line).unwrap(),
            2 => Act::Silence,
            3 => Act::Say(vec![
                b"0123000000000000EE\r\nOK\r\n".to_vec(),
                format!("{}\r\nOK\r\n", line.replace("PING", "PONG")).into_bytes(),
            ]),
            _ => say(SERIAL),
        }
    });
    let mut session = Session::start(board, "test").unwrap();
    assert_eq!(serial_of(&mut session).unwrap(), "0123AABBCCDDEEFFEE");
}

#[test]
fn a_blob_is_sent_only_after_the_prompt() {
    for instead in ["ERROR: 0x0005\r\n", "OK\r\n", "noise\r\n", ""] {
        let (session, log) = start(move |_| say(instead));
        let error = session.unwrap().run(Command::WriteFlash(0x5000, &[0xAB, 0xCD])).unwrap_err();
        match instead {
            "ERROR: 0x0005\r\n" => assert!(matches!(error, Error::Refused { code: 5, .. })),
            _ => assert!(matches!(error, Error::Link { .. })),
        }
        assert!(log.lock().unwrap().iter().all(|line| !line.contains("ABCD")), "{instead:?}");
    }
}

#[test]
fn an_error_that_stays_becomes_a_sentence() {
    let (session, _) = start(|_| say("ERROR: 0x0203\r\n"));
    let error = session.unwrap().run(Command::EraseSector(0x5000)).unwrap_err();
    insta::assert_snapshot!(error, @"cannot erase the Wi-Fi module's flash at 0x5000: the board on test says that its Wi-Fi module gave the reason 0x03 (error 0x0203)");
}

#[test]
fn an_unplugged_board_is_reported_at_once() {
    let (session, log) = start(|_| Act::Unplug);
    let error = serial_of(&mut session.unwrap()).unwrap_err();
    assert!(matches!(error, Error::Lost { .. }));
    assert_eq!(log.lock().unwrap().len(), 2);
}

#[test]
fn the_version_of_the_wifi_module_may_begin_with_an_equals_sign() {
    let (session, _) = start(|_| say("=WINC firmware 19.7.6\r\nWINC driver 19.3.0\r\nOK\r\n"));
    let lines = session
        .unwrap()
        .query(Command::Version(Component::WifiModule), |lines| Some(lines.to_vec()))
        .unwrap();
    assert_eq!(lines, ["WINC firmware 19.7.6", "WINC driver 19.3.0"]);
}

#[test]
fn a_difference_in_the_flash_is_found_at_its_address() {
    let mut content = flash::Flash::default();
    content.put(0x5000, &[0x11; 600]);
    let (session, _) = start(|line| {
        let mut arguments =
            line.strip_prefix("MC+WINC+READ=").unwrap().split(',').map(|n| n.parse().unwrap());
        let (address, count): (usize, usize) = (arguments.next().unwrap(), arguments.next().unwrap());
        let bytes: Vec<u8> =
            (address..address + count).map(|a| if a == 0x5123 { 0x10 } else { 0x11 }).collect();
        say(&format!("{}\r\nOK\r\n", hex::encode(bytes)))
    });
    assert_eq!(wifi_module::first_difference(&mut session.unwrap(), &content).unwrap(), Some(0x5123));
}
