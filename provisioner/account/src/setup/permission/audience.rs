//! Whom the policy of a function lets in. No I/O.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{INVOKE, INVOKE_URL, IOT, Wanted, statements};
use crate::policy_evaluation::{Caller, Request, is_allowed, items, texts};

/// Who may invoke the function, from nobody to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Audience {
    /// Not the rule.
    Nobody,
    /// The rule, and nobody else that was looked for.
    Rule,
    /// Other rules of the account, or services on its behalf, as well.
    Account,
    /// Rules, services or principals of other accounts, or anybody.
    Anybody,
}

/// Whom a function's whole policy lets in, and the statements that let in more than the rule, with their principals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doors {
    pub(crate) audience: Audience,
    pub(crate) is_rule_let_in: bool,
    pub(crate) wide: Vec<String>,
}

/// Evaluates the policy: it lets the rule in, and perhaps others. Statements of any form count, not only those of this tool.
pub(crate) fn doors(policy: Option<&Value>, wanted: &Wanted) -> Doors {
    let audience = policy.map_or(Audience::Nobody, |policy| audience_of_document(policy, wanted));
    let wide = statements(policy).iter().filter(|statement| audience_of(statement, wanted) > Audience::Rule);
    let named = |statement: &Value| {
        let id = statement["Sid"].as_str().unwrap_or("without an id");
        match principals(statement).as_slice() {
            [] => id.to_owned(),
            principals => format!("{id} ({})", principals.join(", ")),
        }
    };
    Doors {
        audience,
        is_rule_let_in: policy.is_some_and(|policy| is_let_in(policy, wanted, &Visitor::rule(wanted))),
        wide: wide.map(named).collect(),
    }
}

/// Whom a statement by itself lets in.
pub(super) fn audience_of(statement: &Value, wanted: &Wanted) -> Audience {
    audience_of_document(&serde_json::json!({ "Statement": statement }), wanted)
}

fn audience_of_document(policy: &Value, wanted: &Wanted) -> Audience {
    let visitors = services(policy, wanted).into_iter().chain(strangers(policy, wanted));
    let let_in = visitors.filter(|(_, visitor)| is_let_in(policy, wanted, visitor));
    let_in.map(|(audience, _)| audience).max().unwrap_or(Audience::Nobody)
}

/// Services that could ask, on behalf of the rule, of the account and of others: AWS IoT and those that the policy names,
/// with the sources that its conditions name.
fn services<'a>(policy: &'a Value, wanted: &'a Wanted) -> Vec<(Audience, Visitor<'a>)> {
    let principals = items(&policy["Statement"]).iter().flat_map(|s| texts(&s["Principal"]["Service"]));
    let services: BTreeSet<_> = principals.chain([IOT]).collect();
    let mut accounts = values(policy, "aws:SourceAccount");
    accounts.extend([wanted.account.clone(), stranger(wanted).to_owned()]);
    let mut rules = values(policy, "aws:SourceArn");
    rules.insert(format!("{}-of-another", wanted.rule));
    rules.extend(accounts.iter().map(|account| wanted.rule.replace(&wanted.account, account)));
    let mut visitors = Vec::new();
    for service in services {
        for rule in &rules {
            // Some ARNs, such as those of buckets, are without an account.
            let of = rule.split(':').nth(4).filter(|account| !account.is_empty());
            let of: Vec<_> = of.map_or_else(|| accounts.iter().map(String::as_str).collect(), |of| vec![of]);
            for account in of {
                let audience = match () {
                    () if account != wanted.account => Audience::Anybody,
                    () if service == IOT && *rule == wanted.rule => Audience::Rule,
                    () => Audience::Account,
                };
                let caller = Caller::Service(service);
                let (rule, account) = (Some(rule.clone()), Some(account.to_owned()));
                visitors.push((audience, Visitor { caller, rule, account, doubt: false }));
            }
        }
    }
    visitors
}

/// Principals of other accounts: of one that nobody names, and of those that the policy names. What the policy says of one
/// that it names counts as in favour, because nothing here knows whether a condition holds there.
fn strangers<'a>(policy: &'a Value, wanted: &'a Wanted) -> Vec<(Audience, Visitor<'a>)> {
    let named = items(&policy["Statement"]).iter().flat_map(|s| texts(&s["Principal"]["AWS"]));
    let accounts = named.filter_map(|name| name.split(':').nth(4).or(Some(name)));
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let accounts = accounts.filter(is_number).filter(|account| *account != wanted.account);
    let visitor =
        |account, doubt| Visitor { caller: Caller::Account(account), rule: None, account: None, doubt };
    let visitors = accounts.map(|account| visitor(account, true)).chain([visitor(stranger(wanted), false)]);
    visitors.map(|visitor| (Audience::Anybody, visitor)).collect()
}

/// The account of somebody else.
fn stranger(wanted: &Wanted) -> &'static str {
    if wanted.account == STRANGER { OTHER_STRANGER } else { STRANGER }
}

