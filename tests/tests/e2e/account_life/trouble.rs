//! What keeps an account from being set up or taken down: one clear message each, and the next run continues.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use testbed::Options;
use testbed::iot_core::account::Delays;
use testbed::iot_core::control_plane::{Fault, Interceptor, Operation, ServiceError, When};
use testbed::journal::Caller;

use super::scenario::Stage;
use crate::account::{Account, Ca};

async fn stage(account: &Account) -> (Stage, String) {
    let stage = Stage::new("the testbed", account.testbed.access(), &[], None).await;
    stage.ends(0, &["ca", "create"]);
    let package = stage.package().to_str().unwrap().to_owned();
    (stage, package)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_another_account_has_is_explained_and_can_be_shared() {
    let account = Account::empty().await;
    let (stage, package) = stage(&account).await;
    let planned = stage.ends(0, &["setup", "--lambda-zip", &package, "--dry-run"]);
    let signer = planned.lines.iter().find(|line| line["resource"] == "signer_ca").unwrap();
    let signer = signer["name"].as_str().unwrap();
    account.testbed.account().take_authority(signer);

    let refused = stage.ends(4, &["setup", "--lambda-zip", &package]);
    assert!(refused.said.contains("is registered in another account of this Region"), "{}", refused.said);
    assert!(refused.said.contains("--sni-only"), "{}", refused.said);

    let shared = stage.ends(0, &["setup", "--lambda-zip", &package, "--sni-only"]);
    assert!(
        shared.said.contains("lets in only boards whose firmware sends the server name (SNI)"),
        "{}",
        shared.said
    );
    assert_eq!(
        shared.values("action"),
        [["leave"; 8].as_slice(), &["create"; 4]].concat(),
        "{}",
        shared.said
    );
    let found = account.iot().describe_ca_certificate().certificate_id(signer).send().await.unwrap();
    let mode = found.certificate_description.unwrap().certificate_mode.unwrap();
    assert_eq!(mode.as_str(), "SNI_ONLY");
    stage.ends(0, &["doctor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eleventh_ca_with_the_same_subject_is_refused_with_the_limit() {
    let account = Account::empty().await;
    let (stage, package) = stage(&account).await;
    for number in 0..10 {
        let home = stage.file(&format!("home-{number}"));
        assert_eq!(stage.run_at(&home, &["ca", "create"]).code, 0);
        let signer = std::fs::read_to_string(home.join("signer-ca.crt")).unwrap();
        let register = account.iot().register_ca_certificate().ca_certificate(signer);
        register.certificate_mode("SNI_ONLY".into()).send().await.unwrap();
    }
    let refused = stage.ends(4, &["setup", "--lambda-zip", &package]);
    assert!(refused.said.contains("as many CAs as it may have with this subject name"), "{}", refused.said);
    assert!(refused.said.contains("--signer-cn"), "{}", refused.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_of_another_region_is_told_from_wrong_credentials() {
    let account = Account::empty().await;
    let (stage, package) = stage(&account).await;
    for command in [&["setup", "--lambda-zip", &package][..], &["replay"], &["teardown", "--yes"]] {
        let refused = stage.ends(4, &[command, &["--region", "eu-west-1"]].concat());
        assert!(refused.said.contains("the endpoint of another Region"), "{}", refused.said);
    }
    let doctor = stage.ends(4, &["doctor", "--region", "eu-west-1"]);
    assert_eq!(doctor.values("resource"), ["credentials", "endpoint"], "{}", doctor.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_document_that_cannot_be_used_is_named_with_the_place_and_nothing_is_registered() {
    let account = Account::empty().await;
    let (stage, _) = stage(&account).await;
    let certificate = stage.file("board.crt");
    std::fs::write(&certificate, Ca::new("Vendor").issue("board")).unwrap();
    let document = stage.file("policy.json");
    let (certificate, path) = (certificate.to_str().unwrap(), document.to_str().unwrap());
    let long = format!("\"client/{}\"", "x".repeat(2048));
    for (text, says) in [
        ("{\"Version\":\"2012-10-17\",\n\"Statement\";[]}", "line 2 column 12"),
        (
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect"}]}"#,
            "statement 1",
        ),
        (
            &format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"iot:*","Resource":{long}}}]}}"#
            ),
            "AWS IoT takes 2048",
        ),
    ] {
        std::fs::write(&document, text).unwrap();
        let refused = stage.ends(2, &["register", certificate, "--policy-document", path]);
        assert!(refused.said.contains(says), "{says}: {}", refused.said);
    }
    let made = |operation: &str| {
        let calls = account.testbed.journal().calls();
        calls.iter().any(|call| call.operation == operation)
    };
    assert!(!made("CreatePolicy") && !made("RegisterCertificateWithoutCA"));
}

/// Refuses every call of the user's that changes something, after so many of those whose names begin so; negative lets everything
/// pass.
struct Interrupted(&'static [&'static str], AtomicIsize);

