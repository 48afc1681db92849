use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::iot_core::directory::AttachedThing;

/// No key has a value of its own.
static NO_KEYS: Keys = Keys::new();

const ARN: &str = "arn:aws:iot:us-east-2:420230807713";

/// A policy of the repository, for this account and Region.
fn document(text: &str) -> Json {
    let values = [("Partition", "aws"), ("Region", "us-east-2"), ("AccountId", "420230807713")];
    let fill = |text: String, (name, value): &(&str, &str)| text.replace(&format!("${{AWS::{name}}}"), value);
    serde_json::from_str(&values.iter().fold(text.to_owned(), fill)).unwrap()
}

/// The default policy of the boards.
fn zt_policy() -> Json {
    document(include_str!("../../../../infra/zt_policy.json"))
}

/// The published example of it.
fn example() -> Json {
    document(include_str!("../../../../lambda/docs/policy_example.json"))
}

fn statement(effect: &str, action: &str, resource: &str) -> Json {
    json!({"Effect": effect, "Action": action, "Resource": resource})
}

fn policy(statements: &Json) -> Policy {
    let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    Policy::parse(&document).expect("a well-formed policy")
}

fn attached(name: &str, exclusive: bool) -> AttachedThing {
    AttachedThing { name: name.to_owned(), exclusive }
}

fn context<'a>(client_id: &'a str, things: &'a [AttachedThing]) -> Context<'a> {
    let source_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Context { client_id, certificate_id: "c0ffee", things, source_ip, keys: &NO_KEYS }
}

#[track_caller]
fn check(policy: &Json, context: &Context<'_>, action: &str, resource: &str, expected: Decision) {
    let policy = Policy::parse(&policy.to_string()).expect("a well-formed policy");
    let resource = format!("{ARN}:{resource}");
    assert_eq!(evaluate(&[policy], action, &resource, context), expected, "{action} on {resource}");
}

#[test]
fn the_default_policy_allows_a_board_its_own_name_and_topics_only() {
    use Decision::{Allow, ImplicitDeny};
    let things = [attached("board1", false)];
    let own = context("board1", &things);
    for (action, resource, expected) in [
        ("iot:Connect", "client/board1", Allow),
        ("iot:Connect", "client/board2", ImplicitDeny),
        ("iot:Publish", "topic/board1/sensors", Allow),
        ("iot:Publish", "topic/board1/a/b/c", Allow),
        ("iot:Publish", "topic/board1", ImplicitDeny),
        ("iot:Publish", "topic/board2/sensors", ImplicitDeny),
        ("iot:Publish", "topic/$aws/things/board1/shadow/update", Allow),
        ("iot:Publish", "topic/$aws/things/board2/shadow/update", ImplicitDeny),
        ("iot:Subscribe", "topicfilter/board1/#", Allow),
        ("iot:Subscribe", "topicfilter/board1/command", Allow),
        ("iot:Subscribe", "topicfilter/board1/+", Allow),
        ("iot:Subscribe", "topicfilter/board2/#", ImplicitDeny),
        ("iot:Subscribe", "topicfilter/#", ImplicitDeny),
        ("iot:Subscribe", "topicfilter/+/command", ImplicitDeny),
        ("iot:GetThingShadow", "thing/board1", Allow),
        ("iot:UpdateThingShadow", "thing/board1", Allow),
        ("iot:GetThingShadow", "thing/board2", ImplicitDeny),
        ("iot:Receive", "topic/board1/command", Allow),
        ("iot:Receive", "topic/board2/command", ImplicitDeny),
        ("iot:RetainPublish", "topic/board1/sensors", ImplicitDeny),
    ] {
        check(&zt_policy(), &own, action, resource, expected);
    }
}

#[test]
fn mqtt_wildcards_in_a_topic_filter_stand_for_themselves() {
    let things = [attached("board1", false)];
    let own = context("board1", &things);
    // The example names `board1/#`: no other filter is that filter, not even a narrower one.
    for filter in ["board1/+", "board1/sensors", "#", "+/sensors"] {
        check(&example(), &own, "iot:Subscribe", &format!("topicfilter/{filter}"), Decision::ImplicitDeny);
    }
    check(&example(), &own, "iot:Subscribe", "topicfilter/board1/#", Decision::Allow);
    check(&example(), &own, "iot:GetThingShadow", "thing/board1", Decision::ImplicitDeny);
}

