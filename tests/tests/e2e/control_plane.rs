//! The control plane, driven by AWS's SDK: happy paths, conflicts, states, pages, error types.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_iot::error::ProvideErrorMetadata;
use aws_sdk_iot::types::{
    Action, CaCertificateStatus, CertificateStatus, LambdaAction, Tag, TopicRulePayload,
};
use testbed::Options;
use testbed::iot_core::control_plane::{Fault, Interceptor, Operation, ServiceError, When};
use testbed::journal::Caller;

use crate::account::{Account, Ca, OPEN_POLICY};

/// The error type and status that the SDK sees.
macro_rules! refused {
    ($call:expr) => {{
        let error = $call.send().await.unwrap_err();
        let status = error.raw_response().unwrap().status().as_u16();
        (error.code().unwrap_or_default().to_owned(), status)
    }};
}

fn is(code: &str, status: u16) -> (String, u16) {
    (code.to_owned(), status)
}

mod authorization;
mod issued;
mod things;

#[tokio::test]
async fn a_ca_is_registered_only_with_proof_of_its_key() {
    let account = Account::empty().await;
    let iot = account.iot();
    let code = iot.get_registration_code().send().await.unwrap().registration_code.unwrap();
    assert_eq!(code.len(), 64);
    assert_eq!(iot.get_registration_code().send().await.unwrap().registration_code.unwrap(), code);

    let (ca, stranger) = (Ca::new("Signer"), Ca::new("Signer"));
    let register = || iot.register_ca_certificate().ca_certificate(ca.pem());
    assert_eq!(refused!(register()), is("InvalidRequestException", 400));
    assert_eq!(
        refused!(register().verification_certificate(ca.issue("not the code"))),
        is("RegistrationCodeValidationException", 400)
    );
    assert_eq!(
        refused!(register().verification_certificate(stranger.issue(&code))),
        is("CertificateValidationException", 400)
    );
    assert_eq!(
        refused!(iot.register_ca_certificate().ca_certificate("nonsense")),
        is("CertificateValidationException", 400)
    );

    let id = account.register(&ca).await;
    let found = iot.describe_ca_certificate().certificate_id(&id).send().await.unwrap();
    let description = found.certificate_description.unwrap();
    assert_eq!(description.status, Some(CaCertificateStatus::Active));
    assert_eq!(description.auto_registration_status.unwrap().as_str(), "ENABLE");
    assert_eq!(description.certificate_pem.unwrap().trim(), ca.pem().trim());
    assert!(description.validity.is_some() && found.registration_config.is_none());

    let again = register().verification_certificate(ca.issue(&code)).send().await.unwrap_err();
    let again = again.into_service_error();
    let aws_sdk_iot::operation::register_ca_certificate::RegisterCACertificateError::ResourceAlreadyExistsException(
        exists,
    ) = again
    else {
        panic!("{again:?}");
    };
    assert_eq!(exists.resource_id.as_deref(), Some(id.as_str()));
}

#[tokio::test]
async fn several_accounts_hold_a_ca_without_proof_and_it_is_deleted_only_when_inactive() {
    let account = Account::empty().await;
    let iot = account.iot();
    let register = |ca: &Ca| {
        iot.register_ca_certificate()
            .ca_certificate(ca.pem())
            .certificate_mode("SNI_ONLY".into())
            .tags(Tag::builder().key("tool").value("test").build().unwrap())
    };
    let first = register(&Ca::new("Same subject")).set_as_active(true).send().await.unwrap();
    for _ in 1..10 {
        register(&Ca::new("Same subject")).send().await.unwrap();
    }
    assert_eq!(refused!(register(&Ca::new("Same subject"))), is("LimitExceededException", 410));

    let (id, arn) = (first.certificate_id.unwrap(), first.certificate_arn.unwrap());
    let tags = iot.list_tags_for_resource().resource_arn(&arn).send().await.unwrap();
    assert_eq!(tags.tags.unwrap()[0].key, "tool");
    assert_eq!(
        refused!(iot.delete_ca_certificate().certificate_id(&id)),
        is("CertificateStateException", 406)
    );
    iot.update_ca_certificate()
        .certificate_id(&id)
        .new_status(CaCertificateStatus::Inactive)
        .remove_auto_registration(true)
        .send()
        .await
        .unwrap();
    iot.delete_ca_certificate().certificate_id(&id).send().await.unwrap();
    assert_eq!(
        refused!(iot.describe_ca_certificate().certificate_id(&id)),
        is("ResourceNotFoundException", 404)
    );
}

