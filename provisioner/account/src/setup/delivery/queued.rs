//! Delivery by a queue: the queues of waiting and of failed events, the role of the rule, and what leads from the queue on to
//! the function.

use std::collections::BTreeMap;

use aws_sdk_iot::types::{Action, TopicRule};
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use aws_sdk_sqs::types::QueueAttributeName;
use jitr::scope::{Arn, Scope};
use serde_json::{Value, json};

use super::super::link::Link;
use super::super::role::granted;
use super::super::rule::Target;
use super::super::{Error, FAILED_EVENTS, ROLE_SUFFIX, Settings, base_name, function, invoked_arn, role};
use super::{destination, mapping, queue};
use crate::{Account, Error as AccountError};

/// Name of the inline policy that lets the function take events from the queue.
pub(crate) const WAITING_EVENTS: &str = "waiting-events";
/// Name of the inline policy that lets the rule send events to the queues.
pub(crate) const EVENTS: &str = "events";

/// How often an event is handed over before it goes to the queue of failed events, the largest number: each postponement
/// counts, and in a rush an event is postponed for hours.
const RECEIVES: u32 = 1000;

/// Name of the queue of events on their way to the function.
pub(crate) fn waiting_events(function: &str) -> String {
    format!("{}-{WAITING_EVENTS}", base_name(function))
}

/// ARN of the queue of events on their way to the function.
pub(crate) fn waiting_events_arn(scope: &Scope, function: &str) -> String {
    queue_arn(scope, &waiting_events(function))
}

/// Name of the queue of events that failed for good.
fn failed_events(function: &str) -> String {
    format!("{}-{FAILED_EVENTS}", base_name(function))
}

fn queue_arn(scope: &Scope, name: &str) -> String {
    Arn { service: "sqs", resource: name, ..scope.as_arn() }.to_string()
}

fn allow(actions: &[&str], resources: &[&str]) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resources}],
    })
}

/// What the function's role needs besides: to take events, and to send failed ones.
pub(crate) fn function_policies(scope: &Scope, function: &str) -> [(&'static str, Value); 2] {
    let waiting = queue_arn(scope, &waiting_events(function));
    let failed = queue_arn(scope, &failed_events(function));
    let take = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    [(WAITING_EVENTS, allow(&take, &[&waiting])), (FAILED_EVENTS, allow(&["sqs:SendMessage"], &[&failed]))]
}

/// What is there of the queues and what is to be done about it.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    function: String,
    failed: (queue::Wanted, queue::Step),
    waiting: (queue::Wanted, queue::Step),
    rule_role: (role::Wanted, role::Step),
    destination: destination::Step,
    mapping: mapping::Step,
    /// ARNs.
    role_arn: String,
    waiting_arn: String,
    failed_arn: String,
}

impl Queued {
    /// Looks at the queues, the role of the rule, and what the function has.
    ///
    /// # Errors
    /// [`Error::QueueDenied`], and errors of the calls.
    pub(crate) async fn look(
        account: &Account,
        scope: &Scope,
        settings: &Settings,
        deployed: Option<&function::Deployed>,
        mappings: &[EventSourceMappingConfiguration],
    ) -> Result<Self, AccountError> {
        let function = settings.function.clone();
        let (waiting, failed) = (waiting_events(&function), failed_events(&function));
        let (waiting_arn, failed_arn) = (queue_arn(scope, &waiting), queue_arn(scope, &failed));
        let name = format!("{}-rule{ROLE_SUFFIX}", base_name(&function));
        let role = format!("role/{name}");
        let role_arn = Arn { service: "iam", region: "", resource: &role, ..scope.as_arn() }.to_string();
        let rule_role = role::Wanted {
            name,
            service: role::IOT,
            trust: rule_trust(scope, &settings.rule),
            description: "Lets a topic rule of AWS IoT Core send events of new boards to queues",
            policies: BTreeMap::from([(EVENTS, allow(&["sqs:SendMessage"], &[&failed_arn, &waiting_arn]))]),
        };
        // The smallest value that AWS Lambda takes: what is postponed comes again soon.
        let invisible =
            deployed.map_or(function::TIMEOUT, |function| function.timeout.max(function::TIMEOUT));
        let redrive = json!({"deadLetterTargetArn": failed_arn, "maxReceiveCount": RECEIVES.to_string()});
        let waiting = queue::Wanted::new(
            waiting,
            [
                (QueueAttributeName::VisibilityTimeout, invisible.to_string()),
                (QueueAttributeName::RedrivePolicy, redrive.to_string()),
            ],
        );
        let failed = queue::Wanted::new(failed, []);
        let found_destination = async {
            match deployed {
                Some(_) => destination::decide(account, &function).await,
                None => Ok(destination::Step::Set { succeeded: None }),
            }
        };
        let found = tokio::try_join!(
            queue::find(account, &failed.name),
            queue::find(account, &waiting.name),
            role::find(account, &rule_role.name, &[EVENTS]),
            found_destination,
        );
        let (found_failed, found_waiting, found_role, destination) = found.map_err(Error::of_queue)?;
        let failed_step = queue::decide(found_failed.as_ref(), &failed);
        let waiting_step = queue::decide(found_waiting.as_ref(), &waiting);
        let role_step = role::decide(found_role.as_ref(), &rule_role);
        Ok(Self {
            mapping: mapping::decide(
                mappings,
                &waiting_arn,
                &invoked_arn(scope, &settings.function, deployed),
            ),
            failed: (failed, failed_step),
            waiting: (waiting, waiting_step),
            rule_role: (rule_role, role_step),
            destination,
            function,
            role_arn,
            waiting_arn,
            failed_arn,
        })
    }

