//! Whole runs against a board in memory: what is written, when, and what remains when something fails.

mod fixture;

use std::sync::{Arc, Mutex};

use time::OffsetDateTime;

use super::*;
use crate::state::board::{CERTIFICATE, Clash, REQUEST};
use crate::state::store as ca_store;
use crate::work::inspection::inspect;
use device_pki::key::Keys;
use device_pki::{Certificate, profile};
use fixture::{Board, Laptop};
use iot_kit::store;

const SERIAL: &str = "0123AABBCCDDEEFFEE";
const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

fn text_at(board: &Board, address: usize) -> &str {
    let end = board.flash[address..].iter().position(|&b| b == 0).unwrap();
    std::str::from_utf8(&board.flash[address..address + end]).unwrap()
}

#[test]
fn a_new_board_gets_certificates_and_names_and_the_laptop_its_files() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    let report = laptop.provision(&board).unwrap();
    let board = board.lock().unwrap();
    assert_eq!(report.outcome, Outcome::Provisioned);
    assert_eq!(text_at(&board, 0x6E00), ENDPOINT);
    assert_eq!(text_at(&board, 0x6F00), report.about.thing_name);
    let files = store::read(&board.flash[0x5000..0x6E00]).unwrap();
    let device = Certificate::from_der(&files[0].content).unwrap();
    let signer =
        ca_store::load(&laptop.home, &Keys::new(()), OffsetDateTime::now_utc()).unwrap().signer().clone();
    assert_eq!(files[1].content, signer.der());
    assert!(device.is_signed_by(&signer));
    assert_eq!(device.facts().subject, format!("O=Zero Touch, CN=sn{SERIAL}"));
    assert_eq!(device.facts().subject_key_identifier.as_deref(), Some(report.about.thing_name.as_str()));
    assert_eq!(device.facts().certificate_id, report.certificate_id);
    assert_eq!(laptop.file(CERTIFICATE).unwrap(), device.to_pem());
    assert_eq!(laptop.file(THING_NAME).unwrap(), report.about.thing_name);
    let request = laptop.file(REQUEST).unwrap();
    rcgen::CertificateSigningRequestParams::from_pem(&request).unwrap();
}

/// Commands, bytes sent and bytes received, with the signatures of the longest kind; a byte takes 87 µs, so each 115 bytes
/// more cost the user 10 ms. 1103 of those sent are the way in.
const NEW: (usize, usize, usize) = (29, 4469, 5541);
const USED: (usize, usize, usize) = (30, 4478, 4505);

#[test]
fn one_board_costs_this_many_commands_and_bytes() {
    let without_sizes = |line: &String| match line.split_once(',') {
        Some((address, _)) if line.contains("WINC") => address.to_owned(),
        _ => line.clone(),
    };
    let log = |board: &Arc<Mutex<Board>>| -> Vec<String> {
        board.lock().unwrap().log.iter().map(without_sizes).collect()
    };
    let new = Board::new(1);
    new.lock().unwrap().flash[0x5000..0x7000].fill(0xFF);
    let used = Board::new(1);
    for (board, expected) in [(&new, NEW), (&used, USED)] {
        let Traffic { commands, sent, received } = Laptop::new().provision(board).unwrap().traffic;
        assert_eq!(commands, expected.0);
        assert!((expected.1 - 20..=expected.1).contains(&sent), "{sent} bytes sent");
        assert!((expected.2 - 20..=expected.2).contains(&received), "{received} bytes received");
    }
    insta::assert_snapshot!(log(&used).join("\n"), @r"
    MC+ECC+SERIAL
    MC+ECC+GENPUBKEY
    MC+ECC+SIGNDIGEST=64,64
    MC+SETLED=DATA,ON
    MC+WINC+READ=20480
    MC+WINC+READ=0
    MC+WINC+ERASE=20480
    MC+WINC+READ=20480
    MC+WINC+READ=28160
    MC+WINC+ERASE=24576
    MC+WINC+READ=28160
    MC+WINC+WRITEBLOB=20480
    MC+WINC+WRITEBLOB=20948
    MC+WINC+WRITEBLOB=20992
    MC+WINC+WRITEBLOB=21248
    MC+WINC+WRITEBLOB=21504
    MC+WINC+WRITEBLOB=21760
    MC+WINC+WRITEBLOB=28160
    MC+WINC+WRITEBLOB=28416
    MC+WINC+READ=20480
    MC+WINC+READ=20948
    MC+WINC+READ=21204
    MC+WINC+READ=21460
    MC+WINC+READ=21716
    MC+WINC+READ=28160
    MC+WINC+READ=28416
    MC+WINC+READ=0
    MC+SETLED=DATA,OFF
    MC+SETLED=ERROR,OFF
    MC+SETLED=CONN,ON
    ");
    let erases = |line: &String| line.contains("ERASE");
    assert!(!log(&new).iter().any(erases));
}

#[test]
fn a_board_that_holds_the_right_bytes_is_left_alone_unless_forced() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    let first = laptop.provision(&board).unwrap();
    let again = laptop.provision(&board).unwrap();
    assert_eq!((again.outcome, &again.certificate_id), (Outcome::Unchanged, &first.certificate_id));
    for (command, times) in [("MC+WINC+ERASE", 0), ("MC+WINC+WRITEBLOB", 0), ("MC+ECC+SIGNDIGEST", 1)] {
        assert_eq!(board.lock().unwrap().count(command), times, "{command}");
    }
    let forced = laptop.provision_with(&board, true, ENDPOINT).unwrap();
    assert_eq!((forced.outcome, forced.certificate_reused), (Outcome::Provisioned, false));
    assert_ne!(forced.certificate_id, first.certificate_id);
}

