//! The Lambda host: a real subprocess behind the Runtime API, driven through the Lambda API and the rule engine.

use std::io::{Cursor, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aws_sdk_lambda::error::ProvideErrorMetadata;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    Architecture, DestinationConfig, Environment, FunctionCode, InvocationType, LogType, OnFailure, Runtime,
    State,
};
use serde_json::Value;
use testbed::iot_core::directory::{Directory, Peer, Verdict};
use testbed::journal::{Entry, Happening};
use testbed::wait;
use tokio::sync::broadcast;

use crate::account::{Account, Ca};

const TRUST: &str = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const RULE_SQL: &str = "SELECT * FROM '$aws/events/certificates/registered/#'";

/// A package with `script` as its bootstrap.
fn package(script: &str) -> Blob {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    writer.start_file("bootstrap", options).unwrap();
    writer.write_all(script.as_bytes()).unwrap();
    Blob::new(writer.finish().unwrap().into_inner())
}

fn bootstrap() -> Blob {
    package(include_str!("bootstrap.sh"))
}

impl Account {
    /// Creates the function JITR with the scripted bootstrap, the way a client must: again and again until the role has spread, and then
    /// waiting until it is active.
    pub(crate) async fn create_function(&self, variables: &[(&str, &str)]) -> String {
        let iam = self.iam();
        let role =
            iam.create_role().role_name("JITR").assume_role_policy_document(TRUST).send().await.unwrap();
        let role = role.role.unwrap().arn;
        let mut environment = Environment::builder();
        for (name, value) in variables {
            environment = environment.variables(*name, *value);
        }
        let environment = environment.build();
        let create = || {
            self.lambda()
                .create_function()
                .function_name("JITR")
                .role(&role)
                .runtime(Runtime::Providedal2023)
                .handler("bootstrap")
                .timeout(1)
                .architectures(Architecture::X8664)
                .environment(environment.clone())
                .code(FunctionCode::builder().zip_file(bootstrap()).build())
                .send()
        };
        let early = create().await.unwrap_err();
        assert_eq!(early.code(), Some("InvalidParameterValueException"), "{early:?}");
        let created = wait::found("a role that has spread", async || create().await.ok()).await.unwrap();
        assert_eq!(created.state, Some(State::Pending));
        self.settled().await;
        created.function_arn.unwrap()
    }

    /// Waits until the last change of the function has come into force.
    async fn settled(&self) {
        wait::found("the end of the update", async || {
            let got = self.lambda().get_function_configuration().function_name("JITR").send().await.unwrap();
            got.last_update_status.filter(|status| status.as_str() == "Successful")
        })
        .await
        .unwrap();
    }

    pub(crate) async fn invoke(&self, payload: &str) -> (Option<String>, Value) {
        let invoke = self.lambda().invoke().function_name("JITR").payload(Blob::new(payload));
        let invoked = invoke.send().await.unwrap();
        let answer = serde_json::from_slice(invoked.payload.unwrap().as_ref()).unwrap();
        (invoked.function_error, answer)
    }
}

