//! `monitor` and `provision --follow` against the testbed's message broker, over MQTT and WebSocket.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PublicKeyData, SigningKey};
use serde_json::Value;
use testbed::board::{Options, SimulatedBoard};
use testbed::device::{Credentials, Device, Endpoint};
use testbed::iot_core::gateway::Event;
use testbed::journal::Happening;
use testbed::lambda_host::package_of;
use testbed::{HOST, Options as TestbedOptions, beside, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::account::Account;
use crate::laptop::Laptop;

/// An account that is set up, and a laptop with its signer CA.
pub(crate) struct Desk {
    pub(crate) account: Account,
    pub(crate) laptop: Laptop,
    server_ca: String,
    data_plane: String,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::with(TestbedOptions::default()).await
    }

    pub(crate) async fn with(options: TestbedOptions) -> Self {
        let (account, laptop) = (Account::with(options).await, Laptop::with_ca());
        let gateway = account.testbed.gateway();
        let file = laptop.folder().with_file_name("server-ca.pem");
        std::fs::write(&file, gateway.server_ca_pem()).unwrap();
        let package = laptop.folder().with_file_name("jitr.zip");
        std::fs::write(&package, package_of(&beside::program("jitr").unwrap()).unwrap()).unwrap();
        let data_plane = format!("https://{HOST}:{}", gateway.port());
        let desk = Self { account, laptop, server_ca: file.display().to_string(), data_plane };
        let setup = ["setup", "--lambda-zip", package.to_str().unwrap(), "--delivery", "rule"];
        let made = desk.laptop.run(&setup, &desk.environment());
        assert_eq!(made.code, 0, "{made}");
        desk
    }

    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        let own =
            [("AWS_CA_BUNDLE", &*self.server_ca), ("AWS_ENDPOINT_URL_IOT_DATA_PLANE", &*self.data_plane)];
        self.account.testbed.access().environment().into_iter().chain(own).collect()
    }

    /// A device with a certificate of the signer CA, and the name of its thing.
    pub(crate) fn device(&self) -> (Credentials, String) {
        let read = |name: &str| std::fs::read_to_string(self.laptop.folder().join(name)).unwrap();
        let authority = KeyPair::from_pem(&read("signer-ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("signer-ca.crt"), authority).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "device");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let name = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()));
        let chain = vec![certificate.der().clone()];
        let sign = Arc::new(move |message: &[u8]| key.sign(message).map_err(Into::into));
        (Credentials { chain, sign, roots: None }, name)
    }

    pub(crate) fn gateway(&self) -> Endpoint {
        let gateway = self.account.testbed.gateway();
        Endpoint::new(HOST, gateway.port(), gateway.server_ca_pem())
    }

    /// Starts it, and returns when it watches.
    fn monitor(&self, arguments: &[&str]) -> Child {
        let arguments = [&["monitor", "--output", "json"], arguments].concat();
        let mut child = self.laptop.start(&arguments, &self.environment());
        let stderr = child.stderr.as_mut().unwrap();
        let (mut said, mut byte) = (String::new(), [0]);
        while !said.contains("watching") {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
            said.push(char::from(byte[0]));
        }
        child
    }
}

/// What a monitor has printed, and its exit code.
fn ended(child: Child) -> (Option<i32>, Vec<Value>) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    schemas::checked(&["monitor"], &text);
    (output.status.code(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn events(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["event"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_connection_is_shown_from_being_turned_away_to_the_first_message() {
    let desk = Desk::new().await;
    let (credentials, name) = desk.device();
    let monitor = desk.monitor(&[&name, "--until", "message"]);
    let patience = Duration::from_secs(60);
    let (mut device, attempts) =
        Device::connect_until_let_in(&desk.gateway(), &credentials, &name, patience).await.unwrap();
    assert!(attempts > 1);
    device.publish(&format!("{name}/sensors"), b"{\"t\":21}").await.unwrap();
    let (code, lines) = tokio::task::spawn_blocking(|| ended(monitor)).await.unwrap();
    assert_eq!(code, Some(0), "{lines:?}");
    let seen = events(&lines);
    let at = |event: &str| {
        seen.iter().position(|seen| *seen == event).unwrap_or_else(|| panic!("{event}: {lines:?}"))
    };
    assert!(at("registered") < at("connected") && at("connected") < at("message"), "{seen:?}");
    let message = &lines[at("message")];
    assert_eq!((&message["thing_name"], &message["payload"]), (&name.as_str().into(), &"{\"t\":21}".into()));
    let connected = &lines[at("connected")];
    assert!(
        connected["seconds"].as_f64().is_some() && connected["certificate_id"].is_string(),
        "{connected}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_the_account_is_shown_and_a_message_reaches_a_device() {
    let desk = Desk::new().await;
    let (credentials, name) = desk.device();
    let mut monitor = desk.monitor(&[]);
    let patience = Duration::from_secs(60);
    let (mut device, _) =
        Device::connect_until_let_in(&desk.gateway(), &credentials, &name, patience).await.unwrap();
    device.subscribe(&format!("{name}/led")).await.unwrap();
    let topic = format!("{name}/led");
    let sending = desk.monitor(&["--send", &topic, "on", "--for", "1s"]);
    assert_eq!(device.receive().await.unwrap().payload, b"on");
    let (code, lines) = tokio::task::spawn_blocking(|| ended(sending)).await.unwrap();
    assert_eq!((code, events(&lines).contains(&"sent")), (Some(0), true), "{lines:?}");
    assert!(!events(&lines).contains(&"message"), "its own message is none of a board: {lines:?}");
    device.publish(&format!("{name}/bytes"), b"\xff\x1b[2J").await.unwrap();
    // Ctrl-C, once the message is there.
    let mut lines = BufReader::new(monitor.stdout.take().unwrap()).lines().map(Result::unwrap);
    let bytes = lines.find(|line| line.contains("/bytes")).unwrap();
    assert!(bytes.contains("\"payload_hex\":\"ff1b5b324a\"") && bytes.contains(&name), "{bytes}");
    let pid = rustix::process::Pid::from_child(&monitor);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(monitor.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_does_not_connect_is_explained_and_ends_with_a_code_of_its_own() {
    let desk = Desk::new().await;
    let board = SimulatedBoard::start(Options::default()).unwrap();
    let port = board.path().to_str().unwrap().to_owned();
    let arguments = ["provision", "--follow=1s", "--port", &port, "--output", "json"];
    let outcome = tokio::task::block_in_place(|| desk.laptop.run(&arguments, &desk.environment()));
    assert_eq!(outcome.code, 4, "{outcome}");
    let lines: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["action"], "provision", "{outcome}");
    let overdue = lines.iter().find(|line| line["event"] == "overdue").unwrap();
    assert_eq!(overdue["missing"], "connected", "{overdue}");
    assert!(outcome.stderr.contains("look at the board"), "{outcome}");
    assert!(
        lines.last().unwrap()["error"].as_str().unwrap().contains("the board has not sent a message"),
        "{outcome}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_the_connection_from_being_made_is_named() {
    let desk = Desk::new().await;
    let run = |changed: &[(&str, &str)]| {
        let kept =
            desk.environment().into_iter().filter(|(name, _)| changed.iter().all(|(other, _)| other != name));
        let environment: Vec<_> =
            kept.chain(changed.iter().copied().filter(|(_, value)| !value.is_empty())).collect();
        tokio::task::block_in_place(|| desk.laptop.run(&["monitor", "--for", "1s"], &environment))
    };
    let closed = run(&[("AWS_ENDPOINT_URL_IOT_DATA_PLANE", "https://localhost:1")]);
    assert!(
        closed.code == 4 && closed.stderr.contains("localhost:1 cannot be reached (iot:Connect)"),
        "{closed}"
    );
    let untrusted = run(&[("AWS_CA_BUNDLE", "")]);
    assert!(untrusted.code == 4 && untrusted.stderr.contains("AWS_CA_BUNDLE"), "{untrusted}");
    // The control plane has no WebSocket.
    let elsewhere = run(&[("AWS_ENDPOINT_URL_IOT_DATA_PLANE", "")]);
    assert_eq!(elsewhere.code, 4, "{elsewhere}");
    let forged = run(&[("AWS_SECRET_ACCESS_KEY", "forged")]);
    assert!(forged.code == 4 && forged.stderr.contains("refuses the connection of this user"), "{forged}");
    let wrong = tokio::task::block_in_place(|| {
        desk.laptop.run(&["monitor", "--send", "a/#", "x", "--for", "1s"], &desk.environment())
    });
    assert!(wrong.code == 2 && wrong.stderr.contains("no topic"), "{wrong}");
}

/// Waits for a line with this event, and gives it.
fn line_with(lines: &mut impl Iterator<Item = String>, event: &str) -> String {
    lines.find(|line| line.contains(&format!("\"event\":\"{event}\""))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_is_made_again_and_shows_what_follows() {
    let desk = Desk::new().await;
    let (credentials, name) = desk.device();
    let mut monitor = desk.monitor(&[]);
    let entries = desk.account.testbed.journal().entries();
    let client_id = entries.iter().find_map(|entry| match &entry.what {
        Happening::Gateway(Event::Connected { client_id, .. }) => Some(client_id.clone()),
        _ => None,
    });
    assert!(desk.account.testbed.gateway().publisher().disconnect(&client_id.unwrap()));
    let stdout = monitor.stdout.take().unwrap();
    let (lost, sender) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines().map(Result::unwrap);
        line_with(&mut lines, "lost");
        line_with(&mut lines, "again");
        lost.send(()).unwrap();
        // The function has never run: its log is made meanwhile.
        let mut missing = vec!["\"function\"", "/after"];
        while !missing.is_empty() {
            let line = lines.next().unwrap();
            missing.retain(|text| !line.contains(text));
        }
    });
    tokio::task::block_in_place(|| sender.recv_timeout(Duration::from_secs(60)).unwrap());
    let patience = Duration::from_secs(60);
    let (mut device, _) =
        Device::connect_until_let_in(&desk.gateway(), &credentials, &name, patience).await.unwrap();
    device.publish(&format!("{name}/after"), b"1").await.unwrap();
    tokio::task::block_in_place(|| reading.join().unwrap());
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}

/// The boards that are followed do not get on: what is looked at has the names and the revocations that are known here.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_explained_with_the_function_that_is_named_and_what_was_revoked_here() {
    let desk = Desk::new().await;
    let (credentials, name) = desk.device();
    let patience = Duration::from_secs(60);
    let connected = Device::connect_until_let_in(&desk.gateway(), &credentials, &name, patience).await;
    connected.unwrap().0.disconnect().await.unwrap();
    let file = desk.laptop.folder().with_file_name("device.crt");
    std::fs::write(&file, pem(&credentials.chain[0])).unwrap();
    let run =
        |arguments: &[&str]| tokio::task::block_in_place(|| desk.laptop.run(arguments, &desk.environment()));
    let revoked = run(&["revoke", file.to_str().unwrap(), "--list-only", "--yes"]);
    assert_eq!(revoked.code, 0, "{revoked}");
    let watch = ["monitor", &name, "--until", "message", "--for", "1s", "--output", "json"];
    let outcome = run(&[&watch[..], &["--function", "Other"]].concat());
    assert_eq!(outcome.code, 4, "{outcome}");
    let found = |resource: &str| {
        let lines = outcome.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .into_iter()
            .find(|line| line["resource"] == resource)
            .unwrap_or_else(|| panic!("{resource}: {outcome}"))
    };
    let certificate = found("certificate");
    assert_eq!(certificate["verdict"], "dangerous", "{certificate}");
    assert!(certificate["details"].to_string().contains("was revoked on"), "{certificate}");
    let function = found("function");
    assert_eq!((&function["name"], &function["verdict"]), (&"Other".into(), &"wrong".into()), "{function}");
    assert!(found("connection")["details"].to_string().contains("CLIENT_INITIATED_DISCONNECT"));
    // With the usual name the function is right, and so not shown.
    let usual = run(&watch);
    assert!(!usual.stdout.contains("\"resource\":\"function\""), "{usual}");
    assert!(
        usual.stderr.contains("the board has not been let in") || usual.stdout.contains("the board has not"),
        "{usual}"
    );
}

fn pem(certificate: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_do_is_named_with_its_resource() {
    let desk = Desk::new().await;
    let account = Account::empty().await;
    account.create_function(&[]).await;
    // The keys of a role, whose policies the message broker looks at.
    let (_, keys) = account.invoke("{}").await;
    let file = desk.laptop.folder().with_file_name("other-ca.pem");
    let gateway = account.testbed.gateway();
    std::fs::write(&file, gateway.server_ca_pem()).unwrap();
    let data_plane = format!("https://{HOST}:{}", gateway.port());
    let text = |key: &str| keys[key].as_str().unwrap();
    let mut environment = account.testbed.access().environment().to_vec();
    environment.retain(|(name, _)| !name.contains("ACCESS_KEY"));
    environment.extend([
        ("AWS_ACCESS_KEY_ID", text("key")),
        ("AWS_SECRET_ACCESS_KEY", text("secret")),
        ("AWS_SESSION_TOKEN", text("token")),
        ("AWS_CA_BUNDLE", file.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_IOT_DATA_PLANE", &data_plane),
    ]);
    let run = async |allowed: &[&str], arguments: &[&str]| {
        let document = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": allowed, "Resource": "*"}]});
        let put = account.iam().put_role_policy().role_name("JITR").policy_name("p");
        put.policy_document(document.to_string()).send().await.unwrap();
        let arguments = [&["monitor", "--for", "2s"], arguments].concat();
        tokio::task::block_in_place(|| desk.laptop.run(&arguments, &environment))
    };
    let connect = run(&["iot:Nothing"], &[]).await;
    assert!(connect.code == 4 && connect.stderr.contains("permission iot:Connect is missing"), "{connect}");
    assert!(connect.stderr.contains("client/provisioner-"), "{connect}");
    // AWS takes a while to spread a policy of a role.
    let spread = async |allowed: &[&str], arguments: &[&str]| {
        let outcome = async || {
            let outcome = run(allowed, arguments).await;
            (!outcome.stderr.contains("permission iot:Connect is missing")).then_some(outcome)
        };
        wait::found("the new policy", outcome).await.unwrap()
    };
    let subscribe = spread(&["iot:Connect"], &[]).await;
    assert!(
        subscribe.code == 4 && subscribe.stderr.contains("permission iot:Subscribe is missing"),
        "{subscribe}"
    );
    assert!(subscribe.stderr.contains("$aws/events/presence/connected/+"), "{subscribe}");
    let publish = spread(&["iot:Connect", "iot:Subscribe", "iot:Receive"], &["--send", "a/b", "x"]).await;
    assert!(
        publish.code == 4 && publish.stderr.contains("a/b") && publish.stderr.contains("iot:Publish"),
        "{publish}"
    );
}

/// A proxy that connects to where it is asked to (RFC 9110, section 9.3.6), and counts.
async fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let to = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
            let mut server = TcpStream::connect(to).await.unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    (url, connections)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_of_the_environment_is_used_and_one_that_cannot_be_is_named() {
    let desk = Desk::new().await;
    let (proxy, connections) = proxy().await;
    let run = |more: &[(&str, &str)]| {
        let environment = [&desk.environment()[..], more].concat();
        tokio::task::block_in_place(|| desk.laptop.run(&["monitor", "--for", "1s"], &environment))
    };
    let through = run(&[("HTTPS_PROXY", &proxy)]);
    assert_eq!((through.code, connections.load(Ordering::Relaxed)), (0, 1), "{through}");
    let around = run(&[("HTTPS_PROXY", &proxy), ("NO_PROXY", HOST)]);
    assert_eq!((around.code, connections.load(Ordering::Relaxed)), (0, 1), "{around}");
    let by_tls = proxy.replace("http:", "https:");
    let refused = run(&[("HTTPS_PROXY", &by_tls)]);
    assert!(refused.code == 4 && refused.stderr.contains("a proxy by https: is not supported"), "{refused}");
    let gone = run(&[("HTTPS_PROXY", "http://127.0.0.1:1")]);
    assert!(gone.code == 4 && gone.stderr.contains("the proxy 127.0.0.1:1 makes no connection"), "{gone}");
}