#[test]
fn another_endpoint_is_written_with_the_same_certificate() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    let first = laptop.provision(&board).unwrap();
    let moved = laptop.provision_with(&board, false, "other.example.com").unwrap();
    assert_eq!((moved.outcome, moved.certificate_reused), (Outcome::Provisioned, true));
    assert_eq!(moved.certificate_id, first.certificate_id);
    assert_eq!(text_at(&board.lock().unwrap(), 0x6E00), "other.example.com");
}

#[test]
fn a_certificate_of_another_key_or_another_signer_is_not_used_again() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    let first = laptop.provision(&board).unwrap();
    let other_key = laptop.provision(&Board::new(2)).unwrap();
    assert!(!other_key.certificate_reused);
    assert_ne!(other_key.about.thing_name, first.about.thing_name);
    laptop.make_chain(true);
    let other_signer = laptop.provision(&board).unwrap();
    assert!(!other_signer.certificate_reused);
    std::fs::write(laptop.home.board("MCHP1").unwrap().join(CERTIFICATE), "garbage").unwrap();
    assert!(!laptop.provision(&board).unwrap().certificate_reused);
}

#[test]
fn nothing_is_erased_before_everything_is_there() {
    for (fails, endpoint) in [
        ("MC+ECC+SERIAL", ENDPOINT),
        ("MC+ECC+GENPUBKEY", ENDPOINT),
        ("MC+ECC+SIGNDIGEST", ENDPOINT),
        ("", "https://no-host-name"),
        ("", ""),
    ] {
        let (laptop, board) = (Laptop::new(), Board::new(1));
        board.lock().unwrap().fails = Box::new(move |line| !fails.is_empty() && line.starts_with(fails));
        laptop.provision_with(&board, false, endpoint).unwrap_err();
        let mut board = board.lock().unwrap();
        assert!(board.flash.iter().all(|&b| b == 0xA5), "{fails} {endpoint}");
        assert_eq!(board.log.pop().as_deref(), Some("MC+SETLED=CONN,OFF"));
        assert_eq!(board.log.pop().as_deref(), Some("MC+SETLED=ERROR,ON"));
        assert_eq!(laptop.file(CERTIFICATE), None);
    }
}

