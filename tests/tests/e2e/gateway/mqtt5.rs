//! MQTT 5 at the gateway, packet by packet.

use std::num::{NonZeroU16, NonZeroU32};

use rmqtt_codec::types::QoS;
use rmqtt_codec::v3;
use rmqtt_codec::v5::{
    ConnectAckReason, DisconnectReasonCode, LastWill, Packet, PublishAckReason, Subscribe,
    SubscribeAckReason, SubscriptionOptions, Unsubscribe, UnsubscribeAckReason,
};
use testbed::iot_core::gateway::{Ended, Event, Refusal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Certified, Client, tls};
use super::{Bench, anything, own_topics};

fn disconnected(packet: Option<Packet>) -> DisconnectReasonCode {
    match packet {
        Some(Packet::Disconnect(disconnect)) => disconnect.reason_code,
        other => panic!("no DISCONNECT: {other:?}"),
    }
}

#[tokio::test]
async fn connack_has_the_properties_that_aws_sends() {
    let bench = Bench::start().await;
    let (_client, ack) = Client::v5(&bench, "board1", &own_topics(), |connect| {
        connect.keep_alive = 10;
        connect.session_expiry_interval_secs = 7 * 24 * 3600;
    })
    .await;
    assert_eq!((ack.reason_code, ack.session_present), (ConnectAckReason::Success, false));
    assert_eq!(
        (ack.receive_max.get(), ack.max_qos, ack.max_packet_size),
        (100, QoS::AtLeastOnce, Some(149_504))
    );
    assert_eq!((ack.topic_alias_max, ack.server_keepalive_sec), (8, Some(30)));
    assert_eq!(ack.session_expiry_interval_secs, Some(3600));
    assert!(ack.retain_available && ack.wildcard_subscription_available);
    assert!(!ack.subscription_identifiers_available && ack.shared_subscription_available);
    assert_eq!(ack.assigned_client_id, None);
}

#[tokio::test]
async fn a_client_without_an_id_is_given_one() {
    let bench = Bench::start().await;
    let (_client, ack) = Client::v5(&bench, "", &anything(), |_| {}).await;
    assert_eq!(ack.assigned_client_id.unwrap().len(), 36);
}

