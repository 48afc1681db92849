//! Invocations over the registry in memory: what is answered, what fails, what is logged.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::fixture::{Fixture, LATENCY};
use crate::lambda::log;
use crate::registry::memory::{Fault, MemoryRegistry};
use crate::registry::{CertificateStatus, ErrorKind, Operation};

const PLENTY: Duration = Duration::from_secs(30);

fn payload(fixture: &Fixture, certificate_id: &str) -> Value {
    json!({
        "certificateId": certificate_id,
        "caCertificateId": fixture.ca_id,
        "timestamp": 1_761_991_200_123_u64,
        "certificateStatus": "PENDING_ACTIVATION",
        "awsAccountId": "420230807713",
        "certificateRegistrationTimestamp": null,
    })
}

fn handler(fixture: &Fixture) -> Handler<MemoryRegistry> {
    Handler::new(fixture.registration())
}

async fn answer(handler: &Handler<MemoryRegistry>, payload: Value) -> Value {
    serde_json::to_value(handler.handle(payload, "request-1", PLENTY).await.unwrap()).unwrap()
}

fn record(id: &str, body: &Value) -> Value {
    json!({"messageId": id, "eventSource": "aws:sqs", "body": body.to_string()})
}

#[tokio::test(start_paused = true)]
async fn a_registration_is_answered_with_thing_and_certificate_and_its_repetition_too() {
    let fixture = Fixture::new();
    let handler = handler(&fixture);
    let id = &fixture.certificate_id;
    let thing = fixture.thing_name().to_string();
    for outcome in ["registered", "repaired"] {
        let answer = answer(&handler, payload(&fixture, id)).await;
        assert_eq!(answer, json!({"outcome": outcome, "certificateId": id, "thingName": thing}));
    }
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn refusals_and_malformed_events_are_answered_so_that_lambda_does_not_repeat_them() {
    let fixture = Fixture::new();
    let handler = handler(&fixture);
    fixture.set_status(CertificateStatus::Revoked);
    let id = &fixture.certificate_id;
    assert_eq!(
        answer(&handler, payload(&fixture, id)).await,
        json!({
            "outcome": "refused",
            "certificateId": id,
            "reason": "certificate_status",
            "message": "the certificate is REVOKED",
        })
    );
    assert_eq!(
        answer(&handler, json!({"hello": "world"})).await,
        json!({
            "outcome": "refused",
            "reason": "malformed_event",
            "message": "the event has no \"certificateId\"; a string of 64 hex digits is expected",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn what_may_succeed_later_fails_so_that_lambda_repeats_it() {
    let fixture = Fixture::new();
    fixture.registry.set_faults(|_, operation| match operation {
        Operation::UpdateCertificate => Fault::Error(ErrorKind::Throttled),
        _ => Fault::None,
    });
    let failure = handler(&fixture)
        .handle(payload(&fixture, &fixture.certificate_id), "request-1", PLENTY)
        .await
        .unwrap_err();
    let diagnostic = lambda_runtime::Diagnostic::from(failure);
    assert_eq!(diagnostic.error_type, "ThrottlingException");
    assert!(diagnostic.error_message.starts_with("UpdateCertificate failed"), "{diagnostic:?}");
}

#[tokio::test(start_paused = true)]
async fn the_work_stops_before_lambda_stops_the_invocation() {
    let fixture = Fixture::new();
    let handler = handler(&fixture);
    let start = Instant::now();
    let short = RESERVE + LATENCY + LATENCY / 2;
    let result = handler.handle(payload(&fixture, &fixture.certificate_id), "request-1", short).await;
    assert!(matches!(result, Err(Failure::OutOfTime)), "{result:?}");
    assert!(start.elapsed() <= short - RESERVE);
    assert_eq!(fixture.registry.activations(), []);
    let result =
        handler.handle(payload(&fixture, &fixture.certificate_id), "request-2", Duration::ZERO).await;
    assert!(matches!(result, Err(Failure::OutOfTime)), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn one_bad_record_of_a_batch_harms_no_other() {
    let fixture = Fixture::onboarded();
    let others: Vec<_> = (0..30).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
    let unlucky = others[7].clone();
    let revoked = others[8].clone();
    fixture.registry.account(|account| {
        account.certificates.get_mut(&revoked).unwrap().description.status = CertificateStatus::Revoked;
        // A certificate that is full of other policies fails at AttachPolicy, and only there.
        account.certificates.get_mut(&unlucky).unwrap().policies = (0..10).map(|n| n.to_string()).collect();
    });
    let mut records = vec![record("malformed", &json!({"certificateId": 1}))];
    records.extend(others.iter().map(|id| record(id, &payload(&fixture, id))));
    let answer = answer(&handler(&fixture), json!({"Records": records})).await;
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": unlucky}]}));
    assert_eq!(fixture.registry.activations().len(), others.len() - 2);
}

#[tokio::test(start_paused = true)]
async fn records_are_worked_on_side_by_side_within_bounds() {
    let fixture = Fixture::onboarded();
    let ids: Vec<_> = (0..40).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
    let records: Vec<_> = ids.iter().map(|id| record(id, &payload(&fixture, id))).collect();
    let handler = handler(&fixture);
    handler.registration.warm_up().await.unwrap();
    let start = Instant::now();
    let answer = answer(&handler, json!({"Records": records})).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let rounds = u32::try_from(ids.len() / CONCURRENT_RECORDS).unwrap();
    assert_eq!(start.elapsed(), LATENCY * 4 * rounds);
}

#[tokio::test(start_paused = true)]
async fn records_that_find_no_time_left_come_again() {
    let fixture = Fixture::onboarded();
    let ids: Vec<_> = (0..25).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
    let records: Vec<_> = ids.iter().map(|id| record(id, &payload(&fixture, id))).collect();
    let handler = handler(&fixture);
    handler.registration.warm_up().await.unwrap();
    let time_for_one_round = RESERVE + LATENCY * 5;
    let answer = handler.handle(json!({"Records": records}), "request-1", time_for_one_round).await.unwrap();
    let Answer::Batch(response) = answer else { panic!("{answer:?}") };
    assert_eq!(fixture.registry.activations().len(), CONCURRENT_RECORDS);
    assert_eq!(response.batch_item_failures.len(), ids.len() - CONCURRENT_RECORDS);
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn every_decision_is_one_json_line_without_certificate_bodies() {
    // The subscriber is the process's, because interest in a callsite is: the lines of this test are told by its
    // request id.
    const REQUEST: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::registry().with(log::lines(move || writer.clone()));
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let fixture = Fixture::onboarded();
    fixture.registry.account(|account| account.policies.insert("zt_policy".into(), "{}".into()));
    let handler = handler(&fixture);
    let id = fixture.certificate_id.clone();
    let event = || payload(&fixture, &id);
    handler.handle(event(), REQUEST, PLENTY).await.unwrap();
    fixture.set_status(CertificateStatus::Inactive);
    handler.handle(event(), REQUEST, PLENTY).await.unwrap();
    handler.handle(json!({}), REQUEST, PLENTY).await.unwrap();
    fixture.registry.set_faults(|_, _| Fault::Error(ErrorKind::Unavailable));
    handler.handle(event(), REQUEST, PLENTY).await.unwrap_err();

    let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("BEGIN CERTIFICATE"), "{text}");
    let lines: Vec<Value> = text
        .lines()
        .filter(|line| line.contains(REQUEST))
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            assert!(line.as_object_mut().unwrap().remove("timestamp").unwrap().is_string());
            line
        })
        .collect();
    let shown = serde_json::to_string_pretty(&lines).unwrap();
    let shown = shown.replace(&id, "[certificate id]").replace(fixture.thing_name().as_str(), "[thing name]");
    insta::assert_snapshot!(shown);
}
