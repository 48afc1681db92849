//! `testbed connect` as a user runs it: a device with certificate and key from files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use tempfile::TempDir;

use crate::laptop::Laptop;
use crate::serve::Served;

const TESTBED: &str = env!("CARGO_BIN_EXE_testbed");

/// A testbed whose account is set up for the signer CA of a laptop.
struct Desk {
    served: Served,
    laptop: Laptop,
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let served = Served::logging(&["--ready", "--boards", "0"]);
        let laptop = Laptop::with_ca();
        let setup = laptop.run(&["setup"], &served.access().environment());
        assert_eq!(setup.code, 0, "{setup}");
        Self { served, laptop, folder: TempDir::new().unwrap() }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Certificate and key of a new device of this laptop's signer CA.
    fn device(&self, laptop: &Laptop, name: &str) -> (PathBuf, PathBuf) {
        let read = |name: &str| std::fs::read_to_string(laptop.folder().join(name)).unwrap();
        let authority = KeyPair::from_pem(&read("signer-ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("signer-ca.crt"), authority).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem() + &read("signer-ca.crt");
        (
            self.file(&format!("{name}.crt"), &certificate),
            self.file(&format!("{name}.key"), &key.serialize_pem()),
        )
    }

    fn command(&self, certificate: &Path, key: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(TESTBED);
        command.arg("connect").arg("--cert").arg(certificate).arg("--key").arg(key).args(arguments);
        command
            .env("TESTBED_MQTT_HOST", self.served.text("mqtt_host"))
            .env("TESTBED_MQTT_PORT", self.served.line["mqtt_port"].to_string())
            .env("TESTBED_SERVER_CA", self.served.text("server_ca"))
            .env("TESTBED_LOG", self.served.log());
        command
    }

    fn connect(&self, certificate: &Path, key: &Path, arguments: &[&str]) -> Connected {
        Connected::of(self.command(certificate, key, arguments).output().unwrap())
    }
}

/// What a run has printed.
#[derive(Debug)]
struct Connected {
    code: Option<i32>,
    /// What happened, and its text.
    lines: Vec<(String, String)>,
    error: String,
}

impl Connected {
    fn of(output: Output) -> Self {
        let text = String::from_utf8(output.stdout).unwrap();
        // `    0.123  turned away   the text`
        let line = |line: &str| (line[11..23].trim().to_owned(), line[23..].trim().to_owned());
        Self {
            code: output.status.code(),
            lines: text.lines().map(line).collect(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn events(&self) -> Vec<&str> {
        self.lines.iter().map(|(what, _)| what.as_str()).collect()
    }

    /// The text of the first line of its kind.
    fn text(&self, what: &str) -> &str {
        &self.lines.iter().find(|line| line.0 == what).unwrap_or_else(|| panic!("no {what}: {self:?}")).1
    }
}

#[test]
fn the_first_connection_registers_the_device_and_the_next_is_let_in() {
    let desk = Desk::new();
    let (certificate, key) = desk.device(&desk.laptop, "board");
    let first = desk.connect(&certificate, &key, &["--for", "10s", "--publish", "elsewhere", "x"]);
    let seen = first.events();
    assert_eq!(seen[..2], ["device", "turned away"], "{first:?}");
    assert!(first.text("turned away").contains("PENDING_ACTIVATION"), "{first:?}");
    let thing = first.text("connected").split(' ').find(|word| word.len() == 41).unwrap();
    let thing = thing.trim_end_matches(',');
    // A message that is refused ends the connection, and the exit code tells.
    assert_eq!(first.code, Some(1), "{first:?}");
    assert!(first.text("refused").contains("no policy allows iot:Publish"), "{first:?}");
    assert_eq!(first.events().iter().filter(|event| **event == "connected").count(), 2, "{first:?}");

    let (own, topic) = (format!("{thing}/#"), format!("{thing}/sensors"));
    let arguments = ["--for", "2s", "--subscribe", &own, "--publish", &topic, "a\u{1b}[2J"];
    let second = desk.connect(&certificate, &key, &arguments);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_eq!(
        second.events(),
        ["device", "connected", "subscribed", "published", "message", "disconnected"],
        "{second:?}"
    );
    assert_eq!(second.text("message"), format!("{topic}  a\\u{{1b}}[2J"));
}

#[test]
fn a_device_that_is_not_let_in_learns_why_and_ends_with_1() {
    let desk = Desk::new();
    let strangers = Laptop::with_ca();
    let (certificate, key) = desk.device(&strangers, "stranger");
    let stranger = desk.connect(&certificate, &key, &["--for", "1s"]);
    assert_eq!(stranger.code, Some(1), "{stranger:?}");
    assert!(stranger.text("turned away").contains("no registered CA certificate issued it"), "{stranger:?}");
    assert!(stranger.events().len() >= 4, "it tries again: {stranger:?}");
    assert!(stranger.text("ended").contains("not let in"), "{stranger:?}");
}

#[test]
fn what_cannot_be_used_is_named_with_the_next_step() {
    let desk = Desk::new();
    let (certificate, key) = desk.device(&desk.laptop, "board");
    let (_, other) = desk.device(&desk.laptop, "other");
    let encrypted = desk.file("encrypted.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
    let absent = desk.folder.path().join("absent");
    let refused = |certificate: &Path, key: &Path, arguments: &[&str], says: &str| {
        let run = desk.connect(certificate, key, &[arguments, &["--for", "1s"]].concat());
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.error.contains(says), "{says}: {run:?}");
    };
    refused(&certificate, &other, &[], "is not that of the first certificate");
    refused(&certificate, &encrypted, &[], "openssl pkey");
    refused(&certificate, &certificate, &[], "has no private key as PEM");
    refused(&key, &key, &[], "has no certificate as PEM");
    refused(&absent, &key, &[], "check the path of --cert");
    refused(&certificate, &key, &["--ca", key.to_str().unwrap()], "no certificate of a server's CA");
    refused(&certificate, &key, &["--ca", certificate.to_str().unwrap()], "is not the one that --ca is for");
    refused(&certificate, &key, &["--endpoint", "localhost:1"], "localhost:1 cannot be reached");
    refused(&certificate, &key, &["--publish", "a/+", "x"], "is no topic");
    refused(&certificate, &key, &["--subscribe", "a/#/b"], "is no topic filter");
    let mut alone = desk.command(&certificate, &key, &[]);
    let alone = Connected::of(alone.env_remove("TESTBED_MQTT_PORT").output().unwrap());
    assert!(alone.code == Some(1) && alone.error.contains("testbed serve --ready --env"), "{alone:?}");
}
