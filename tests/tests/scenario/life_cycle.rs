//! Keys that age and devices that are stolen: a signer is rotated with its root's key offline, devices are revoked, a signer is.

use aws_sdk_iot::types::{AutoRegistrationStatus, CaCertificateStatus, CertificateStatus};
use testbed::board::{Options, SimulatedBoard};
use testbed::device::{Credentials, Device, DeviceError, Endpoint};

use super::breaks::configure;
use super::stage::Run;
use super::{FUNCTION, Stage};

/// The account's word on a certificate.
async fn status(stage: &Stage, certificate: &str) -> String {
    let described = stage.iot().describe_certificate().certificate_id(certificate).send().await.unwrap();
    described.certificate_description().unwrap().status().unwrap().as_str().to_owned()
}

/// Asserts that the CA is active and registers devices, or neither, as far as the stand-in shows it.
async fn assert_ca(stage: &Stage, id: &str, on: bool) {
    let described = stage.iot().describe_ca_certificate().certificate_id(id).send().await.unwrap();
    let ca = described.certificate_description().unwrap();
    assert_eq!(ca.status() == Some(&CaCertificateStatus::Active), on, "{ca:?}");
    if stage.plays("auto-registration off") {
        assert_eq!(ca.auto_registration_status() == Some(&AutoRegistrationStatus::Enable), on, "{ca:?}");
    }
}

/// A provisioned board, as the device it is.
struct Provisioned {
    device: Credentials,
    thing: String,
    certificate: String,
    file: String,
    board: SimulatedBoard,
}

fn provision(stage: &Stage) -> Provisioned {
    let board = SimulatedBoard::start(Options { seed: None, ..Options::instant(0) }).unwrap();
    let report = stage.ends(0, &["provision", "--port", board.path().to_str().unwrap()]);
    let row = report.lines.iter().find(|line| line["certificate_id"].is_string()).unwrap();
    let (device, store) = Credentials::of(&board).unwrap();
    Provisioned {
        device,
        thing: store.thing_name,
        certificate: row["certificate_id"].as_str().unwrap().to_owned(),
        file: format!("{}/device.crt", row["folder"].as_str().unwrap()),
        board,
    }
}

impl Provisioned {
    /// Connects until it is let in.
    async fn gets_in(&self, gateway: &Endpoint) {
        self.board.trust(&gateway.server_ca_pem);
        let patience = std::time::Duration::from_secs(60);
        let (connected, _) =
            Device::connect_until_let_in(gateway, &self.device, &self.thing, patience).await.unwrap();
        connected.disconnect().await.unwrap();
    }

    async fn is_turned_away(&self, gateway: &Endpoint) {
        self.board.trust(&gateway.server_ca_pem);
        match Device::connect(gateway, &self.device, &self.thing).await {
            Err(DeviceError::Connection(_)) => {}
            other => panic!("a revoked device has to be turned away: {other:?}"),
        }
    }
}

/// Plays it with an account that is set up. Leaves it healthy.
pub(super) async fn play(stage: &Stage, gateway: Option<&Endpoint>, old: &str) {
    let in_field = provision(stage);
    if let Some(gateway) = gateway {
        in_field.gets_in(gateway).await;
    }
    let new = a_signer_is_rotated(stage, old).await;
    if let Some(gateway) = gateway {
        in_field.gets_in(gateway).await;
        a_device_is_revoked(stage, gateway, &in_field).await;
    }
    if stage.plays("registered as revoked") {
        a_device_is_revoked_before_it_ever_connected(stage, gateway).await;
    }
    signers_are_revoked(stage, old, &new).await;
}

