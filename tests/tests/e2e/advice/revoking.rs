//! Devices that are revoked, detached, or known to the account alone.

use aws_sdk_iot::types::CertificateStatus;

use testbed::board::{Options as BoardOptions, SimulatedBoard};

use super::Desk;
use crate::account_life::scenario::stage::Run;

fn help_is_about_a_new_certificate(help: &str) {
    assert!(!help.contains("ACTIVE") && !help.contains("update-certificate"), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_replaced_and_never_activated_again() {
    let desk = Desk::new().await;
    let board = desk.provision();
    desk.gets_in(&board).await;
    desk.stage.ends(0, &["revoke", &board.thing, "--yes"]);
    let (found, advice) = desk.finding("certificate", &["--board", &board.folder]);
    assert_eq!(found["verdict"], "wrong", "{found}");
    let ended = desk.stage.ends(4, &["doctor", "--board", &board.folder]);
    assert!(ended.said.contains("new devices can connect, and this one cannot: 1 of"), "{}", ended.said);
    help_is_about_a_new_certificate(&advice);
    let before = board.certificate.clone();
    desk.follows(&advice, &["--port", &board.port]);
    let replaced = desk.field(board._board, &[]);
    assert_ne!(replaced.certificate, before);
    desk.gets_in(&replaced).await;
    desk.stage.is_healthy(&["--board", &replaced.folder]);

    // Of a key that somebody else may have, the board is replaced.
    desk.stage.ends(0, &["revoke", &replaced.thing, "--reason", "key-compromise", "--yes"]);
    let (_, advice) = desk.finding("certificate", &["--board", &replaced.folder]);
    help_is_about_a_new_certificate(&advice);
    assert!(advice.contains("replace the board") && !advice.contains("provisioner"), "{advice}");
    desk.stage.ends(5, &["provision", "--port", &replaced.port, "--force"]);

    // Somebody takes it into use again in the console, or half: it is revoked once more, not helped.
    for status in [CertificateStatus::Active, CertificateStatus::Inactive] {
        desk.set(&replaced.certificate, status).await;
        let (found, advice) = desk.finding("certificate", &["--board", &replaced.folder]);
        assert_eq!(
            (&found["verdict"], &found["repairable"]),
            (&"dangerous".into(), &false.into()),
            "{found}"
        );
        help_is_about_a_new_certificate(&advice);
        desk.stage.ends(4, &["doctor", "--repair", "--yes", "--board", &replaced.folder]);
        desk.follows(&advice, &["--yes"]);
        assert_eq!(desk.status(&replaced.certificate).await, "REVOKED");
    }
    desk.is_turned_away(&replaced).await;
    let refused = desk.stage.ends(5, &["replay", &replaced.certificate]);
    assert!(refused.said.contains("provisioner provision"), "{}", refused.said);
    assert_eq!(desk.stage.ends(5, &["replay", &replaced.certificate, "--dry-run"]).lines, refused.lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_revoked_device_in_the_queue_is_refused() {
    let desk = Desk::new().await;
    let board = desk.provision();
    desk.gets_in(&board).await;
    desk.stage.ends(0, &["revoke", &board.thing, "--yes"]);
    // The function has no lists, and would let it in.
    desk.set(&board.certificate, CertificateStatus::Active).await;
    let signer = desk.stage.ends(0, &["ca", "show"]).lines[0]["signer"]["certificate_id"].clone();
    let event = serde_json::json!({
        "certificateId": board.certificate, "caCertificateId": signer, "timestamp": 1,
        "certificateStatus": "PENDING_ACTIVATION", "awsAccountId": "123456789012",
    });
    let sqs = desk.stage.sqs();
    let url = sqs.create_queue().queue_name("failed").send().await.unwrap().queue_url.unwrap();
    sqs.send_message().queue_url(&url).message_body(event.to_string()).send().await.unwrap();
    let refused = desk.stage.ends(5, &["replay", "--queue", "failed"]);
    assert_eq!(refused.values("outcome"), ["refused"], "{}", refused.said);
    assert!(refused.said.contains("was revoked on"), "{}", refused.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_that_was_detached_from_its_certificate_is_restored_by_replay() {
    let desk = Desk::new().await;
    let board = desk.provision();
    desk.gets_in(&board).await;
    let (iot, arn) = (desk.account.iot(), desk.arn(&board.certificate).await);
    for by in [["--thing", board.thing.as_str()], ["--board", board.folder.as_str()]] {
        iot.detach_thing_principal().thing_name(&board.thing).principal(&arn).send().await.unwrap();
        let (found, advice) = desk.finding("thing", &by);
        assert_eq!(found["verdict"], "wrong", "{found}");
        assert_eq!(advice, format!("provisioner replay {}", board.certificate));
        desk.follows(&advice, &[]);
        desk.stage.is_healthy(&by);
        desk.gets_in(&board).await;
    }
    // On a computer that never had the board, the id comes from the account.
    iot.detach_thing_principal().thing_name(&board.thing).principal(&arn).send().await.unwrap();
    let home = desk.stage.file("elsewhere");
    assert_eq!(desk.stage.run_at(&home, &["ca", "create"]).code, 0);
    let run = desk.stage.run_at(&home, &["doctor", "--thing", &board.thing]);
    assert!(run.said.contains("provisioner replay ID"), "{}", run.said);
    let digits = &board.certificate[..12];
    let replayed = desk.stage.run_at(&home, &["replay", digits]);
    assert_eq!((replayed.code, replayed.values("outcome")), (0, vec!["repaired"]), "{}", replayed.said);
    desk.stage.is_healthy(&["--thing", &board.thing]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certificates_prints_is_taken_also_of_what_only_the_account_knows() {
    let desk = Desk::new().await;
    let (one, two, three) = (desk.provision(), desk.provision(), desk.provision());
    for board in [&one, &two, &three] {
        desk.gets_in(board).await;
    }
    // Another computer with the same CA knows nothing of the boards.
    let home = desk.stage.file("elsewhere");
    std::fs::create_dir(&home).unwrap();
    for name in ["root-ca.crt", "root-ca.key", "signer-ca.crt", "signer-ca.key"] {
        std::fs::copy(desk.stage.file(name), home.join(name)).unwrap();
    }
    let at = |arguments: &[&str]| desk.stage.run_at(&home, arguments);
    let ids = |run: &Run| run.values("certificate_id").into_iter().map(str::to_owned).collect::<Vec<_>>();
    for name in [one.thing.as_str(), &one.certificate[..12], &one.certificate.to_uppercase()[..12]] {
        let listed = at(&["certificates", name]);
        assert_eq!(listed.values("certificate_id"), [&*one.certificate], "{}", listed.said);
    }
    let listed = at(&["certificates", "--thing", &one.thing]);
    assert_eq!(listed.values("thing_name"), [&*one.thing], "{}", listed.said);
    assert_eq!(at(&["certificates", "0123456789ab"]).code, 2);

    let revoked = at(&["revoke", &one.certificate[..12], "--yes"]);
    assert_eq!((revoked.code, ids(&revoked)), (0, vec![one.certificate.clone()]), "{}", revoked.said);
    let revoked = at(&["revoke", &two.thing, "--yes"]);
    assert_eq!((revoked.code, ids(&revoked)), (0, vec![two.certificate.clone()]), "{}", revoked.said);
    assert_eq!(desk.status(&two.certificate).await, "REVOKED");
    let nobody = at(&["revoke", "0123456789ab", "--yes"]);
    assert_eq!(nobody.code, 2, "{}", nobody.said);

    // A first `revoke THING` has stopped after the account: it is revoked and detached, and on no list.
    desk.set(&three.certificate, CertificateStatus::Revoked).await;
    let detach = desk.account.iot().detach_thing_principal().thing_name(&three.thing);
    detach.principal(desk.arn(&three.certificate).await).send().await.unwrap();
    let finished = at(&["revoke", &three.thing, "--yes"]);
    assert_eq!(finished.code, 0, "{}", finished.said);
    let row = &finished.lines[0];
    assert_eq!((&row["account_action"], &row["list_action"]), (&"leave".into(), &"add".into()), "{row}");
    let again = at(&["revoke", &three.thing, "--yes"]);
    assert_eq!((again.code, again.values("action")), (0, vec!["leave"]), "{}", again.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_the_function_activates_meanwhile_is_revoked_again_and_its_thing_is_kept_where_asked()
 {
    let desk = Desk::new().await;
    let board = desk.provision();
    let (iot, lambda) = (desk.account.iot(), desk.account.lambda());
    let rule = "ForwardSignedButUnknownDevices";
    iot.disable_topic_rule().rule_name(rule).send().await.unwrap();
    desk.is_turned_away(&board).await;
    lambda.update_function_configuration().function_name("JITR").timeout(1).send().await.unwrap();
    assert_eq!(desk.status(&board.certificate).await, "PENDING_ACTIVATION");
    let arn = desk.arn(&board.certificate).await;
    // The function was at work: its last steps come after the revocation.
    let (registry, id, thing, principal) =
        (iot.clone(), board.certificate.clone(), board.thing.clone(), arn.clone());
    let late = tokio::spawn(async move {
        loop {
            let found = registry.describe_certificate().certificate_id(&id).send().await.unwrap();
            if found.certificate_description.unwrap().status == Some(CertificateStatus::Revoked) {
                break;
            }
            tokio::task::yield_now().await;
        }
        registry.create_thing().thing_name(&thing).send().await.unwrap();
        registry.attach_thing_principal().thing_name(&thing).principal(&principal).send().await.unwrap();
        let update = registry.update_certificate().certificate_id(&id);
        update.new_status(CertificateStatus::Active).send().await.unwrap();
    });
    let run = desk.stage.ends(0, &["revoke", &board.certificate, "--keep-thing", "--yes"]);
    late.await.unwrap();
    assert!(run.said.contains("revoked again"), "{}", run.said);
    assert_eq!(desk.status(&board.certificate).await, "REVOKED");
    let attached = iot.list_thing_principals().thing_name(&board.thing).send().await.unwrap();
    assert_eq!(attached.principals(), [arn]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_only_the_account_has_revoked_is_not_kept() {
    let desk = Desk::new().await;
    let board = SimulatedBoard::start(BoardOptions { seed: None, ..BoardOptions::instant(0) }).unwrap();
    let field = desk.field(board, &["-m", "mar"]);
    let again = ["provision", "--port", &field.port, "-m", "mar"];
    desk.stage.ends(0, &again);
    desk.set(&field.certificate, CertificateStatus::Revoked).await;
    for dry in [&["--dry-run"][..], &[]] {
        let refused = desk.stage.ends(5, &[&again[..], dry].concat());
        let says = format!("the certificate {} of the board is REVOKED in the account", field.certificate);
        assert!(refused.said.contains(&says) && refused.said.contains("--force"), "{}", refused.said);
    }
    assert_eq!(desk.status(&field.certificate).await, "REVOKED");
    let renewed = desk.stage.ends(0, &[&again[..], &["--force"]].concat());
    let row = renewed.lines.iter().find(|line| line["certificate_id"].is_string()).unwrap();
    assert_ne!(row["certificate_id"], field.certificate.as_str());
    assert_eq!(desk.status(row["certificate_id"].as_str().unwrap()).await, "ACTIVE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_with_a_certificate_of_another_key_is_planned_to_stay() {
    let desk = Desk::new().await;
    let field = desk.field(
        SimulatedBoard::start(BoardOptions { seed: None, ..BoardOptions::instant(0) }).unwrap(),
        &["-m", "mar"],
    );
    let other = desk.field(
        SimulatedBoard::start(BoardOptions { seed: None, ..BoardOptions::instant(0) }).unwrap(),
        &["-m", "mar"],
    );
    let principal = desk.arn(&other.certificate).await;
    let iot = desk.account.iot();
    iot.attach_thing_principal().thing_name(&field.thing).principal(&principal).send().await.unwrap();
    for how in ["--dry-run", "--yes"] {
        let run = desk.stage.ends(1, &["forget", &field.thing, how]);
        assert!(run.said.contains("stays: a certificate of another key"), "{}", run.said);
    }
    iot.describe_thing().thing_name(&field.thing).send().await.unwrap();
    assert_eq!(desk.status(&other.certificate).await, "ACTIVE");
    // With that one gone, nothing keeps it.
    iot.detach_thing_principal().thing_name(&field.thing).principal(&principal).send().await.unwrap();
    desk.stage.ends(0, &["forget", &field.thing, "--dry-run"]);
    desk.stage.ends(0, &["forget", &field.thing, "--yes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_nobody_knows_is_told_by_each_command() {
    let desk = Desk::new().await;
    let known = desk.provision();
    for command in [["certificates", "nosuch"], ["revoke", "nosuch"], ["forget", "nosuch"]] {
        let told = desk.stage.ends(2, &command);
        assert!(told.said.contains("knows a certificate of `nosuch`"), "{}", told.said);
    }
    let offline = desk.stage.ends(2, &["certificates", "nosuch", "--offline"]);
    assert!(offline.said.contains("this computer knows no certificate of `nosuch`"), "{}", offline.said);
    desk.stage.ends(0, &["certificates", &known.thing]);
    desk.stage.ends(0, &["certificates", &known.certificate[..12], "--status", "REVOKED"]);
}
