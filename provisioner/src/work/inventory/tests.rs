use time::macros::datetime;

use super::*;
use crate::state::ledger::tests::entry;
use device_pki::revocation::Reason;

const NOW: OffsetDateTime = datetime!(2026-11-24 21:42:17 UTC);

/// A certificate of its own key, and its id.
fn certificate(not_after: i32) -> (Certificate, String) {
    let mut params = rcgen::CertificateParams::default();
    params.not_after = rcgen::date_time_ymd(not_after, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    let id = certificate.facts().certificate_id.clone();
    (certificate, id)
}

fn on_disk(folder: &str, thing: &str, certificate: &Certificate) -> OnDisk {
    OnDisk { folder: folder.into(), certificate: certificate.clone(), thing_name: Some(thing.into()) }
}

pub(super) fn provisioned(thing: &str, id: &str) -> Entry {
    Entry { certificate_id: Some(id.into()), ..entry("K1", "E1", thing) }
}

/// A line of the audit log for a certificate.
pub(super) fn audited(id: &str, subject: &str, key: Option<String>) -> audit::Entry {
    audit::Entry {
        number: 1,
        when: NOW,
        station: "bench-1".into(),
        authority_key_identifier: "51".repeat(20),
        purpose: Purpose::DeviceCertificate,
        document: audit::Document::Certificate {
            subject: subject.into(),
            serial_number: "41".into(),
            not_after: "3000-01-01T00:00:00Z".into(),
            subject_key_identifier: key,
        },
        sha256: id.into(),
        previous: "0".repeat(64),
        head_lost: None,
    }
}

/// The rows of all that is known, as an account shows them that has these certificates, all of one signer of this home.
fn compared(sources: &Sources, statuses: &[(&str, &str)]) -> Vec<Device> {
    let mut statuses: BTreeMap<&str, &str> = statuses.iter().copied().collect();
    let known = devices(sources, NOW).into_iter().map(|device| {
        let status = statuses.remove(device.certificate_id.as_str());
        device.in_account(status.map(str::to_owned))
    });
    let mut all: Vec<Device> = known.collect();
    all.extend(statuses.into_iter().map(|(id, status)| {
        Device::unknown(id.to_owned(), None, Some("51".repeat(20))).in_account(Some(status.to_owned()))
    }));
    all
}

fn revocation(certificate: &Certificate) -> Revocation {
    Revocation {
        when: NOW,
        serial_number: certificate.serial_number().unwrap(),
        certificate_id: certificate.facts().certificate_id.clone(),
        subject_key_identifier: certificate.facts().subject_key_identifier.clone(),
        reason: Reason::KeyCompromise,
    }
}

fn differences_of(devices: &[Device], id: &str) -> Vec<Difference> {
    devices.iter().find(|device| device.certificate_id == id).unwrap().differences.clone()
}

#[test]
fn a_device_that_disk_ledger_and_account_agree_about_has_no_difference() {
    let (certificate, id) = certificate(3000);
    let sources = Sources {
        disk: vec![on_disk("MCHP1", "t1", &certificate)],
        ledger: vec![provisioned("t1", &id)],
        ..Sources::default()
    };
    let devices = compared(&sources, &[(&id, "ACTIVE")]);
    let [device] = devices.as_slice() else { panic!("{devices:?}") };
    assert_eq!(device.differences, []);
    assert_eq!((device.status.as_deref(), device.folder.as_deref()), (Some("ACTIVE"), Some("MCHP1")));
    assert_eq!(device.not_after.as_deref(), Some("3000-01-01T00:00:00Z"));
    assert_eq!(device.ledger.as_ref().unwrap().station, "bench-1");
}

#[test]
fn what_one_of_the_three_lacks_is_told() {
    let (disk_only, disk_id) = certificate(3000);
    let (_, ledger_id) = certificate(3000);
    let (_, account_id) = certificate(3000);
    let sources = Sources {
        disk: vec![on_disk("MCHP1", "t1", &disk_only)],
        ledger: vec![provisioned("t2", &ledger_id)],
        ..Sources::default()
    };
    let devices = compared(&sources, &[(&account_id, "ACTIVE")]);
    use Difference::*;
    assert_eq!(differences_of(&devices, &disk_id), [NotInAccount, NotInLedger]);
    assert_eq!(differences_of(&devices, &ledger_id), [NotInAccount, NotOnDisk]);
    assert_eq!(differences_of(&devices, &account_id), [NotInLedger, NotOnDisk]);
}

#[test]
fn an_older_certificate_of_the_same_thing_is_told_until_it_is_revoked() {
    let ((newer, newer_id), (older, older_id)) = (certificate(3000), certificate(3000));
    let mut sources = Sources {
        disk: vec![on_disk("MCHP1", "t1", &newer)],
        ledger: vec![provisioned("t1", &older_id), provisioned("t1", &newer_id)],
        ..Sources::default()
    };
    let before = compared(&sources, &[(&older_id, "ACTIVE"), (&newer_id, "ACTIVE")]);
    assert_eq!(differences_of(&before, &older_id), [Difference::Superseded]);
    assert_eq!(differences_of(&before, &newer_id), []);
    sources.revocations = vec![revocation(&older)];
    let after = compared(&sources, &[(&older_id, "REVOKED"), (&newer_id, "ACTIVE")]);
    assert_eq!(differences_of(&after, &older_id), []);
}

#[test]
fn a_revocation_that_only_one_side_knows_is_told() {
    let (certificate, id) = certificate(3000);
    let mut sources = Sources {
        disk: vec![on_disk("MCHP1", "t1", &certificate)],
        ledger: vec![provisioned("t1", &id)],
        revocations: vec![revocation(&certificate)],
        audit: vec![audited(&id, "CN=sn01", None)],
        ..Sources::default()
    };
    let active = compared(&sources, &[(&id, "ACTIVE")]);
    assert_eq!(differences_of(&active, &id), [Difference::NotRevokedInAccount]);
    sources.revocations = Vec::new();
    assert_eq!(differences_of(&compared(&sources, &[(&id, "REVOKED")]), &id), [Difference::NotOnList]);
}

#[test]
fn an_account_that_was_not_asked_differs_in_nothing_and_an_end_is_told() {
    let (certificate, id) = certificate(2020);
    let sources = Sources {
        disk: vec![on_disk("MCHP1", "t1", &certificate)],
        ledger: vec![provisioned("t1", &id)],
        ..Sources::default()
    };
    assert_eq!(differences_of(&devices(&sources, NOW), &id), [Difference::Expired]);
}

#[test]
fn an_older_certificate_that_is_kept_is_listed_with_the_newer_one() {
    let ((newer, newer_id), (older, older_id)) = (certificate(3000), certificate(3000));
    let key = older.facts().subject_key_identifier.clone().unwrap();
    let kept = Kept {
        certificate_id: older_id.clone(),
        subject_key_identifier: key.clone(),
        certificate: Some(older),
    };
    let sources = Sources {
        disk: vec![on_disk("MCHP1", &key, &newer)],
        kept: vec![kept],
        ledger: vec![provisioned(&key, &newer_id)],
        ..Sources::default()
    };
    let devices = devices(&sources, NOW);
    assert_eq!(differences_of(&devices, &older_id), [Difference::Superseded, Difference::NotInLedger]);
    assert_eq!(differences_of(&devices, &newer_id), []);
}
