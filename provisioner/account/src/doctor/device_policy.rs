//! The policy that devices get: whether a device can connect with it, and whether it can act as another. No I/O.

use std::collections::BTreeSet;

use jitr::policy::{MAX_DOCUMENT_SIZE, PolicyTemplate};
use jitr::registration::Settings as Registration;
use jitr::scope::Scope;
use serde_json::Value;

use super::finding::{Finding, Remedy};
use super::samples::{OTHER, Samples, patterns};
use crate::Resource;
use crate::policy_evaluation::{Request, is_allowed};

/// A board that has a certificate, and would like to be another.
const BOARD: &str = "board-a";

/// The policy that devices get. `stored` is the document of its default version, if it exists.
pub(super) fn device_policy(settings: &Registration, scope: &Scope, stored: Option<&str>) -> Finding {
    let (link, name) = (Resource::DevicePolicy, settings.policy.as_str());
    let wanted = match settings.policy_template.fill(scope) {
        Ok(wanted) => wanted,
        Err(error) if stored.is_none() => {
            return Finding::wrong(link, name, vec![format!("cannot be created: {error}")])
                .remedy(Remedy::ShortenPolicy);
        }
        Err(error) => return Finding::notable(link, name, vec![error.to_string()]),
    };
    let document = match stored {
        Some(stored) => serde_json::from_str(stored).unwrap_or_default(),
        None => wanted.as_value().clone(),
    };
    let documents = [document];
    let expected = [wanted.as_value().clone()];
    // A document that is no better cannot take the place of another.
    let is_safe = connects(&expected, scope, BOARD, false) && self::dangers(&expected, scope).is_empty();
    let dangers = dangers(&documents, scope);
    let mut found = match stored {
        None => vec!["is created when the first device is registered".to_owned()],
        Some(stored) if wanted.is_same_as(stored) => {
            vec![format!("{} of {MAX_DOCUMENT_SIZE} characters", wanted.size())]
        }
        Some(stored) if is_former(settings, scope, stored) => {
            let found = "has the default document of earlier versions: a board can subscribe to nothing but `NAME/#`, \
                         and cannot use its shadow over HTTPS";
            return Finding::notable(link, name, vec![found.to_owned()]).repairable();
        }
        Some(_) => {
            let found = "its default version is another document than the expected one; it is used as it is";
            let mut found = vec![found.to_owned()];
            if !connects(&documents, scope, BOARD, false) {
                found.push("it does not let a device connect under its thing name".to_owned());
                let finding = Finding::wrong(link, name, found);
                return if is_safe { finding.repairable() } else { finding.remedy(Remedy::NarrowDocument) };
            }
            if dangers.is_empty() {
                return Finding::notable(link, name, found).remedy(Remedy::ComparePolicy);
            }
            found
        }
    };
    match dangers.is_empty() {
        true => Finding::right(link, name, found),
        false => {
            found.extend(dangers);
            let finding = Finding::dangerous(link, name, found);
            if is_safe { finding.repairable() } else { finding.remedy(Remedy::NarrowDocument) }
        }
    }
}

/// Whether a document is the default of earlier versions, where the default is used.
pub(super) fn is_former(settings: &Registration, scope: &Scope, stored: &str) -> bool {
    let is =
        |template: PolicyTemplate| template.fill(scope).is_ok_and(|document| document.is_same_as(stored));
    PolicyTemplate::zero_touch().is_ok_and(|default| default == settings.policy_template)
        && PolicyTemplate::former().is_ok_and(is)
}

/// Calls about the shadow of a thing, and about its jobs (AWS IoT Developer Guide, "AWS IoT Core policy actions").
const SHADOW_CALLS: [&str; 4] =
    ["iot:UpdateThingShadow", "iot:GetThingShadow", "iot:DeleteThingShadow", "iot:ListNamedShadowsForThing"];
const JOB_CALLS: [&str; 4] = [
    "iot:DescribeJobExecution",
    "iot:GetPendingJobExecutions",
    "iot:StartNextPendingJobExecution",
    "iot:UpdateJobExecution",
];

