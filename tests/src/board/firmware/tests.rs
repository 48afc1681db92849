use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p256::ecdsa::{Signature, VerifyingKey};
use proptest::prelude::*;

use super::*;

fn board() -> Firmware {
    Firmware::new(Kit::AvrIotWg, Seed(7), Profile::Mah1h).unwrap()
}

/// Everything the board sends for these bytes.
fn talk(board: &mut Firmware, bytes: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for byte in bytes {
        if let Some(line) = board.receive(*byte) {
            sent.extend(board.execute(&line).bytes);
        }
    }
    sent
}

fn ask(board: &mut Firmware, text: &str) -> String {
    String::from_utf8(talk(board, format!("{text}\r\n").as_bytes())).unwrap()
}

#[test]
fn commands_without_a_blob_answer_as_the_table_says() {
    let mut board = board();
    let mut transcript = String::new();
    for command in [
        "MC+PING=000001",
        "MC+ABOUT",
        "MC+LISTCOMMANDS",
        "MC+VERSION=FIRMWARE",
        "MC+VERSION=COMMANDHANDLER",
        "MC+VERSION=WINC",
        "MC+GETLED=CONN",
        "MC+SETLED=CONN,ON",
        "MC+GETLED=CONN",
        "MC+ECC+SERIAL",
        "MC+ECC+READ=9,4",
        "MC+ECC+LOCK=9",
        "MC+ECC+OTP+READ=2,4",
        "MC+ECC+PUBKEY+READ=11",
        "MC+WINC+ERASE=20480",
        "MC+WINC+READ=20480,4",
        "MC+RESET",
    ] {
        transcript += &format!("{command}\n{:?}\n", ask(&mut board, command));
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn kits_differ_in_banner_name_and_the_stray_equals_sign() {
    let mut transcript = String::new();
    for kit in [Kit::AvrIotWg, Kit::PicIotWg, Kit::SamIotWg] {
        let mut board = Firmware::new(kit, Seed(7), Profile::Mah1h).unwrap();
        for command in ["MC+RESET", "MC+ABOUT", "MC+VERSION=WINC"] {
            transcript += &format!("{:?}\n", ask(&mut board, command));
        }
    }
    insta::assert_snapshot!(transcript);
}

#[test]
fn every_kind_of_mistake_has_its_code() {
    let mut board = board();
    for (request, code) in [
        ("MC+NOSUCH", "0x0001"),
        ("mc+ping=1", "0x0001"),
        ("MC+BRIDGEMODE", "0x0001"),
        ("\u{fffd}", "0x0001"),
        ("MC+PING", "0x0003"),
        ("MC+PING=1,2", "0x0003"),
        ("MC+ABOUT=1", "0x0003"),
        ("MC+WINC+READ=0", "0x0003"),
        ("MC+VERSION=OTHER", "0x0005"),
        ("MC+SETLED=CONN,MAYBE", "0x0005"),
        ("MC+GETLED=NOSE", "0x0005"),
        ("MC+WINC+ERASE=4097", "0x0005"),
        ("MC+WINC+ERASE=0x5000", "0x0005"),
        ("MC+WINC+READ=0,+1", "0x0005"),
        ("MC+WINC+READ=,1", "0x0005"),
        ("MC+WINC+READ=0,257", "0x0005"),
        ("MC+WINC+READ=0,0", "0x0005"),
        ("MC+WINC+READ=1048575,2", "0x02FF"),
        ("MC+WINC+READ=99999999999999999999,1", "0x0005"),
        ("MC+WINC+WRITEBLOB=0,4,6", "0x0005"),
        ("MC+ECC+SIGNDIGEST=32,64", "0x0005"),
        ("MC+ECC+SIGNDIGEST=64,62", "0x0005"),
        ("MC+ECC+WRITEBLOB=9,6,12", "0x0005"),
        ("MC+ECC+WRITEBLOB=9,76,152", "0x0005"),
        ("MC+ECC+READ=0", "0x01F4"),
        ("MC+ECC+READ=16", "0x0005"),
        ("MC+BLOBTEST=3", "0x0005"),
        ("MC+BLOBTEST=0", "0x0005"),
        ("MC+BLOBTEST=4096", "0x0002"),
    ] {
        assert_eq!(ask(&mut board, request), format!("ERROR: {code}\r\n"), "{request}");
    }
}

#[test]
fn a_line_longer_than_the_buffer_is_an_overrun_and_the_next_line_is_read() {
    let mut board = board();
    let long = "A".repeat(BUFFER + 1);
    assert_eq!(ask(&mut board, &long), "ERROR: 0x0002\r\n");
    assert_eq!(ask(&mut board, "MC+PING=1"), "MC+PONG=1\r\nOK\r\n");
}

#[test]
fn all_three_line_ends_are_taken_and_nothing_is_echoed() {
    let mut board = board();
    for end in ["\r", "\n", "\r\n"] {
        let sent = talk(&mut board, format!("MC+PING=1{end}MC+BLOBTEST=2{end}ff{end}").as_bytes());
        assert_eq!(String::from_utf8(sent).unwrap(), "MC+PONG=1\r\nOK\r\n>OK\r\n");
    }
}

#[test]
fn a_blob_that_is_not_hex_or_not_as_long_as_announced_is_refused_and_changes_nothing() {
    let mut board = board();
    for blob in ["00", "000000", "00zz"] {
        assert_eq!(ask(&mut board, "MC+WINC+WRITEBLOB=20480,2,4"), ">");
        assert_eq!(ask(&mut board, blob), "ERROR: 0x0004\r\n");
    }
    assert_eq!(ask(&mut board, "MC+WINC+READ=20480,2"), "FFFF\r\nOK\r\n");
}

#[test]
fn written_pages_read_back() {
    let mut board = board();
    assert_eq!(ask(&mut board, "MC+WINC+WRITEBLOB=20480,4,8"), ">");
    assert_eq!(ask(&mut board, "abFE185b"), "OK\r\n");
    assert_eq!(ask(&mut board, "MC+WINC+READ=20480,5"), "ABFE185BFF\r\nOK\r\n");
    assert_eq!(board.flash.image()[0x5000..0x5004], [0xAB, 0xFE, 0x18, 0x5B]);
}

#[test]
fn the_element_signs_the_digest_it_is_given() {
    let mut board = board();
    let digest = [0x5A; 32];
    assert_eq!(ask(&mut board, "MC+ECC+SIGNDIGEST=64,64"), ">");
    let signature = ask(&mut board, &hex::encode(digest));
    let key = ask(&mut board, "MC+ECC+GENPUBKEY");
    let decode = |reply: &str| hex::decode(reply.strip_suffix("\r\nOK\r\n").unwrap()).unwrap();
    let mut point = vec![4];
    point.extend(decode(&key));
    VerifyingKey::from_sec1_bytes(&point)
        .unwrap()
        .verify_prehash(&digest, &Signature::from_slice(&decode(&signature)).unwrap())
        .unwrap();
}

#[test]
fn slots_are_written_locked_and_then_refuse() {
    let mut board = board();
    assert_eq!(ask(&mut board, "MC+ECC+WRITEBLOB=10,4,8"), ">");
    assert_eq!(ask(&mut board, "01020304"), "OK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+READ=10,4"), "01020304\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+LOCK=10"), "OK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+WRITEBLOB=10,4,8"), ">");
    assert_eq!(ask(&mut board, "05060708"), "ERROR: 0x01F4\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+PUBKEY+WRITE=11,128"), ">");
    assert_eq!(ask(&mut board, &"ab".repeat(64)), "OK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+PUBKEY+READ=11"), format!("{}\r\nOK\r\n", "AB".repeat(64)));
}

