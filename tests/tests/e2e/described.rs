//! Things with attributes, groups, further policies and a billing group: by `setup` and the function, and by `register`.

use serde_json::{Value, json};
use testbed::Options;
use testbed::board::{Options as BoardOptions, SimulatedBoard};
use testbed::iot_core::account::PageRequest;

use crate::account::{Account, Ca};
use crate::account_life::scenario::Stage;

/// An account with two groups, a policy and a billing group, and a user with a signer CA.
async fn account() -> (Account, Stage) {
    let account = Account::with(Options::default()).await;
    let stage = Stage::new("the testbed", account.testbed.access(), &[], None).await;
    stage.ends(0, &["ca", "create"]);
    let mut made = account.testbed.account();
    for group in ["boards", "line-7"] {
        made.create_thing_group(group, None, json!({})).unwrap();
    }
    made.create_billing_group("bills", Value::Null).unwrap();
    made.create_policy(
        "more",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}]}"#,
    )
    .unwrap();
    drop(made);
    (account, stage)
}

fn groups_of(account: &Account, thing: &str) -> Vec<String> {
    let account = account.testbed.account();
    let groups = account.list_thing_groups(Some(thing), &PageRequest::default()).unwrap();
    groups.items.iter().map(|group| group.name.clone()).collect()
}

fn policies_of(account: &Account, certificate_id: &str) -> Vec<String> {
    let account = account.testbed.account();
    let arn = account.certificate_arn(certificate_id);
    let policies = account.attached_policies(&arn, &PageRequest::default()).unwrap();
    policies.items.iter().map(|policy| policy.name.clone()).collect()
}

