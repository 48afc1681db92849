//! The life of an account from set-up to teardown, played on whatever answers as AWS: every link is broken in turn, named by
//! `doctor`, mended, and in the end nothing of ours is left and everything of others is.
//!
//! What a stand-in does not implement is given by name and printed; nothing is left out in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials as Keys;
use aws_sdk_iot::types::{
    Action, AutoRegistrationStatus, CaCertificateStatus, CertificateStatus, LambdaAction, RegistrationConfig,
    TopicRulePayload,
};
use aws_sdk_lambda::types::Environment;
use serde_json::Value;
use tempfile::TempDir;
use testbed::board::{Options, SimulatedBoard};
use testbed::certificate_store::CertificateStore;
use testbed::device::{Credentials, Device, DeviceError, Endpoint};
use testbed::journal::{Caller, Journal};

const REGION: &str = "us-east-1";
const FUNCTION: &str = "JITR";
const RULE: &str = "ForwardSignedButUnknownDevices";
const ROLE: &str = "JITR-role";
const THING_TYPE: &str = "microchip-zero-touch-kit";
const POLICY: &str = "zt_policy";
/// Name of everything that somebody else made.
const OTHERS: &str = "others";
const REFUSING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}]}"#;

/// One run of the provisioner.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) lines: Vec<Value>,
    said: String,
}

impl Run {
    /// The value of `key` on every line that has it.
    fn values(&self, key: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line[key].as_str()).collect()
    }
}

/// An account on a stand-in, and a user of it.
pub(crate) struct Stage {
    name: &'static str,
    endpoint_url: String,
    home: TempDir,
    config: SdkConfig,
    /// What the stand-in does not implement: a step's name and why.
    lacks: &'static [(&'static str, &'static str)],
    /// Who writes the calls down, and those that each command made.
    journal: Option<Journal>,
    calls: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Stage {
    pub(crate) async fn new(
        name: &'static str,
        endpoint_url: &str,
        lacks: &'static [(&'static str, &'static str)],
        journal: Option<&Journal>,
    ) -> Self {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(endpoint_url)
            .region(Region::new(REGION))
            .credentials_provider(Keys::for_tests())
            .load()
            .await;
        for (step, reason) in lacks {
            println!("not judged on {name}: {step} ({reason})");
        }
        Self {
            name,
            endpoint_url: endpoint_url.to_owned(),
            home: TempDir::new().unwrap(),
            config,
            lacks,
            journal: journal.cloned(),
            calls: Mutex::default(),
        }
    }

    /// Every call that a command made is in its table of the document on permissions.
    fn every_call_is_documented(&self) {
        let documented = documented();
        for (command, calls) in &*self.calls.lock().unwrap() {
            let of = |name: &str| documented.get(name).cloned().unwrap_or_default();
            let mut allowed = of(command);
            if command == "doctor" {
                allowed.extend(of("setup").into_iter().chain(of("replay")));
            }
            if command == "setup" {
                allowed.extend(of("register"));
            }
            let missing: Vec<_> = calls.difference(&allowed).collect();
            assert!(
                missing.is_empty(),
                "provisioner/docs/permissions.md does not have for {command}: {missing:?}"
            );
        }
    }

    fn plays(&self, step: &str) -> bool {
        !self.lacks.iter().any(|(lacking, _)| *lacking == step)
    }

    fn iot(&self) -> aws_sdk_iot::Client {
        aws_sdk_iot::Client::new(&self.config)
    }

    fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config)
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.config)
    }

    /// Runs the provisioner as the user would.
    pub(crate) fn provisioner(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(sibling("provisioner"));
        command
            .args(arguments)
            .args(["--output", "json", "--non-interactive"])
            .env_clear()
            .env("MICROCHIP_IOT_HOME", self.home.path())
            .env("HOME", self.home.path())
            .env("AWS_ENDPOINT_URL", &self.endpoint_url)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        let before = self.journal.as_ref().map_or(0, |journal| journal.calls().len());
        // The stand-in may run on the same runtime.
        let output = tokio::task::block_in_place(|| command.output()).unwrap();
        if let Some(journal) = &self.journal {
            let ours = journal.calls().into_iter().skip(before).filter(|call| call.caller == Caller::User);
            let permissions =
                ours.filter(|call| call.service != "sts").map(|call| match call.operation.as_str() {
                    "Invoke" => "lambda:InvokeFunction".to_owned(),
                    operation => format!("{}:{operation}", call.service),
                });
            self.calls.lock().unwrap().entry(arguments[0].to_owned()).or_default().extend(permissions);
        }
        let stdout = String::from_utf8(output.stdout).unwrap();
        let said = format!(
            "{}: provisioner {arguments:?}\n{stdout}{}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = stdout.lines().map(|line| serde_json::from_str(line).expect(&said)).collect();
        Run { code: output.status.code().unwrap(), lines, said }
    }

    /// Runs it, and it has to end with `code`.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Run {
        let run = self.provisioner(arguments);
        assert_eq!(run.code, code, "{}", run.said);
        run
    }

    /// `doctor` finds nothing in the way of a device.
    fn is_healthy(&self, arguments: &[&str]) {
        let run = self.ends(0, &[&["doctor"], arguments].concat());
        assert!(
            run.values("verdict").iter().all(|verdict| ["right", "notable"].contains(verdict)),
            "{}",
            run.said
        );
    }

    /// `doctor` names this link and no other.
    fn names(&self, link: &str, broken: &str, arguments: &[&str]) {
        let run = self.ends(4, &[&["doctor"], arguments].concat());
        let wrong =
            run.lines.iter().filter(|line| line["verdict"] == "wrong" || line["verdict"] == "unknown");
        let wrong: Vec<_> = wrong.filter_map(|line| line["link"].as_str()).collect();
        assert_eq!(wrong, [link], "{broken}: {}", run.said);
    }
}

