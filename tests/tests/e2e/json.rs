//! Lines for programs that no other test has printed: what is found to be wrong, and what is left.
//!
//! Each run is held against the schema of its command by [`Laptop::run`].

use serde_json::Value;
use testbed::board::{Kit, Options, SimulatedBoard, SimulatedDisk};

use crate::kits::{AVR, SERIAL};
use crate::laptop::{Laptop, Outcome};

fn json(laptop: &Laptop, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
    laptop.run(&[&["--output", "json"], arguments].concat(), environment)
}

fn lines(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The value of `key` on every line that has it.
fn values(outcome: &Outcome, key: &str) -> Vec<Value> {
    lines(outcome).iter().filter_map(|line| line.get(key).cloned()).collect()
}

#[test]
fn kits_and_the_findings_of_the_ledger_have_the_same_names() {
    let laptop = Laptop::with_ca();
    let boards = json(&laptop, &["boards"], &[("MICROCHIP_IOT_PORTS", "/dev/ttyACM7=MCHP0000000001")]);
    assert_eq!(values(&boards, "usb_serial"), ["MCHP0000000001"], "{boards}");

    // As an earlier version wrote them.
    let entry = |element: &str| {
        format!(
            r#"{{"when":"2026-03-01T08:30:15Z","station":"bench-1","port":"/dev/ttyACM0","kit_serial":"MCHP0000000001","secure_element_serial":"{element}","thing_name":null,"certificate_id":null,"method":"jitr","result":"failed","error":"no","seconds":1.5}}"#
        )
    };
    let ledger = [entry("0123A1B2C3D4E5F601"), entry("0123A1B2C3D4E5F602")].map(|line| line + "\n").concat();
    std::fs::write(laptop.folder().join("ledger.jsonl"), ledger).unwrap();
    let entries = json(&laptop, &["ledger"], &[]);
    assert_eq!(values(&entries, "outcome"), ["failed", "failed"], "{entries}");
    let check = json(&laptop, &["ledger", "check"], &[]);
    assert_eq!((check.code, values(&check, "what")), (1, vec!["usb_serial".into()]), "{check}");
    assert_eq!(values(&check, "findings"), [1], "{check}");
}

#[test]
fn every_finding_of_the_audit_log_is_a_line() {
    type Change = fn(&mut Vec<String>);
    let cases: [(&str, Change); 4] = [
        ("unreadable", |lines| lines[0] = "x".to_owned()),
        ("changed", |lines| lines[0] = lines[0].replace("root_", "device_")),
        ("missing", |lines| drop(lines.remove(0))),
        ("out_of_order", |lines| lines.push(lines[0].clone())),
    ];
    for (finding, change) in cases {
        let laptop = Laptop::with_ca();
        let log = laptop.folder().join("audit.jsonl");
        let mut lines: Vec<String> =
            std::fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(&log, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        let found = json(&laptop, &["audit", "verify"], &[]);
        assert!(found.code != 0 && values(&found, "finding").contains(&finding.into()), "{finding}: {found}");
    }
    let laptop = Laptop::with_ca();
    let rewritten = json(&laptop, &["audit", "verify", "--head", &"1".repeat(64)], &[]);
    assert_eq!(values(&rewritten, "finding"), ["rewritten"], "{rewritten}");
    // What an empty log printed is the beginning of every log.
    let begun = json(&laptop, &["audit", "verify", "--head", &"0".repeat(64)], &[]);
    assert_eq!((begun.code, values(&begun, "holds")), (0, vec![true.into()]), "{begun}");
    let head = laptop.folder().join("audit.head");
    std::fs::remove_file(&head).unwrap();
    let headless = json(&laptop, &["audit", "verify"], &[]);
    assert_eq!(values(&headless, "finding"), ["headless"], "{headless}");
    assert_eq!(json(&laptop, &["ca", "crl"], &[]).code, 0);
    let added = json(&laptop, &["audit", "verify"], &[]);
    assert_eq!(values(&added, "finding"), ["added_headless"], "{added}");
    assert_eq!(values(&json(&laptop, &["audit", "show"], &[]), "head_lost"), ["missing"]);
}

#[test]
fn the_list_of_a_root_that_is_offline_is_left() {
    let laptop = Laptop::with_ca();
    let revoked = r#"{"when":"2026-03-01T08:30:15Z","reason":"key-compromise"}"#;
    std::fs::write(laptop.folder().join("signer-ca.revoked"), revoked).unwrap();
    std::fs::remove_file(laptop.folder().join("root-ca.key")).unwrap();
    let plan = json(&laptop, &["ca", "crl", "--dry-run"], &[]);
    assert_eq!(values(&plan, "action"), ["write", "leave"], "{plan}");
    assert_eq!(values(&plan, "role"), ["signer", "root"], "{plan}");
    let run = json(&laptop, &["ca", "crl"], &[]);
    assert_eq!(values(&run, "action"), ["write", "leave"], "{run}");
    assert_eq!(lines(&run)[1], lines(&plan)[1]);
}

#[test]
fn a_board_that_gets_its_firmware_first_is_planned_with_it() {
    let laptop = Laptop::with_ca();
    let board = SimulatedBoard::start(Options::instant(81)).unwrap();
    let disk = SimulatedDisk::start(Kit::AvrIotWg, SERIAL).unwrap();
    let file = laptop.folder().join("avr.hex");
    std::fs::write(&file, AVR).unwrap();
    let (file, port, disk) = (file.to_str().unwrap(), board.path().to_str().unwrap(), disk.folder());
    let kit = ["provision", "--endpoint", "host", "-P", port, "--disk", disk.to_str().unwrap()];
    let network = ["--ssid", "net", "--auth", "open", "--dry-run"];
    let plan = json(&laptop, &[&kit[..], &["-p", file, "--app", file], &network].concat(), &[]);
    assert_eq!(values(&plan, "action"), ["program", "provision", "program", "set_wifi"], "{plan}");
    assert!(values(&plan, "done").iter().all(|done| *done == false), "{plan}");
}
