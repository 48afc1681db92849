//! Metrics in CloudWatch's embedded metric format: lines on stdout that CloudWatch Logs turns into metrics
//! (CloudWatch User Guide, "Specification: Embedded metric format").

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::tally::Tally;

/// The namespace of the metrics.
const NAMESPACE: &str = "JITR";

/// Values that one metric of a line may have (same specification, "Target members").
const VALUES: usize = 100;

/// The lines of one invocation: one with the counts and durations, and one for each reason of refusal.
pub(super) fn lines(tally: &Tally, function: &str, request_id: &str, now: SystemTime) -> Vec<String> {
    let timestamp = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let timestamp = u64::try_from(timestamp).unwrap_or(u64::MAX);
    let line = |dimensions: Value, metrics: &[(&str, &str)], values: Map<String, Value>| {
        let metrics: Vec<_> =
            metrics.iter().map(|(name, unit)| json!({"Name": name, "Unit": unit})).collect();
        let mut line = json!({
            "_aws": {
                "Timestamp": timestamp,
                "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}],
            },
            "FunctionName": function,
            "requestId": request_id,
        });
        if let Some(members) = line.as_object_mut() {
            members.extend(values);
        }
        line.to_string()
    };

    let refused: u32 = tally.refused.values().sum();
    let counts = [
        ("Registered", u64::from(tally.registered)),
        ("Repaired", u64::from(tally.repaired)),
        ("Refused", u64::from(refused)),
        ("Failed", u64::from(tally.failed)),
        ("Duplicates", u64::from(tally.duplicates)),
        ("Postponed", u64::from(tally.postponed)),
        ("Throttled", tally.throttled),
    ];
    let mut metrics: Vec<_> = counts.iter().map(|(name, _)| (*name, "Count")).collect();
    let mut values: Map<_, _> =
        counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
    // Only with an admission list: without one, CloudWatch keeps and charges nothing for it.
    if let Some(left) = tally.admission_left {
        metrics.extend([("NotAdmitted", "Count"), ("AdmissionValidityLeft", "Percent")]);
        values.insert("NotAdmitted".to_owned(), json!(tally.not_admitted));
        values.insert("AdmissionValidityLeft".to_owned(), json!(left));
    }
    let durations = [
        ("Duration", &tally.durations),
        ("DescribeDuration", &tally.describing),
        ("AttachDuration", &tally.attaching),
        ("ActivateDuration", &tally.activating),
    ];
    for (name, durations) in durations.into_iter().filter(|(_, durations)| !durations.is_empty()) {
        metrics.push((name, "Milliseconds"));
        values.insert(name.to_owned(), milliseconds(durations));
    }
    let mut lines = vec![line(json!([["FunctionName"]]), &metrics, values)];
    for (reason, count) in &tally.refused {
        let values = json!({"Reason": reason, "Refused": count});
        let values = values.as_object().cloned().unwrap_or_default();
        lines.push(line(json!([["FunctionName", "Reason"]]), &[("Refused", "Count")], values));
    }
    lines
}

/// The durations; of more than a metric may have, an even choice.
fn milliseconds(durations: &[Duration]) -> Value {
    let step = durations.len().div_ceil(VALUES).max(1);
    let values = durations.iter().step_by(step).map(|d| (d.as_secs_f64() * 1e4).round() / 10.0);
    json!(values.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(tally: &Tally) -> Vec<Value> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_761_991_200_123);
        lines(tally, "JITR", "request-1", now)
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What the specification asks of every line.
    fn check(line: &Value) {
        assert!(line["_aws"]["Timestamp"].is_u64());
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], NAMESPACE);
            for dimension in
                directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap())
            {
                assert!(line[dimension.as_str().unwrap()].is_string(), "{line}");
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                match &line[metric["Name"].as_str().unwrap()] {
                    Value::Number(_) => {}
                    Value::Array(values) => assert!((1..=VALUES).contains(&values.len()), "{line}"),
                    other => panic!("{metric} is {other}"),
                }
            }
        }
    }

    #[test]
    fn every_metric_of_a_line_is_a_member_of_it() {
        let tally = Tally {
            registered: 3,
            refused: [("key_type", 2), ("other_ca", 1)].into(),
            throttled: 7,
            durations: vec![Duration::from_micros(82_340); 250],
            attaching: vec![Duration::from_micros(41_150); 3],
            ..Tally::default()
        };
        let lines = parsed(&tally);
        assert_eq!(lines.len(), 3);
        lines.iter().for_each(check);
        assert_eq!(lines[0]["Registered"], 3);
        assert_eq!(lines[0]["Refused"], 3);
        assert_eq!(lines[0]["Throttled"], 7);
        assert_eq!(lines[0]["Duration"][0], 82.3);
        assert_eq!(lines[0]["AttachDuration"], json!([41.2, 41.2, 41.2]));
        assert_eq!(lines[0].get("ActivateDuration"), None);
        assert_eq!((&lines[1]["Reason"], &lines[1]["Refused"]), (&json!("key_type"), &json!(2)));
    }

    #[test]
    fn the_admission_list_has_metrics_where_there_is_one() {
        let tally = Tally { not_admitted: 2, admission_left: Some(33), ..Tally::default() };
        let lines = parsed(&tally);
        check(&lines[0]);
        assert_eq!((&lines[0]["NotAdmitted"], &lines[0]["AdmissionValidityLeft"]), (&json!(2), &json!(33)));
        assert_eq!(parsed(&Tally::default())[0].get("AdmissionValidityLeft"), None);
    }

    #[test]
    fn an_invocation_without_a_decision_has_no_duration() {
        let lines = parsed(&Tally { postponed: 1, ..Tally::default() });
        check(&lines[0]);
        assert!(lines[0].get("Duration").is_none());
    }

    #[test]
    fn the_dashboard_and_the_alarms_use_only_metrics_that_are_written() {
        let template = include_str!("../../../infra/template.yaml");
        let written = [
            "Registered",
            "Repaired",
            "Refused",
            "Failed",
            "Duplicates",
            "Postponed",
            "Throttled",
            "NotAdmitted",
            "AdmissionValidityLeft",
            "Duration",
            "DescribeDuration",
            "AttachDuration",
            "ActivateDuration",
        ];
        let dashboard = template.split("  Dashboard:\n").nth(1).unwrap();
        for name in written {
            assert!(dashboard.contains(&format!("\"{name}\"")), "{name} is not on the dashboard");
        }
        for line in template.lines().filter(|line| line.contains("[\"JITR\", ")) {
            let name = line.split('"').nth(3).unwrap();
            assert!(written.contains(&name), "{name}");
        }
        assert!(template.contains(&format!("Namespace: {NAMESPACE}\n")));
    }
}
