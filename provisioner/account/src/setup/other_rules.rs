//! Topic rules beside the one of this tool that get the events of registrations: what they invoke can register a device whose
//! certificate the function refuses.

use aws_sdk_iot::types::{Action, TopicRule};
use futures::future;
use jitr::scope::Arn;

use super::link::{self, Link};
use super::{Error, rule, topic_filter};
use crate::page::list_rules;
use crate::{Account, Error as AccountError, Resource};

/// The stack that the vendor's tool makes. Its function activates the certificate of every event.
const VENDOR_STACK: &str = "MCHPStack";

/// What comes of the events that a rule gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Nothing: it is disabled.
    Off,
    /// They are only kept.
    Kept,
    /// The function of this tool gets them.
    Own,
    /// Something else may act on them.
    Acted,
    /// The vendor's function gets them.
    Vendor,
}

/// An enabled rule of the account that gets the events of registrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRule {
    /// Its name.
    pub name: String,
    filter: String,
    /// What it does, one item an action.
    does: Vec<String>,
    comes_to: Use,
    /// Whether a user has named it to be disabled.
    is_named: bool,
}

impl OtherRule {
    /// Whether what the rule invokes may let in what the function refuses.
    pub fn bypasses(&self) -> bool {
        matches!(self.comes_to, Use::Vendor | Use::Acted)
    }

    /// Whether it does let everything in.
    pub fn lets_all_in(&self) -> bool {
        self.comes_to == Use::Vendor
    }

    /// Whether it is to be disabled because a user has named it.
    pub fn is_named(&self) -> bool {
        self.is_named && self.comes_to != Use::Off
    }

    /// Whether nothing comes of the events.
    pub(crate) fn only_keeps(&self) -> bool {
        self.comes_to == Use::Kept
    }

    /// What the rule reads and does, and what comes of it, one item each.
    pub(crate) fn details(&self) -> Vec<String> {
        if self.comes_to == Use::Off {
            return vec!["is disabled".to_owned()];
        }
        let reads = format!("reads '{}' and {}", self.filter, self.does.join(" and "));
        let comes = match self.comes_to {
            Use::Vendor => format!(
                "it is of the vendor's stack {VENDOR_STACK}, whose function activates every certificate: the checks of the function are bypassed"
            ),
            Use::Acted => "the checks of the function can be bypassed by what it invokes".to_owned(),
            Use::Own => "the function gets each event once more".to_owned(),
            Use::Kept | Use::Off => "it keeps the events and registers nothing".to_owned(),
        };
        vec![reads, comes]
    }

    /// The line of a plan that disables it, or leaves it as it is.
    pub fn link(&self, is_disabled: bool) -> Link {
        let action = if is_disabled { link::Action::Disable } else { link::Action::Leave };
        Link {
            link: Resource::OtherRule,
            name: self.name.clone(),
            action,
            details: self.details(),
            versions: None,
        }
    }

    /// Disables it.
    ///
    /// # Errors
    /// What the call ends in.
    pub async fn disable(&self, account: &Account) -> Result<(), AccountError> {
        disable(account, &self.name).await
    }
}

/// Disables a rule.
pub(crate) async fn disable(account: &Account, name: &str) -> Result<(), AccountError> {
    let answer = account.iot().disable_topic_rule().rule_name(name).send().await;
    answer.map(drop).map_err(account.failed("iot:DisableTopicRule"))
}

/// Every enabled rule but `own` that gets the events of registrations. `function` is the ARN of the function of this tool.
pub(crate) async fn find(
    account: &Account,
    own: &str,
    function: &str,
) -> Result<Vec<OtherRule>, AccountError> {
    let rules = list_rules(account).await?;
    let names = rules.iter().filter(|rule| rule.rule_disabled() != Some(true)).filter_map(|rule| {
        let name = rule.rule_name().filter(|name| *name != own)?;
        let reads = rule.topic_pattern().is_none_or(topic_filter::reads_registrations);
        reads.then_some(name)
    });
    let names: Vec<_> = names.collect();
    let found = future::try_join_all(names.iter().map(|name| rule::find(account, name))).await?;
    let found = names.iter().zip(&found);
    Ok(found.filter_map(|(name, rule)| judge(name, rule.as_ref()?, function)).collect())
}

/// Marks those of `others` that are `named` to be disabled, and adds those that are disabled already.
///
/// # Errors
/// [`Error::NoRule`], [`Error::OtherEvents`]; errors of the calls.
pub(super) async fn mark(
    account: &Account,
    mut others: Vec<OtherRule>,
    named: &[String],
) -> Result<Vec<OtherRule>, AccountError> {
    for name in named {
        if let Some(other) = others.iter_mut().find(|other| other.name == *name) {
            other.is_named = true;
            continue;
        }
        let name = name.clone();
        match rule::find(account, &name).await? {
            None => return Err(Error::NoRule { name }.into()),
            Some(rule) if rule.rule_disabled() == Some(true) => others.push(OtherRule {
                name,
                filter: String::new(),
                does: Vec::new(),
                comes_to: Use::Off,
                is_named: true,
            }),
            Some(_) => return Err(Error::OtherEvents { name }.into()),
        }
    }
    Ok(others)
}

