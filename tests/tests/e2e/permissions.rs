//! The policy that `provisioner permissions` prints, and what a user is told who has less.

use std::process::Command;
use std::sync::Arc;

use aws_sdk_iot::error::ProvideErrorMetadata;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use testbed::{Options, Testbed, beside, wait};

use crate::account::sdk_config;
use crate::account_life::scenario::Stage;
use crate::serve::Served;

/// An account whose user has a policy, and a user with CAs.
async fn user() -> (Arc<Testbed>, Stage) {
    let testbed = Arc::new(Testbed::start(Options::default()).await.unwrap());
    let stage = Stage::new("the testbed", testbed.access(), &[], Some(testbed.journal())).await;
    stage.ends(0, &["ca", "create"]);
    (testbed, stage)
}

/// What `permissions` prints for a command, without an action. `--account` makes no call.
fn policy_without(stage: &Stage, command: &str, action: &str) -> String {
    let printed = stage.ends(0, &["permissions", command, "--account", "123456789012"]);
    let mut policy = printed.lines[0]["iam_policy"].clone();
    let mut removed = 0;
    for statement in policy["Statement"].as_array_mut().unwrap() {
        match &mut statement["Action"] {
            Value::Array(actions) => {
                let before = actions.len();
                actions.retain(|found| found != action);
                removed += before - actions.len();
            }
            Value::String(one) if one == action => {
                *one = "iot:NoSuchAction".to_owned();
                removed += 1;
            }
            _ => {}
        }
    }
    assert!(removed > 0, "{command} does not need {action}");
    policy.to_string()
}

/// A run that is denied.
struct Denied<'a> {
    line: &'a [&'a str],
    /// As `permissions` takes it.
    command: &'a str,
    action: &'a str,
    /// What AWS names; `*` for an action without a resource.
    resource: &'a str,
}

