use std::io::Write;

use device_pki::profile;
use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-24 21:42:17 UTC);

fn log() -> (tempfile::TempDir, Log) {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::of(&Home::at(folder.path()));
    (folder, log)
}

/// A log with so many entries.
fn filled(entries: usize) -> (tempfile::TempDir, Log) {
    let (folder, log) = log();
    (1..=entries).for_each(|number| sign(&log, &format!("document {number}")));
    (folder, log)
}

fn sign(log: &Log, document: &str) {
    log.record("1f", Purpose::DeviceCertificate, document.as_bytes()).unwrap();
}

fn findings(log: &Log) -> Vec<String> {
    let Contents { text, head, .. } = log.read().unwrap();
    verify(&text, head.as_ref().map_err(|lost| *lost), None)
        .findings
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Puts other lines into the log.
fn edit(log: &Log, change: impl FnOnce(&mut Vec<String>)) {
    let text = std::fs::read_to_string(log.path()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(log.path(), text).unwrap();
}

#[test]
fn an_untouched_log_verifies_and_the_next_line_goes_on_from_the_last() {
    let (_folder, log) = filled(3);
    assert_eq!(findings(&log), Vec::<String>::new());
    let entries = log.entries().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2, 3]);
    let Contents { text, head, .. } = log.read().unwrap();
    let verified = verify(&text, head.as_ref().map_err(|lost| *lost), None);
    assert_eq!((verified.entries, verified.head), (3, head.unwrap().sha256));
}

/// Lines of the names that fields had in earlier versions, with their hashes.
#[test]
fn a_log_that_an_earlier_version_began_verifies_and_goes_on() {
    let (_folder, log) = log();
    let old = [
        r#""document":"unknown","#,
        r#""document":"revocation_list","issuer":"CN=Signer","list_number":"7","next_update":"2026-12-24T21:42:17Z","revoked":2,"#,
    ];
    let mut previous = NO_ENTRY.to_owned();
    let mut text = String::new();
    for (number, document) in (1..).zip(old) {
        let line = format!(
            r#"{{"number":{number},"when":"2026-11-24T21:42:17Z","station":"bench-1","key_id":"1f","purpose":"revocation_list",{document}"sha256":"{NO_ENTRY}","previous":"{previous}"}}"#
        );
        previous = sha256(line.as_bytes());
        text.push_str(&format!("{line}\n"));
    }
    std::fs::write(log.path(), text).unwrap();
    log.write_head(&Head { number: 2, sha256: previous }).unwrap();
    sign(&log, "of this version");
    assert_eq!(findings(&log), Vec::<String>::new());
    let entries = log.entries().unwrap();
    assert_eq!(
        entries.iter().map(|entry| entry.authority_key_identifier.as_str()).collect::<Vec<_>>(),
        ["1f"; 3]
    );
    let list = Document::RevocationList {
        issuer: "CN=Signer".to_owned(),
        crl_number: Some(7),
        next_update: Some("2026-12-24T21:42:17Z".to_owned()),
        revoked_certificates: 2,
    };
    assert_eq!(entries[1].document, list);
}

type Change = fn(&mut Vec<String>);

