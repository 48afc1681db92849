//! The policy that devices get: whether a device can connect with it, and whether it can act as another. No I/O.

use std::collections::BTreeSet;

use jitr::policy::{MAX_DOCUMENT_SIZE, PolicyTemplate};
use jitr::registration::Settings as Registration;
use jitr::scope::Scope;
use serde_json::Value;

use super::finding::{Finding, Remedy};
use crate::Resource;
use crate::policy_evaluation::{Request, is_allowed, permissions};

/// Two boards of one account. One of them has a certificate, and would like to be the other.
const BOARD: &str = "board-a";
const OTHER: &str = "board-b";

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
                return Finding::wrong(link, name, found).remedy(Remedy::ReplacePolicy);
            }
            if dangers.is_empty() {
                return Finding::notable(link, name, found);
            }
            found
        }
    };
    match dangers.is_empty() {
        true => Finding::right(link, name, found),
        false => {
            found.extend(dangers);
            Finding::dangerous(link, name, found).remedy(Remedy::ReplacePolicy)
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

/// What a board that has these policies may do with the name of another.
pub(super) fn dangers(documents: &[Value], scope: &Scope) -> Vec<String> {
    let mut dangers = Vec::new();
    let names = other_names(documents, scope);
    if let Some(name) = names.iter().find(|name| connects(documents, scope, name, true)) {
        let name = if name == OTHER { "any name".to_owned() } else { format!("the name {name}") };
        dangers.push(format!("a board can connect under {name} (iot:Connect)"));
    }
    let topic = format!("topic/{OTHER}/x");
    let shadow = format!("topic/$aws/things/{OTHER}/shadow/update");
    let filter = format!("topicfilter/{OTHER}/#");
    let as_itself =
        |action, resource: &str| is_board_allowed(documents, scope, BOARD, action, resource, true);
    if as_itself("iot:Publish", &topic) || as_itself("iot:Publish", &shadow) {
        dangers.push("a board can publish on the topics of another (iot:Publish)".to_owned());
    }
    let subscribes = ["topicfilter/#", "topicfilter/+/x", &filter];
    if subscribes.iter().any(|filter| as_itself("iot:Subscribe", filter)) && as_itself("iot:Receive", &topic)
    {
        dangers.push("a board can read the messages of another (iot:Subscribe, iot:Receive)".to_owned());
    }
    let shadow_calls = ["iot:UpdateThingShadow", "iot:GetThingShadow", "iot:DeleteThingShadow"];
    let thing = format!("thing/{OTHER}");
    if shadow_calls.iter().any(|action| as_itself(action, &thing)) {
        dangers.push("a board can use the shadow of another (iot:UpdateThingShadow)".to_owned());
    }
    dangers
}

/// Names that a board could try: another's, and those that the document itself names, with something in the place of each
/// wildcard.
fn other_names(documents: &[Value], scope: &Scope) -> BTreeSet<String> {
    let clients = scope.arn("client/");
    let named =
        documents.iter().flat_map(permissions).filter_map(|(_, resource)| resource.strip_prefix(&clients));
    let named = named.filter(|name| !name.contains("${")).map(|name| name.replace(['*', '?'], "x"));
    named.chain([OTHER.to_owned()]).collect()
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
            (json!(allow("iot:*", "*")), &["any name", "publish", "read the messages", "the shadow"]),
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
}