#[test]
fn the_thing_name_resolves_only_for_the_attached_thing_named_by_the_client_id_or_exclusively_attached() {
    let connect = |client_id: &str, things: &[AttachedThing]| {
        let policy =
            policy(&json!([statement("Allow", "iot:Connect", "*/${iot:Connection.Thing.ThingName}")]));
        evaluate(&[policy], "iot:Connect", &format!("{ARN}:client/{client_id}"), &context(client_id, things))
    };
    assert_eq!(connect("board1", &[attached("board1", false)]), Decision::Allow);
    assert_eq!(connect("board1", &[]), Decision::ImplicitDeny);
    assert_eq!(connect("board2", &[attached("board1", false)]), Decision::ImplicitDeny);

    let exclusive = [attached("board1", true)];
    let other_id = context("session-7", &exclusive);
    assert_eq!(other_id.thing(), Some("board1"));
    check(&zt_policy(), &other_id, "iot:Publish", "topic/board1/x", Decision::Allow);
    check(&zt_policy(), &other_id, "iot:Connect", "client/session-7", Decision::ImplicitDeny);
}

#[test]
fn deny_wins_wherever_it_stands() {
    let deny = statement("Deny", "iot:Publish", "*:topic/secret*");
    let allow = statement("Allow", "iot:*", "*");
    for statements in [json!([allow, deny]), json!([deny, allow])] {
        let context = context("any", &[]);
        let policy = policy(&statements);
        let publish = |topic: &str| {
            evaluate(std::slice::from_ref(&policy), "iot:Publish", &format!("{ARN}:topic/{topic}"), &context)
        };
        assert_eq!(publish("secret/plan"), Decision::ExplicitDeny);
        assert_eq!(publish("public"), Decision::Allow);
    }
    let separate = [policy(&json!([allow])), policy(&json!([deny]))];
    let topic = format!("{ARN}:topic/secret");
    assert_eq!(evaluate(&separate, "iot:Publish", &topic, &context("any", &[])), Decision::ExplicitDeny);
}

