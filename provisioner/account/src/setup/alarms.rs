//! Alarms of Amazon CloudWatch: events in the queue of failed events, errors and refusals of the function, and an admission list
//! that ends soon. `infra/template.yaml` has the same.

use std::collections::BTreeSet;

use aws_sdk_cloudwatch::types::{ComparisonOperator, Dimension, MetricAlarm, StateValue, Statistic, Tag};

use super::link::Link;
use super::{Error, FAILED_EVENTS, base_name, tags};
use crate::{Account, Error as AccountError, Resource};

#[cfg(test)]
pub(crate) mod tests;

/// Which alarms there are to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Alarms {
    /// Those of a function that this tool has made. Those of another function are put right where they exist.
    #[default]
    Usual,
    /// All of them, and each notifies this topic of Amazon SNS, an ARN.
    Notify(String),
    /// Those that exist, as they are.
    Leave,
}

impl Alarms {
    fn topic(&self) -> Option<&str> {
        match self {
            Self::Notify(topic) => Some(topic),
            Self::Usual | Self::Leave => None,
        }
    }
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The queue of failed events is not empty.
    FailedEvents,
    /// Invocations of the function fail.
    Errors,
    /// The function refuses registrations.
    Refused,
    /// The admission list of the function ends soon.
    AdmissionList,
}

/// What an alarm watches and when it goes off, in the terms of the call `PutMetricAlarm`.
#[derive(Clone, Debug, PartialEq)]
struct Watch {
    kind: Kind,
    /// Follows the function's name in the name of the alarm.
    suffix: &'static str,
    description: &'static str,
    namespace: &'static str,
    metric: &'static str,
    dimension: &'static str,
    statistic: Statistic,
    /// Seconds.
    period: i32,
    evaluation_periods: i32,
    threshold: f64,
    comparison: ComparisonOperator,
    missing_data: &'static str,
}

/// Every alarm, with the values of `infra/template.yaml`.
static WATCHES: [Watch; 4] = [
    Watch {
        kind: Kind::FailedEvents,
        suffix: FAILED_EVENTS,
        description: "A registration failed for good. Its event is in the queue of failed events.",
        namespace: "AWS/SQS",
        metric: "ApproximateNumberOfMessagesVisible",
        dimension: "QueueName",
        statistic: Statistic::Maximum,
        period: 60,
        evaluation_periods: 1,
        threshold: 0.0,
        comparison: ComparisonOperator::GreaterThanThreshold,
        missing_data: "notBreaching",
    },
    Watch {
        kind: Kind::Errors,
        suffix: "errors",
        description: "Invocations of the function fail. A single failure is repeated. Many failures indicate a missing permission.",
        namespace: "AWS/Lambda",
        metric: "Errors",
        dimension: "FunctionName",
        statistic: Statistic::Sum,
        period: 300,
        evaluation_periods: 3,
        threshold: 10.0,
        comparison: ComparisonOperator::GreaterThanThreshold,
        missing_data: "notBreaching",
    },
    Watch {
        kind: Kind::Refused,
        suffix: "refused",
        description: "Registrations are refused. The log and the page \"Refusals\" say why, and what to do.",
        namespace: "JITR",
        metric: "Refused",
        dimension: "FunctionName",
        statistic: Statistic::Sum,
        period: 300,
        evaluation_periods: 1,
        threshold: 0.0,
        comparison: ComparisonOperator::GreaterThanThreshold,
        missing_data: "notBreaching",
    },
    Watch {
        kind: Kind::AdmissionList,
        suffix: "admission-list",
        description: "A third of the validity of the admission list is left. When none is left, no board is registered. \
                      Publish a new list with `provisioner admission publish`.",
        namespace: "JITR",
        metric: "AdmissionValidityLeft",
        dimension: "FunctionName",
        statistic: Statistic::Minimum,
        period: 3600,
        evaluation_periods: 1,
        threshold: 33.0,
        comparison: ComparisonOperator::LessThanOrEqualToThreshold,
        missing_data: "ignore",
    },
];

/// The names of all alarms of a function.
pub(crate) fn names(function: &str) -> impl Iterator<Item = String> {
    suffixes().map(move |suffix| format!("{}-{suffix}", base_name(function)))
}

