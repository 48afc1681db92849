//! Finding what carries the tags. Every list is read to its end.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use aws_sdk_sqs::types::QueueAttributeName;
use futures::{StreamExt, TryStreamExt, stream};
use jitr::name::{PolicyName, ThingTypeName};
use jitr::registration::Settings as Registration;
use jitr::registry::aws;
use jitr::scope::Arn;
use serde_json::Value;

use super::Inventory;
use super::devices::Device;
use crate::account::existing;
use crate::certificates::SIDE_BY_SIDE;
use crate::page::{LARGEST, list_cas, list_rules};
use crate::setup::{self, delivery, function::Deployed, permission, role};
use crate::{Account, Error as AccountError, queue};

/// A topic rule of ours.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) arn: String,
    /// ARNs of the functions that it invokes.
    pub(super) functions: Vec<String>,
}

/// A function of ours.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) name: String,
    /// What it registers devices with; `None` if its environment does not say.
    pub(super) registration: Option<Registration>,
}

fn is_ours(key: &str, value: &str) -> bool {
    key == setup::CREATED_BY && value == setup::TOOL
}

/// Who made a policy or a thing type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maker {
    /// This tool.
    Tool,
    /// The function. The tag does not say whether this tool or another one made the function.
    Function,
}

/// Which of our programs made an AWS IoT resource; none for one that does not exist any more.
async fn maker(account: &Account, arn: &str) -> Result<Option<Maker>, AccountError> {
    let iot = account.iot();
    let ask = |token| iot.list_tags_for_resource().resource_arn(arn).set_next_token(token).send();
    let tags =
        existing(account.all("iot:ListTagsForResource", ask, |page| page.tags).await)?.unwrap_or_default();
    Ok(tags.iter().find_map(|tag| match (tag.key(), tag.value().unwrap_or_default()) {
        (setup::CREATED_BY, setup::TOOL) => Some(Maker::Tool),
        (setup::CREATED_BY, aws::FUNCTION) => Some(Maker::Function),
        _ => None,
    }))
}

/// Of pairs of name and ARN, those of ours, in their order.
async fn made(account: &Account, all: Vec<(String, String)>) -> Result<Vec<Made>, AccountError> {
    let asked = stream::iter(all).map(|(name, arn)| async move {
        let maker = maker(account, &arn).await?;
        Ok::<_, AccountError>(maker.map(|maker| Made { name, arn, maker }))
    });
    asked.buffered(SIDE_BY_SIDE).try_filter_map(|found| async { Ok(found) }).try_collect().await
}

/// A resource of ours.
struct Made {
    name: String,
    arn: String,
    maker: Maker,
}

pub(super) async fn rules(account: &Account) -> Result<Vec<Rule>, AccountError> {
    let all = list_rules(account).await?;
    let all = all.into_iter().filter_map(|rule| rule.rule_name.zip(rule.rule_arn)).collect();
    let mut rules = Vec::new();
    for Made { name, arn, .. } in made(account, all).await? {
        let rule = setup::rule::find(account, &name).await?;
        let functions = rule.iter().flat_map(|rule| rule.actions()).filter_map(|action| action.lambda());
        let functions = functions.map(|lambda| lambda.function_arn().to_owned()).collect();
        rules.push(Rule { name, arn, functions });
    }
    Ok(rules)
}

pub(super) async fn cas(account: &Account) -> Result<Vec<String>, AccountError> {
    let all = list_cas(account).await?;
    let all = all.into_iter().filter_map(|ca| ca.certificate_id.zip(ca.certificate_arn)).collect();
    Ok(made(account, all).await?.into_iter().map(|made| made.name).collect())
}

pub(super) async fn policies(account: &Account) -> Result<Vec<(PolicyName, Maker)>, AccountError> {
    let iot = account.iot();
    let ask = |marker| iot.list_policies().set_marker(marker).send();
    let all = account.all("iot:ListPolicies", ask, |page| page.policies).await?;
    let all = all.into_iter().filter_map(|policy| policy.policy_name.zip(policy.policy_arn)).collect();
    Ok(named(made(account, all).await?))
}

