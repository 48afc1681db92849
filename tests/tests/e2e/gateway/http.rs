//! Publishing over HTTPS, and shadows.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use serde_json::{Value, json};
use testbed::Testbed;
use testbed::iot_core::gateway::Gateway;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{Certified, Client, tls_to};
use super::{ARN, Bench, anything, own_topics};

/// The status of an answer.
async fn post(
    gateway: &Gateway,
    certified: Option<&Certified>,
    protocols: &[&[u8]],
    target: &str,
    headers: &str,
    body: &[u8],
) -> u16 {
    ask("POST", gateway, certified, protocols, target, headers, body).await.0
}

/// The status of an answer, and its body.
async fn ask(
    method: &str,
    gateway: &Gateway,
    certified: Option<&Certified>,
    protocols: &[&[u8]],
    target: &str,
    headers: &str,
    body: &[u8],
) -> (u16, String) {
    let mut stream = tls_to(gateway, certified, protocols).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {answer:?}")).parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn a_device_publishes_over_https_with_its_certificate_where_the_policy_lets_it() {
    let bench = Bench::start().await;
    let (mut reader, _) = Client::v5(&bench, "reader", &anything(), |_| {}).await;
    reader.subscribe("#").await;
    let certified = Certified::new();
    bench.account.activate(&certified.id, &anything(), &["board1"]);
    for (protocols, target) in
        [(&[&b"x-amzn-http-ca"[..]][..], "/topics/board1%2Fdata?qos=1"), (&[], "/topics/board1/data?qos=0")]
    {
        assert_eq!(post(&bench.gateway, Some(&certified), protocols, target, "", b"21").await, 200);
        let message = reader.message().await;
        assert_eq!((&*message.topic, &message.payload[..]), ("board1/data", &b"21"[..]));
        assert_eq!(u8::from(message.qos), target.as_bytes()[target.len() - 1] - b'0');
    }
    let publish = |target| post(&bench.gateway, Some(&certified), &[], target, "", b"21");
    assert_eq!(publish("/topics/$aws/events/presence/connected/a?qos=1").await, 403);
    assert_eq!(publish("/topics/a?qos=2").await, 400);
    assert_eq!(publish("/topics/a/+?qos=1").await, 400);
    assert_eq!(publish("/nothing").await, 404);
    let large = vec![0; 128 * 1024 + 1];
    assert_eq!(post(&bench.gateway, Some(&certified), &[], "/topics/a", "", &large).await, 413);

    bench.account.activate(&certified.id, &own_topics(), &["board1"]);
    assert_eq!(publish("/topics/board2/data?qos=1").await, 403);
    assert_eq!(post(&bench.gateway, None, &[], "/topics/a", "", b"").await, 403);
    // An unknown one is registered, as over MQTT.
    let stranger = Certified::new();
    assert_eq!(post(&bench.gateway, Some(&stranger), &[], "/topics/a", "", b"").await, 403);
    assert!(bench.account.entry(&stranger.id).unwrap().pending);
}