/// What a rule does with registrations; `None` for one that gets none.
fn judge(name: &str, rule: &TopicRule, function: &str) -> Option<OtherRule> {
    let filter = topic_filter::of_sql(rule.sql()?)?;
    if !topic_filter::reads_registrations(filter) || rule.rule_disabled() == Some(true) {
        return None;
    }
    let of_vendor = |text: &str| text.starts_with(VENDOR_STACK);
    let target = |arn: &str| {
        let is_own = super::unqualified(arn) == super::unqualified(function);
        let named = Arn::parse(arn).and_then(|arn| arn.named("function"));
        match named {
            _ if is_own => Use::Own,
            Some(named) if of_vendor(named) || of_vendor(name) => Use::Vendor,
            _ => Use::Acted,
        }
    };
    let uses = rule.actions().iter().map(|action| match action.lambda() {
        Some(lambda) => target(lambda.function_arn()),
        None if only_keeps(action) => Use::Kept,
        None => Use::Acted,
    });
    Some(OtherRule {
        name: name.to_owned(),
        filter: filter.to_owned(),
        does: match rule.actions() {
            [] => vec!["does nothing".to_owned()],
            actions => actions.iter().map(does).collect(),
        },
        comes_to: uses.max().unwrap_or(Use::Kept),
        is_named: false,
    })
}

/// Actions that write the event somewhere, and start nothing by themselves.
fn only_keeps(action: &Action) -> bool {
    action.s3().is_some()
        || action.dynamo_db().is_some()
        || action.dynamo_dbv2().is_some()
        || action.firehose().is_some()
        || action.cloudwatch_alarm().is_some()
        || action.cloudwatch_logs().is_some()
        || action.cloudwatch_metric().is_some()
        || action.elasticsearch().is_some()
        || action.open_search().is_some()
        || action.timestream().is_some()
}

/// What an action does, for people.
fn does(action: &Action) -> String {
    match action {
        Action { lambda: Some(lambda), .. } => format!("invokes {}", lambda.function_arn()),
        Action { sqs: Some(sqs), .. } => format!("sends to the queue {}", sqs.queue_url()),
        Action { sns: Some(sns), .. } => format!("sends to the topic {}", sns.target_arn()),
        Action { kinesis: Some(kinesis), .. } => format!("sends to the stream {}", kinesis.stream_name()),
        Action { republish: Some(republish), .. } => format!("publishes on {}", republish.topic()),
        Action { step_functions: Some(steps), .. } => {
            format!("starts the state machine {}", steps.state_machine_name())
        }
        Action { http: Some(http), .. } => format!("sends to {}", http.url()),
        Action { s3: Some(s3), .. } => format!("writes to the bucket {}", s3.bucket_name()),
        Action { cloudwatch_logs: Some(logs), .. } => format!("writes to the log {}", logs.log_group_name()),
        _ if only_keeps(action) => "keeps them".to_owned(),
        _ => "hands them on".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_iot::types::{CloudwatchLogsAction, LambdaAction, SqsAction};
    use jitr::event::TOPIC_RULE_SQL;

    use super::*;

    const OWN: &str = "arn:aws:lambda:us-east-2:123456789012:function:JITR";

    fn invoking(function: &str) -> Action {
        let arn = format!("arn:aws:lambda:us-east-2:123456789012:function:{function}");
        Action::builder().lambda(LambdaAction::builder().function_arn(arn).build().unwrap()).build()
    }

    fn judged(name: &str, sql: &str, actions: &[Action]) -> Option<Use> {
        let rule = TopicRule::builder().sql(sql).set_actions(Some(actions.to_vec())).build();
        judge(name, &rule, OWN).map(|rule| rule.comes_to)
    }

    #[test]
    fn what_comes_of_a_rule_is_the_worst_that_its_actions_do() {
        let sql = "SELECT certificateId FROM '$aws/events/#'";
        let log = CloudwatchLogsAction::builder().log_group_name("audit").role_arn("r").build().unwrap();
        let log = Action::builder().cloudwatch_logs(log).build();
        let queue = SqsAction::builder().queue_url("https://q").role_arn("r").build().unwrap();
        let queue = Action::builder().sqs(queue).build();
        for (name, actions, comes_to) in [
            ("R", vec![invoking("JITR")], Use::Own),
            ("R", vec![invoking("JITR:live")], Use::Own),
            ("R", vec![log.clone()], Use::Kept),
            ("R", vec![], Use::Kept),
            ("R", vec![log.clone(), queue], Use::Acted),
            ("R", vec![invoking("JITR"), invoking("JITR2")], Use::Acted),
            ("R", vec![log, invoking("MCHPStack-ZTLambdaJITR-1A2B")], Use::Vendor),
            ("MCHPStack_ZTLambdaRule_1A2B", vec![invoking("jitr")], Use::Vendor),
        ] {
            assert_eq!(judged(name, sql, &actions), Some(comes_to), "{name} {actions:?}");
        }
        assert_eq!(judged("R", "SELECT * FROM 'factory/#'", &[invoking("x")]), None);
        assert_eq!(judged("R", TOPIC_RULE_SQL, &[invoking("x")]), Some(Use::Acted));
    }
}