#[test]
fn conditions_are_evaluated_and_what_is_unknown_never_widens_access() {
    use Decision::{Allow, ExplicitDeny, ImplicitDeny};
    let things = [attached("board1", false)];
    let cases = [
        (json!({"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}}), "board1", Allow, ExplicitDeny),
        (json!({"Bool": {"iot:Connection.Thing.IsAttached": true}}), "other", ImplicitDeny, ImplicitDeny),
        (json!({"StringEquals": {"iot:ClientId": "board1"}}), "board1", Allow, ExplicitDeny),
        (json!({"StringEquals": {"iot:ClientId": "board*"}}), "board1", ImplicitDeny, ImplicitDeny),
        (json!({"StringLike": {"iot:ClientId": ["x", "board?"]}}), "board1", Allow, ExplicitDeny),
        (json!({"StringNotLike": {"iot:ClientId": "board?"}}), "board1", ImplicitDeny, ImplicitDeny),
        (json!({"StringEqualsIgnoreCase": {"iot:ClientId": "BOARD1"}}), "board1", Allow, ExplicitDeny),
        (
            json!({"StringEquals": {"iot:ClientId": "${iot:Connection.Thing.ThingName}"}}),
            "board1",
            Allow,
            ExplicitDeny,
        ),
        (json!({"StringNotEquals": {"iot:Connection.Thing.ThingName": "x"}}), "other", Allow, ExplicitDeny),
        (json!({"StringNotEquals": {"iot:DomainName": "x"}}), "board1", Allow, ExplicitDeny),
        (json!({"StringEquals": {"iot:DomainName": "x"}}), "board1", ImplicitDeny, ImplicitDeny),
        (json!({"StringEqualsIfExists": {"iot:DomainName": "x"}}), "board1", Allow, ExplicitDeny),
        (json!({"ForAllValues:StringEquals": {"iot:ConnectAttributes": "x"}}), "board1", Allow, ExplicitDeny),
        (
            json!({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": "x"}}),
            "board1",
            ImplicitDeny,
            ImplicitDeny,
        ),
        (json!({"Null": {"iot:DomainName": "true"}}), "board1", Allow, ExplicitDeny),
        (json!({"Null": {"iot:ClientId": true}}), "board1", ImplicitDeny, ImplicitDeny),
        (
            json!({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "127.0.0.0/8"]}}),
            "board1",
            Allow,
            ExplicitDeny,
        ),
        (json!({"IpAddress": {"aws:SourceIp": "127.0.0.1"}}), "board1", Allow, ExplicitDeny),
        (json!({"IpAddress": {"aws:SourceIp": "127.0.0.2/31"}}), "board1", ImplicitDeny, ImplicitDeny),
        (json!({"IpAddress": {"aws:SourceIp": "::1"}}), "board1", ImplicitDeny, ImplicitDeny),
        (json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), "board1", Allow, ExplicitDeny),
        (json!({"NumericLessThan": {"iot:ClientId": 7}}), "6.5", Allow, ExplicitDeny),
        (json!({"NumericGreaterThanEquals": {"iot:ClientId": "7"}}), "6.5", ImplicitDeny, ImplicitDeny),
        // Unknown: an Allow is void, a Deny stays in force.
        (json!({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01"}}), "board1", ImplicitDeny, ExplicitDeny),
        (json!({"StringNotEquals": {"iot:Domain": "x"}}), "board1", ImplicitDeny, ExplicitDeny),
        (
            json!({"ForSomeValues:StringEquals": {"iot:ClientId": "board1"}}),
            "board1",
            ImplicitDeny,
            ExplicitDeny,
        ),
        (
            json!({"StringNotEquals": {"iot:ClientId": "${aws:username}"}}),
            "board1",
            ImplicitDeny,
            ExplicitDeny,
        ),
    ];
    for (condition, client_id, allow, deny) in cases {
        let mut decided = Vec::new();
        for effect in ["Allow", "Deny"] {
            let statement =
                json!({"Effect": effect, "Action": "iot:Connect", "Resource": "*", "Condition": condition});
            let policy = policy(&json!([statement]));
            decided.push(evaluate(&[policy], "iot:Connect", ARN, &context(client_id, &things)));
        }
        assert_eq!(decided, [allow, deny], "{condition} for {client_id}");
    }
}

#[test]
fn a_client_id_with_wildcards_in_it_is_not_a_pattern() {
    let policy =
        policy(&json!([statement("Allow", "iot:Publish", &format!("{ARN}:topic/${{iot:ClientId}}/x"))]));
    let policies = [policy];
    let publish = |client_id: &str, topic: &str| {
        evaluate(&policies, "iot:Publish", &format!("{ARN}:topic/{topic}"), &context(client_id, &[]))
    };
    assert_eq!(publish("*", "someone/x"), Decision::ImplicitDeny);
    assert_eq!(publish("${iot:ClientId}", "${iot:ClientId}/x"), Decision::Allow);
    assert_eq!(publish("*", "*/x"), Decision::Allow);
}

#[test]
fn malformed_documents_are_errors() {
    for document in [
        "",
        "[]",
        r#"{"Statement": []}"#,
        r#"{"Version": "2008-10-17", "Statement": []}"#,
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]}"#,
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*"}]}"#,
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "NotAction": "a", "Resource": "*"}]}"#,
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "${iot:ClientId"}]}"#,
    ] {
        assert!(Policy::parse(document).is_err(), "{document}");
    }
}

/// Patterns and texts over a small alphabet, so that they meet.
fn glob() -> impl Strategy<Value = String> {
    "[ab*?]{0,8}"
}

/// The definition of the wildcards, written for clarity rather than speed.
fn covers_by_definition(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), None) => covers_by_definition(rest, text),
        (Some((b'*', rest)), Some((_, tail))) => {
            covers_by_definition(rest, text) || covers_by_definition(pattern, tail)
        }
        (Some((b'?', rest)), Some((_, tail))) => covers_by_definition(rest, tail),
        (Some((wanted, rest)), Some((actual, tail))) => wanted == actual && covers_by_definition(rest, tail),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