#[tokio::test]
async fn a_refused_connect_names_its_reason_and_an_unregistered_certificate_is_told_nothing() {
    let bench = Bench::start().await;
    let (mut client, ack) =
        Client::v5(&bench, "board1", &own_topics(), |connect| connect.client_id = "board2".into()).await;
    assert_eq!(ack.reason_code, ConnectAckReason::NotAuthorized);
    assert_eq!(client.receive().await, None);
    let (_client, ack) = Client::v5(&bench, &"x".repeat(129), &anything(), |_| {}).await;
    assert_eq!(ack.reason_code, ConnectAckReason::ClientIdentifierNotValid);
    let stranger = Certified::new();
    let mut client = Client::over(tls(&bench, Some(&stranger), &[]).await.unwrap(), 5);
    client.send(rmqtt_codec::v5::Connect::default().client_id("board1").into()).await;
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn acknowledgements_have_reasons() {
    let mut bench = Bench::start().await;
    let (mut client, _) = Client::v5(&bench, "board1", &own_topics(), |_| {}).await;
    assert_eq!(client.subscribe("board1/#").await, SubscribeAckReason::GrantedQos1);
    assert_eq!(client.subscribe("board2/#").await, SubscribeAckReason::NotAuthorized);
    assert_eq!(client.subscribe("a#").await, SubscribeAckReason::TopicFilterInvalid);
    assert_eq!(client.subscribe("$share/group/board1/#").await, SubscribeAckReason::NotAuthorized);
    assert_eq!(client.subscribe("$share/board1").await, SubscribeAckReason::TopicFilterInvalid);

    // A foreign topic: a word at quality of service 1, and the end at 0.
    let answer = client.publish("board2/a", b"", |_, _| {}).await;
    assert!(
        matches!(answer, Some(Packet::PublishAck(ack)) if ack.reason_code == PublishAckReason::NotAuthorized)
    );
    let refused = bench.event(|event| match event {
        Event::PublishRefused { topic, refusal: Refusal::Policy { action, .. }, .. } => Some((topic, action)),
        _ => None,
    });
    assert_eq!(refused.await, ("board2/a".to_owned(), "iot:Publish"));

    let packet_id = NonZeroU16::new(77).unwrap();
    let topic_filters = vec!["board1/#".into(), "board1/other".into()];
    client.send(Unsubscribe { packet_id, user_properties: Vec::new(), topic_filters }.into()).await;
    let Some(Packet::UnsubscribeAck(ack)) = client.receive().await else { panic!("no UNSUBACK") };
    assert_eq!(ack.status, [UnsubscribeAckReason::Success, UnsubscribeAckReason::NoSubscriptionExisted]);

    let at_most_once = |publish: &mut rmqtt_codec::types::Publish, _: &mut _| {
        publish.qos = QoS::AtMostOnce;
        publish.packet_id = None;
    };
    let answer = client.publish("board2/a", b"", at_most_once).await;
    assert_eq!(disconnected(answer), DisconnectReasonCode::NotAuthorized);
}

#[tokio::test]
async fn what_aws_does_not_support_ends_the_connection_with_its_reason() {
    let bench = Bench::start().await;
    let exactly_once = |publish: &mut rmqtt_codec::types::Publish, _: &mut _| publish.qos = QoS::ExactlyOnce;
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    assert_eq!(
        disconnected(client.publish("a", b"", exactly_once).await),
        DisconnectReasonCode::QosNotSupported
    );
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    let answer = client.publish("1/2/3/4/5/6/7/8/9", b"", |_, _| {}).await;
    assert_eq!(disconnected(answer), DisconnectReasonCode::TopicNameInvalid);
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    let answer = client.publish("a", &vec![0; 128 * 1024 + 1], |_, _| {}).await;
    assert_eq!(disconnected(answer), DisconnectReasonCode::PacketTooLarge);
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    let alias = |alias| {
        move |_: &mut _, properties: &mut rmqtt_codec::v5::PublishProperties| {
            properties.topic_alias = NonZeroU16::new(alias)
        }
    };
    assert_eq!(
        disconnected(client.publish("a", b"", alias(9)).await),
        DisconnectReasonCode::TopicAliasInvalid
    );

    let subscriptions = |filters: u16, id| Subscribe {
        packet_id: NonZeroU16::MIN,
        id,
        user_properties: Vec::new(),
        topic_filters: (0..filters)
            .map(|n| (format!("a/{n}").into(), SubscriptionOptions::default()))
            .collect(),
    };
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    client.send(subscriptions(9, None).into()).await;
    assert_eq!(disconnected(client.receive().await), DisconnectReasonCode::QuotaExceeded);
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    client.send(subscriptions(8, NonZeroU32::new(1)).into()).await;
    assert_eq!(
        disconnected(client.receive().await),
        DisconnectReasonCode::SubscriptionIdentifiersNotSupported
    );
}

#[tokio::test]
async fn properties_go_from_one_client_to_the_other_and_versions_understand_each_other() {
    let bench = Bench::start().await;
    let (mut reader, _) = Client::v5(&bench, "reader", &anything(), |_| {}).await;
    reader.subscribe("ask/#").await;
    let (mut old, _) = Client::v3(&bench, "old", &anything(), |_| {}).await.unwrap();
    let topic_filters = vec![("ask/#".into(), QoS::AtLeastOnce)];
    old.send_v3(v3::Packet::Subscribe { packet_id: NonZeroU16::MIN, topic_filters }).await;
    assert!(matches!(old.receive_v3().await, Some(v3::Packet::SubscribeAck { .. })));

    let (mut writer, _) = Client::v5(&bench, "writer", &anything(), |_| {}).await;
    let asks = |publish: &mut rmqtt_codec::types::Publish,
                properties: &mut rmqtt_codec::v5::PublishProperties| {
        publish.topic = "ask/board".into();
        properties.topic_alias = NonZeroU16::new(8);
        properties.content_type = Some("application/json".into());
        properties.response_topic = Some("answer/board".into());
        properties.correlation_data = Some(b"42".to_vec().into());
        properties.user_properties = vec![("a".into(), "1".into()), ("a".into(), "2".into())];
        properties.is_utf8_payload = true;
        properties.message_expiry_interval = NonZeroU32::new(60);
    };
    assert!(matches!(writer.publish("", b"{}", asks).await, Some(Packet::PublishAck(_))));
    let message = reader.message().await;
    let properties = message.properties.unwrap();
    assert_eq!((&*message.topic, &message.payload[..], message.retain), ("ask/board", &b"{}"[..], false));
    assert_eq!(properties.topic_alias, None);
    assert_eq!(properties.content_type.as_deref(), Some("application/json"));
    assert_eq!(properties.response_topic.as_deref(), Some("answer/board"));
    assert_eq!(properties.correlation_data.as_deref(), Some(&b"42"[..]));
    assert_eq!(properties.user_properties.len(), 2);
    assert!(properties.is_utf8_payload);
    assert!((1..=60).contains(&properties.message_expiry_interval.unwrap().get()));
    assert!(
        matches!(old.receive_v3().await, Some(v3::Packet::Publish(message)) if &*message.topic == "ask/board")
    );

    // The alias stands for the topic from then on.
    let again = |publish: &mut rmqtt_codec::types::Publish,
                 properties: &mut rmqtt_codec::v5::PublishProperties| {
        publish.topic = "".into();
        properties.topic_alias = NonZeroU16::new(8);
    };
    assert!(matches!(writer.publish("", b"2", again).await, Some(Packet::PublishAck(_))));
    assert_eq!(reader.message().await.topic, "ask/board");
}

#[tokio::test]
async fn a_takeover_is_told_and_the_last_will_is_published_where_the_policy_allows_it() {
    let mut bench = Bench::start().await;
    let (mut reader, _) = Client::v5(&bench, "reader", &anything(), |_| {}).await;
    reader.subscribe("wills/+").await;
    let will = |topic: &str| LastWill {
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: topic.to_owned().into(),
        message: b"gone".to_vec().into(),
        will_delay_interval_sec: None,
        correlation_data: None,
        message_expiry_interval: None,
        content_type: Some("text/plain".into()),
        user_properties: Vec::new(),
        is_utf8_payload: None,
        response_topic: None,
    };
    let (mut first, _) =
        Client::v5(&bench, "board1", &anything(), |connect| connect.last_will = Some(will("wills/1"))).await;
    let (_second, _) =
        Client::v5(&bench, "board1", &anything(), |connect| connect.last_will = Some(will("wills/2"))).await;
    assert_eq!(disconnected(first.receive().await), DisconnectReasonCode::SessionTakenOver);
    assert_eq!(bench.ended("board1").await, Ended::Displaced);
    let message = reader.message().await;
    assert_eq!(
        (&*message.topic, message.properties.unwrap().content_type.as_deref()),
        ("wills/1", Some("text/plain"))
    );
    let (_, ack) =
        Client::v5(&bench, "board3", &own_topics(), |connect| connect.last_will = Some(will("wills/3")))
            .await;
    assert_eq!(ack.reason_code, ConnectAckReason::NotAuthorized);
}

#[tokio::test]
async fn version_3_1_is_answered_with_unacceptable_protocol_version() {
    let bench = Bench::start().await;
    let certified = Certified::new();
    bench.account.activate(&certified.id, &anything(), &["board1"]);
    let mut stream = tls(&bench, Some(&certified), &[]).await.unwrap();
    stream.write_all(b"\x10\x14\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x06board1").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"\x20\x02\x00\x01");
}

