//! AWS IoT policy documents: filling a template, and evaluating what a user may have attached.

use std::net::{IpAddr, Ipv4Addr};

use jitr::policy::PolicyTemplate;
use jitr::scope::Scope;
use testbed::iot_core::directory::AttachedThing;
use testbed::iot_core::policy::{Context, Decision, Keys, Policy, evaluate};

const DENY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"iot:*","Resource":"*"}]}"#;

/// Panics where this does not hold.
pub(crate) fn check(text: &str) {
    let scope = Scope { partition: "aws".into(), region: "eu-west-1".into(), account: "123456789012".into() };
    if let Ok(document) = PolicyTemplate::parse(text).and_then(|template| template.fill(&scope)) {
        assert!(document.is_same_as(&document.to_string()));
    }

    let Ok(policy) = Policy::parse(text) else { return };
    let things = [AttachedThing { name: "0a1b".into(), exclusive: false }];
    let context = Context {
        client_id: "0a1b",
        certificate_id: "c0ffee",
        things: &things,
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        keys: &Keys::new(),
    };
    let denying = Policy::parse(DENY).unwrap();
    for (action, resource) in
        [("Connect", "client/0a1b"), ("Publish", "topic/0a1b/data"), ("Subscribe", "topicfilter/+")]
    {
        let (action, resource) = (format!("iot:{action}"), scope.arn(resource));
        let _ = evaluate(std::slice::from_ref(&policy), &action, &resource, &context);
        let both = [policy.clone(), denying.clone()];
        assert_eq!(evaluate(&both, &action, &resource, &context), Decision::ExplicitDeny);
    }
}