#[test]
fn a_board_cut_short_anywhere_is_completed_by_the_next_run() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    laptop.provision(&board).unwrap();
    let commands = board.lock().unwrap().log.len();
    for cut in 0..commands {
        let (laptop, board) = (Laptop::new(), Board::new(1));
        let mut seen = 0;
        board.lock().unwrap().fails = Box::new(move |_| {
            seen += 1;
            seen > cut
        });
        let _ = laptop.provision(&board);
        board.lock().unwrap().fails = Box::new(|_| false);
        let report = laptop.provision(&board).unwrap();
        let board = board.lock().unwrap();
        let files = store::read(&board.flash[0x5000..0x6E00]).unwrap();
        assert_eq!(
            Certificate::from_der(&files[0].content).unwrap().facts().certificate_id,
            report.certificate_id
        );
        assert_eq!(text_at(&board, 0x6F00), report.about.thing_name);
    }
}

#[test]
fn a_page_that_reads_back_wrong_is_written_once_more_and_then_reported_with_its_address() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    board.lock().unwrap().bad_writes = 1;
    assert_eq!(laptop.provision(&board).unwrap().outcome, Outcome::Provisioned);
    assert_eq!(board.lock().unwrap().count("MC+WINC+ERASE"), 4);

    let (laptop, board) = (Laptop::new(), Board::new(1));
    board.lock().unwrap().bad_writes = usize::MAX;
    let error = laptop.provision(&board).unwrap_err();
    assert!(matches!(error, work::Error::Provision(Error::ReadBack { address: 0x5207, .. })), "{error}");
}

#[test]
fn sectors_that_are_blank_are_not_erased() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    board.lock().unwrap().flash[0x5000..0x7000].fill(0xFF);
    laptop.provision(&board).unwrap();
    assert_eq!(board.lock().unwrap().count("MC+WINC+ERASE"), 0);

    board.lock().unwrap().flash[0x6000..0x7000].fill(0xFF);
    laptop.provision(&board).unwrap();
    assert_eq!(board.lock().unwrap().count("MC+WINC+ERASE"), 1);
    assert_eq!(board.lock().unwrap().count("MC+WINC+ERASE=20480"), 1);
}

#[test]
fn an_erase_or_a_write_that_went_elsewhere_is_told_and_the_next_run_completes_the_board() {
    let boot = |error: &work::Error| matches!(error, work::Error::Kit(iot_kit::Error::BootSector { .. }));
    let astray = |error: &work::Error| matches!(error, work::Error::Kit(iot_kit::Error::Astray { .. }));
    for (erase, write, named) in [
        (Some(0), None, &boot as &dyn Fn(&work::Error) -> bool),
        (Some(0x1000), None, &astray),
        (None, Some(0x0200), &astray),
        (None, Some(0x0000), &boot),
    ] {
        let (laptop, board) = (Laptop::new(), Board::new(1));
        {
            let mut board = board.lock().unwrap();
            (board.astray, board.write_astray) = (erase, write);
        }
        let error = laptop.provision(&board).unwrap_err();
        assert!(named(&error), "{erase:?} {write:?}: {error}");
        assert_eq!(board.lock().unwrap().log.pop().as_deref(), Some("MC+SETLED=CONN,OFF"), "not shown green");
        assert_eq!(laptop.provision(&board).unwrap().outcome, Outcome::Provisioned);
    }
}

#[test]
fn inspecting_shows_what_provisioning_wrote_and_changes_nothing() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    let now = OffsetDateTime::now_utc();
    let empty = inspect(&mut Laptop::connect(&board), &Kit::default(), now).unwrap();
    assert_eq!(empty.root_store.error.as_deref(), Some("there is no root store"));
    assert_eq!(empty.store.error.as_deref(), Some("there is no store"));
    assert_eq!((empty.stored_endpoint, empty.stored_thing_name), (None, None));

    let report = laptop.provision(&board).unwrap();
    let before = board.lock().unwrap().flash.clone();
    let found = inspect(&mut Laptop::connect(&board), &Kit::default(), now).unwrap();
    assert_eq!(board.lock().unwrap().flash, before);
    assert_eq!(found.stored_endpoint.as_deref(), Some(ENDPOINT));
    assert_eq!(found.stored_thing_name.as_deref(), Some(report.about.thing_name.as_str()));
    assert_eq!((found.thing_name, found.secure_element_serial), (report.about.thing_name, SERIAL.to_owned()));
    assert_eq!(found.wifi_module, ["WINC firmware 19.7.6", "WINC driver 19.3.0"]);
    let certificates: Vec<_> = found.store.files.iter().map(|file| file.certificate.as_ref()).collect();
    assert_eq!(certificates[0].unwrap().facts().certificate_id, report.certificate_id);
    assert_eq!((certificates.len(), certificates[2]), (3, None));
}

