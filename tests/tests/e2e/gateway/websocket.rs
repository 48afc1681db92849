//! MQTT over WebSocket with the account's keys, and what a watcher sees there.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use rmqtt_codec::v5::{Connect, Packet, SubscribeAckReason};
use serde_json::{Value, json};
use testbed::device::Device;
use testbed::iot_core::directory::Keys;
use testbed::iot_core::gateway::{Ended, Event};
use testbed::journal::Caller;

use super::client::{Client, Refused};
use super::{Bench, board, own_topics};

/// A query that the owner of the keys has signed; `adjust` spoils it.
fn signed(
    secret: &str,
    token: Option<&str>,
    mode: SessionTokenMode,
    time: SystemTime,
    service: &str,
) -> String {
    let identity = Credentials::new("AKIATEST", secret, token.map(str::to_owned), None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(300));
    settings.session_token_mode = mode;
    let params = SigningParams::builder()
        .identity(&identity)
        .region("us-east-2")
        .name(service)
        .time(time)
        .settings(settings)
        .build()
        .unwrap();
    let body = SignableBody::Bytes(b"");
    let request = SignableRequest::new("GET", "wss://localhost/mqtt", std::iter::empty(), body).unwrap();
    let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
    let pairs = instructions.into_parts().1;
    let encode = |value: &Cow<'static, str>| {
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

fn right() -> String {
    signed("secret", None, SessionTokenMode::Exclude, SystemTime::now(), "iotdevicegateway")
}

fn give_keys(bench: &Bench, token: Option<&str>, end: Option<SystemTime>) {
    let keys = Keys {
        caller: Caller::User,
        secret_access_key: "secret".to_owned(),
        session_token: token.map(str::to_owned),
        end,
    };
    bench.account.keys.lock().unwrap().insert("AKIATEST".to_owned(), keys);
}

async fn connected(bench: &Bench, client_id: &str) -> Client {
    let mut client = Client::websocket(bench, &right(), Some("mqtt"), 5).await.unwrap();
    client
        .send(Connect { clean_start: true, ..Connect::default() }.client_id(client_id.to_owned()).into())
        .await;
    assert!(matches!(client.receive().await, Some(Packet::ConnectAck(_))));
    client
}

/// A message as JSON, without what differs from run to run, which has to be there.
async fn event(client: &mut Client) -> (String, Value) {
    let message = client.message().await;
    let mut payload: Value = serde_json::from_slice(&message.payload).unwrap();
    assert!(payload["timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    assert_eq!(payload["sessionIdentifier"].as_str().unwrap().len(), 36);
    let fields = payload.as_object_mut().unwrap();
    fields.remove("timestamp");
    (message.topic.to_string(), payload)
}

#[tokio::test]
async fn the_accounts_user_gets_in_with_a_signed_url_in_both_versions_of_mqtt() {
    let mut bench = Bench::start().await;
    give_keys(&bench, None, None);
    for version in [3, 5] {
        let mut client = Client::websocket(&bench, &right(), Some("mqtt"), version).await.unwrap();
        match version {
            5 => {
                client
                    .send(Connect { clean_start: true, ..Connect::default() }.client_id("watcher").into())
                    .await
            }
            _ => {
                let connect = rmqtt_codec::v3::Connect { clean_session: true, ..Default::default() };
                client.send_v3(connect.client_id("watcher").into()).await;
            }
        }
        let connected = bench
            .event(|event| match event {
                Event::Connected { certificate_id, client_id } => Some((certificate_id, client_id)),
                _ => None,
            })
            .await;
        assert_eq!(connected, ("AKIATEST".to_owned(), "watcher".to_owned()));
    }
}

#[tokio::test]
async fn a_url_that_the_keys_owner_has_not_signed_so_is_refused_with_403() {
    let mut bench = Bench::start().await;
    give_keys(&bench, None, None);
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let wrong = |secret, time, service| signed(secret, None, SessionTokenMode::Exclude, time, service);
    for (query, reason) in [
        (String::new(), "the URL has no X-Amz-Algorithm"),
        (wrong("another", now, "iotdevicegateway"), "the signature does not match"),
        (wrong("secret", now - hour, "iotdevicegateway"), "the signature has expired"),
        (
            wrong("secret", now + hour, "iotdevicegateway"),
            "the clock of the client is more than 5 minutes ahead",
        ),
        (wrong("secret", now, "iotdata"), "the signature is for the service \"iotdata\""),
        (right().replace("AKIATEST", "AKIAELSE"), "the access key is not known"),
    ] {
        let refused = Client::websocket(&bench, &query, Some("mqtt"), 5).await.err();
        assert_eq!(refused, Some(Refused(403)), "{reason}");
        let said = bench
            .event(|event| match event {
                Event::HandshakeFailed { reason, .. } => Some(reason),
                _ => None,
            })
            .await;
        assert!(said.starts_with(&format!("refused with 403: {reason}")), "{said}");
    }
    assert_eq!(Client::websocket(&bench, &right(), None, 5).await.err(), Some(Refused(400)));
}

#[tokio::test]
async fn a_session_token_goes_behind_the_signed_url() {
    let bench = Bench::start().await;
    let token = "a/token+=";
    give_keys(&bench, Some(token), None);
    let query = |mode| signed("secret", Some(token), mode, SystemTime::now(), "iotdevicegateway");
    Client::websocket(&bench, &query(SessionTokenMode::Exclude), Some("mqtt"), 5).await.unwrap();
    let signed = Client::websocket(&bench, &query(SessionTokenMode::Include), Some("mqtt"), 5).await;
    assert_eq!(signed.err(), Some(Refused(403)));
}

#[tokio::test]
async fn a_connection_ends_with_the_keys_that_it_was_signed_with() {
    let mut bench = Bench::start().await;
    give_keys(&bench, None, Some(SystemTime::now() + Duration::from_secs(2)));
    let _client = connected(&bench, "watcher").await;
    assert_eq!(bench.ended("watcher").await, Ended::Expired);
    assert_eq!(Client::websocket(&bench, &right(), Some("mqtt"), 5).await.err(), Some(Refused(403)));
}

#[tokio::test]
async fn a_watcher_sees_clients_come_and_go_and_whom_the_policies_refuse() {
    let bench = Bench::start().await;
    give_keys(&bench, None, None);
    let mut watcher = connected(&bench, "watcher").await;
    assert_eq!(watcher.subscribe("$aws/events/presence/+/board1").await, SubscribeAckReason::GrantedQos1);
    assert_eq!(watcher.subscribe("$aws/events/subscriptions/#").await, SubscribeAckReason::GrantedQos1);
    // Of its own subscription.
    event(&mut watcher).await;

    let (credentials, id) = board();
    bench.account.activate(&id, &own_topics(), &["board1"]);
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let mut device = Device::connect(&bench.endpoint(), &credentials, "board1").await.unwrap();
        let (topic, mut come) = event(&mut watcher).await;
        assert_eq!(topic, "$aws/events/presence/connected/board1");
        let session = come["sessionIdentifier"].take();
        numbers.push(come["versionNumber"].take());
        assert_eq!(
            come,
            json!({"clientId": "board1", "eventType": "connected", "sessionIdentifier": null, "principalIdentifier": id,
                "ipAddress": "127.0.0.1", "versionNumber": null})
        );
        device.subscribe("board1/#").await.unwrap();
        let (topic, subscribed) = event(&mut watcher).await;
        assert_eq!(topic, "$aws/events/subscriptions/subscribed/board1");
        assert_eq!(
            (&subscribed["topics"], &subscribed["sessionIdentifier"]),
            (&json!(["board1/#"]), &session)
        );
        device.disconnect().await.unwrap();
        let (topic, mut gone) = event(&mut watcher).await;
        assert_eq!(topic, "$aws/events/presence/disconnected/board1");
        assert_eq!(Some(&gone["versionNumber"].take()), numbers.last());
        assert_eq!(
            gone,
            json!({"clientId": "board1", "eventType": "disconnected", "sessionIdentifier": session, "principalIdentifier": id,
                "clientInitiatedDisconnect": true, "disconnectReason": "CLIENT_INITIATED_DISCONNECT", "versionNumber": null})
        );
    }
    assert_eq!(numbers, [json!(0), json!(1)]);

    let mut device = Device::connect(&bench.endpoint(), &credentials, "board1").await.unwrap();
    event(&mut watcher).await;
    device.publish("board2/forbidden", b"").await.unwrap_err();
    let (_, gone) = event(&mut watcher).await;
    assert_eq!(
        (&gone["disconnectReason"], &gone["clientInitiatedDisconnect"]),
        (&json!("AUTH_ERROR"), &json!(false))
    );

    let other = json!({"Version": "2012-10-17", "Statement": []}).to_string();
    bench.account.activate(&id, &other, &["board1"]);
    Device::connect(&bench.endpoint(), &credentials, "board1").await.unwrap_err();
    let (topic, mut failed) = event(&mut watcher).await;
    assert_eq!(topic, "$aws/events/presence/connect_failed/board1");
    failed["sessionIdentifier"].take();
    assert_eq!(
        failed,
        json!({"clientId": "board1", "eventType": "connect_failed", "sessionIdentifier": null, "principalIdentifier": id,
            "connectFailureReason": "AUTHORIZATION_FAILED", "ipAddress": "127.0.0.1"})
    );
    // The rules have them as well.
    let topics: Vec<String> =
        bench.account.published.lock().unwrap().iter().map(|(topic, _)| topic.clone()).collect();
    assert!(topics.contains(&"$aws/events/presence/connect_failed/board1".to_owned()), "{topics:?}");
}

#[tokio::test]
async fn nobody_publishes_what_aws_says_not_even_the_accounts_user() {
    let mut bench = Bench::start().await;
    give_keys(&bench, None, None);
    let mut watcher = connected(&bench, "watcher").await;
    let answer = watcher.publish("$aws/events/presence/connected/board1", b"{}", |_, _| {}).await;
    assert!(matches!(answer, Some(Packet::Disconnect(_))), "{answer:?}");
    assert!(matches!(bench.ended("watcher").await, Ended::Violation(_)));
}
