//! The life of an account from set-up to teardown, on any stand-in of AWS: every link is broken in turn, named by
//! `doctor`, repaired, and in the end nothing of ours is left and everything of others is.
//!
//! What a stand-in does not implement is given by name and printed; nothing is left out in silence.

use aws_sdk_iot::types::{Action, LambdaAction, TopicRulePayload};
use testbed::device::Endpoint;
use testbed::wait;

pub(crate) mod breaks;
mod failed;
mod life_cycle;
mod lists;
mod mar;
pub(crate) mod permissions;
mod queued;
pub(crate) mod stage;
mod stuck;

use breaks::{BREAKS, break_link, restore};
use stage::Run;
pub(crate) use stage::Stage;

const FUNCTION: &str = "JITR";
const RULE: &str = "ForwardSignedButUnknownDevices";
const ROLE: &str = "JITR-role";
const THING_TYPE: &str = "microchip-zero-touch-kit";
const POLICY: &str = "zt_policy";
/// Name of everything that another owner made.
const OTHERS: &str = "others";
const REFUSING: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}]}"#;

/// Plays the scenario. With a device gateway at `gateway`, a board takes part.
pub(crate) async fn play(stage: &Stage, gateway: Option<Endpoint>) {
    let package = stage.package();
    let setup = ["setup", "--lambda-zip", package.to_str().unwrap(), "--delivery", "rule"];
    others_make_things(stage).await;

    stage.ends(0, &["ca", "create"]);
    let planned = stage.ends(0, &[&setup[..], &["--dry-run"]].concat());
    let links = if stage.plays("alarms") { 7 } else { 5 };
    assert_eq!(planned.values("action"), vec!["create"; links], "{}", planned.said);
    assert_eq!(rules(stage).await, [OTHERS], "a dry run made a rule");
    let made = stage.ends(0, &setup);
    assert_eq!(made.values("action"), vec!["create"; links], "{}", made.said);
    let again = stage.ends(0, &setup);
    assert_eq!(again.values("action"), vec!["leave"; links], "{}", again.said);
    stage.is_healthy(&[]);

    let signer = made.lines.iter().find(|line| line["resource"] == "signer_ca").unwrap();
    let signer = signer["name"].as_str().unwrap();
    for break_ in BREAKS {
        if stage.plays(break_.what) {
            break_link(stage, break_.what, signer).await;
            stage.names(break_.link, break_.what, &[]);
            if !break_.repairable {
                restore(stage, break_.what).await;
            } else {
                stage.ends(0, &["doctor", "--repair"]);
            }
            stage.is_healthy(&[]);
        }
    }
    failed::the_queue_is_worked_off(stage, signer).await;
    if let Some(gateway) = &gateway {
        stuck::a_board_gets_stuck_and_is_helped(stage, gateway, signer).await;
    }
    mar::certificates_are_registered_without_their_ca(stage).await;
    life_cycle::play(stage, gateway.as_ref(), signer).await;
    teardown(stage).await;
    if let (Some(gateway), Some(_)) = (gateway, stage.calls()) {
        permissions::play_the_rest(stage, &gateway).await;
        permissions::are_those_of(&stage.calls().unwrap());
        permissions::are_those_of_the_connection(&stage.uses());
        stage.has_used_what_was_printed();
    }
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

/// Tears down until nothing has to wait: a thing type that was deprecated does. `judge` sees every run.
async fn torn_down(stage: &Stage, judge: impl Fn(&Run)) {
    wait::found("the end of the teardown", async || {
        let run = stage.provisioner(&["teardown", "--yes"]);
        judge(&run);
        assert_eq!(run.code, 0, "{}", run.said);
        (!run.values("outcome").contains(&"waiting")).then_some(())
    })
    .await
    .unwrap();
}

/// Nothing of ours stays, and everything of others.
async fn teardown(stage: &Stage) {
    if !stage.plays("teardown") {
        return;
    }
    stage.ends(5, &["teardown"]);
    let listed = stage.ends(0, &["teardown", "--dry-run"]);
    assert!(listed.values("resource").contains(&"signer_ca"), "{}", listed.said);
    assert_eq!(rules(stage).await.len(), 2, "a dry run removed a rule");

    if stage.calls().is_some() {
        // A policy that was repaired has an older version.
        let iot = stage.iot();
        let policy = iot.get_policy().policy_name(POLICY).send().await.unwrap().policy_document.unwrap();
        let renewed = iot.create_policy_version().policy_name(POLICY).policy_document(policy);
        renewed.set_as_default(true).send().await.unwrap();
    }
    torn_down(stage, |_| {}).await;
    assert!(stage.ends(0, &["teardown", "--yes"]).lines.is_empty());

    let (iot, lambda, iam) = (stage.iot(), stage.lambda(), stage.iam());
    assert_eq!(rules(stage).await, [OTHERS]);
    let policies = iot.list_policies().send().await.unwrap();
    let policies: Vec<_> = policies.policies().iter().filter_map(|policy| policy.policy_name()).collect();
    assert_eq!(policies, [OTHERS]);
    let things = iot.list_things().send().await.unwrap();
    assert_eq!(things.things().iter().filter_map(|thing| thing.thing_name()).collect::<Vec<_>>(), [OTHERS]);
    assert!(iot.list_ca_certificates().send().await.unwrap().certificates().is_empty());
    let certificates = iot.list_certificates().send().await.unwrap();
    let theirs = iot.list_thing_principals().thing_name(OTHERS).send().await.unwrap();
    let arns: Vec<_> =
        certificates.certificates().iter().filter_map(|found| found.certificate_arn()).collect();
    assert_eq!(arns, theirs.principals());
    assert!(iot.list_thing_types().send().await.unwrap().thing_types().is_empty());
    assert!(lambda.list_functions().send().await.unwrap().functions().is_empty());
    assert!(iam.list_roles().send().await.unwrap().roles().iter().all(|role| role.role_name() != ROLE));
}
