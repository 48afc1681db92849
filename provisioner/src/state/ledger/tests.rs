use proptest::prelude::*;
use time::macros::datetime;

use super::check::{Finding, Identity, check};
use super::*;

pub(crate) fn entry(kit: &str, element: &str, thing: &str) -> Entry {
    Entry {
        when: datetime!(2026-03-01 08:30:15 UTC),
        station: "bench-1".into(),
        port: "/dev/ttyACM0".into(),
        usb_serial: Some(kit.into()),
        secure_element_serial: Some(element.into()),
        thing_name: Some(thing.into()),
        certificate_id: Some("cd".repeat(32)),
        method: "jitr".into(),
        attested: false,
        outcome: Ending::Provisioned,
        error: None,
        seconds: 1.25,
    }
}

fn ledger() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::of(&Home::at(folder.path()));
    (folder, ledger)
}

#[test]
fn what_is_appended_is_read_back_in_order() {
    let (_folder, ledger) = ledger();
    assert_eq!(ledger.read().unwrap(), Contents::default());
    let entries = [entry("K1", "E1", "t1"), entry("K2", "E2", "t2")];
    for entry in &entries {
        ledger.append(entry).unwrap();
    }
    assert_eq!(ledger.read().unwrap(), Contents { entries: entries.to_vec(), damaged: vec![] });
    insta::assert_snapshot!(std::fs::read_to_string(ledger.path()).unwrap().lines().next().unwrap());
}

#[test]
fn a_line_that_a_crash_cut_short_costs_no_other_line() {
    let (_folder, ledger) = ledger();
    ledger.append(&entry("K1", "E1", "t1")).unwrap();
    ledger.append(&entry("K2", "E2", "t2")).unwrap();
    let whole = std::fs::read(ledger.path()).unwrap();
    let second = whole.iter().position(|&b| b == b'\n').unwrap() + 1;
    for cut in second..whole.len() {
        std::fs::write(ledger.path(), &whole[..cut]).unwrap();
        let before = ledger.read().unwrap();
        ledger.append(&entry("K3", "E3", "t3")).unwrap();
        let after = ledger.read().unwrap();
        assert_eq!(after.damaged, before.damaged, "cut at {cut}");
        assert_eq!(after.entries.len(), before.entries.len() + 1, "cut at {cut}");
        assert_eq!(after.entries.last().unwrap().usb_serial.as_deref(), Some("K3"));
    }
}

#[test]
fn many_at_once_each_get_their_line() {
    let (_folder, ledger) = ledger();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for n in 0..10 {
                    ledger.append(&entry(&format!("K{thread}-{n}"), "E", "t")).unwrap();
                }
            });
        }
    });
    let contents = ledger.read().unwrap();
    assert_eq!((contents.entries.len(), contents.damaged.len()), (40, 0));
}

#[test]
fn fields_of_a_later_version_are_accepted() {
    let mut value = serde_json::to_value(entry("K1", "E1", "t1")).unwrap();
    value["operator"] = "ann".into();
    assert_eq!(parse(value.to_string().as_bytes()).entries, [entry("K1", "E1", "t1")]);
}

#[test]
fn a_line_of_an_earlier_version_is_read() {
    let line = r#"{"when":"2026-03-01T08:30:15Z","station":"bench-1","port":"/dev/ttyACM0","kit_serial":"K1",
        "secure_element_serial":"E1","thing_name":"t1","certificate_id":null,"method":"jitr","result":"provisioned",
        "error":null,"seconds":1.25}"#;
    let line = line.replace('\n', "");
    let contents = parse(line.as_bytes());
    assert_eq!(contents.entries, [Entry { certificate_id: None, ..entry("K1", "E1", "t1") }]);
    let csv = String::from_utf8(record(&contents.entries[0]).unwrap()).unwrap();
    assert!(csv.contains("K1") && csv.contains("provisioned"), "{csv}");
}

fn checked(entries: &[Entry]) -> Vec<Finding> {
    check(|| Ok::<_, std::convert::Infallible>(entries.iter().cloned().map(Ok))).unwrap()
}

