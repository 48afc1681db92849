//! `report`: what is in it, and that no secret is.

use std::path::Path;

use testbed::board::{Options, SimulatedBoard};

use crate::account::Account;
use crate::laptop::{Laptop, Outcome};

const PSK: &str = "correct-horse-7";
const PASSPHRASE: &str = "battery-staple-9";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEOz0011223344";

fn written(laptop: &Laptop, outcome: &Outcome, file: &Path) -> String {
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(laptop.folder().exists() || outcome.stdout.contains("report"), "{outcome}");
    std::fs::read_to_string(file).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_has_what_is_needed_and_no_secret() {
    let account = Account::empty().await;
    let access = account.testbed.access();
    let (laptop, board) = (Laptop::with_ca(), SimulatedBoard::start(Options::instant(41)).unwrap());
    let port = board.path().to_str().unwrap();
    let provisioned = laptop.run(&["provision", "--endpoint", "localhost", "--port", port], &[]);
    assert_eq!(provisioned.code, 0, "{provisioned}");
    // Where a board could have a secret, and where the report reads.
    board.change_flash(|flash| {
        flash[0x9000..0x9000 + PSK.len()].copy_from_slice(PSK.as_bytes());
        flash[0x5180..0x5180 + PSK.len()].copy_from_slice(PSK.as_bytes());
    });
    let mut environment: Vec<(&str, String)> =
        access.environment().map(|(name, value)| (name, value.to_owned())).into();
    environment.extend([
        ("MICROCHIP_IOT_PSK", PSK.to_owned()),
        ("MICROCHIP_IOT_PASSPHRASE", PASSPHRASE.to_owned()),
        ("SOME_TOKEN", TOKEN.to_owned()),
    ]);
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let before = (laptop.files(), board.flash());
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("report.md");
    let outcome =
        laptop.run(&["report", "--board", "--port", port, "--file", file.to_str().unwrap()], &environment);
    let report = written(&laptop, &outcome, &file);
    assert!(before == (laptop.files(), board.flash()), "a report changes nothing");

    let key = std::fs::read_to_string(laptop.folder().join("signer-ca.key")).unwrap();
    let key: String = key.lines().filter(|line| !line.starts_with("-----")).collect();
    let home = laptop.folder().parent().unwrap().to_str().unwrap().to_owned();
    for secret in [
        PSK,
        PASSPHRASE,
        TOKEN,
        &access.secret_access_key,
        &access.access_key_id,
        &key[20..60],
        "123456789012",
        &home,
    ] {
        for form in [secret.to_owned(), hex::encode_upper(secret), hex::encode(secret)] {
            assert!(!report.contains(&form), "{secret:?} is in\n{report}");
        }
    }
    for part in [
        env!("CARGO_PKG_VERSION"),
        "signer-ca.key",
        "MICROCHIP_IOT_PSK",
        &board.ecc_serial(),
        "Amazon Root CA 3",
        "AVR-IoT WG",
        "> MC+ECC+SERIAL",
        "firmware answered",
        "below 19.6.5",
        "topic rule",
    ] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
}

#[test]
fn what_cannot_be_looked_at_is_in_the_report() {
    let laptop = Laptop::new();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("report.md");
    let arguments =
        ["report", "--board", "--offline", "--port", "/dev/no-such-port", "--file", file.to_str().unwrap()];
    let planned = laptop.run(&[&arguments[..], &["--dry-run"]].concat(), &[]);
    assert_eq!(planned.code, 0, "{planned}");
    assert!(!file.exists());
    let outcome = laptop.run(&arguments, &[]);
    let report = written(&laptop, &outcome, &file);
    for part in ["there is no port /dev/no-such-port", "exit code 3", "help: see what is there", "--offline"]
    {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
}
