//! The document on permissions and the calls that the commands really made say the same. What needs special circumstances
//! is arranged here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_iot::types::{Action, LambdaAction, SqsAction, TopicRulePayload};
use rcgen::SigningKey;
use serde_json::Value;
use testbed::device::{Credentials, Device, Endpoint};
use testbed::wait;

use super::breaks::{break_link, configure};
use super::failed::signed;
use super::lists::lists_are_looked_at;
use super::{FUNCTION, OTHERS, POLICY, ROLE, RULE, Stage, queued, torn_down};

/// A rule as the vendor's stack has it.
const VENDOR: &str = "MCHPStack_ZTLambdaRule";

/// A group, a policy and a thing type of the user's own.
const OWN: &str = "own";

/// Plays every circumstance in which a command makes calls that nothing else has shown.
pub(super) async fn play_the_rest(stage: &Stage, gateway: &Endpoint) {
    let (iot, lambda, iam) = (stage.iot(), stage.lambda(), stage.iam());
    let package = stage.package();
    let setup = ["setup", "--lambda-zip", package.to_str().unwrap(), "--delivery", "rule"];
    queued::events_go_through_a_queue(stage, gateway).await;
    torn_down(stage, |_| {}).await;
    let made = stage.ends(0, &setup);
    let signer = made.lines.iter().find(|line| line["resource"] == "signer_ca").unwrap();
    let signer = signer["name"].as_str().unwrap().to_owned();

    lists_are_looked_at(stage, &package, &signer).await;

    // What `teardown` leaves, and what is asked for by a name that nobody knows.
    break_link(stage, "thing type deprecated", &signer).await;
    let revived = stage.ends(0, &["setup"]);
    assert!(revived.values("resource").contains(&"thing_type"), "{}", revived.said);
    stage.ends(0, &["policy", "print"]);
    stage.ends(2, &["certificates", "00000000"]);
    stage.ends(2, &["certificates", &"0".repeat(64)]);
    stage.ends(2, &["revoke", "00000000", "--yes"]);

    // `setup` finds everything else than it made it.
    break_link(stage, "role not for Lambda", &signer).await;
    break_link(stage, "CA inactive", &signer).await;
    break_link(stage, "permission removed", &signer).await;
    let wide =
        lambda.add_permission().function_name(FUNCTION).statement_id(RULE).action("lambda:InvokeFunction");
    wide.principal("iot.amazonaws.com").send().await.unwrap();
    let other = stage.file("other.zip");
    let mut zip = zip::ZipWriter::new_append(copy(&package, &other)).unwrap();
    zip.start_file("another", zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let changed = stage.ends(0, &["setup", "--lambda-zip", other.to_str().unwrap(), "--thing-type", OWN]);
    assert_eq!(
        changed.values("action"),
        ["change", "change", "change", "leave", "change", "leave", "leave"],
        "{}",
        changed.said
    );
    // What the rule does besides stays.
    stage.works_with(&["--thing-type", OWN, "--rule-role-arn", "arn:aws:iam::1:role/r"]);

    // A queue that is no event source of the function leads nowhere.
    let queue = SqsAction::builder()
        .queue_url("http://localhost/123456789012/nobodys")
        .role_arn("arn:aws:iam::1:role/r");
    let payload = TopicRulePayload::builder()
        .sql("SELECT * FROM '$aws/events/certificates/registered/#'")
        .actions(Action::builder().sqs(queue.build().unwrap()).build());
    iot.replace_topic_rule()
        .rule_name(RULE)
        .topic_rule_payload(payload.build().unwrap())
        .send()
        .await
        .unwrap();
    stage.names("topic_rule", "rule leads to a queue", &[]);
    let repaired = stage.ends(0, &["setup"]);
    assert_eq!(
        repaired.values("action"),
        ["leave", "leave", "leave", "change", "leave", "leave", "leave"],
        "{}",
        repaired.said
    );

    stage.works_with(&[]);

    // A device of the function's own names and group, registered without the function.
    iot.create_thing_group().thing_group_name(OWN).send().await.unwrap();
    iot.create_billing_group().billing_group_name(OWN).send().await.unwrap();
    let named = stage.file("named.crt").display().to_string();
    let planned = ["register", "--again", &named, "--thing-group", OWN, "--billing-group", OWN, "--dry-run"];
    assert_eq!(stage.ends(0, &planned).values("action").last(), Some(&"register"));
    let own = [
        ("ZT_POLICY_NAME", OWN),
        ("THING_TYPE", OWN),
        ("THING_GROUP", OWN),
        ("BILLING_GROUP", OWN),
        ("THING_NAME_SOURCE", "cn"),
    ];
    configure(&lambda, &own).await;
    stage.works_with(&[
        "--policy-name",
        OWN,
        "--thing-type",
        OWN,
        "--thing-group",
        OWN,
        "--billing-group",
        OWN,
        "--rule-role-arn",
        "arn:aws:iam::1:role/r",
    ]);
    break_link(stage, "rule disabled", &signer).await;
    let (certificate, key) = signed(stage, OWN);
    let device = Credentials {
        chain: vec![certificate.der().clone()],
        sign: Arc::new(move |message| key.sign(message).map_err(Into::into)),
        roots: None,
    };
    a_registration_that_gets_stuck_is_watched(stage, gateway, &device).await;
    let local = stage.ends(0, &["replay", "--local"]);
    assert_eq!(local.values("outcome"), ["registered"], "{}", local.said);
    // It is attached to its thing, and not exclusively: that counts.
    configure(&lambda, &[own.as_slice(), &[("EXCLUSIVE_THING", "true")]].concat()).await;
    let again = stage.ends(0, &["replay", "--local", local.values("certificate_id")[0]]);
    assert_eq!(again.values("outcome"), ["repaired"], "{}", again.said);
    configure(&lambda, &own).await;

    // The role has a managed policy besides.
    let arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    iam.attach_role_policy().role_name(ROLE).policy_arn(arn).send().await.unwrap();
    stage.ends(4, &["doctor"]);

    // The function gets another role, which does not let it take events from a queue.
    let trust = jitr::iam::lambda_trust_policy().to_string();
    let role = iam.create_role().role_name(OWN).assume_role_policy_document(trust).send().await.unwrap();
    iam.attach_role_policy().role_name(OWN).policy_arn(arn).send().await.unwrap();
    let log = iam.put_role_policy().role_name(OWN).policy_name("log").policy_document("{}");
    log.send().await.unwrap();
    let role = role.role.unwrap().arn;
    let through = [&setup[..3], &["--role-arn", &role, "--delivery", "queue", "--dry-run"]].concat();
    stage.ends(4, &through);

    revoked(stage, gateway).await;
    the_policy_of_earlier_versions_is_renewed(stage).await;

    // Anybody may invoke the function, beside the rule.
    let anybody = lambda.add_permission().function_name(FUNCTION).statement_id(OTHERS);
    anybody.action("lambda:InvokeFunction").principal("*").send().await.unwrap();
    let found = stage.finding("permission");
    assert_eq!(found["verdict"], "dangerous", "{found}");
    assert!(found["details"].to_string().contains(OTHERS) && found["help"].is_string(), "{found}");
    lambda.remove_permission().function_name(FUNCTION).statement_id(OTHERS).send().await.unwrap();
    assert_eq!(stage.finding("permission")["verdict"], "right");

    // Another rule gets the events, and invokes another function.
    let invoke = LambdaAction::builder().function_arn("arn:aws:lambda:us-east-1:123456789012:function:Else");
    let payload = TopicRulePayload::builder()
        .sql("SELECT * FROM '$aws/events/certificates/+/+'")
        .actions(Action::builder().lambda(invoke.build().unwrap()).build())
        .build()
        .unwrap();
    for name in ["Elsewhere", VENDOR] {
        iot.create_topic_rule().rule_name(name).topic_rule_payload(payload.clone()).send().await.unwrap();
    }
    let disabled = stage.ends(0, &["doctor", "--repair", "--yes"]);
    assert!(disabled.values("action").contains(&"disable_rule"), "{}", disabled.said);
    iot.delete_topic_rule().rule_name(VENDOR).send().await.unwrap();
    let disabled = stage.ends(0, &["setup", "--disable-rule", "Elsewhere"]);
    assert!(disabled.values("action").contains(&"disable"), "{}", disabled.said);
    iot.delete_topic_rule().rule_name("Elsewhere").send().await.unwrap();

    // The function works with a policy without a tag, and a rule of ours invokes a function of others.
    iot.create_policy().policy_name("untagged").policy_document(super::REFUSING).send().await.unwrap();
    configure(&lambda, &[("ZT_POLICY_NAME", "untagged"), ("THING_TYPE", OWN)]).await;
    others_deploy(stage, &package).await;
    stage.ends(0, &["setup", "--function", OTHERS, "--rule-name", "ToOthers"]);
    // A role that somebody works with stays as it is: what is attached stays attached.
    let own =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
    iam.put_role_policy().role_name(ROLE).policy_name(OWN).policy_document(own).send().await.unwrap();
    let kept = stage.provisioner(&["teardown", "--yes"]);
    assert!(kept.lines.iter().any(|line| line["name"] == ROLE && line["outcome"] == "kept"), "{}", kept.said);
    let attached = iam.list_attached_role_policies().role_name(ROLE).send().await.unwrap();
    assert_eq!(attached.attached_policies().len(), 1, "{attached:?}");
    iam.delete_role_policy().role_name(ROLE).policy_name(OWN).send().await.unwrap();
    torn_down(stage, |rest| {
        let waiting =
            |line: &Value| line["resource"] == "thing_type" || line["name"] == OWN || line["name"] == ROLE;
        assert!(rest.lines.iter().all(waiting), "{}", rest.said);
    })
    .await;
    assert!(lambda.get_function_configuration().function_name(OTHERS).send().await.is_ok());
    assert!(iot.get_policy().policy_name("untagged").send().await.is_ok());
}

/// `monitor` shows a device that is turned away and not registered, and looks for the cause.
async fn a_registration_that_gets_stuck_is_watched(stage: &Stage, gateway: &Endpoint, device: &Credentials) {
    stage.reaches(gateway);
    let journal = stage.journal().unwrap().clone();
    let before = journal.entries().len();
    let (to, device) = (gateway.clone(), device.clone());
    let connecting = tokio::spawn(async move {
        tokio::task::spawn_blocking(move || Stage::is_watching(&journal, before)).await.unwrap();
        Device::connect(&to, &device, OWN).await.unwrap_err();
    });
    let seen = stage.ends(0, &["monitor", "--for", "10s", "--explain-after", "2s"]);
    connecting.await.unwrap();
    let events = seen.values("event");
    assert!(["registered", "overdue"].iter().all(|event| events.contains(event)), "{}", seen.said);
    let sent = stage.ends(0, &["monitor", OWN, "--send", &format!("{OWN}/led"), "on", "--for", "1s"]);
    assert!(sent.values("event").contains(&"sent"), "{}", sent.said);
}

/// The document has the permissions of the connection with the resources that the provisioner used there, and no other.
pub(super) fn are_those_of_the_connection(uses: &BTreeSet<(&'static str, String)>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../provisioner/docs/permissions.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("monitor")).unwrap();
    let mut documented = BTreeSet::new();
    for row in section.lines().filter(|line| line.contains("no call of its own")) {
        let cells: Vec<&str> = row.split('|').collect();
        let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let resources = [code(cells[2]), code(cells[3])].concat();
        let permission = code(cells[1])[0].clone();
        for resource in resources.iter().filter(|resource| resource.contains('/')) {
            // A prefix alone stands for what begins with it.
            let resource = resource.replace("THING", OWN);
            let whole = if resource.ends_with('/') { format!("{resource}*") } else { resource };
            documented.insert((permission.clone(), whole));
        }
    }
    let fits = |pattern: &str, resource: &str| match pattern.strip_suffix('*') {
        Some(begin) => resource.starts_with(begin),
        None => resource == pattern,
    };
    for (permission, resource) in uses {
        let is_documented =
            documented.iter().any(|(known, pattern)| known == permission && fits(pattern, resource));
        assert!(
            is_documented,
            "provisioner/docs/permissions.md lacks {permission} on {resource} for monitor"
        );
    }
    for (permission, pattern) in &documented {
        let is_used = uses.iter().any(|(used, resource)| used == permission && fits(pattern, resource));
        assert!(is_used, "monitor did not use {permission} on {pattern}, which the document has: {uses:?}");
    }
}

/// A device is revoked while it waits for its registration, one leaves service, and others are revoked before the account
/// knows them.
async fn revoked(stage: &Stage, gateway: &Endpoint) {
    let timeout = stage.lambda().update_function_configuration().function_name(FUNCTION).timeout(1);
    timeout.send().await.unwrap();
    let (certificate, key) = signed(stage, "waiting");
    let device = Credentials {
        chain: vec![certificate.der().clone()],
        sign: Arc::new(move |message| key.sign(message).map_err(Into::into)),
        roots: None,
    };
    Device::connect(gateway, &device, "waiting").await.unwrap_err();
    let file = |name: &str, text: String| {
        std::fs::write(stage.file(name), text).unwrap();
        stage.file(name).display().to_string()
    };
    stage.ends(0, &["revoke", &file("waiting.pem", certificate.pem()), "--yes"]);
    stage.ends(0, &["forget", OWN, "--yes"]);
    for count in [1, 11] {
        let texts: String =
            (0..count).map(|number| signed(stage, &format!("sold-{number}")).0.pem()).collect();
        stage.ends(0, &["revoke", &file("sold.pem", texts), "--list-only", "--yes"]);
        let made = stage.ends(0, &["setup"]);
        let registered = made.lines.iter().filter(|line| line["resource"] == "certificate").count();
        assert_eq!(registered, count, "{}", made.said);
    }
}

/// An account with the default document of earlier versions works, and gets the new one after a yes.
async fn the_policy_of_earlier_versions_is_renewed(stage: &Stage) {
    let (iot, lambda) = (stage.iot(), stage.lambda());
    configure(&lambda, &[]).await;
    stage.works_with(&[]);
    let values = [("Partition", "aws"), ("Region", "us-east-1"), ("AccountId", "123456789012")];
    let example = include_str!("../../../lambda/docs/policy_example.json").to_owned();
    let fill = |text: String, (name, value): (&str, &str)| text.replace(&format!("${{AWS::{name}}}"), value);
    let example = values.into_iter().fold(example, fill);
    iot.create_policy().policy_name(POLICY).policy_document(&example).send().await.unwrap();
    let document = async || {
        let policy = iot.get_policy().policy_name(POLICY).send().await.unwrap();
        policy.policy_document.unwrap()
    };
    let found = stage.finding("device_policy");
    assert_eq!((&found["verdict"], &found["repairable"]), (&"notable".into(), &true.into()), "{found}");

    let unasked = stage.ends(0, &["doctor", "--repair"]);
    assert!(unasked.said.contains("not without --yes"), "{}", unasked.said);
    assert_eq!(document().await, example);
    let planned = stage.ends(0, &["doctor", "--repair", "--dry-run"]);
    assert!(planned.values("action").contains(&"renew_policy"), "{}", planned.said);
    assert_eq!(document().await, example);

    // Four versions of the user's own leave no room.
    for number in 0..4 {
        let own = super::REFUSING.replace("{\"Effect", &format!("{{\"Sid\":\"own{number}\",\"Effect"));
        iot.create_policy_version().policy_name(POLICY).policy_document(own).send().await.unwrap();
    }
    let planned = stage.ends(0, &["doctor", "--repair", "--dry-run"]);
    let full = stage.ends(0, &["doctor", "--repair", "--yes"]);
    for run in [&planned, &full] {
        assert_eq!(run.values("deleted_version"), ["2"], "{}", run.said);
    }
    assert!(document().await.contains("ThingName}/*"), "{}", document().await);
    for id in ["1", "3", "4", "5"] {
        iot.delete_policy_version().policy_name(POLICY).policy_version_id(id).send().await.unwrap();
    }
    iot.delete_policy().policy_name(POLICY).send().await.unwrap();
    iot.create_policy().policy_name(POLICY).policy_document(&example).send().await.unwrap();

    let renewed = stage.ends(0, &["doctor", "--repair", "--yes"]);
    assert!(renewed.values("action").contains(&"renew_policy"), "{}", renewed.said);
    assert!(document().await.contains("ThingName}/*"), "{}", document().await);
    let versions = iot.list_policy_versions().policy_name(POLICY).send().await.unwrap();
    assert_eq!(versions.policy_versions().len(), 1, "{versions:?}");
    assert_eq!(stage.finding("device_policy")["verdict"], "right");
    iot.delete_policy().policy_name(POLICY).send().await.unwrap();
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> std::fs::File {
    std::fs::copy(from, to).unwrap();
    std::fs::File::options().read(true).write(true).open(to).unwrap()
}

/// A function that this tool did not make.
async fn others_deploy(stage: &Stage, package: &std::path::Path) {
    use aws_sdk_lambda::primitives::Blob;
    use aws_sdk_lambda::types::{Architecture, FunctionCode, Runtime};
    let found = stage.lambda().get_function_configuration().function_name(FUNCTION).send().await.unwrap();
    let architecture = found.architectures().first().cloned().unwrap_or(Architecture::X8664);
    let create = stage.lambda().create_function().function_name(OTHERS).role(found.role.unwrap());
    let code = FunctionCode::builder().zip_file(Blob::new(std::fs::read(package).unwrap())).build();
    let create = create.runtime(Runtime::Providedal2023).handler("bootstrap").architectures(architecture);
    create.code(code).send().await.unwrap();
    configure_is_over(stage).await;
}

async fn configure_is_over(stage: &Stage) {
    wait::found("the function of others", async || {
        let found = stage.lambda().get_function_configuration().function_name(OTHERS).send().await.unwrap();
        found.state().is_none_or(|state| state.as_str() != "Pending").then_some(())
    })
    .await
    .unwrap();
}

/// Each command's table in the document on permissions has every call that the command made, and no other.
pub(crate) fn are_those_of(calls: &BTreeMap<String, BTreeSet<String>>) {
    let documented = documented();
    for (command, made) in calls {
        let Some(Table { calls: table, besides }) = documented.get(command) else {
            assert!(made.is_empty(), "provisioner/docs/permissions.md has no {command}");
            continue;
        };
        let mut allowed = table.clone();
        for other in besides.iter().filter_map(|other| documented.get(other)) {
            allowed.extend(other.calls.iter().cloned());
        }
        let missing: Vec<_> = made.difference(&allowed).collect();
        assert!(missing.is_empty(), "provisioner/docs/permissions.md lacks for {command}: {missing:?}");
        let idle: Vec<_> = table.difference(made).collect();
        assert!(idle.is_empty(), "no {command} made these calls, which the document has: {idle:?}");
    }
}

/// What the document says about one command.
#[derive(Debug, Default)]
struct Table {
    /// The permissions of its table that go with a call of their own.
    calls: BTreeSet<String>,
    /// What may be the names of commands whose calls it makes besides.
    besides: Vec<String>,
}

/// The document on permissions, by command.
fn documented() -> BTreeMap<String, Table> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../provisioner/docs/permissions.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut commands = BTreeMap::<String, Table>::new();
    let mut command = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            command = name.to_owned();
            commands.insert(command.clone(), Table::default());
            continue;
        }
        let Some(table) = commands.get_mut(&command) else { continue };
        if let Some((permission, when)) = line.strip_prefix("| `").and_then(|row| row.split_once('`')) {
            // The testbed has no Amazon S3.
            if !when.contains("no call of its own") && !permission.starts_with("s3:") {
                table.calls.insert(permission.to_owned());
            }
        } else if line.contains("makes the calls of") {
            let named = line.split('`').skip(1).step_by(2).filter_map(|code| code.split(' ').next());
            table.besides.extend(named.map(str::to_owned));
        }
    }
    commands
}