/// What follows the function's name in the names of alarms.
pub(crate) fn suffixes() -> impl Iterator<Item = &'static str> {
    WATCHES.iter().map(|watch| watch.suffix)
}

/// Which alarms a function is to have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// It has a queue of failed events with the usual name.
    pub(crate) failed_events: bool,
    /// It has an admission list.
    pub(crate) admission_list: bool,
    /// Those that are missing are made.
    pub(crate) make: bool,
}

/// An alarm, and what is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alarm {
    watch: &'static Watch,
    pub(crate) name: String,
    /// The value of the dimension: the queue or the function.
    of: String,
    topic: Option<String>,
    pub(crate) found: Option<MetricAlarm>,
    changes: Vec<String>,
}

/// Those of the alarms with these names that exist.
///
/// # Errors
/// Errors of `cloudwatch:DescribeAlarms`.
pub(crate) async fn find(
    account: &Account,
    names: impl IntoIterator<Item = String>,
) -> Result<Vec<MetricAlarm>, AccountError> {
    const CALL: &str = "cloudwatch:DescribeAlarms";
    /// Most names in a call (Amazon CloudWatch API reference, `DescribeAlarms`).
    const MOST: usize = 100;
    let (cloudwatch, names) = (account.cloudwatch(), BTreeSet::from_iter(names));
    let names: Vec<String> = names.into_iter().collect();
    let mut found = Vec::new();
    for names in names.chunks(MOST) {
        let request = cloudwatch.describe_alarms().set_alarm_names(Some(names.to_vec()));
        let ask = |token| request.clone().set_next_token(token).send();
        found.extend(account.all(CALL, ask, |page| page.metric_alarms).await?);
    }
    Ok(found)
}

/// What is to be done about the alarms of a function. An alarm keeps its numbers, and whom it notifies; it has to watch the right
/// metric.
pub(crate) fn decide(function: &str, alarms: &Alarms, wanted: Wanted, found: &[MetricAlarm]) -> Vec<Alarm> {
    let is_wanted = |kind| match kind {
        Kind::FailedEvents => wanted.failed_events,
        Kind::AdmissionList => wanted.admission_list,
        Kind::Errors | Kind::Refused => true,
    };
    let function = base_name(function);
    let alarm = |watch: &'static Watch| {
        let name = format!("{function}-{}", watch.suffix);
        let of = match watch.kind {
            Kind::FailedEvents => name.clone(),
            _ => function.to_owned(),
        };
        let found = found.iter().find(|found| found.alarm_name() == Some(&name)).cloned();
        let topic = alarms.topic().map(str::to_owned);
        let mut alarm = Alarm { watch, name, of, topic, found, changes: Vec::new() };
        alarm.changes = alarm.changes();
        alarm
    };
    let alarms = WATCHES.iter().map(alarm);
    alarms.filter(|alarm| alarm.found.is_some() || (wanted.make && is_wanted(alarm.kind()))).collect()
}

impl Alarm {
    pub(crate) fn kind(&self) -> Kind {
        self.watch.kind
    }