const CHANGES: &[&str] = &["Delete", "Deprecate", "Detach", "Remove", "Tag", "Update"];

impl Interceptor for Interrupted {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        let is_of = |names: &[&str]| names.iter().any(|begin| operation.name.starts_with(begin));
        if *operation.caller != Caller::User || !is_of(CHANGES) {
            return None;
        }
        let fewer = |left: isize| match left {
            0 => None,
            left => Some(left - isize::from(is_of(self.0))),
        };
        self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).err()?;
        let who = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform this";
        let error = ServiceError::new("AccessDeniedException", 403, who);
        Some(Fault { latency: Duration::ZERO, error: Some((When::Before, error)) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_that_is_stopped_anywhere_is_finished_by_the_next_run() {
    let interrupted = Arc::new(Interrupted(CHANGES, AtomicIsize::new(-1)));
    let delays = Delays { thing_type_deletion: Duration::ZERO, ..Delays::default() };
    let interceptor = Arc::clone(&interrupted) as Arc<dyn Interceptor>;
    let account = Account::with(Options { delays, interceptor, ..Options::default() }).await;
    let (stage, package) = stage(&account).await;
    stage.ends(0, &["setup", "--lambda-zip", &package]);
    // Certificates without a CA: half removed, nothing in the account shows whose they were.
    let certificates = stage.file("certificates");
    std::fs::create_dir(&certificates).unwrap();
    let ca = Ca::new("Vendor");
    for name in ["one", "two"] {
        std::fs::write(certificates.join(format!("{name}.crt")), ca.issue(name)).unwrap();
    }
    let register = ["register", "--dir", certificates.to_str().unwrap()];
    stage.ends(0, &register);
    let mut runs = 0;
    loop {
        interrupted.1.store(runs, Ordering::Relaxed);
        let run = stage.provisioner(&["teardown", "--yes"]);
        if run.code == 0 {
            break;
        }
        assert!(run.code == 4 && run.said.contains("user/ann"), "{}", run.said);
        runs += 1;
        assert!(runs < 100, "{}", run.said);
    }
    assert!(runs > 3, "it was stopped {runs} times only");
    interrupted.1.store(-1, Ordering::Relaxed);
    assert!(stage.ends(0, &["teardown", "--yes"]).lines.is_empty());
    let iot = account.iot();
    assert!(iot.list_certificates().send().await.unwrap().certificates().is_empty());
    assert!(iot.list_things().send().await.unwrap().things().is_empty());
    assert!(iot.list_policies().send().await.unwrap().policies().is_empty());
    // The journal knows that certificates are gone.
    let again = stage.ends(0, &register);
    assert_eq!(again.values("outcome"), ["registered"; 2], "{}", again.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_teardown_that_was_stopped_exactly_what_is_gone_is_registered() {
    const BOARDS: usize = 12;
    const INACTIVE: usize = 5;
    // Devices are removed side by side: the certificates that are made INACTIVE decide.
    let interrupted = Arc::new(Interrupted(&["UpdateCertificate"], AtomicIsize::new(-1)));
    let interceptor = Arc::clone(&interrupted) as Arc<dyn Interceptor>;
    let account = Account::with(Options { interceptor, ..Options::default() }).await;
    let (stage, package) = stage(&account).await;
    stage.ends(0, &["setup", "--lambda-zip", &package]);
    let certificates = stage.file("certificates");
    std::fs::create_dir(&certificates).unwrap();
    let ca = Ca::new("Vendor");
    for board in 0..BOARDS {
        std::fs::write(certificates.join(format!("{board}.crt")), ca.issue(&format!("board {board}")))
            .unwrap();
    }
    let register = ["register", "--dir", certificates.to_str().unwrap()];
    stage.ends(0, &register);
    let journal = stage.file("register.jsonl");
    let before = std::fs::read(&journal).unwrap();
    for is_noted in [true, false] {
        interrupted.1.store(INACTIVE as isize, Ordering::Relaxed);
        let run = stage.provisioner(&["teardown", "--yes"]);
        assert_eq!(run.code, 4, "{}", run.said);
        interrupted.1.store(-1, Ordering::Relaxed);
        if !is_noted {
            // As a kill between the last call and the note leaves it.
            std::fs::write(&journal, &before).unwrap();
        }
        let listed = account.iot().list_certificates().send().await.unwrap();
        let active =
            listed.certificates().iter().filter(|found| found.status().unwrap().as_str() == "ACTIVE");
        let active = active.count();
        assert_eq!(active, BOARDS - INACTIVE, "{}", run.said);
        let again = stage.ends(0, &register);
        let with =
            |outcome: &str| again.values("outcome").into_iter().filter(|found| *found == outcome).count();
        assert_eq!((with("done_before"), with("registered")), (active, BOARDS - active), "{}", again.said);
        stage.ends(0, &["setup", "--lambda-zip", &package]);
    }
}