async fn a_signer_is_rotated(stage: &Stage, old: &str) -> String {
    let (key, stick) = (stage.file("root-ca.key"), stage.file("stick"));
    std::fs::rename(&key, &stick).unwrap();
    let refused = stage.ends(1, &["ca", "rotate"]);
    assert!(refused.said.contains("--root-key"), "{}", refused.said);
    let listed = stage.iot().list_ca_certificates().send().await;
    if let Ok(listed) = listed {
        assert_eq!(listed.certificates().len(), 1, "a CA was registered without the root's key");
    }
    configure(&stage.lambda(), &[("ALLOWED_CA_IDS", old)]).await;
    let rotated = stage.ends(0, &["ca", "rotate", "--root-key", &format!("file:{}", stick.display())]);
    std::fs::rename(&stick, &key).unwrap();
    let new = rotated.lines[0]["certificate_id"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    assert_eq!(rotated.lines[0]["registered"], true, "{}", rotated.said);
    let boards = rotated.lines[1]["boards"].as_u64().unwrap();
    assert!(boards >= 1, "{}", rotated.said);
    for id in [old, &new] {
        assert_ca(stage, id, true).await;
    }
    let function = stage.lambda().get_function_configuration().function_name(FUNCTION).send().await.unwrap();
    let variables = function.environment().unwrap().variables().unwrap();
    assert_eq!(variables["ALLOWED_CA_IDS"], format!("{old},{new}"));
    stage.is_healthy(&[]);
    new
}

async fn a_device_is_revoked(stage: &Stage, gateway: &Endpoint, device: &Provisioned) {
    let newer = provision(stage);
    newer.gets_in(gateway).await;
    let listed = stage.ends(0, &["certificates"]);
    let row =
        |run: &Run, id: &str| run.lines.iter().find(|line| line["certificate_id"] == *id).unwrap().clone();
    let (one, two) = (row(&listed, &device.certificate), row(&listed, &newer.certificate));
    assert_eq!((&one["status"], &two["status"]), (&"ACTIVE".into(), &"ACTIVE".into()), "{}", listed.said);
    assert_ne!(one["authority_key_identifier"], two["authority_key_identifier"], "{}", listed.said);
    for row in [&one, &two] {
        assert_eq!(row["differences"], serde_json::json!([]), "{}", listed.said);
    }

    stage.ends(5, &["revoke", &device.thing]);
    let planned = stage.ends(0, &["revoke", &device.thing, "--dry-run"]);
    assert_eq!(planned.values("account_action"), ["revoke"], "{}", planned.said);
    assert_eq!(status(stage, &device.certificate).await, "ACTIVE", "not confirmed");
    stage.ends(0, &["revoke", &device.thing, "--reason", "key-compromise", "--yes"]);
    assert_eq!(status(stage, &device.certificate).await, "REVOKED");
    let principals = stage.iot().list_thing_principals().thing_name(&device.thing).send().await.unwrap();
    assert!(principals.principals().is_empty(), "{principals:?}");
    device.is_turned_away(gateway).await;
    let again = stage.ends(0, &["revoke", &device.certificate, "--yes"]);
    assert_eq!(
        (again.values("account_action"), again.values("list_action")),
        (vec!["leave"], vec!["leave"]),
        "{}",
        again.said
    );
    let listed = stage.ends(0, &["certificates", "--status", "revoked"]);
    assert_eq!(listed.values("certificate_id"), [&*device.certificate], "{}", listed.said);
    assert_eq!(listed.lines[0]["differences"], serde_json::json!([]), "{}", listed.said);

    // A user of the console revokes without this tool and keeps the thing: the next run does what is missing.
    let revoke = stage.iot().update_certificate().certificate_id(&newer.certificate);
    revoke.new_status(CertificateStatus::Revoked).send().await.unwrap();
    let differing = stage.ends(0, &["certificates", "--differences"]);
    assert_eq!(row(&differing, &newer.certificate)["differences"][0], "not_on_list", "{}", differing.said);
    let kept = stage.ends(0, &["revoke", &newer.certificate, "--keep-thing", "--yes"]);
    assert_eq!(
        (kept.values("account_action"), kept.values("list_action")),
        (vec!["leave"], vec!["add"]),
        "{}",
        kept.said
    );
    let principals = stage.iot().list_thing_principals().thing_name(&newer.thing).send().await.unwrap();
    assert_eq!(principals.principals().len(), 1, "{principals:?}");
    let nobody = stage.ends(2, &["revoke", "nobody-knows-this", "--yes"]);
    assert!(nobody.said.contains("provisioner certificates"), "{}", nobody.said);
}

async fn a_device_is_revoked_before_it_ever_connected(stage: &Stage, gateway: Option<&Endpoint>) {
    let stolen = provision(stage);
    let revoked = stage.ends(0, &["revoke", &stolen.file, "--yes"]);
    assert_eq!(revoked.values("account_action"), ["register_as_revoked"], "{}", revoked.said);
    assert_eq!(status(stage, &stolen.certificate).await, "REVOKED");
    if let Some(gateway) = gateway {
        stolen.is_turned_away(gateway).await;
        assert_eq!(status(stage, &stolen.certificate).await, "REVOKED");
    }
}

async fn signers_are_revoked(stage: &Stage, old: &str, new: &str) {
    let planned = stage.ends(0, &["revoke", "--signer", old, "--dry-run"]);
    assert_eq!(planned.values("account_action"), ["switch_off"], "{}", planned.said);
    assert_ca(stage, old, true).await;
    stage.ends(0, &["revoke", "--signer", old, "--yes"]);
    assert_ca(stage, old, false).await;
    let again = stage.ends(0, &["revoke", "--signer", &old[..8], "--yes"]);
    if stage.plays("auto-registration off") {
        assert_eq!(again.values("account_action"), ["leave"], "{}", again.said);
    }

    stage.ends(0, &["revoke", "--signer", "current", "--reason", "key-compromise", "--yes"]);
    assert_ca(stage, new, false).await;
    // Neither is it used again by mistake, nor switched on.
    for refused in [&["setup"][..], &["provision", "--port", "/dev/null"], &["ca", "show"]] {
        let refused = stage.ends(5, refused);
        assert!(refused.said.contains("provisioner ca rotate"), "{}", refused.said);
    }
    assert_ca(stage, new, false).await;
    let rotated = stage.ends(0, &["ca", "rotate"]);
    assert_ca(stage, rotated.lines[0]["certificate_id"].as_str().unwrap(), true).await;
    let is_due = |shown: &Run| shown.said.contains("the revocation list of the root is due");
    assert!(is_due(&stage.ends(0, &["ca", "show"])));
    let lists = stage.ends(0, &["ca", "crl"]);
    assert_eq!(lists.values("role"), ["signer", "signer", "signer", "root"], "{}", lists.said);
    assert_eq!(lists.lines[3]["revoked_certificates"], 2, "{}", lists.said);
    assert!(!is_due(&stage.ends(0, &["ca", "show"])));
    stage.ends(0, &["audit", "verify"]);
    configure(&stage.lambda(), &[]).await;
    stage.is_healthy(&[]);
}
