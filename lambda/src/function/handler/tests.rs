//! Invocations over the registry in memory: what is answered, what fails, what is logged.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;

use super::batch::CONCURRENT_RECORDS;
use super::*;
use crate::fixture::{Fixture, LATENCY};
use crate::function::log;
use crate::registry::memory::{Fault, MemoryRegistry};
use crate::registry::{CertificateStatus, ErrorKind, Operation};

mod pending_again;

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
    let console = answer(&handler, json!({"key1": "value1", "key2": "value2", "key3": "value3"})).await;
    assert!(console["message"].as_str().unwrap().contains("the test event of the AWS Lambda console"));
}

#[tokio::test(start_paused = true)]
async fn several_events_in_an_envelope_fail_so_that_none_is_lost() {
    let fixture = Fixture::onboarded();
    let events = ["a", "b"].map(|name| payload(&fixture, &fixture.another_certificate(name)));
    let records = events.each_ref().map(|event| json!({"messageId": "m", "body": event.to_string()}));
    for envelope in [
        json!({"a": events[0], "b": events[1]}),
        json!({"requestPayload": {"Records": records}, "responsePayload": null}),
    ] {
        let invocation =
            Invocation { request_id: "request-1", arrived: arrival(), remaining: PLENTY, sampled: false };
        let handled = handler(&fixture).handle(envelope, invocation).await;
        let failure = handled.answer.unwrap_err().to_string();
        assert_eq!(failure, "the message has several events; each needs a message of its own");
        assert_eq!((handled.tally.failed, handled.tally.refused.len()), (1, 0));
    }
    assert_eq!(fixture.registry.calls(), []);
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
    assert_eq!(failed(&answer), BTreeSet::from(["malformed".to_owned(), unlucky]));
    assert_eq!(fixture.registry.activations().len(), others.len() - 2);
}

