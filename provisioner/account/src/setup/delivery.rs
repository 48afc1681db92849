//! How events get from the topic rule to the function: by invocation, or through a queue.

use std::fmt;

use aws_sdk_iot::types::TopicRule;
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use jitr::scope::{Arn, Scope};

use super::Settings;
use super::function::Deployed;
use super::rule::Target;
use crate::{Account, Error as AccountError};

mod destination;
pub(crate) mod mapping;
pub(crate) mod queue;
mod queued;

use queued::waiting_events_arn;
pub(crate) use queued::{EVENTS, Queued, WAITING_EVENTS, function_policies, waiting_events};

/// How events get from the topic rule to the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The rule invokes the function with each event.
    Rule,
    /// The rule puts each event into a queue, and AWS Lambda hands them to the function in batches.
    Queue,
}

/// A queue between the rule and the function, from which the function takes events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    /// Name of the queue.
    pub(crate) queue: String,
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
fn feed(rule: Option<&TopicRule>, mappings: &[EventSourceMappingConfiguration]) -> Option<Feed> {
    let queues: Vec<_> = queues(rule).collect();
    let feeds = mappings.iter().filter_map(|mapping| {
        let source = of_arn(mapping.event_source_arn()?)?;
        let enabled = mapping::is_enabled(mapping);
        queues.contains(&source).then(|| Feed { queue: source.1.to_owned(), enabled })
    });
    feeds.max_by_key(|feed| feed.enabled)
}

/// Account number and name of each queue that the rule sends events to.
fn queues(rule: Option<&TopicRule>) -> impl Iterator<Item = (&str, &str)> {
    let actions = rule.map(TopicRule::actions).unwrap_or_default();
    actions.iter().filter_map(|action| of_url(action.sqs()?.queue_url()))
}

/// How events get to the function, and what is there of it.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) delivery: Delivery,
    /// The queue that events go through now.
    pub(crate) feed: Option<Feed>,
    /// What leads through the queue, where this tool sees to it.
    pub(crate) queued: Option<Queued>,
}

impl Way {
    /// Chooses the way, and looks at what there is of it.
    ///
    /// # Errors
    /// [`super::Error::QueueDenied`], and errors of the calls.
    pub(crate) async fn look(
        account: &Account,
        scope: &Scope,
        settings: &Settings,
        deployed: Option<&Deployed>,
        rule: Option<&TopicRule>,
    ) -> Result<Self, AccountError> {
        let waiting = waiting_events_arn(scope, &settings.function);
        let mappings = mapping::find(account, &settings.function, &waiting).await?;
        let (delivery, feed) = (choose(settings, rule, &mappings), feed(rule, &mappings));
        let queued = match delivery {
            Delivery::Queue => {
                let queued = Queued::look(account, scope, settings, deployed, &mappings).await?;
                // A queue that was put there by other means stays as it is.
                let is_of_others = feed.is_some() && !queued.is_of(rule);
                (!is_of_others).then_some(queued)
            }
            Delivery::Rule => None,
        };
        Ok(Self { delivery, feed, queued })
    }

    /// Where the rule has to send events. `function` is the ARN of the function.
    pub(crate) fn target(&self, scope: &Scope, function: &str) -> Target {
        match (&self.queued, self.delivery, &self.feed) {
            (Some(queued), ..) => queued.target(scope, function),
            (None, Delivery::Queue, Some(feed)) => Target::Fed(feed.clone()),
            _ => Target::Function(function.to_owned()),
        }
    }

    /// The queue that events go through once everything is set up.
    pub(crate) fn through(&self) -> Option<Feed> {
        match (&self.queued, self.delivery) {
            (_, Delivery::Rule) => None,
            (Some(queued), _) => Some(Feed { queue: queued.name().to_owned(), enabled: true }),
            (None, _) => self.feed.clone(),
        }
    }
}