/// What the conditions of a policy compare a key with, with something in the place of each wildcard.
fn values(policy: &Value, key: &str) -> BTreeSet<String> {
    let conditions = items(&policy["Statement"]).iter().filter_map(|s| s["Condition"].as_object());
    let keys = conditions.flat_map(|operators| operators.values().filter_map(Value::as_object).flatten());
    let values = keys.filter(|(name, _)| name.eq_ignore_ascii_case(key)).flat_map(|(_, value)| texts(value));
    values.map(|value| value.replace(['*', '?'], "x")).collect()
}

/// Whom a statement names.
fn principals(statement: &Value) -> Vec<&str> {
    match &statement["Principal"] {
        Value::Object(kinds) => kinds.values().flat_map(texts).collect(),
        one => texts(one).collect(),
    }
}

/// An account that is not the user's: the number belongs to nobody.
const STRANGER: &str = "000000000000";
/// The same for a stand-in of AWS that gives its user this number.
const OTHER_STRANGER: &str = "000000000001";

/// Who asks to invoke the function.
struct Visitor<'a> {
    caller: Caller<'a>,
    rule: Option<String>,
    account: Option<String>,
    /// Whether a condition that nothing here knows counts as in favour.
    doubt: bool,
}

impl Visitor<'_> {
    fn rule(wanted: &Wanted) -> Self {
        let (rule, account) = (Some(wanted.rule.clone()), Some(wanted.account.clone()));
        Self { caller: Caller::Service(IOT), rule, account, doubt: false }
    }
}

