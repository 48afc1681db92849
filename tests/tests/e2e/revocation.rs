//! A revoked device stays out, whatever it shows: an older certificate, a new one, or one that the account has never seen.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use aws_sdk_iot::types::CertificateStatus;
use testbed::board::{Options as BoardOptions, SimulatedBoard};
use testbed::certificate_store::CertificateStore;
use testbed::device::{Credentials, Device, DeviceError, Endpoint};
use testbed::faults::{Effect, Fault, Occurrence, Trigger};
use testbed::iot_core::control_plane::{Fault as Intercepted, Interceptor, Operation, ServiceError, When};
use testbed::{HOST, Options};

use crate::account::{Account, Ca};
use crate::account_life::scenario::Stage;
use crate::account_life::scenario::stage::Run;

/// A user with an account that is set up, and a board.
struct World {
    stage: Stage,
    account: Account,
    board: SimulatedBoard,
}

impl World {
    async fn new() -> Self {
        let account = Account::empty().await;
        let testbed = &account.testbed;
        let stage = Stage::new("the testbed", testbed.access(), &[], Some(testbed.journal())).await;
        let board = SimulatedBoard::start(BoardOptions { seed: None, ..BoardOptions::instant(0) }).unwrap();
        board.trust(testbed.gateway().server_ca_pem());
        stage.ends(0, &["ca", "create"]);
        Self { stage, account, board }
    }

    async fn set_up() -> Self {
        let world = Self::new().await;
        world.set_account_up();
        world
    }

    fn set_account_up(&self) -> Run {
        let package = self.stage.package();
        self.stage.ends(0, &["setup", "--lambda-zip", package.to_str().unwrap()])
    }

    /// Provisions the board and says what it ended with.
    fn provision(&self, code: i32, flags: &[&str]) -> Run {
        let port = self.board.path().to_str().unwrap().to_owned();
        self.stage.ends(code, &[&["provision", "--port", &port], flags].concat())
    }

    /// Provisions the board anew; gives what it connects with, and the certificate's id.
    fn issued(&self, flags: &[&str]) -> (Credentials, String) {
        let report = self.provision(0, flags);
        let row = report.lines.iter().find(|line| line["certificate_id"].is_string()).unwrap();
        let (device, _) = Credentials::of(&self.board).unwrap();
        (device, row["certificate_id"].as_str().unwrap().to_owned())
    }

    fn thing(&self) -> String {
        CertificateStore::read(&self.board.flash()).unwrap().thing_name
    }

    fn gateway(&self) -> Endpoint {
        let gateway = self.account.testbed.gateway();
        Endpoint::new(HOST, gateway.port(), gateway.server_ca_pem())
    }

    async fn gets_in(&self, device: &Credentials) {
        let (gateway, patience) = (self.gateway(), Duration::from_secs(60));
        let (connected, _) =
            Device::connect_until_let_in(&gateway, device, &self.thing(), patience).await.unwrap();
        connected.disconnect().await.unwrap();
    }

    async fn is_turned_away(&self, device: &Credentials) {
        for _ in 0..2 {
            match Device::connect(&self.gateway(), device, &self.thing()).await {
                Err(DeviceError::Connection(_)) => {}
                other => panic!("a revoked device has to be turned away: {other:?}"),
            }
        }
    }

    async fn status(&self, certificate: &str) -> Option<String> {
        let described = self.account.iot().describe_certificate().certificate_id(certificate).send().await;
        Some(described.ok()?.certificate_description()?.status()?.as_str().to_owned())
    }

    /// The ids of the certificates that the signer's records have.
    fn noted(&self) -> String {
        let records = std::fs::read_dir(self.stage.file("revocations")).into_iter().flatten();
        records.map(|record| std::fs::read_to_string(record.unwrap().path()).unwrap_or_default()).collect()
    }

