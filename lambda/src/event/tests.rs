//! What is read as an event, and what is said of everything else.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn observed() -> Value {
    json!({
        "certificateId": "a1".repeat(32),
        "caCertificateId": "b2".repeat(32),
        "timestamp": 1_761_991_200_123_u64,
        "certificateStatus": "PENDING_ACTIVATION",
        "awsAccountId": "420230807713",
        "certificateRegistrationTimestamp": null,
        "sourceIp": "192.0.2.7",
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut event = observed();
    event[field] = value;
    event
}

fn without(field: &str) -> Value {
    let mut event = observed();
    event.as_object_mut().unwrap().remove(field);
    event
}

#[test]
fn the_observed_event_is_read() {
    let event = Event::from_json(&observed().to_string()).unwrap();
    assert_eq!(event.certificate_id, "a1".repeat(32));
    assert_eq!(event.ca_certificate_id, "b2".repeat(32));
    assert_eq!(event.aws_account_id.as_deref(), Some("420230807713"));
    assert_eq!(event.timestamp, Some(1_761_991_200_123));
    assert_eq!(oddities(&observed()).count(), 0);
}

#[test]
fn every_field_but_the_ids_may_be_absent_or_have_any_form() {
    let values = [
        Value::Null,
        json!(""),
        json!("yesterday"),
        json!(-1),
        json!(17),
        json!(1.5),
        json!(true),
        json!(["192.0.2.7"]),
        json!({"a": 1}),
        json!("é".repeat(500)),
    ];
    for (field, ..) in FORMS {
        assert!(Event::from_value(&without(field)).is_ok(), "{field} absent");
        for value in &values {
            assert!(Event::from_value(&with(field, value.clone())).is_ok(), "{field} {value}");
        }
    }
    assert!(Event::from_value(&with("somethingNew", json!({"deep": [1]}))).is_ok());
    let ids = json!({"certificateId": "a1".repeat(32), "caCertificateId": "b2".repeat(32)});
    let event = Event::from_value(&ids).unwrap();
    assert_eq!((event.aws_account_id, event.timestamp), (None, None));
}

#[test]
fn a_time_counts_if_it_is_one_in_milliseconds() {
    let read = |value| Event::from_value(&with("timestamp", value)).unwrap().timestamp;
    let time = 1_761_991_200_123_i64;
    for value in [json!(time), json!(time.to_string()), json!(1_761_991_200_123.0), json!("1761991200123.9")]
    {
        assert_eq!(read(value.clone()), Some(1_761_991_200_123), "{value}");
    }
    // A time before the first event of AWS IoT would make every event an old one.
    for value in
        [json!(0), json!(1_761_991_200), json!("17"), json!(-time), json!(1e300), json!("2026-01-01")]
    {
        assert_eq!(read(value.clone()), None, "{value}");
    }
}

#[test]
fn an_account_is_read_as_text_and_as_a_number_which_has_lost_its_zeros() {
    let read = |value| Event::from_value(&with("awsAccountId", value)).unwrap().aws_account_id;
    assert_eq!(read(json!(420_230_807_713_u64)).as_deref(), Some("420230807713"));
    assert_eq!(read(json!(12_345)).as_deref(), Some("000000012345"));
    assert_eq!(read(json!(420_230_807_713.0)).as_deref(), Some("420230807713"));
    for value in [json!(1e12), json!("42023080771"), json!("42023080771x"), json!(["420230807713"])] {
        assert_eq!(read(value.clone()), None, "{value}");
    }
}

#[test]
fn fields_of_another_form_are_named() {
    let told = |field, value| oddities(&with(field, value)).map(|(field, ..)| field).collect::<Vec<_>>();
    for (field, value) in [
        ("timestamp", json!("1761991200123")),
        ("timestamp", json!(17)),
        ("sourceIp", json!(["192.0.2.7"])),
        ("awsAccountId", json!(420_230_807_713_u64)),
        ("certificateStatus", json!("PENDING")),
        ("certificateRegistrationTimestamp", json!(17)),
    ] {
        assert_eq!(told(field, value), [field]);
    }
}

#[test]
fn ids_are_read_in_lower_case() {
    let event = Event::from_value(&with("certificateId", json!("A1".repeat(32)))).unwrap();
    assert_eq!(event.certificate_id, "a1".repeat(32));
}

#[test]
fn errors_name_the_field_and_what_is_expected() {
    let errors: Vec<String> = [
        json!([]),
        without("certificateId"),
        with("certificateId", json!("xyz")),
        with("certificateId", json!("a".repeat(10_000))),
        with("certificateId", json!({"a": 1})),
        with("caCertificateId", Value::Null),
        with("caCertificateId", json!("é".repeat(32))),
    ]
    .iter()
    .map(|event| Event::from_value(event).unwrap_err().to_string())
    .chain(["{", "", " \n"].map(|text| Event::from_json(text).unwrap_err().to_string()))
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

fn base64(value: &Value) -> String {
    aws_smithy_types::base64::encode(value.to_string())
}

fn in_lines(text: &str) -> String {
    text.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

/// An envelope of each kind around `inner`.
fn envelopes(inner: &Value) -> Vec<(&'static str, Value)> {
    let notification = json!({
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:boards",
        "Message": inner.to_string(),
        "Timestamp": "2026-01-01T00:00:00.000Z",
        "MessageAttributes": {},
    });
    let destination = |payload: &Value| {
        json!({
            "version": "1.0",
            "timestamp": "2026-01-01T00:00:00.000Z",
            "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": payload,
            "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
            "responsePayload": {"errorMessage": "throttled", "certificateId": "c3".repeat(32)},
        })
    };
    let sns = json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": notification}]});
    let encoded = base64(inner);
    vec![
        ("Amazon SNS", notification.clone()),
        ("Amazon SNS that invokes", sns.clone()),
        ("destination", destination(inner)),
        ("destination of Amazon SNS", destination(&sns)),
        ("Amazon EventBridge", json!({"version": "0", "detail-type": "t", "source": "s", "detail": inner})),
        (
            "destination Amazon EventBridge",
            json!({"detail-type": "Lambda Function Invocation Result - Failure",
            "source": "lambda", "detail": destination(inner)}),
        ),
        (
            "error action",
            json!({"ruleName": "R", "base64OriginalPayload": encoded, "failures": [
            {"failedAction": "LambdaAction", "errorMessage": "m"}, {"failedAction": "SqsAction"}]}),
        ),
        ("base64 of a rule", json!({"data": encoded, "topic": "$aws/events/certificates/registered/b2"})),
        ("base64 without padding", json!({"payload": encoded.trim_end_matches('=')})),
        ("base64 for URLs", json!({"payload": encoded.replace('+', "-").replace('/', "_")})),
        ("base64 in lines", json!({"payload": in_lines(&encoded)})),
        ("text", json!(inner.to_string())),
        ("text in base64", json!(encoded)),
        ("alias of a rule", json!({"event": inner, "received": 1})),
        (
            "a queue's message",
            json!({"messageId": "m", "receiptHandle": "AQEB", "body": notification.to_string()}),
        ),
        ("byte-order mark", json!({"Message": format!("\u{feff}{inner}\r\n")})),
    ]
}

#[test]
fn the_event_is_found_in_every_envelope_and_in_one_within_another() {
    let expected = Event::from_value(&observed()).unwrap();
    for (outer, envelope) in envelopes(&observed()) {
        assert_eq!(Event::from_value(&envelope).as_ref(), Ok(&expected), "{outer}");
        assert_eq!(Event::from_json(&envelope.to_string()).as_ref(), Ok(&expected), "{outer}");
        assert_eq!(opened(&envelope).unwrap().into_owned(), observed(), "{outer}");
        assert_eq!(Event::from_json(&base64(&envelope)).as_ref(), Ok(&expected), "{outer}");
        for (inner, twice) in envelopes(&json!({"detail": envelope})).into_iter().take(1) {
            assert_eq!(Event::from_value(&twice).as_ref(), Ok(&expected), "{outer} in {inner}");
        }
    }
}

#[test]
fn envelopes_are_opened_to_a_bound() {
    let nested = |levels| (0..levels).fold(observed(), |inner, _| json!({"detail": inner}));
    assert!(Event::from_value(&nested(12)).is_ok());
    assert!(Event::from_value(&nested(13)).is_err());
    let texts = |levels| (0..levels).fold(observed(), |inner, _| json!(inner.to_string()));
    assert!(Event::from_value(&texts(12)).is_ok());
    assert!(Event::from_value(&texts(13)).is_err());
}

#[test]
fn what_is_wrong_with_the_event_in_an_envelope_is_told_and_two_events_are_not_one() {
    let bad = with("certificateId", json!("xyz"));
    for (outer, envelope) in envelopes(&bad) {
        let error = Event::from_value(&envelope).unwrap_err().to_string();
        assert_eq!(error, Event::from_value(&bad).unwrap_err().to_string(), "{outer}");
    }
    let two = json!({"a": observed(), "b": with("certificateId", json!("c3".repeat(32)))});
    assert_eq!(Event::from_value(&two), Err(EventError::Several));
    assert!(Event::from_value(&json!({"a": observed(), "b": observed()})).is_ok());
    for several in
        [json!([observed(), observed()]), json!([observed(), 1]), json!([{"body": observed()}, {}])]
    {
        assert_eq!(Event::from_value(&json!({"events": several})), Err(EventError::Several), "{several}");
    }
}

#[test]
fn other_payloads_are_told_for_what_they_are() {
    let record = |source: &str| json!({"Records": [{"eventSource": source, "awsRegion": "us-east-1"}]});
    let s3 = record("aws:s3");
    let payloads = [
        json!({"key1": "value1", "key2": "value2", "key3": "value3"}),
        json!({"source": "serverless-plugin-warmup"}),
        json!({"warmer": true, "concurrency": 3}),
        json!({}),
        s3.clone(),
        record("aws:dynamodb"),
        record("aws:kinesis"),
        record("aws:ses"),
        record("aws:sqs"),
        record("somebody's"),
        json!({"eventSource": "aws:kafka", "records": {"t-0": [{"value": "e30="}]}}),
        json!({"Type": "Notification", "Message": s3.to_string()}),
        json!({"Type": "Notification", "Message": "hello"}),
        json!({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns.us-east-1.amazonaws.com/"}),
        json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}),
        json!({"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}),
        json!({"requestContext": {"http": {}}, "rawPath": "/", "body": observed().to_string()}),
        json!({"requestContext": {"condition": "c"}, "requestPayload": {"key1": "value1"}}),
        json!({"KinesisBatchInfo": {"shardId": "shardId-0"}, "requestContext": {}}),
        json!({"eventType": "connected", "clientId": "board-1", "principalIdentifier": "a1".repeat(32)}),
        json!({"clientCertificateChain": ["a"], "serverName": "s"}),
        json!({"awslogs": {"data": "H4sI"}}),
        json!({"hello": "world"}),
        json!([1, 2]),
        json!("no event"),
        json!(5),
    ];
    let told = payloads.iter().map(|payload| Event::from_value(payload).unwrap_err().to_string());
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_batch_is_taken_apart_or_fails_as_a_whole() {
    let of = |value: &Value| records(value).map(|records| records.map(<[Value]>::len));
    assert_eq!(of(&json!({"Records": [1, 2]})), Some(Ok(2)));
    assert_eq!(of(&json!([{"messageId": "1"}])), Some(Ok(1)));
    for broken in [json!({"Records": null}), json!({"Records": "none"}), json!({"eventSource": "aws:kafka"})]
    {
        assert!(of(&broken).unwrap().is_err(), "{broken}");
    }
    for single in [json!({}), json!([]), json!(null), observed(), with("Records", json!([]))] {
        assert_eq!(of(&single), None, "{single}");
    }
    assert_eq!(
        records(&json!({"Records": null})).unwrap().unwrap_err().to_string(),
        "the event's \"Records\" is null; a list of records is expected"
    );
}

#[test]
fn a_record_is_read_from_its_body() {
    let read = |record: Value| Event::from_record(&record).map_err(|error| error.to_string());
    assert!(read(json!({"messageId": "1", "body": observed().to_string()})).is_ok());
    assert!(read(json!({"EventSource": "aws:sns", "Sns": {"Message": observed().to_string()}})).is_ok());
    assert!(read(json!({"kinesis": {"data": base64(&observed())}, "eventSource": "aws:kinesis"})).is_ok());
    assert!(read(observed()).is_ok());
    let (text, number) =
        ("the event's \"body\" is 5; the text of the message is expected", json!({"body": 5}));
    assert_eq!(read(number).unwrap_err(), text);
    for empty in [json!({"body": ""}), json!({"body": null})] {
        assert!(read(empty).unwrap_err().starts_with("the message is empty"));
    }
    // Another field than the body says nothing about the message.
    let beside = json!({"body": "no event", "messageAttributes": {"event": observed()}});
    assert!(read(beside).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text: String) {
        let _ = Event::from_json(&text);
    }

    #[test]
    fn the_text_of_an_event_says_what_its_value_says(
        field in prop::sample::select(vec!["certificateId", "caCertificateId", "awsAccountId", "timestamp", "other"]),
        value in prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[0-9a-fA-F]{64}".prop_map(Value::from),
            " ?[0-9]{12}".prop_map(Value::from),
            Just(Value::Null),
        ],
    ) {
        let text = with(field, value).to_string();
        // The last digit of a float may be another one in the text.
        let event = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(Event::from_json(&text), Event::from_value(&event));
    }

    #[test]
    fn whatever_an_id_holds_the_error_names_that_field(
        field in prop::sample::select(vec!["certificateId", "caCertificateId"]),
        text in ".*",
    ) {
        if let Err(error) = Event::from_value(&with(field, json!(text))) {
            prop_assert!(error.to_string().contains(field));
        }
    }

    #[test]
    fn what_is_not_an_id_decides_nothing(
        field in prop::sample::select(FORMS.map(|(field, ..)| field).to_vec()),
        text in ".*",
        number: f64,
    ) {
        let expected = Event::from_value(&observed()).unwrap();
        for value in [json!(text), json!(number)] {
            let event = Event::from_value(&with(field, value)).unwrap();
            prop_assert_eq!(&event.certificate_id, &expected.certificate_id);
            prop_assert_eq!(&event.ca_certificate_id, &expected.ca_certificate_id);
        }
    }
}

#[test]
fn a_payload_that_is_no_json_becomes_json() {
    let event = br#"{"certificateId": "x"}"#;
    assert_eq!(as_json(event), None);
    assert_eq!(as_json(b"null"), None);
    assert_eq!(as_json(&[b"\xEF\xBB\xBF", &event[..]].concat()).as_deref(), Some(&event[..]));
    assert_eq!(as_json(b" \n").as_deref(), Some(&b"\"\""[..]));
    assert_eq!(as_json(b"it's \"so\"").as_deref(), Some(&br#""it's \"so\"""#[..]));
    // A batch is not read twice.
    assert_eq!(as_json(&[&b"{"[..], &[b' '; 100_000]].concat()), None);
    // What the parser gives up is no JSON here either.
    assert!(as_json("[".repeat(1000).as_bytes()).is_some_and(|json| json.starts_with(b"\"[[")));
}

#[test]
fn what_is_in_a_text_or_in_a_record_of_a_failure_is_told_as_it_is_by_itself() {
    let console = json!({"key1": "value1", "key2": "value2", "key3": "value3"});
    let s3 = json!({"Service": "Amazon S3", "Event": "s3:TestEvent"});
    for (inner, name) in
        [(&console, "test event of the AWS Lambda console"), (&s3, "test event of Amazon S3")]
    {
        for payload in [
            inner.clone(),
            Value::from(inner.to_string()),
            json!({"requestPayload": inner, "responsePayload": {}}),
            Value::from(json!({"requestPayload": inner}).to_string()),
        ] {
            let error = Event::from_value(&payload).unwrap_err().to_string();
            assert!(error.contains(name), "{payload}: {error}");
        }
    }
    assert_eq!(Event::from_value(&Value::from(" ")), Err(EventError::Empty));
}