/// Whether the policy lets a visitor in.
fn is_let_in(policy: &Value, wanted: &Wanted, visitor: &Visitor<'_>) -> bool {
    let keys =
        [("aws:SourceArn", visitor.rule.as_deref()), ("aws:SourceAccount", visitor.account.as_deref())];
    // A resource policy is about its own resource, whose ARN is as the policy writes it.
    let own = items(&policy["Statement"]).first();
    let resource = own.and_then(|statement| statement["Resource"].as_str()).unwrap_or(&wanted.function);
    let caller = Some(visitor.caller);
    let is_allowed_to = |action, keys: &[(&str, Option<&str>)]| {
        let request = Request { action, resource, caller, keys, doubt: visitor.doubt };
        is_allowed(std::slice::from_ref(policy), &request)
    };
    // Services have no use for the URL. Who asks there does so without a signature (NONE), or with one of any account.
    let by_url = |kind| {
        let [rule, account] = keys;
        let url =
            [("lambda:FunctionUrlAuthType", Some(kind)), ("lambda:InvokedViaFunctionUrl", Some("true"))];
        is_allowed_to(INVOKE_URL, &[rule, account, url[0], url[1]])
    };
    is_allowed_to(INVOKE, &keys)
        || matches!(visitor.caller, Caller::Account(_)) && ["NONE", "AWS_IAM"].into_iter().any(by_url)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{policy, wanted};
    use super::*;
    use serde_json::json;

    /// Who is let in by a permission for the rule and one more statement, and by that statement alone.
    fn let_in(principal: Value, condition: Value) -> (Doors, Doors) {
        let right = json!({
            "StringEquals": {"AWS:SourceAccount": "123456789012"},
            "ArnLike": {"AWS:SourceArn": wanted().rule},
        });
        let mut alone = policy("other", condition);
        alone["Statement"][0]["Principal"] = principal;
        let mut both = policy("ours", right);
        let statements = both["Statement"].as_array_mut().unwrap();
        statements.push(alone["Statement"][0].clone());
        (doors(Some(&both), &wanted()), doors(Some(&alone), &wanted()))
    }

    #[test]
    fn a_policy_is_evaluated_and_whoever_else_it_lets_in_is_told() {
        let iot = || json!({"Service": "iot.amazonaws.com"});
        let arn = |arn: &str| json!({"ArnLike": {"aws:SourceArn": arn}});
        let account = json!({"StringEquals": {"AWS:SourceAccount": ["123456789012"]}});
        let two = json!({"StringEquals": {"AWS:SourceAccount": ["1", "123456789012"]}});
        let service = |name: &str| json!({"Service": name});
        let aws = |name: &str| json!({"AWS": name});
        let of_org = json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}});
        let by_rule = arn(&wanted().rule);
        for (principal, condition, audience, is_rule_let_in) in [
            (iot(), by_rule.clone(), Audience::Rule, true),
            (iot(), arn("arn:aws:iot:us-east-2:123456789012:rule/*"), Audience::Account, true),
            (iot(), arn("arn:aws:iot:*:*:rule/ForwardSignedButUnknownDevices"), Audience::Anybody, true),
            (iot(), account.clone(), Audience::Account, true),
            (iot(), json!({}), Audience::Anybody, true),
            (json!("*"), json!({}), Audience::Anybody, true),
            (json!({"AWS": "*"}), json!({}), Audience::Anybody, true),
            (json!("*"), account.clone(), Audience::Account, true),
            (json!("*"), by_rule.clone(), Audience::Rule, true),
            (
                json!({"AWS": "*"}),
                json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
                Audience::Nobody,
                false,
            ),
            (json!({"AWS": "arn:aws:iam::123456789012:root"}), json!({}), Audience::Nobody, false),
            (aws("arn:aws:iam::123456789012:role/own"), json!({}), Audience::Nobody, false),
            (aws("123456789012"), json!({}), Audience::Nobody, false),
            (aws("999999999999"), json!({}), Audience::Anybody, false),
            (aws("arn:aws:iam::999999999999:root"), json!({}), Audience::Anybody, false),
            (aws("arn:aws:iam::999999999999:role/evil"), json!({}), Audience::Anybody, false),
            (aws("arn:aws:iam::999999999999:role/evil"), of_org, Audience::Anybody, false),
            (json!({"AWS": ["123456789012", "999999999999"]}), json!({}), Audience::Anybody, false),
            (iot(), two, Audience::Anybody, true),
            (iot(), arn("arn:aws:iot:us-east-2:123456789012:rule/Other"), Audience::Account, false),
            (iot(), arn("arn:aws:iot:us-east-2:999999999999:rule/Other"), Audience::Anybody, false),
            (service("s3.amazonaws.com"), json!({}), Audience::Anybody, false),
            (service("sns.amazonaws.com"), json!({}), Audience::Anybody, false),
            (service("apigateway.amazonaws.com"), json!({}), Audience::Anybody, false),
            (service("s3.amazonaws.com"), account.clone(), Audience::Account, false),
            (service("s3.amazonaws.com"), arn("arn:aws:s3:::bucket"), Audience::Anybody, false),
            (
                service("s3.amazonaws.com"),
                json!({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bucket"},
                    "StringEquals": {"aws:SourceAccount": "123456789012"}}),
                Audience::Account,
                false,
            ),
            (
                service("events.amazonaws.com"),
                arn("arn:aws:events:us-east-2:123456789012:rule/*"),
                Audience::Account,
                false,
            ),
            (
                service("events.amazonaws.com"),
                arn("arn:aws:events:us-east-2:999999999999:rule/x"),
                Audience::Anybody,
                false,
            ),
        ] {
            let (both, alone) = let_in(principal.clone(), condition.clone());
            let case = format!("{principal} {condition}");
            assert_eq!((alone.audience, alone.is_rule_let_in), (audience, is_rule_let_in), "{case}");
            assert_eq!((both.audience, both.is_rule_let_in), (audience.max(Audience::Rule), true), "{case}");
            let is_wide = audience > Audience::Rule;
            assert_eq!(both.wide.len(), usize::from(is_wide), "{case}");
            let principals = json!({ "Principal": principal });
            let named = super::principals(&principals).join(", ");
            assert!(both.wide.iter().all(|wide| *wide == format!("other ({named})")), "{case}: {both:?}");
        }
        let mut any_action = policy("other", json!({}));
        any_action["Statement"][0]["Action"] = json!("lambda:*");
        any_action["Statement"][0]["Principal"] = aws("999999999999");
        let found = doors(Some(&any_action), &wanted());
        assert_eq!(
            (found.audience, found.wide),
            (Audience::Anybody, vec!["other (999999999999)".to_owned()])
        );
        for kind in ["NONE", "AWS_IAM"] {
            let condition = json!({"StringEquals": {"lambda:FunctionUrlAuthType": kind}});
            let mut url = policy("FunctionURLAllowPublicAccess", condition);
            url["Statement"][0]["Action"] = json!("lambda:InvokeFunctionUrl");
            url["Statement"][0]["Principal"] = json!("*");
            let found = doors(Some(&url), &wanted());
            assert_eq!(found.audience, Audience::Anybody, "{kind}");
            assert_eq!(found.wide, ["FunctionURLAllowPublicAccess (*)"]);
            url["Statement"][0]["Principal"] = aws("arn:aws:iam::123456789012:root");
            assert_eq!(doors(Some(&url), &wanted()).audience, Audience::Nobody, "{kind}");
        }
        let mut denied = policy(&wanted().statement, by_rule);
        denied["Statement"][0]["Effect"] = json!("Deny");
        assert!(!doors(Some(&denied), &wanted()).is_rule_let_in);
        let mut but_one = policy("other", json!({}));
        let statement = but_one["Statement"][0].as_object_mut().unwrap();
        statement.remove("Principal");
        statement.insert("NotPrincipal".into(), json!({"AWS": "arn:aws:iam::1:root"}));
        assert_eq!(doors(Some(&but_one), &wanted()).audience, Audience::Anybody);
        assert_eq!(doors(None, &wanted()).audience, Audience::Nobody);
    }
}
