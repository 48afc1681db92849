//! Delivery through the queue, from set-up to teardown: a board registers, every link is broken and repaired, and the way is
//! switched in both directions.

use std::sync::Arc;

use aws_sdk_sqs::types::QueueAttributeName;
use rcgen::SigningKey;
use testbed::device::{Credentials, Device, Endpoint};
use testbed::wait;

use super::failed::signed;
use super::{FUNCTION, RULE, Stage};

const WAITING: &str = "JITR-waiting-events";
const RULE_ROLE: &str = "JITR-rule-role";

/// Plays it in an account where nothing of ours is.
pub(super) async fn events_go_through_a_queue(stage: &Stage, gateway: &Endpoint) {
    let package = stage.package();
    let setup = ["setup", "--lambda-zip", package.to_str().unwrap()];
    let planned = stage.ends(0, &[&setup[..], &["--dry-run"]].concat());
    assert!(planned.values("action").iter().all(|action| *action == "create"), "{}", planned.said);
    let made = stage.ends(0, &setup);
    let resources = [
        "queue",
        "queue",
        "role",
        "role",
        "function",
        "on_failure",
        "event_source_mapping",
        "topic_rule",
        "signer_ca",
        "alarm",
        "alarm",
        "alarm",
    ];
    assert_eq!(made.values("resource"), resources, "{}", made.said);
    assert_eq!(made.values("resource"), planned.values("resource"), "{}", planned.said);
    let again = stage.ends(0, &setup);
    assert!(again.values("action").iter().all(|action| *action == "leave"), "{}", again.said);
    let account = stage.ends(0, &["doctor"]);
    let of_chain = account.lines.iter().filter(|line| line["resource"] != "device_policy");
    for line in of_chain {
        assert_eq!(line["verdict"], "right", "{}", account.said);
    }
    registers(stage, gateway, "by-queue").await;
    stage.ends(0, &["replay", "--queue"]);

    each_link_is_repaired(stage).await;
    registers(stage, gateway, "repaired").await;

    // To the function and back; what was set up by either way is kept.
    let back = stage.ends(0, &["setup", "--delivery", "rule"]);
    let rule = back.lines.iter().find(|line| line["resource"] == "topic_rule").unwrap();
    assert_eq!(rule["action"], "change", "{}", back.said);
    stage.is_healthy(&[]);
    registers(stage, gateway, "by-rule").await;
    let kept = stage.ends(0, &setup);
    assert!(kept.values("action").iter().all(|action| *action == "leave"), "{}", kept.said);
    stage.ends(0, &["setup", "--delivery", "queue"]);
    stage.is_healthy(&[]);
    registers(stage, gateway, "by-queue-again").await;
}

/// A board that connects is registered, and let in.
async fn registers(stage: &Stage, gateway: &Endpoint, name: &str) {
    let (certificate, key) = signed(stage, name);
    let thing = jitr::thing_name::ThingName::from_certificate_pem(
        &certificate.pem(),
        jitr::thing_name::ThingNameSource::SubjectKeyIdentifier,
    );
    let thing = thing.unwrap().to_string();
    let device = Credentials {
        chain: vec![certificate.der().clone()],
        sign: Arc::new(move |message| key.sign(message).map_err(Into::into)),
        roots: None,
    };
    Device::connect(gateway, &device, &thing).await.unwrap_err();
    wait::found("a registered device", async || Device::connect(gateway, &device, &thing).await.ok())
        .await
        .unwrap();
}

/// `doctor` names what is broken, and what repairs it does.
async fn each_link_is_repaired(stage: &Stage) {
    let (lambda, sqs, iam) = (stage.lambda(), stage.sqs(), stage.iam());
    let mapping = async || {
        let found = lambda.list_event_source_mappings().function_name(FUNCTION).send().await.unwrap();
        found.event_source_mappings.unwrap_or_default().remove(0).uuid.unwrap()
    };
    let url = sqs.get_queue_url().queue_name(WAITING).send().await.unwrap().queue_url.unwrap();

    lambda.update_event_source_mapping().uuid(mapping().await).enabled(false).send().await.unwrap();
    stage.names("event_source_mapping", "the mapping is off", &[]);
    stage.ends(0, &["setup"]);

    lambda.delete_event_source_mapping().uuid(mapping().await).send().await.unwrap();
    stage.names("event_source_mapping", "the mapping is gone", &[]);
    stage.ends(0, &["doctor", "--repair"]);

    let short = sqs.set_queue_attributes().queue_url(&url);
    short.attributes(QueueAttributeName::VisibilityTimeout, "1").send().await.unwrap();
    stage.names("queue", "messages come back too soon", &[]);
    stage.ends(0, &["setup"]);

    let policy = iam.delete_role_policy().role_name(RULE_ROLE).policy_name("events");
    policy.send().await.unwrap();
    stage.names("role", "the rule may not send events", &[]);
    stage.ends(0, &["doctor", "--repair"]);

    stage.iot().delete_topic_rule().rule_name(RULE).send().await.unwrap();
    stage.names("topic_rule", "the rule is gone", &[]);
    stage.ends(0, &["doctor", "--repair"]);
    stage.is_healthy(&[]);
}
