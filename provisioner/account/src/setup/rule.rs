//! The topic rule that forwards the event of an unknown board to the function.

use aws_sdk_iot::types::{Action, LambdaAction, SqsAction, TopicRule, TopicRulePayload};

use jitr::event::{TOPIC_RULE_SQL as SQL, TOPIC_RULE_SQL_VERSION as SQL_VERSION};

use super::delivery::{Feed, of_url};
use super::link::Link;
use super::tags;
use super::topic_filter::{Likeness, likeness, likeness_of_version};
use super::waiting::{For, Waiting, is_role_too_new};
use crate::account::existing;
use crate::page::list_rules;
use crate::{Account, Error as AccountError, Resource};

const DESCRIPTION: &str = "Forwards boards that a registered CA has signed and that are not known yet";

/// What is to be done about the rule, and the rule as it is then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Leave,
    Create(TopicRulePayload),
    Replace(TopicRulePayload, Vec<String>),
}

/// The rule in the account, if it is there.
///
/// AWS answers `UnauthorizedException` for a rule that does not exist; the list shows whether it exists.
pub(crate) async fn find(account: &Account, name: &str) -> Result<Option<TopicRule>, AccountError> {
    let answer = account.iot().get_topic_rule().rule_name(name).send().await;
    match answer.map_err(account.failed("iot:GetTopicRule")) {
        Err(error) if error.has_code("UnauthorizedException") && !is_listed(account, name).await? => Ok(None),
        answer => Ok(existing(answer)?.and_then(|answer| answer.rule)),
    }
}

async fn is_listed(account: &Account, name: &str) -> Result<bool, AccountError> {
    let rules = list_rules(account).await?;
    Ok(rules.iter().any(|rule| rule.rule_name() == Some(name)))
}

/// Where the rule has to send events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// To the function with this ARN.
    Function(String),
    /// To a queue that the function takes events from already.
    Fed(Feed),
    /// To the queue with the URL `waiting`, with a role, instead of the function with this ARN. What cannot be sent there goes
    /// to the queue `failed`.
    Queue { waiting: String, failed: String, role: String, function: String },
}

impl Target {
    /// Whether the action sends events to it.
    fn is_of(&self, action: &Action) -> bool {
        let sends_to =
            |name: &str| action.sqs().and_then(|sqs| of_url(sqs.queue_url())).is_some_and(|of| of.1 == name);
        match self {
            Self::Function(function) => action.lambda().is_some_and(|to| to.function_arn() == function),
            Self::Fed(feed) => sends_to(&feed.queue),
            Self::Queue { waiting, .. } => of_url(waiting).is_some_and(|(_, name)| sends_to(name)),
        }
    }

    /// Whether the action is another way to the function, which would get each event twice.
    fn is_replaced(&self, action: &Action, feed: Option<&Feed>) -> bool {
        match self {
            // What else a rule of ours invokes registers nothing.
            Self::Function(_) => {
                let is_fed = |feed: &Feed| Self::Fed(feed.clone()).is_of(action);
                action.lambda().is_some() || feed.is_some_and(is_fed)
            }
            Self::Fed(_) => false,
            Self::Queue { function, .. } => action
                .lambda()
                .is_some_and(|to| super::unqualified(to.function_arn()) == super::unqualified(function)),
        }
    }

    fn action(&self) -> Result<Option<Action>, AccountError> {
        Ok(match self {
            Self::Function(function) => Some(invoke(function)?),
            Self::Fed(_) => None,
            Self::Queue { waiting, role, .. } => Some(send(waiting, role)?),
        })
    }
}