/// The status of an answer to a request that is signed, and its body.
async fn signed(
    testbed: &Testbed,
    (secret, service): (&str, &str),
    method: &str,
    target: &str,
    body: &[u8],
) -> (u16, String) {
    let access = testbed.access();
    let identity = Credentials::new(&access.access_key_id, secret, None, None, "test").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(&access.region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let headers = [("host", "localhost")].into_iter();
    let url = format!("https://localhost{target}");
    let request = SignableRequest::new(method, &url, headers, SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
    let headers: String =
        instructions.headers().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    ask(method, testbed.gateway(), None, &[], target, &headers, body).await
}

#[tokio::test]
async fn the_accounts_user_calls_the_data_plane_over_https_with_a_signature() {
    let testbed = Testbed::start(testbed::Options::default()).await.unwrap();
    let secret = testbed.access().secret_access_key.clone();
    let publish = async |secret: &str, service: &str| {
        signed(&testbed, (secret, service), "POST", "/topics/board1%2Fdata?qos=1", b"21").await.0
    };
    assert_eq!(publish(&secret, "iotdata").await, 200);
    assert_eq!(publish("another", "iotdata").await, 403);
    assert_eq!(publish(&secret, "iot").await, 403);
    let ask = async |service: &str, method: &str, target: &str| {
        signed(&testbed, (&secret, service), method, target, b"").await
    };
    let (status, answer) = ask("iotdata", "DELETE", "/connections/board1").await;
    assert_eq!(status, 404);
    assert!(answer.contains("connection of the client board1"), "{answer}");
    // The other services are not at this port.
    assert_eq!(ask("iot", "GET", "/things").await, (404, String::new()));
    let (status, answer) = ask("iotdata", "GET", "/retainedMessage").await;
    assert_eq!(status, 501);
    assert!(answer.contains("does not implement"), "{answer}");
}

#[tokio::test]
async fn a_shadow_answers_on_its_topics() {
    let bench = Bench::start().await;
    let (mut client, _) = Client::v5(&bench, "board1", &anything(), |_| {}).await;
    client.subscribe("$aws/things/board1/shadow/+/+").await;
    let mut replies = Vec::new();
    let mut other = Client::v5(&bench, "other", &anything(), |_| {}).await.0;
    let update = json!({"state": {"desired": {"led": "on"}}, "version": 0}).to_string();
    for (operation, payload) in
        [("update", update.as_str()), ("update", update.as_str()), ("get", ""), ("delete", "")]
    {
        other
            .publish(&format!("$aws/things/board1/shadow/{operation}"), payload.as_bytes(), |_, _| {})
            .await
            .unwrap();
    }
    for _ in 0..6 {
        let message = client.message().await;
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        let topic = message.topic.trim_start_matches("$aws/things/board1/shadow/").to_owned();
        replies.push((topic, payload["version"].clone(), payload["code"].clone()));
    }
    let expected = [
        ("update/accepted", json!(1), json!(null)),
        ("update/documents", json!(null), json!(null)),
        ("update/delta", json!(1), json!(null)),
        ("update/rejected", json!(null), json!(409)),
        ("get/accepted", json!(1), json!(null)),
        ("delete/accepted", json!(1), json!(null)),
    ];
    assert_eq!(replies, expected.map(|(topic, version, code)| (topic.to_owned(), version, code)));
}

#[tokio::test]
async fn a_shadow_is_read_and_changed_over_https_where_the_policy_lets_it() {
    let bench = Bench::start().await;
    let (mut reader, _) = Client::v5(&bench, "reader", &anything(), |_| {}).await;
    reader.subscribe("$aws/things/board1/shadow/name/led/update/accepted").await;
    let certified = Certified::new();
    let things = ["thing/board1", "thing/board1/led"].map(|thing| format!("{ARN}:{thing}"));
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Action": ["iot:GetThingShadow", "iot:UpdateThingShadow"],
        "Resource": things,
    }]});
    bench.account.activate(&certified.id, &policy.to_string(), &["board1"]);
    let request = async |method, target, body: &str| {
        ask(method, &bench.gateway, Some(&certified), &[], target, "", body.as_bytes()).await
    };
    let named = "/things/board1/shadow?name=led";
    assert_eq!(request("GET", named, "").await.0, 404);
    let update = json!({"state": {"reported": {"on": true}}}).to_string();
    let (status, answer) = request("POST", named, &update).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["version"]), (200, &json!(1)));
    assert_eq!(serde_json::from_slice::<Value>(&reader.message().await.payload).unwrap(), answer);
    let (status, document) = request("GET", named, "").await;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((status, &document["state"]), (200, &json!({"reported": {"on": true}})));
    let (status, answer) = request("GET", "/things/board1/shadow", "").await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let missing = json!({"code": 404, "message": "No shadow exists with name: 'board1'"});
    assert_eq!((status, answer), (404, missing));
    for (method, target, status) in [
        ("DELETE", named, 403),
        ("GET", "/things/board1/shadow?name=other", 403),
        ("GET", "/things/board2/shadow", 403),
        ("PUT", named, 405),
    ] {
        assert_eq!(request(method, target, "").await.0, status, "{method} {target}");
    }
}
