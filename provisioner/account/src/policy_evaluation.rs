//! Policy evaluation: whether policy documents allow a request.
//!
//! The same grammar serves policies of AWS IAM, AWS IoT and of Lambda functions (IAM User Guide, "Policy evaluation logic"):
//! an explicit denial wins over any permission.

use serde_json::Value;

mod condition;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caller<'a> {
    /// A service of AWS, by its principal such as `iot.amazonaws.com`.
    Service(&'a str),
    /// Somebody of the account with this number.
    Account(&'a str),
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// Such as `iot:Connect`.
    pub(super) action: &'a str,
    /// ARN. A `*` in it is literal: a statement matches it only with its own `*`.
    pub(super) resource: &'a str,
    /// Where the policy is a resource's and says who may ask.
    pub(super) caller: Option<Caller<'a>>,
    /// What is known of it: the value of a condition key or policy variable, or that it has none.
    pub(super) keys: &'a [(&'a str, Option<&'a str>)],
    /// Whether a condition or variable that nothing here knows counts as in favour of the request.
    pub(super) doubt: bool,
}

impl<'a> Request<'a> {
    /// The value of a key, if it is known whether there is one. Case does not matter.
    fn value(&self, key: &str) -> Option<Option<&'a str>> {
        self.keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| *value)
    }
}

/// Whether the documents together allow the request.
pub(super) fn is_allowed(documents: &[Value], request: &Request<'_>) -> bool {
    let statements = || documents.iter().flat_map(|document| items(&document["Statement"]));
    let allowed = statements().any(|statement| {
        statement["Effect"] == "Allow" && applies(statement, request).unwrap_or(request.doubt)
    });
    let denied = statements().any(|statement| {
        statement["Effect"] == "Deny" && applies(statement, request).unwrap_or(!request.doubt)
    });
    allowed && !denied
}