    /// Looks whether the function's role, which is not for this tool to change, lets it take events from the queue, and send
    /// failed ones where that is set up. `role` is its ARN. What cannot be looked at shows when it is needed.
    ///
    /// # Errors
    /// [`Error::RoleLacks`].
    pub(crate) async fn check_role(
        &self,
        account: &Account,
        scope: &Scope,
        role: &str,
    ) -> Result<(), AccountError> {
        // `arn:aws:iam::123456789012:role/path/NAME`
        let name = role.rsplit('/').next().unwrap_or(role);
        let Ok(Some(granted)) = granted::find(account, name).await else { return Ok(()) };
        if !granted.unread.is_empty() {
            return Ok(());
        }
        let [take, send] = function_policies(scope, &self.function);
        let sends = self.destination != destination::Step::Leave;
        let lacks = |(_, policy): &(_, Value)| granted.missing(std::slice::from_ref(policy)).next().is_some();
        let policies: Vec<_> = [take].into_iter().chain(sends.then_some(send)).filter(lacks).collect();
        if policies.is_empty() {
            return Ok(());
        }
        let documents: Vec<_> = policies.iter().map(|(_, policy)| policy.clone()).collect();
        let missing = granted.missing(&documents).map(|(action, resource)| format!("{action} on {resource}"));
        let missing = missing.collect::<Vec<_>>().join(", ");
        Err(Error::RoleLacks { role: name.to_owned(), missing, policies }.into())
    }

    /// Name of the queue of waiting events.
    pub(crate) fn name(&self) -> &str {
        &self.waiting.0.name
    }

    /// Whether the rule sends events to a queue with the role that this tool makes.
    pub(crate) fn is_of(&self, rule: Option<&TopicRule>) -> bool {
        let actions = rule.map(TopicRule::actions).unwrap_or_default();
        actions.iter().filter_map(Action::sqs).any(|sqs| sqs.role_arn() == self.role_arn)
    }

    /// Where the rule has to send events (`https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`), instead of the function with this
    /// ARN.
    pub(crate) fn target(&self, scope: &Scope, function: &str) -> Target {
        let suffix = if scope.partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        let url = |name| format!("https://sqs.{}.{suffix}/{}/{name}", scope.region, scope.account);
        Target::Queue {
            waiting: url(&self.waiting.0.name),
            failed: url(&self.failed.0.name),
            role: self.role_arn.clone(),
            function: function.to_owned(),
        }
    }

    /// What comes before the function.
    pub(crate) fn links_before(&self) -> impl Iterator<Item = Link> {
        let queues = [&self.failed, &self.waiting].map(|(wanted, step)| step.link(wanted));
        queues.into_iter().chain([self.rule_role.1.link(&self.rule_role.0)])
    }

    /// What comes after the function, and before the rule.
    pub(crate) fn links_after(&self) -> [Link; 2] {
        [self.destination.link(&self.failed.0.name), self.mapping.link(&self.waiting.0.name)]
    }

    /// What the rule needs to send events to the queue, and the function to take them from there.
    pub(crate) fn links(&self) -> impl Iterator<Item = Link> {
        self.links_before().chain([self.mapping.link(&self.waiting.0.name)])
    }

    /// Makes the queues and the role of the rule.
    pub(crate) async fn apply_before(&self, account: &Account, ca: Option<&str>) -> Result<(), AccountError> {
        let made = async {
            // The queue of waiting events names the other one.
            for (wanted, step) in [&self.failed, &self.waiting] {
                step.apply(account, wanted, ca).await?;
            }
            let (wanted, step) = &self.rule_role;
            step.apply(account, wanted, ca).await
        };
        made.await.map_err(Error::of_queue)
    }

    /// Connects the function with the queues. From then on it takes events from the queue.
    pub(crate) async fn apply_after(&self, account: &Account) -> Result<(), AccountError> {
        let made = async {
            self.destination.apply(account, &self.function, &self.failed_arn).await?;
            self.mapping.apply(account, &self.function, &self.waiting_arn).await
        };
        made.await.map_err(Error::of_queue)
    }
}

/// AWS IoT may assume the role for this rule alone.
fn rule_trust(scope: &Scope, rule: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"Service": role::IOT},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": scope.account},
                "ArnLike": {"aws:SourceArn": scope.arn(format_args!("rule/{rule}"))},
            },
        }],
    })
}
