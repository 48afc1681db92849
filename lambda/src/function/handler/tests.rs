//! Invocations over the registry in memory: what is answered, what fails, what is logged.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::fixture::{Fixture, LATENCY};
use crate::function::log;
use crate::registry::memory::{Fault, MemoryRegistry};
use crate::registry::{CertificateStatus, ErrorKind, Operation};

const PLENTY: Duration = Duration::from_secs(30);

/// When the events of these tests were published, milliseconds since 1970.
const PUBLISHED: u64 = 1_761_991_200_123;

fn payload(fixture: &Fixture, certificate_id: &str) -> Value {
    json!({
        "certificateId": certificate_id,
        "caCertificateId": fixture.ca_id,
        "timestamp": PUBLISHED,
        "certificateStatus": "PENDING_ACTIVATION",
        "awsAccountId": "420230807713",
        "certificateRegistrationTimestamp": null,
    })
}

fn handler(fixture: &Fixture) -> Handler<MemoryRegistry> {
    Handler::new(fixture.registry.clone(), Settings::zero_touch().unwrap())
}

/// When the events of these tests arrive: a minute after they were published.
fn arrival() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(PUBLISHED + 60_000)
}

async fn handle(
    handler: &Handler<MemoryRegistry>,
    payload: Value,
    remaining: Duration,
) -> Result<Answer, Failure> {
    let invocation = Invocation { request_id: "request-1", arrived: arrival(), remaining, sampled: false };
    handler.handle(payload, invocation).await.answer
}