/// What a board that has these policies may do with the name of another.
pub(super) fn dangers(documents: &[Value], scope: &Scope) -> Vec<String> {
    let samples = Samples::of(documents);
    let mut dangers = Vec::new();
    // A client id that the document spells out is another's, too.
    let spelt = patterns(documents, "client").into_iter().filter(|name| !name.contains(['*', '?', '$']));
    let names: BTreeSet<_> = samples.names.iter().cloned().chain(spelt).collect();
    if connects(documents, scope, OTHER, true) {
        dangers.push("a board can connect under any name (iot:Connect)".to_owned());
    } else if let Some(name) = names.iter().find(|name| connects(documents, scope, name, true)) {
        dangers.push(format!("a board can connect under the name {name} (iot:Connect)"));
    }
    let as_itself =
        |action: &str, resource: &str| is_board_allowed(documents, scope, BOARD, action, resource, true);
    let with = |actions: &[&str], kind: &str, of_others: &BTreeSet<String>| {
        let is_allowed = |action: &&str, name: &str| as_itself(action, &format!("{kind}/{name}"));
        let found = |action: &&str| of_others.iter().any(|name| is_allowed(action, name));
        let actions: Vec<_> = actions.iter().copied().filter(found).collect();
        (!actions.is_empty()).then(|| actions.join(", "))
    };
    if let Some(actions) = with(&["iot:Publish", "iot:RetainPublish"], "topic", &samples.topics) {
        dangers.push(format!("a board can publish on the topics of another ({actions})"));
    }
    let subscribes = |filter: &&String| as_itself("iot:Subscribe", &format!("topicfilter/{filter}"));
    let receives = |topic: String| as_itself("iot:Receive", &format!("topic/{topic}"));
    let reads = |filter: &String| samples.topics_under(filter).any(receives);
    if samples.filters.iter().filter(subscribes).any(reads) {
        dangers.push("a board can read the messages of another (iot:Subscribe, iot:Receive)".to_owned());
    }
    if let Some(actions) = with(&["iot:GetRetainedMessage"], "topic", &samples.topics) {
        dangers.push(format!("a board can read the retained messages of another ({actions})"));
    }
    if let Some(actions) = with(&SHADOW_CALLS, "thing", &samples.names) {
        dangers.push(format!("a board can use the shadow of another ({actions})"));
    }
    if let Some(actions) = with(&JOB_CALLS, "thing", &samples.names) {
        dangers.push(format!("a board can use the jobs of another ({actions})"));
    }
    dangers
}

/// Whether a board whose thing is [`BOARD`] can connect with this client id.
fn connects(documents: &[Value], scope: &Scope, client: &str, doubt: bool) -> bool {
    is_board_allowed(documents, scope, client, "iot:Connect", &format!("client/{client}"), doubt)
}