    fn certificate(&self, certificate: &str) -> PathBuf {
        self.stage.file("certificates").join(self.thing()).join(format!("{certificate}.crt"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_device_takes_every_certificate_of_its_key() {
    let world = World::set_up().await;
    let (older, older_id) = world.issued(&[]);
    let (newer, newer_id) = world.issued(&["--force"]);
    assert!([&older_id, &newer_id].into_iter().all(|id| world.certificate(id).is_file()));
    world.gets_in(&newer).await;
    let thing = world.thing();
    let revoked = world.stage.ends(0, &["revoke", &thing, "--reason", "key-compromise", "--yes"]);
    let mut both = [older_id.as_str(), &newer_id];
    both.sort_unstable();
    assert_eq!(revoked.values("certificate_id"), both, "{}", revoked.said);
    assert_eq!(revoked.values("list_action"), ["add", "add"], "{}", revoked.said);
    assert!(revoked.lines.iter().all(|line| line["done"] == true), "{}", revoked.said);
    for id in both {
        assert_eq!(world.status(id).await.as_deref(), Some("REVOKED"));
        assert!(world.noted().contains(id));
    }
    for device in [&older, &newer] {
        world.is_turned_away(device).await;
    }

    // No way leads back for this key: neither a new certificate, nor registering, also not after a rotation.
    world.stage.ends(0, &["ca", "rotate"]);
    let file = world.certificate(&older_id).display().to_string();
    for arguments in [&["--force"][..], &[], &["--csr-only", "--force"], &["--dry-run"]] {
        let refused = world.provision(5, arguments);
        let said = refused.lines.last().unwrap();
        assert!(said["error"].as_str().unwrap().ends_with("(key-compromise)"), "{}", refused.said);
        assert!(!said["help"].as_str().unwrap().contains("--force"), "{}", refused.said);
    }
    let refused = world.stage.ends(5, &["register", &file]);
    assert!(refused.said.contains("the certificate was revoked on"), "{}", refused.said);
    let refused = world.stage.ends(5, &["replay", &older_id, "--local"]);
    assert!(refused.said.contains("was revoked on") || refused.said.contains("REVOKED"), "{}", refused.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_certificate_is_revoked_alone_and_the_others_of_its_key_are_named() {
    let world = World::set_up().await;
    let (older, older_id) = world.issued(&[]);
    let again = world.provision(0, &["--force"]);
    let newer_id = again.values("certificate_id")[0].to_owned();
    assert_eq!(again.lines[0]["superseded"], serde_json::json!([older_id]), "{}", again.said);
    let thing = world.thing();

    let one = world.stage.ends(0, &["revoke", &older_id, "--reason", "superseded", "--yes"]);
    assert_eq!(one.values("certificate_id"), [&*older_id, &*newer_id], "{}", one.said);
    assert_eq!(one.values("action"), ["revoke", "leave"], "{}", one.said);
    assert_eq!(one.lines[1]["subject_key_identifier"], *thing, "{}", one.said);
    world.is_turned_away(&older).await;
    // A certificate that another has replaced says nothing of its key.
    let kept = world.provision(0, &[]);
    assert_eq!(
        (kept.values("outcome"), kept.values("certificate_id")),
        (vec!["unchanged"], vec![&*newer_id])
    );
    assert_eq!(kept.lines[0]["superseded"], serde_json::json!([]), "{}", kept.said);

    // One of several may be revoked for any other reason: the board stays in service with the one that it has.
    let (_, newest_id) = world.issued(&["--force"]);
    world.stage.ends(0, &["revoke", &newer_id, "--yes"]);
    assert_eq!(world.provision(0, &[]).values("certificate_id"), [&*newest_id]);
    world.stage.ends(0, &["revoke", &newest_id, "--yes"]);
    world.provision(5, &[]);

    // For this reason it is always the whole key.
    let file = world.certificate(&older_id).display().to_string();
    let whole = world.stage.ends(0, &["revoke", &file, "--reason", "key-compromise", "--yes"]);
    let mut all = [older_id.as_str(), &newer_id, &newest_id];
    all.sort_unstable();
    assert_eq!(whole.values("certificate_id"), all, "{}", whole.said);
    assert_eq!(world.status(&newer_id).await.as_deref(), Some("REVOKED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_was_revoked_for_another_reason_gets_a_new_certificate_only_if_that_is_forced() {
    let world = World::set_up().await;
    let (old, old_id) = world.issued(&[]);
    world.gets_in(&old).await;
    let key = world.thing();
    world.stage.ends(0, &["revoke", "--key", &key, "--yes"]);
    let refused = world.provision(5, &[]);
    assert!(refused.said.contains("(unspecified)") && refused.said.contains("--force"), "{}", refused.said);
    let planned = world.provision(0, &["--force", "--dry-run"]);
    assert_eq!(planned.lines[0]["key_revocation"]["reason"], "unspecified", "{}", planned.said);
    let (new, new_id) = world.issued(&["--force"]);
    assert_ne!(new_id, old_id);
    // The board is in service again, until its key is revoked again.
    assert_eq!(world.provision(0, &[]).values("outcome"), ["unchanged"]);
    world.gets_in(&new).await;
    world.is_turned_away(&old).await;
    world.stage.ends(0, &["revoke", &key, "--reason", "privilege-withdrawn", "--yes"]);
    world.provision(5, &[]);
    world.is_turned_away(&new).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_certificate_is_revoked_with_the_new_one_only_once_that_is_on_the_board() {
    let world = World::set_up().await;
    let (older, older_id) = world.issued(&[]);
    world.gets_in(&older).await;
    let planned = world.provision(0, &["--force", "--revoke-superseded", "--dry-run"]);
    assert_eq!(planned.lines[0]["superseded"], serde_json::json!([older_id]), "{}", planned.said);
    assert_eq!(world.status(&older_id).await.as_deref(), Some("ACTIVE"));
    let on = Trigger {
        command: Some("MC+WINC+WRITEBLOB".into()),
        stage: testbed::board::firmware::Stage::Request,
        occurrence: Occurrence::From(1),
    };
    world.board.inject(Fault { on, effect: Effect::Error(0x0101) });
    world.provision(3, &["--force", "--revoke-superseded"]);
    world.board.clear_faults();
    assert_eq!(world.status(&older_id).await.as_deref(), Some("ACTIVE"), "nothing was read back");
    let (newer, newer_id) = world.issued(&["--force", "--revoke-superseded"]);
    assert_eq!(world.status(&older_id).await.as_deref(), Some("REVOKED"));
    world.is_turned_away(&older).await;
    world.gets_in(&newer).await;
    assert_eq!(world.provision(0, &[]).values("certificate_id"), [&*newer_id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_before_the_account_knew_it_is_registered_as_revoked_by_every_set_up() {
    let world = World::new().await;
    let port = world.board.path().to_str().unwrap().to_owned();
    world.stage.ends(0, &["provision", "--port", &port, "--endpoint", "example.com"]);
    let (device, id) = world.issued(&["--endpoint", "example.com"]);
    let thing = world.thing();
    world.stage.ends(0, &["revoke", &thing, "--list-only", "--yes"]);
    assert_eq!(world.status(&id).await, None);
    let made = world.set_account_up();
    let row = made.lines.iter().find(|line| line["resource"] == "certificate").expect(&made.said);
    assert_eq!((row["name"].as_str(), row["action"].as_str()), (Some(&*id), Some("create")), "{}", made.said);
    assert_eq!(world.status(&id).await.as_deref(), Some("REVOKED"));
    world.is_turned_away(&device).await;
    let again = world.set_account_up();
    assert!(again.lines.iter().all(|line| line["resource"] != "certificate"), "{}", again.said);
    // It stays as long as the CA does.
    let torn = world.stage.ends(0, &["teardown", "--keep-ca", "--yes"]);
    let row = torn.lines.iter().find(|line| line["resource"] == "certificate").expect(&torn.said);
    assert_eq!(
        (row["action"].as_str(), row["outcome"].as_str()),
        (Some("leave"), Some("kept")),
        "{}",
        torn.said
    );
    assert_eq!(world.status(&id).await.as_deref(), Some("REVOKED"));
    world.stage.ends(0, &["teardown", "--yes"]);
    assert_eq!(world.status(&id).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_revoked_is_not_called_done() {
    let world = World::set_up().await;
    let foreign = Ca::new("Foreign");
    let file = |name: &str, content: String| {
        let path = world.stage.file(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let one = file("foreign.crt", foreign.issue("a"));
    for arguments in [&["--dry-run"][..], &["--yes"]] {
        let run = world.stage.ends(1, &[&["revoke", &one], arguments].concat());
        assert!(run.lines.iter().all(|line| line["done"] != true), "{}", run.said);
        assert!(run.said.contains("not revoked: 1 of 1 certificate"), "{}", run.said);
    }
    // The CA of a chain is passed over. A self-signed one by itself may be a device's; the home's own are none.
    let chain = file("chain.pem", foreign.pem() + &foreign.issue("b"));
    let run = world.stage.ends(1, &["revoke", &chain, "--yes"]);
    assert!(run.said.contains("not revoked: 1 of 1 certificate"), "{}", run.said);
    let run = world.stage.ends(1, &["revoke", &file("ca.pem", foreign.pem()), "--yes"]);
    assert!(run.lines.iter().any(|line| line["done"] == false), "{}", run.said);
    for ours in ["root-ca.crt", "signer-ca.crt"] {
        let refused =
            world.stage.ends(2, &["revoke", &world.stage.file(ours).display().to_string(), "--yes"]);
        assert!(refused.said.contains("--signer"), "{}", refused.said);
    }
    let (_, first) = world.issued(&[]);
    let (_, second) = world.issued(&["--force"]);
    let both = [&first, &second].map(|id| std::fs::read_to_string(world.certificate(id)).unwrap()).concat();
    let both = file("both.pem", both);
    let revoked = world.stage.ends(0, &["revoke", &both, "--yes"]);
    assert_eq!(revoked.values("action"), ["revoke", "revoke"], "{}", revoked.said);
    assert_eq!(world.stage.ends(0, &["revoke", &both, "--yes"]).values("action"), ["leave", "leave"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_only_the_account_knows_is_taken_with_its_key() {
    let world = World::set_up().await;
    let (_, id) = world.issued(&[]);
    let thing = world.thing();
    // Another station, with the same signer CA, has given the board a certificate; it has connected once.
    let other = tempfile::tempdir().unwrap();
    for name in ["root-ca.crt", "signer-ca.crt", "signer-ca.key", "root-ca.key"] {
        std::fs::copy(world.stage.file(name), other.path().join(name)).unwrap();
    }
    let port = world.board.path().to_str().unwrap().to_owned();
    let elsewhere = world.stage.run_at(other.path(), &["provision", "--port", &port]);
    assert_eq!(elsewhere.code, 0, "{}", elsewhere.said);
    let unknown = elsewhere.values("certificate_id")[0].to_owned();
    let pem = other.path().join("certificates").join(&thing).join(format!("{unknown}.crt"));
    let request = world.account.iot().register_certificate();
    let request = request.certificate_pem(std::fs::read_to_string(pem).unwrap());
    let ca = std::fs::read_to_string(world.stage.file("signer-ca.crt")).unwrap();
    request.ca_certificate_pem(ca).status(CertificateStatus::Inactive).send().await.unwrap();
    let revoked = world.stage.ends(0, &["revoke", &thing, "--yes"]);
    let mut both = [id.as_str(), &unknown];
    both.sort_unstable();
    assert_eq!(revoked.values("certificate_id"), both, "{}", revoked.said);
    for id in both {
        assert_eq!(world.status(id).await.as_deref(), Some("REVOKED"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_device_leaves_no_thing_and_its_certificate_stays_revoked() {
    let world = World::set_up().await;
    let (device, id) = world.issued(&[]);
    world.gets_in(&device).await;
    let thing = world.thing();
    world.stage.ends(5, &["forget", &thing]);
    let planned = world.stage.ends(0, &["forget", &thing, "--dry-run"]);
    assert_eq!(planned.values("action"), ["revoke", "delete"], "{}", planned.said);
    let forgotten = world.stage.ends(0, &["forget", &thing, "--yes"]);
    assert_eq!(forgotten.values("action"), ["revoke", "delete"], "{}", forgotten.said);
    assert!(forgotten.lines.iter().all(|line| line["done"] == true), "{}", forgotten.said);
    assert!(world.account.iot().describe_thing().thing_name(&thing).send().await.is_err());
    assert_eq!(world.status(&id).await.as_deref(), Some("REVOKED"));
    world.is_turned_away(&device).await;
    assert_eq!(world.stage.ends(0, &["forget", &thing, "--yes"]).values("action"), ["leave"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_is_forgotten_also_if_its_certificates_are_revoked_already_or_it_has_none() {
    let world = World::set_up().await;
    let (device, _) = world.issued(&[]);
    world.gets_in(&device).await;
    let (thing, iot) = (world.thing(), world.account.iot());
    world.stage.ends(0, &["revoke", &thing, "--yes"]);
    iot.create_thing().thing_name("bare").send().await.unwrap();
    for (name, actions) in [(&*thing, &["leave", "delete"][..]), ("bare", &["delete"])] {
        world.stage.ends(5, &["forget", name]);
        let planned = world.stage.ends(0, &["forget", name, "--dry-run"]);
        assert_eq!(planned.values("action"), actions, "{}", planned.said);
        let forgotten = world.stage.ends(0, &["forget", name, "--yes"]);
        assert_eq!(forgotten.values("action"), actions, "{}", forgotten.said);
        let deleted = forgotten.lines.iter().find(|line| line["action"] == "delete").unwrap();
        assert_eq!((&deleted["thing_name"], &deleted["done"]), (&name.into(), &true.into()));
        assert!(iot.describe_thing().thing_name(name).send().await.is_err(), "{}", forgotten.said);
    }
    world.stage.ends(0, &["forget", &thing, "--yes"]);
    let unknown = world.stage.ends(2, &["forget", "bare", "--yes"]);
    assert!(unknown.said.contains("neither the account nor this computer"), "{}", unknown.said);
}

/// The function may be on its way when a certificate is revoked: its last step makes the certificate ACTIVE.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_pending_is_looked_at_again() {
    let world = World::set_up().await;
    let (device, id) = world.issued(&[]);
    let (thing, iot) = (world.thing(), world.account.iot());
    iot.delete_topic_rule().rule_name("ForwardSignedButUnknownDevices").send().await.unwrap();
    world.is_turned_away(&device).await;
    assert_eq!(world.status(&id).await.as_deref(), Some("PENDING_ACTIVATION"));
    let slow = world.account.lambda().update_function_configuration().function_name("JITR").timeout(3);
    slow.send().await.unwrap();
    let (client, revoked_id) = (iot.clone(), id.clone());
    let late = tokio::spawn(async move {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let described = client.describe_certificate().certificate_id(&revoked_id).send().await.unwrap();
            if described.certificate_description().unwrap().status() == Some(&CertificateStatus::Revoked) {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "the certificate is not revoked");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let request = client.update_certificate().certificate_id(&revoked_id);
        request.new_status(CertificateStatus::Active).send().await.unwrap();
    });
    let revoked = world.stage.ends(0, &["revoke", &thing, "--yes"]);
    late.await.unwrap();
    assert!(revoked.said.contains("revoked again"), "{}", revoked.said);
    assert_eq!(world.status(&id).await.as_deref(), Some("REVOKED"));
}

/// A certificate that the signer CA of the home signs, as somebody who has its key does.
fn signed(world: &World, change: impl FnOnce(&mut rcgen::CertificateParams)) -> (String, String) {
    let read = |name: &str| std::fs::read_to_string(world.stage.file(name)).unwrap();
    let authority = rcgen::KeyPair::from_pem(&read("signer-ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("signer-ca.crt"), authority).unwrap();
    let mut params = rcgen::CertificateParams::default();
    change(&mut params);
    let certificate = params.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
    (certificate.pem(), hex::encode(digest))
}

fn der_of(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

fn written(world: &World, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = world.stage.file(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_key_that_is_attached_to_its_thing_is_taken_wherever_it_was_registered() {
    let world = World::set_up().await;
    let (_, id) = world.issued(&[]);
    let thing = world.thing();
    let file = world.certificate(&id).display().to_string();
    world.stage.ends(0, &["register", &file]);
    // What was known of the key here is gone; the account has it.
    for name in ["certificates", "audit.jsonl", "ledger.jsonl", "register.jsonl"] {
        let path = world.stage.file(name);
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
    std::fs::remove_dir_all(world.stage.file(&world.board.ecc_serial())).unwrap();
    let revoked = world.stage.ends(0, &["revoke", "--key", &thing.to_uppercase(), "--yes"]);
    assert_eq!(revoked.values("certificate_id"), [&*id], "{}", revoked.said);
    assert_eq!(world.status(&id).await.as_deref(), Some("REVOKED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_certificate_puts_nothing_on_a_list_and_revokes_no_key() {
    let world = World::set_up().await;
    let (device, id) = world.issued(&[]);
    let victim = std::fs::read_to_string(world.certificate(&id)).unwrap();
    let mut der = der_of(&victim);
    // Names, number and key are the victim's; the signature is none of the signer CA's.
    let last = der.len() - 1;
    der[last] ^= 1;
    let forged = written(&world, "forged.der", &der);
    world.stage.ends(1, &["revoke", &forged, "--reason", "privilege-withdrawn", "--yes"]);
    assert_eq!(world.noted(), "");
    let other = signed(&world, |_| {}).0;
    world.stage.ends(0, &["revoke", &written(&world, "other.crt", other), "--yes"]);
    let list = world.stage.ends(0, &["ca", "crl"]);
    assert_eq!(list.lines[0]["revoked_certificates"], 1, "{}", list.said);
    assert_eq!(world.provision(0, &[]).values("outcome"), ["unchanged"]);
    world.gets_in(&device).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_past_its_end_or_with_a_negative_number_holds_up_nothing() {
    let world = World::set_up().await;
    let (device, id) = world.issued(&[]);
    world.gets_in(&device).await;
    let (ended, ended_id) = signed(&world, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let folder = world.stage.file("certificates").join(world.thing());
    std::fs::write(folder.join(format!("{ended_id}.crt")), ended).unwrap();
    let revoked = world.stage.ends(0, &["revoke", &world.thing(), "--reason", "key-compromise", "--yes"]);
    let mut actions = revoked.values("account_action");
    actions.sort_unstable();
    assert_eq!(actions, ["ended", "revoke"], "{}", revoked.said);
    assert_eq!(world.status(&id).await.as_deref(), Some("REVOKED"));
    world.stage.ends(0, &["setup"]);

    let negative = signed(&world, |params| {
        params.serial_number = Some(rcgen::SerialNumber::from(vec![0x41]));
    });
    let mut der = der_of(&negative.0);
    // The number keeps its length and gets a sign; so the signature does not hold, and the account is not asked for it.
    let place = der.windows(3).position(|bytes| bytes == [2, 1, 0x41]).unwrap();
    der[place + 2] = 0xFB;
    let refused = world.stage.ends(1, &["revoke", &written(&world, "negative.der", &der), "--yes"]);
    assert!(refused.said.contains("not revoked: 1 of 1"), "{}", refused.said);
    let record = format!(
        "{{\"when\":\"2026-01-01T00:00:00Z\",\"serial_number\":\"-5\",\"certificate_id\":\"{}\",\"reason\":\"unspecified\"}}\n",
        "0".repeat(64)
    );
    let records = std::fs::read_dir(world.stage.file("revocations")).unwrap();
    for record_file in records.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()) {
        let text = std::fs::read_to_string(&record_file).unwrap() + &record;
        std::fs::write(record_file, text).unwrap();
    }
    world.stage.ends(0, &["ca", "crl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_an_earlier_version_revokes_the_key_that_a_log_knows() {
    let world = World::set_up().await;
    let (_, older) = world.issued(&[]);
    let (_, _) = world.issued(&["--force"]);
    world.stage.ends(0, &["revoke", &older, "--reason", "privilege-withdrawn", "--list-only", "--yes"]);
    for record in std::fs::read_dir(world.stage.file("revocations")).unwrap() {
        let path = record.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let key = format!(r#""subject_key_identifier":"{}","#, world.thing());
        std::fs::write(&path, text.replace(&key, "").replace("privilege-withdrawn", "key-compromise"))
            .unwrap();
    }
    std::fs::remove_dir_all(world.stage.file("certificates")).unwrap();
    let refused = world.provision(5, &["--force"]);
    assert!(refused.said.contains("(key-compromise)"), "{}", refused.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_withdrawn_signer_has_signed_is_not_registered_and_its_files_bring_it_not_back() {
    let world = World::set_up().await;
    let names = ["signer-ca.crt", "signer-ca.key", "signer-ca.csr"];
    let files = names.map(|name| std::fs::read(world.stage.file(name)).unwrap());
    let thief = written(&world, "thief.crt", signed(&world, |_| {}).0);
    world.stage.ends(0, &["revoke", "--signer", "current", "--reason", "key-compromise", "--yes"]);
    let refused = world.stage.ends(5, &["register", &thief]);
    assert!(refused.said.contains("its signer CA was revoked on"), "{}", refused.said);
    world.stage.ends(0, &["ca", "rotate"]);
    for (name, content) in names.iter().zip(files) {
        std::fs::write(world.stage.file(name), content).unwrap();
    }
    world.provision(5, &[]);
    world.stage.ends(5, &["setup"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_active_again_is_revoked_by_the_next_set_up_and_a_damaged_file_is_refused() {
    let world = World::set_up().await;
    let (device, id) = world.issued(&[]);
    world.gets_in(&device).await;
    world.stage.ends(0, &["revoke", &world.thing(), "--yes"]);
    let active = world.account.iot().update_certificate().certificate_id(&id);
    active.new_status(CertificateStatus::Active).send().await.unwrap();
    let made = world.stage.ends(0, &["setup"]);
    let row = made.lines.iter().find(|line| line["resource"] == "certificate").expect(&made.said);
    assert_eq!((row["name"].as_str(), row["action"].as_str()), (Some(&*id), Some("change")), "{}", made.said);
    assert_eq!(world.status(&id).await.as_deref(), Some("REVOKED"));

    let whole = signed(&world, |_| {}).0;
    let cut = whole.lines().take(4).collect::<Vec<_>>().join("\n");
    for second in [cut, whole.replace("-----", "----")] {
        let file = written(&world, "two.pem", format!("{whole}\n{second}\n"));
        let refused = world.stage.ends(2, &["revoke", &file, "--yes"]);
        assert!(refused.said.contains("2 PEM blocks"), "{}", refused.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_key_at_the_same_thing_is_anothers() {
    let world = World::set_up().await;
    let (device, _) = world.issued(&[]);
    world.gets_in(&device).await;
    let thing = world.thing();
    let (other, other_id) = signed(&world, |_| {});
    world.stage.ends(0, &["register", &written(&world, "other.crt", other)]);
    let described =
        world.account.iot().describe_certificate().certificate_id(&other_id).send().await.unwrap();
    let arn = described.certificate_description().unwrap().certificate_arn().unwrap().to_owned();
    world.account.iot().attach_thing_principal().thing_name(&thing).principal(&arn).send().await.unwrap();
    let forgotten = world.stage.ends(1, &["forget", &thing, "--yes"]);
    assert!(forgotten.said.contains("of another key is attached"), "{}", forgotten.said);
    assert_eq!(world.status(&other_id).await.as_deref(), Some("ACTIVE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_account_has_or_is_a_signer_is_no_device_here() {
    let world = World::set_up().await;
    let (device, id) = world.issued(&[]);
    world.gets_in(&device).await;
    let thing = world.thing();
    let described = world.account.iot().describe_certificate().certificate_id(&id).send().await.unwrap();
    let arn = described.certificate_description().unwrap().certificate_arn().unwrap().to_owned();
    let parts: Vec<&str> = arn.split(':').collect();
    let other = |index: usize, part: &str| {
        let mut parts = parts.clone();
        parts[index] = part;
        parts.join(":")
    };
    for (index, part) in [(1, "aws-cn"), (3, "eu-north-1"), (4, "999999999999")] {
        let certificate = other(index, part);
        let of_thing = certificate.replace(&format!("cert/{id}"), &format!("thing/{thing}"));
        for arguments in [
            &["revoke", &certificate, "--yes"][..],
            &["revoke", &of_thing, "--dry-run"],
            &["forget", &of_thing, "--yes"],
            &["certificates", &certificate],
            &["replay", &certificate],
            &["doctor", "--thing", &of_thing],
        ] {
            let refused = world.stage.ends(2, arguments);
            let said = refused.lines.last().unwrap()["error"].as_str().unwrap();
            assert!(said.contains(part) && said.contains(parts[index]), "{arguments:?}: {}", refused.said);
        }
    }
    assert_eq!(world.status(&id).await.as_deref(), Some("ACTIVE"));

    let shown = world.stage.ends(0, &["ca", "show"]);
    let signer = shown.lines[0]["signer"]["certificate_id"].as_str().unwrap();
    for name in [arn.replace(&format!("cert/{id}"), &format!("cacert/{signer}")), signer.to_owned()] {
        let refused = world.stage.ends(2, &["revoke", &name, "--yes"]);
        assert!(refused.said.contains("revoke --signer"), "{}", refused.said);
    }
    let revoked = world.stage.ends(0, &["revoke", &arn, "--yes"]);
    assert_eq!(revoked.values("certificate_id"), [&*id], "{}", revoked.said);
}

/// Refuses changes after so many; negative lets everything pass.
struct Interrupted(AtomicIsize);

impl Interceptor for Interrupted {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Intercepted> {
        if operation.name != "UpdateCertificate" || self.0.fetch_sub(1, Ordering::Relaxed) != 0 {
            return None;
        }
        self.0.store(0, Ordering::Relaxed);
        let error = ServiceError::new("ExpiredTokenException", 403, "the token has expired");
        Some(Intercepted { latency: Duration::ZERO, error: Some((When::Before, error)) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_devices_are_revoked_in_one_run_and_what_is_left_of_it_in_the_next() {
    const BOARDS: usize = 60;
    let interrupted = Arc::new(Interrupted(AtomicIsize::new(-1)));
    let interceptor = Arc::clone(&interrupted) as Arc<dyn Interceptor>;
    let account = Account::with(Options { interceptor, ..Options::default() }).await;
    let stage =
        Stage::new("the testbed", account.testbed.access(), &[], Some(account.testbed.journal())).await;
    let package = stage.package();
    stage.ends(0, &["ca", "create"]);
    stage.ends(0, &["setup", "--lambda-zip", package.to_str().unwrap()]);
    let folder = stage.file("boards");
    std::fs::create_dir(&folder).unwrap();
    let ca = Ca::new("Vendor");
    for board in 0..BOARDS {
        std::fs::write(folder.join(format!("{board:02}.crt")), ca.issue(&format!("board {board}"))).unwrap();
    }
    let registered = stage.ends(0, &["register", "--dir", folder.to_str().unwrap()]);
    let of = |board: usize, key: &str| {
        let source = folder.join(format!("{board:02}.crt")).display().to_string();
        let row = registered.lines.iter().find(|line| line["source"] == source.as_str()).unwrap();
        row[key].as_str().unwrap().to_owned()
    };
    // Things, certificate ids, the beginning of one, and files beside the list.
    let mut lines = vec!["# stolen".to_owned(), String::new()];
    lines.extend((0..30).map(|board| of(board, "thing_name")));
    lines.extend((30..40).map(|board| of(board, "certificate_id")));
    lines.extend((40..49).map(|board| format!("{board:02}.crt")));
    let list = folder.join("stolen.txt");
    std::fs::write(&list, lines.join("\n")).unwrap();
    let list = list.to_str().unwrap();
    let (other, beginning) = (of(50, "thing_name"), of(49, "certificate_id")[..12].to_owned());
    let all = ["revoke", &other, &beginning, "--file", list, "--reason", "key-compromise", "--yes"];
    let revoked = async || {
        let iot = account.iot();
        let mut pages = iot.list_certificates().into_paginator().items().send();
        let mut revoked = std::collections::BTreeSet::new();
        while let Some(found) = pages.next().await {
            let found = found.unwrap();
            if found.status() == Some(&CertificateStatus::Revoked) {
                revoked.insert(found.certificate_id.unwrap());
            }
        }
        revoked
    };

    interrupted.0.store(20, Ordering::Relaxed);
    let stopped = stage.ends(4, &all);
    assert!(stopped.said.contains("run it again"), "{}", stopped.said);
    let out = revoked().await;
    assert!((20..51).contains(&out.len()), "{}: {}", out.len(), stopped.said);
    let done = stopped.lines.iter().filter(|line| line["done"] == true);
    assert!(
        done.clone().count() >= 20
            && done.clone().all(|line| out.contains(line["certificate_id"].as_str().unwrap()))
    );

    interrupted.0.store(-1, Ordering::Relaxed);
    let before = account.testbed.journal().calls().len();
    let nobodys = "0".repeat(64);
    let unknown = [&all[..], &["nosuch", &nobodys]].concat();
    let rest = stage.ends(1, &unknown);
    assert_eq!(revoked().await, (0..51).map(|board| of(board, "certificate_id")).collect(), "{}", rest.said);
    let refused: Vec<_> = rest.lines.iter().filter(|line| line["action"] == "refuse").collect();
    let refused: Vec<&str> = refused.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(refused, [&nobodys, "nosuch"], "{}", rest.said);
    assert_eq!(rest.lines.iter().filter(|line| line["action"] != "refuse").count(), 51 + 1, "{}", rest.said);
    // Each certificate is changed once, and nothing that was done.
    let calls = account.testbed.journal().calls().split_off(before);
    let count = |name: &str| calls.iter().filter(|call| call.operation == name).count();
    assert_eq!(count("UpdateCertificate"), 51 - out.len());
    assert!(count("DescribeCertificate") <= 51 + 1, "{}", count("DescribeCertificate"));
    let again = stage.ends(0, &all);
    assert_eq!(again.values("action"), ["leave"; 51], "{}", again.said);

    // The serial number of a kit is that of the ledger.
    let entry = serde_json::json!({
        "when": "2026-03-01T08:30:15Z", "station": "s", "port": "p", "usb_serial": "MCHP3261", "secure_element_serial": null,
        "thing_name": of(51, "thing_name"), "certificate_id": of(51, "certificate_id"), "method": "mar", "attested": false,
        "outcome": "provisioned", "error": null, "seconds": 1.0
    });
    std::fs::write(stage.file("ledger.jsonl"), format!("{entry}\n")).unwrap();
    let by_serial = stage.ends(0, &["revoke", "mchp3261", "--yes"]);
    assert_eq!(by_serial.values("certificate_id"), [of(51, "certificate_id")], "{}", by_serial.said);
}
