//! The alarms of the function: whether they exist and watch what they should, and whether one has gone off.

use aws_sdk_cloudwatch::types::MetricAlarm;

use super::finding::{Finding, Remedy, Verdict};
use crate::setup::alarms::{self, Alarm, Wanted};
use crate::setup::{Action, Link, Settings, base_name};
use crate::{Error as AccountError, Resource};

/// The alarms of the function. Those that are to be there are `wanted`; `found` is `None` where they are left as they are.
pub(super) fn examine(
    settings: &Settings,
    wanted: Wanted,
    found: Result<Option<Vec<MetricAlarm>>, AccountError>,
) -> Vec<Finding> {
    let function = base_name(&settings.function);
    match found {
        Ok(None) => Vec::new(),
        Ok(Some(found)) => {
            let alarms = alarms::decide(function, &settings.alarms, wanted, &found);
            alarms.iter().map(|alarm| judge(alarm, function)).collect()
        }
        // A device gets in without them.
        Err(error) => {
            let unread = Finding::unread(Resource::Alarm, function, error);
            vec![Finding { verdict: Verdict::Notable, ..unread }]
        }
    }
}

fn judge(alarm: &Alarm, function: &str) -> Finding {
    let (link, name) = (Resource::Alarm, &alarm.name);
    let Link { action, details, .. } = alarm.link();
    match action {
        Action::Create => {
            let missing = vec!["does not exist".to_owned()];
            return Finding::notable(link, name, missing).missing().repairable().remedy(Remedy::SetUp);
        }
        Action::Leave => {}
        Action::Change | Action::Disable => {
            return Finding::notable(link, name, details).repairable().remedy(Remedy::SetUp);
        }
    }
    let silent = alarm.notifies_nobody().then(|| "notifies nobody".to_owned());
    if !alarm.is_on() {
        return Finding::right(link, name, silent.into_iter().collect());
    }
    let found = [format!("is in state ALARM: {}", alarm.description().trim_end_matches('.'))];
    let remedy = match alarm.kind() {
        alarms::Kind::FailedEvents => Remedy::ReplayQueue,
        alarms::Kind::Errors | alarms::Kind::Refused => Remedy::ReadLog { function: function.to_owned() },
        alarms::Kind::AdmissionList => Remedy::PublishAdmissionList,
    };
    Finding::notable(link, name, found.into_iter().chain(silent).collect()).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudwatch::types::StateValue;

    use super::*;
    use crate::Answer;

    const WANTED: Wanted = Wanted { failed_events: true, admission_list: true, make: true };

    fn all_in(state: StateValue) -> Vec<MetricAlarm> {
        let new = alarms::decide("JITR", &Default::default(), WANTED, &[]);
        let made = new.iter().map(alarms::tests::made);
        let in_state = |mut alarm: MetricAlarm| {
            alarm.state_value = Some(state.clone());
            alarm
        };
        made.map(in_state).collect()
    }

    fn examined(found: Vec<MetricAlarm>) -> Vec<Finding> {
        examine(&Settings::default(), WANTED, Ok(Some(found)))
    }

    #[test]
    fn an_alarm_that_has_gone_off_says_what_it_means_and_what_to_do() {
        for state in [StateValue::Ok, StateValue::InsufficientData] {
            let quiet = examined(all_in(state));
            assert!(quiet.iter().all(|finding| finding.verdict == Verdict::Right), "{quiet:?}");
        }
        let on = examined(all_in(StateValue::Alarm));
        assert!(on.iter().all(|finding| finding.verdict == Verdict::Notable && !finding.repairable));
        assert_eq!(
            on[0].found[0],
            "is in state ALARM: A registration failed for good. Its event is in the queue of failed events"
        );
        assert!(matches!(on[0].remedy, Some(Remedy::ReplayQueue)), "{on:?}");
        assert!(matches!(&on[1].remedy, Some(Remedy::ReadLog { function }) if function == "JITR"), "{on:?}");
        assert!(matches!(on[2].remedy, Some(Remedy::ReadLog { .. })), "{on:?}");
        assert!(matches!(on[3].remedy, Some(Remedy::PublishAdmissionList)), "{on:?}");
    }

    #[test]
    fn alarms_that_are_missing_or_cannot_be_looked_at_are_told_and_keep_no_device_out() {
        let missing = examined(Vec::new());
        assert_eq!(missing.len(), 4);
        assert!(missing.iter().all(|finding| finding.repairable && finding.lets_through()), "{missing:?}");
        let answer = Answer { code: "AccessDenied".into(), message: String::new(), status: 403 };
        let denied = AccountError::from_answer("cloudwatch:DescribeAlarms", answer);
        let unread = examine(&Settings::default(), WANTED, Err(denied));
        assert_eq!(unread[0].found[0], "permission cloudwatch:DescribeAlarms is missing");
        assert!(unread.len() == 1 && unread[0].lets_through(), "{unread:?}");
        assert!(examine(&Settings::default(), WANTED, Ok(None)).is_empty());
    }
}
