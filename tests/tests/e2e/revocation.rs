//! A revoked device stays out, whatever it shows: an older certificate, a new one, or one that the account has never seen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_iot::types::CertificateStatus;
use testbed::HOST;
use testbed::board::{Options as BoardOptions, SimulatedBoard};
use testbed::certificate_store::CertificateStore;
use testbed::device::{Credentials, Device, DeviceError, Endpoint};
use testbed::faults::{Effect, Fault, Occurrence, Trigger};

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
        let store = CertificateStore::read(&self.board.flash()).unwrap();
        let key = self.board.signer();
        let device = Credentials {
            chain: store.certificates.iter().map(|file| file.content.clone().into()).collect(),
            sign: Arc::new(move |message| key.sign(message).map_err(Into::into)),
        };
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
    assert!(refused.said.contains("its key was revoked on"), "{}", refused.said);
    let refused = world.stage.ends(1, &["replay", &older_id, "--local"]);
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

    // For this reason it is always the whole key.
    let file = world.certificate(&older_id).display().to_string();
    let whole = world.stage.ends(0, &["revoke", &file, "--reason", "key-compromise", "--yes"]);
    let mut both = [older_id.as_str(), &newer_id];
    both.sort_unstable();
    assert_eq!(whole.values("certificate_id"), both, "{}", whole.said);
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
    // All certificates of a file, or none.
    let chain = file("chain.pem", foreign.pem() + &foreign.issue("b"));
    let refused = world.stage.ends(2, &["revoke", &chain, "--yes"]);
    assert!(refused.said.contains("--signer"), "{}", refused.said);
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
