//! A session against a scripted board: what is sent, what is repeated, and when it ends.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::command::{Command, Component};
use super::kits::Model;
use super::scripted::{Act, LINE_MAX, Scripted, pong, say};
use super::session::Transport;
use super::{Error, Kit, Session, flash, wifi_module};

fn kit() -> Kit {
    Kit::on("test", None)
}

fn start(
    mut answer: impl FnMut(&str) -> Act + Send + 'static,
) -> (Result<Session, Error>, Arc<Mutex<Vec<String>>>) {
    let (board, log) = Scripted::new(move |line: &str| pong(line).unwrap_or_else(|| answer(line)));
    (Session::start(board, &kit()), log)
}

fn serial_of(session: &mut Session) -> Result<String, Error> {
    super::secure_element::serial(session)
}

const SERIAL: &str = "0123AABBCCDDEEFFEE\r\nOK\r\n";

/// Keeps what is sent, and answers from a script.
struct Recorder<F> {
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    says: F,
    pending: VecDeque<Vec<u8>>,
}

impl<F: FnMut(&[u8]) -> &'static str + Send> Recorder<F> {
    fn new(says: F) -> (Self, Arc<Mutex<Vec<Vec<u8>>>>) {
        let sent = Arc::default();
        (Self { sent: Arc::clone(&sent), says, pending: VecDeque::new() }, sent)
    }
}

