//! The topic rule that forwards the event of an unknown board to the function.

use aws_sdk_iot::types::{Action, LambdaAction, TopicRule, TopicRulePayload};

use jitr::event::{TOPIC_RULE_SQL as SQL, TOPIC_RULE_SQL_VERSION as SQL_VERSION};

use super::delivery::Feed;
use super::link::Link;
use super::tags;
use super::topic_filter::{Likeness, likeness, likeness_of_version};
use crate::account::existing;
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
    let pages = account.iot().list_topic_rules().into_paginator().send();
    let rules = account.all("iot:ListTopicRules", pages, |page| page.rules).await?;
    Ok(rules.iter().any(|rule| rule.rule_name() == Some(name)))
}

/// `function` is the ARN of the function that the rule has to invoke, unless the events go through a queue.
pub(crate) fn decide(
    found: Option<&TopicRule>,
    function: &str,
    feed: Option<&Feed>,
) -> Result<Step, AccountError> {
    let Some(rule) = found else {
        return Ok(Step::Create(payload(vec![invoke(function)?], DESCRIPTION.to_owned(), None)?));
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
    let target = |action: &Action| action.lambda().map(|lambda| lambda.function_arn().to_owned());
    let targets: Vec<String> = rule.actions().iter().filter_map(target).collect();
    let fed = feed.is_some() && targets.is_empty();
    if targets != [function] && !fed {
        changes.push(match targets.as_slice() {
            [] => format!("invokes no function, should invoke {function}"),
            others => format!("invokes {}, should invoke {function}", others.join(" and ")),
        });
    }
    if changes.is_empty() {
        return Ok(Step::Leave);
    }
    // `ReplaceTopicRule` replaces everything, so what others added is sent again.
    let mut actions: Vec<Action> = rule.actions().iter().filter(|a| a.lambda().is_none()).cloned().collect();
    if !fed {
        actions.push(invoke(function)?);
    }
    let description = rule.description().unwrap_or(DESCRIPTION).to_owned();
    Ok(Step::Replace(payload(actions, description, rule.error_action().cloned())?, changes))
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
        let iot = account.iot();
        match self {
            Self::Leave => {}
            Self::Create(payload) => {
                iot.create_topic_rule()
                    .rule_name(name)
                    .topic_rule_payload(payload.clone())
                    .tags(query(&tags(ca)))
                    .send()
                    .await
                    .map_err(account.failed("iot:CreateTopicRule"))?;
            }
            Self::Replace(payload, _) => {
                iot.replace_topic_rule()
                    .rule_name(name)
                    .topic_rule_payload(payload.clone())
                    .send()
                    .await
                    .map_err(account.failed("iot:ReplaceTopicRule"))?;
            }
        }
        Ok(())
    }
}

/// Tags travel in a header here, in the form of a URL query. Neither keys nor values need escaping.
fn query(tags: &[(&str, &str)]) -> String {
    tags.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::link::Action as Verdict;

    const FUNCTION: &str = "arn:aws:lambda:us-east-2:123456789012:function:JITR";

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
        decide(Some(&rule), FUNCTION, None).unwrap()
    }

    #[test]
    fn a_rule_that_is_right_is_left_and_a_missing_one_created() {
        assert_eq!(rebuilt(|_| ()), Step::Leave);
        assert_eq!(rebuilt(|rule| rule.sql = Some(format!("  {}", SQL.replace(' ', "\n")))), Step::Leave);
        assert_eq!(decide(None, FUNCTION, None).unwrap().link("R").action, Verdict::Create);
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
        queued.actions = Some(vec![Action::builder().build()]);
        let decided = |rule: &TopicRule| decide(Some(rule), FUNCTION, Some(&feed)).unwrap();
        assert_eq!(decided(&queued), Step::Leave);
        assert_eq!(decided(&right()), Step::Leave);
        queued.rule_disabled = Some(true);
        let Step::Replace(payload, _) = decided(&queued) else { panic!("a disabled rule is not right") };
        assert_eq!(payload.actions(), queued.actions());
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
        assert_eq!(payload.actions(), [republish.clone(), invoke(FUNCTION).unwrap()]);
        assert_eq!(payload.error_action(), Some(&republish));
        assert_eq!(payload.rule_disabled(), Some(false));
    }
}
