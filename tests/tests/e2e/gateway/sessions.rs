//! Sessions that outlive their connections, retained messages, and connections that the account ends.

use std::num::NonZeroU16;
use std::sync::Arc;

use rcgen::SigningKey;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v3;
use rmqtt_codec::v5::{
    Disconnect, DisconnectReasonCode, Packet, RetainHandling, SubscribeAckReason, SubscriptionOptions,
};
use testbed::Testbed;
use testbed::device::{Credentials, Device, Endpoint};
use testbed::iot_core::account::Status;
use testbed::iot_core::gateway::{Ended, Event, Refusal};

use super::client::Client;
use super::{Bench, anything};

async fn subscribe_v3(client: &mut Client, filter: &str) {
    let topic_filters = vec![(filter.to_owned().into(), QoS::AtLeastOnce)];
    client.send_v3(v3::Packet::Subscribe { packet_id: NonZeroU16::MIN, topic_filters }).await;
    assert!(matches!(client.receive_v3().await, Some(v3::Packet::SubscribeAck { .. })));
}

/// The payload of the next message, acknowledged.
async fn message_v3(client: &mut Client) -> Vec<u8> {
    match client.receive_v3().await {
        Some(v3::Packet::Publish(publish)) => {
            if let Some(packet_id) = publish.packet_id {
                client.send_v3(v3::Packet::PublishAck { packet_id }).await;
            }
            publish.payload.to_vec()
        }
        other => panic!("no message: {other:?}"),
    }
}

#[tokio::test]
async fn a_session_that_is_not_clean_is_there_again_with_what_came_meanwhile() {
    let mut bench = Bench::start().await;
    let keep = |connect: &mut v3::Connect| connect.clean_session = false;
    let (mut board, present) = Client::v3(&bench, "board1", &anything(), keep).await.unwrap();
    assert!(!present);
    subscribe_v3(&mut board, "board1/#").await;
    bench.gateway.publisher().publish("board1/unacknowledged", b"0");
    assert!(matches!(board.receive_v3().await, Some(v3::Packet::Publish(_))));
    board.send_v3(v3::Packet::Disconnect).await;
    assert_eq!(bench.ended("board1").await, Ended::Disconnect);

    bench.gateway.publisher().publish("board1/a", b"1");
    let (mut other, _) = Client::v5(&bench, "other", &anything(), |_| {}).await;
    let at_most_once = |publish: &mut rmqtt_codec::types::Publish, _: &mut _| {
        publish.qos = QoS::AtMostOnce;
        publish.packet_id = None;
    };
    // Only what has quality of service 1 waits. The answer is that of the second message.
    let mut lost = Box::pin(other.publish("board1/lost", b"x", at_most_once));
    assert!(futures::poll!(&mut lost).is_pending());
    drop(lost);
    other.publish("board1/b", b"2", |_, _| {}).await.unwrap();

    let (mut board, present) = Client::v3(&bench, "board1", &anything(), keep).await.unwrap();
    assert!(present);
    for expected in [b"0", b"1", b"2"] {
        assert_eq!(message_v3(&mut board).await, expected);
    }
    // A clean session has nothing of it, and leaves nothing.
    let (mut board, present) = Client::v3(&bench, "board1", &anything(), |_| {}).await.unwrap();
    assert!(!present);
    board.send_v3(v3::Packet::Disconnect).await;
    assert_eq!(bench.ended("board1").await, Ended::Displaced);
    assert_eq!(bench.ended("board1").await, Ended::Disconnect);
    let (_, present) = Client::v3(&bench, "board1", &anything(), keep).await.unwrap();
    assert!(!present);
}

