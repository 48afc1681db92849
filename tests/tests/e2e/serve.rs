//! `testbed serve` as a user runs it, with the real function where it has been built.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use tempfile::NamedTempFile;
use testbed::device::{Credentials, Device, Endpoint};
use testbed::{Access, wait};

use crate::account::{Ca, register, sdk_config};
use crate::account_life::scenario::Stage;
use crate::demo::testbed_alone;
use crate::laptop::Laptop;

const TESTBED: &str = env!("CARGO_BIN_EXE_testbed");

/// A running `testbed serve`; killed when the test ends early.
pub(crate) struct Served {
    child: Child,
    pub(crate) line: Value,
    /// What it tells on stderr, if that is kept.
    log: Option<NamedTempFile>,
}

impl Served {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::with(arguments, None)
    }

    /// With what it tells in a file.
    pub(crate) fn logging(arguments: &[&str]) -> Self {
        Self::with(arguments, Some(NamedTempFile::new().unwrap()))
    }

    fn with(arguments: &[&str], log: Option<NamedTempFile>) -> Self {
        let told = log.as_ref().map_or_else(Stdio::null, |log| log.reopen().unwrap().into());
        let mut child = Command::new(TESTBED)
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(told)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, line: serde_json::from_str(&line).unwrap(), log }
    }

    /// The file with what it tells.
    pub(crate) fn log(&self) -> &Path {
        self.log.as_ref().unwrap().path()
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.line[field].as_str().unwrap()
    }

    pub(crate) fn access(&self) -> Access {
        Access {
            endpoint_url: self.text("endpoint_url").to_owned(),
            region: self.text("region").to_owned(),
            access_key_id: self.text("access_key_id").to_owned(),
            secret_access_key: self.text("secret_access_key").to_owned(),
        }
    }

    /// Ends it as a service is ended, and says whether it took that well.
    fn terminate(mut self) -> bool {
        self.end().is_ok_and(|status| status.success())
    }

    fn end(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        self.child.wait()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that was killed would leave its temporary files.
        let _ = self.end();
    }
}

/// The function is another package's program, so that it is there only if the whole workspace was built.
fn function_is_built() {
    let built = Path::new(TESTBED).with_file_name("jitr").is_file();
    assert!(built, "there is no jitr beside {TESTBED}; run: cargo build --bins");
}

#[test]
fn without_the_function_it_says_how_to_build_it() {
    let (_folder, alone) = testbed_alone();
    let output = Command::new(alone).arg("serve").output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no jitr beside the testbed") && said.contains("cargo build --bins"), "{said}");
}

#[test]
fn an_empty_account_and_two_boards_are_where_the_line_says() {
    function_is_built();
    let served = Served::start(&["--boards", "2", "--region", "eu-central-1"]);
    assert_eq!(served.text("mqtt_host"), testbed::HOST);
    assert!(served.line["mqtt_port"].as_u64().is_some_and(|port| port > 0));
    let boards = served.line["boards"].as_array().unwrap();
    assert_eq!(boards.len(), 2);
    for path in boards.iter().filter_map(Value::as_str).chain([
        served.text("server_ca"),
        served.text("vendor_roots"),
        served.text("lambda"),
    ]) {
        assert!(Path::new(path).exists(), "{path}");
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let config = sdk_config(&served.access()).await;
        let functions = aws_sdk_lambda::Client::new(&config).list_functions().send().await.unwrap();
        assert!(functions.functions().is_empty());
    });
    let files = served.text("lambda").to_owned();
    assert!(served.terminate());
    assert!(!Path::new(&files).exists());
}

