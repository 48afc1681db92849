//! The words of iotprovision: each does its step and no other.

use testbed::board::{Options, SimulatedBoard};

use crate::account::Account;
use crate::account_life::scenario::Stage;
use crate::laptop::Laptop;

#[tokio::test(flavor = "multi_thread")]
async fn each_word_does_its_step_and_a_chain_of_them_exactly_these() {
    let account = Account::empty().await;
    let testbed = &account.testbed;
    let stage = Stage::new("the testbed", testbed.access(), &[], None).await;
    let board = SimulatedBoard::start(Options::instant(51)).unwrap();
    let (port, package) = (board.path().to_str().unwrap(), stage.package());
    let cas = async || account.iot().list_ca_certificates().send().await.unwrap().certificates().len();
    let rules = async || account.iot().list_topic_rules().send().await.unwrap().rules().len();
    let factory = board.flash();

    let set_up = stage.ends(0, &["-m", "jitr", "account", "--lambda-zip", package.to_str().unwrap()]);
    assert_eq!(
        set_up.values("resource"),
        [
            "queue",
            "queue",
            "role",
            "role",
            "function",
            "on_failure",
            "event_source_mapping",
            "topic_rule",
            "alarm",
            "alarm",
            "alarm",
        ],
        "{}",
        set_up.said
    );
    assert_eq!((cas().await, rules().await), (0, 1));
    assert!(!stage.file("signer-ca.crt").exists());

    let certs = stage.ends(0, &["-m", "jitr", "certs"]);
    assert_eq!(certs.values("resource"), ["function", "signer_ca"], "{}", certs.said);
    assert_eq!(cas().await, 1);
    assert!(board.flash() == factory);
    stage.is_healthy(&[]);

    // The CAs keep their names, and no flag is passed over in silence.
    let again = stage.ends(0, &["--org", "Foo", "-m", "jitr", "certs"]);
    assert!(again.said.contains("--org has no effect: the CAs are there already"), "{}", again.said);
    assert!(!certs.said.contains("has no effect"), "{}", certs.said);

    let board_alone = stage.ends(0, &["-m", "jitr", "-P", port, "provision"]);
    assert!(board_alone.values("resource").is_empty(), "{}", board_alone.said);
    assert_eq!(board_alone.values("outcome"), ["provisioned"], "{}", board_alone.said);
    let chain = stage.ends(0, &["-m", "jitr", "-P", port, "account", "certs", "provision"]);
    assert!(
        chain.values("resource").contains(&"signer_ca") && chain.values("resource").contains(&"topic_rule")
    );
    assert_eq!(chain.values("outcome"), ["unchanged"], "{}", chain.said);
    let again = stage.ends(0, &["-c", "aws", "-m", "custom", "-P", port]);
    assert_eq!(again.values("outcome"), ["unchanged"], "{}", again.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_is_registered_alone_lets_no_revoked_device_in() {
    let account = Account::empty().await;
    let stage = Stage::new("the testbed", account.testbed.access(), &[], None).await;
    let board = SimulatedBoard::start(Options::instant(52)).unwrap();
    let port = board.path().to_str().unwrap();
    stage.ends(0, &["ca", "create"]);
    let provisioned = stage.ends(0, &["provision", "--endpoint", "localhost", "-P", port]);
    let row = provisioned.lines.iter().find(|line| line["certificate_id"].is_string()).unwrap();
    let id = row["certificate_id"].as_str().unwrap().to_owned();
    let file = format!("{}/device.crt", row["folder"].as_str().unwrap());
    stage.ends(0, &["revoke", &file, "--yes"]);
    let certs = stage.ends(0, &["-m", "jitr", "certs"]);
    assert!(certs.values("resource").contains(&"certificate"), "{}", certs.said);
    let described = account.iot().describe_certificate().certificate_id(id).send().await.unwrap();
    let status = described.certificate_description.unwrap().status.unwrap();
    assert_eq!(status.as_str(), "REVOKED");
}

#[test]
fn what_is_no_word_is_refused_with_the_words_and_a_name_for_no_ca_is_told() {
    let laptop = Laptop::new();
    for line in [&["-m", "jitr", "foo"][..], &["certs", "foo"]] {
        let refused = laptop.run(line, &[]);
        assert_eq!(refused.code, 2, "{refused}");
        for word in ["foo", "all", "account", "certs", "provision", "application", "rootcerts"] {
            assert!(refused.stderr.contains(word), "{refused}");
        }
    }
    let sandbox = laptop.run(&["--org", "Foo", "--scn", "Bar", "-m", "sandbox", "certs"], &[]);
    assert_eq!(sandbox.code, 0, "{sandbox}");
    for flag in ["--org", "--scn"] {
        assert!(sandbox.stderr.contains(&format!("{flag} has no effect: no CA is made")), "{sandbox}");
    }
}