pub(super) async fn thing_types(account: &Account) -> Result<Vec<(ThingTypeName, Maker)>, AccountError> {
    let iot = account.iot();
    let ask = |token| iot.list_thing_types().set_next_token(token).send();
    let all = account.all("iot:ListThingTypes", ask, |page| page.thing_types).await?;
    let all = all.into_iter().filter_map(|found| found.thing_type_name.zip(found.thing_type_arn)).collect();
    Ok(named(made(account, all).await?))
}

fn named<N: FromStr>(made: Vec<Made>) -> Vec<(N, Maker)> {
    made.into_iter().filter_map(|made| Some((made.name.parse().ok()?, made.maker))).collect()
}

pub(super) async fn functions(account: &Account) -> Result<Vec<Function>, AccountError> {
    let lambda = account.lambda();
    let ask = |marker| lambda.list_functions().set_marker(marker).send();
    let all = account.all("lambda:ListFunctions", ask, |page| page.functions).await?;
    let all = all.into_iter().filter_map(|function| function.function_name.zip(function.function_arn));
    let asked = stream::iter(all.collect::<Vec<_>>()).map(|(name, arn)| {
        let lambda = &lambda;
        async move {
            let answer = lambda.list_tags().resource(&arn).send().await;
            let tags = account.found("lambda:ListTags", answer)?.and_then(|answer| answer.tags);
            if !tags.is_some_and(|tags| tags.iter().any(|(key, value)| is_ours(key, value))) {
                return Ok(None);
            }
            let deployed = setup::deploy::find(account, &name).await?;
            Ok(deployed.map(|deployed| Function { name, registration: registration(&deployed) }))
        }
    });
    asked.buffered(SIDE_BY_SIDE).try_filter_map(|found| async { Ok(found) }).try_collect().await
}

fn registration(deployed: &Deployed) -> Option<Registration> {
    // Variables that cannot be read could name anything.
    deployed.variables.as_ref()?;
    jitr::config::settings(|name| deployed.variable(name).map(str::to_owned)).ok()
}

/// Roles are named after their function, which spares asking every role of the account for its tags. Each with why it stays,
/// if it does.
pub(super) async fn roles(account: &Account) -> Result<Vec<(String, Option<String>)>, AccountError> {
    let iam = account.iam();
    let ask = |marker| iam.list_roles().set_marker(marker).send();
    let all = account.all("iam:ListRoles", ask, |page| page.roles).await?;
    let all = all.into_iter().map(|role| role.role_name).filter(|name| name.ends_with(setup::ROLE_SUFFIX));
    let asked = stream::iter(all.collect::<Vec<_>>()).map(|name| {
        let iam = &iam;
        async move {
            let ask = |marker| iam.list_role_tags().role_name(&name).set_marker(marker).send();
            let tags =
                existing(account.all("iam:ListRoleTags", ask, |page| page.tags).await)?.unwrap_or_default();
            if !tags.iter().any(|tag| is_ours(tag.key(), tag.value())) {
                return Ok::<_, AccountError>(None);
            }
            let inline = existing(role_policies(account, &name).await)?.unwrap_or_default();
            Ok(Some((name, foreign(&inline))))
        }
    });
    asked.buffered(SIDE_BY_SIDE).try_filter_map(|found| async { Ok(found) }).try_collect().await
}

/// A queue of ours.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) url: String,
    /// The ids of the event source mappings that take its messages.
    pub(super) mappings: Vec<String>,
}