impl Denied<'_> {
    /// The run fails with the action and its resource, and names the command that prints the policy.
    fn is_told(&self, stage: &Stage, testbed: &Testbed) {
        let Self { line, command, action, resource } = *self;
        let policy = policy_without(stage, command, action);
        testbed.account().set_user_policy(Some(&policy)).unwrap();
        let denied = stage.ends(4, line);
        testbed.account().set_user_policy(None).unwrap();
        let failure = denied.lines.last().unwrap();
        let (error, help) = (failure["error"].as_str().unwrap(), failure["help"].as_str().unwrap());
        let (missing, asked) = match resource {
            "*" => (String::new(), String::new()),
            resource => (format!(" for {resource}"), format!(" on {resource}")),
        };
        assert!(error.contains(&format!("permission {action} is missing{missing}: ")), "{}", denied.said);
        let quoted = if command.contains(' ') { format!("'{command}'") } else { command.to_owned() };
        let printed =
            format!("{action} for you{asked}: `provisioner permissions {quoted}` prints the policy");
        assert!(help.contains(&printed), "{}", denied.said);
        let note = format!("the user's policy does not allow {action} on {resource}");
        let told =
            testbed.journal().entries().into_iter().any(|entry| entry.what.to_string().contains(&note));
        assert!(told, "the testbed does not say: {note}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_told_with_its_resource_and_the_command_that_prints_the_policy() {
    let (testbed, stage) = user().await;
    let package = stage.package().display().to_string();
    let setup = ["setup", "--lambda-zip", &package];
    let named =
        |service: &str, resource: &str| format!("arn:aws:{service}:us-east-1:123456789012:{resource}");
    let role = "arn:aws:iam::123456789012:role/JITR-role";
    let rule_role = "arn:aws:iam::123456789012:role/JITR-rule-role";
    for (action, resource) in [
        ("iot:DescribeEndpoint", "*".to_owned()),
        ("sqs:CreateQueue", named("sqs", "JITR-failed-events")),
        ("sqs:TagQueue", named("sqs", "JITR-failed-events")),
        ("iam:CreateRole", rule_role.to_owned()),
        ("iam:TagRole", rule_role.to_owned()),
        ("iam:PassRole", role.to_owned()),
        ("lambda:TagResource", named("lambda", "function:JITR")),
        ("iot:CreateTopicRule", named("iot", "rule/ForwardSignedButUnknownDevices")),
        ("iot:RegisterCACertificate", "*".to_owned()),
        ("cloudwatch:DescribeAlarms", named("cloudwatch", "alarm:*")),
        ("cloudwatch:PutMetricAlarm", named("cloudwatch", "alarm:JITR-failed-events")),
        ("cloudwatch:TagResource", named("cloudwatch", "alarm:JITR-failed-events")),
    ] {
        Denied { line: &setup, command: "setup", action, resource: &resource }.is_told(&stage, &testbed);
    }
    stage.ends(0, &setup);
    let rotate = ["ca", "rotate"];
    let action = "iot:GetRegistrationCode";
    Denied { line: &rotate, command: "ca rotate", action, resource: "*" }.is_told(&stage, &testbed);

    // Other links are still checked.
    let policy = policy_without(&stage, "doctor", "iot:DescribeEndpoint");
    testbed.account().set_user_policy(Some(&policy)).unwrap();
    let checked = stage.provisioner(&["doctor", "--function", "JITR"]);
    let link = checked.lines.iter().find(|line| line["resource"] == "endpoint").expect(&checked.said);
    let printed = "`provisioner permissions 'doctor --function JITR'` prints the policy";
    assert!(link["verdict"] == "unknown" && link["help"].as_str().unwrap().contains(printed), "{link}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_for_the_account_of_the_credentials_or_the_one_that_is_named() {
    let (testbed, stage) = user().await;
    testbed.account().set_user_policy(Some(r#"{"Version":"2012-10-17","Statement":[]}"#)).unwrap();
    let before = testbed.journal().calls().len();
    let named = ["permissions", "setup", "ca rotate", "--account", "999999999999", "--region", "cn-north-1"];
    let named = stage.ends(0, &named).lines[0]["iam_policy"].to_string();
    assert!(named.contains("arn:aws-cn:iot:cn-north-1:999999999999:rule/"), "{named}");
    assert_eq!(testbed.journal().calls().len(), before, "AWS was asked");
    let own = stage.ends(0, &["permissions", "setup"]).lines[0]["iam_policy"].to_string();
    assert!(own.contains("arn:aws:iot:us-east-1:123456789012:rule/"), "{own}");
    let calls = testbed.journal().calls().split_off(before);
    let calls: Vec<_> = calls.into_iter().map(|call| call.operation).collect();
    assert_eq!(calls, ["GetCallerIdentity"]);

    stage.ends(2, &["permissions", "boards"]);
    let much = stage.ends(
        2,
        &["permissions", "doctor --repair --thing t", "teardown", "provision --follow", "revoke", "register"],
    );
    assert!(much.said.contains("IAM takes 6144 in a managed policy"), "{}", much.said);
}

#[test]
fn a_policy_that_the_testbed_cannot_enforce_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let not_action =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"iot:*","Resource":"*"}]}"#;
    for (text, said) in [
        (None, "cannot read the policy"),
        (Some("{"), "malformed"),
        (Some(not_action), "unknown field `NotAction`"),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let mut serve = Command::new(beside::program("testbed").unwrap());
        let output = serve.args(["serve", "--boards", "0", "--user-policy"]).arg(&file).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(said), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_account_enforces_the_policy_of_its_user_and_tells_what_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    let allowed = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:ListThings","Resource":"*"}]}"#;
    std::fs::write(&file, allowed).unwrap();
    let served = Served::logging(&["--boards", "0", "--user-policy", &file.display().to_string()]);
    let iot = aws_sdk_iot::Client::new(&sdk_config(&served.access()).await);
    iot.list_things().send().await.unwrap();
    let denied = iot.create_thing().thing_name("led").send().await.unwrap_err();
    let text = "User: arn:aws:iam::123456789012:user/testbed is not authorized to perform: iot:CreateThing on resource: \
        arn:aws:iot:us-east-1:123456789012:thing/led because no identity-based policy allows the iot:CreateThing action";
    assert_eq!((denied.code(), denied.message()), (Some("AccessDeniedException"), Some(text)));
    let note =
        "the user's policy does not allow iot:CreateThing on arn:aws:iot:us-east-1:123456789012:thing/led";
    let is_told = || std::fs::read_to_string(served.log()).unwrap().contains(note);
    wait::until("the refusal on stderr", is_told).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_kms_belong_to_the_policy_by_the_arn_that_the_home_folder_has() {
    let testbed = Arc::new(Testbed::start(Options::default()).await.unwrap());
    let mut stage = Stage::new("the testbed", testbed.access(), &[], Some(testbed.journal())).await;
    stage.limits = Some(Arc::clone(&testbed));
    stage.ends(0, &["ca", "create", "--root-key", "awskms:", "--signer-key", "awskms:"]);
    stage.ends(0, &["ca", "crl"]);
    let printed = stage.ends(0, &["permissions", "ca crl", "--account", "123456789012"]);
    let policy = &printed.lines[0]["iam_policy"];
    let keys: Vec<String> = testbed.account().key_arns().map(str::to_owned).collect();
    assert_eq!(keys.len(), 2);
    let statements = policy["Statement"].as_array().unwrap();
    let resources = statements[0]["Resource"].as_array().unwrap();
    assert!(
        statements.len() == 1 && keys.iter().all(|key| resources.contains(&key.as_str().into())),
        "{policy}"
    );
    assert!(!policy.to_string().contains("kms:CreateKey"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_leave_out_no_call_that_is_made() {
    let (testbed, mut stage) = user().await;
    stage.limits = Some(Arc::clone(&testbed));
    let package = stage.package().display().to_string();
    let setup = ["setup", "--lambda-zip", &package, "--delivery", "rule"];
    let certificate = stage.file("board.crt");
    let params = CertificateParams::default();
    let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    std::fs::write(&certificate, pem).unwrap();
    for kept in ["--keep-devices", "--keep-ca"] {
        stage.ends(0, &setup);
        stage.ends(0, &["setup", "--method", "mar"]);
        stage.ends(0, &["register", "--again", certificate.to_str().unwrap()]);
        stage.ends(0, &["doctor", "--method", "mar"]);
        stage.ends(0, &["report", "--file", stage.file(&format!("report{kept}.txt")).to_str().unwrap()]);
        stage.ends(0, &["replay", "--dry-run"]);
        let torn = stage.ends(0, &["teardown", kept, "--yes"]);
        assert!(torn.values("resource").contains(&"function"), "{}", torn.said);
    }
}
