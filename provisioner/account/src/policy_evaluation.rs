//! Policy evaluation: whether policy documents alone allow an action on a resource.
//!
//! The same grammar serves AWS IAM and AWS IoT policies (IAM User Guide, "Policy evaluation logic"): an explicit denial
//! wins over any permission. `NotAction` and `NotResource` are not understood and count as matching nothing.

use serde_json::Value;

/// Whether the documents together allow `action` on `resource`.
///
/// A permission under a condition counts as none, because nothing here knows whether the condition will hold. A `*` in
/// A `*` in `resource` is literal: a statement matches it only with its own `*`.
pub(super) fn allows(documents: &[Value], action: &str, resource: &str) -> bool {
    let matching = |effect: &str| {
        documents.iter().flat_map(|document| items(&document["Statement"])).any(|statement| {
            statement["Effect"] == effect
                && matches(&statement["Action"], &action.to_ascii_lowercase(), str::to_ascii_lowercase)
                && matches(&statement["Resource"], resource, str::to_owned)
                && (effect == "Deny" || statement["Condition"].is_null())
        })
    };
    matching("Allow") && !matching("Deny")
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

/// A list, or the one item that stands for a list of one.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

fn matches(patterns: &Value, text: &str, normalise: fn(&str) -> String) -> bool {
    items(patterns)
        .iter()
        .filter_map(Value::as_str)
        .any(|pattern| covers(normalise(pattern).as_bytes(), text.as_bytes()))
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