async fn answer(handler: &Handler<MemoryRegistry>, payload: Value) -> Value {
    serde_json::to_value(handle(handler, payload, PLENTY).await.unwrap()).unwrap()
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
    // The pauses are random, and about one time in a hundred the last call is begun too late to be answered.
    fastrand::seed(1);
    let fixture = Fixture::new();
    fixture.registry.set_faults(|_, operation| match operation {
        Operation::UpdateCertificate => Fault::Error(ErrorKind::Throttled),
        _ => Fault::None,
    });
    let failure =
        handle(&handler(&fixture), payload(&fixture, &fixture.certificate_id), PLENTY).await.unwrap_err();
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
    let result = handle(&handler, payload(&fixture, &fixture.certificate_id), short).await;
    assert!(matches!(result, Err(Failure::OutOfTime)), "{result:?}");
    assert!(start.elapsed() <= short - RESERVE);
    assert_eq!(fixture.registry.activations(), []);
    let result = handle(&handler, payload(&fixture, &fixture.certificate_id), Duration::ZERO).await;
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
    handler.warm_up().await.unwrap();
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
    handler.warm_up().await.unwrap();
    let time_for_one_round = RESERVE + LATENCY * 5;
    let answer = handle(&handler, json!({"Records": records}), time_for_one_round).await.unwrap();
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
    let invocation =
        Invocation { request_id: REQUEST, arrived: arrival(), remaining: PLENTY, sampled: false };
    handler.handle(event(), invocation).await.answer.unwrap();
    fixture.set_status(CertificateStatus::Inactive);
    handler.handle(event(), invocation).await.answer.unwrap();
    handler.handle(json!({}), invocation).await.answer.unwrap();
    fixture.registry.set_faults(|_, _| Fault::Error(ErrorKind::Denied));
    handler.handle(event(), invocation).await.answer.unwrap_err();

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

#[tokio::test(start_paused = true)]
async fn of_a_batchs_events_about_one_certificate_only_the_newest_is_worked_on() {
    let fixture = Fixture::onboarded();
    let handler = handler(&fixture);
    handler.warm_up().await.unwrap();
    fixture.registry.reset();
    let id = &fixture.certificate_id;
    let at = |n: u64| {
        let mut payload = payload(&fixture, id);
        payload["timestamp"] = json!(PUBLISHED + n);
        payload
    };
    let mut forged = at(9);
    forged["caCertificateId"] = json!("f".repeat(64));
    let records = [record("1", &at(1)), record("3", &at(3)), record("2", &at(2)), record("forged", &forged)];
    let throttled = |_, operation| match operation {
        Operation::UpdateCertificate => Fault::Error(ErrorKind::LimitExceeded),
        _ => Fault::None,
    };
    fixture.registry.set_faults(throttled);
    let failed = answer(&handler, json!({"Records": records})).await;
    assert_eq!(failed, json!({"batchItemFailures": [{"itemIdentifier": "3"}]}));
    fixture.registry.reset();
    let done = answer(&handler, json!({"Records": [records[1]]})).await;
    assert_eq!(done, json!({"batchItemFailures": []}));
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn a_queued_event_from_before_the_activation_costs_no_call_and_one_from_after_it_does() {
    let fixture = Fixture::onboarded();
    let handler = handler(&fixture);
    let id = &fixture.certificate_id;
    answer(&handler, json!({"Records": [record("1", &payload(&fixture, id))]})).await;
    fixture.assert_registered();
    fixture.registry.reset();
    let again = json!({"Records": [record("2", &payload(&fixture, id))]});
    assert_eq!(answer(&handler, again).await, json!({"batchItemFailures": []}));
    assert_eq!(fixture.registry.calls(), []);

    // The operator deletes the certificate, and the device connects again.
    fixture.set_status(CertificateStatus::PendingActivation);
    let mut later = payload(&fixture, id);
    later["timestamp"] = json!(PUBLISHED + 3_600_000);
    answer(&handler, json!({"Records": [record("3", &later)]})).await;
    assert_eq!(fixture.registry.activations().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_newest_events_are_worked_on_first() {
    let fixture = Fixture::onboarded();
    let ids: Vec<_> = (0..25).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
    let records = ids.iter().enumerate().map(|(n, id)| {
        let mut payload = payload(&fixture, id);
        payload["timestamp"] = json!(PUBLISHED + n as u64);
        record(id, &payload)
    });
    let records: Vec<_> = records.collect();
    answer(&handler(&fixture), json!({"Records": records})).await;
    let first: BTreeSet<_> = fixture
        .registry
        .activations()
        .into_iter()
        .take(CONCURRENT_RECORDS)
        .map(|a| a.certificate_id)
        .collect();
    assert_eq!(first, ids[15..].iter().cloned().collect());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_records_with_poison_among_them_are_each_done_or_come_again() {
    let fixture = Fixture::onboarded();
    let ids: Vec<_> = (0..900).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
    let mut records: Vec<_> = ids.iter().map(|id| record(id, &payload(&fixture, id))).collect();
    for n in 0..100 {
        let poison = match n % 4 {
            0 => json!({"certificateId": "x".repeat(100_000)}),
            1 => json!([[[[[]]]]]),
            2 => payload(&fixture, &"d".repeat(64)),
            _ => json!("no event"),
        };
        records.insert(n * 9, record(&format!("poison-{n}"), &poison));
    }
    let handler = handler(&fixture);
    let mut rounds = 0;
    while !records.is_empty() {
        let answer = answer(&handler, json!({"Records": records})).await;
        let again: BTreeSet<_> = answer["batchItemFailures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
            .collect();
        records.retain(|record| again.contains(record["messageId"].as_str().unwrap()));
        rounds += 1;
        assert!(rounds < 5, "{again:?}");
    }
    let account = fixture.account();
    for id in ids {
        assert_eq!(account.certificates[&id].description.status, CertificateStatus::Active);
    }
    assert_eq!(fixture.registry.activations().len(), 900);
}

#[tokio::test(start_paused = true)]
async fn oversized_and_malformed_events_are_refused_shortly_and_make_no_call() {
    let fixture = Fixture::onboarded();
    let handler = handler(&fixture);
    let oversized = "x".repeat(6 * 1024 * 1024);
    for event in [
        json!({"certificateId": oversized}),
        json!({"certificateId": fixture.certificate_id, "caCertificateId": [oversized]}),
        json!({"Records": "none"}),
        json!([]),
        Value::Null,
    ] {
        let answer = answer(&handler, event).await;
        assert_eq!(answer["reason"], "malformed_event");
        assert!(answer.to_string().len() < 500, "{answer}");
    }
    assert_eq!(fixture.registry.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn sampled_invocations_are_traced_within_bounds_and_others_not_at_all() {
    let fixture = Fixture::onboarded();
    let ids: Vec<_> = (0..TRACED + 5).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
    let records: Vec<_> = ids.iter().map(|id| record(id, &payload(&fixture, id))).collect();
    let handler = handler(&fixture);
    let batch = |records: &[Value]| json!({"Records": records});
    let mut invocation =
        Invocation { request_id: "request-1", arrived: arrival(), remaining: PLENTY, sampled: true };
    let handled = handler.handle(batch(&records[..TRACED + 4]), invocation).await;
    assert_eq!((handled.traced.len(), handled.tally.registered as usize), (TRACED, TRACED + 4));
    let traced = &handled.traced[TRACED - 1];
    // Events of a batch run side by side, and each has its own calls.
    assert_eq!(traced.calls.len(), 5, "{traced:?}");
    assert_eq!(handled.tally.activating.len(), TRACED + 4);
    invocation.sampled = false;
    assert_eq!(handler.handle(batch(&records[TRACED + 4..]), invocation).await.traced.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_record_of_a_batch_that_cannot_be_read_counts_as_failed() {
    let fixture = Fixture::new();
    for (records, failed) in [(json!([1, 2, 3]), 3), (json!([{"body": 5}]), 1)] {
        let invocation =
            Invocation { request_id: "request-1", arrived: arrival(), remaining: PLENTY, sampled: false };
        let handled = handler(&fixture).handle(json!({"Records": records}), invocation).await;
        assert!(matches!(handled.answer, Err(Failure::Batch(_))));
        assert_eq!(handled.tally.failed, failed);
    }
}