    /// What the alarm says when it goes off.
    pub(crate) fn description(&self) -> &'static str {
        self.watch.description
    }

    /// Whether it is in the state ALARM.
    pub(crate) fn is_on(&self) -> bool {
        self.found.as_ref().and_then(MetricAlarm::state_value) == Some(&StateValue::Alarm)
    }

    /// Whether nobody is told when it goes off, once it is as it has to be.
    pub(crate) fn notifies_nobody(&self) -> bool {
        let is_off = self.found.as_ref().is_some_and(|found| found.actions_enabled() == Some(false));
        is_off || self.actions().is_empty()
    }

    fn dimension(&self) -> Dimension {
        Dimension::builder().name(self.watch.dimension).value(&self.of).build()
    }

    /// Whether it watches what it has to, and compares it as it has to.
    fn is_right(&self, found: &MetricAlarm) -> bool {
        let Watch { namespace, metric, statistic, comparison, .. } = self.watch;
        found.namespace() == Some(namespace)
            && found.metric_name() == Some(metric)
            && found.statistic() == Some(statistic)
            && found.comparison_operator() == Some(comparison)
            && found.dimensions() == [self.dimension()]
    }

    fn changes(&self) -> Vec<String> {
        let Some(found) = &self.found else { return Vec::new() };
        let mut changes = Vec::new();
        if !self.is_right(found) {
            let Watch { namespace, metric, statistic, comparison, .. } = self.watch;
            let is = watched(
                found.namespace(),
                found.metric_name(),
                found.dimensions(),
                found.statistic(),
                found.comparison_operator(),
            );
            let dimensions = [self.dimension()];
            let should =
                watched(Some(namespace), Some(metric), &dimensions, Some(statistic), Some(comparison));
            changes.push(format!("watches {is}, should watch {should}"));
        }
        let topic = self.topic.as_ref().filter(|topic| !found.alarm_actions().contains(topic));
        changes.extend(topic.map(|topic| format!("should notify {topic}")));
        changes
    }

    /// Whom it notifies once it is as it has to be.
    fn actions(&self) -> Vec<String> {
        let mut actions = self.found.as_ref().map(|found| found.alarm_actions().to_vec()).unwrap_or_default();
        actions.extend(self.topic.clone().filter(|topic| !actions.contains(topic)));
        actions
    }

    /// What is to be done about it.
    pub(crate) fn link(&self) -> Link {
        Link::new(Resource::Alarm, &self.name, self.found.is_some(), self.changes.clone())
    }

    /// Makes it, or changes it. The call replaces all of an alarm, so that everything that stays goes with it.
    ///
    /// # Errors
    /// [`Error::AlarmsDenied`], and errors of `cloudwatch:PutMetricAlarm`.
    pub(crate) async fn apply(&self, account: &Account, ca: Option<&str>) -> Result<(), AccountError> {
        if self.found.is_some() && self.changes.is_empty() {
            return Ok(());
        }
        let watch = self.watch;
        let request = account
            .cloudwatch()
            .put_metric_alarm()
            .alarm_name(&self.name)
            .namespace(watch.namespace)
            .metric_name(watch.metric)
            .dimensions(self.dimension())
            .statistic(watch.statistic.clone())
            .comparison_operator(watch.comparison.clone())
            .set_alarm_actions(Some(self.actions()));
        let request = match &self.found {
            Some(found) => request
                .set_actions_enabled(found.actions_enabled())
                .set_ok_actions(found.ok_actions.clone())
                .set_insufficient_data_actions(found.insufficient_data_actions.clone()),
            // CloudWatch takes tags for a new alarm alone.
            None => {
                let tag = |(key, value): (&str, &str)| Tag::builder().key(key).value(value).build();
                request.set_tags(Some(tags(ca).into_iter().map(tag).collect()))
            }
        };
        // The numbers of a metric are none for another.
        let request = match self.found.as_ref().filter(|found| self.is_right(found)) {
            Some(found) => request
                .set_alarm_description(found.alarm_description.clone())
                .set_period(found.period())
                .set_evaluation_periods(found.evaluation_periods())
                .set_datapoints_to_alarm(found.datapoints_to_alarm())
                .set_threshold(found.threshold())
                .set_treat_missing_data(found.treat_missing_data.clone())
                .set_unit(found.unit().cloned()),
            None => request
                .alarm_description(watch.description)
                .period(watch.period)
                .evaluation_periods(watch.evaluation_periods)
                .threshold(watch.threshold)
                .treat_missing_data(watch.missing_data),
        };
        let answer = request.send().await.map_err(account.failed("cloudwatch:PutMetricAlarm"));
        answer.map(drop).map_err(Error::of_alarms)
    }
}

/// `Sum of AWS/Lambda Errors (FunctionName JITR), GreaterThanThreshold`.
fn watched(
    namespace: Option<&str>,
    metric: Option<&str>,
    dimensions: &[Dimension],
    statistic: Option<&Statistic>,
    comparison: Option<&ComparisonOperator>,
) -> String {
    let Some((namespace, metric)) = namespace.zip(metric) else { return "an expression".to_owned() };
    let dimension = |dimension: &Dimension| {
        let (name, value) = (dimension.name().unwrap_or_default(), dimension.value().unwrap_or_default());
        format!("{name} {value}")
    };
    let dimensions: Vec<_> = dimensions.iter().map(dimension).collect();
    let statistic = statistic.map_or("a percentile", Statistic::as_str);
    let comparison = comparison.map_or("no comparison", ComparisonOperator::as_str);
    format!("{statistic} of {namespace} {metric} ({}), {comparison}", dimensions.join(", "))
}
