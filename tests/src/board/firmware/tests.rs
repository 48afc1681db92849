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
fn kits_differ_in_banner_names_and_versions() {
    let mut transcript = String::new();
    for kit in [Kit::AvrIotWg, Kit::PicIotWg, Kit::SamIotWg, Kit::SamIotWx] {
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
        ("MC+NOSUCH", "0x1"),
        ("=", "0x1"),
        ("MC+BRIDGEMODE", "0x1"),
        ("MC+ECC+ADDR+READ", "0x1"),
        ("\u{fffd}", "0x1"),
        ("MC+PING", "0x3"),
        ("MC+PING=1,2", "0x3"),
        ("MC+PING=,1", "0x1"),
        ("MC+PING=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "0x1"),
        ("MC+WINC+READ=0", "0x3"),
        ("MC+WINC+ERASE", "0x3"),
        ("MC+VERSION=OTHER", "0x5"),
        ("MC+SETLED=CONN,MAYBE", "0x5"),
        ("MC+GETLED=NOSE", "0x5"),
        ("MC+WINC+READ=x,1", "0x5"),
        ("MC+WINC+READ=0,257", "0x5"),
        ("MC+WINC+READ=0,0", "0x5"),
        ("MC+ECC+GENPUBKEY=1", "0x1F4"),
        ("MC+ECC+READ=0", "0x1F4"),
        ("MC+ECC+READ=16", "0x5"),
        ("MC+ECC+READ=8,417", "0x1E2"),
        ("MC+ECC+OTP+READ=65", "0x1E2"),
        ("MC+BLOBTEST", "0x1"),
        ("MC+BLOBTEST=6x", "0x4"),
        ("MC+BLOBTEST=-1", "0x4"),
        ("MC+BLOBTEST=1025", "0x4"),
    ] {
        assert_eq!(ask(&mut board, request), format!("\r\nERROR: {code}\r\n"), "{request}");
    }
}

#[test]
fn without_its_secure_element_or_its_wifi_module_a_board_answers_with_their_codes() {
    let element =
        ["MC+ECC+SERIAL", "MC+ECC+GENPUBKEY=1", "MC+ECC+READ=0", "MC+ECC+LOCK=8", "MC+ECC+OTP+READ"];
    let module = ["MC+ABOUT", "MC+VERSION=WINC", "MC+WINC+READ=20480,16", "MC+WINC+ERASE=20480"];
    for kit in [Kit::AvrIotWg, Kit::SamIotWg, Kit::SamIotWx] {
        for (part, commands, code) in
            [(Part::SecureElement, &element[..], "0x1F0"), (Part::WifiModule, &module, "0x2F4")]
        {
            let mut board = Firmware::new(kit, Seed(7), Profile::Mah1h).unwrap();
            board.disconnect(part);
            if (kit, part) == (Kit::AvrIotWg, Part::SecureElement) {
                assert_eq!((ask(&mut board, "MC+RESET"), ask(&mut board, "MC+PING=1")), Default::default());
                continue;
            }
            let banner = ask(&mut board, "MC+RESET");
            assert_eq!(banner.lines().count(), if part == Part::WifiModule { 3 } else { 9 }, "{banner}");
            for command in commands {
                assert_eq!(ask(&mut board, command), format!("\r\nERROR: {code}\r\n"), "{kit}: {command}");
            }
            // Arguments are looked at first.
            for command in ["MC+ECC+READ=16", "MC+WINC+READ=20480,257"] {
                assert_eq!(ask(&mut board, command), "\r\nERROR: 0x5\r\n", "{kit}: {command}");
            }
            assert_eq!(ask(&mut board, "MC+PING=1"), "\r\nMC+PONG=1\r\nOK\r\n");
        }
    }
}

#[test]
fn the_arguments_of_a_command_with_a_blob_are_checked_after_it() {
    let mut board = board();
    for (request, blob, code) in [
        ("MC+WINC+WRITEBLOB=0,4,6", "010203", "0x5"),
        ("MC+WINC+WRITEBLOB=0,8", "01020304", "0x3"),
        ("MC+WINC+WRITEBLOB=0,257,514", &*"00".repeat(257), "0x5"),
        ("MC+ECC+SIGNDIGEST=64", &"00".repeat(32), "0x3"),
        ("MC+ECC+WRITEBLOB=9,6,12", "010203040506", "0x1E2"),
        ("MC+ECC+WRITEBLOB=9,76,152", &"00".repeat(76), "0x1E2"),
        ("MC+ECC+WRITEBLOB=16,4,8", "01020304", "0x5"),
        ("MC+ECC+WRITEBLOB=0,32,64", &"00".repeat(32), "0x1F4"),
    ] {
        assert_eq!(ask(&mut board, request), "\r\n>", "{request}");
        assert_eq!(ask(&mut board, blob), format!("\r\n\r\nERROR: {code}\r\n"), "{request}");
    }
    assert_eq!(ask(&mut board, "MC+ECC+SIGNDIGEST=62,62"), "\r\n>");
    let printed = format!("{}{}", "Z".repeat(31), &"5A".repeat(31)[31..]);
    assert_eq!(ask(&mut board, &"5A".repeat(31)), format!("\r\n{printed}\r\nERROR: 0x5\r\n"));
}

#[test]
fn numbers_are_read_as_c_reads_them() {
    let mut board = board();
    for number in ["20480", "0x5000", "050000", "20480x", " 20480", "+20480"] {
        let reply = ask(&mut board, &format!("MC+WINC+READ={number},0x2"));
        assert_eq!(reply, "\r\nFFFF\r\nOK\r\n", "{number}");
    }
}

#[test]
fn a_line_longer_than_the_buffer_is_an_overrun_and_the_rest_of_it_is_dropped() {
    let mut board = board();
    let line = |size: usize| format!("MC+PING={}", "1".repeat(size - 8));
    for size in [128, 129, 2000] {
        assert_eq!(ask(&mut board, &line(size)), "ERROR: 0x2\r\n", "{size}");
        assert_eq!(ask(&mut board, "MC+PING=1"), "\r\nMC+PONG=1\r\nOK\r\n", "{size}");
    }
    assert_eq!(ask(&mut board, &line(126)), format!("\r\nMC+PONG={}\r\nOK\r\n", "1".repeat(118)));
    assert_eq!(ask(&mut board, &line(127)), "\r\nERROR: 0x1\r\nERROR: 0x2\r\n");
}

#[test]
fn all_three_line_ends_are_taken_and_nothing_is_echoed() {
    let mut board = board();
    for end in ["\r", "\n", "\r\n"] {
        let sent = talk(&mut board, format!("mc+ping=a\x01b{end}MC+BLOBTEST=2{end}ff{end}").as_bytes());
        assert_eq!(String::from_utf8(sent).unwrap(), "\r\nMC+PONG=A#B\r\nOK\r\n\r\n>\r\nff\r\nOK\r\n");
    }
}

#[test]
fn a_blob_waits_for_its_last_character_and_a_line_end_for_as_long_as_it_takes() {
    let mut board = board();
    assert_eq!(ask(&mut board, "MC+WINC+WRITEBLOB=20480,7,14"), "\r\n>");
    let ping = ask(&mut board, "MC+PING=00000");
    assert_eq!(ping, "\r\n\r\nOK\r\n", "13 characters, and one of the line end that is the fourteenth");
    assert_eq!(board.flash.image()[0x5000..0x5007], [0x0C, 0, 0, 0, 0, 0, 0]);
    assert_eq!(ask(&mut board, "MC+WINC+WRITEBLOB=21760,4,8"), "\r\n>");
    assert_eq!(ask(&mut board, "000000"), "");
    assert_eq!(ask(&mut board, "0"), "ERROR: 0x4\r\n");
    assert_eq!(ask(&mut board, "MC+WINC+READ=21760,2"), "\r\nFFFF\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+BLOBTEST=0"), "\r\n>");
    assert_eq!(ask(&mut board, ""), "");
    assert_eq!(ask(&mut board, "x"), "ERROR: 0x4\r\n");
}

