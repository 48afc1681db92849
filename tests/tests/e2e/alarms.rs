//! The alarms of the function: made, kept, put right, told of and removed; and the testbed's CloudWatch.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::error::ProvideErrorMetadata;
use aws_sdk_cloudwatch::types::{ComparisonOperator, MetricAlarm, StateValue, Statistic};
use serde_json::Value;
use testbed::{Options, Testbed};

use crate::account::sdk_config;
use crate::account_life::scenario::Stage;

const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:night-shift";
const ALARMS: [&str; 3] = ["JITR-failed-events", "JITR-errors", "JITR-refused"];

/// An account, a user with CAs, and a client of the account's CloudWatch.
async fn user() -> (Arc<Testbed>, Stage, Client) {
    let testbed = Arc::new(Testbed::start(Options::default()).await.unwrap());
    let stage = Stage::new("the testbed", testbed.access(), &[], Some(testbed.journal())).await;
    stage.ends(0, &["ca", "create"]);
    let config: SdkConfig = sdk_config(testbed.access()).await;
    (testbed, stage, Client::new(&config))
}

/// Action and details of each alarm in a run.
fn of_alarms(lines: &[Value], key: &str) -> Vec<String> {
    let alarms = lines.iter().filter(|line| line["resource"] == "alarm");
    alarms.map(|line| line[key].as_str().unwrap().to_owned()).collect()
}