/// The records that come again.
fn failed(answer: &Value) -> BTreeSet<String> {
    let failures = answer["batchItemFailures"].as_array().unwrap().iter();
    failures.map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_understood_stays_in_its_queue() {
    let fixture = Fixture::onboarded();
    let handler = handler(&fixture);
    let messages = [
        json!({"key1": "value1", "key2": "value2", "key3": "value3"}),
        json!({"source": "serverless-plugin-warmup"}),
        json!({"Type": "Notification", "Message": "hello"}),
        json!({"Records": [{"eventSource": "aws:s3"}]}),
        json!({"data": "AAAA".repeat(30)}),
        json!("no event"),
        json!(null),
    ];
    let mut records: Vec<_> =
        messages.iter().enumerate().map(|(n, message)| record(&n.to_string(), message)).collect();
    records.push(json!({"messageId": "empty", "body": ""}));
    records.push(json!({"messageId": "without body", "eventSource": "aws:sqs"}));
    records.push(json!({"messageId": "number", "body": 5}));
    records.push(record("good", &payload(&fixture, &fixture.certificate_id)));
    for batch in [json!({"Records": records}), json!(records)] {
        let invocation =
            Invocation { request_id: "request-1", arrived: arrival(), remaining: PLENTY, sampled: false };
        let handled = handler.handle(batch, invocation).await;
        let answer = serde_json::to_value(handled.answer.unwrap()).unwrap();
        let kept = records.iter().map(|record| record["messageId"].as_str().unwrap().to_owned());
        assert_eq!(failed(&answer), kept.filter(|id| id != "good").collect());
        assert_eq!(handled.tally.failed as usize, records.len() - 1);
    }
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn a_batch_fails_as_a_whole_where_one_record_that_comes_again_has_no_id() {
    let fixture = Fixture::onboarded();
    let handler = handler(&fixture);
    let good = payload(&fixture, &fixture.certificate_id);
    let nameless = |mut record: Value, id| {
        record["messageId"] = id;
        record
    };
    for id in [Value::Null, json!(""), json!(5)] {
        let bad = nameless(record("", &json!("no event")), id);
        let batch = json!({"Records": [record("good", &good), bad]});
        let failure = handle(&handler, batch, PLENTY).await.unwrap_err();
        assert!(matches!(failure, Failure::Event(_)), "{failure}");
    }
    fixture.assert_registered();
    // One that is done needs none.
    let done = json!({"Records": [nameless(record("", &good), Value::Null)]});
    assert_eq!(answer(&handler, done).await, json!({"batchItemFailures": []}));
    // Amazon SNS names none, and repeats the invocation.
    let sns = |message: &Value| {
        let notification = json!({"Type": "Notification", "Message": message.to_string()});
        json!({"Records": [{"EventSource": "aws:sns", "Sns": notification}]})
    };
    assert_eq!(answer(&handler, sns(&good)).await, json!({"batchItemFailures": []}));
    assert!(handle(&handler, sns(&json!({"hello": "world"})), PLENTY).await.is_err());
    for broken in [json!({"Records": null}), json!({"Records": "none"}), json!({"eventSource": "aws:kafka"})]
    {
        assert!(handle(&handler, broken, PLENTY).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn what_other_services_put_around_an_event_is_opened() {
    let fixture = Fixture::onboarded();
    let handler = handler(&fixture);
    let event = payload(&fixture, &fixture.certificate_id);
    let notification = json!({"Type": "Notification", "Message": event.to_string()});
    let direct = json!({"version": "0", "detail-type": "registered", "source": "boards", "detail": event});
    assert_eq!(answer(&handler, direct).await["outcome"], "registered");
    let redriven = json!({"requestPayload": event, "responsePayload": {"errorMessage": "throttled"}});
    for body in [notification, redriven] {
        fixture.set_status(CertificateStatus::PendingActivation);
        let mut record = record("1", &body);
        // Not one that the environment has seen done.
        record["body"] = json!(record["body"].as_str().unwrap().replace(&PUBLISHED.to_string(), "0"));
        assert_eq!(answer(&handler, json!({"Records": [record]})).await, json!({"batchItemFailures": []}));
        assert_eq!(
            fixture.account().certificates[&fixture.certificate_id].description.status,
            CertificateStatus::Active
        );
    }
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
    let answered = answer(&handler, json!({"Records": records})).await;
    assert_eq!(answered, json!({"batchItemFailures": [{"itemIdentifier": "3"}]}));
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

/// A handler that AWS IoT has throttled once, and a certificate that another environment has begun to register.
async fn rush(fixture: &Fixture) -> (Handler<MemoryRegistry>, String) {
    let begun = fixture.another_certificate("begun");
    fixture.registry.account(|account| {
        account.certificates.get_mut(&begun).unwrap().policies = ["zt_policy".to_owned()].into();
    });
    let handler = handler(fixture);
    let asked = AtomicU32::new(0);
    fixture.registry.set_faults(move |_, operation| match operation {
        Operation::DescribeCertificate if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
            Fault::Error(ErrorKind::Throttled)
        }
        _ => Fault::None,
    });
    let id = &fixture.certificate_id;
    answer(&handler, json!({"Records": [record("1", &payload(fixture, id))]})).await;
    fixture.assert_registered();
    fixture.registry.reset();
    (handler, begun)
}

#[tokio::test(start_paused = true)]
async fn in_a_rush_what_another_environment_has_begun_is_left_to_it_until_the_device_connects_again() {
    let fixture = Fixture::onboarded();
    let (handler, begun) = rush(&fixture).await;
    let mut event = payload(&fixture, &begun);
    let left = json!({"batchItemFailures": [{"itemIdentifier": "2"}]});
    for calls in [vec![Operation::ListAttachedPolicies], vec![]] {
        assert_eq!(answer(&handler, json!({"Records": [record("2", &event)]})).await, left);
        let made: Vec<_> = fixture.registry.calls().iter().map(|call| call.operation).collect();
        assert_eq!(made, calls);
        fixture.registry.reset();
    }
    event["timestamp"] = json!(PUBLISHED + 60_000 + 10_000);
    let done = answer(&handler, json!({"Records": [record("3", &event)]})).await;
    assert_eq!(done, json!({"batchItemFailures": []}));
    assert_eq!(fixture.registry.activations().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn in_a_rush_the_own_half_comes_first_and_the_other_is_left_while_many_wait() {
    let fixture = Fixture::onboarded();
    let (handler, _) = rush(&fixture).await;
    for n in 0..=4000 {
        let waiting = Event { timestamp: Some(PUBLISHED), ..fixture.event_for(&format!("{n:032x}{n:032x}")) };
        handler.known.waits(Subject::of(&waiting), &waiting, false, PUBLISHED + 1);
    }
    let ids: Vec<_> = (0..60).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
    let (own, foreign): (BTreeSet<_>, BTreeSet<_>) =
        ids.iter().cloned().partition(|id| handler.share.has(Subject::of(&fixture.event_for(id)).as_ref()));
    let records: Vec<_> = ids.iter().map(|id| record(id, &payload(&fixture, id))).collect();
    let response = answer(&handler, json!({"Records": records})).await;
    let left = failed(&response);
    assert_eq!(left, foreign);
    let registered: BTreeSet<_> =
        fixture.registry.activations().into_iter().map(|activation| activation.certificate_id).collect();
    assert!(registered.is_superset(&own) && registered.is_disjoint(&foreign));
    // A batch with nothing of the own half: the other environment may be gone.
    let records: Vec<_> = foreign.iter().map(|id| record(id, &payload(&fixture, id))).collect();
    assert_eq!(failed(&answer(&handler, json!({"Records": records})).await).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_rush_nothing_is_left_to_another_environment() {
    let fixture = Fixture::onboarded();
    let (handler, begun) = rush(&fixture).await;
    let batch = json!({"Records": [record("2", &payload(&fixture, &begun))]});
    assert_eq!(failed(&answer(&handler, batch.clone()).await).len(), 1);
    tokio::time::advance(Duration::from_secs(120)).await;
    assert_eq!(failed(&answer(&handler, batch).await).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_may_not_ask_for_attached_policies_registers_all_the_same() {
    let fixture = Fixture::onboarded();
    let (handler, begun) = rush(&fixture).await;
    let another = fixture.another_certificate("another");
    fixture.registry.set_faults(|_, operation| match operation {
        Operation::ListAttachedPolicies => Fault::Error(ErrorKind::Denied),
        _ => Fault::None,
    });
    for id in [&begun, &another] {
        let batch = json!({"Records": [record("2", &payload(&fixture, id))]});
        assert_eq!(answer(&handler, batch).await, json!({"batchItemFailures": []}));
    }
    let questions = fixture.registry.calls();
    let questions = questions.iter().filter(|call| call.operation == Operation::ListAttachedPolicies);
    assert_eq!((questions.count(), fixture.registry.activations().len()), (1, 3));
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
async fn what_fails_for_a_reason_of_its_own_holds_up_nothing() {
    let fixture = Fixture::onboarded();
    let ids: Vec<_> = (0..400).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
    fixture.registry.account(|account| {
        for id in &ids[..300] {
            account.certificates.get_mut(id).unwrap().policies = (0..10).map(|n| n.to_string()).collect();
        }
    });
    let mut records: Vec<_> = ids.iter().map(|id| record(id, &payload(&fixture, id))).collect();
    let handler = handler(&fixture);
    for _ in 0..3 {
        let again = failed(&answer(&handler, json!({"Records": records})).await);
        records.retain(|record| again.contains(record["messageId"].as_str().unwrap()));
    }
    assert_eq!((fixture.registry.activations().len(), records.len()), (100, 300));
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
    // One poison in four is an event that is refused; the others stay in the queue.
    while records.len() > 75 {
        let again = failed(&answer(&handler, json!({"Records": records})).await);
        records.retain(|record| again.contains(record["messageId"].as_str().unwrap()));
        rounds += 1;
        assert!(rounds < 12, "{again:?}");
    }
    let account = fixture.account();
    for id in ids {
        assert_eq!(account.certificates[&id].description.status, CertificateStatus::Active);
    }
    assert_eq!(fixture.registry.activations().len(), 900);
    assert!(records.iter().all(|record| record["messageId"].as_str().unwrap().starts_with("poison-")));
}

#[tokio::test(start_paused = true)]
async fn oversized_and_malformed_events_are_refused_shortly_and_make_no_call() {
    let fixture = Fixture::onboarded();
    let handler = handler(&fixture);
    let oversized = "x".repeat(6 * 1024 * 1024);
    for event in [
        json!({"certificateId": oversized}),
        json!({"certificateId": fixture.certificate_id, "caCertificateId": [oversized]}),
        json!({"payload": oversized}),
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
        assert!(matches!(handled.answer, Err(Failure::Event(_))));
        assert_eq!(handled.tally.failed, failed);
    }
}
