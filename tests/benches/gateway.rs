//! `testbed serve`: its start, a thousand devices that are connected at once, and the memory over many connections.
//!
//! `cargo bench --profile dev -p testbed --bench gateway [-- CONNECTIONS [TESTBED]]` makes 100,000 connections unless another number
//! is given, to this program unless another one is given. The memory is what `/proc/PID/status` of Linux says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use aws_credential_types::Credentials;
use aws_sdk_iot::config::{BehaviorVersion, Region};
use futures::{SinkExt, StreamExt, stream};
use rcgen::{CertificateParams, KeyPair};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Codec, Connect, Packet};
use rmqtt_codec::{MqttCodec, MqttPacket};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::codec::Framed;

const CONNECTIONS: usize = 100_000;
const DEVICES: usize = 1000;
/// Connections that are made at the same time.
const AT_ONCE: usize = 64;
/// Starts that the median is of.
const STARTS: usize = 20;
/// The memory is told so many times.
const STEPS: usize = 10;
const POLICY: &str = "bench";

/// A running `testbed serve`; ended with the bench.
struct Served {
    child: Child,
    line: Value,
}

impl Served {
    fn start(program: &PathBuf, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg("serve").args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, line: serde_json::from_str(&line).unwrap() }
    }

    fn text(&self, name: &str) -> &str {
        self.line[name].as_str().unwrap()
    }

    /// Resident memory, in MiB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    fn iot(&self) -> aws_sdk_iot::Client {
        let keys =
            Credentials::new(self.text("access_key_id"), self.text("secret_access_key"), None, None, "bench");
        let config = aws_sdk_iot::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.text("region").to_owned()))
            .endpoint_url(self.text("endpoint_url"))
            .credentials_provider(keys)
            .build();
        aws_sdk_iot::Client::from_conf(config)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A device with its certificate, which the account has as ACTIVE with a policy.
struct Device {
    tls: TlsConnector,
    port: u16,
}

type Connection = Framed<TlsStream<TcpStream>, MqttCodec>;

impl Device {
    async fn new(served: &Served, iot: &aws_sdk_iot::Client, roots: RootCertStore) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let registered =
            iot.register_certificate_without_ca().certificate_pem(certificate.pem()).status("ACTIVE".into());
        let arn = registered.send().await.unwrap().certificate_arn.unwrap();
        iot.attach_policy().policy_name(POLICY).target(arn).send().await.unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        config.resumption = rustls::client::Resumption::disabled();
        let port = u16::try_from(served.line["mqtt_port"].as_u64().unwrap()).unwrap();
        Self { tls: TlsConnector::from(Arc::new(config)), port }
    }

    async fn connect(&self, client_id: String) -> Connection {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let stream = self.tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        let mut connection = Framed::new(stream, MqttCodec::V3(Codec::new(0)));
        let connect = Connect { clean_session: true, ..Connect::default() }.client_id(client_id);
        connection.send(MqttPacket::V3(connect.into())).await.unwrap();
        match receive(&mut connection).await {
            Packet::ConnectAck(_) => connection,
            other => panic!("no CONNACK: {other:?}"),
        }
    }
}

async fn receive(connection: &mut Connection) -> Packet {
    match connection.next().await.expect("the connection goes on").unwrap() {
        (MqttPacket::V3(packet), _) => packet,
        other => panic!("{other:?}"),
    }
}

async fn leave(mut connection: Connection) {
    connection.send(MqttPacket::V3(Packet::Disconnect)).await.unwrap();
    // The gateway closes it when it has cleared up.
    while connection.next().await.is_some_and(|packet| packet.is_ok()) {}
}

/// Sends a message to the device itself and waits for it.
async fn echo(connection: &mut Connection, topic: &str) {
    let topic_filters = vec![(topic.to_owned().into(), QoS::AtMostOnce)];
    let subscribe = Packet::Subscribe { packet_id: std::num::NonZeroU16::MIN, topic_filters };
    connection.send(MqttPacket::V3(subscribe)).await.unwrap();
    assert!(matches!(receive(connection).await, Packet::SubscribeAck { .. }));
    let publish = Publish {
        dup: false,
        retain: false,
        qos: QoS::AtMostOnce,
        topic: topic.to_owned().into(),
        packet_id: None,
        payload: b"hello".to_vec().into(),
        properties: None,
    };
    connection.send(MqttPacket::V3(publish.into())).await.unwrap();
    assert!(
        matches!(receive(connection).await, Packet::Publish(message) if &message.payload[..] == b"hello")
    );
}

async fn devices(served: &Served) -> Vec<Device> {
    let iot = served.iot();
    let everything = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]});
    iot.create_policy().policy_name(POLICY).policy_document(everything.to_string()).send().await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(served.text("server_ca")).unwrap()).unwrap();
    let made = (0..DEVICES).map(|_| Device::new(served, &iot, roots.clone()));
    stream::iter(made).buffer_unordered(AT_ONCE).collect().await
}

/// From the start of the program to the line that says where it is.
fn starts(program: &PathBuf) {
    let mut took: Vec<f64> = (0..STARTS)
        .map(|_| {
            let begun = Instant::now();
            let _served = Served::start(program, &["--ready"]);
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let (median, slowest) = (took[STARTS / 2], took[STARTS - 1]);
    println!("serve --ready serves within {median:.0} ms (median of {STARTS}, the slowest {slowest:.0} ms)");
}

async fn a_thousand_at_once(served: &Served, devices: &[Device]) {
    let (before, begun) = (served.memory(), Instant::now());
    let connecting = devices.iter().enumerate().map(async |(number, device)| {
        let name = format!("device-{number}");
        let mut connection = device.connect(name.clone()).await;
        echo(&mut connection, &name).await;
        (name, connection)
    });
    let connected: Vec<_> = stream::iter(connecting).buffer_unordered(AT_ONCE).collect().await;
    let (took, after) = (begun.elapsed().as_secs_f64(), served.memory());
    println!(
        "{DEVICES} devices connect and get a message in {took:.1} s; memory {before:.1} → {after:.1} MiB"
    );
    let talking = connected.into_iter().map(async |(name, mut connection)| {
        echo(&mut connection, &name).await;
        leave(connection).await;
    });
    let begun = Instant::now();
    futures::future::join_all(talking).await;
    println!("all get another one at once, and leave, in {:.1} s", begun.elapsed().as_secs_f64());
}

async fn many(served: &Served, devices: &[Device], connections: usize) {
    println!("{:>12} {:>10} {:>12}", "connections", "per second", "memory, MiB");
    println!("{:>12} {:>10} {:>12.1}", 0, "", served.memory());
    for step in 0..STEPS {
        let numbers = connections * step / STEPS..connections * (step + 1) / STEPS;
        let (until, begun, count) = (numbers.end, Instant::now(), numbers.len());
        // Each has a client id of its own.
        let one = async |number: usize| {
            leave(devices[number % DEVICES].connect(format!("new-{number}")).await).await
        };
        let connecting = stream::iter(numbers).map(one);
        connecting.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        println!("{until:>12} {rate:>10.0} {:>12.1}", served.memory());
    }
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let connections = arguments.first().map_or(CONNECTIONS, |number| number.parse().expect("a number"));
    let program = arguments.get(1).map_or(env!("CARGO_BIN_EXE_testbed"), String::as_str);
    let program = PathBuf::from(program);
    starts(&program);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let served = Served::start(&program, &["--boards", "0"]);
        let devices = devices(&served).await;
        a_thousand_at_once(&served, &devices).await;
        many(&served, &devices, connections).await;
    });
}
