//! How events get from the topic rule to the function: by invocation, or through a queue.

use std::fmt;

use aws_sdk_iot::types::TopicRule;
use jitr::scope::Arn;

use crate::account::existing;
use crate::{Account, Error as AccountError};

/// A queue between the rule and the function, as `infra/template.yaml` puts it there for mass onboarding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    /// Name of the queue.
    queue: String,
    /// Whether the function takes events from it now.
    pub(crate) enabled: bool,
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events go through queue {}", self.queue)?;
        if !self.enabled {
            write!(f, ", and the function does not take them: its event source mapping is off")?;
        }
        Ok(())
    }
}

/// The queue, if the rule sends events to one that is an event source of the function.
pub(crate) async fn find(
    account: &Account,
    rule: Option<&TopicRule>,
    function: &str,
) -> Result<Option<Feed>, AccountError> {
    let actions = rule.map(TopicRule::actions).unwrap_or_default();
    let queues: Vec<_> = actions.iter().filter_map(|action| of_url(action.sqs()?.queue_url())).collect();
    if queues.is_empty() {
        return Ok(None);
    }
    let pages = account.lambda().list_event_source_mappings().function_name(function).into_paginator();
    let mappings =
        account.all("lambda:ListEventSourceMappings", pages.send(), |page| page.event_source_mappings).await;
    let mappings = existing(mappings)?.unwrap_or_default();
    let feeds = mappings.iter().filter_map(|mapping| {
        let source = of_arn(mapping.event_source_arn()?)?;
        let enabled = !matches!(mapping.state()?, "Disabled" | "Disabling" | "Deleting");
        queues.contains(&source).then(|| Feed { queue: source.1.to_owned(), enabled })
    });
    Ok(feeds.max_by_key(|feed| feed.enabled))
}

/// Account number and name in a queue's URL (`https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`).
fn of_url(url: &str) -> Option<(&str, &str)> {
    let (rest, name) = url.rsplit_once('/')?;
    Some((rest.rsplit('/').next()?, name))
}

/// Account number and name in a queue's ARN (`arn:aws:sqs:REGION:ACCOUNT:NAME`).
fn of_arn(arn: &str) -> Option<(&str, &str)> {
    Arn::parse(arn).filter(|arn| arn.service == "sqs").map(|arn| (arn.account, arn.resource))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A queue that the function takes events from.
    pub(crate) fn feed() -> Feed {
        Feed { queue: "JITR-waiting-events".into(), enabled: true }
    }

    #[test]
    fn url_and_arn_of_a_queue_mean_the_same() {
        let queue = Some(("123456789012", "Q"));
        assert_eq!(of_url("https://sqs.us-east-2.amazonaws.com/123456789012/Q"), queue);
        assert_eq!(of_arn("arn:aws:sqs:us-east-2:123456789012:Q"), queue);
        assert_eq!(of_arn("arn:aws:dynamodb:us-east-2:123456789012:table/Q/stream/x"), None);
    }
}