#[test]
fn a_reset_forgets_the_blob_and_the_half_line_and_turns_the_leds_off() {
    let mut board = board();
    ask(&mut board, "MC+SETLED=WIFI,ON");
    assert_eq!(board.led("WIFI"), Some(true));
    ask(&mut board, "MC+BLOBTEST=2");
    talk(&mut board, b"half a li");
    board.reset();
    assert_eq!(ask(&mut board, "MC+PING=1"), "MC+PONG=1\r\nOK\r\n");
    assert_eq!(board.led("WIFI"), Some(false));
    assert_eq!(board.led("NOSE"), None);
}

#[test]
fn work_is_charged_to_what_takes_time() {
    let mut board = board();
    let mut work = |text: &str| board.execute(&Line { bytes: text.into(), overrun: false }).work;
    assert_eq!(work("MC+WINC+ERASE=20480"), Work::Erase);
    assert_eq!(work("MC+WINC+WRITEBLOB=20480,1,2"), Work::None);
    assert_eq!(work("00"), Work::Program);
    assert_eq!(work("MC+ECC+GENPUBKEY"), Work::PublicKey);
    assert_eq!(work("MC+ECC+SIGNDIGEST=64,64"), Work::None);
    assert_eq!(work(&"00".repeat(32)), Work::Sign);
    assert_eq!(work("MC+RESET"), Work::Boot);
    assert_eq!(work("MC+WINC+ERASE=1"), Work::None);
}

/// Lines that are almost commands, so that arguments are reached more often than by chance.
fn almost_a_line() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(TABLE.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    let argument = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        (0u32..5000).prop_map(|n| n.to_string()),
        "[0-9a-zA-Z+-]{0,8}",
    ];
    let line = (name, prop::collection::vec(argument, 0..4)).prop_map(|(name, arguments)| {
        if arguments.is_empty() { format!("{name}\r") } else { format!("{name}={}\n", arguments.join(",")) }
    });
    prop_oneof![
        line.prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..64),
        "[0-9a-f]{0,600}\r".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_the_board_panic_and_it_answers_afterwards(
        lines in prop::collection::vec(almost_a_line(), 0..16),
    ) {
        let mut board = board();
        for line in lines {
            talk(&mut board, &line);
        }
        talk(&mut board, b"\r\n");
        board.abandon();
        prop_assert_eq!(ask(&mut board, "MC+PING=123456"), "MC+PONG=123456\r\nOK\r\n");
    }
}
