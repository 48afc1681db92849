//! Policies of principals and groups, what they allow, and what the account is set to.

use aws_sdk_iot::types::{
    ActionType, AuthInfo, Configuration, EventType, ThingConnectivityIndexingMode,
    ThingIndexingConfiguration, ThingIndexingMode, ThingPrincipalType,
};
use testbed::iot_core::directory::Directory;
use testbed::journal::Happening;

use super::*;

const ARN: &str = "arn:aws:iot:us-east-1:123456789012";

fn policy(statement: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#)
}

/// A certificate, ACTIVE: its id and its ARN.
async fn certificate(iot: &aws_sdk_iot::Client, name: &str) -> (String, String) {
    let pem = Ca::new("CA").issue(name);
    let register =
        iot.register_certificate_without_ca().certificate_pem(pem).status(CertificateStatus::Active);
    let registered = register.send().await.unwrap();
    (registered.certificate_id.unwrap(), registered.certificate_arn.unwrap())
}

#[tokio::test]
#[expect(deprecated, reason = "clients still make these calls")]
async fn the_older_calls_for_policies_of_principals_do_the_same() {
    let account = Account::empty().await;
    let iot = account.iot();
    let (_, arn) = certificate(&iot, "board").await;
    iot.create_policy().policy_name("open").policy_document(OPEN_POLICY).send().await.unwrap();
    iot.attach_principal_policy().policy_name("open").principal(&arn).send().await.unwrap();
    let policies = iot.list_principal_policies().principal(&arn).send().await.unwrap().policies.unwrap();
    assert_eq!(policies[0].policy_name.as_deref(), Some("open"));
    let principals =
        iot.list_policy_principals().policy_name("open").send().await.unwrap().principals.unwrap();
    assert_eq!(principals, [arn.as_str()]);
    let attached = iot.list_attached_policies().target(&arn).send().await.unwrap().policies.unwrap();
    assert_eq!(attached.len(), 1);
    iot.detach_principal_policy().policy_name("open").principal(&arn).send().await.unwrap();
    assert!(iot.list_principal_policies().principal(&arn).send().await.unwrap().policies.unwrap().is_empty());
}

#[tokio::test]
async fn the_policies_of_a_things_groups_apply_to_its_certificate() {
    let account = Account::empty().await;
    let iot = account.iot();
    let (id, arn) = certificate(&iot, "board").await;
    iot.create_thing_group().thing_group_name("fleet").send().await.unwrap();
    iot.create_thing_group().thing_group_name("lab").parent_group_name("fleet").send().await.unwrap();
    iot.create_thing().thing_name("board").send().await.unwrap();
    iot.add_thing_to_thing_group().thing_group_name("lab").thing_name("board").send().await.unwrap();
    for (name, group) in [("above", "fleet"), ("own", "lab")] {
        iot.create_policy().policy_name(name).policy_document(OPEN_POLICY).send().await.unwrap();
        let target = format!("{ARN}:thinggroup/{group}");
        iot.attach_policy().policy_name(name).target(target).send().await.unwrap();
    }
    let lab = format!("{ARN}:thinggroup/lab");
    let direct = iot.list_attached_policies().target(&lab).send().await.unwrap();
    assert_eq!(direct.policies.unwrap().len(), 1);
    let recursive = iot.list_attached_policies().target(&lab).recursive(true).send().await.unwrap();
    assert_eq!(recursive.policies.unwrap().len(), 2);

    let names = || {
        let policies = account.testbed.directory().named_policies(&id);
        policies.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert!(names().is_empty());
    iot.attach_thing_principal().thing_name("board").principal(&arn).send().await.unwrap();
    assert_eq!(names(), ["above", "own"]);
    let effective =
        iot.get_effective_policies().principal(&arn).send().await.unwrap().effective_policies.unwrap();
    assert_eq!(effective.len(), 2);
    let of_thing = iot.get_effective_policies().thing_name("board").send().await.unwrap();
    assert_eq!(of_thing.effective_policies.unwrap().len(), 2);
    assert_eq!(refused!(iot.get_effective_policies()), is("InvalidRequestException", 400));
}

#[tokio::test]
async fn an_authorization_is_tested_without_a_connection() {
    let account = Account::empty().await;
    let iot = account.iot();
    let (_, arn) = certificate(&iot, "board").await;
    iot.create_thing().thing_name("board").send().await.unwrap();
    iot.attach_thing_principal().thing_name("board").principal(&arn).send().await.unwrap();
    let own = r#"{"Effect":"Allow","Action":"iot:*","Resource":"*/${iot:Connection.Thing.ThingName}*"}"#;
    let no_secrets = r#"{"Effect":"Deny","Action":"iot:Publish","Resource":"*/secret"}"#;
    for (name, statement) in [("own", own), ("no_secrets", no_secrets)] {
        iot.create_policy().policy_name(name).policy_document(policy(statement)).send().await.unwrap();
        iot.attach_policy().policy_name(name).target(&arn).send().await.unwrap();
    }
    let ask = async |client: Option<&str>, action: ActionType, resource: &str, skip: &[&str]| {
        let info =
            AuthInfo::builder().action_type(action).resources(format!("{ARN}:{resource}")).build().unwrap();
        let skip = skip.iter().map(|&name| name.to_owned()).collect();
        let call = iot.test_authorization().principal(&arn).set_client_id(client.map(str::to_owned));
        let call = call.set_policy_names_to_skip(Some(skip)).auth_infos(info);
        let result = call.send().await.unwrap().auth_results.unwrap().remove(0);
        let decision = result.auth_decision.unwrap().as_str().to_owned();
        (decision, result.missing_context_values.unwrap_or_default())
    };
    let decided = |decision: &str| (decision.to_owned(), Vec::<String>::new());
    let board = Some("board");
    assert_eq!(ask(board, ActionType::Connect, "client/board", &[]).await, decided("ALLOWED"));
    assert_eq!(ask(board, ActionType::Publish, "topic/board/x", &[]).await, decided("ALLOWED"));
    assert_eq!(ask(board, ActionType::Publish, "topic/other/x", &[]).await, decided("IMPLICIT_DENY"));
    assert_eq!(ask(board, ActionType::Publish, "topic/board/secret", &[]).await, decided("EXPLICIT_DENY"));
    assert_eq!(
        ask(board, ActionType::Publish, "topic/board/secret", &["no_secrets"]).await,
        decided("ALLOWED")
    );
    let missing = ("IMPLICIT_DENY".to_owned(), vec!["iot:Connection.Thing.ThingName".to_owned()]);
    assert_eq!(ask(None, ActionType::Connect, "client/board", &[]).await, missing);
}

#[tokio::test]
async fn what_a_policy_has_that_is_not_evaluated_is_told_once() {
    let account = Account::empty().await;
    let iot = account.iot();
    let statement = r#"{"Effect":"Allow","Action":"iot:*","Resource":"*","Condition":{
        "DateLessThan":{"aws:CurrentTime":"2030-01-01"}}}"#;
    iot.create_policy().policy_name("dated").policy_document(policy(statement)).send().await.unwrap();
    let version = || iot.create_policy_version().policy_name("dated").policy_document(policy(statement));
    version().send().await.unwrap();
    let entries = account.testbed.journal().entries();
    let notes: Vec<String> = entries
        .into_iter()
        .filter_map(|entry| match entry.what {
            Happening::Note(text) => Some(text),
            _ => None,
        })
        .collect();
    let never = "which the testbed does not evaluate: an Allow with it never applies, a Deny always";
    assert_eq!(
        notes,
        ["DateLessThan", "aws:CurrentTime"].map(|unknown| format!("policy dated has {unknown}, {never}"))
    );
}