#[tokio::test]
async fn a_certificate_goes_only_where_its_state_and_attachments_allow() {
    let account = Account::empty().await;
    let iot = account.iot();
    let ca = Ca::new("Signer");
    let ca_id = account.register(&ca).await;
    let pem = ca.issue("sn0123");
    let registered =
        iot.register_certificate().certificate_pem(&pem).ca_certificate_pem(ca.pem()).send().await.unwrap();
    let (id, arn) = (registered.certificate_id.unwrap(), registered.certificate_arn.unwrap());
    let exists = refused!(iot.register_certificate_without_ca().certificate_pem(&pem));
    assert_eq!(exists, is("ResourceAlreadyExistsException", 409));
    assert_eq!(
        refused!(iot.register_certificate().certificate_pem(Ca::new("Stranger").issue("sn9"))),
        is("CertificateValidationException", 400)
    );

    let description = iot.describe_certificate().certificate_id(&id).send().await.unwrap();
    let description = description.certificate_description.unwrap();
    assert_eq!(description.ca_certificate_id.as_deref(), Some(ca_id.as_str()));
    assert_eq!(description.status, Some(CertificateStatus::Inactive));

    let update = |status: CertificateStatus| iot.update_certificate().certificate_id(&id).new_status(status);
    assert_eq!(refused!(update(CertificateStatus::PendingActivation)), is("InvalidRequestException", 400));
    // Nothing in AWS stops this one; that is for the registration workflow to refuse.
    update(CertificateStatus::Revoked).send().await.unwrap();
    update(CertificateStatus::Active).send().await.unwrap();

    iot.create_policy().policy_name("open").policy_document(OPEN_POLICY).send().await.unwrap();
    iot.attach_policy().policy_name("open").target(&arn).send().await.unwrap();
    iot.create_thing().thing_name("thing").send().await.unwrap();
    iot.attach_thing_principal().thing_name("thing").principal(&arn).send().await.unwrap();

    let delete = || iot.delete_certificate().certificate_id(&id);
    assert_eq!(refused!(delete()), is("CertificateStateException", 406));
    update(CertificateStatus::Inactive).send().await.unwrap();
    assert_eq!(refused!(delete().force_delete(true)), is("DeleteConflictException", 409));
    assert_eq!(refused!(iot.delete_thing().thing_name("thing")), is("InvalidRequestException", 400));
    iot.detach_thing_principal().thing_name("thing").principal(&arn).send().await.unwrap();
    assert_eq!(refused!(delete()), is("DeleteConflictException", 409));
    assert_eq!(refused!(iot.delete_policy().policy_name("open")), is("DeleteConflictException", 409));
    delete().force_delete(true).send().await.unwrap();
    assert_eq!(refused!(delete()), is("ResourceNotFoundException", 404));
    iot.delete_policy().policy_name("open").send().await.unwrap();
    iot.delete_thing().thing_name("thing").send().await.unwrap();
}

#[tokio::test]
async fn a_certificate_in_transfer_keeps_its_state() {
    let account = Account::empty().await;
    let iot = account.iot();
    let pem = Ca::new("Any").issue("sn1");
    let id = iot.register_certificate_without_ca().certificate_pem(&pem).send().await.unwrap();
    let id = id.certificate_id.unwrap();
    account.testbed.account().begin_transfer(&id).unwrap();
    let update = iot.update_certificate().certificate_id(&id).new_status(CertificateStatus::Active);
    assert_eq!(refused!(update), is("CertificateStateException", 406));
}