proptest! {
    #[test]
    fn matching_agrees_with_the_definition_of_the_wildcards(pattern in glob(), text in "[ab]{0,8}") {
        let parsed = Pattern::parse(&pattern).expect("no variables in it");
        let expected = covers_by_definition(pattern.as_bytes(), text.as_bytes());
        prop_assert_eq!(parsed.matches(&text, &context("c", &[])), Some(expected));
    }

    #[test]
    fn parsing_never_panics(document in any::<String>(), pattern in r"[a$\{\}*?é]{0,12}") {
        let _ = Policy::parse(&document);
        if let Ok(pattern) = Pattern::parse(&pattern) {
            let _ = pattern.matches("aé$", &context("c", &[]));
        }
    }

    #[test]
    fn a_deny_that_matches_wins_over_any_allow(
        allow in glob(), deny in glob(), action in "[ab]{1,4}", resource in "[ab]{1,4}"
    ) {
        let statements = [statement("Allow", &allow, &allow), statement("Deny", &deny, &deny)];
        let policies = [policy(&json!(statements))];
        let covers = |pattern: &str| {
            covers_by_definition(pattern.as_bytes(), action.as_bytes())
                && covers_by_definition(pattern.as_bytes(), resource.as_bytes())
        };
        let expected = match (covers(&deny), covers(&allow)) {
            (true, _) => Decision::ExplicitDeny,
            (false, true) => Decision::Allow,
            (false, false) => Decision::ImplicitDeny,
        };
        prop_assert_eq!(evaluate(&policies, &action, &resource, &context("c", &[])), expected);
    }
}

/// The keys of a connection with a certificate that has two countries, and a thing with an attribute.
fn keys() -> Keys {
    let entry = |key: &str, values: &[&str]| (key.to_owned(), values.iter().map(|&v| v.to_owned()).collect());
    Keys::from([
        entry("iot:certificate.subject.country", &["DE", "AT"]),
        entry("iot:certificate.subject.commonname", &["sn0123"]),
        entry("iot:certificate.issuer.alternativename.dnsname", &["ca.example"]),
        entry("iot:connection.thing.thingtypename", &["kit"]),
        entry("iot:connection.thing.attributes[room]", &["cellar"]),
        entry("iot:connectattributes", &["LastWill", "PersistentConnect"]),
    ])
}

#[test]
fn variables_of_things_and_certificates_have_their_values() {
    let (things, keys) = ([attached("board1", false)], keys());
    let own = Context { keys: &keys, ..context("board1", &things) };
    for (resource, topic, expected) in [
        ("${iot:Connection.Thing.ThingTypeName}", "kit", Decision::Allow),
        ("${iot:Connection.Thing.Attributes[room]}", "cellar", Decision::Allow),
        ("${iot:Connection.Thing.Attributes[floor]}", "", Decision::ImplicitDeny),
        ("${iot:Certificate.Subject.CommonName}", "sn0123", Decision::Allow),
        ("${iot:Certificate.Subject.Country}", "DE", Decision::Allow),
        ("${iot:Certificate.Subject.Country.1}", "AT", Decision::Allow),
        ("${iot:Certificate.Subject.Country.2}", "", Decision::ImplicitDeny),
        ("${iot:Certificate.Issuer.AlternativeName.DNSName}", "ca.example", Decision::Allow),
    ] {
        let policy = json!({ "Version": VERSION, "Statement": [statement("Allow", "iot:Publish", &format!("{ARN}:topic/{resource}"))] });
        check(&policy, &own, "iot:Publish", &format!("topic/{topic}"), expected);
    }
}