#[test]
fn a_board_whose_folder_cannot_be_written_is_not_touched() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    std::fs::write(laptop.home.board("MCHP1").unwrap(), "in the way").unwrap();
    let error = laptop.provision(&board).unwrap_err();
    assert!(matches!(error, work::Error::File(durable_files::Error::NotAFolder { .. })), "{error}");
    assert!(board.lock().unwrap().flash.iter().all(|&b| b == 0xA5));
}

/// What another team's signing server makes of a board's request.
fn sign_elsewhere(signing: &Laptop, request: &str) -> Certificate {
    let request = pem::parse(request).unwrap();
    let name = profile::Name::new("Elsewhere", "a board").unwrap();
    signing.chain().issue_device(request.contents(), &name, &|_| false, OffsetDateTime::now_utc()).unwrap()
}

#[test]
fn a_request_is_signed_elsewhere_and_the_certificate_put_into_the_board_it_belongs_to() {
    let (laptop, server, board) = (Laptop::new(), Laptop::new(), Board::new(1));
    let mut made =
        Request::sign(&mut Laptop::connect(&board), &laptop.kit, Some("Some Org"), &laptop.home, None, false)
            .unwrap();
    made.keep(&laptop.home).unwrap();
    assert!(board.lock().unwrap().flash.iter().all(|&b| b == 0xA5), "a request changes nothing on the board");
    let device = sign_elsewhere(&server, &std::fs::read_to_string(&made.file).unwrap());

    let now = OffsetDateTime::now_utc();
    let strangers = SignedElsewhere::new(device.clone(), [laptop.chain().signer().clone()], now);
    assert!(matches!(strangers, Err(Error::NoSigner { .. })));
    let signers = [laptop.chain().signer().clone(), server.chain().signer().clone()];
    let late = SignedElsewhere::new(device.clone(), signers.clone(), now + time::Duration::days(365 * 11));
    assert!(matches!(late, Err(Error::NotValidNow { .. })), "the signer's ten years are over");
    let signed = SignedElsewhere::new(device.clone(), signers, now).unwrap();

    let other = Board::new(2);
    let error = laptop
        .provision_from(&other, &Origin::Elsewhere(Box::new(signed.clone())), false, ENDPOINT)
        .unwrap_err();
    assert!(matches!(error, work::Error::Provision(Error::ForeignKey { .. })), "{error}");
    assert!(other.lock().unwrap().flash.iter().all(|&b| b == 0xA5));

    let report =
        laptop.provision_from(&board, &Origin::Elsewhere(Box::new(signed.clone())), false, ENDPOINT).unwrap();
    assert_eq!((report.outcome, &report.about.thing_name), (Outcome::Provisioned, &made.thing_name));
    let files = store::read(&board.lock().unwrap().flash[0x5000..0x6E00]).unwrap();
    assert_eq!(files[0].content, device.der());
    assert_eq!(files[1].content, server.chain().signer().der());
    assert_eq!(laptop.file(CERTIFICATE).unwrap(), device.to_pem());
    let again =
        laptop.provision_from(&board, &Origin::Elsewhere(Box::new(signed.clone())), false, ENDPOINT).unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);
}

#[test]
fn a_board_that_replays_a_recorded_request_is_refused() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    laptop.provision(&board).unwrap();
    let recorded = board.lock().unwrap().recorded;
    let of_the_board = laptop.file(CERTIFICATE);
    let replaying = Board::new(1);
    {
        let mut replaying = replaying.lock().unwrap();
        (replaying.replays, replaying.recorded, replaying.key) = (true, recorded, fixture::key(2));
    }
    for force in [false, true] {
        let error = laptop.provision_with(&replaying, force, ENDPOINT).unwrap_err();
        let refused = match &error {
            work::Error::Provision(Error::Possession { serial }) => serial == SERIAL && !force,
            work::Error::Pki(device_pki::Error::Request) => force,
            _ => false,
        };
        assert!(refused, "{error}");
    }
    let elsewhere = Laptop::new();
    let error = elsewhere.provision(&replaying).unwrap_err();
    assert!(matches!(error, work::Error::Pki(device_pki::Error::Request)), "{error}");
    let mut session = Laptop::connect(&replaying);
    let error = Request::sign(&mut session, &elsewhere.kit, Some("Zero Touch"), &elsewhere.home, None, false)
        .unwrap_err();
    assert!(matches!(error, work::Error::Pki(device_pki::Error::Request)), "{error}");
    assert!(replaying.lock().unwrap().flash.iter().all(|&b| b == 0xA5));
    assert_eq!((laptop.file(CERTIFICATE), elsewhere.file(REQUEST)), (of_the_board, None));
}