#[tokio::test]
async fn alpn_chooses_what_the_port_speaks() {
    let bench = Bench::start().await;
    let certified = Certified::new();
    bench.account.activate(&certified.id, &anything(), &["board1"]);
    for protocol in [&b"x-amzn-mqtt-ca"[..], b"mqtt"] {
        let stream = tls(&bench, Some(&certified), &[protocol]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        let mut client = Client::over(stream, 5);
        client
            .send(
                rmqtt_codec::v5::Connect { clean_start: true, ..Default::default() }
                    .client_id("board1")
                    .into(),
            )
            .await;
        assert!(matches!(client.receive().await, Some(Packet::ConnectAck(_))));
    }
    assert!(tls(&bench, Some(&certified), &[b"h2"]).await.is_err());
}

#[tokio::test]
async fn a_client_gets_the_certificate_whose_kind_it_can_check() {
    use rustls::CipherSuite;
    use rustls::crypto::aws_lc_rs;
    let bench = Bench::start().await;
    for (suite, algorithm) in [
        (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "1.2.840.113549.1.1.1"),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "1.2.840.10045.2.1"),
        (CipherSuite::TLS13_AES_128_GCM_SHA256, "1.2.840.10045.2.1"),
    ] {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|offered| offered.suite() == suite);
        let stream = super::client::tls_with(&bench.gateway, None, &[], provider).await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        let (_, certificate) = x509_parser::parse_x509_certificate(&shown).unwrap();
        assert_eq!(certificate.public_key().algorithm.algorithm.to_id_string(), algorithm, "{suite:?}");
    }
}
