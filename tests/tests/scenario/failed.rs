//! The queue of failed events: `doctor` counts its messages, `replay` processes them.

use std::collections::HashMap;

use aws_sdk_iot::types::CertificateStatus;
use aws_sdk_lambda::types::{DestinationConfig, OnFailure};
use aws_sdk_sqs::types::QueueAttributeName;
use rcgen::{Certificate, CertificateParams, DnType, Issuer, KeyPair};
use serde_json::{Value, json};

use super::{FUNCTION, Stage};

const QUEUE: &str = "JITR-failed-events";

/// One event can be helped, two cannot: they stay in the queue.
pub(super) async fn the_queue_is_worked_off(stage: &Stage, signer: &str) {
    let (sqs, lambda) = (stage.sqs(), stage.lambda());
    let url = sqs.create_queue().queue_name(QUEUE).send().await.unwrap().queue_url.unwrap();
    let arn = format!("arn:aws:sqs:us-east-1:{}:{QUEUE}", account(stage).await);
    let destination = OnFailure::builder().destination(&arn).build();
    let config = DestinationConfig::builder().on_failure(destination).build();
    let put = lambda.put_function_event_invoke_config().function_name(FUNCTION);
    put.destination_config(config).send().await.unwrap();
    let found = stage.finding("on_failure");
    assert_eq!((&found["verdict"], &found["name"]), (&json!("right"), &json!(QUEUE)), "{found}");
    let empty = stage.ends(0, &["replay", "--queue"]);
    assert!(empty.lines.is_empty(), "{}", empty.said);

    let certificate = registered_certificate(stage).await;
    let event = |id: &str| {
        json!({
            "certificateId": id, "caCertificateId": signer, "timestamp": 1_790_000_000_000_u64,
            "certificateStatus": "PENDING_ACTIVATION", "awsAccountId": arn.split(':').nth(4),
            "certificateRegistrationTimestamp": null,
        })
    };
    let unknown = "0".repeat(64);
    for body in [on_failure(&event(&unknown)), "nonsense".to_owned(), on_failure(&event(&certificate))] {
        sqs.send_message().queue_url(&url).message_body(body).send().await.unwrap();
    }
    let found = stage.finding("on_failure");
    assert_eq!(found["verdict"], "notable", "{found}");
    assert!(found["details"][0].as_str().unwrap().starts_with("3 events in the queue"), "{found}");
    let planned = stage.ends(1, &["replay", "--queue", &arn, "--dry-run"]);
    assert_eq!(planned.lines[0]["events"], 3, "{}", planned.said);
    assert!(planned.said.contains(&format!("stay in queue {QUEUE}")), "{}", planned.said);
    // Its events are told one by one, and stay.
    assert_eq!(planned.values("action").len(), 4, "{}", planned.said);
    assert_eq!(depth(stage, &url).await, 3, "{}", planned.said);

    // What a stand-in cannot say of a certificate is no reason to register it.
    let (told, left) = match stage.plays("failed events registered") {
        true => (["refused", "refused", "repaired"], 2),
        false => (["refused", "refused", "refused"], 3),
    };
    let local: &[&str] = if stage.plays("function invoked") { &[] } else { &["--local"] };
    let first = stage.ends(1, &[&["replay", "--queue", "--rate", "50"], local].concat());
    let mut outcomes = first.values("outcome");
    outcomes.sort_unstable();
    assert_eq!(outcomes, told, "{}", first.said);
    assert_eq!(depth(stage, &url).await, left, "{}", first.said);
    assert!(first.said.contains("sqs delete-message"), "{}", first.said);
    // The others were given back, so that the next run has them at once.
    let again = stage.ends(1, &["replay", "--queue", &url, "--rate", "50", "--local"]);
    assert_eq!(again.values("outcome"), vec!["refused"; left], "{}", again.said);

    lambda.delete_function_event_invoke_config().function_name(FUNCTION).send().await.unwrap();
    sqs.delete_queue().queue_url(&url).send().await.unwrap();
    let removed = stage.iot().update_certificate().certificate_id(&certificate);
    removed.new_status(CertificateStatus::Inactive).send().await.unwrap();
}

/// The record that Lambda sends to an on-failure destination (AWS Lambda Developer Guide, "Capturing records of Lambda
/// asynchronous invocations").
fn on_failure(event: &Value) -> String {
    json!({
        "version": "1.0",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "requestContext": {
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:JITR:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "ThrottlingException"},
    })
    .to_string()
}

async fn account(stage: &Stage) -> String {
    let function = stage.lambda().get_function_configuration().function_name(FUNCTION).send().await.unwrap();
    function.function_arn.unwrap().split(':').nth(4).unwrap().to_owned()
}

fn read(stage: &Stage, name: &str) -> String {
    std::fs::read_to_string(stage.file(name)).unwrap()
}

/// A certificate that the signer CA on the user's disk signed, and its key.
pub(super) fn signed(stage: &Stage, name: &str) -> (Certificate, KeyPair) {
    let authority = KeyPair::from_pem(&read(stage, "signer-ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read(stage, "signer-ca.crt"), authority).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer).unwrap(), key)
}

/// One in the account and ACTIVE, with nothing attached.
async fn registered_certificate(stage: &Stage) -> String {
    let (pem, authority) = (signed(stage, "failed").0.pem(), read(stage, "signer-ca.crt"));
    let register = stage.iot().register_certificate().certificate_pem(pem).ca_certificate_pem(authority);
    register.status(CertificateStatus::Active).send().await.unwrap().certificate_id.unwrap()
}

async fn depth(stage: &Stage, url: &str) -> usize {
    let all = stage.sqs().get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let attributes: HashMap<_, _> = all.send().await.unwrap().attributes.unwrap();
    let count = |name| attributes[&name].parse::<usize>().unwrap();
    count(QueueAttributeName::ApproximateNumberOfMessages)
        + count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
}
