//! MQTT clients that others wrote, each as a device that nobody has registered: the first connection is turned away and registers it,
//! the second is let in, and the client gets its own message. The one that signs has no device; it is turned away with a wrong key.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, SigningKey};
use testbed::device::{Credentials, Device, Endpoint};
use testbed::iot_core::account::{Status, x509};
use testbed::{HOST, Testbed, wait};

use crate::scenario::account_life::Stage;
use crate::server::{present, program};

/// What a client's process ends with.
const IN: i32 = 0;
const OUT: i32 = 3;
const MISSING: i32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Python,
    /// With the keys of the account's user.
    Signing,
    Node,
    Mosquitto,
    Rust,
}

const CLIENTS: [(&str, Kind); 14] = [
    ("paho-mqtt 3.1.1", Kind::Python),
    ("paho-mqtt 5", Kind::Python),
    ("aiomqtt", Kind::Python),
    ("gmqtt", Kind::Python),
    ("awsiotsdk 3.1.1", Kind::Python),
    ("awsiotsdk 5", Kind::Python),
    ("awsiotsdk WebSocket", Kind::Signing),
    ("AWSIoTPythonSDK", Kind::Python),
    ("mqtt.js 3.1.1", Kind::Node),
    ("mqtt.js 5", Kind::Node),
    ("aws-iot-device-sdk", Kind::Node),
    ("aws-iot-device-sdk-v2", Kind::Node),
    ("mosquitto_rr", Kind::Mosquitto),
    ("rumqttc", Kind::Rust),
];

/// A device with its files.
struct Identity {
    client_id: String,
    certificate_id: String,
    files: [PathBuf; 2],
    credentials: Credentials,
}

impl Identity {
    /// A device certificate of the user's signer CA.
    fn new(stage: &Stage, number: usize) -> Self {
        let read = |name| std::fs::read_to_string(stage.file(name)).unwrap();
        let (signer_pem, signer_key) =
            (read("signer-ca.crt"), KeyPair::from_pem(&read("signer-ca.key")).unwrap());
        let issuer = Issuer::from_ca_cert_pem(&signer_pem, signer_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let point = key.public_key_raw();
        let subject_key_id = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, point).as_ref().to_vec();
        let client_id = hex::encode(&subject_key_id);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("sn{number:016X}"));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_identifier_method = KeyIdMethod::PreSpecified(subject_key_id);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let files = ["crt", "key"].map(|kind| stage.file(&format!("client-{number}.{kind}")));
        std::fs::write(&files[0], format!("{}{signer_pem}", certificate.pem())).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        let signer = der(&signer_pem);
        let sign = Arc::new(move |message: &[u8]| key.sign(message).map_err(Into::into));
        Self {
            client_id,
            certificate_id: x509::certificate_id(certificate.der()),
            files,
            credentials: Credentials { chain: vec![certificate.der().clone(), signer], sign, roots: None },
        }
    }
}

fn der(pem: &str) -> rustls_pki_types::CertificateDer<'static> {
    use rustls_pki_types::pem::PemObject;
    rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// What the clients connect to, and with what they are run.
struct Scene {
    testbed: Testbed,
    stage: Stage,
    python: PathBuf,
    ca: PathBuf,
}

