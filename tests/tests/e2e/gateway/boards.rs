//! Boards at the gateway: an MQTT client of the test's own with the account's policies.

use std::time::Duration;

use rmqtt_codec::types::QoS;
use rmqtt_codec::v3;
use serde_json::json;
use testbed::device::{Credentials, Device, DeviceError, Endpoint, Message};
use testbed::iot_core::gateway::{Ended, Event, Options, Refusal};

use super::client::Client;
use super::{ARN, Bench, anything, board, own_topics};

fn violation_of(ended: Ended) -> (&'static str, String) {
    match ended {
        Ended::Violation(Refusal::Policy { action, resource, explicit: false, .. }) => (action, resource),
        other => panic!("not a violation of the policy: {other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_turned_away_until_the_account_activates_it() {
    let mut bench = Bench::start().await;
    let (credentials, id) = board();
    let endpoint = bench.endpoint();
    let first = Device::connect(&endpoint, &credentials, "board1").await;
    assert!(matches!(first, Err(DeviceError::Connection(_))), "{first:?}");
    let registered = bench
        .event(|event| match event {
            Event::Registered { certificate_id, client_id } => Some((certificate_id, client_id)),
            _ => None,
        })
        .await;
    assert_eq!(registered, (id.clone(), "board1".to_owned()));

    Device::connect(&endpoint, &credentials, "board1").await.unwrap_err();
    let refused = bench
        .event(|event| match event {
            Event::Refused { certificate_id, refusal, .. } => Some((certificate_id, refusal.to_string())),
            _ => None,
        })
        .await;
    assert_eq!(refused, (id.clone(), "PENDING_ACTIVATION".to_owned()));

    let patience = Duration::from_secs(20);
    let retrying = Device::connect_until_let_in(&endpoint, &credentials, "board1", patience);
    let activating = async { bench.account.activate(&id, &own_topics(), &["board1"]) };
    let (let_in, ()) = tokio::join!(retrying, activating);
    let_in.unwrap().0.disconnect().await.unwrap();
    assert_eq!(bench.ended("board1").await, Ended::Disconnect);
}

#[tokio::test]
async fn a_board_talks_on_its_own_topics_over_both_tls_versions() {
    static VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] =
        [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];
    for tls_versions in VERSIONS {
        let bench = Bench::start().await;
        let (credentials, id) = board();
        bench.account.activate(&id, &own_topics(), &["board1"]);
        let endpoint = Endpoint { tls_versions, ..bench.endpoint() };
        let mut device = Device::connect(&endpoint, &credentials, "board1").await.unwrap();
        device.subscribe("board1/#").await.unwrap();
        device.publish("board1/sensors", b"21").await.unwrap();
        let echo = Message { topic: "board1/sensors".to_owned(), payload: b"21".to_vec() };
        assert_eq!(device.receive().await.unwrap(), echo);

        bench.gateway.publisher().publish("board1/command", b"blink");
        let command = Message { topic: "board1/command".to_owned(), payload: b"blink".to_vec() };
        assert_eq!(device.receive().await.unwrap(), command);
        assert_eq!(bench.account.messages(), [("board1/sensors".to_owned(), b"21".to_vec())]);
    }
}

#[tokio::test]
async fn a_wrong_client_id_is_refused_at_connect() {
    let mut bench = Bench::start().await;
    let (credentials, id) = board();
    bench.account.activate(&id, &own_topics(), &["board1"]);
    Device::connect(&bench.endpoint(), &credentials, "board2").await.unwrap_err();
    let refusal = bench
        .event(|event| match event {
            Event::Refused { refusal, .. } => Some(refusal),
            _ => None,
        })
        .await;
    let resource = format!("{ARN}:client/board2");
    match refusal {
        Refusal::Policy { action: "iot:Connect", resource: asked, explicit: false, because } => {
            assert_eq!(asked, resource);
            assert!(because.starts_with("statement ") && because.contains("iot:Connect"), "{because}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn publishing_to_a_foreign_topic_ends_the_connection() {
    let mut bench = Bench::start().await;
    let mut device = bench.device("board1", &own_topics()).await;
    let refused = device.publish("board2/sensors", b"21").await;
    assert!(matches!(refused, Err(DeviceError::Connection(_))), "{refused:?}");
    let violation = violation_of(bench.ended("board1").await);
    assert_eq!(violation, ("iot:Publish", format!("{ARN}:topic/board2/sensors")));
    assert!(bench.account.messages().is_empty());
}

#[tokio::test]
async fn no_policy_lets_a_device_forge_what_aws_says_and_limits_hold() {
    let mut bench = Bench::start().await;
    for (topic, size, says) in [
        ("$aws/events/certificates/registered/ab12", 2, "topics that begin with $ are reserved"),
        ("$aws/events/presence/connected/board1", 2, "topics that begin with $ are reserved"),
        ("$SYS/broker", 2, "topics that begin with $ are reserved"),
        ("big", 128 * 1024 + 1, "a payload has at most 128 KiB"),
    ] {
        let mut device = bench.device("board1", &anything()).await;
        let refused = device.publish(topic, &vec![b'x'; size]).await;
        assert!(matches!(refused, Err(DeviceError::Connection(_))), "{topic}: {refused:?}");
        let Ended::Violation(Refusal::Unsupported { what }) = bench.ended("board1").await else {
            panic!("{topic}: another end")
        };
        assert!(what.to_string().starts_with(says), "{what}");
    }
    assert!(bench.account.messages().is_empty());
    let mut device = bench.device("board1", &anything()).await;
    device.publish("largest", &[b'x'; 128 * 1024]).await.unwrap();
    device.subscribe("largest").await.unwrap();
}

#[tokio::test]
async fn a_foreign_or_malformed_subscription_ends_the_connection() {
    let mut bench = Bench::start().await;
    for wanted in ["board2/#", "#", "board1/+", "+/sensors", "1/2/3/4/5/6/7/8/9"] {
        let mut device = bench.device("board1", &own_topics()).await;
        device.subscribe("board1/#").await.unwrap();
        let refused = device.subscribe(wanted).await;
        assert!(matches!(refused, Err(DeviceError::Connection(_))), "{wanted}: {refused:?}");
        let refused = bench
            .event(|event| match event {
                Event::SubscriptionRefused { filter, refusal, .. } => Some((filter, refusal)),
                _ => None,
            })
            .await;
        assert_eq!(refused.0, wanted);
        assert_eq!(bench.ended("board1").await, Ended::Violation(refused.1));
    }
}

/// A policy of the repository, for the account of these tests.
fn document(text: &str) -> String {
    let values = [("Partition", "aws"), ("Region", "us-east-2"), ("AccountId", "420230807713")];
    values
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{AWS::{name}}}"), value))
}

#[tokio::test]
async fn with_the_default_policy_a_board_subscribes_below_its_name_and_to_nothing_of_another() {
    let default = document(include_str!("../../../../infra/zt_policy.json"));
    let mut bench = Bench::start().await;
    let mut device = bench.device("board1", &default).await;
    for filter in
        ["board1/command", "board1/+/state", "board1/#", "$aws/things/board1/shadow/update/accepted"]
    {
        device.subscribe(filter).await.unwrap();
    }
    for filter in ["board2/command", "board2/#", "#", "+/command", "board1", "$aws/things/board2/shadow/#"] {
        let refused =
            bench.device("other", &default).await.subscribe(&filter.replace("board1", "other")).await;
        assert!(matches!(refused, Err(DeviceError::Connection(_))), "{filter}: {refused:?}");
    }
    device.publish("board1/command", b"on").await.unwrap();
    let received = device.receive().await.unwrap();
    assert_eq!(received, Message { topic: "board1/command".to_owned(), payload: b"on".to_vec() });
    device.publish("$aws/things/board1/shadow/update", b"{}").await.unwrap();
    let refused = device.publish("board2/command", b"on").await;
    assert!(matches!(refused, Err(DeviceError::Connection(_))), "{refused:?}");
    let violation = violation_of(bench.ended("board1").await);
    assert_eq!(violation, ("iot:Publish", format!("{ARN}:topic/board2/command")));

    // The document of the example means as much, and does not allow it.
    let example = document(include_str!("../../../../lambda/docs/policy_example.json"));
    for filter in ["board3/command", "board3/+/state"] {
        let mut device = bench.device("board3", &example).await;
        device.subscribe("board3/#").await.unwrap();
        let refused = device.subscribe(filter).await;
        assert!(matches!(refused, Err(DeviceError::Connection(_))), "{filter}: {refused:?}");
    }
}

#[tokio::test]
async fn a_message_is_withheld_from_a_subscriber_that_may_not_receive_it() {
    let mut bench = Bench::start().await;
    let listener = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "iot:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "iot:Receive", "Resource": format!("{ARN}:topic/secret/*")},
    ]});
    let mut listener = bench.device("listener", &listener.to_string()).await;
    listener.subscribe("#").await.unwrap();
    let mut speaker = bench.device("speaker", &anything()).await;
    speaker.publish("secret/plan", b"1").await.unwrap();
    speaker.publish("public/news", b"2").await.unwrap();
    let first = listener.receive().await.unwrap();
    assert_eq!(first, Message { topic: "public/news".to_owned(), payload: b"2".to_vec() });
    let withheld = bench
        .event(|event| match event {
            Event::Withheld { client_id, topic, refusal } => Some((client_id, topic, refusal.to_string())),
            _ => None,
        })
        .await;
    assert_eq!((&*withheld.0, &*withheld.1), ("listener", "secret/plan"));
    assert!(withheld.2.starts_with("a policy denies iot:Receive on"), "{}", withheld.2);
}

#[tokio::test]
async fn a_second_connection_with_the_same_client_id_takes_over() {
    let mut bench = Bench::start().await;
    let mut first = bench.device("board1", &anything()).await;
    let mut second = bench.device("board1", &anything()).await;
    assert_eq!(bench.ended("board1").await, Ended::Displaced);
    let over = first.publish("a", b"").await;
    assert!(matches!(over, Err(DeviceError::Connection(_))), "{over:?}");
    second.subscribe("a").await.unwrap();
    second.publish("a", b"still here").await.unwrap();
    assert_eq!(second.receive().await.unwrap().payload, b"still here");
}

#[tokio::test]
async fn a_key_that_does_not_belong_to_the_certificate_fails_the_handshake() {
    let mut bench = Bench::start().await;
    let (honest, id) = board();
    bench.account.activate(&id, &anything(), &["board1"]);
    let (other, _) = board();
    let thief = Credentials { chain: honest.chain, sign: other.sign, roots: None };
    let refused = Device::connect(&bench.endpoint(), &thief, "board1").await;
    assert!(matches!(refused, Err(DeviceError::Connection(_))), "{refused:?}");
    let reason = bench
        .event(|event| match event {
            Event::HandshakeFailed { reason, .. } => Some(reason),
            _ => None,
        })
        .await;
    assert!(reason.contains("BadSignature"), "{reason}");
}

#[tokio::test]
async fn a_malformed_policy_denies_everything() {
    let mut bench = Bench::start().await;
    let (credentials, id) = board();
    bench.account.activate(&id, &anything(), &["board1"]);
    let policies = vec![anything(), "{".to_owned()];
    bench.account.certificates.lock().unwrap().get_mut(&id).unwrap().policies = policies;
    Device::connect(&bench.endpoint(), &credentials, "board1").await.unwrap_err();
    let refused = bench.event(|event| matches!(event, Event::Refused { .. }).then_some(())).await;
    assert_eq!(refused, ());
}

#[tokio::test]
async fn silent_clients_and_too_many_connections_are_closed() {
    let adjust = |options: &mut Options| {
        options.patience = Duration::from_millis(100);
        options.max_connections = 1;
    };
    let mut bench = Bench::with(adjust).await;
    let silent = tokio::net::TcpStream::connect(("127.0.0.1", bench.gateway.port())).await.unwrap();
    let excess = tokio::net::TcpStream::connect(("127.0.0.1", bench.gateway.port())).await.unwrap();
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        reasons.push(
            bench
                .event(|event| match event {
                    Event::HandshakeFailed { reason, .. } => Some(reason),
                    _ => None,
                })
                .await,
        );
    }
    assert_eq!(reasons, ["1 connections already", "no TLS handshake within 100ms"]);
    drop((silent, excess));
}

#[tokio::test]
async fn dropping_the_gateway_closes_its_connections() {
    let bench = Bench::start().await;
    let mut device = bench.device("board1", &anything()).await;
    let port = bench.gateway.port();
    drop(bench.gateway);
    let over = device.publish("a", b"").await;
    assert!(matches!(over, Err(DeviceError::Connection(_))), "{over:?}");
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn a_policy_keeps_persistent_sessions_and_last_wills_out_or_asks_for_a_topic() {
    let bench = Bench::start().await;
    let connect = |operator: &str, key: &str, values: serde_json::Value| {
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "iot:Publish", "Resource": "*"},
            {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*", "Condition": {operator: {key: values}}},
        ]})
        .to_string()
    };
    let attributes = |values| connect("ForAllValues:StringEquals", "iot:ConnectAttributes", values);
    let topic = connect("ArnEquals", "iot:LastWillTopic", json!(format!("{ARN}:topic/gone")));
    let plain = |_: &mut v3::Connect| {};
    let kept = |connect: &mut v3::Connect| connect.clean_session = false;
    fn will(topic: &'static str) -> impl Fn(&mut v3::Connect) {
        move |connect| {
            let message = b"".to_vec().into();
            connect.last_will =
                Some(v3::LastWill { qos: QoS::AtMostOnce, retain: false, topic: topic.into(), message });
        }
    }
    let default = attributes(json!([]));
    assert!(Client::v3(&bench, "board1", &default, plain).await.is_some());
    assert!(Client::v3(&bench, "board1", &default, kept).await.is_none());
    assert!(Client::v3(&bench, "board1", &default, will("gone")).await.is_none());
    let persistent = attributes(json!(["PersistentConnect"]));
    assert!(Client::v3(&bench, "board1", &persistent, kept).await.is_some());
    assert!(Client::v3(&bench, "board1", &persistent, will("gone")).await.is_none());
    assert!(Client::v3(&bench, "board1", &topic, plain).await.is_none());
    assert!(Client::v3(&bench, "board1", &topic, will("gone")).await.is_some());
    assert!(Client::v3(&bench, "board1", &topic, will("other")).await.is_none());
}