#[tokio::test]
async fn a_session_of_mqtt_5_goes_on_for_its_expiry_interval_and_disconnect_may_end_it() {
    let mut bench = Bench::start().await;
    let kept = |connect: &mut rmqtt_codec::v5::Connect| {
        connect.clean_start = false;
        connect.session_expiry_interval_secs = 60;
    };
    let (client, ack) = Client::v5(&bench, "board1", &anything(), kept).await;
    assert!(!ack.session_present);
    drop(client);
    assert_eq!(bench.ended("board1").await, Ended::ConnectionLost);
    let (mut client, ack) = Client::v5(&bench, "board1", &anything(), kept).await;
    assert!(ack.session_present);
    let mut goodbye = Disconnect::new(DisconnectReasonCode::NormalDisconnection);
    goodbye.session_expiry_interval_secs = Some(0);
    client.send(goodbye.into()).await;
    assert_eq!(bench.ended("board1").await, Ended::Disconnect);
    let (_, ack) = Client::v5(&bench, "board1", &anything(), kept).await;
    assert!(!ack.session_present);
}

#[tokio::test]
async fn a_retained_message_comes_to_later_subscribers_until_an_empty_one_clears_it() {
    let bench = Bench::start().await;
    let (mut writer, _) = Client::v5(&bench, "writer", &anything(), |_| {}).await;
    let retain = |publish: &mut rmqtt_codec::types::Publish, _: &mut _| publish.retain = true;
    writer.publish("state/lamp", b"on", retain).await.unwrap();
    let (mut reader, _) = Client::v5(&bench, "reader", &anything(), |_| {}).await;
    // A filter with wildcards gets none.
    reader.subscribe("state/+").await;
    reader.subscribe("state/lamp").await;
    let kept = reader.message().await;
    assert_eq!((&*kept.topic, &kept.payload[..], kept.retain), ("state/lamp", &b"on"[..], true));
    // What comes while the subscription is there has no flag.
    writer.publish("state/lamp", b"off", retain).await.unwrap();
    let live = reader.message().await;
    assert_eq!((&live.payload[..], live.retain), (&b"off"[..], false));

    let options = |retain_handling| SubscriptionOptions { retain_handling, ..SubscriptionOptions::default() };
    reader.subscribe_with("state/lamp", options(RetainHandling::AtSubscribeNew)).await;
    reader.subscribe_with("state/lamp", options(RetainHandling::NoAtSubscribe)).await;
    reader.subscribe_with("state/lamp", options(RetainHandling::AtSubscribe)).await;
    assert_eq!(reader.message().await.payload, "off");

    writer.publish("state/lamp", b"", retain).await.unwrap();
    assert_eq!(reader.message().await.payload, "");
    let (mut late, _) = Client::v5(&bench, "late", &anything(), |_| {}).await;
    late.subscribe("state/lamp").await;
    writer.publish("state/lamp", b"fresh", |_, _| {}).await.unwrap();
    assert_eq!(late.message().await.payload, "fresh");
}

#[tokio::test]
async fn one_client_of_a_group_gets_each_message_and_one_that_is_away_gets_it_if_all_are() {
    let mut bench = Bench::start().await;
    let kept = |connect: &mut rmqtt_codec::v5::Connect| {
        connect.clean_start = false;
        connect.session_expiry_interval_secs = 60;
    };
    let (mut away, _) = Client::v5(&bench, "away", &anything(), kept).await;
    away.subscribe("$share/group/work/#").await;
    drop(away);
    assert_eq!(bench.ended("away").await, Ended::ConnectionLost);
    let publisher = bench.gateway.publisher();
    publisher.publish("work/0", b"0");
    let mut members = Vec::new();
    for name in ["one", "two"] {
        let (mut member, _) = Client::v5(&bench, name, &anything(), |_| {}).await;
        for filter in ["$share/group/work/#", "$share/other/end", "end"] {
            assert_eq!(member.subscribe(filter).await, SubscribeAckReason::GrantedQos1);
        }
        members.push(member);
    }
    let work: Vec<String> = (1..20).map(|number| format!("work/{number}")).collect();
    work.iter().for_each(|topic| publisher.publish(topic, b""));
    publisher.publish("end", b"");
    let mut come = Vec::new();
    for member in &mut members {
        loop {
            match member.message().await.topic.to_string() {
                topic if topic == "end" => break,
                topic => come.push(topic),
            }
        }
    }
    come.sort_by_key(|topic| topic["work/".len()..].parse::<u32>().unwrap());
    assert_eq!(come, work);
    let (mut back, ack) = Client::v5(&bench, "away", &anything(), kept).await;
    assert!(ack.session_present);
    assert_eq!(back.message().await.payload, "0");
}