#[tokio::test]
async fn policies_are_created_once_and_have_at_most_five_versions() {
    let account = Account::empty().await;
    let iot = account.iot();
    let create = |document: &str| iot.create_policy().policy_name("zt_policy").policy_document(document);
    assert_eq!(refused!(create("{")), is("MalformedPolicyException", 400));
    assert_eq!(
        refused!(create(r#"{"Version":"2012-10-17","Statement":[]}"#)),
        is("MalformedPolicyException", 400)
    );
    let long = OPEN_POLICY.replace('*', &"x".repeat(2048));
    assert_eq!(refused!(create(&long)), is("MalformedPolicyException", 400));
    let created = create(OPEN_POLICY).send().await.unwrap();
    assert_eq!(created.policy_arn.unwrap(), "arn:aws:iot:us-east-1:123456789012:policy/zt_policy");
    assert_eq!(refused!(create(OPEN_POLICY)), is("ResourceAlreadyExistsException", 409));
    let got = iot.get_policy().policy_name("zt_policy").send().await.unwrap();
    assert_eq!(got.policy_document.unwrap(), OPEN_POLICY);

    let version = || iot.create_policy_version().policy_name("zt_policy").policy_document(OPEN_POLICY);
    for _ in 2..=5 {
        version().send().await.unwrap();
    }
    assert_eq!(refused!(version()), is("VersionsLimitExceededException", 409));
    let set = iot.set_default_policy_version().policy_name("zt_policy");
    set.policy_version_id("3").send().await.unwrap();
    let delete = |id: &str| iot.delete_policy_version().policy_name("zt_policy").policy_version_id(id);
    assert_eq!(refused!(delete("3")), is("DeleteConflictException", 409));
    for id in ["1", "2", "4", "5"] {
        delete(id).send().await.unwrap();
    }
    let versions = iot.list_policy_versions().policy_name("zt_policy").send().await.unwrap();
    assert_eq!(versions.policy_versions.unwrap().len(), 1);
    assert_eq!(refused!(iot.get_policy().policy_name("other")), is("ResourceNotFoundException", 404));
}

#[tokio::test]
async fn ten_policies_fit_on_a_certificate() {
    let account = Account::empty().await;
    let iot = account.iot();
    let certificate = iot.register_certificate_without_ca().certificate_pem(Ca::new("Any").issue("sn1"));
    let arn = certificate.send().await.unwrap().certificate_arn.unwrap();
    let attach = |name: &str| iot.attach_policy().policy_name(name).target(&arn);
    for index in 0..11 {
        let name = format!("policy{index}");
        iot.create_policy().policy_name(&name).policy_document(OPEN_POLICY).send().await.unwrap();
        if index < 10 {
            attach(&name).send().await.unwrap();
        }
    }
    attach("policy0").send().await.unwrap();
    assert_eq!(refused!(attach("policy10")), is("LimitExceededException", 410));
    let attached = iot.list_attached_policies().target(&arn).page_size(4).send().await.unwrap();
    assert_eq!(attached.policies.unwrap().len(), 4);
    assert!(attached.next_marker.is_some());
    let targets = iot.list_targets_for_policy().policy_name("policy0").send().await.unwrap();
    assert_eq!(targets.targets.unwrap(), [arn]);
}

fn rule(sql: &str) -> TopicRulePayload {
    let function = "arn:aws:lambda:us-east-1:123456789012:function:JITR";
    let action = LambdaAction::builder().function_arn(function).build().unwrap();
    let action = Action::builder().lambda(action).build();
    TopicRulePayload::builder().sql(sql).actions(action).build().unwrap()
}

#[tokio::test]
async fn topic_rules_are_created_read_replaced_and_deleted() {
    let account = Account::empty().await;
    let iot = account.iot();
    let sql = "SELECT * FROM '$aws/events/certificates/registered/#'";
    let create = |sql: &str| {
        iot.create_topic_rule().rule_name("Forward").topic_rule_payload(rule(sql)).tags("tool=x%20y")
    };
    for bad in [
        "",
        "SELECT temperature FROM 'a'",
        "SELECT * FROM 'a",
        "SELECT * FROM 'a' WHERE b",
        "SELECT * FROM '#/a'",
    ] {
        assert_eq!(refused!(create(bad)), is("SqlParseException", 400), "{bad}");
    }
    // What AWS answers for a rule that does not exist.
    assert_eq!(refused!(iot.get_topic_rule().rule_name("Forward")), is("UnauthorizedException", 401));
    create(sql).send().await.unwrap();
    assert_eq!(refused!(create(sql)), is("ResourceAlreadyExistsException", 409));
    iot.disable_topic_rule().rule_name("Forward").send().await.unwrap();
    let got = iot.get_topic_rule().rule_name("Forward").send().await.unwrap();
    let (arn, got) = (got.rule_arn.unwrap(), got.rule.unwrap());
    assert_eq!((got.sql.as_deref(), got.rule_disabled), (Some(sql), Some(true)));
    assert!(got.actions.unwrap()[0].lambda.is_some() && got.created_at.is_some());
    let tags = iot.list_tags_for_resource().resource_arn(&arn).send().await.unwrap();
    assert_eq!(tags.tags.unwrap()[0].value.as_deref(), Some("x y"));
    let replace = iot.replace_topic_rule().rule_name("Forward").topic_rule_payload(rule("SELECT * FROM 'a'"));
    replace.send().await.unwrap();
    let listed = iot.list_topic_rules().send().await.unwrap().rules.unwrap();
    assert_eq!(listed[0].topic_pattern.as_deref(), Some("a"));
    assert_eq!(listed[0].rule_disabled, Some(false));
    iot.delete_topic_rule().rule_name("Forward").send().await.unwrap();
    assert!(iot.list_topic_rules().send().await.unwrap().rules.unwrap().is_empty());
}

#[tokio::test]
async fn lists_come_in_pages_that_survive_deletions() {
    let account = Account::empty().await;
    let iot = account.iot();
    for index in 0..60 {
        iot.create_thing().thing_name(format!("thing{index:02}")).send().await.unwrap();
    }
    let first = iot.list_things().send().await.unwrap();
    assert_eq!(first.things.as_ref().map(Vec::len), Some(25));
    for thing in first.things.unwrap() {
        iot.delete_thing().thing_name(thing.thing_name.unwrap()).send().await.unwrap();
    }
    let second = iot.list_things().next_token(first.next_token.unwrap()).send().await.unwrap();
    assert_eq!(second.things.unwrap()[0].thing_name.as_deref(), Some("thing25"));
    let rest: Vec<_> = iot.list_things().into_paginator().items().send().try_collect().await.unwrap();
    assert_eq!(rest.len(), 35);
    assert_eq!(refused!(iot.list_things().max_results(251)), is("InvalidRequestException", 400));
    assert_eq!(refused!(iot.list_things().next_token("zz")), is("InvalidRequestException", 400));
}

#[tokio::test]
async fn certificates_are_listed_in_the_order_of_registration_and_by_ca() {
    let account = Account::empty().await;
    let iot = account.iot();
    let ca = Ca::new("Signer");
    let ca_id = account.register(&ca).await;
    let mut ids = Vec::new();
    for index in 0..5 {
        let register = iot.register_certificate().certificate_pem(ca.issue(&format!("sn{index}")));
        ids.push(register.send().await.unwrap().certificate_id.unwrap());
    }
    iot.register_certificate_without_ca().certificate_pem(Ca::new("Other").issue("sn")).send().await.unwrap();
    let by_ca = iot.list_certificates_by_ca().ca_certificate_id(&ca_id).send().await.unwrap();
    let by_ca: Vec<_> = by_ca.certificates.unwrap().into_iter().map(|c| c.certificate_id.unwrap()).collect();
    assert_eq!(by_ca, ids);
    let page = iot.list_certificates().ascending_order(false).page_size(2).send().await.unwrap();
    let page = page.certificates.unwrap();
    assert_eq!(page[1].certificate_id.as_ref(), ids.last());
}

#[tokio::test]
async fn the_endpoint_for_devices_differs_from_the_legacy_one() {
    let account = Account::empty().await;
    let iot = account.iot();
    let ats = iot.describe_endpoint().endpoint_type("iot:Data-ATS").send().await.unwrap();
    assert_eq!(ats.endpoint_address.as_deref(), Some(testbed::HOST));
    let legacy = iot.describe_endpoint().send().await.unwrap();
    assert_ne!(legacy.endpoint_address, ats.endpoint_address);
    assert_eq!(
        refused!(iot.describe_endpoint().endpoint_type("iot:None")),
        is("InvalidRequestException", 400)
    );
}

#[tokio::test]
async fn the_caller_is_known_and_a_wrong_region_is_refused() {
    let account = Account::empty().await;
    let identity = account.sts().get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account.as_deref(), Some("123456789012"));
    let elsewhere = account.config.to_builder().region(aws_config::Region::new("eu-west-1")).build();
    let elsewhere = aws_sdk_iot::Client::new(&elsewhere);
    assert_eq!(refused!(elsewhere.get_registration_code()), is("InvalidSignatureException", 403));
}

#[tokio::test]
async fn an_unknown_operation_is_named() {
    let account = Account::empty().await;
    let error = account.iot().list_jobs().send().await.unwrap_err();
    assert_eq!(error.code(), Some("NotImplemented"));
    assert_eq!(error.message(), Some("the testbed does not implement GET /jobs of iot"));
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 501);
}