/// The permissions that the document names, by command.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../provisioner/docs/permissions.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut commands = BTreeMap::<String, BTreeSet<String>>::new();
    let mut command = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            command = name.to_owned();
        } else if let Some((permission, _)) = line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
            commands.entry(command.clone()).or_default().insert(permission.to_owned());
        }
    }
    commands
}

/// A program of this workspace, beside the test's own executable.
fn sibling(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let path = folder.join(name);
    assert!(path.is_file(), "{name} is not built; run: cargo build --bins");
    path
}

/// The package of the function, made of the binary that is built already, unless `JITR_PACKAGE` names one.
fn package(folder: &Path) -> PathBuf {
    use std::io::Write;
    if let Some(package) = std::env::var_os("JITR_PACKAGE") {
        return package.into();
    }
    let path = folder.join("bootstrap.zip");
    let mut package = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    package.start_file("bootstrap", options).unwrap();
    package.write_all(&std::fs::read(sibling("jitr")).unwrap()).unwrap();
    package.finish().unwrap();
    path
}

/// Plays the scenario. With a device gateway at `gateway`, a board takes part.
pub(crate) async fn play(stage: &Stage, gateway: Option<Endpoint>) {
    let package = package(stage.home.path());
    let setup = ["setup", "--lambda-zip", package.to_str().unwrap()];
    others_make_things(stage).await;

    stage.ends(0, &["ca", "create"]);
    let planned = stage.ends(0, &[&setup[..], &["--dry-run"]].concat());
    assert_eq!(planned.values("action"), ["create"; 5], "{}", planned.said);
    assert_eq!(rules(stage).await, [OTHERS], "a dry run made a rule");
    let made = stage.ends(0, &setup);
    assert_eq!(made.values("action"), ["create"; 5], "{}", made.said);
    let again = stage.ends(0, &setup);
    assert_eq!(again.values("action"), ["leave"; 5], "{}", again.said);
    stage.is_healthy(&[]);

    let signer = made.lines.iter().find(|line| line["link"] == "signer_ca").unwrap();
    let signer = signer["name"].as_str().unwrap();
    for break_ in BREAKS {
        if stage.plays(break_.what) {
            break_link(stage, break_.what, signer).await;
            stage.names(break_.link, break_.what, &[]);
            if !break_.mendable {
                restore(stage, break_.what).await;
            } else {
                stage.ends(0, &["doctor", "--mend"]);
            }
            stage.is_healthy(&[]);
        }
    }
    if let Some(gateway) = gateway {
        a_board_gets_stuck_and_is_helped(stage, &gateway, signer).await;
    }
    teardown(stage).await;
    stage.every_call_is_documented();
}

/// Something to break.
struct Break {
    what: &'static str,
    link: &'static str,
    mendable: bool,
}

const fn mended(what: &'static str, link: &'static str) -> Break {
    Break { what, link, mendable: true }
}

const fn by_hand(what: &'static str, link: &'static str) -> Break {
    Break { what, link, mendable: false }
}