#[tokio::test]
async fn a_client_gets_its_own_messages_unless_it_asks_not_to() {
    let bench = Bench::start().await;
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    client
        .subscribe_with("a", SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() })
        .await;
    client.publish("a", b"own", |_, _| {}).await.unwrap();
    bench.gateway.publisher().publish("a", b"other");
    assert_eq!(client.message().await.payload, "other");
}

#[tokio::test]
async fn a_certificate_that_is_revoked_cuts_its_connection_off() {
    let mut bench = Bench::start().await;
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    let (mut other, _) = Client::v5(&bench, "board2", &anything(), |_| {}).await;
    let id = bench.gateway.publisher().connection("board1").unwrap().principal;
    bench.account.certificates.lock().unwrap().remove(&id);
    bench.account.changes.send_replace(());
    let Some(Packet::Disconnect(disconnect)) = client.receive().await else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.reason_code, DisconnectReasonCode::NotAuthorized);
    assert_eq!(client.receive().await, None);
    let reason = "REVOKED".to_owned();
    assert_eq!(bench.ended("board1").await, Ended::Violation(Refusal::Certificate { reason }));
    assert!(matches!(other.publish("a", b"", |_, _| {}).await, Some(Packet::PublishAck(_))));
}

#[tokio::test]
async fn the_account_can_look_at_a_connection_and_end_it() {
    let mut bench = Bench::start().await;
    let publisher = bench.gateway.publisher();
    assert!(publisher.connection("board1").is_none() && !publisher.disconnect("board1"));
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |connect| connect.keep_alive = 60).await;
    client.subscribe("a/#").await;
    let connection = publisher.connection("board1").unwrap();
    assert_eq!((connection.keep_alive, connection.clean), (60, true));
    assert_eq!(connection.subscriptions, [("a/#".to_owned(), 1)]);
    assert!(publisher.disconnect("board1"));
    let Some(Packet::Disconnect(disconnect)) = client.receive().await else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.reason_code, DisconnectReasonCode::AdministrativeAction);
    assert_eq!(bench.ended("board1").await, Ended::Deleted);
    assert!(publisher.connection("board1").is_none());
}

#[tokio::test]
async fn in_the_testbed_a_certificate_that_is_made_inactive_is_cut_off() {
    let testbed = Testbed::start(testbed::Options::default()).await.unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let id = {
        let mut account = testbed.account();
        let id = account.register_certificate_without_ca(&certificate.pem(), Status::Active).unwrap();
        account.create_policy("everything", &anything()).unwrap();
        let arn = account.certificate_arn(&id);
        account.attach_policy("everything", &arn).unwrap();
        id
    };
    let gateway = testbed.gateway();
    let sign = Arc::new(move |message: &[u8]| key.sign(message).map_err(Into::into));
    let credentials = Credentials { chain: vec![certificate.der().clone()], sign, roots: None };
    let endpoint = Endpoint::new("localhost", gateway.port(), gateway.server_ca_pem());
    let mut events = gateway.events();
    let _device = Device::connect(&endpoint, &credentials, "board1").await.unwrap();
    testbed.account().set_certificate_status(&id, Status::Inactive).unwrap();
    let ended = loop {
        if let Event::Closed { ended, .. } = events.recv().await.unwrap() {
            break ended;
        }
    };
    let reason = "certificate is INACTIVE".to_owned();
    assert_eq!(ended, Ended::Violation(Refusal::Certificate { reason }));
}
