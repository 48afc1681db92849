use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use serialport::SerialPort;

use super::*;
use crate::faults::{Effect, Occurrence, Progress, Trigger};
use firmware::Stage;

fn open(board: &SimulatedBoard) -> Box<dyn SerialPort> {
    serialport::new(board.path().to_str().unwrap(), 115_200).timeout(Duration::from_secs(5)).open().unwrap()
}

/// Sends a line and reads until the reply is over: `OK`, `ERROR`, `READY` or the prompt.
fn ask(port: &mut dyn SerialPort, line: &str) -> String {
    port.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    let mut reply = String::new();
    let mut byte = [0];
    loop {
        port.read_exact(&mut byte).unwrap();
        reply.push(byte[0].into());
        let last = reply.strip_suffix("\r\n").map(|text| text.lines().next_back().unwrap_or_default());
        if reply == "\r\n>" || last.is_some_and(|l| l == "OK" || l == "READY" || l.starts_with("ERROR")) {
            return reply;
        }
    }
}

#[test]
fn a_serial_client_talks_to_it_one_program_after_another() {
    let board = SimulatedBoard::start(Options::instant(1)).unwrap();
    for _ in 0..3 {
        let mut port = open(&board);
        assert_eq!(ask(&mut *port, "MC+PING=000001"), "\r\nMC+PONG=000001\r\nOK\r\n");
        assert_eq!(ask(&mut *port, "MC+ECC+SERIAL"), format!("\r\n{}\r\nOK\r\n", board.ecc_serial()));
    }
}

#[test]
fn only_one_program_at_a_time_gets_the_port() {
    let board = SimulatedBoard::start(Options::instant(1)).unwrap();
    let mut port = open(&board);
    assert!(serialport::new(board.path().to_str().unwrap(), 115_200).open().is_err());
    assert_eq!(ask(&mut *port, "MC+PING=1"), "\r\nMC+PONG=1\r\nOK\r\n");
}

#[test]
fn statistics_tell_the_floor_of_what_was_said() {
    let board = SimulatedBoard::start(Options { seed: Some(Seed(1)), ..Options::default() }).unwrap();
    let mut port = open(&board);
    ask(&mut *port, "MC+PING=000001");
    ask(&mut *port, "MC+WINC+ERASE=20480");
    // The host's last line end may still be on its way; it is counted when it is read.
    let statistics = board.take_statistics();
    assert_eq!(statistics.commands, ["MC+PING", "MC+WINC+ERASE"]);
    assert_eq!(statistics.count("MC+WINC+ERASE"), 1);
    assert_eq!((statistics.bytes_in, statistics.bytes_out), (16 + 21, 22 + 6));
    assert_eq!(statistics.device_time, Duration::from_millis(330 + 80));
    assert_eq!(statistics.floor(), Duration::from_millis(330 + 80) + wire::wire_time(65));
    assert_eq!(board.take_statistics(), Statistics::default());
}

#[test]
fn a_host_that_does_not_wait_for_the_reply_loses_bytes() {
    for (kit, kept) in [(Kit::AvrIotWg, 7), (Kit::SamIotWg, 127)] {
        let board = SimulatedBoard::start(Options { kit, wire_speed: false, ..Options::default() }).unwrap();
        let mut port = open(&board);
        port.write_all(b"MC+WINC+ERASE=20480\r").unwrap();
        port.write_all(&[b'x'; 200]).unwrap();
        assert_eq!(ask(&mut *port, ""), "\r\nOK\r\n");
        assert_eq!(ask(&mut *port, ""), "\r\nERROR: 0x1\r\n");
        assert_eq!(board.take_statistics().bytes_lost, 200 + 2 - kept);
    }
}

#[test]
fn a_blob_that_is_sent_before_the_prompt_is_stored_wrong_with_ok() {
    let board = SimulatedBoard::start(Options { seed: Some(Seed(1)), ..Options::default() }).unwrap();
    let mut port = open(&board);
    port.write_all(b"MC+WINC+WRITEBLOB=22784,4,8\r\n01020304\r\n").unwrap();
    assert_eq!(ask(&mut *port, ""), "\r\n>");
    assert_eq!(ask(&mut *port, ""), "\r\n\r\nOK\r\n");
    assert_eq!(board.flash()[22784..22788], [0x01, 0x02, 0x03, 0x40]);
}