#[test]
fn what_is_no_hex_digit_counts_as_zero() {
    let mut board = board();
    assert_eq!(ask(&mut board, "MC+WINC+WRITEBLOB=20480,4,8"), "\r\n>");
    assert_eq!(ask(&mut board, "ZZ01gg02"), "\r\n\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+WINC+READ=20480,4"), "\r\n00010002\r\nOK\r\n");
}

#[test]
fn an_erase_that_lost_a_digit_erases_the_boot_sector() {
    for argument in ["2048", "x", "", "0"] {
        let mut board = board();
        assert_ne!(board.flash.image()[..16], [0xFF; 16]);
        let reply = ask(&mut board, &format!("MC+WINC+ERASE={argument}"));
        let erased = board.flash.image()[..0x1000].iter().all(|byte| *byte == 0xFF);
        assert_eq!(
            (reply.ends_with("OK\r\n"), erased),
            (!argument.is_empty(), !argument.is_empty()),
            "{argument}"
        );
    }
}

#[test]
fn written_pages_read_back() {
    let mut board = board();
    assert_eq!(ask(&mut board, "MC+WINC+WRITEBLOB=20480,4,8"), "\r\n>");
    assert_eq!(ask(&mut board, "abFE185b"), "\r\n\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+WINC+READ=20480,5"), "\r\nABFE185BFF\r\nOK\r\n");
    assert_eq!(board.flash.image()[0x5000..0x5004], [0xAB, 0xFE, 0x18, 0x5B]);
}

