//! Delivery through the queue, where a right is missing or the function is somebody else's.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_sdk_lambda::types::{DestinationConfig, OnSuccess};
use testbed::Options;
use testbed::iot_core::control_plane::Interceptor;

use super::registering::{Refusing, made};
use super::{Desk, flag};
use crate::account_life::scenario::stage::Run;

const MAKES: [&str; 6] = [
    "CreateQueue",
    "CreateRole",
    "CreateFunction",
    "PutFunctionEventInvokeConfig",
    "CreateEventSourceMapping",
    "CreateTopicRule",
];

/// The message and the next step of a run that failed.
fn refusal(run: &Run) -> (String, String) {
    let line =
        run.lines.iter().find(|line| line["error"].is_string()).unwrap_or_else(|| panic!("{}", run.said));
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    (text("error"), text("help"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_others_without_the_rights_is_refused_before_anything_is_made() {
    let desk = Desk::with(Options::default()).await;
    let package = desk.stage.package().to_str().unwrap().to_owned();
    let iam = desk.account.iam();
    let trust = jitr::iam::lambda_trust_policy().to_string();
    let role = iam.create_role().role_name("own").assume_role_policy_document(trust).send().await.unwrap();
    let role = role.role.unwrap().arn;
    desk.stage.ends(0, &["setup", "--lambda-zip", &package, "--role-arn", &role, "--delivery", "rule"]);

    let advised = desk.stage.provisioner(&["doctor"]);
    assert!(advised.said.contains("has to allow the queue first"), "{}", advised.said);

    let switch = ["setup", "--delivery", "queue"];
    let before = MAKES.map(|operation| made(&desk, operation));
    let planned = desk.stage.ends(4, &[&switch[..], &["--dry-run"]].concat());
    let refused = desk.stage.ends(4, &switch);
    assert_eq!(refusal(&planned), refusal(&refused));
    assert_eq!(MAKES.map(|operation| made(&desk, operation)), before);
    let (error, help) = refusal(&refused);
    assert!(error.contains("role own") && error.contains("sqs:ReceiveMessage on arn:aws:sqs:"), "{error}");
    assert!(error.contains("sqs:SendMessage on arn:aws:sqs:"), "{error}");
    assert!(help.contains("provisioner setup --delivery rule"), "{help}");

    let commands: Vec<&str> = help.split("aws ").filter(|text| text.contains("put-role-policy")).collect();
    assert_eq!(commands.len(), 2, "{help}");
    for command in commands {
        let put = iam.put_role_policy().role_name(flag(command, "role-name"));
        let put = put.policy_name(flag(command, "policy-name"));
        put.policy_document(flag(command, "policy-document")).send().await.unwrap();
    }
    desk.stage.ends(0, &switch);
    let again = desk.stage.ends(0, &switch);
    assert!(again.values("action").iter().all(|action| *action == "leave"), "{}", again.said);
    desk.gets_in(&desk.provision()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_that_delivery_through_a_queue_needs_is_named_and_the_next_run_finishes() {
    let pass_role = "User: ann is not authorized to perform: iam:PassRole on resource: JITR-rule-role";
    for (operation, message, action) in [
        ("GetQueueUrl", "User: ann is not authorized", "sqs:GetQueueUrl"),
        ("CreateQueue", "User: ann is not authorized", "sqs:CreateQueue"),
        ("CreateEventSourceMapping", "User: ann is not authorized", "lambda:CreateEventSourceMapping"),
        (
            "PutFunctionEventInvokeConfig",
            "User: ann is not authorized",
            "lambda:PutFunctionEventInvokeConfig",
        ),
        ("CreateTopicRule", pass_role, "iam:PassRole"),
    ] {
        let refusing = Refusing::new(operation, "AccessDeniedException", message);
        let interceptor = Arc::clone(&refusing) as Arc<dyn Interceptor>;
        let desk = Desk::with(Options { interceptor, ..Options::default() }).await;
        let package = desk.stage.package().to_str().unwrap().to_owned();
        let setup = ["setup", "--lambda-zip", &package];
        let denied = desk.stage.ends(4, &setup);
        let (error, help) = refusal(&denied);
        assert!(error.contains(&format!("permission {action} is missing")), "{operation}: {error}");
        assert!(help.contains(&format!("to allow {action} for you")), "{operation}: {help}");
        assert!(help.contains("provisioner setup --delivery rule"), "{operation}: {help}");
        // Nothing delivers by another way than the one that was asked for.
        let rules = desk.account.iot().list_topic_rules().send().await.unwrap();
        assert!(rules.rules().is_empty(), "{operation}");
        refusing.0.store(false, Ordering::Relaxed);
        desk.stage.ends(0, &setup);
        desk.stage.is_healthy(&[]);
        let queues = made(&desk, "CreateQueue") - usize::from(operation == "CreateQueue");
        assert_eq!(queues, 2, "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_events_that_succeed_stays_as_it_is() {
    let desk = Desk::with(Options::default()).await;
    let package = desk.stage.package().to_str().unwrap().to_owned();
    desk.stage.ends(0, &["setup", "--lambda-zip", &package, "--delivery", "rule"]);
    let (lambda, topic) = (desk.account.lambda(), "arn:aws:sns:us-east-1:123456789012:registered");
    let on_success = OnSuccess::builder().destination(topic).build();
    let config = DestinationConfig::builder().on_success(on_success).build();
    let put = lambda.put_function_event_invoke_config().function_name("JITR").maximum_retry_attempts(1);
    put.destination_config(config).send().await.unwrap();

    desk.stage.ends(0, &["setup", "--delivery", "queue"]);
    let found = lambda.get_function_event_invoke_config().function_name("JITR").send().await.unwrap();
    assert_eq!(found.maximum_retry_attempts, Some(1));
    let found = found.destination_config.unwrap();
    assert_eq!(found.on_success.unwrap().destination.as_deref(), Some(topic));
    assert!(found.on_failure.unwrap().destination.unwrap().ends_with(":JITR-failed-events"));
}