/// The way that events take once everything is set up: the one that is asked for, or else the one that they take, as far as
/// there is one. A function that is deployed here gets a queue; one that was deployed by other means does not.
fn choose(
    settings: &Settings,
    rule: Option<&TopicRule>,
    mappings: &[EventSourceMappingConfiguration],
) -> Delivery {
    if let Some(asked) = settings.delivery {
        return asked;
    }
    let waiting = waiting_events(&settings.function);
    let is_fed = feed(rule, mappings).is_some() || queues(rule).any(|(_, name)| name == waiting);
    let is_mapped = || {
        let mut sources = mappings.iter().filter_map(|mapping| of_arn(mapping.event_source_arn()?));
        sources.any(|(_, name)| name == waiting)
    };
    match rule {
        Some(_) if is_fed => Delivery::Queue,
        Some(_) => Delivery::Rule,
        None if is_mapped() || !settings.packages.is_empty() => Delivery::Queue,
        None => Delivery::Rule,
    }
}

/// Account number and name in a queue's URL (`https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`).
pub(crate) fn of_url(url: &str) -> Option<(&str, &str)> {
    let (rest, name) = url.rsplit_once('/')?;
    Some((rest.rsplit('/').next()?, name))
}

/// Account number and name in a queue's ARN (`arn:aws:sqs:REGION:ACCOUNT:NAME`).
fn of_arn(arn: &str) -> Option<(&str, &str)> {
    Arn::parse(arn).filter(|arn| arn.service == "sqs").map(|arn| (arn.account, arn.resource))
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_sdk_iot::types::{Action, LambdaAction, SqsAction};

    use super::*;
    use crate::setup::package::tests::package;

    /// A queue that the function takes events from.
    pub(crate) fn feed() -> Feed {
        Feed { queue: "JITR-waiting-events".into(), enabled: true }
    }

    /// An action that sends events to the queue of this name.
    pub(crate) fn send_to(queue: &str) -> Action {
        let url = format!("https://sqs.us-east-2.amazonaws.com/123456789012/{queue}");
        let sqs = SqsAction::builder().role_arn("arn:r").queue_url(url).build().unwrap();
        Action::builder().sqs(sqs).build()
    }

    #[test]
    fn url_and_arn_of_a_queue_mean_the_same() {
        let queue = Some(("123456789012", "Q"));
        assert_eq!(of_url("https://sqs.us-east-2.amazonaws.com/123456789012/Q"), queue);
        assert_eq!(of_arn("arn:aws:sqs:us-east-2:123456789012:Q"), queue);
        assert_eq!(of_arn("arn:aws:dynamodb:us-east-2:123456789012:table/Q/stream/x"), None);
    }

    #[test]
    fn a_new_function_gets_a_queue_and_what_is_there_stays_as_it_is() {
        let here = Settings { packages: vec![package()], ..Settings::default() };
        let elsewhere = Settings::default();
        let rule = |action| TopicRule::builder().actions(action).build();
        let lambda = LambdaAction::builder().function_arn("arn:f").build().unwrap();
        let (invoking, sending) =
            (rule(Action::builder().lambda(lambda).build()), rule(send_to("JITR-waiting-events")));
        let other = rule(send_to("other"));
        let mapping = |queue: &str| {
            let arn = format!("arn:aws:sqs:us-east-2:123456789012:{queue}");
            [EventSourceMappingConfiguration::builder().event_source_arn(arn).state("Enabled").build()]
        };
        for (settings, rule, mappings, chosen) in [
            (&here, None, &[][..], Delivery::Queue),
            (&elsewhere, None, &[], Delivery::Rule),
            (&elsewhere, None, &mapping("JITR-waiting-events"), Delivery::Queue),
            (&elsewhere, None, &mapping("jobs"), Delivery::Rule),
            (&here, Some(&invoking), &[], Delivery::Rule),
            (&here, Some(&sending), &[], Delivery::Queue),
            (&here, Some(&other), &mapping("other"), Delivery::Queue),
            (&here, Some(&other), &[], Delivery::Rule),
        ] {
            assert_eq!(choose(settings, rule, mappings), chosen, "{rule:?} {mappings:?}");
        }
        let asked = Settings { delivery: Some(Delivery::Rule), ..here };
        assert_eq!(choose(&asked, Some(&sending), &[]), Delivery::Rule);
    }
}
