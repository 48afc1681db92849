//! A queue (Amazon SQS): whether it is there, and with which attributes.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;

use super::super::link::Link;
use super::super::tags;
use crate::{Account, Error as AccountError, Resource, queue};

/// Fourteen days, the longest (Amazon SQS API reference, `SetQueueAttributes`), in seconds.
const RETENTION: &str = "1209600";

/// Attributes of a queue.
type Attributes = BTreeMap<QueueAttributeName, String>;

/// A queue as it has to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
}

impl Wanted {
    /// A queue that keeps its messages as long as it may, encrypted, and with these other attributes.
    pub(crate) fn new(name: String, others: impl IntoIterator<Item = (QueueAttributeName, String)>) -> Self {
        let kept = (QueueAttributeName::MessageRetentionPeriod, RETENTION.to_owned());
        let encrypted = (QueueAttributeName::SqsManagedSseEnabled, "true".to_owned());
        Self { name, attributes: [kept, encrypted].into_iter().chain(others).collect() }
    }
}

/// The queue as the account has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) url: String,
    attributes: HashMap<QueueAttributeName, String>,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Leave,
    Create,
    /// Sets these attributes.
    Change(String, Attributes),
}

/// The queue, if it is there.
pub(crate) async fn find(account: &Account, name: &str) -> Result<Option<Found>, AccountError> {
    const ACTION: &str = "sqs:GetQueueUrl";
    let answer = account.sqs().get_queue_url().queue_name(name).send().await;
    let answer = match answer.map_err(account.failed(ACTION)) {
        Err(error) if queue::is_missing(&error) => return Ok(None),
        answer => answer?,
    };
    let url = answer.queue_url.ok_or(AccountError::Incomplete { action: ACTION, what: "the URL" })?;
    let request =
        account.sqs().get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
    let answer = request.send().await.map_err(account.failed("sqs:GetQueueAttributes"))?;
    Ok(Some(Found { url, attributes: answer.attributes.unwrap_or_default() }))
}

/// A queue that is there keeps its encryption, whichever it is, and everything that is at least as good.
pub(crate) fn decide(found: Option<&Found>, wanted: &Wanted) -> Step {
    let Some(found) = found else { return Step::Create };
    let differs = |(name, value): &(&QueueAttributeName, &String)| {
        let present = found.attributes.get(name).map(String::as_str);
        match name {
            QueueAttributeName::SqsManagedSseEnabled => false,
            QueueAttributeName::RedrivePolicy => {
                let (present, wanted) = (redrive(present.unwrap_or_default()), redrive(value));
                present.0 != wanted.0 || present.1 < wanted.1
            }
            _ => number(present) < number(Some(value)),
        }
    };
    let changes: Attributes =
        wanted.attributes.iter().filter(differs).map(|(name, value)| (name.clone(), value.clone())).collect();
    match changes.is_empty() {
        true => Step::Leave,
        false => Step::Change(found.url.clone(), changes),
    }
}

/// The target of a redrive policy, and the number of receives, which is written as a number or as a string.
fn redrive(text: &str) -> (Value, u64) {
    let policy: Value = serde_json::from_str(text).unwrap_or_default();
    let receives = &policy["maxReceiveCount"];
    let receives = receives.as_u64().unwrap_or_else(|| number(receives.as_str()));
    (policy["deadLetterTargetArn"].clone(), receives)
}

fn number(value: Option<&str>) -> u64 {
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

impl Step {
    pub(crate) fn link(&self, wanted: &Wanted) -> Link {
        let changes = match self {
            Self::Leave | Self::Create => Vec::new(),
            Self::Change(_, changes) => {
                changes.iter().map(|(name, value)| format!("{name} should be {value}")).collect()
            }
        };
        Link::new(Resource::Queue, &wanted.name, *self != Self::Create, changes)
    }

    pub(crate) async fn apply(
        &self,
        account: &Account,
        wanted: &Wanted,
        ca: Option<&str>,
    ) -> Result<(), AccountError> {
        match self {
            Self::Leave => Ok(()),
            Self::Create => {
                let mut request = account.sqs().create_queue().queue_name(&wanted.name);
                for (name, value) in &wanted.attributes {
                    request = request.attributes(name.clone(), value);
                }
                for (key, value) in tags(ca) {
                    request = request.tags(key, value);
                }
                request.send().await.map(drop).map_err(account.failed("sqs:CreateQueue"))
            }
            Self::Change(url, changes) => {
                let request = account.sqs().set_queue_attributes().queue_url(url);
                let request = request.set_attributes(Some(changes.clone().into_iter().collect()));
                request.send().await.map(drop).map_err(account.failed("sqs:SetQueueAttributes"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let redrive = r#"{"deadLetterTargetArn":"arn:f","maxReceiveCount":"1000"}"#.to_owned();
        let visible = (QueueAttributeName::VisibilityTimeout, "30".to_owned());
        Wanted::new("q".into(), [visible, (QueueAttributeName::RedrivePolicy, redrive)])
    }

    fn found(change: (QueueAttributeName, &str)) -> Found {
        let mut attributes: HashMap<_, _> = wanted().attributes.into_iter().collect();
        attributes.insert(change.0, change.1.to_owned());
        Found { url: "https://q".into(), attributes }
    }

    #[test]
    fn a_queue_that_is_as_good_is_left_and_a_missing_one_created() {
        assert_eq!(decide(None, &wanted()), Step::Create);
        for change in [
            (QueueAttributeName::VisibilityTimeout, "180"),
            (QueueAttributeName::SqsManagedSseEnabled, "false"),
            (QueueAttributeName::RedrivePolicy, r#"{"maxReceiveCount":1000,"deadLetterTargetArn":"arn:f"}"#),
        ] {
            assert_eq!(decide(Some(&found(change.clone())), &wanted()), Step::Leave, "{change:?}");
        }
    }

    #[test]
    fn each_attribute_that_loses_events_is_changed_alone() {
        for change in [
            (QueueAttributeName::VisibilityTimeout, "10"),
            (QueueAttributeName::MessageRetentionPeriod, "60"),
            (
                QueueAttributeName::RedrivePolicy,
                r#"{"deadLetterTargetArn":"arn:other","maxReceiveCount":1000}"#,
            ),
            (QueueAttributeName::RedrivePolicy, r#"{"deadLetterTargetArn":"arn:f","maxReceiveCount":5}"#),
            (QueueAttributeName::RedrivePolicy, ""),
        ] {
            let Step::Change(_, changes) = decide(Some(&found(change.clone())), &wanted()) else {
                panic!("{change:?}");
            };
            assert_eq!(changes.keys().collect::<Vec<_>>(), [&change.0]);
        }
    }
}