#[test]
fn a_key_with_several_values_is_compared_as_its_quantifier_says() {
    let keys = keys();
    let own = Context { keys: &keys, ..context("board1", &[]) };
    let (both, one, other) =
        (json!(["LastWill", "PersistentConnect"]), json!("PersistentConnect"), json!("x"));
    for (operator, values, holds) in [
        ("ForAllValues:StringEquals", &both, true),
        ("ForAllValues:StringEquals", &one, false),
        ("ForAnyValue:StringEquals", &one, true),
        ("ForAnyValue:StringEquals", &other, false),
        ("ForAllValues:StringNotEquals", &other, true),
        ("ForAnyValue:StringNotEquals", &both, false),
    ] {
        let document = json!({ operator: { "iot:ConnectAttributes": values } });
        let conditions = Condition::parse(serde_json::from_value(document).unwrap()).unwrap();
        assert_eq!(conditions[0].holds(&own), Some(holds), "{operator} {values}");
    }
}

#[test]
fn what_is_unknown_in_a_policy_is_named() {
    let policy = policy(&json!([{
        "Effect": "Allow",
        "Action": "iot:Publish",
        "Resource": ["${iot:ClientId}", "${aws:username}"],
        "Condition": {
            "DateLessThan": { "aws:CurrentTime": "2030-01-01" },
            "StringEquals": { "iot:Certificate.Subject.Country.1": "${cognito-identity.amazonaws.com:sub}" },
        },
    }]));
    let unknown =
        ["${aws:username}", "${cognito-identity.amazonaws.com:sub}", "DateLessThan", "aws:CurrentTime"];
    assert_eq!(policy.unknown(), unknown);
}

#[test]
fn a_decision_names_the_statement_or_what_is_missing() {
    let things = [attached("board1", false)];
    let zt = Policy::named("zt_policy", &zt_policy().to_string()).unwrap();
    let conditional = Policy::named(
        "conditional",
        &json!({ "Version": VERSION, "Statement": [
            { "Sid": "Own", "Effect": "Allow", "Action": "iot:Publish", "Resource": "*", "Condition": {
                "StringEquals": { "iot:ClientId": ["a", "b"] } } },
            { "Effect": "Deny", "Action": "iot:Publish", "Resource": "*/secret" },
        ] })
        .to_string(),
    )
    .unwrap();
    let said = |policies: &[Policy], client_id: &str, action: &str, resource: &str| {
        explain(policies, action, &format!("{ARN}:{resource}"), &context(client_id, &things)).reason
    };
    let own = std::slice::from_ref(&zt);
    let other = std::slice::from_ref(&conditional);
    let table = [
        said(&[], "board1", "iot:Connect", "client/board1"),
        said(own, "board1", "iot:Connect", "client/board1"),
        said(own, "board2", "iot:Connect", "client/board2"),
        said(own, "board1", "iot:Publish", "topic/other"),
        said(own, "board1", "iot:RetainPublish", "topic/board1/x"),
        said(other, "c", "iot:Publish", "topic/x"),
        said(other, "a", "iot:Publish", "topic/secret"),
        said(&[zt.clone(), conditional.clone()], "a", "iot:Publish", "topic/x"),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    no policy is attached to the certificate or to a group of its things, so that nothing allows iot:Connect
    statement 1 of zt_policy allows it
    statement 1 of zt_policy allows iot:Connect on arn:aws:iot:us-east-2:420230807713:client/${iot:Connection.Thing.ThingName} alone; ${iot:Connection.Thing.ThingName} has no value: the certificate is attached to no thing with the client id "board2" as its name, and to none exclusively
    statement 2 of zt_policy allows iot:Publish on arn:aws:iot:us-east-2:420230807713:topic/${iot:Connection.Thing.ThingName}/*, arn:aws:iot:us-east-2:420230807713:topic/$aws/things/${iot:Connection.Thing.ThingName}/shadow/* alone; ${iot:Connection.Thing.ThingName} is board1
    no statement of zt_policy allows iot:RetainPublish
    statement Own of conditional has the condition StringEquals iot:ClientId ["a", "b"], and iot:ClientId is c
    statement 2 of conditional denies it
    statement Own of conditional allows it
    "#);
    let missing = explain(own, "iot:Connect", &format!("{ARN}:client/x"), &context("x", &things)).missing;
    assert_eq!(missing, ["iot:Connection.Thing.ThingName"]);
}