/// The one step for people: a shell that evaluates what is printed uses the testbed, which goes on in the background.
#[test]
fn a_shell_evaluates_what_env_prints_and_uses_the_testbed() {
    function_is_built();
    let home = tempfile::tempdir().unwrap();
    let provisioner = Path::new(TESTBED).with_file_name("provisioner");
    let script = format!(
        "eval \"$('{TESTBED}' serve --ready --boards 2 --env)\" && '{}' doctor --output json; printf '%s\\n' \"$TESTBED_PID\" \"$TESTBED_BOARDS\" \"$TESTBED_LOG\" \"$AWS_DEFAULT_REGION$AWS_ENDPOINT_URL_STS\" >&2",
        provisioner.display()
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("MICROCHIP_IOT_HOME", home.path())
        .env("AWS_PROFILE", "another")
        .env("AWS_SESSION_TOKEN", "another")
        .env("AWS_DEFAULT_REGION", "another")
        .env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = stderr.lines().collect();
    let [.., pid, boards, log, region] = lines[..] else { panic!("{stderr}") };
    assert!(Command::new("kill").arg(pid).status().unwrap().success(), "{stderr}");
    std::fs::remove_file(log).unwrap();
    assert_eq!((boards.split(' ').count(), region), (2, "us-east-1"), "{stderr}");
    let found = String::from_utf8(output.stdout).unwrap();
    let mut found = found.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let credentials = found.find(|line| line["resource"] == "credentials").unwrap();
    assert_eq!(
        (&credentials["verdict"], &credentials["name"]),
        (&"right".into(), &"account 123456789012".into())
    );
}

#[test]
fn a_port_that_is_taken_is_named_with_its_option() {
    function_is_built();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--http-port", "--mqtt-port"] {
        for env in [&[][..], &["--env"]] {
            let arguments = [&["serve", option, &port], env].concat();
            let output = Command::new(TESTBED).args(arguments).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{said}");
            let says = format!("cannot listen on port {port} ({option}): choose another one with {option}");
            assert!(said.contains(&says) && said.contains("in use"), "{said}");
            assert_eq!(said.contains("did not start"), !env.is_empty(), "{said}");
        }
    }
}

#[test]
fn the_ports_are_those_that_are_asked_for() {
    function_is_built();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = [free(), free()].map(|listener| listener.local_addr().unwrap().port().to_string());
    let served = Served::start(&["--http-port", &ports[0], "--mqtt-port", &ports[1], "--boards", "0"]);
    assert!(served.text("endpoint_url").ends_with(&ports[0]), "{}", served.line);
    assert_eq!(served.line["mqtt_port"].to_string(), ports[1]);
    assert!(served.terminate());
}

