use super::*;

const TOPIC: &str = "arn:aws:sns:us-east-2:123456789012:night-shift";
const WANTED: Wanted = Wanted { failed_events: true, admission_list: true, make: true };

/// The alarm as CloudWatch has it after `apply`.
pub(crate) fn made(alarm: &Alarm) -> MetricAlarm {
    let watch = alarm.watch;
    MetricAlarm::builder()
        .alarm_name(&alarm.name)
        .namespace(watch.namespace)
        .metric_name(watch.metric)
        .dimensions(alarm.dimension())
        .statistic(watch.statistic.clone())
        .comparison_operator(watch.comparison.clone())
        .threshold(watch.threshold)
        .actions_enabled(true)
        .build()
}

fn decided(alarms: &Alarms, found: &[MetricAlarm]) -> Vec<Alarm> {
    decide("arn:aws:lambda:us-east-2:123456789012:function:JITR:3", alarms, WANTED, found)
}

#[test]
fn the_alarms_are_those_of_the_template() {
    let template = include_str!("../../../../../infra/template.yaml");
    let alarm_of = |watch: &Watch| match watch.kind {
        Kind::FailedEvents => ("FailedEventsAlarm", "!GetAtt FailedEvents.QueueName"),
        Kind::Errors => ("ErrorsAlarm", "!Ref FunctionName"),
        Kind::Refused => ("RefusedAlarm", "!Ref FunctionName"),
        Kind::AdmissionList => ("AdmissionListAlarm", "!Ref FunctionName"),
    };
    assert_eq!(template.matches("Type: AWS::CloudWatch::Alarm").count(), WATCHES.len());
    for watch in &WATCHES {
        let (resource, of) = alarm_of(watch);
        let section = template.split(&format!("\n  {resource}:\n")).nth(1).unwrap();
        let section = section.split("\n\n").next().unwrap().replace(">-", "");
        let section = section.split_whitespace().collect::<Vec<_>>().join(" ");
        for property in [
            format!("AlarmName: !Sub ${{FunctionName}}-{} ", watch.suffix),
            format!("AlarmDescription: {} Namespace: {} ", watch.description, watch.namespace),
            format!("MetricName: {} ", watch.metric),
            format!("Dimensions: - Name: {} Value: {of} ", watch.dimension),
            format!("Statistic: {} ", watch.statistic.as_str()),
            format!("Period: {} ", watch.period),
            format!("EvaluationPeriods: {} ", watch.evaluation_periods),
            format!("Threshold: {} ", watch.threshold),
            format!("ComparisonOperator: {} ", watch.comparison.as_str()),
            format!("TreatMissingData: {} ", watch.missing_data),
        ] {
            assert!(section.contains(&property), "{resource} has not {property:?}: {section}");
        }
    }
    // The template names the queue as the alarm is named.
    assert!(template.contains(&format!("QueueName: !Sub ${{FunctionName}}-{FAILED_EVENTS}\n")));
}

#[test]
fn an_alarm_that_is_missing_is_made_and_one_that_watches_the_right_metric_keeps_its_numbers() {
    let new = decided(&Alarms::Usual, &[]);
    let names: Vec<_> = new.iter().map(|alarm| alarm.name.as_str()).collect();
    assert_eq!(names, ["JITR-failed-events", "JITR-errors", "JITR-refused", "JITR-admission-list"]);
    assert!(new.iter().all(|alarm| alarm.link().action == super::super::Action::Create));
    let mut found: Vec<_> = new.iter().map(made).collect();
    found[1].threshold = Some(1.0);
    let kept = decided(&Alarms::Usual, &found);
    assert!(kept.iter().all(|alarm| alarm.link().action == super::super::Action::Leave), "{kept:?}");
}

#[test]
fn an_alarm_of_another_metric_is_put_right_and_keeps_whom_it_notifies() {
    let mut found: Vec<_> = decided(&Alarms::Usual, &[]).iter().map(made).collect();
    found[1].metric_name = Some("Throttles".into());
    found[1].alarm_actions = Some(vec!["arn:own".into()]);
    let alarms = decided(&Alarms::Notify(TOPIC.into()), &found);
    assert_eq!(alarms[1].actions(), ["arn:own", TOPIC]);
    let details = alarms[1].link().details;
    assert_eq!(
        details,
        [
            "watches Sum of AWS/Lambda Throttles (FunctionName JITR), GreaterThanThreshold, should watch Sum of \
             AWS/Lambda Errors (FunctionName JITR), GreaterThanThreshold",
            &format!("should notify {TOPIC}")
        ]
    );
    assert_eq!(alarms[0].link().details, [format!("should notify {TOPIC}")]);
}

#[test]
fn nobody_is_told_without_an_action_that_is_enabled() {
    let new = decided(&Alarms::Usual, &[]);
    assert!(new[0].notifies_nobody());
    assert!(!decided(&Alarms::Notify(TOPIC.into()), &[])[0].notifies_nobody());
    let mut off = made(&new[0]);
    (off.alarm_actions, off.actions_enabled) = (Some(vec!["arn:own".into()]), Some(false));
    assert!(decided(&Alarms::Usual, std::slice::from_ref(&off))[0].notifies_nobody());
}

#[test]
fn a_function_of_others_gets_no_alarm_and_one_that_it_has_is_looked_at() {
    let all: Vec<_> = decided(&Alarms::Usual, &[]).iter().map(made).collect();
    let wanted = Wanted { make: false, failed_events: false, admission_list: false };
    for found in [&all[..], &all[2..3]] {
        let looked_at = decide("JITR", &Alarms::Usual, wanted, found);
        let looked_at: Vec<_> = looked_at.iter().map(|alarm| Some(alarm.name.as_str())).collect();
        assert_eq!(looked_at, found.iter().map(MetricAlarm::alarm_name).collect::<Vec<_>>());
    }
}