#[test]
fn the_same_board_again_is_no_finding_and_differing_partners_are() {
    let once = entry("K1", "E1", "t1");
    let unidentified = Entry { secure_element_serial: None, thing_name: None, ..once.clone() };
    assert_eq!(checked(&[once.clone(), once.clone(), unidentified, entry("K2", "E2", "t2")]), []);

    let finding = |what, value: &str, with, partners: [&str; 2]| Finding {
        what,
        value: value.into(),
        with,
        partners: partners.map(Into::into).to_vec(),
    };
    use Identity::{SecureElementSerial, ThingName, UsbSerial};
    assert_eq!(
        checked(&[once.clone(), entry("K1", "E2", "t2")]),
        [finding(UsbSerial, "K1", SecureElementSerial, ["E1", "E2"])]
    );
    assert_eq!(
        checked(&[once.clone(), entry("K2", "E1", "t1")]),
        [finding(SecureElementSerial, "E1", UsbSerial, ["K1", "K2"])]
    );
    assert_eq!(
        checked(&[once, entry("K2", "E2", "t1")]),
        [finding(ThingName, "t1", SecureElementSerial, ["E1", "E2"])]
    );
}

/// As of a ledger that was made by copying one line, and of one with a reader of serial numbers that is stuck.
#[test]
fn a_serial_number_of_all_boards_is_one_finding_with_each_of_them() {
    let boards = 20_000;
    let of = |board: usize| entry("K0", &format!("E{board}"), &format!("t{board}"));
    let entries: Vec<Entry> = (0..boards).map(of).chain((0..boards).map(of)).collect();
    let findings = checked(&entries);
    let [finding] = findings.as_slice() else { panic!("{} findings", findings.len()) };
    assert_eq!((finding.what, &*finding.value), (Identity::UsbSerial, "K0"));
    assert_eq!(finding.partners, (0..boards).map(|board| format!("E{board}")).collect::<Vec<_>>());
}

#[test]
fn a_search_finds_by_the_ends_of_serial_numbers_and_the_beginning_of_a_thing() {
    let found = |filter: Filter| filter.matches(&entry("MCHP0012", "0123FE", "ab12cd"));
    let serial = |end: &str| Filter { serial: Some(end.into()), ..Filter::default() };
    assert!(found(serial("0012")) && found(serial("23fe")) && !found(serial("MCHP")));
    assert!(found(Filter { thing: Some("AB12".into()), ..Filter::default() }));
    assert!(!found(Filter { thing: Some("12".into()), ..Filter::default() }));
    assert!(!found(Filter { outcome: Some(Ending::Failed), ..Filter::default() }));
    assert!(!found(Filter { station: Some("bench-2".into()), ..Filter::default() }));
    let since = |time| Filter { since: Some(time), ..Filter::default() };
    assert!(found(since(datetime!(2026-03-01 08:30:15 UTC))));
    assert!(!found(since(datetime!(2026-03-01 08:30:16 UTC))));
}

#[test]
fn a_point_in_time_is_a_time_a_day_or_how_long_ago() {
    let now = datetime!(2026-03-01 12:00 UTC);
    let since = |text: &str| text.parse::<Since>().map(|since| since.seen_from(now));
    assert_eq!(since("2026-02-28"), Ok(datetime!(2026-02-28 0:00 UTC)));
    assert_eq!(since("2026-02-28T10:00:00+02:00"), Ok(datetime!(2026-02-28 8:00 UTC)));
    assert_eq!(since("8h"), Ok(datetime!(2026-03-01 4:00 UTC)));
    assert_eq!(since("30m"), Ok(datetime!(2026-03-01 11:30 UTC)));
    assert_eq!(since("7d"), Ok(datetime!(2026-02-22 12:00 UTC)));
    for wrong in ["", "h", "8", "-8h", "8w", "2026-02-30", "yesterday", "é"] {
        assert!(since(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_table_for_spreadsheets_quotes_what_it_must() {
    let failed = Entry {
        usb_serial: None,
        thing_name: None,
        certificate_id: None,
        outcome: Ending::Failed,
        error: Some("cannot open the port \"x\", today".into()),
        ..entry("", "E2", "")
    };
    let csv = [names(), record(&entry("K1", "E1", "t1")), record(&failed)].map(Result::unwrap).concat();
    insta::assert_snapshot!(String::from_utf8(csv).unwrap().replace("\r\n", "\n"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let contents = parse(&bytes);
        prop_assert!(contents.entries.is_empty());
    }
}
