//! Alarms of Amazon CloudWatch. There are no metrics, but for the depth of a queue: an alarm on it has at once the state that AWS reaches
//! after some minutes. Every other alarm has the state that missing data leads to, or the one that was set.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::{Account, Error};

/// The most characters of a name (Amazon CloudWatch API reference, `PutMetricAlarm`).
const LONGEST_NAME: usize = 255;
/// The most actions for a state (the same).
const MOST_ACTIONS: usize = 5;

/// Comparisons (the same), without those for bands of anomaly detection.
const COMPARISONS: [&str; 4] = [
    "GreaterThanThreshold",
    "GreaterThanOrEqualToThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
];
const STATISTICS: [&str; 5] = ["SampleCount", "Average", "Sum", "Minimum", "Maximum"];
/// Ways to treat missing data.
const MISSING_DATA: [&str; 4] = ["breaching", "notBreaching", "ignore", "missing"];
/// States.
const STATES: [&str; 3] = ["OK", "ALARM", "INSUFFICIENT_DATA"];

/// An alarm on one metric.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// The fields of `PutMetricAlarm`, but for the tags.
    pub settings: Map<String, Value>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was put.
    pub updated: SystemTime,
    /// State and reason, as `SetAlarmState` had them.
    set: Option<(String, String)>,
}

impl Alarm {
    fn text(&self, field: &str) -> &str {
        self.settings.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The value of the dimension of this name.
    fn dimension(&self, name: &str) -> Option<&str> {
        let dimensions = self.settings.get("Dimensions")?.as_array()?;
        dimensions.iter().find(|dimension| dimension["Name"] == name)?["Value"].as_str()
    }

    fn is_breached_by(&self, value: f64) -> bool {
        let threshold = self.settings.get("Threshold").and_then(Value::as_f64).unwrap_or_default();
        match self.text("ComparisonOperator") {
            "GreaterThanThreshold" => value > threshold,
            "GreaterThanOrEqualToThreshold" => value >= threshold,
            "LessThanThreshold" => value < threshold,
            _ => value <= threshold,
        }
    }
}

impl Account {
    /// The ARN of an alarm.
    pub fn alarm_arn(&self, name: &str) -> String {
        self.identity.arn("cloudwatch", &format!("alarm:{name}"))
    }

    /// `PutMetricAlarm`: replaces all of an alarm that exists, but for its tags.
    pub fn put_alarm(
        &mut self,
        mut settings: Map<String, Value>,
        tags: BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let name = check(&settings)?;
        // As AWS answers it.
        settings.entry("ActionsEnabled").or_insert(Value::Bool(true));
        settings.entry("TreatMissingData").or_insert("missing".into());
        let found = self.alarms.remove(&name);
        let (tags, set) = found.map_or((tags, None), |found| (found.tags, found.set));
        self.alarms.insert(name, Alarm { settings, tags, updated: SystemTime::now(), set });
        Ok(())
    }

    /// All alarms, by name.
    pub fn alarms(&self) -> impl Iterator<Item = (&str, &Alarm)> {
        self.alarms.iter().map(|(name, alarm)| (name.as_str(), alarm))
    }

    /// The state of an alarm, and why it has it.
    pub fn alarm_state<'a>(&'a self, alarm: &'a Alarm) -> (&'a str, String) {
        if let Some(value) = self.metric(alarm) {
            let state = if alarm.is_breached_by(value) { "ALARM" } else { "OK" };
            return (state, format!("Threshold Crossed: the datapoint is {value}"));
        }
        match (&alarm.set, alarm.text("TreatMissingData")) {
            (Some((state, reason)), _) => (state, reason.clone()),
            (None, "breaching") => ("ALARM", "no datapoints were received and missing is breaching".into()),
            (None, "notBreaching") => {
                ("OK", "no datapoints were received and missing is not breaching".into())
            }
            _ => ("INSUFFICIENT_DATA", "Unchecked: Initial alarm creation".into()),
        }
    }