/// `feed` is the queue that events go through now, if there is one.
pub(crate) fn decide(
    found: Option<&TopicRule>,
    target: &Target,
    feed: Option<&Feed>,
) -> Result<Step, AccountError> {
    let error_action = match target {
        Target::Queue { failed, role, .. } => Some(send(failed, role)?),
        Target::Function(_) | Target::Fed(_) => None,
    };
    let Some(rule) = found else {
        let actions = target.action()?.into_iter().collect();
        return Ok(Step::Create(payload(actions, DESCRIPTION.to_owned(), error_action)?));
    };
    let mut changes = Vec::new();
    if matches!(likeness(rule.sql().unwrap_or_default()), Likeness::Different) {
        changes.push(format!("SQL is `{}`, should be `{SQL}`", rule.sql().unwrap_or_default()));
    }
    if matches!(likeness_of_version(rule.aws_iot_sql_version()), Likeness::Different) {
        let version = rule.aws_iot_sql_version().unwrap_or_default();
        changes.push(format!("SQL version is {version}, should be {SQL_VERSION}"));
    }
    if rule.rule_disabled() == Some(true) {
        changes.push("is disabled".to_owned());
    }
    let is_wrong = |action: &&Action| !target.is_of(action) && target.is_replaced(action, feed);
    let is_led = rule.actions().iter().any(|action| target.is_of(action));
    let wrong: Vec<_> = rule.actions().iter().filter(is_wrong).map(named).collect();
    if !is_led || !wrong.is_empty() {
        let should = match target {
            Target::Function(function) => format!("should invoke {function}"),
            Target::Fed(feed) => format!("should send events to queue {}", feed.queue),
            Target::Queue { waiting, .. } => {
                format!("should send events to queue {}", of_url(waiting).unwrap_or_default().1)
            }
        };
        changes.push(match wrong.is_empty() {
            true => format!("invokes no function, {should}"),
            false => format!("{}, {should}", wrong.join(" and ")),
        });
    }
    if changes.is_empty() {
        return Ok(Step::Leave);
    }
    // `ReplaceTopicRule` replaces everything, so what others added is sent again.
    let stays = |action: &&Action| target.is_of(action) || !target.is_replaced(action, feed);
    let mut actions: Vec<Action> = rule.actions().iter().filter(stays).cloned().collect();
    if !is_led {
        actions.extend(target.action()?);
    }
    let description = rule.description().unwrap_or(DESCRIPTION).to_owned();
    let error_action = rule.error_action().cloned().or(error_action);
    Ok(Step::Replace(payload(actions, description, error_action)?, changes))
}

/// What an action does.
fn named(action: &Action) -> String {
    match (action.lambda(), action.sqs()) {
        (Some(lambda), _) => format!("invokes {}", lambda.function_arn()),
        (_, Some(sqs)) => {
            format!("sends events to queue {}", of_url(sqs.queue_url()).unwrap_or_default().1)
        }
        _ => "does something else".to_owned(),
    }
}

/// How a rule that does its part is written otherwise than this tool writes it.
pub(crate) fn equivalents(rule: &TopicRule) -> Vec<String> {
    let sql = rule.sql().unwrap_or_default();
    let version = rule.aws_iot_sql_version();
    let mut found = Vec::new();
    if matches!(likeness(sql), Likeness::Equivalent) {
        found.push(format!("SQL is `{sql}`, which is equivalent to `{SQL}`"));
    }
    if matches!(likeness_of_version(version), Likeness::Equivalent) {
        let version = version.unwrap_or_default();
        found.push(format!("SQL version is {version}, which is equivalent to {SQL_VERSION} for this SQL"));
    }
    found
}

fn invoke(function: &str) -> Result<Action, AccountError> {
    let lambda = LambdaAction::builder().function_arn(function).build().map_err(|_| unbuilt())?;
    Ok(Action::builder().lambda(lambda).build())
}

fn send(queue_url: &str, role: &str) -> Result<Action, AccountError> {
    let sqs = SqsAction::builder().queue_url(queue_url).role_arn(role).use_base64(false).build();
    Ok(Action::builder().sqs(sqs.map_err(|_| unbuilt())?).build())
}