fn calls(account: &Account) -> usize {
    account.testbed.journal().calls().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn register_describes_things_with_fields_of_certificates() {
    let (account, stage) = account().await;
    let certificate = stage.file("board.crt");
    std::fs::write(&certificate, Ca::new("Vendor").issue("board-1")).unwrap();
    let certificate = certificate.to_str().unwrap();
    let register = [
        "register",
        certificate,
        "--attribute",
        "cn={subject.CN}",
        "--attribute",
        "unit={subject.OU|none}",
        "--thing-group",
        "boards",
        "--thing-group",
        "line-{subject.OU|7}",
        "--additional-policy",
        "more",
        "--billing-group",
        "bills",
    ];
    let done = stage.ends(0, &register);
    let (thing, id) = (done.values("thing_name")[0], done.values("certificate_id")[0]);
    assert_eq!(groups_of(&account, thing), ["boards", "line-7"]);
    assert_eq!(policies_of(&account, id), ["more", "zt_policy"]);
    let made = account.testbed.account().thing(thing).unwrap().clone();
    let attributes: Vec<_> = made.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(attributes, ["cn=board-1", "unit=none"]);
    assert_eq!(made.billing_group.as_deref(), Some("bills"));

    // The thing keeps what it has.
    let again = stage.ends(0, &["register", "--again", certificate, "--attribute", "cn=other"]);
    assert_eq!(again.values("outcome"), ["repaired"]);
    assert_eq!(account.testbed.account().thing(thing).unwrap(), &made);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_would_refuse_is_refused_before_the_first_call() {
    let (account, stage) = account().await;
    let certificate = stage.file("board.crt");
    std::fs::write(&certificate, Ca::new("Vendor").issue("my board")).unwrap();
    let certificate = certificate.to_str().unwrap();
    let many: Vec<String> = (0..51).map(|n| format!("--attribute=a{n}=1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let before = calls(&account);
    for (flags, said) in [
        (&["--attribute", "a=ä"][..], "is no value of an attribute"),
        (&["--attribute", "a={subject.X}"], "there is no field {subject.X}"),
        (&["--thing-group", "a b"], "is not a thing group"),
        (&["--additional-policy", "a/b"], "is not a policy name"),
        (&["--attribute", "ca={ca_certificate_id}"], "does not know {ca_certificate_id}"),
        (&many, "51 attributes; AWS IoT takes at most 50"),
    ] {
        let refused = stage.ends(2, &[&["register", certificate], flags].concat());
        assert!(refused.said.contains(said), "{}", refused.said);
    }
    for (flags, said) in [
        (["--thing-group", "line-{station}"], "the function does not know {station}"),
        (["--attribute", "a=b c"], "is no value of an attribute"),
    ] {
        let refused = stage.ends(2, &[&["setup"], &flags[..]].concat());
        assert!(refused.said.contains(said), "{}", refused.said);
    }
    assert_eq!(calls(&account), before);

    // What depends on the certificate is refused for it, and nothing of it is changed.
    let changes = || {
        let made = account.testbed.journal().calls();
        made.iter()
            .filter(|call| ["RegisterCertificateWithoutCA", "CreateThing"].contains(&call.operation.as_str()))
            .count()
    };
    for flags in [
        ["--attribute", "cn={subject.CN}"],
        ["--thing-group", "of-{subject.OU}"],
        ["--attribute", "usb={usb_serial}"],
    ] {
        let planned = stage.ends(1, &[&["register", certificate, "--dry-run"], &flags[..]].concat());
        assert_eq!(planned.values("action").last(), Some(&"refuse"), "{}", planned.said);
        let refused = stage.ends(1, &[&["register", certificate], &flags[..]].concat());
        assert_eq!(refused.values("outcome"), ["refused"], "{}", refused.said);
    }
    assert_eq!(changes(), 0);
    for (flags, said) in [
        (["--billing-group", "nowhere"], "billing group nowhere does not exist"),
        (["--additional-policy", "nowhere"], "additional policy nowhere does not exist"),
    ] {
        let refused = stage.ends(4, &[&["register", certificate], &flags[..]].concat());
        assert!(refused.said.contains(said), "{}", refused.said);
    }
    assert_eq!(changes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn register_describes_things_with_what_the_ledger_has_of_their_boards() {
    let (account, stage) = account().await;
    let board = SimulatedBoard::start(BoardOptions { seed: None, ..BoardOptions::instant(0) }).unwrap();
    let port = board.path().to_str().unwrap();
    let provisioned = stage.ends(0, &["provision", "--port", port, "--station", "7"]);
    let row = provisioned.lines.iter().find(|line| line["certificate_id"].is_string()).unwrap();
    let element = row["secure_element_serial"].as_str().unwrap();
    let register = ["register", "--dir", row["folder"].as_str().unwrap(), "--thing-group", "line-{station}"];
    let flags = ["--attribute", "element={secure_element_serial}", "--attribute", "usb={usb_serial|none}"];
    let done = stage.ends(0, &[&register[..], &flags].concat());
    let thing = done.values("thing_name")[0];
    assert_eq!(groups_of(&account, thing), ["line-7"]);
    let attributes = account.testbed.account().thing(thing).unwrap().attributes.clone();
    let usb = row["usb_serial"].as_str().unwrap_or("none");
    assert_eq!(
        attributes,
        [("element", element), ("usb", usb)].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_lets_the_function_describe_things_and_keeps_what_it_is_not_told() {
    let (account, stage) = account().await;
    let package = stage.package();
    let setup = ["setup", "--lambda-zip", package.to_str().unwrap(), "--delivery", "rule"];
    let described = [
        "--attribute",
        "ca={ca_certificate_id}",
        "--thing-group",
        "boards",
        "--thing-group",
        "of-{subject.O}",
    ];
    let more = ["--additional-policy", "more", "--billing-group", "bills"];
    stage.ends(0, &[&setup[..], &described, &more].concat());
    let variables = async || {
        let function =
            account.lambda().get_function_configuration().function_name("JITR").send().await.unwrap();
        let variables =
            function.environment.and_then(|environment| environment.variables).unwrap_or_default();
        let names = ["THING_ATTRIBUTES", "THING_GROUP", "ADDITIONAL_POLICIES", "BILLING_GROUP"];
        names.map(|name| variables.get(name).cloned().unwrap_or_default())
    };
    let ca = "ca={ca_certificate_id}";
    assert_eq!(variables().await, [ca, "boards of-{subject.O}", "more", "bills"]);
    let right = |resource: &str| {
        let doctor = stage.provisioner(&["doctor"]);
        let of = doctor.lines.iter().filter(|line| line["resource"] == resource);
        of.map(|line| format!("{} {}", line["name"].as_str().unwrap(), line["verdict"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(right("role"), ["JITR-role right"]);
    assert_eq!(right("thing_group"), ["boards right"]);
    assert_eq!(
        (right("billing_group"), right("additional_policy")),
        (vec!["bills right".to_owned()], vec!["more right".to_owned()])
    );

    let unchanged = stage.ends(0, &["setup"]);
    assert!(unchanged.values("action").iter().all(|action| *action == "leave"), "{}", unchanged.said);
    let changed = stage.ends(0, &["setup", "--thing-group", "", "--billing-group", "gone"]);
    assert!(changed.values("action").contains(&"change"), "{}", changed.said);
    assert_eq!(variables().await, [ca, "", "more", "gone"]);
    assert_eq!((right("role"), right("thing_group")), (vec!["JITR-role right".to_owned()], Vec::new()));
    assert_eq!(right("billing_group"), ["gone wrong"]);
    let mar = stage.ends(2, &["setup", "--method", "mar", "--thing-group", "boards"]);
    assert!(mar.said.contains("no function that describes things"), "{}", mar.said);
}