/// The next entry that `wanted` takes; a testbed that does not come to it fails the test after a minute.
async fn next<T>(follower: &mut broadcast::Receiver<Entry>, wanted: impl Fn(Happening) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(follower.recv().await.unwrap().what) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_runs_in_a_warm_environment_with_lambdas_variables() {
    let account = Account::empty().await;
    let arn = account.create_function(&[("SETTING", "one")]).await;
    assert_eq!(arn, "arn:aws:lambda:us-east-1:123456789012:function:JITR");
    let (error, first) = account.invoke("{}").await;
    assert_eq!(error, None);
    assert_eq!(first["count"], 1);
    assert_eq!(first["region"], "us-east-1");
    assert_eq!(first["url"], account.testbed.endpoint_url());
    assert_eq!(first["name"], "JITR");
    assert_eq!(first["setting"], "one");
    let key = first["key"].as_str().unwrap();
    assert_eq!(account.testbed.lambda().function_with_access_key(key).as_deref(), Some("JITR"));
    assert_eq!(account.invoke("{}").await.1["count"], 2);

    let environment = Environment::builder().variables("SETTING", "two").build();
    let update =
        account.lambda().update_function_configuration().function_name("JITR").environment(environment);
    update.send().await.unwrap();
    account.settled().await;
    let (_, changed) = account.invoke("{}").await;
    assert_eq!((&changed["count"], &changed["setting"]), (&1.into(), &"two".into()));

    let tail = account.lambda().invoke().function_name(&arn).log_type(LogType::Tail).payload(Blob::new("{}"));
    assert!(tail.send().await.unwrap().log_result.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_a_function_are_told_apart() {
    let account = Account::empty().await;
    account.create_function(&[]).await;
    for (payload, kind) in [
        (r#"{"do":"fail"}"#, "Refused"),
        (r#"{"do":"crash"}"#, "Runtime.ExitError"),
        (r#"{"do":"hang"}"#, "Sandbox.Timedout"),
    ] {
        let (error, answer) = account.invoke(payload).await;
        assert_eq!(error.as_deref(), Some("Unhandled"));
        assert_eq!(answer["errorType"], kind);
    }
    // A new environment took the place of those that ended.
    assert_eq!(account.invoke("{}").await.1["count"], 1);

    let environment = Environment::builder().variables("FAIL_INIT", "yes").build();
    let update =
        account.lambda().update_function_configuration().function_name("JITR").environment(environment);
    update.send().await.unwrap();
    account.settled().await;
    assert_eq!(account.invoke("{}").await.1["errorMessage"], "not like this");

    let code =
        account.lambda().update_function_code().function_name("JITR").zip_file(package("not a program"));
    code.send().await.unwrap();
    account.settled().await;
    assert_eq!(account.invoke("{}").await.1["errorType"], "Runtime.InvalidEntrypoint");
    let broken = account.lambda().update_function_code().function_name("JITR").zip_file(Blob::new("no zip"));
    let broken = broken.send().await.unwrap_err();
    assert_eq!(broken.code(), Some("InvalidParameterValueException"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_event_is_tried_three_times_and_then_goes_to_the_queue() {
    let account = Account::empty().await;
    account.create_function(&[]).await;
    account.testbed.account().create_queue("failed", Default::default()).unwrap();
    let queue = account.testbed.account().queue_arn("failed");
    let on_failure = OnFailure::builder().destination(&queue).build();
    let configure = account
        .lambda()
        .put_function_event_invoke_config()
        .function_name("JITR")
        .destination_config(DestinationConfig::builder().on_failure(on_failure).build());
    configure.send().await.unwrap();

    let mut follower = account.testbed.journal().follow();
    let invoke = account.lambda().invoke().function_name("JITR").invocation_type(InvocationType::Event);
    let accepted = invoke.payload(Blob::new(r#"{"do":"fail"}"#)).send().await.unwrap();
    assert_eq!(accepted.status_code, 202);
    let (dropped, destination) = next(&mut follower, |what| match what {
        Happening::EventDropped { request_id, destination, .. } => Some((request_id, destination)),
        _ => None,
    })
    .await;
    assert_eq!(destination, Some(queue));
    let attempts = account.testbed.journal().entries().into_iter().filter_map(|entry| match entry.what {
        Happening::Invocation { request_id, attempt, .. } if request_id == dropped => Some(attempt),
        _ => None,
    });
    assert_eq!(attempts.collect::<Vec<_>>(), [1, 2, 3]);
    let messages = account.testbed.account().receive_messages("failed", 10, None).unwrap();
    let record: Value = serde_json::from_str(&messages[0].body).unwrap();
    assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
    assert_eq!(record["requestPayload"]["do"], "fail");
}

/// The DER of a PEM certificate, by a reader that is not the testbed's.
fn der(pem: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject;
    rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

const DEVICE: Peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), server_name: true };

#[tokio::test(flavor = "multi_thread")]
async fn a_first_connection_reaches_the_function_only_with_its_permission() {
    let account = Account::empty().await;
    let function = account.create_function(&[]).await;
    let (iot, lambda) = (account.iot(), account.lambda());
    let ca = Ca::new("Signer");
    let ca_id = account.register(&ca).await;
    let action = aws_sdk_iot::types::LambdaAction::builder().function_arn(&function).build().unwrap();
    let payload = aws_sdk_iot::types::TopicRulePayload::builder()
        .sql(RULE_SQL)
        .actions(aws_sdk_iot::types::Action::builder().lambda(action).build())
        .build()
        .unwrap();
    iot.create_topic_rule().rule_name("Forward").topic_rule_payload(payload).send().await.unwrap();

    let directory = account.testbed.directory();
    let leaf = der(&ca.issue("sn0123"));
    let mut follower = account.testbed.journal().follow();
    let Verdict::Registered { certificate_id } = directory.connecting(&leaf, DEVICE) else { panic!() };
    let reason = next(&mut follower, |what| match what {
        Happening::ActionFailed { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert!(reason.contains("does not let iot.amazonaws.com invoke it"), "{reason}");

    let permit = |id: &str, rule: &str| {
        lambda
            .add_permission()
            .function_name("JITR")
            .statement_id(id)
            .action("lambda:InvokeFunction")
            .principal("iot.amazonaws.com")
            .source_arn(format!("arn:aws:iot:us-east-1:123456789012:rule/{rule}"))
            .source_account("123456789012")
            .send()
    };
    permit("other", "Other").await.unwrap();
    assert!(matches!(directory.connecting(&leaf, DEVICE), Verdict::Refused { .. }));
    next(&mut follower, |what| matches!(what, Happening::ActionFailed { .. }).then_some(())).await;

    permit("rule", "Forward").await.unwrap();
    assert_eq!(permit("rule", "Forward").await.unwrap_err().code(), Some("ResourceConflictException"));
    assert!(matches!(directory.connecting(&leaf, DEVICE), Verdict::Refused { .. }));
    let line = next(&mut follower, |what| match what {
        Happening::Log { line, .. } => Some(line),
        _ => None,
    })
    .await;
    let event: Value = serde_json::from_str(line.strip_prefix("payload ").unwrap()).unwrap();
    assert_eq!(event["certificateId"], certificate_id.as_str());
    assert_eq!(event["caCertificateId"], ca_id.as_str());
    assert_eq!(event["certificateStatus"], "PENDING_ACTIVATION");
    assert_eq!(event["awsAccountId"], "123456789012");
    assert!(event["certificateRegistrationTimestamp"].is_null() && event["timestamp"].is_u64());

    let policy = lambda.get_policy().function_name("JITR").send().await.unwrap().policy.unwrap();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["Statement"][1]["Condition"]["StringEquals"]["AWS:SourceAccount"], "123456789012");
    for id in ["rule", "other"] {
        lambda.remove_permission().function_name("JITR").statement_id(id).send().await.unwrap();
    }
    let gone = lambda.get_policy().function_name("JITR").send().await.unwrap_err();
    assert_eq!(gone.code(), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn a_certificate_is_registered_only_by_an_active_registering_ca_that_signed_it_and_in_its_mode() {
    let account = Account::empty().await;
    let directory = account.testbed.directory();
    let (ca, impostor) = (Ca::new("Signer"), Ca::new("Signer"));
    let refused = |leaf: &[u8]| match directory.connecting(leaf, DEVICE) {
        Verdict::Refused { reason } => reason,
        other => panic!("{other:?}"),
    };
    let leaf = der(&ca.issue("sn1"));
    assert!(refused(&leaf).contains("no registered CA"));
    let ca_id = account.register(&ca).await;
    assert!(refused(&der(&impostor.issue("sn1"))).contains("no registered CA"));

    let update = || account.iot().update_ca_certificate().certificate_id(&ca_id);
    update().new_auto_registration_status("DISABLE".into()).send().await.unwrap();
    assert!(refused(&leaf).contains("does not register devices automatically"));
    update()
        .new_auto_registration_status("ENABLE".into())
        .new_status("INACTIVE".into())
        .send()
        .await
        .unwrap();
    assert!(refused(&leaf).contains("INACTIVE"));
    update().new_status("ACTIVE".into()).send().await.unwrap();

    let Verdict::Registered { certificate_id } = directory.connecting(&leaf, DEVICE) else { panic!() };
    assert!(refused(&leaf).contains("PENDING_ACTIVATION"));
    let activate =
        account.iot().update_certificate().certificate_id(&certificate_id).new_status("ACTIVE".into());
    activate.send().await.unwrap();
    assert_eq!(
        directory.connecting(&leaf, DEVICE),
        Verdict::Active { certificate_id: certificate_id.clone() }
    );
    let revoke =
        account.iot().update_certificate().certificate_id(&certificate_id).new_status("REVOKED".into());
    revoke.send().await.unwrap();
    assert!(refused(&leaf).contains("REVOKED"));

    let unnamed = Peer { server_name: false, ..DEVICE };
    assert!(!matches!(directory.connecting(&der(&ca.issue("sn3")), unnamed), Verdict::Refused { .. }));
    let shared = Ca::new("Shared");
    let register = account.iot().register_ca_certificate().ca_certificate(shared.pem()).set_as_active(true);
    let register = register.allow_auto_registration(true).certificate_mode("SNI_ONLY".into());
    register.send().await.unwrap();
    let leaf = der(&shared.issue("sn4"));
    let Verdict::Refused { reason } = directory.connecting(&leaf, unnamed) else { panic!() };
    assert!(reason.contains("SNI_ONLY"), "{reason}");
    assert!(matches!(directory.connecting(&leaf, DEVICE), Verdict::Registered { .. }));

    let expired = der(&ca.issue_valid("sn2", 2001, 2002));
    assert!(refused(&expired).contains("expired"));
}