fn payload(
    actions: Vec<Action>,
    description: String,
    error_action: Option<Action>,
) -> Result<TopicRulePayload, AccountError> {
    TopicRulePayload::builder()
        .sql(SQL)
        .aws_iot_sql_version(SQL_VERSION)
        .description(description)
        .rule_disabled(false)
        .set_actions(Some(actions))
        .set_error_action(error_action)
        .build()
        .map_err(|_| unbuilt())
}

/// The SDK's builders fail only where a required field was left out.
fn unbuilt() -> AccountError {
    AccountError::Incomplete { action: "iot:CreateTopicRule", what: "a required field" }
}

impl Step {
    pub(crate) fn link(&self, name: &str) -> Link {
        let changes = match self {
            Self::Replace(_, changes) => changes.clone(),
            Self::Leave | Self::Create(_) => Vec::new(),
        };
        Link::new(Resource::TopicRule, name, !matches!(self, Self::Create(_)), changes)
    }

    pub(crate) async fn apply(
        &self,
        account: &Account,
        name: &str,
        ca: Option<&str>,
    ) -> Result<(), AccountError> {
        let mut waiting = Waiting::start(For::Role);
        loop {
            match self.once(account, name, ca).await {
                // The role of the rule is new, and AWS IoT cannot assume it yet.
                Err(error) if is_role_too_new(&error) && waiting.pause().await => {}
                ended => return ended,
            }
        }
    }

    async fn once(&self, account: &Account, name: &str, ca: Option<&str>) -> Result<(), AccountError> {
        let iot = account.iot();
        match self {
            Self::Leave => Ok(()),
            Self::Create(payload) => {
                let request = iot.create_topic_rule().rule_name(name).topic_rule_payload(payload.clone());
                let answer = request.tags(query(&tags(ca))).send().await;
                answer.map(drop).map_err(account.failed("iot:CreateTopicRule"))
            }
            Self::Replace(payload, _) => {
                let request = iot.replace_topic_rule().rule_name(name).topic_rule_payload(payload.clone());
                request.send().await.map(drop).map_err(account.failed("iot:ReplaceTopicRule"))
            }
        }
    }
}