impl Scene {
    /// One connection: how the client ends, and what it said.
    async fn connect(
        &self,
        (name, kind): (&'static str, Kind),
        device: &Identity,
        secret: &str,
    ) -> (i32, String) {
        let port = self.testbed.gateway().port();
        if kind == Kind::Rust {
            let endpoint = Endpoint::new(HOST, port, self.testbed.gateway().server_ca_pem());
            let Ok(mut connected) = Device::connect(&endpoint, &device.credentials, &device.client_id).await
            else {
                return (OUT, String::new());
            };
            let topic = format!("{}/echo", device.client_id);
            connected.subscribe(&topic).await.unwrap();
            connected.publish(&topic, b"hello").await.unwrap();
            assert_eq!(connected.receive().await.unwrap().payload, b"hello");
            return (IN, String::new());
        }
        let script = |file| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/referee/clients").join(file);
        let port = port.to_string();
        let mut command = match kind {
            Kind::Python | Kind::Signing => Command::new(&self.python),
            Kind::Node => Command::new("node"),
            _ => Command::new("mosquitto_rr"),
        };
        if kind == Kind::Mosquitto {
            let topic = format!("{}/echo", device.client_id);
            let [certificate, key] = &device.files;
            command.args([
                "-h",
                HOST,
                "-p",
                &port,
                "-i",
                &device.client_id,
                "-q",
                "1",
                "-W",
                "20",
                "-m",
                "hello",
            ]);
            command.args(["-t", &topic, "-e", &topic]).arg("--cafile").arg(&self.ca);
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        } else {
            command.arg(script(if kind == Kind::Node { "clients.js" } else { "clients.py" }));
            command.args([name, HOST, &port]).arg(&self.ca).args(&device.files).arg(&device.client_id);
        }
        command.env("AWS_ACCESS_KEY_ID", &self.testbed.access().access_key_id);
        command
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env_remove("AWS_SESSION_TOKEN")
            .env("AWS_REGION", "us-east-1");
        let run = tokio::task::spawn_blocking(move || command.output());
        let Ok(output) = run.await.unwrap() else {
            return (MISSING, "the program is not installed".to_owned());
        };
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().unwrap_or(-1);
        // mosquitto_rr ends with what is wrong with the connection.
        let code = if kind == Kind::Mosquitto && code != IN { OUT } else { code };
        (code, String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// Both connections; false without the client. An error says how they went otherwise.
    async fn row(&self, number: usize, client: (&'static str, Kind)) -> Result<bool, String> {
        let device = Identity::new(&self.stage, number);
        let right = &self.testbed.access().secret_access_key;
        let (first, said) = match client.1 {
            Kind::Signing => self.connect(client, &device, "wrong").await,
            _ => self.connect(client, &device, "").await,
        };
        if first == MISSING {
            present(&format!("{}, {said}", client.0), None::<()>);
            return Ok(false);
        }
        let registered = match client.1 {
            Kind::Signing => true,
            _ => {
                let is_active = async || {
                    let account = self.testbed.account();
                    let known = account.certificate(&device.certificate_id).ok()?;
                    (known.status == Status::Active).then_some(())
                };
                wait::found("an ACTIVE certificate", is_active).await.is_ok()
            }
        };
        let (second, said_then) = self.connect(client, &device, right).await;
        match (first, second) {
            (OUT, IN) if registered => Ok(true),
            _ => Err(format!("{}: {first} {said}\n  then {second} {said_then}", client.0)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fourteen_clients_are_turned_away_registered_and_let_in() {
    let Some(python) = program("python") else { return };
    let testbed = Testbed::start(testbed::Options::default()).await.unwrap();
    let stage = Stage::new("the testbed", testbed.access(), &[], None).await;
    let run = |arguments: &[&str]| tokio::task::block_in_place(|| stage.ends(0, arguments));
    run(&["ca", "create"]);
    run(&["setup", "--lambda-zip", stage.package().to_str().unwrap()]);
    let ca = stage.file("server-ca.pem");
    std::fs::write(&ca, testbed.gateway().server_ca_pem()).unwrap();
    let scene = Scene { testbed, stage, python, ca };
    let rows = CLIENTS.iter().enumerate().map(|(number, client)| scene.row(number, *client));
    let rows = futures::future::join_all(rows).await;
    let (mut went, mut failed) = (0, Vec::new());
    for ((name, kind), row) in CLIENTS.iter().zip(rows) {
        let said = match row {
            Ok(true) => {
                went += 2;
                match kind {
                    Kind::Signing => "turned away with a wrong key, let in",
                    _ => "turned away, registered, let in",
                }
            }
            Ok(false) => "not installed",
            Err(reason) => {
                failed.push(reason);
                "differs"
            }
        };
        println!("{name:<24} {said}");
    }
    println!("{went} of {} connections went as at AWS", 2 * CLIENTS.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