/// The log has a line with all of these.
fn is_told(served: &Served, parts: &[&str]) -> bool {
    let log = std::fs::read_to_string(served.log()).unwrap();
    log.lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

#[test]
fn boards_connect_once_they_are_provisioned_publish_and_obey() {
    function_is_built();
    let served = Served::logging(&["--ready", "--boards", "2"]);
    let laptop = Laptop::with_ca();
    let access = served.access();
    let ports: Vec<&str> =
        served.line["boards"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let ports = ports.join(",");
    let more = [
        ("MICROCHIP_IOT_PORTS", ports.as_str()),
        ("AWS_ENDPOINT_URL_IOT_DATA_PLANE", served.text("data_plane_url")),
        ("AWS_CA_BUNDLE", served.text("server_ca")),
    ];
    let environment: Vec<_> = access.environment().into_iter().chain(more).collect();
    let run = |arguments: &[&str]| laptop.run(arguments, &environment);
    assert_eq!(run(&["setup"]).code, 0);
    let provisioned = run(&["provision", "--all", "--follow=60s", "--output", "json"]);
    assert_eq!(provisioned.code, 0, "{provisioned}");
    let lines = provisioned.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let done = lines.filter(|line| line["action"] == "provision" && line["done"] == true);
    let things: Vec<String> = done.filter_map(|line| Some(line["thing_name"].as_str()?.to_owned())).collect();
    assert_eq!(things.len(), 2, "{provisioned}");
    for thing in &things {
        for events in ["registered", "connected", "published"] {
            let told = || is_told(&served, &[&format!("\"event\":\"{events}\""), thing]);
            wait::until(events, told).unwrap_or_else(|error| panic!("{error}: {provisioned}"));
        }
    }
    let thing = things[0].as_str();
    let topic = format!("{thing}/led");
    let sent = run(&["monitor", thing, "--send", &topic, "{\"on\":true}", "--for", "2s", "--output", "json"]);
    assert!(sent.stdout.contains("\\\"toggle\\\":1"), "{sent}");
    assert!(is_told(&served, &[thing, "switches its LED DATA on"]), "{sent}");
    let delta = format!("$aws/things/{thing}/shadow/update");
    let off = r#"{"state":{"desired":{"toggle":0}}}"#;
    let sent = run(&["monitor", thing, "--send", &delta, off, "--for", "2s"]);
    assert!(is_told(&served, &[thing, "switches its LED DATA off"]), "{sent}");
}

#[test]
fn a_board_that_may_not_or_cannot_connect_does_not() {
    function_is_built();
    let laptop = Laptop::with_ca();
    for (options, endpoint, told) in [
        (&["--ready", "--no-autoconnect"][..], "localhost", None),
        // Nothing of the testbed leaves the computer.
        (
            &["--ready"],
            "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com",
            Some("does not connect: its endpoint is a1b2"),
        ),
    ] {
        let served = Served::logging(options);
        let port = served.line["boards"][0].as_str().unwrap();
        let provisioned = laptop.run(&["provision", "--port", port, "--endpoint", endpoint], &[]);
        assert_eq!(provisioned.code, 0, "{provisioned}");
        match told {
            Some(told) => wait::until("the note", || is_told(&served, &[told])).unwrap(),
            None => std::thread::sleep(Duration::from_secs(3)),
        }
        assert!(!is_told(&served, &["gateway"]), "{}", std::fs::read_to_string(served.log()).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_account_lacks_nothing_but_the_signer_ca() {
    function_is_built();
    let served = Served::start(&["--ready", "--boards", "0"]);
    let stage = Stage::new("the testbed", &served.access(), &[], None).await;
    stage.ends(0, &["ca", "create"]);
    let plan = stage.ends(0, &["setup", "--method", "jitr", "--function", "JITR"]);
    for line in &plan.lines {
        let expected = match line["resource"].as_str() {
            None => continue,
            Some("signer_ca") => "create",
            Some(_) => "leave",
        };
        assert_eq!(line["action"], expected, "{line}");
    }
    assert_eq!(
        plan.values("resource").iter().filter(|link| **link == "signer_ca").count(),
        1,
        "{}",
        plan.said
    );
    stage.ends(0, &["doctor"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_a_registered_ca_gets_in_once_the_real_function_has_run() {
    function_is_built();
    let served = Served::start(&["--ready", "--boards", "0"]);
    let config = sdk_config(&served.access()).await;
    let iot = aws_sdk_iot::Client::new(&config);
    let ca = Ca::new("Signer");
    register(&iot, &ca).await;

    let key = KeyPair::generate().unwrap();
    let leaf = ca.issue_for(&key, "sn0123456789ABCDEF01");
    let chain = [leaf, ca.pem()].map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    let thing = key_identifier(&key);
    let credentials = Credentials {
        chain: chain.into(),
        sign: Arc::new(move |message| key.sign(message).map_err(Into::into)),
        roots: None,
    };
    let server_ca = std::fs::read_to_string(served.text("server_ca")).unwrap();
    let port = u16::try_from(served.line["mqtt_port"].as_u64().unwrap()).unwrap();
    let endpoint = Endpoint::new(served.text("mqtt_host"), port, server_ca);
    let patience = Duration::from_secs(60);
    let (device, attempts) =
        Device::connect_until_let_in(&endpoint, &credentials, &thing, patience).await.unwrap();
    assert!(attempts > 1);
    device.disconnect().await.unwrap();
    let found = iot.describe_thing().thing_name(&thing).send().await.unwrap();
    assert_eq!(found.thing_type_name.as_deref(), Some("microchip-zero-touch-kit"));
    let files = served.text("lambda").to_owned();
    assert!(served.terminate());
    assert!(!Path::new(&files).exists());
}

/// The thing name that the function gives to the key: SHA-1 of its point.
fn key_identifier(key: &KeyPair) -> String {
    hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_disturbed_as_asked() {
    use aws_sdk_iot::error::ProvideErrorMetadata;
    function_is_built();
    let served =
        Served::start(&["--fault", "ListThings=ServiceUnavailableException", "--quota", "ListPolicies=1"]);
    let iot = aws_sdk_iot::Client::new(&sdk_config(&served.access()).await);
    let error = iot.list_things().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ServiceUnavailableException"));
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
    iot.list_things().send().await.unwrap();
    iot.list_policies().send().await.unwrap();
    let (second, third) = tokio::join!(iot.list_policies().send(), iot.list_policies().send());
    let throttled = second.err().or(third.err()).unwrap();
    assert_eq!(throttled.code(), Some("ThrottlingException"));
    assert!(served.terminate());

    let misspelt = Command::new(TESTBED).args(["serve", "--fault", "ListThngs=X"]).output().unwrap();
    let said = String::from_utf8(misspelt.stderr).unwrap();
    assert!(said.contains("the testbed has no operation \"ListThngs\""), "{said}");
    assert_eq!(misspelt.status.code(), Some(2));
}
