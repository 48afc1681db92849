//! `register` where something is missing, or where the account is another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testbed::Options;
use testbed::iot_core::account::Identity;
use testbed::iot_core::control_plane::{Fault, Interceptor, Operation, ServiceError, When};
use testbed::journal::Caller;

use super::{Desk, THING_TYPE};
use crate::account::Ca;

/// Refuses the user's calls of this name while it is on, with this error.
pub(super) struct Refusing(pub(super) AtomicBool, &'static str, ServiceError);

impl Refusing {
    pub(super) fn new(operation: &'static str, code: &str, message: &str) -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true), operation, ServiceError::new(code, 403, message)))
    }
}

impl Interceptor for Refusing {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        let Self(on, name, error) = self;
        let meant =
            on.load(Ordering::Relaxed) && *operation.caller == Caller::User && operation.name == *name;
        meant.then(|| Fault { latency: Duration::ZERO, error: Some((When::Before, error.clone())) })
    }
}

/// So many certificates in a folder.
fn certificates(desk: &Desk, count: usize) -> String {
    let folder = desk.stage.file("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let ca = Ca::new("Vendor");
    for number in 0..count {
        std::fs::write(folder.join(format!("{number}.crt")), ca.issue(&format!("board {number}"))).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

pub(super) fn made(desk: &Desk, operation: &str) -> usize {
    desk.account.testbed.journal().calls().iter().filter(|call| call.operation == operation).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_missing_stops_the_run_at_the_first_certificate() {
    for operation in ["CreateThing", "RegisterCertificateWithoutCA", "AttachPolicy", "UpdateCertificate"] {
        let refusing = Refusing::new(operation, "AccessDeniedException", "User: ann is not authorized");
        let interceptor = Arc::clone(&refusing) as Arc<dyn Interceptor>;
        let desk = Desk::with(Options { interceptor, ..Options::default() }).await;
        let register = ["register", "--dir", &certificates(&desk, 90)];
        let stopped = desk.stage.ends(4, &register);
        assert_eq!(made(&desk, operation), 1, "{}", stopped.said);
        let [failure] = stopped.lines.as_slice() else { panic!("{}", stopped.said) };
        let error = failure["error"].as_str().unwrap();
        assert!(error.contains("90 of 90 certificates not registered"), "{error}");
        assert!(error.contains(&format!("permission iot:{operation} is missing")), "{error}");
        assert!(failure["help"].as_str().unwrap().contains(&format!("allow iot:{operation}")), "{failure}");
        refusing.0.store(false, Ordering::Relaxed);
        let done = desk.stage.ends(0, &register);
        assert_eq!(done.values("outcome"), ["registered"; 90], "{}", done.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_takes_never_is_not_sent_again_by_advice() {
    let refusing = Refusing::new(
        "RegisterCertificateWithoutCA",
        "CertificateValidationException",
        "the certificate is not valid",
    );
    let interceptor = Arc::clone(&refusing) as Arc<dyn Interceptor>;
    let desk = Desk::with(Options { interceptor, ..Options::default() }).await;
    let refused = desk.stage.ends(1, &["register", "--dir", &certificates(&desk, 2)]);
    assert_eq!(refused.values("outcome"), ["refused"; 2], "{}", refused.said);
    assert!(!refused.said.contains("run the same command again"), "{}", refused.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prerequisite_that_is_missing_is_told_once_before_anything_is_registered() {
    let desk = Desk::with(Options::default()).await;
    let iot = desk.account.iot();
    let folder = certificates(&desk, 3);
    let register = ["register", "--dir", &folder];
    iot.create_thing_type().thing_type_name(THING_TYPE).send().await.unwrap();
    iot.deprecate_thing_type().thing_type_name(THING_TYPE).send().await.unwrap();
    let planned = desk.stage.ends(4, &[&register[..], &["--dry-run"]].concat());
    let refused = desk.stage.ends(4, &register);
    assert_eq!(planned.lines, refused.lines);
    assert!(refused.said.contains("is deprecated"), "{}", refused.said);
    assert_eq!(made(&desk, "RegisterCertificateWithoutCA"), 0);
    let planned = desk.stage.ends(0, &["setup", "--method", "mar", "--dry-run"]);
    assert!(planned.values("action").contains(&"change"), "{}", planned.said);
    let help = refused.lines[0]["help"].as_str().unwrap().replace(['`', ','], "");
    desk.follows(help.split(" or ").next().unwrap(), &[]);

    let grouped = [&register[..], &["--thing-group", "line-1"]].concat();
    let refused = desk.stage.ends(4, &grouped);
    let help = refused.lines[0]["help"].as_str().unwrap().replace('`', " ");
    let name = super::flag(&help, "thing-group-name");
    iot.create_thing_group().thing_group_name(name).send().await.unwrap();
    assert_eq!(desk.stage.ends(0, &grouped).values("outcome"), ["registered"; 3]);
    // What a person has to decide is not helped by a repetition, and nobody advises one.
    std::fs::write(desk.stage.file("certificates/ca.crt"), Ca::new("Vendor").pem()).unwrap();
    let ca = desk.stage.file("certificates/ca.crt");
    let refused = desk.stage.ends(1, &["register", ca.to_str().unwrap()]);
    assert!(!refused.said.contains("again"), "{}", refused.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_certificate_nothing_is_made() {
    let desk = Desk::with(Options::default()).await;
    for arguments in [&["register", "nosuch.pem", "--dry-run"][..], &["register", "nosuch.pem"]] {
        let ended = desk.stage.ends(1, arguments);
        assert_eq!(ended.values("action"), ["refuse"], "{}", ended.said);
        assert!(ended.said.contains("give its path"), "{}", ended.said);
    }
    assert_eq!(made(&desk, "CreatePolicy") + made(&desk, "CreateThingType"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_than_that_of_the_journal_is_told_and_an_emptied_one_is_noticed() {
    let desk = Desk::with(Options::default()).await;
    let folder = certificates(&desk, 3);
    let register = ["register", "--dir", &folder];
    let first = desk.stage.ends(0, &register);
    assert!(!first.said.contains("123456789012"), "{}", first.said);

    let identity = Identity { account_id: "210987654321".into(), region: "us-east-1".into() };
    let other = Desk::with(Options { identity, ..Options::default() }).await;
    std::fs::copy(desk.stage.file("register.jsonl"), other.stage.file("register.jsonl")).unwrap();
    for arguments in [[&register[..], &["--dry-run"]].concat(), register.to_vec()] {
        let run = other.stage.ends(0, &arguments);
        let says = "account 123456789012 in us-east-1 has 3 certificates of these already, and this is account 210987654321";
        assert!(run.said.contains(says), "{}", run.said);
    }

    // The account of the journal again, and somebody has deleted everything in it.
    let empty = Desk::with(Options::default()).await;
    std::fs::copy(desk.stage.file("register.jsonl"), empty.stage.file("register.jsonl")).unwrap();
    let run = empty.stage.ends(0, &register);
    assert!(run.said.contains("3 of 3 certificates that the journal"), "{}", run.said);
    assert_eq!(run.values("outcome"), ["registered"; 3], "{}", run.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_named_by_doctor_and_by_register_once() {
    let message = "Signature expired: 20261126T000000Z is now earlier than 20261126T120000Z";
    let refusing = Refusing::new("GetCallerIdentity", "SignatureDoesNotMatch", message);
    let interceptor = Arc::clone(&refusing) as Arc<dyn Interceptor>;
    let desk = Desk::with(Options { interceptor, ..Options::default() }).await;
    let (found, advice) = desk.finding("credentials", &[]);
    assert!(found["verdict"] == "unknown" && advice.contains("set the clock"), "{found}");
    let register = ["register", "--dir", &certificates(&desk, 3)];
    let stopped = desk.stage.ends(4, &register);
    assert!(stopped.lines.len() == 1 && stopped.said.contains("set the clock"), "{}", stopped.said);
    // The clock is set.
    refusing.0.store(false, Ordering::Relaxed);
    desk.set_up();
    desk.stage.is_healthy(&[]);
    desk.stage.ends(0, &register);
}
