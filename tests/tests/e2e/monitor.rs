//! `monitor` and `provision --follow` against the testbed's message broker, over MQTT and WebSocket.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PublicKeyData, SigningKey};
use serde_json::Value;
use testbed::board::{Options, SimulatedBoard};
use testbed::device::{Credentials, Device, Endpoint};
use testbed::lambda_host::package_of;
use testbed::{HOST, beside};

use crate::account::Account;
use crate::laptop::Laptop;

/// An account that is set up, and a laptop with its signer CA.
struct Desk {
    account: Account,
    laptop: Laptop,
    server_ca: String,
    data_plane: String,
}

impl Desk {
    async fn new() -> Self {
        let (account, laptop) = (Account::empty().await, Laptop::with_ca());
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

    fn environment(&self) -> Vec<(&str, &str)> {
        let own =
            [("AWS_CA_BUNDLE", &*self.server_ca), ("AWS_ENDPOINT_URL_IOT_DATA_PLANE", &*self.data_plane)];
        self.account.testbed.access().environment().into_iter().chain(own).collect()
    }

    /// A device with a certificate of the signer CA, and the name of its thing.
    fn device(&self) -> (Credentials, String) {
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

    fn gateway(&self) -> Endpoint {
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
    assert!(lines.last().unwrap()["error"].as_str().unwrap().contains("without a message"), "{outcome}");
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
