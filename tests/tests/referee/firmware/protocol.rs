//! The firmware keeps to the protocol as this project describes it, and the models do what it asks of them.

use std::time::Duration;

use kit_hardware::{Board, Write};
use testbed::board::Seed;

use super::{AVR, SAM, SAM_WX, booted, image, openssl};

/// The longest that a command takes on a kit: a change of the module's mode.
const LIMIT: Duration = Duration::from_secs(6);

fn ask(board: &mut Board, request: &str) -> String {
    String::from_utf8(board.ask(request.as_bytes(), LIMIT).unwrap()).unwrap()
}

/// A reply with these lines of data.
fn ok(lines: &[&str]) -> String {
    format!("\r\n{}OK\r\n", lines.iter().map(|line| format!("{line}\r\n")).collect::<String>())
}

fn error(code: &str) -> String {
    format!("\r\nERROR: 0x{code}\r\n")
}

/// Requests without a blob, and what every kit answers.
fn requests() -> Vec<(&'static str, String)> {
    vec![
        ("MC+PING=000001\r\n", ok(&["MC+PONG=000001"])),
        ("mc+ping=abc\n", ok(&["MC+PONG=ABC"])),
        ("\r\n\r\nMC+PING=7\r", ok(&["MC+PONG=7"])),
        ("MC+PING\r\n", error("3")),
        ("MC+NOSUCH\r\n", error("1")),
        ("MC+SETLED=CONN,ON\r\n", ok(&[])),
        ("MC+GETLED=CONN\r\n", "\r\nLED:CONN is ON\n\r\r\nOK\r\n".to_owned()),
        ("MC+SETLED=CONN,OFF\r\n", ok(&[])),
        ("MC+GETLED=CONN\r\n", "\r\nLED:CONN is OFF\n\r\r\nOK\r\n".to_owned()),
        ("MC+VERSION=COMMANDHANDLER\r\n", ok(&["1.3.0", ""])),
        ("MC+VERSION=WINC\r\n", ok(&["WINC firmware 19.6.1", "WINC driver 19.3.0", ""])),
        ("MC+ECC+READ=16\r\n", error("5")),
        ("MC+ECC+READ=8,417\r\n", error("1E2")),
        ("MC+ECC+READ=0\r\n", error("1F4")),
        ("MC+ECC+READ=8,8\r\n", ok(&["0000000000000000"])),
        ("MC+WINC+READ=20480,4\r\n", ok(&["FFFFFFFF"])),
    ]
}

/// Requests with a blob: the line, the blob, and a request after it with its answer.
const BLOBS: [(&str, &str, &str, &str); 6] = [
    ("MC+ECC+WRITEBLOB=8,4,8", "01020304", "MC+ECC+READ=8,8", "0102030400000000"),
    ("MC+WINC+WRITEBLOB=20480,4,8", "0F1E2D3C", "MC+WINC+READ=20480,5", "0F1E2D3CFF"),
    // Flash clears bits only.
    ("MC+WINC+WRITEBLOB=0x5000,4,8", "F0F0F0F0", "MC+WINC+READ=20480,4", "00102030"),
    // A digit that is none counts as 0.
    ("MC+WINC+WRITEBLOB=20736,2,4", "Z1gF", "MC+WINC+READ=20736,2", "010F"),
    // It goes on in the next page.
    ("MC+WINC+WRITEBLOB=21246,4,8", "01020304", "MC+WINC+READ=21246,2", "0102"),
    ("MC+WINC+WRITEBLOB=24576,1,2", "42", "MC+WINC+READ=24576,1", "42"),
];

/// All of it, in order, as requests and answers.
fn conversation(hex: &str) -> (Board, Vec<(String, String)>) {
    let (mut board, banner) = booted(hex, Seed(19));
    let mut said = vec![(String::new(), banner)];
    let mut say = |board: &mut Board, request: &str| {
        let answer = ask(board, request);
        said.push((request.to_owned(), answer.clone()));
        answer
    };
    for (request, expected) in requests() {
        assert_eq!(say(&mut board, request), expected, "{request:?}");
    }
    for (request, blob, look, data) in BLOBS {
        assert_eq!(say(&mut board, &format!("{request}\r\n")), "\r\n>", "{request}");
        assert_eq!(say(&mut board, &format!("{blob}\r\n")), ok(&[""]), "{request}");
        assert_eq!(say(&mut board, &format!("{look}\r\n")), ok(&[data]), "{look}");
    }
    (board, said)
}