#[test]
fn a_board_that_shows_the_key_of_another_is_not_called_provisioned() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    laptop.provision(&board).unwrap();
    let false_board = Board::new(1);
    {
        let mut false_board = false_board.lock().unwrap();
        false_board.flash = board.lock().unwrap().flash.clone();
        false_board.key = fixture::key(2);
    }
    let device = Certificate::read(laptop.file(CERTIFICATE).unwrap().as_bytes()).unwrap();
    let signer = laptop.chain().signer().clone();
    let signed = SignedElsewhere::new(device, [signer], OffsetDateTime::now_utc()).unwrap();
    for origin in [Origin::Chain(laptop.chain()), Origin::Elsewhere(Box::new(signed))] {
        assert_eq!(
            laptop.provision_from(&board, &origin, false, ENDPOINT).unwrap().outcome,
            Outcome::Unchanged
        );
        let error = laptop.provision_from(&false_board, &origin, false, ENDPOINT).unwrap_err();
        assert!(matches!(error, work::Error::Provision(Error::Possession { .. })), "{error}");
        assert_eq!(false_board.lock().unwrap().count("MC+WINC"), 0, "nothing is written, or even compared");
    }
}

#[test]
fn a_board_with_the_usb_serial_number_of_another_overwrites_nothing_of_it() {
    let (laptop, victim) = (Laptop::new(), Board::new(1));
    laptop.provision(&victim).unwrap();
    let before = [CERTIFICATE, REQUEST, THING_NAME].map(|file| laptop.file(file));
    let hostile = Board::new(2);
    hostile.lock().unwrap().serial = "0123FFFFFFFFFFFFEE";
    for _ in 0..2 {
        let report = laptop.provision_with(&hostile, true, ENDPOINT).unwrap();
        assert_eq!(report.about.folder, laptop.home.board("0123FFFFFFFFFFFFEE").unwrap());
        assert_eq!(report.about.clash, Some(Clash::OtherKey));
        let mut request =
            Request::sign(&mut Laptop::connect(&hostile), &laptop.kit, Some("O"), &laptop.home, None, false)
                .unwrap();
        request.keep(&laptop.home).unwrap();
        assert_eq!((request.file, request.clash), (report.about.folder.join(REQUEST), Some(Clash::OtherKey)));
    }
    let liar = Board::new(3);
    liar.lock().unwrap().serial = "0123FFFFFFFFFFFFEE";
    let error = laptop.provision(&liar).unwrap_err();
    assert!(matches!(error, work::Error::State(crate::state::Error::FolderTaken { .. })), "{error}");
    assert!(liar.lock().unwrap().flash.iter().all(|&b| b == 0xA5));
    assert_eq!([CERTIFICATE, REQUEST, THING_NAME].map(|file| laptop.file(file)), before);
    assert_eq!(laptop.provision(&victim).unwrap().outcome, Outcome::Unchanged, "it finds its folder");
}

#[test]
fn a_board_without_factory_certificates_is_left_as_it_is() {
    let (laptop, board) = (Laptop::new(), Board::new(1));
    let error =
        laptop.provision_from(&board, &Origin::Factory { lock_slots: false }, false, ENDPOINT).unwrap_err();
    let work::Error::Provision(Error::Factory(factory::Error::Kind { serial })) = &error else {
        panic!("{error}")
    };
    assert_eq!(serial, SERIAL);
    assert!(board.lock().unwrap().flash.iter().all(|&b| b == 0xA5));
}