/// Tags travel in a header here, in the form of a URL query. Neither keys nor values need escaping.
fn query(tags: &[(&str, &str)]) -> String {
    tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::delivery::tests::send_to;
    use crate::setup::link::Action as Verdict;

    const FUNCTION: &str = "arn:aws:lambda:us-east-2:123456789012:function:JITR";

    fn function() -> Target {
        Target::Function(FUNCTION.into())
    }

    fn right() -> TopicRule {
        TopicRule::builder()
            .sql(SQL)
            .aws_iot_sql_version(SQL_VERSION)
            .rule_disabled(false)
            .actions(invoke(FUNCTION).unwrap())
            .build()
    }

    fn rebuilt(change: impl FnOnce(&mut TopicRule)) -> Step {
        let mut rule = right();
        change(&mut rule);
        decide(Some(&rule), &function(), None).unwrap()
    }

    #[test]
    fn a_rule_that_is_right_is_left_and_a_missing_one_created() {
        assert_eq!(rebuilt(|_| ()), Step::Leave);
        assert_eq!(rebuilt(|rule| rule.sql = Some(format!("  {}", SQL.replace(' ', "\n")))), Step::Leave);
        assert_eq!(decide(None, &function(), None).unwrap().link("R").action, Verdict::Create);
    }

    #[test]
    fn sql_that_gives_the_same_is_left_and_told() {
        let sql = "select * from '$aws/events/certificates/registered/+'";
        assert_eq!(rebuilt(|rule| rule.sql = Some(sql.into())), Step::Leave);
        assert_eq!(rebuilt(|rule| rule.aws_iot_sql_version = Some("2015-10-08".into())), Step::Leave);
        let mut rule = right();
        assert!(equivalents(&rule).is_empty());
        rule.sql = Some(sql.into());
        rule.aws_iot_sql_version = Some("2015-10-08".into());
        let found = equivalents(&rule);
        assert!(found[0].contains(sql) && found[1].contains("2015-10-08"), "{found:?}");
    }

    #[test]
    fn every_difference_is_mended_and_named() {
        let cases = [
            (rebuilt(|rule| rule.sql = Some("SELECT * FROM 'x'".into())), "SQL is"),
            (rebuilt(|rule| rule.aws_iot_sql_version = Some("beta".into())), "SQL version is beta"),
            (rebuilt(|rule| rule.rule_disabled = Some(true)), "disabled"),
            (rebuilt(|rule| rule.actions = None), "invokes no function"),
            (rebuilt(|rule| rule.actions = Some(vec![invoke("arn:other").unwrap()])), "invokes arn:other"),
        ];
        for (step, named) in cases {
            let link = step.link("R");
            assert_eq!(link.action, Verdict::Change, "{named}");
            assert!(link.details[0].contains(named), "{named}: {link:?}");
        }
    }

    #[test]
    fn a_rule_that_a_queue_leads_on_from_needs_no_invocation() {
        let feed = crate::setup::delivery::tests::feed();
        let mut queued = right();
        queued.actions = Some(vec![send_to("JITR-waiting-events")]);
        let decided = |rule: &TopicRule| decide(Some(rule), &Target::Fed(feed.clone()), Some(&feed)).unwrap();
        assert_eq!(decided(&queued), Step::Leave);
        queued.rule_disabled = Some(true);
        let Step::Replace(payload, _) = decided(&queued) else { panic!("a disabled rule is not right") };
        assert_eq!(payload.actions(), queued.actions());
    }

    fn queue() -> Target {
        let url = |name| format!("https://sqs.us-east-2.amazonaws.com/123456789012/{name}");
        Target::Queue {
            waiting: url("JITR-waiting-events"),
            failed: url("JITR-failed-events"),
            role: "arn:r".into(),
            function: FUNCTION.into(),
        }
    }

    #[test]
    fn to_the_queue_and_back_each_event_takes_one_way() {
        let republish = Action::builder().build();
        let mut rule = right();
        rule.actions.as_mut().unwrap().push(republish.clone());
        let Step::Replace(queued, changes) = decide(Some(&rule), &queue(), None).unwrap() else {
            panic!("it invokes the function")
        };
        assert!(changes[0].contains("should send events to queue JITR-waiting-events"), "{changes:?}");
        assert_eq!(queued.actions()[0], republish);
        assert!(queue().is_of(&queued.actions()[1]) && queued.actions().len() == 2);
        assert!(queued.error_action().is_some_and(|action| action.sqs().is_some()));

        rule.actions = Some(queued.actions().to_vec());
        assert_eq!(decide(Some(&rule), &queue(), None).unwrap(), Step::Leave);
        let feed = crate::setup::delivery::tests::feed();
        let Step::Replace(back, _) = decide(Some(&rule), &function(), Some(&feed)).unwrap() else {
            panic!("it sends events to the queue")
        };
        assert_eq!(back.actions(), [republish, invoke(FUNCTION).unwrap()]);
    }

    #[test]
    fn a_new_rule_sends_what_it_cannot_send_to_the_queue_of_failed_events() {
        let Step::Create(payload) = decide(None, &queue(), None).unwrap() else { panic!("there is none") };
        assert!(queue().is_of(&payload.actions()[0]));
        let failed = payload.error_action().and_then(Action::sqs).unwrap();
        assert!(failed.queue_url().ends_with("/JITR-failed-events"));
    }

    #[test]
    fn actions_that_others_added_survive_the_repair() {
        let republish = Action::builder().build();
        let step = rebuilt(|rule| {
            rule.rule_disabled = Some(true);
            rule.error_action = Some(republish.clone());
            rule.actions.as_mut().unwrap().push(republish.clone());
        });
        let Step::Replace(payload, _) = step else { panic!("{step:?}") };
        assert_eq!(payload.actions(), [invoke(FUNCTION).unwrap(), republish.clone()]);
        assert_eq!(payload.error_action(), Some(&republish));
        assert_eq!(payload.rule_disabled(), Some(false));
    }
}
