//! A kit is provisioned through its own firmware: what then is in the Wi-Fi module's flash is read from the layout alone, and
//! OpenSSL verifies the chain.

use std::path::PathBuf;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use kit_hardware::{Board, Write};
use testbed::board::Seed;
use testbed::board::emulated::{EmulatedBoard, Pace, kit_options};
use testbed::certificate_store::CertificateStore;

use super::{AVR, SAM, SAM_WX, User, image, openssl};

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
const BEFORE: u8 = 0xA5;
/// Two sectors for the store and the names.
const STORE: std::ops::Range<usize> = 0x5000..0x7000;

fn is_provisioned(path: &str) {
    let Some(hex) = image(path) else { return };
    let user = User::new();
    // Whatever was in the flash before.
    let options = kit_hardware::Options { flash: vec![BEFORE; 1 << 20], ..kit_options(Seed(21)).unwrap() };
    let mut board = Board::new(&hex, &options).unwrap();
    board.boot().unwrap();
    let board = EmulatedBoard::plug(board, Pace::Host).unwrap();
    let port = board.path().to_str().unwrap();
    let provision = ["provision", "--method", "jitr", "--endpoint", ENDPOINT, "--port", port];
    let first = user.ends_well(&[&provision[..], &["--logging", "debug"]].concat());
    assert!(!first.stderr.contains(" repeating "), "an exchange had to be repeated:\n{}", first.stderr);

    // Each sector of the store was erased once, before it was written; nothing else was.
    let flash = board.flash();
    let writes = board.with(|board| board.writes().to_vec());
    let erased: Vec<usize> = writes
        .iter()
        .filter_map(|write| match write {
            Write::Erase(address) => Some(*address),
            Write::Program(_) => None,
        })
        .collect();
    assert_eq!(erased, [0x5000, 0x6000]);
    assert!(flash[..STORE.start].iter().chain(&flash[STORE.end..]).all(|byte| *byte == BEFORE));
    assert_eq!(board.with(|board| board.lost()), 0, "the kit lost bytes of the host");

    let store = CertificateStore::read(&flash).unwrap();
    let [device, signer] = &store.certificates[..] else { panic!("{store:?}") };
    assert_eq!(store.endpoint, ENDPOINT);
    let file = |name: &str, content: &[u8]| -> PathBuf {
        let path = user.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let pem = |name: &str, der: &[u8]| {
        let text = openssl(&["x509", "-inform", "DER", "-in"], &file("certificate.der", der));
        file(name, &text)
    };
    let (device, signer) = (pem("device.pem", &device.content), pem("signer.pem", &signer.content));
    let root = user.0.path().join("root-ca.crt");
    let chain =
        ["verify", "-x509_strict", "-CAfile", root.to_str().unwrap(), "-untrusted", signer.to_str().unwrap()];
    openssl(&chain, &device);
    let serial = hex::encode_upper(board.with(|board| board.serial()));
    let subject = openssl(&["x509", "-noout", "-subject", "-in"], &device);
    assert!(String::from_utf8(subject).unwrap().contains(&format!("sn{serial}")));
    let key = file("key.pem", &openssl(&["x509", "-noout", "-pubkey", "-in"], &device));
    let spki = openssl(&["pkey", "-pubin", "-outform", "DER", "-in"], &key);
    let point = [&[4][..], &board.with(|board| board.public_key())].concat();
    assert!(spki.ends_with(&point), "the certificate is for another key");
    let thing = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &point));
    assert_eq!(store.thing_name, thing);

    // A second run finds everything done, and looking tells what is there.
    let second = user.ends_well(&provision);
    assert!(second.stdout.contains("unchanged"), "{}", second.stdout);
    let inspected = user.ends_well(&["inspect", "--port", port]).stdout;
    assert!(inspected.contains(&thing) && inspected.contains(ENDPOINT), "{inspected}");
    assert_eq!(board.with(|board| board.writes().to_vec()), writes);
}

#[test]
fn avr_iot_is_provisioned_through_its_own_firmware() {
    is_provisioned(AVR);
}

#[test]
fn sam_iot_is_provisioned_through_its_own_firmware() {
    is_provisioned(SAM);
}

#[test]
fn sam_iot_wx_is_provisioned_through_its_own_firmware() {
    is_provisioned(SAM_WX);
}
