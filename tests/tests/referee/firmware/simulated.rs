//! The simulated board answers what the firmware answers, byte for byte: every command with arguments right and wrong, blobs of
//! every form, and lines that are none. Nothing is written down: the firmware is asked in the same run.

use std::time::Duration;

use kit_hardware::Board;
use testbed::board::emulated::kit_options;
use testbed::board::firmware::Firmware;
use testbed::board::{Kit, Profile, Seed};

use super::{AVR, SAM, SAM_WX, image};

/// The longest that a command takes on a kit: a change of the module's mode.
const LIMIT: Duration = Duration::from_secs(6);
/// Brings every state back to the ready one.
const FILLER: usize = 1100;

/// Arguments, as they follow a command's name.
const ARGUMENTS: [&str; 48] = [
    "",
    "=",
    "=,",
    "=,1",
    "=1,",
    "=0",
    "=1",
    "=8",
    "=10",
    "=11",
    "=15",
    "=16",
    "=-1",
    "=x",
    "=x,16",
    "=0x8,0x20",
    "=010,4",
    "=8,0",
    "=8,1",
    "=8,4",
    "=8,5",
    "=8,416",
    "=8,417",
    "=8,4,4",
    "=10,72",
    "=10,73",
    "=0,36",
    "=32",
    "=64",
    "=65",
    "=4099",
    "=20480",
    "=20480,0",
    "=20480,1",
    "=20480,3",
    "=0x5000,16",
    "=20480,256",
    "=20480,257",
    "=1048576,16",
    "=1048568,16",
    "=-1,16",
    "=5000000000,16",
    "=FIRMWARE",
    "=winc",
    "=CONN",
    "=conn,off",
    "=ALL,ON",
    "=NOSE,ON",
];

/// Commands with a blob, as far as its length.
const BLOBS: [&str; 26] = [
    "MC+BLOBTEST=8",
    "MC+BLOBTEST=7",
    "MC+BLOBTEST=0",
    "MC+BLOBTEST=1,8",
    "MC+BLOBTEST=1024",
    "MC+BLOBTEST=1025",
    "MC+BLOBTEST=6x",
    "MC+BLOBTEST=-1",
    "MC+ECC+SIGNDIGEST=64,64",
    "MC+ECC+SIGNDIGEST=64",
    "MC+ECC+SIGNDIGEST=0,64,64",
    "MC+ECC+SIGNDIGEST=32,64",
    "MC+ECC+SIGNDIGEST=62,62",
    "MC+ECC+SIGNDIGEST=0x40,0x40",
    "MC+ECC+WRITEBLOB=8,4,8",
    "MC+ECC+WRITEBLOB=8,5,10",
    "MC+ECC+WRITEBLOB=8,4,10",
    "MC+ECC+WRITEBLOB=16,4,8",
    "MC+ECC+WRITEBLOB=8,420,840",
    "MC+ECC+WRITEBLOB=0,32,64",
    "MC+ECC+PUBKEY+WRITE=11,128",
    "MC+ECC+PUBKEY+WRITE=11,64,128",
    "MC+WINC+WRITEBLOB=20480,256,512",
    "MC+WINC+WRITEBLOB=20988,8,16",
    "MC+WINC+WRITEBLOB=1048576,4,8",
    "MC+WINC+WRITEBLOB=20480,257,514",
];