/// What no client of the testbed's own services signs: a request to a service by this name.
fn signed(access: &testbed::Access, service: &str) -> String {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let keys = aws_credential_types::Credentials::new(
        &access.access_key_id,
        &access.secret_access_key,
        None,
        None,
        "test",
    )
    .into();
    let params = aws_sigv4::sign::v4::SigningParams::builder().identity(&keys).region(&access.region);
    let params = params.name(service).time(std::time::SystemTime::now()).settings(SigningSettings::default());
    let url = format!("{}/", access.endpoint_url);
    let request = SignableRequest::new("POST", &url, std::iter::empty(), SignableBody::Bytes(b"{}")).unwrap();
    let (instructions, _) = sign(request, &params.build().unwrap().into()).unwrap().into_parts();
    let host = access.endpoint_url.trim_start_matches("http://");
    let mut text = format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2\r\nconnection: close\r\n");
    for header in instructions.into_parts().0 {
        text += &format!("{}: {}\r\n", header.name(), header.value());
    }
    text + "x-amz-target: Service_2026.ListTables\r\n\r\n{}"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_the_testbed_does_not_have_is_named() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let account = Account::empty().await;
    let access = account.testbed.access();
    for (service, said) in [
        (
            "dynamodb",
            "the testbed has no service dynamodb; it has iot, iotdata, lambda, iam, sts, sqs, kms, logs, monitoring. ministack and moto emulate more of AWS",
        ),
        ("sqs", "the testbed does not implement ListTables of sqs"),
    ] {
        let host = access.endpoint_url.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
        stream.write_all(signed(access, service).as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 501") && answer.contains(said), "{answer}");
    }
}

/// Throttles the first call of each kind, and loses the answer of every `CreateThing`.
struct Unkind(std::sync::Mutex<Vec<String>>);

impl Interceptor for Unkind {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        assert_eq!((operation.service, operation.caller), ("iot", &Caller::User));
        let latency = Duration::from_millis(1);
        if operation.name == "CreateThing" {
            let error = ServiceError::new("InternalFailureException", 500, "lost");
            return Some(Fault { latency, error: Some((When::After, error)) });
        }
        let mut seen = self.0.lock().unwrap();
        if seen.iter().any(|name| name == operation.name) {
            return None;
        }
        seen.push(operation.name.to_owned());
        let error = ServiceError::new("ThrottlingException", 400, "Rate exceeded");
        Some(Fault { latency, error: Some((When::Before, error)) })
    }
}