#[test]
fn what_was_done_to_a_log_is_told_with_the_line() {
    let cases: [(&str, Change); 7] = [
        ("a word changed in line 2", |lines| lines[1] = lines[1].replace("device_", "root_")),
        ("line 3 removed", |lines| drop(lines.remove(2))),
        ("the last two lines removed", |lines| lines.truncate(3)),
        ("the first line removed", |lines| drop(lines.remove(0))),
        ("line 2 made unreadable", |lines| lines[1] = "x".to_owned()),
        ("lines 2 and 3 exchanged", |lines| lines.swap(1, 2)),
        ("the last line changed", |lines| lines[4] = lines[4].replace("\"1f\"", "\"2e\"")),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|(what, change)| {
            let (_folder, log) = filled(5);
            edit(&log, change);
            format!("{what}\n  {}", findings(&log).join("\n  "))
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    a word changed in line 2
      line 2 was changed: its hash is not the one that line 3 holds
    line 3 removed
      entry 3 is missing before line 3
    the last two lines removed
      entries 4 to 5 are missing before line 4
    the first line removed
      entry 1 is missing before line 1
    line 2 made unreadable
      line 2 is no entry: it was changed, or is no line of this log
    lines 2 and 3 exchanged
      entry 2 is missing before line 2
      line 3 has the number 2, and 4 was expected: lines were duplicated or reordered
      entry 3 is missing before line 4
    the last line changed
      line 5 was changed: its hash is not the one that audit.head holds
    ");
}

#[test]
fn a_gap_stays_visible_after_the_log_has_gone_on() {
    let (_folder, log) = filled(5);
    edit(&log, |lines| lines.truncate(3));
    sign(&log, "more");
    assert_eq!(findings(&log), ["entries 4 to 5 are missing before line 4"]);
}

/// The end of the log goes, and with it or instead of it the file that says where the end is.
#[test]
fn a_log_without_its_head_is_told_and_stays_told_after_it_has_gone_on() {
    type Damage = fn(&Log);
    let damage: [(&str, Damage); 4] = [
        ("audit.head is missing", |log| std::fs::remove_file(log.home.file(HEAD)).unwrap()),
        ("audit.head is unreadable", |log| std::fs::write(log.home.file(HEAD), "{").unwrap()),
        ("audit.head is unreadable", |log| std::fs::write(log.home.file(HEAD), "").unwrap()),
        ("audit.head is older than the log", |log| log.write_head(&Head::of_nothing()).unwrap()),
    ];
    for (says, damage) in damage {
        let (_folder, log) = filled(5);
        edit(&log, |lines| lines.truncate(3));
        damage(&log);
        let found = findings(&log);
        assert!(found.len() == 1 && found[0].starts_with(says), "{says}: {found:?}");
        sign(&log, "more");
        let found = findings(&log);
        match says {
            "audit.head is older than the log" => assert_eq!(found, Vec::<String>::new()),
            _ => {
                assert!(found.len() == 1 && found[0].contains("when line 4 was added"), "{found:?}");
            }
        }
    }
    let (_folder, log) = filled(5);
    edit(&log, |lines| lines.truncate(0));
    std::fs::write(log.home.file(HEAD), "{").unwrap();
    assert_eq!(findings(&log).len(), 1, "an empty log with a damaged head");
    sign(&log, "more");
    assert_eq!(findings(&log).len(), 1);
}

/// One line without a head is what a crash at the first signature could leave if the head came after it.
#[test]
fn a_head_is_there_before_the_first_line() {
    let (_folder, log) = log();
    let head = log.home.file(HEAD);
    let made = log.log.append(
        |last| {
            assert!(last.is_none());
            log.write_head(&Head::of_nothing())?;
            Ok(b"x".to_vec())
        },
        |_| Err(std::io::Error::other("killed")),
    );
    assert!(made.is_err() && head.exists());
    assert_eq!(findings(&log), Vec::<String>::new());
}

#[test]
fn no_number_makes_the_check_or_the_next_signature_panic() {
    for number in [0, 1, 3, u64::MAX - 1, u64::MAX] {
        let (_folder, log) = filled(2);
        edit(&log, |lines| lines[1] = lines[1].replace("\"number\":2", &format!("\"number\":{number}")));
        assert!(!findings(&log).is_empty(), "{number}");
        let signed = log.record("1f", Purpose::DeviceCertificate, b"more");
        assert_eq!(signed.is_ok(), number < u64::MAX, "{number}: {signed:?}");
        findings(&log);
        edit(&log, |lines| lines.extend_from_within(..));
        findings(&log);
        log.write_head(&Head { number, sha256: "x".to_owned() }).unwrap();
        assert!(!findings(&log).is_empty(), "{number}");
    }
}

#[test]
fn the_hash_of_an_empty_log_is_one_that_every_log_goes_on_from() {
    let (_folder, log) = filled(2);
    let Contents { text, head, .. } = log.read().unwrap();
    let verified = |kept| verify(&text, head.as_ref().map_err(|lost| *lost), Some(kept)).findings;
    assert_eq!(verified(NO_ENTRY), []);
    assert_eq!(verified(&"1".repeat(64)).len(), 1);
}

#[test]
fn a_log_that_was_written_anew_shows_only_by_a_hash_that_was_kept_elsewhere() {
    let (folder, log) = filled(3);
    let Contents { text, head, .. } = log.read().unwrap();
    let kept = verify(&text, head.as_ref().map_err(|lost| *lost), None).head;
    assert!(verify(&text, head.as_ref().map_err(|lost| *lost), Some(&kept)).findings.is_empty());
    for file in [FILE, HEAD] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    for number in 1..=3 {
        sign(&log, &format!("another document {number}"));
    }
    let Contents { text, head, .. } = log.read().unwrap();
    assert!(verify(&text, head.as_ref().map_err(|lost| *lost), None).findings.is_empty());
    let findings = verify(&text, head.as_ref().map_err(|lost| *lost), Some(&kept)).findings;
    assert_eq!(findings, [Finding::Rewritten { sha256: kept }]);
}

#[test]
fn what_a_crash_left_of_a_line_is_taken_away_and_the_chain_goes_on() {
    let (_folder, log) = filled(2);
    let whole = std::fs::read(log.path()).unwrap();
    let head = std::fs::read(log.home.file(HEAD)).unwrap();
    sign(&log, "third");
    let longer = std::fs::read(log.path()).unwrap();
    for cut in [whole.len(), whole.len() + 1, longer.len() - 1, longer.len()] {
        std::fs::write(log.path(), &longer[..cut]).unwrap();
        std::fs::write(log.home.file(HEAD), &head).unwrap();
        sign(&log, "next");
        assert_eq!(findings(&log), Vec::<String>::new(), "cut at {cut}");
        assert_eq!(log.entries().unwrap().len(), if cut + 1 >= longer.len() { 4 } else { 3 });
    }
}

#[test]
fn an_entry_that_only_lacks_the_end_of_its_line_is_kept() {
    let (_folder, log) = filled(3);
    let text = std::fs::read(log.path()).unwrap();
    std::fs::write(log.path(), text.strip_suffix(b"\n").unwrap()).unwrap();
    assert_eq!((findings(&log), log.read().unwrap().torn), (Vec::new(), 0));
    sign(&log, "next");
    assert_eq!(findings(&log), Vec::<String>::new());
    assert!(std::fs::read(log.path()).unwrap().starts_with(&text));
    assert_eq!(log.entries().unwrap().len(), 4);
    // What is no entry is told, and is no finding: the head says that no entry is missing.
    std::fs::OpenOptions::new().append(true).open(log.path()).unwrap().write_all(b"{\"number\":5").unwrap();
    assert_eq!((findings(&log), log.read().unwrap().torn), (Vec::new(), 11));
}

#[test]
fn many_at_once_keep_one_chain() {
    let (_folder, log) = log();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = log.clone();
            scope.spawn(move || {
                for number in 0..8 {
                    sign(&log, &format!("{thread} {number}"));
                }
            });
        }
    });
    assert_eq!(findings(&log), Vec::<String>::new());
    assert_eq!(log.entries().unwrap().len(), 64);
}