#[test]
fn what_was_half_typed_survives_a_closed_port() {
    let board = SimulatedBoard::start(Options::instant(1)).unwrap();
    open(&board).write_all(b"MC+PI").unwrap();
    assert_eq!(ask(&mut *open(&board), "NG=1"), "\r\nMC+PONG=1\r\nOK\r\n");
}

#[test]
fn an_unplugged_board_hangs_up_and_comes_back_with_its_memory() {
    let mut board = SimulatedBoard::start(Options::instant(1)).unwrap();
    let serial = board.ecc_serial();
    let mut port = open(&board);
    assert_eq!(ask(&mut *port, "MC+WINC+WRITEBLOB=20480,1,2"), "\r\n>");
    assert_eq!(ask(&mut *port, "5a"), "\r\n\r\nOK\r\n");
    board.unplug();
    let gone = port.read(&mut [0]).map_err(|e| e.kind());
    assert!(gone == Ok(0) || gone.is_err_and(|kind| kind != ErrorKind::TimedOut), "{gone:?}");
    drop(port);
    board.plug().unwrap();
    let mut port = open(&board);
    assert_eq!(ask(&mut *port, "MC+WINC+READ=20480,1"), "\r\n5A\r\nOK\r\n");
    assert_eq!(ask(&mut *port, "MC+ECC+SERIAL"), format!("\r\n{serial}\r\nOK\r\n"));
}

#[test]
fn a_fault_can_unplug_it_and_it_can_be_plugged_in_again() {
    let mut board = SimulatedBoard::start(Options::instant(1)).unwrap();
    board.inject(Fault {
        on: Trigger {
            command: Some("MC+PING".into()),
            stage: Stage::Request,
            occurrence: Occurrence::Nth(1),
        },
        effect: Effect::Unplug(Progress::Before),
    });
    let mut port = open(&board);
    port.write_all(b"MC+PING=1\r\n").unwrap();
    let gone = port.read(&mut [0]).map_err(|e| e.kind());
    assert!(gone == Ok(0) || gone.is_err_and(|kind| kind != ErrorKind::TimedOut), "{gone:?}");
    drop(port);
    board.plug().unwrap();
    assert_eq!(ask(&mut *open(&board), "MC+PING=1"), "\r\nMC+PONG=1\r\nOK\r\n");
}

#[test]
fn the_reset_button_prints_the_banner() {
    let board = SimulatedBoard::start(Options::instant(1)).unwrap();
    let mut port = open(&board);
    ask(&mut *port, "MC+SETLED=DATA,ON");
    assert_eq!(board.led("DATA"), Some(true));
    board.press_reset();
    let mut banner = Vec::new();
    while !banner.ends_with(b"READY\r\n") {
        let mut byte = [0];
        port.read_exact(&mut byte).unwrap();
        banner.extend(byte);
    }
    assert!(banner.starts_with(b"Welcome to the avr-iot command handler!\r\nAVR-IoT provisioning FW\r\n"));
    assert_eq!(board.led("DATA"), Some(false));
}

#[test]
fn boards_differ_unless_they_share_a_seed() {
    let start = |seed| SimulatedBoard::start(Options { seed, ..Options::instant(0) }).unwrap();
    let (a, b) = (start(None), start(None));
    assert_ne!(a.ecc_serial(), b.ecc_serial());
    let (a, b) = (start(Some(Seed(5))), start(Some(Seed(5))));
    assert_eq!((a.ecc_serial(), a.public_key(), a.flash()), (b.ecc_serial(), b.public_key(), b.flash()));
    b.replace_secure_element(Seed(6)).unwrap();
    assert_ne!(a.public_key(), b.public_key());
}

#[test]
fn the_board_signs_for_the_code_that_runs_on_it() {
    use p256::ecdsa::signature::Verifier;
    let board = SimulatedBoard::start(Options::instant(1)).unwrap();
    let signer = board.signer();
    let signature = p256::ecdsa::DerSignature::from_bytes(&signer.sign(b"handshake").unwrap()).unwrap();
    let point = [&[4][..], &board.public_key()].concat();
    p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap().verify(b"handshake", &signature).unwrap();
}