/// Whether a statement is about the request; `None` if that depends on what is not known.
fn applies(statement: &Value, request: &Request<'_>) -> Option<bool> {
    let action = request.action.to_ascii_lowercase();
    let is_action = |pattern: &str| covers(pattern.to_ascii_lowercase().as_bytes(), action.as_bytes());
    let acts = match &statement["NotAction"] {
        Value::Null => texts(&statement["Action"]).any(is_action),
        others => !texts(others).any(is_action),
    };
    let asks = request.caller.is_none_or(|caller| match &statement["NotPrincipal"] {
        Value::Null => names(&statement["Principal"], caller),
        others => !names(others, caller),
    });
    if !acts || !asks {
        return Some(false);
    }
    let is_resource = |patterns: &Value| {
        let mut unknown = false;
        for pattern in texts(patterns) {
            match filled(pattern, request) {
                Some(pattern) if covers(pattern.as_bytes(), request.resource.as_bytes()) => {
                    return Some(true);
                }
                Some(_) => {}
                // A variable without a value matches nothing; one that is not known may.
                None => unknown |= !lacks_a_value(pattern, request),
            }
        }
        if unknown { None } else { Some(false) }
    };
    let resource = match (&statement["NotResource"], request.caller) {
        (Value::Null, Some(_)) if statement["Resource"].is_null() => Some(true),
        (Value::Null, _) => is_resource(&statement["Resource"]),
        (others, _) => is_resource(others).map(|is| !is),
    };
    match (resource, condition::holds(&statement["Condition"], request)) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// Whether an element `Principal` names the caller. `*` alone, and as an account, is everybody, services included.
fn names(principal: &Value, caller: Caller<'_>) -> bool {
    if principal == "*" || texts(&principal["AWS"]).any(|account| account == "*") {
        return true;
    }
    match caller {
        Caller::Service(name) => {
            texts(&principal["Service"]).any(|service| service == name || service == "*")
        }
        Caller::Account(number) => texts(&principal["AWS"])
            .any(|account| account == number || account.split(':').nth(4) == Some(number)),
    }
}

/// Text with the values of its policy variables; `None` if one of them is not known or has none.
fn filled(text: &str, request: &Request<'_>) -> Option<String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, variable)) = rest.split_once("${") {
        let (name, after) = variable.split_once('}')?;
        filled.push_str(before);
        filled.push_str(request.value(name)??);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// Whether the text has a variable that is known to have no value.
fn lacks_a_value(text: &str, request: &Request<'_>) -> bool {
    let names = text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    names.into_iter().any(|name| request.value(name) == Some(None))
}

/// Every pair of action and resource that a document allows.
pub(super) fn permissions(document: &Value) -> Vec<(&str, &str)> {
    items(&document["Statement"])
        .iter()
        .filter(|statement| statement["Effect"] == "Allow")
        .flat_map(|statement| {
            let resources = items(&statement["Resource"]);
            items(&statement["Action"])
                .iter()
                .filter_map(Value::as_str)
                .flat_map(move |action| resources.iter().filter_map(Value::as_str).map(move |r| (action, r)))
        })
        .collect()
}

/// Every resource that a document's statements allow something on, as they write it.
pub(super) fn allowed_resources(document: &Value) -> impl Iterator<Item = &str> {
    let allowed = items(&document["Statement"]).iter().filter(|statement| statement["Effect"] == "Allow");
    allowed.flat_map(|statement| texts(&statement["Resource"]))
}

/// The texts of a list, or the one that stands for a list of one.
pub(super) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    items(value).iter().filter_map(Value::as_str)
}

/// A list, or the one item that stands for a list of one.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Whether a pattern with `*` (any characters) and `?` (one) covers the text.
fn covers(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*` if what follows it does not fit.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after, from)) => {
                    (p, t) = (after, from + 1);
                    retry = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const THING: &str = "arn:aws:iot:us-east-2:123456789012:thing/*";

    fn allow(action: Value, resource: Value) -> Value {
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})
    }

    /// Of the request nothing else is known: a permission under a condition counts as none.
    fn allows(documents: &[Value], action: &str, resource: &str) -> bool {
        is_allowed(documents, &Request { action, resource, caller: None, keys: &[], doubt: false })
    }

    #[test]
    fn exact_names_patterns_and_lists_allow() {
        for document in [
            allow(json!("iot:CreateThing"), json!(THING)),
            allow(json!(["iot:x", "iot:creatething"]), json!([THING])),
            allow(json!("iot:*"), json!("*")),
            allow(json!("*"), json!("arn:aws:iot:*:123456789012:thing/*")),
            json!({"Statement": {"Effect": "Allow", "Action": "iot:Create?hing", "Resource": "*"}}),
        ] {
            assert!(allows(&[json!({}), document.clone()], "iot:CreateThing", THING), "{document}");
        }
    }

    #[test]
    fn other_actions_narrower_resources_conditions_and_denials_do_not() {
        let mut conditional = allow(json!("iot:*"), json!("*"));
        conditional["Statement"][0]["Condition"] = json!({"Bool": {"aws:SecureTransport": "true"}});
        for document in [
            allow(json!("iot:CreateThingType"), json!("*")),
            allow(json!("iot:CreateThing"), json!("arn:aws:iot:us-east-2:123456789012:thing/a*")),
            conditional,
            json!({}),
        ] {
            assert!(!allows(std::slice::from_ref(&document), "iot:CreateThing", THING), "{document}");
        }
        let deny = json!({"Statement": [{"Effect": "Deny", "Action": "iot:Create*", "Resource": "*"}]});
        assert!(!allows(&[allow(json!("*"), json!("*")), deny], "iot:CreateThing", THING));
    }

    #[test]
    fn every_permission_of_a_document_is_allowed_by_it() {
        let document = allow(json!(["iot:a", "iot:b"]), json!(["r1", "r2"]));
        let pairs = permissions(&document);
        assert_eq!(pairs.len(), 4);
        assert!(pairs.iter().all(|(action, resource)| allows(
            std::slice::from_ref(&document),
            action,
            resource
        )));
    }

    /// What a board asks for that is connected under `client`, with the certificate of the thing `a`.
    fn of_board<'a>(
        action: &'a str,
        resource: &'a str,
        keys: &'a [(&'a str, Option<&'a str>)],
    ) -> Request<'a> {
        Request { action, resource, caller: None, keys, doubt: true }
    }

    #[test]
    fn variables_stand_for_their_values_and_one_without_a_value_matches_nothing() {
        let keys = [("iot:ClientId", Some("b")), ("iot:Connection.Thing.ThingName", None)];
        let by = |resource: &str| {
            let document = allow(json!("iot:Connect"), json!(resource));
            is_allowed(&[document], &of_board("iot:Connect", "client/b", &keys))
        };
        assert!(by("client/${iot:ClientId}") && by("client/${iot:clientid}*") && by("*"));
        assert!(!by("client/${iot:Connection.Thing.ThingName}"));
        // Whose value is not known may be any.
        assert!(by("client/${iot:Certificate.Subject.CommonName}"));
    }

    #[test]
    fn conditions_are_evaluated_where_their_keys_are_known_and_doubted_elsewhere() {
        let keys = [("aws:SourceArn", Some("arn:aws:iot:r:1:rule/a")), ("aws:SourceAccount", None)];
        let by = |condition: Value, doubt| {
            let mut document = allow(json!("*"), json!("*"));
            document["Statement"][0]["Condition"] = condition;
            is_allowed(&[document], &Request { doubt, ..of_board("iot:Connect", "x", &keys) })
        };
        for (condition, expected) in [
            (json!({"ArnLike": {"AWS:SourceArn": "arn:aws:iot:*:1:rule/*"}}), true),
            (json!({"ArnLike": {"AWS:SourceArn": "arn:aws:iot:*"}}), false),
            (json!({"ArnEquals": {"aws:sourcearn": ["arn:x", "arn:aws:iot:r:1:rule/?"]}}), true),
            (json!({"StringEquals": {"aws:SourceArn": "arn:aws:iot:r:1:rule/*"}}), false),
            (json!({"StringLike": {"aws:SourceArn": "arn:*"}}), true),
            (json!({"StringNotLike": {"aws:SourceArn": "arn:*"}}), false),
            (json!({"StringEquals": {"aws:SourceAccount": "1"}}), false),
            (json!({"StringEqualsIfExists": {"aws:SourceAccount": "1"}}), true),
            (json!({"StringNotEquals": {"aws:SourceAccount": "1"}}), true),
        ] {
            assert_eq!(
                (by(condition.clone(), true), by(condition.clone(), false)),
                (expected, expected),
                "{condition}"
            );
        }
        let unknown = json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}});
        assert!(by(unknown.clone(), true) && !by(unknown, false));
    }

    #[test]
    fn everybody_but_some_is_everybody_else() {
        let of = |principal: Value| json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": principal}});
        let asks = |document: Value, caller| {
            is_allowed(
                &[document],
                &Request { caller: Some(caller), ..of_board("lambda:InvokeFunction", "f", &[]) },
            )
        };
        let (iot, stranger) = (Caller::Service("iot.amazonaws.com"), Caller::Account("1"));
        for everybody in [json!("*"), json!({"AWS": "*"}), json!({"AWS": ["2", "*"]})] {
            assert!(asks(of(everybody.clone()), iot) && asks(of(everybody), stranger));
        }
        assert!(asks(of(json!({"AWS": "arn:aws:iam::1:root"})), stranger));
        assert!(!asks(of(json!({"AWS": "arn:aws:iam::2:root"})), stranger));
        assert!(!asks(of(json!({"Service": "iot.amazonaws.com"})), stranger));
        let but_iot = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
            "NotPrincipal": {"Service": "iot.amazonaws.com"}}});
        assert!(asks(but_iot.clone(), stranger) && !asks(but_iot, iot));
        let but_iam = json!({"Statement": {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "g", "Principal": "*"}});
        assert!(asks(but_iam, stranger));
    }

    proptest! {
        #[test]
        fn a_text_is_covered_by_itself_and_by_any_of_its_beginnings_with_a_star(
            text in "[a-c:/]{0,12}", cut in 0usize..12,
        ) {
            prop_assert!(covers(text.as_bytes(), text.as_bytes()));
            let cut = cut.min(text.len());
            for pattern in [format!("{}*", &text[..cut]), format!("*{}", &text[cut..])] {
                prop_assert!(covers(pattern.as_bytes(), text.as_bytes()), "{}", pattern);
            }
            let longer = format!("{}d", text);
            prop_assert!(!covers(longer.as_bytes(), text.as_bytes()));
        }
    }
}