#[tokio::test]
async fn calls_can_be_throttled_and_answers_lost() {
    let interceptor = Arc::new(Unkind(std::sync::Mutex::default()));
    let account = Account::with(Options { interceptor, ..Options::default() }).await;
    let iot = account.iot();
    assert_eq!(refused!(iot.create_thing().thing_name("0a1b")), is("InternalFailureException", 500));
    let describe = || iot.describe_thing().thing_name("0a1b");
    assert_eq!(refused!(describe()), is("ThrottlingException", 400));
    describe().send().await.unwrap();
    let calls = account.testbed.journal().calls();
    let operations: Vec<_> =
        calls.iter().map(|call| (call.operation.as_str(), call.outcome.is_ok())).collect();
    assert_eq!(operations, [("CreateThing", false), ("DescribeThing", false), ("DescribeThing", true)]);
    assert_eq!(calls[2].argument, "0a1b");
}

#[tokio::test]
async fn roles_carry_policies_and_tags() {
    let account = Account::empty().await;
    let iam = account.iam();
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    let tag = aws_sdk_iam::types::Tag::builder().key("tool").value("a & b").build().unwrap();
    let create = || iam.create_role().role_name("JITR").assume_role_policy_document(trust).tags(tag.clone());
    let role = create().send().await.unwrap().role.unwrap();
    assert_eq!(role.arn, "arn:aws:iam::123456789012:role/JITR");
    assert_eq!(refused!(create()), is("EntityAlreadyExists", 409));
    iam.put_role_policy().role_name("JITR").policy_name("p").policy_document("{}").send().await.unwrap();
    let got = iam.get_role_policy().role_name("JITR").policy_name("p").send().await.unwrap();
    assert_eq!(got.policy_document, "%7B%7D");
    let arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole";
    iam.attach_role_policy().role_name("JITR").policy_arn(arn).send().await.unwrap();
    let attached = iam.list_attached_role_policies().role_name("JITR").send().await.unwrap();
    assert_eq!(attached.attached_policies.unwrap()[0].policy_arn.as_deref(), Some(arn));
    let tags = iam.list_role_tags().role_name("JITR").send().await.unwrap();
    assert_eq!(tags.tags[0].value, "a & b");
    assert_eq!(refused!(iam.delete_role().role_name("JITR")), is("DeleteConflict", 409));
    iam.detach_role_policy().role_name("JITR").policy_arn(arn).send().await.unwrap();
    iam.delete_role_policy().role_name("JITR").policy_name("p").send().await.unwrap();
    iam.delete_role().role_name("JITR").send().await.unwrap();
    assert_eq!(refused!(iam.get_role().role_name("JITR")), is("NoSuchEntity", 404));
}