#[tokio::test]
async fn attachments_are_listed_by_their_kind() {
    let account = Account::empty().await;
    let iot = account.iot();
    let (_, arn) = certificate(&iot, "board").await;
    iot.create_thing().thing_name("board").send().await.unwrap();
    let attach = iot.attach_thing_principal().thing_name("board").principal(&arn);
    attach.thing_principal_type(ThingPrincipalType::ExclusiveThing).send().await.unwrap();
    for (kind, number) in
        [(ThingPrincipalType::ExclusiveThing, 1), (ThingPrincipalType::NonExclusiveThing, 0)]
    {
        let things = iot.list_principal_things_v2().principal(&arn).thing_principal_type(kind.clone());
        assert_eq!(things.send().await.unwrap().principal_thing_objects.unwrap().len(), number);
        let principals = iot.list_thing_principals_v2().thing_name("board").thing_principal_type(kind);
        assert_eq!(principals.send().await.unwrap().thing_principal_objects.unwrap().len(), number);
    }
}

#[tokio::test]
async fn events_and_indexing_are_off_until_they_are_switched_on() {
    let account = Account::empty().await;
    let iot = account.iot();
    let enabled = async || {
        let events = iot.describe_event_configurations().send().await.unwrap().event_configurations.unwrap();
        events.iter().filter(|(_, event)| event.enabled).map(|(kind, _)| kind.clone()).collect::<Vec<_>>()
    };
    assert!(enabled().await.is_empty());
    let on = Configuration::builder().enabled(true).build();
    iot.update_event_configurations().event_configurations(EventType::Thing, on).send().await.unwrap();
    assert_eq!(enabled().await, [EventType::Thing]);

    let mode = async || {
        let found = iot.get_indexing_configuration().send().await.unwrap();
        found.thing_indexing_configuration.unwrap().thing_connectivity_indexing_mode
    };
    assert_eq!(mode().await, Some(ThingConnectivityIndexingMode::Off));
    let index = |things: ThingIndexingMode| {
        let status = ThingConnectivityIndexingMode::Status;
        let things = ThingIndexingConfiguration::builder()
            .thing_indexing_mode(things)
            .thing_connectivity_indexing_mode(status)
            .build()
            .unwrap();
        iot.update_indexing_configuration().thing_indexing_configuration(things)
    };
    assert_eq!(refused!(index(ThingIndexingMode::Off)), is("InvalidRequestException", 400));
    index(ThingIndexingMode::Registry).send().await.unwrap();
    assert_eq!(mode().await, Some(ThingConnectivityIndexingMode::Status));
}
