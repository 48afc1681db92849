//! A board with an incomplete registration, and the commands that repair it.

use aws_sdk_iot::types::{CertificateStatus, LogEventConfiguration, LogLevel};
use testbed::board::{Options, SimulatedBoard};
use testbed::device::{Credentials, Device, DeviceError, Endpoint};

use super::breaks::break_link;
use super::{POLICY, Stage};

/// The rule is off while a board connects: it stays PENDING_ACTIVATION until its event is sent again.
pub(super) async fn a_board_gets_stuck_and_is_helped(stage: &Stage, gateway: &Endpoint, signer: &str) {
    let board = SimulatedBoard::start(Options { seed: None, ..Options::instant(0) }).unwrap();
    let report = stage.ends(0, &["provision", "--port", board.path().to_str().unwrap()]);
    board.trust(&gateway.server_ca_pem);
    let (device, store) = Credentials::of(&board).unwrap();
    let row = report.lines.iter().find(|line| line["certificate_id"].is_string()).unwrap();
    let certificate = row["certificate_id"].as_str().unwrap();
    let folder = row["folder"].as_str().unwrap();
    let iot = stage.iot();

    stage.is_healthy(&["--board", folder]);
    break_link(stage, "rule disabled", signer).await;
    match Device::connect(gateway, &device, &store.thing_name).await {
        Err(DeviceError::Connection(_)) => {}
        other => panic!("the first connection has to be turned away: {other:?}"),
    }
    stage.ends(0, &["setup"]);
    stage.names("certificate", "registration got stuck", &["--board", folder]);
    let stuck = stage.ends(0, &["replay", "--dry-run"]);
    assert_eq!(stuck.values("certificate_id"), [certificate], "{}", stuck.said);
    let replayed = stage.ends(0, &["replay", "--ca", signer]);
    assert_eq!(replayed.values("outcome"), ["registered"], "{}", replayed.said);
    assert!(stage.ends(0, &["replay"]).lines.is_empty());
    let connected = Device::connect(gateway, &device, &store.thing_name).await.unwrap();
    connected.disconnect().await.unwrap();
    stage.is_healthy(&["--board", folder]);
    stage.is_healthy(&["--thing", &store.thing_name]);
    // ministack has no such options, so what doctor asks of the logs is recorded on the testbed alone.
    if stage.journal().is_some() {
        let refused = LogEventConfiguration::builder().event_type("Connection.AuthNError");
        let logging = iot.set_v2_logging_options().role_arn("arn:aws:iam::123456789012:role/logs");
        let logging = logging.event_configurations(refused.log_level(LogLevel::Error).build().unwrap());
        logging.send().await.unwrap();
        stage.is_healthy(&["--thing", &store.thing_name]);
    }

    a_board_that_may_be_another_is_told(stage, folder, certificate).await;

    // By id, and without the function: the certificate is fine, so nothing but that is said.
    let local = stage.ends(0, &["replay", certificate, "--local"]);
    assert_eq!(local.values("outcome"), ["repaired"], "{}", local.said);

    let described = iot.describe_certificate().certificate_id(certificate).send().await.unwrap();
    let arn =
        described.certificate_description().and_then(|found| found.certificate_arn()).unwrap().to_owned();
    iot.detach_policy().policy_name(POLICY).target(&arn).send().await.unwrap();
    stage.names("attached_policy", "policy detached", &["--board", folder]);
    stage.ends(0, &["doctor", "--repair", "--board", folder]);
    iot.detach_thing_principal().thing_name(&store.thing_name).principal(&arn).send().await.unwrap();
    stage.names("thing", "thing detached", &["--board", folder]);
    stage.ends(0, &["doctor", "--repair", "--board", folder]);

    let set = |status| iot.update_certificate().certificate_id(certificate).new_status(status).send();
    set(CertificateStatus::Revoked).await.unwrap();
    let refused = stage.ends(4, &["doctor", "--repair", "--board", folder]);
    assert!(refused.said.contains("REVOKED"), "{}", refused.said);
    let again = stage.ends(5, &["replay", certificate]);
    assert_eq!(again.values("outcome"), ["refused"], "{}", again.said);
    set(CertificateStatus::Active).await.unwrap();
    stage.is_healthy(&["--board", folder]);
}

/// Somebody attaches a policy that allows everything.
async fn a_board_that_may_be_another_is_told(stage: &Stage, folder: &str, certificate: &str) {
    const WIDE: &str = "wide";
    let iot = stage.iot();
    let described = iot.describe_certificate().certificate_id(certificate).send().await.unwrap();
    let arn = described.certificate_description().unwrap().certificate_arn().unwrap().to_owned();
    let document = super::REFUSING.replace("iot:Publish", "iot:*");
    iot.create_policy().policy_name(WIDE).policy_document(document).send().await.unwrap();
    iot.attach_policy().policy_name(WIDE).target(&arn).send().await.unwrap();
    let found = stage.ends(4, &["doctor", "--board", folder]);
    let dangerous = found.lines.iter().find(|line| line["verdict"] == "dangerous").expect(&found.said);
    assert_eq!(dangerous["resource"], "attached_policy", "{}", found.said);
    assert!(found.said.contains("connect under any name"), "{}", found.said);
    iot.detach_policy().policy_name(WIDE).target(&arn).send().await.unwrap();
    iot.delete_policy().policy_name(WIDE).send().await.unwrap();
    stage.is_healthy(&["--board", folder]);
}