fn keeps_to_the_protocol(path: &str, kit: &str) {
    let Some(hex) = image(path) else { return };
    let (mut board, said) = conversation(&hex);
    let banner = &said[0].1;
    let about = ask(&mut board, "MC+ABOUT\r\n");
    let lines: Vec<&str> = about.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(
        (lines.len(), lines[0], lines[5]),
        (7, format!("{kit} provisioning FW").as_str(), lines[5]),
        "{about}"
    );
    assert!(banner.starts_with("Welcome to the ") && banner.ends_with("READY\r\n"), "{banner}");
    assert!(lines[..6].iter().all(|line| banner.contains(line)), "{banner}");
    assert_eq!(ask(&mut board, "MC+RESET\r\n"), format!("\r\n{banner}"));

    // A write over the end of a page, the erase of a sector, and the erase that takes any text as address 0.
    assert_eq!(board.flash()[0x52FE..0x5302], [1, 2, 3, 4]);
    assert_eq!(ask(&mut board, "MC+WINC+ERASE=20481\r\n"), ok(&[]));
    assert_eq!((&board.flash()[0x5000..0x5004], board.flash()[0x6000]), (&[0xFF; 4][..], 0x42));
    assert_eq!(ask(&mut board, "MC+WINC+ERASE=x\r\n"), ok(&[]));
    assert_eq!(board.writes().last(), Some(&Write::Erase(0)));

    // A lock lasts.
    assert_eq!(ask(&mut board, "MC+ECC+LOCK=12\r\n"), ok(&[]));
    assert!(board.is_locked(12) && !board.is_locked(11));
    assert_eq!(ask(&mut board, "MC+ECC+WRITEBLOB=12,4,8\r\n"), "\r\n>");
    assert_eq!(ask(&mut board, "01020304\r\n"), format!("\r\n{}", error("1F4")));

    // What does not fit is an error, and filler is the way out of a blob that is awaited.
    assert_eq!(ask(&mut board, &format!("{}\r\n", "Z".repeat(300))), "ERROR: 0x2\r\n");
    assert_eq!(ask(&mut board, "MC+BLOBTEST=1024\r\n"), "\r\n>");
    ask(&mut board, &format!("{}\r\n", "Z".repeat(1100)));
    assert_eq!(ask(&mut board, "MC+PING=1\r\n"), ok(&["MC+PONG=1"]));
}

#[test]
fn the_firmware_of_avr_iot_keeps_to_the_protocol() {
    keeps_to_the_protocol(AVR, "AVR-IoT");
}

#[test]
fn the_firmware_of_sam_iot_keeps_to_the_protocol() {
    keeps_to_the_protocol(SAM, "SAM-IoT");
}

#[test]
fn the_firmware_of_sam_iot_wx_keeps_to_the_protocol() {
    keeps_to_the_protocol(SAM_WX, "SAM-IoT Wx");
}

#[test]
fn two_boards_with_the_same_firmware_say_the_same_to_the_byte() {
    let Some(hex) = image(AVR) else { return };
    assert_eq!(conversation(&hex).1, conversation(&hex).1);
}

#[test]
fn openssl_verifies_what_the_secure_element_signs() {
    let Some(hex) = image(AVR) else { return };
    let (mut board, _) = booted(&hex, Seed(20));
    let data = |reply: String| hex::decode(reply.lines().nth(1).unwrap()).unwrap();
    let key = data(ask(&mut board, "MC+ECC+GENPUBKEY\r\n"));
    assert_eq!(key, board.public_key());
    let digest = [0x5A; 32];
    assert_eq!(ask(&mut board, "MC+ECC+SIGNDIGEST=64,64\r\n"), "\r\n>");
    let signature = data(ask(&mut board, &format!("{}\r\n", hex::encode(digest))));

    let folder = tempfile::TempDir::new().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // SubjectPublicKeyInfo of a key of P-256 (RFC 5480), and Ecdsa-Sig-Value (RFC 3279).
    let spki = hex::decode("3059301306072a8648ce3d020106082a8648ce3d03010703420004").unwrap();
    let key = file("key", &[spki, key].concat());
    let integer = |number: &[u8]| {
        let number = number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
        let number = if number[0] & 0x80 != 0 { [vec![0], number].concat() } else { number };
        [vec![2, number.len() as u8], number].concat()
    };
    let numbers = [integer(&signature[..32]), integer(&signature[32..])].concat();
    let signature = file("signature", &[vec![0x30, numbers.len() as u8], numbers].concat());
    let digest = file("digest", &digest);
    let arguments =
        ["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", &key, "-sigfile", &signature, "-in"];
    openssl(&arguments, digest.as_ref());
}