/// The queues of ours. Only those with the names of this tool are asked for their tags.
pub(super) async fn queues(account: &Account) -> Result<Vec<Queue>, AccountError> {
    let sqs = account.sqs();
    let ask = |token| sqs.list_queues().max_results(LARGEST_PAGE).set_next_token(token).send();
    let urls = account.all("sqs:ListQueues", ask, |page| page.queue_urls).await?;
    let name = |url: &str| delivery::of_url(url).map(|(_, name)| name.to_owned());
    let suffixes = [setup::FAILED_EVENTS, delivery::WAITING_EVENTS];
    let named = urls.into_iter().filter_map(|url| Some((name(&url)?, url)));
    let named = named.filter(|(name, _)| suffixes.iter().any(|suffix| name.ends_with(suffix)));
    let asked = stream::iter(named.collect::<Vec<_>>()).map(|(name, url)| {
        let sqs = &sqs;
        async move {
            let answer = sqs.list_queue_tags().queue_url(&url).send().await;
            let tags = match answer.map_err(account.failed("sqs:ListQueueTags")) {
                Err(error) if queue::is_missing(&error) => return Ok(None),
                answer => answer?.tags.unwrap_or_default(),
            };
            if !tags.iter().any(|(key, value)| is_ours(key, value)) {
                return Ok::<_, AccountError>(None);
            }
            let mappings = mappings(account, &url).await?;
            Ok(Some(Queue { name, url, mappings }))
        }
    });
    asked.buffered(SIDE_BY_SIDE).try_filter_map(|found| async { Ok(found) }).try_collect().await
}

/// Most queues in one page (Amazon SQS API reference, `ListQueues`); without a number, there are no further pages.
const LARGEST_PAGE: i32 = 1000;

/// The ids of the event source mappings that take messages of a queue.
async fn mappings(account: &Account, url: &str) -> Result<Vec<String>, AccountError> {
    let arn = QueueAttributeName::QueueArn;
    let request = account.sqs().get_queue_attributes().queue_url(url).attribute_names(arn.clone());
    let answer = request.send().await.map_err(account.failed("sqs:GetQueueAttributes"))?;
    let Some(arn) = answer.attributes.and_then(|mut attributes| attributes.remove(&arn)) else {
        return Ok(Vec::new());
    };
    let list = || account.lambda().list_event_source_mappings().event_source_arn(&arn);
    let ask = |marker| list().set_marker(marker).send();
    let found = account.all("lambda:ListEventSourceMappings", ask, |page| page.event_source_mappings).await?;
    Ok(found.into_iter().filter_map(|mapping| mapping.uuid).collect())
}

/// The alarms of ours. Alarms are named after their function, which spares asking for all of the account: functions of ours, those
/// that rules of ours invoke, and those that queues of ours are named after.
pub(super) async fn alarms(account: &Account, inventory: &Inventory) -> Result<Vec<String>, AccountError> {
    let suffixes = [setup::FAILED_EVENTS, delivery::WAITING_EVENTS];
    let of_queue = |queue: &Queue| {
        let base = suffixes.iter().find_map(|suffix| queue.name.strip_suffix(suffix)?.strip_suffix('-'));
        base.map(str::to_owned)
    };
    let invoked = inventory.rules.iter().flat_map(|rule| &rule.functions);
    let functions: BTreeSet<String> = (inventory.functions.iter().map(|function| function.name.clone()))
        .chain(invoked.map(|arn| setup::base_name(arn).to_owned()))
        .chain(inventory.queues.iter().filter_map(of_queue))
        .collect();
    let named = setup::alarms::find(account, functions.iter().flat_map(|name| setup::alarms::names(name)));
    let (cloudwatch, mut ours) = (account.cloudwatch(), Vec::new());
    for alarm in named.await? {
        let Some((name, arn)) = alarm.alarm_name.zip(alarm.alarm_arn) else { continue };
        let answer = cloudwatch.list_tags_for_resource().resource_arn(arn).send().await;
        let tags = account.found("cloudwatch:ListTagsForResource", answer)?.and_then(|answer| answer.tags);
        if tags
            .into_iter()
            .flatten()
            .any(|tag| is_ours(tag.key().unwrap_or_default(), tag.value().unwrap_or_default()))
        {
            ours.push(name);
        }
    }
    Ok(ours)
}