impl<F: FnMut(&[u8]) -> &'static str + Send> Transport for Recorder<F> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sent.lock().unwrap().push(bytes.to_vec());
        self.pending.push_back((self.says)(bytes).into());
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], _timeout: Duration) -> io::Result<usize> {
        let Some(piece) = self.pending.pop_front() else { return Ok(0) };
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

fn is_filler(bytes: &[u8]) -> bool {
    bytes.len() >= 1100 && bytes.iter().all(|byte| *byte == b'Z')
}

#[test]
fn one_ping_synchronises_a_board_that_is_idle() {
    let (session, log) = start(|_| Act::Silence);
    session.unwrap();
    assert_eq!(*log.lock().unwrap(), ["MC+PING=000001"]);
}

#[test]
fn filler_then_a_line_end_then_a_ping_go_into_an_unknown_state_each_after_its_answer() {
    let (board, sent) = Recorder::new(|bytes| match bytes {
        [b'Z', ..] => "ERROR: 0x2\r\n",
        [b'M', ..] => "\r\nMC+PONG=000001\r\nOK\r\n",
        _ => "",
    });
    Session::start(board, &kit()).unwrap();
    let sent = sent.lock().unwrap();
    let [end_of_transmission, filler, line_end, ping] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((&**end_of_transmission, &**line_end), (&[0x04][..], &b"\r\n"[..]));
    assert!(is_filler(filler));
    assert_eq!(ping, b"MC+PING=000001\r\n");
}

#[test]
fn a_kit_without_a_modem_gets_no_end_of_transmission() {
    let (board, sent) = Recorder::new(|_| "");
    let kit = Kit { model: Model::named_in("AVR-IoT WG"), ..kit() };
    Session::start(board, &kit).unwrap_err();
    assert!(sent.lock().unwrap().iter().all(|bytes| !bytes.contains(&0x04)));
}

#[test]
fn a_line_end_follows_silence_only_when_no_command_can_be_under_way() {
    let (board, sent) = Recorder::new(|_| "");
    assert!(matches!(Session::start(board, &kit()), Err(Error::Silent { .. })));
    let sent = sent.lock().unwrap();
    let before = sent.iter().take_while(|bytes| !bytes.contains(&b'\r'));
    // Each is waited for 346 ms, which a board may be busy for three seconds of.
    assert!(before.filter(|bytes| is_filler(bytes)).count() * 346 > 3000);
}

#[test]
fn a_board_that_waits_for_a_blob_is_freed_without_completing_it() {
    for missing in [0, 1, 8, 14, 500, 1024] {
        let (mut board, log) = Scripted::new(|line: &str| pong(line).unwrap_or(Act::Silence));
        board.awaited = Some(missing);
        Session::start(board, &kit()).unwrap();
        let log = log.lock().unwrap();
        assert!(matches!(log.as_slice(), [line] if line.starts_with("MC+PING=")), "{missing}: {log:?}");
    }
}

#[test]
fn a_half_typed_command_is_never_completed() {
    for half in ["MC+WINC+ERASE=2048", "MC+ECC+LOCK=1", "MC+PI", &"Z".repeat(LINE_MAX)] {
        let (mut board, log) = Scripted::new(|line: &str| pong(line).unwrap_or(Act::Silence));
        board.partial = half.into();
        Session::start(board, &kit()).unwrap();
        let log = log.lock().unwrap();
        assert!(matches!(log.as_slice(), [line] if line.starts_with("MC+PING=")), "{half}: {log:?}");
    }
}

#[test]
fn a_board_that_starts_is_waited_for() {
    let (board, sent) = Recorder::new(|bytes| match bytes {
        // The first filler falls into the start.
        [b'Z', ..] => "Welcome to the avr-iot command handler!\r\nAVR-IoT provisioning FW\r\nREADY\r\n",
        [b'M', ..] => "\r\nMC+PONG=000001\r\nOK\r\n",
        _ => "",
    });
    Session::start(board, &kit()).unwrap();
    assert_eq!(sent.lock().unwrap().iter().filter(|bytes| is_filler(bytes)).count(), 1);
}

#[test]
fn a_board_that_starts_and_does_not_become_ready_is_named() {
    let (board, _) = Recorder::new(|_| "Welcome to the avr-iot command handler!\r\n");
    assert!(matches!(Session::start(board, &kit()), Err(Error::Hangs { .. })));
}

/// A board behind a link that delays every answer. Time passes by waiting alone.
struct Late<B> {
    board: B,
    latency: Duration,
    now: Duration,
    under_way: VecDeque<(Duration, Vec<u8>)>,
}

impl<B: Transport> Transport for Late<B> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.board.send(bytes)?;
        let mut buffer = [0; 1024];
        loop {
            match self.board.receive(&mut buffer, Duration::ZERO)? {
                0 => return Ok(()),
                count => self.under_way.push_back((self.now + self.latency, buffer[..count].to_vec())),
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        match self.under_way.pop_front_if(|(due, _)| *due <= self.now + timeout) {
            Some((due, piece)) => {
                self.now = self.now.max(due);
                buffer[..piece.len()].copy_from_slice(&piece);
                Ok(piece.len())
            }
            None => {
                self.now += timeout;
                Ok(0)
            }
        }
    }
}

#[test]
fn a_slow_link_is_told_from_a_foreign_firmware() {
    for (milliseconds, is_slow) in [(700, true), (1500, true), (2500, true), (100, false)] {
        let (board, _) = Scripted::new(|line: &str| pong(line).unwrap_or(Act::Silence));
        let latency = Duration::from_millis(milliseconds);
        let board = Late { board, latency, now: Duration::ZERO, under_way: VecDeque::new() };
        match (Session::start(board, &kit()), is_slow) {
            (Err(Error::Slow { port, .. }), true) => assert_eq!(port, "test"),
            (Ok(_), false) => {}
            (other, _) => panic!("{milliseconds} ms: {other:?}"),
        }
    }
}

#[test]
fn silence_and_a_foreign_device_are_told_apart() {
    let (board, _) = Recorder::new(|_| "");
    assert!(matches!(Session::start(board, &kit()), Err(Error::Silent { .. })));
    let (board, _) = Recorder::new(|_| "AT\r\n+CME ERROR\r\n");
    assert!(matches!(Session::start(board, &kit()), Err(Error::Foreign { .. })));
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
    let mut session = Session::start(board, &kit()).unwrap();
    assert_eq!(serial_of(&mut session).unwrap(), "0123AABBCCDDEEFFEE");
}

#[test]
fn a_board_that_restarted_in_the_middle_is_known_to_be_ready() {
    let mut serials = 0;
    let (board, sent) = Recorder::new(move |bytes| match bytes {
        [b'Z', ..] => "ERROR: 0x2\r\n",
        b"MC+PING=000001\r\n" => "\r\nMC+PONG=000001\r\nOK\r\n",
        b"MC+PING=000002\r\n" => "\r\nMC+PONG=000002\r\nOK\r\n",
        [b'M', ..] => {
            serials += 1;
            if serials == 1 { "\r\n01Welcome to the avr-iot command handler!\r\nREADY\r\n" } else { SERIAL }
        }
        _ => "",
    });
    assert_eq!(serial_of(&mut Session::start(board, &kit()).unwrap()).unwrap(), "0123AABBCCDDEEFFEE");
    assert_eq!(sent.lock().unwrap().iter().filter(|bytes| is_filler(bytes)).count(), 1);
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
fn a_loss_that_shows_late_is_told_of_the_command_that_was_under_way() {
    let (session, _) = start({
        let mut lines = 0;
        move |_| {
            lines += 1;
            if lines == 1 { Act::Silence } else { Act::Unplug }
        }
    });
    let error = serial_of(&mut session.unwrap()).unwrap_err();
    insta::assert_snapshot!(error, @"lost the board on test while trying to read the secure element's serial number");
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