/// Whether a board whose thing is [`BOARD`], connected with this client id, may do something. The thing is known only to
/// a connection with the thing's name (AWS IoT Developer Guide, "Thing policy variables").
fn is_board_allowed(
    documents: &[Value],
    scope: &Scope,
    client: &str,
    action: &str,
    resource: &str,
    doubt: bool,
) -> bool {
    let thing = (client == BOARD).then_some(BOARD);
    let keys = [
        ("iot:ClientId", Some(client)),
        ("iot:Connection.Thing.ThingName", thing),
        ("iot:Connection.Thing.IsAttached", Some(if thing.is_some() { "true" } else { "false" })),
    ];
    let resource = &scope.arn(resource);
    let request = Request { action, resource, caller: None, keys: &keys, doubt };
    is_allowed(documents, &request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use serde_json::json;

    fn scope() -> Scope {
        Scope { partition: "aws".into(), region: "us-east-2".into(), account: "123456789012".into() }
    }

    fn judged(stored: Option<&str>) -> Finding {
        device_policy(&Registration::zero_touch().unwrap(), &scope(), stored)
    }

    fn arn(resource: &str) -> String {
        scope().arn(resource)
    }

    fn document(statements: Value) -> String {
        json!({"Version": "2012-10-17", "Statement": statements}).to_string()
    }

    fn allow(action: &str, resource: &str) -> Value {
        json!({"Effect": "Allow", "Action": action, "Resource": resource})
    }

    #[test]
    fn a_device_policy_may_be_another_as_long_as_a_device_can_connect() {
        let settings = Registration::zero_touch().unwrap();
        let expected = settings.policy_template.fill(&scope()).unwrap().to_string();
        assert_eq!(judged(None).verdict, Verdict::Right);
        assert_eq!(judged(Some(&expected)).verdict, Verdict::Right);
        let own = document(allow("iot:Connect", &arn("client/${iot:Connection.Thing.ThingName}")));
        assert_eq!(judged(Some(&own)).verdict, Verdict::Notable);
        assert_eq!(judged(Some(&document(allow("iot:Publish", "*")))).verdict, Verdict::Wrong);
        assert_eq!(judged(Some("nonsense")).verdict, Verdict::Wrong);
    }

    #[test]
    fn a_policy_that_is_wrong_or_too_wide_is_repaired_unless_the_expected_document_is_no_better() {
        let (wide, deaf) = (document(allow("iot:*", "*")), document(allow("iot:Publish", "*")));
        for stored in [&wide, &deaf] {
            let found = judged(Some(stored));
            assert!(found.repairable && found.remedy.is_none(), "{found:?}");
        }
        let mut own = Registration::zero_touch().unwrap();
        own.policy_template = PolicyTemplate::parse(&wide).unwrap();
        for stored in [None, Some(&*wide), Some(&*deaf)] {
            let found = device_policy(&own, &scope(), stored);
            assert!(!found.repairable && matches!(found.remedy, Some(Remedy::NarrowDocument)), "{found:?}");
        }
        let harmless = document(allow("iot:Connect", &arn("client/${iot:Connection.Thing.ThingName}")));
        let found = judged(Some(&harmless));
        assert!(!found.repairable && matches!(found.remedy, Some(Remedy::ComparePolicy)), "{found:?}");
    }

    #[test]
    fn the_document_of_earlier_versions_is_told_and_renewed_where_the_default_is_used() {
        let former = PolicyTemplate::former().unwrap().fill(&scope()).unwrap().to_string();
        let found = judged(Some(&former));
        assert_eq!((found.verdict, found.repairable), (Verdict::Notable, true), "{found:?}");
        assert!(found.found[0].contains("earlier versions"), "{found:?}");
        let mut own = Registration::zero_touch().unwrap();
        own.policy_template = PolicyTemplate::parse(&document(allow("iot:Connect", "*"))).unwrap();
        assert!(!device_policy(&own, &scope(), Some(&former)).repairable);
    }

    #[test]
    fn a_policy_under_which_a_board_can_act_as_another_is_told_with_what_it_can_do() {
        let connect = || allow("iot:Connect", &arn("client/${iot:Connection.Thing.ThingName}"));
        let itself = "${iot:Connection.Thing.ThingName}";
        let attached = json!({"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}});
        let mut by_attachment = allow("iot:Connect", &arn("client/${iot:ClientId}"));
        by_attachment["Condition"] = attached;
        let mut from_network = allow("iot:Connect", "*");
        from_network["Condition"] = json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}});
        for (statements, expected) in [
            (json!([connect()]), &[][..]),
            (json!([by_attachment]), &[]),
            (json!([connect(), allow("iot:Publish", &arn("topic/fleet/*"))]), &[]),
            (json!([connect(), allow("iot:Publish", &arn(&format!("topic/data/{itself}")))]), &[]),
            (
                json!(allow("iot:*", "*")),
                &[
                    "any name",
                    "publish",
                    "read the messages",
                    "the retained messages",
                    "the shadow",
                    "the jobs",
                ],
            ),
            (json!([allow("iot:Connect", &arn("client/${iot:ClientId}"))]), &["any name"]),
            (json!([connect(), from_network]), &["any name"]),
            (json!([connect(), allow("iot:Connect", &arn("client/line-?-*"))]), &["the name line-x-x"]),
            (json!([connect(), allow("iot:Publish", &arn("topic/*"))]), &["publish"]),
            (json!([connect(), allow("iot:Publish", &arn("topic/$aws/things/*"))]), &["publish"]),
            (
                json!([connect(), allow("iot:Subscribe", "*"), allow("iot:Receive", "*")]),
                &["read the messages"],
            ),
            (json!([connect(), allow("iot:Subscribe", "*")]), &[]),
            (json!([connect(), allow("iot:GetThingShadow", &arn("thing/*"))]), &["the shadow"]),
        ] {
            let found = judged(Some(&document(statements.clone())));
            let says =
                found.found.iter().filter(|found| found.starts_with("a board can")).collect::<Vec<_>>();
            assert_eq!(says.len(), expected.len(), "{statements}: {found:?}");
            assert!(says.iter().zip(expected).all(|(says, expected)| says.contains(expected)), "{found:?}");
            let dangerous = found.verdict == Verdict::Dangerous;
            assert_eq!(dangerous, !expected.is_empty() && found.verdict != Verdict::Wrong, "{found:?}");
        }
    }

    #[test]
    fn a_pattern_that_covers_what_is_anothers_by_any_name_is_told() {
        let settings = Registration::zero_touch().unwrap();
        let default = settings.policy_template.fill(&scope()).unwrap().as_value().clone();
        let with = |more: Value| {
            let mut document = default.clone();
            let more = more.as_array().cloned().unwrap_or_else(|| vec![more]);
            document["Statement"].as_array_mut().unwrap().extend(more);
            document
        };
        let reads = |filter: &str, topic: &str| {
            with(json!([allow("iot:Subscribe", &arn(filter)), allow("iot:Receive", &arn(topic))]))
        };
        let may = |action: &str, resource: &str| with(allow(action, &arn(resource)));
        let itself = "${iot:Connection.Thing.ThingName}";
        let hex = "?".repeat(40);
        let mut documents = vec![
            (with(allow("iot:*Job*", "*")), "the jobs"),
            (with(allow("iot:RetainPublish", "*")), "publish"),
            (with(allow("iot:GetRetainedMessage", "*")), "the retained messages"),
            (may("iot:UpdateJobExecution", "thing/a*"), "the jobs"),
            (may("iot:GetThingShadow", "thing/a*"), "the shadow"),
            (with(allow("iot:Publish", "arn:aws:iot:*:*:topic/*/sensors")), "publish"),
            (with(allow("iot:Publish", "*/sensors")), "publish"),
            (
                with(
                    json!({"Effect": "Allow", "NotAction": ["iot:Connect", "iot:Get*"], "Resource": arn("topic/a*")}),
                ),
                "publish",
            ),
            (may("iot:Publish", "topic/fleet/*"), ""),
            (may("iot:Publish", "topic/x/*"), ""),
            (may("iot:Publish", &format!("topic/*/{itself}/up")), ""),
            (may("iot:Publish", &format!("topic/data/{itself}/*")), ""),
            (reads("topicfilter/fleet/#", "topic/*"), ""),
            (reads("topicfilter/+/sensors", &format!("topic/{itself}/*")), ""),
            (reads(&format!("topicfilter/data/{itself}/#"), "topic/data/*"), ""),
            (
                with(json!([
                    allow("iot:Publish", &arn(&format!("topic/data/{itself}/up"))),
                    allow("iot:Publish", &arn("topic/data/*")),
                ])),
                "publish",
            ),
            (reads("topicfilter/+/sensors", "topic/a*"), "read the messages"),
            (default.clone(), ""),
        ];
        for filter in
            ["+/sensors", "+/#", "*/sensors", "a*", "#", "$aws/things/*", "$aws/things/+/shadow/#", &hex]
        {
            documents.push((reads(&format!("topicfilter/{filter}"), "topic/*"), "read the messages"));
        }
        for topic in ["*/sensors", "*/cmd", "a*", "$aws/things/*", "$aws/things/a*/jobs/*", "?*-1/*/up", &hex]
        {
            documents.push((may("iot:Publish", &format!("topic/{topic}")), "publish"));
        }
        for (document, expected) in documents {
            let found = dangers(std::slice::from_ref(&document), &scope());
            let is_told = match expected {
                "" => found.is_empty(),
                expected => found.len() == 1 && found[0].contains(expected),
            };
            let more = document["Statement"].as_array().unwrap();
            assert!(is_told, "{expected}: {found:?} {:?}", more.get(4..));
            let verdict = judged(Some(&document.to_string())).verdict;
            assert_eq!(verdict == Verdict::Dangerous, !expected.is_empty(), "{verdict:?}");
        }
    }
}