/// The names of the inline policies of a role.
pub(super) async fn role_policies(account: &Account, name: &str) -> Result<Vec<String>, AccountError> {
    let iam = account.iam();
    let ask = |marker| iam.list_role_policies().role_name(name).set_marker(marker).send();
    account.all("iam:ListRolePolicies", ask, |page| page.policy_names).await
}

/// Why a role with these inline policies stays, if it does.
pub(super) fn foreign(inline: &[String]) -> Option<String> {
    let ours = [role::INLINE, setup::FAILED_EVENTS, delivery::WAITING_EVENTS, delivery::EVENTS];
    let other = inline.iter().find(|policy| !ours.contains(&policy.as_str()))?;
    Some(format!("somebody gave it another policy, {other}"))
}

/// Statements that let a rule of ours invoke a function of another owner.
pub(super) async fn permissions(
    account: &Account,
    inventory: &Inventory,
) -> Result<Vec<(String, String)>, AccountError> {
    let mut found = Vec::new();
    for rule in &inventory.rules {
        for arn in &rule.functions {
            let ours = inventory.functions.iter().any(|function| function.name == setup::base_name(arn));
            let policy = if ours { None } else { permission::find(account, arn).await? };
            if policy.is_some_and(|policy| lets_in(&policy, rule)) {
                found.push((arn.clone(), rule.name.clone()));
            }
        }
    }
    Ok(found)
}

/// Whether the statement named like the rule is about that rule and no other.
fn lets_in(policy: &Value, rule: &Rule) -> bool {
    policy["Statement"].as_array().is_some_and(|statements| {
        statements.iter().any(|statement| {
            statement["Sid"] == rule.name.as_str()
                && permission::condition(statement, "AWS:SourceArn").is_some_and(|arn| *arn == *rule.arn)
        })
    })
}

/// The certificates that were registered without their CA, as far as they bear the marks of this tool: a policy of ours, and a
/// thing of ours. Those that are `of_ca` are left out. `looked` is told how many were looked at, and of how many.
pub(super) async fn certificates_without_ca(
    account: &Account,
    policies: &[PolicyName],
    things: &HashSet<String>,
    of_ca: impl Fn(&str) -> bool,
    looked: impl Fn(usize, usize),
) -> Result<BTreeMap<String, Arc<Device>>, AccountError> {
    let (iot, mut candidates) = (account.iot_without_retries(), BTreeSet::new());
    for policy in policies {
        let list = || iot.list_targets_for_policy().policy_name(policy.as_str()).page_size(LARGEST);
        let ask = |marker| list().set_marker(marker).send();
        let targets = account.all_in_turn("iot:ListTargetsForPolicy", ask, |page| page.targets).await;
        let ids = existing(targets)?.into_iter().flatten();
        let ids = ids.filter_map(|arn| Some(Arn::parse(&arn)?.named("cert")?.to_owned()));
        candidates.extend(ids.filter(|id| !of_ca(id)));
    }
    let (total, mut count, mut found) = (candidates.len(), 0, BTreeMap::new());
    let asked = stream::iter(candidates).map(|id| async move {
        let device = Device::look(account, &id).await?;
        Ok::<_, AccountError>(device.map(|device| (id, device)))
    });
    let mut asked = std::pin::pin!(asked.buffer_unordered(SIDE_BY_SIDE));
    while let Some(device) = asked.next().await {
        let is_ours = |(_, device): &(_, Device)| {
            device.is_without_ca && device.things.iter().any(|thing| things.contains(thing))
        };
        found.extend(device?.filter(is_ours).map(|(id, device)| (id, Arc::new(device))));
        count += 1;
        looked(count, total);
    }
    Ok(found)
}