/// What is sent, piece by piece: each piece is answered before the next.
fn exchanges(commands: &[&str]) -> Vec<Vec<Vec<u8>>> {
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    let mut all: Vec<Vec<Vec<u8>>> = Vec::new();
    let address = ["16", "88", "54", "128", "176", "182", "216", "255", "256", "-1", "x", "0x58", "0x36"];
    let look = ["READ", "READ=1"];
    if commands.contains(&"MC+ECC+ADDR+WRITE") {
        let write = |address: &&str| vec![line(&format!("MC+ECC+ADDR+WRITE={address}"))];
        let addressed = address.iter().map(|address| {
            let looks = look.iter().map(|look| line(&format!("MC+ECC+ADDR+{look}")));
            write(address).into_iter().chain(looks).chain([line("MC+ECC+SERIAL"), line("MC+RESET")]).collect()
        });
        all.extend(addressed);
    }
    // With another address, the secure element is gone.
    for command in commands.iter().filter(|command| !command.ends_with("ADDR+WRITE")) {
        all.extend(ARGUMENTS.iter().map(|arguments| vec![line(&format!("{command}{arguments}"))]));
    }
    for request in BLOBS {
        let length = request.rsplit([',', '=']).next().and_then(|length| match length.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16).ok(),
            None => length.parse().ok(),
        });
        let length = length.unwrap_or(8);
        let digits = |count: usize| "5A".repeat(count.div_ceil(2))[..count].to_owned();
        let ping = || line("MC+PING=9");
        let blobs = [
            vec![line(&digits(length))],
            vec![line(&digits(length).to_lowercase())],
            vec![line(&"Z1g ".repeat(length.div_ceil(4))[..length])],
            vec![line(&digits(length.saturating_sub(2))), ping()],
            vec![line(&digits(length + 1)), ping()],
            vec![[b"\r\n\r\n".to_vec(), line(&digits(length))].concat()],
            vec![digits(length).into_bytes(), b"\n".to_vec()],
            vec![line(&format!(
                "{}\r\n{}",
                digits(length / 2),
                digits(length.div_ceil(2).saturating_sub(2))
            ))],
        ];
        all.extend(blobs.map(|blob| [vec![line(request)], blob].concat()));
    }
    let lines: [&[u8]; 20] = [
        b"mc+ping=abc\n",
        b"MC+PING=7\r",
        b"\r\n\r\n\nMC+PING=7\r\n",
        b" MC+PING=7\r\n",
        b"MC+PING=7 \r\n",
        b"MC+PING=a\x01\x7f\xe9b\r\n",
        b"MC+PING=a=b\r\n",
        b"MC+PIN\r\n",
        b"MC+PINGX=1\r\n",
        b"MC+NOSUCH=1,2\r\n",
        b"hello world\r\n",
        b"\x00\xff\x80\r\n",
        b"\x00MC+PING=1\r\n",
        b"   \r\n",
        b"=\r\n",
        b"MC+\r\n",
        b"\xff\x00zzMC+PING=1\r\n",
        b"MC+PING=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1\r\n",
        b"MC+PING=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1\r\n",
        b"MC+PI\x08NG=1\r\n",
    ];
    all.extend(lines.map(|line| vec![line.to_vec()]));
    for length in [100, 117, 118, 119, 120, 121, 192, 300, 2000] {
        let long = [b"MC+PING=".as_slice(), &vec![b'1'; length]].concat();
        all.push(vec![[&long[..], b"\r"].concat(), line("MC+PING=9")]);
        all.push(vec![long, b"Z".to_vec(), line(""), line("MC+PING=9")]);
    }
    all.push(vec![b"MC+PI".to_vec(), b"NG=5\r\n".to_vec()]);
    all.push(vec![
        line("MC+ECC+LOCK=12"),
        line("MC+ECC+WRITEBLOB=12,4,8"),
        line("01020304"),
        line("MC+ECC+LOCK=12"),
    ]);
    all.push(vec![line("MC+RESET"), line("MC+GETLED=CONN")]);
    all
}

/// What the simulated board sends for these bytes.
fn answer(board: &mut Firmware, bytes: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for byte in bytes {
        if let Some(line) = board.receive(*byte) {
            sent.extend(board.execute(&line).bytes);
        }
    }
    sent
}

/// Every `nth` exchange is played.
fn answers_what_the_firmware_answers(path: &str, kit: Kit, nth: usize) {
    let Some(hex) = image(path) else { return };
    let mut simulated = Firmware::new(kit, Seed(23), Profile::default()).unwrap();
    let flash = simulated.flash.image().to_vec();
    let options = kit_hardware::Options { flash, ..kit_options(Seed(23)).unwrap() };
    let mut firmware = Board::new(&hex, &options).unwrap();
    assert_eq!(simulated.reset().bytes, firmware.boot().unwrap());
    let listed = String::from_utf8(answer(&mut simulated, b"MC+LISTCOMMANDS\r\n")).unwrap();
    let commands: Vec<&str> = listed.lines().filter(|line| line.starts_with("MC+")).collect();
    let (mut replies, mut different) = (0, Vec::new());
    for exchange in exchanges(&commands).into_iter().step_by(nth) {
        let mut ends_ready = false;
        for piece in &exchange {
            let (ours, theirs) = (answer(&mut simulated, piece), firmware.ask(piece, LIMIT).unwrap());
            replies += 1;
            ends_ready = [b"OK\r\n", b"Y\r\n".as_slice()].iter().any(|end| theirs.ends_with(end));
            if ours != theirs {
                let [ours, theirs] = [ours, theirs].map(|reply| String::from_utf8_lossy(&reply).into_owned());
                let piece = String::from_utf8_lossy(&piece[..piece.len().min(80)]).into_owned();
                different.push(format!("{piece:?}\n  firmware  {theirs:?}\n  simulated {ours:?}"));
            }
        }
        if !ends_ready {
            let filler = [vec![b'Z'; FILLER], b"\r\n".to_vec()].concat();
            answer(&mut simulated, &filler);
            firmware.ask(&filler, LIMIT).unwrap();
        }
    }
    println!("{kit}: {replies} replies");
    assert!(
        different.is_empty(),
        "{} of {replies} replies differ:\n{}",
        different.len(),
        different.join("\n")
    );
    assert!(simulated.flash.image() == firmware.flash(), "the flash differs");
    for slot in 0..16 {
        assert_eq!(simulated.element.is_locked(slot), firmware.is_locked(slot), "slot {slot}");
    }
}

#[test]
fn the_simulated_avr_iot_answers_what_its_firmware_answers() {
    answers_what_the_firmware_answers(AVR, Kit::AvrIotWg, 1);
}

#[test]
fn the_simulated_sam_iot_answers_what_its_firmware_answers() {
    answers_what_the_firmware_answers(SAM, Kit::SamIotWg, 1);
}

#[test]
fn the_simulated_sam_iot_wx_answers_what_its_firmware_answers() {
    answers_what_the_firmware_answers(SAM_WX, Kit::SamIotWx, 5);
}