async fn all(cloudwatch: &Client) -> Vec<MetricAlarm> {
    let mut found = cloudwatch.describe_alarms().send().await.unwrap().metric_alarms.unwrap_or_default();
    found.sort_by_key(|alarm| ALARMS.iter().position(|name| alarm.alarm_name() == Some(name)));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_makes_the_alarms_once_keeps_what_the_user_has_changed_and_teardown_removes_them() {
    let (_testbed, stage, cloudwatch) = user().await;
    let package = stage.package().display().to_string();
    let setup = ["setup", "--lambda-zip", &package];
    let made = stage.ends(0, &setup);
    assert_eq!(of_alarms(&made.lines, "action"), ["create"; 3], "{}", made.said);
    assert_eq!(of_alarms(&made.lines, "name"), ALARMS);
    assert_eq!(made.lines.last().unwrap()["resource"], "alarm", "nothing else waits for them");
    assert!(made.said.contains("provisioner setup --alarm-topic ARN"), "{}", made.said);
    let again = stage.ends(0, &["setup"]);
    assert!(again.values("action").iter().all(|action| *action == "leave"), "{}", again.said);
    assert!(!again.said.contains("--alarm-topic"), "{}", again.said);

    // A threshold and an action of the user's own stay when a topic is added, and when an alarm is put right.
    let own = |alarm: &MetricAlarm, metric: &str| {
        cloudwatch
            .put_metric_alarm()
            .alarm_name(alarm.alarm_name().unwrap())
            .namespace(alarm.namespace().unwrap())
            .metric_name(metric)
            .set_dimensions(alarm.dimensions.clone())
            .statistic(Statistic::Sum)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .period(60)
            .evaluation_periods(1)
            .threshold(2.5)
            .ok_actions("arn:own:ok")
            .alarm_actions("arn:own:alarm")
    };
    let errors = all(&cloudwatch).await.remove(1);
    own(&errors, "Errors").send().await.unwrap();
    assert_eq!(of_alarms(&stage.ends(0, &["setup"]).lines, "action"), ["leave"; 3]);
    let told = stage.ends(0, &["setup", "--alarm-topic", TOPIC]);
    assert_eq!(of_alarms(&told.lines, "action"), ["change"; 3], "{}", told.said);
    assert!(told.said.contains(&format!("should notify {TOPIC}")), "{}", told.said);
    let [queue, errors, refused] = <[MetricAlarm; 3]>::try_from(all(&cloudwatch).await).unwrap();
    assert_eq!((queue.alarm_actions(), refused.alarm_actions()), (&[TOPIC.into()][..], &[TOPIC.into()][..]));
    assert_eq!(errors.alarm_actions(), ["arn:own:alarm", TOPIC]);
    assert_eq!((errors.ok_actions(), errors.threshold()), (&["arn:own:ok".to_owned()][..], Some(2.5)));

    own(&errors, "Throttles").send().await.unwrap();
    let right = stage.ends(0, &["doctor", "--repair"]);
    assert!(right.said.contains("should watch Sum of AWS/Lambda Errors"), "{}", right.said);
    let errors = all(&cloudwatch).await.remove(1);
    assert_eq!((errors.metric_name(), errors.threshold()), (Some("Errors"), Some(10.0)));
    assert_eq!(errors.alarm_actions(), ["arn:own:alarm"]);

    // The user's own alarms are left: one with another name, and one without our tag.
    for name in ["JITR-throttles", "JITR-admission-list"] {
        own(&errors, "Throttles").alarm_name(name).send().await.unwrap();
    }
    let planned = stage.ends(0, &["teardown", "--dry-run"]);
    assert_eq!(of_alarms(&planned.lines, "name").len(), 3, "{}", planned.said);
    let removed = stage.ends(0, &["teardown", "--yes"]);
    assert_eq!(of_alarms(&removed.lines, "outcome"), ["removed"; 3], "{}", removed.said);
    let left: Vec<_> = all(&cloudwatch).await.into_iter().filter_map(|alarm| alarm.alarm_name).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_of_alarms_that_are_missing_that_have_gone_off_and_that_it_may_not_see() {
    let (testbed, stage, cloudwatch) = user().await;
    let package = stage.package().display().to_string();
    // As earlier versions have left it.
    stage.ends(0, &["setup", "--lambda-zip", &package, "--no-alarms"]);
    assert!(all(&cloudwatch).await.is_empty());
    let missing = stage.ends(0, &["doctor"]);
    let alarms = missing.lines.iter().filter(|line| line["resource"] == "alarm");
    for line in alarms.clone() {
        assert_eq!(
            (&line["verdict"], &line["help"]),
            (&"notable".into(), &"provisioner setup".into()),
            "{line}"
        );
    }
    assert_eq!(alarms.count(), 3, "{}", missing.said);
    assert!(of_alarms(&stage.ends(0, &["doctor", "--no-alarms"]).lines, "name").is_empty());

    assert_eq!(of_alarms(&stage.ends(0, &["setup"]).lines, "action"), ["create"; 3]);
    let quiet = stage.ends(0, &["doctor"]);
    assert_eq!(of_alarms(&quiet.lines, "verdict"), ["right"; 3], "{}", quiet.said);

    testbed.account().send_message("JITR-failed-events", "{}").unwrap();
    let refused = cloudwatch.set_alarm_state().alarm_name("JITR-refused").state_value(StateValue::Alarm);
    refused.state_reason("a test").send().await.unwrap();
    let on = stage.ends(0, &["doctor"]);
    assert_eq!(of_alarms(&on.lines, "verdict"), ["notable", "right", "notable"], "{}", on.said);
    let line = |name: &str| {
        on.lines.iter().find(|line| line["name"] == name && line["resource"] == "alarm").unwrap()
    };
    assert_eq!(line("JITR-failed-events")["help"], "provisioner replay --queue");
    assert!(
        line("JITR-failed-events")["details"][0]
            .as_str()
            .unwrap()
            .contains("state ALARM: A registration failed")
    );
    let help = line("JITR-refused")["help"].as_str().unwrap();
    assert!(help.contains("aws --region us-east-1 logs tail /aws/lambda/JITR"), "{help}");

    // A refused call does not keep boards out, and the others are still made.
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
        {"Effect":"Deny","Action":"cloudwatch:*","Resource":"*"}]}"#;
    testbed.account().set_user_policy(Some(policy)).unwrap();
    let denied = stage.ends(0, &["doctor"]);
    let line = denied.lines.iter().find(|line| line["resource"] == "alarm").unwrap();
    assert_eq!(line["verdict"], "notable", "{line}");
    assert!(
        line["details"][0].as_str().unwrap().contains("permission cloudwatch:DescribeAlarms is missing"),
        "{line}"
    );
    // Nothing is done before it shows.
    let before = testbed.journal().calls().len();
    let refused = stage.ends(4, &["setup", "--policy-name", "another"]);
    let help = refused.lines.last().unwrap()["help"].as_str().unwrap();
    assert!(help.contains("provisioner setup --no-alarms"), "{}", refused.said);
    let calls = testbed.journal().calls().split_off(before);
    assert!(!calls.iter().any(|call| call.operation.starts_with("Update")), "{calls:?}");
    stage.ends(0, &["setup", "--no-alarms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_for_no_alarm_that_setup_does_not_make() {
    let (testbed, stage, cloudwatch) = user().await;
    let package = stage.package().display().to_string();
    stage.ends(0, &["setup", "--lambda-zip", &package, "--delivery", "rule"]);
    assert_eq!(all(&cloudwatch).await.len(), 2);
    // The on-failure destination that `doctor` advises.
    testbed.account().create_queue("JITR-failed-events", Default::default()).unwrap();
    let queue = "arn:aws:sqs:us-east-1:123456789012:JITR-failed-events";
    let role = stage.iam().put_role_policy().role_name("JITR-role").policy_name("failed-events");
    let allowed = serde_json::json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue},
    ]});
    role.policy_document(allowed.to_string()).send().await.unwrap();
    let on_failure = aws_sdk_lambda::types::OnFailure::builder().destination(queue).build();
    let config = aws_sdk_lambda::types::DestinationConfig::builder().on_failure(on_failure).build();
    let put = stage.lambda().put_function_event_invoke_config().function_name("JITR");
    put.destination_config(config).send().await.unwrap();
    stage.ends(0, &["setup"]);
    let found = stage.ends(0, &["doctor"]);
    assert_eq!(of_alarms(&found.lines, "verdict"), ["right"; 2], "{}", found.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_of_others_gets_alarms_only_where_a_topic_is_named() {
    let (_testbed, stage, cloudwatch) = user().await;
    let package = stage.package().display().to_string();
    stage.ends(0, &["setup", "--lambda-zip", &package, "--no-alarms"]);
    let (iam, lambda) = (stage.iam(), stage.lambda());
    let trust = jitr::iam::lambda_trust_policy().to_string();
    let role = iam.create_role().role_name("own").assume_role_policy_document(trust).send().await.unwrap();
    let given = lambda.update_function_configuration().function_name("JITR").role(role.role.unwrap().arn);
    testbed::wait::found("the role of the function", async || given.clone().send().await.ok()).await.unwrap();

    let plain = stage.ends(0, &["setup", "--delivery", "rule"]);
    assert!(of_alarms(&plain.lines, "name").is_empty(), "{}", plain.said);
    let told = stage.provisioner(&["doctor"]);
    assert!(of_alarms(&told.lines, "name").is_empty(), "{}", told.said);
    let asked = stage.ends(0, &["setup", "--delivery", "rule", "--alarm-topic", TOPIC]);
    assert_eq!(of_alarms(&asked.lines, "action"), ["create"; 2], "{}", asked.said);
    assert_eq!(all(&cloudwatch).await.len(), 2);
    for wrong in
        ["arn:aws:sqs:us-east-1:123456789012:q", "night-shift", "arn:aws:sns:us-east-1:123456789012:"]
    {
        stage.ends(2, &["setup", "--alarm-topic", wrong]);
    }
    stage.ends(2, &["setup", "--alarm-topic", TOPIC, "--no-alarms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_testbed_refuses_alarms_that_cloudwatch_refuses_and_lists_them_in_pages() {
    let testbed = Testbed::start(Options::default()).await.unwrap();
    let cloudwatch = Client::new(&sdk_config(testbed.access()).await);
    let put = |name: String| {
        let put = cloudwatch.put_metric_alarm().alarm_name(name).namespace("N").metric_name("M");
        let put = put.comparison_operator(ComparisonOperator::LessThanThreshold).threshold(1.0);
        put.statistic(Statistic::Sum).evaluation_periods(1).period(60)
    };
    for refused in [
        put("n".repeat(256)),
        put("n".into()).period(61),
        put("n".into()).treat_missing_data("never"),
        put("n".into()).alarm_actions("night-shift"),
        cloudwatch.put_metric_alarm().alarm_name("n"),
    ] {
        assert_eq!(refused.send().await.unwrap_err().code(), Some("ValidationError"));
    }
    for number in 0..60 {
        put(format!("alarm-{number:02}")).send().await.unwrap();
    }
    let first = cloudwatch.describe_alarms().send().await.unwrap();
    assert_eq!((first.metric_alarms().len(), first.next_token()), (50, Some("alarm-49")));
    let rest = cloudwatch.describe_alarms().next_token(first.next_token.unwrap()).send().await.unwrap();
    assert_eq!((rest.metric_alarms().len(), rest.next_token()), (10, None));
    let alarm = &rest.metric_alarms()[0];
    assert_eq!(alarm.state_value(), Some(&StateValue::InsufficientData));
    assert!(
        alarm.alarm_arn().unwrap().ends_with(":alarm:alarm-50") && alarm.state_updated_timestamp().is_some()
    );
    // In the event of an error, no alarms are deleted.
    let unknown = cloudwatch.delete_alarms().alarm_names("alarm-00").alarm_names("unknown");
    assert_eq!(unknown.send().await.unwrap_err().code(), Some("ResourceNotFound"));
    let found = cloudwatch.describe_alarms().alarm_name_prefix("alarm-0").send().await.unwrap();
    assert_eq!(found.metric_alarms().len(), 10);
    let other = cloudwatch.put_dashboard().dashboard_name("d").dashboard_body("{}").send().await.unwrap_err();
    assert_eq!(other.code(), Some("NotImplemented"));
}