const BREAKS: &[Break] = &[
    mended("rule disabled", "topic_rule"),
    mended("rule deleted", "topic_rule"),
    mended("permission removed", "permission"),
    mended("role policy removed", "role"),
    mended("role not for Lambda", "role"),
    mended("CA inactive", "signer_ca"),
    mended("auto-registration off", "signer_ca"),
    mended("provisioning template", "signer_ca"),
    mended("CA deleted", "signer_ca"),
    mended("thing type deprecated", "thing_type"),
    by_hand("environment wrong", "function"),
    by_hand("device policy refuses to connect", "device_policy"),
];

async fn break_link(stage: &Stage, what: &str, signer: &str) {
    let (iot, lambda, iam) = (stage.iot(), stage.lambda(), stage.iam());
    match what {
        "rule disabled" => drop(iot.disable_topic_rule().rule_name(RULE).send().await.unwrap()),
        "rule deleted" => drop(iot.delete_topic_rule().rule_name(RULE).send().await.unwrap()),
        "permission removed" => {
            lambda.remove_permission().function_name(FUNCTION).statement_id(RULE).send().await.unwrap();
        }
        "role policy removed" => {
            iam.delete_role_policy().role_name(ROLE).policy_name("jitr").send().await.unwrap();
        }
        "role not for Lambda" => {
            let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
            iam.update_assume_role_policy().role_name(ROLE).policy_document(trust).send().await.unwrap();
        }
        "provisioning template" => {
            let template = RegistrationConfig::builder()
                .template_body(r#"{"Resources":{}}"#)
                .role_arn("arn:aws:iam::123456789012:role/others");
            let update = iot.update_ca_certificate().certificate_id(signer);
            update.registration_config(template.build()).send().await.unwrap();
        }
        "CA inactive" => {
            let update = iot.update_ca_certificate().certificate_id(signer);
            update.new_status(CaCertificateStatus::Inactive).send().await.unwrap();
        }
        "auto-registration off" => {
            let update = iot.update_ca_certificate().certificate_id(signer);
            update.new_auto_registration_status(AutoRegistrationStatus::Disable).send().await.unwrap();
        }
        "CA deleted" => {
            let update = iot.update_ca_certificate().certificate_id(signer);
            update.new_status(CaCertificateStatus::Inactive).send().await.unwrap();
            iot.delete_ca_certificate().certificate_id(signer).send().await.unwrap();
        }
        "thing type deprecated" => {
            iot.create_thing_type().thing_type_name(THING_TYPE).send().await.unwrap();
            iot.deprecate_thing_type().thing_type_name(THING_TYPE).send().await.unwrap();
        }
        "environment wrong" => configure(&lambda, &[("THING_NAME_SOURCE", "SKI")]).await,
        "device policy refuses to connect" => {
            iot.create_policy().policy_name(POLICY).policy_document(REFUSING).send().await.unwrap();
        }
        other => panic!("nobody knows how to break: {other}"),
    }
}

/// What `doctor` leaves to the user.
async fn restore(stage: &Stage, what: &str) {
    match what {
        "environment wrong" => configure(&stage.lambda(), &[]).await,
        "device policy refuses to connect" => {
            stage.iot().delete_policy().policy_name(POLICY).send().await.unwrap();
        }
        other => panic!("nobody knows how to restore: {other}"),
    }
}

async fn configure(lambda: &aws_sdk_lambda::Client, variables: &[(&str, &str)]) {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = Environment::builder().set_variables(Some(variables)).build();
    lambda
        .update_function_configuration()
        .function_name(FUNCTION)
        .environment(environment)
        .send()
        .await
        .unwrap();
    let settled = || async {
        let found = lambda.get_function_configuration().function_name(FUNCTION).send().await.unwrap();
        found.last_update_status().is_none_or(|status| status.as_str() != "InProgress")
    };
    while !settled().await {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The rule is off while a board connects: it stays PENDING_ACTIVATION until its event is sent again.
async fn a_board_gets_stuck_and_is_helped(stage: &Stage, gateway: &Endpoint, signer: &str) {
    let board = SimulatedBoard::start(Options { seed: None, ..Options::instant(0) }).unwrap();
    let report = stage.ends(0, &["provision", "--port", board.path().to_str().unwrap()]);
    let store = CertificateStore::read(&board.flash()).unwrap();
    let key = board.signer();
    let device = Credentials {
        chain: store.certificates.iter().map(|file| file.content.clone().into()).collect(),
        sign: Arc::new(move |message| key.sign(message).map_err(Into::into)),
    };
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

    // By id, and without the function: the certificate is fine, so nothing but that is said.
    let local = stage.ends(0, &["replay", certificate, "--local"]);
    assert_eq!(local.values("outcome"), ["repaired"], "{}", local.said);

    let described = iot.describe_certificate().certificate_id(certificate).send().await.unwrap();
    let arn =
        described.certificate_description().and_then(|found| found.certificate_arn()).unwrap().to_owned();
    iot.detach_policy().policy_name(POLICY).target(&arn).send().await.unwrap();
    stage.names("attached_policy", "policy detached", &["--board", folder]);
    stage.ends(0, &["doctor", "--mend", "--board", folder]);
    iot.detach_thing_principal().thing_name(&store.thing_name).principal(&arn).send().await.unwrap();
    stage.names("thing", "thing detached", &["--board", folder]);
    stage.ends(0, &["doctor", "--mend", "--board", folder]);

    let set = |status| iot.update_certificate().certificate_id(certificate).new_status(status).send();
    set(CertificateStatus::Revoked).await.unwrap();
    let refused = stage.ends(4, &["doctor", "--mend", "--board", folder]);
    assert!(refused.said.contains("REVOKED"), "{}", refused.said);
    let again = stage.ends(1, &["replay", certificate]);
    assert_eq!(again.values("outcome"), ["refused"], "{}", again.said);
    set(CertificateStatus::Active).await.unwrap();
    stage.is_healthy(&["--board", folder]);
}

async fn others_make_things(stage: &Stage) {
    let iot = stage.iot();
    iot.create_policy().policy_name(OTHERS).policy_document(REFUSING).send().await.unwrap();
    iot.create_thing().thing_name(OTHERS).send().await.unwrap();
    let lambda =
        LambdaAction::builder().function_arn("arn:aws:lambda:us-east-1:123456789012:function:others");
    let payload = TopicRulePayload::builder()
        .sql("SELECT * FROM 'others'")
        .actions(Action::builder().lambda(lambda.build().unwrap()).build())
        .build()
        .unwrap();
    iot.create_topic_rule().rule_name(OTHERS).topic_rule_payload(payload).send().await.unwrap();
}

async fn rules(stage: &Stage) -> Vec<String> {
    let rules = stage.iot().list_topic_rules().send().await.unwrap();
    rules.rules().iter().filter_map(|rule| rule.rule_name().map(str::to_owned)).collect()
}

/// Nothing of ours stays, and everything of others.
async fn teardown(stage: &Stage) {
    if !stage.plays("teardown") {
        return;
    }
    stage.ends(5, &["teardown"]);
    let listed = stage.ends(0, &["teardown", "--dry-run"]);
    assert!(listed.values("kind").contains(&"signer_ca"), "{}", listed.said);
    assert_eq!(rules(stage).await.len(), 2, "a dry run removed a rule");

    // A thing type has to wait after it was deprecated; the next run finishes.
    let first = stage.provisioner(&["teardown", "--yes"]);
    if first.code != 0 {
        assert!(first.values("outcome").contains(&"waiting"), "{}", first.said);
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        stage.ends(0, &["teardown", "--yes"]);
    }
    assert!(stage.ends(0, &["teardown", "--yes"]).lines.is_empty());

    let (iot, lambda, iam) = (stage.iot(), stage.lambda(), stage.iam());
    assert_eq!(rules(stage).await, [OTHERS]);
    let policies = iot.list_policies().send().await.unwrap();
    let policies: Vec<_> = policies.policies().iter().filter_map(|policy| policy.policy_name()).collect();
    assert_eq!(policies, [OTHERS]);
    let things = iot.list_things().send().await.unwrap();
    assert_eq!(things.things().iter().filter_map(|thing| thing.thing_name()).collect::<Vec<_>>(), [OTHERS]);
    assert!(iot.list_ca_certificates().send().await.unwrap().certificates().is_empty());
    assert!(iot.list_certificates().send().await.unwrap().certificates().is_empty());
    assert!(iot.list_thing_types().send().await.unwrap().thing_types().is_empty());
    assert!(lambda.list_functions().send().await.unwrap().functions().is_empty());
    assert!(iam.list_roles().send().await.unwrap().roles().iter().all(|role| role.role_name() != ROLE));
}