#[test]
fn the_element_signs_the_digest_it_is_given() {
    let mut board = board();
    let digest = [0x5A; 32];
    assert_eq!(ask(&mut board, "MC+ECC+SIGNDIGEST=64,64"), "\r\n>");
    let signature = ask(&mut board, &hex::encode(digest));
    let key = ask(&mut board, "MC+ECC+GENPUBKEY");
    let decode = |reply: &str| hex::decode(reply.trim_start().strip_suffix("\r\nOK\r\n").unwrap()).unwrap();
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
    assert_eq!(ask(&mut board, "MC+ECC+WRITEBLOB=10,4,8"), "\r\n>");
    assert_eq!(ask(&mut board, "01020304"), "\r\n\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+READ=10,4"), "\r\n01020304\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+LOCK=10"), "\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+LOCK=10"), "\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+WRITEBLOB=10,4,8"), "\r\n>");
    assert_eq!(ask(&mut board, "05060708"), "\r\n\r\nERROR: 0x1F4\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+PUBKEY+WRITE=11,128"), "\r\n>");
    assert_eq!(ask(&mut board, &"ab".repeat(64)), "\r\n\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+ECC+PUBKEY+READ=11"), format!("\r\n{}\r\nOK\r\n", "AB".repeat(64)));
}

#[test]
fn a_reset_forgets_the_blob_and_the_half_line_and_turns_the_leds_off() {
    let mut board = board();
    ask(&mut board, "MC+SETLED=WIFI,ON");
    assert_eq!(board.led("WIFI"), Some(true));
    ask(&mut board, "MC+BLOBTEST=2");
    talk(&mut board, b"half a li");
    board.reset();
    assert_eq!(ask(&mut board, "MC+PING=1"), "\r\nMC+PONG=1\r\nOK\r\n");
    assert_eq!(board.led("WIFI"), Some(false));
    assert_eq!(board.led("NOSE"), None);
}

#[test]
fn all_leds_have_a_name_where_the_firmware_has_it() {
    let mut board = board();
    assert_eq!(ask(&mut board, "MC+SETLED=ALL,ON"), "\r\nOK\r\n");
    assert_eq!(ask(&mut board, "MC+GETLED=DATA"), "\r\nLED:DATA is ON\n\r\r\nOK\r\n");
    let mut board = Firmware::new(Kit::SamIotWg, Seed(7), Profile::Mah1h).unwrap();
    assert_eq!(ask(&mut board, "MC+SETLED=ALL,ON"), "\r\nERROR: 0x5\r\n");
}

#[test]
fn work_is_charged_to_what_takes_time() {
    let mut board = board();
    let mut work = |text: &str| board.execute(&Line { bytes: text.into(), overrun: false }).work;
    assert_eq!(work("MC+ABOUT"), []);
    assert_eq!(work("MC+WINC+ERASE=20480"), [Work::ModeChange, Work::Erase]);
    assert_eq!(work("MC+WINC+WRITEBLOB=20480,1,2"), [Work::Prepare]);
    assert_eq!(work("00"), [Work::Program]);
    assert_eq!(work("MC+VERSION=WINC"), [Work::ModeChange]);
    assert_eq!(work("MC+WINC+READ=20480,1"), [Work::ModeChange]);
    assert_eq!(work("MC+ECC+GENPUBKEY"), [Work::PublicKey]);
    assert_eq!(work("MC+ECC+SIGNDIGEST=64,64"), [Work::Prepare]);
    assert_eq!(work(&"00".repeat(32)), [Work::Sign]);
    assert_eq!(work("MC+RESET"), [Work::Boot]);
    assert_eq!(work("MC+WINC+ERASE"), []);
}

/// Lines that are almost commands, so that arguments are reached more often than by chance.
fn almost_a_line() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(command::table(Kit::AvrIotWg).map(|(name, _)| name).collect::<Vec<_>>());
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
        talk(&mut board, &[b'Z'; 1100]);
        talk(&mut board, b"\r\n");
        prop_assert_eq!(ask(&mut board, "MC+PING=123456"), "\r\nMC+PONG=123456\r\nOK\r\n");
    }
}