    /// The value of the alarm's metric, if it is the depth of a queue that exists.
    fn metric(&self, alarm: &Alarm) -> Option<f64> {
        if alarm.text("Namespace") != "AWS/SQS" {
            return None;
        }
        let (visible, in_flight) = self.queues.get(alarm.dimension("QueueName")?)?.depth();
        match alarm.text("MetricName") {
            "ApproximateNumberOfMessagesVisible" => Some(visible as f64),
            "ApproximateNumberOfMessagesNotVisible" => Some(in_flight as f64),
            _ => None,
        }
    }

    /// `SetAlarmState`: AWS keeps the state until it looks at the metric again, which is never for one that is not here.
    pub fn set_alarm_state(&mut self, name: &str, state: &str, reason: &str) -> Result<(), Error> {
        one_of("stateValue", state, &STATES)?;
        let missing = || Error::AlarmNotFound { name: name.to_owned() };
        self.alarms.get_mut(name).ok_or_else(missing)?.set = Some((state.to_owned(), reason.to_owned()));
        Ok(())
    }

    /// `DeleteAlarms`: all of them, or none if one is not there.
    pub fn delete_alarms(&mut self, names: &[String]) -> Result<(), Error> {
        if let Some(name) = names.iter().find(|name| !self.alarms.contains_key(*name)) {
            return Err(Error::AlarmNotFound { name: name.clone() });
        }
        self.alarms.retain(|name, _| !names.contains(name));
        Ok(())
    }
}

/// The name of an alarm that can be put.
fn check(settings: &Map<String, Value>) -> Result<String, Error> {
    let text = |field: &str| settings.get(field).and_then(Value::as_str);
    let needed =
        |field: &'static str| text(field).filter(|text| !text.is_empty()).ok_or_else(|| missing(field));
    let name = needed("AlarmName")?;
    if name.chars().count() > LONGEST_NAME {
        return Err(invalid(format!("AlarmName must have at most {LONGEST_NAME} characters")));
    }
    one_of("ComparisonOperator", needed("ComparisonOperator")?, &COMPARISONS)?;
    needed("Namespace")?;
    needed("MetricName")?;
    match (text("Statistic"), text("ExtendedStatistic")) {
        (Some(statistic), None) => one_of("Statistic", statistic, &STATISTICS)?,
        (None, Some(_)) => {}
        _ => return Err(invalid("exactly one of Statistic and ExtendedStatistic must be given")),
    }
    if let Some(missing_data) = text("TreatMissingData") {
        one_of("TreatMissingData", missing_data, &MISSING_DATA)?;
    }
    let whole = |field: &'static str| {
        settings.get(field).and_then(Value::as_u64).filter(|number| *number > 0).ok_or_else(|| missing(field))
    };
    whole("EvaluationPeriods")?;
    let period = whole("Period")?;
    if ![10, 20, 30].contains(&period) && period % 60 != 0 {
        return Err(invalid("Period must be 10, 20, 30 or a multiple of 60 seconds"));
    }
    if settings.get("Threshold").and_then(Value::as_f64).is_none() {
        return Err(missing("Threshold"));
    }
    for field in ["AlarmActions", "OKActions", "InsufficientDataActions"] {
        let actions = settings.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_arn = |action: &Value| action.as_str().is_some_and(|arn| arn.starts_with("arn:"));
        if actions.len() > MOST_ACTIONS || !actions.iter().all(is_arn) {
            return Err(invalid(format!("{field} must have at most {MOST_ACTIONS} ARNs")));
        }
    }
    Ok(name.to_owned())
}

fn one_of(field: &str, value: &str, values: &[&str]) -> Result<(), Error> {
    match values.contains(&value) {
        true => Ok(()),
        false => Err(invalid(format!("{field} {value:?} is none of {}", values.join(", ")))),
    }
}

fn missing(field: &str) -> Error {
    invalid(format!("Value at '{field}' failed to satisfy constraint: Member must not be null"))
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::Validation { reason: reason.into() }
}