#[cfg(unix)]
#[test]
fn the_log_is_for_its_owner_alone_and_no_link_is_followed() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, log) = filled(1);
    for path in [log.path(), &log.home.file(HEAD)] {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let target = folder.path().join("elsewhere");
    std::fs::rename(log.path(), &target).unwrap();
    std::os::unix::fs::symlink(&target, log.path()).unwrap();
    let before = std::fs::read(&target).unwrap();
    assert!(log.record("1f", Purpose::DeviceCertificate, b"more").is_err());
    assert_eq!(std::fs::read(&target).unwrap(), before);
}

#[test]
fn what_was_signed_is_read_from_the_document() {
    let key = rcgen::KeyPair::generate().unwrap();
    let name = profile::Name::new("Zero Touch", "Root CA").unwrap();
    let certificate = profile::root(&name, &key, NOW).unwrap().self_signed(&key).unwrap();
    let request = profile::signing_request(&name).serialize_request(&key).unwrap();
    for der in [&certificate.der()[..], &request.der()[..]] {
        assert_eq!(Document::read(der).name(), "O=Zero Touch, CN=Root CA");
    }
    assert_eq!(Document::read(b"anything"), Document::Unknown);
}

proptest! {
    #[test]
    fn no_byte_of_a_log_can_be_changed_unseen(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let (_folder, log) = filled(3);
        let Contents { mut text, head, .. } = log.read().unwrap();
        let at = at.index(text.len());
        text[at] ^= 1 << bit;
        prop_assert!(!verify(&text, head.as_ref().map_err(|lost| *lost), None).findings.is_empty());
    }
}
