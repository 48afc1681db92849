//! The real function on the Lambda host: connections at the first event, X-Ray traces, published revocation lists.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};
use testbed::iot_core::account::{CertificateMode, RegisterAuthority, Status};
use testbed::iot_core::control_plane::HttpsListener;
use testbed::iot_core::directory::{Directory, Peer, Verdict};
use testbed::lambda_host::{Configuration, NewFunction, package_of};
use testbed::{Options, Testbed, wait};
use tokio::net::TcpListener;

const TRUST: &str = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const SERIAL: [u8; 8] = [0x40, 1, 2, 3, 4, 5, 6, 7];

/// An account with the function as it was built, and a CA that signs boards and revocation lists.
struct World {
    testbed: Testbed,
    ca: CertifiedIssuer<'static, KeyPair>,
    ca_id: String,
}

impl World {
    async fn new(https: bool) -> Self {
        let testbed = Testbed::start(Options { https, ..Options::default() }).await.unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "signer");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = RegisterAuthority {
            certificate: ca.as_ref().pem(),
            verification: None,
            active: true,
            auto_registration: true,
            registration_config: None,
            mode: CertificateMode::SniOnly,
        };
        let ca_id = testbed.account().register_authority(authority).unwrap();
        Self { testbed, ca, ca_id }
    }

    /// Puts the function in place with these variables.
    async fn deploy(&self, variables: &[(&str, &str)]) {
        let role = {
            let mut account = self.testbed.account();
            let role = account.create_role("JITR", None, TRUST, None, BTreeMap::new()).unwrap().clone();
            account.role_arn(&role)
        };
        wait::found("a role that the function can assume", async || {
            self.testbed.account().lambda_can_assume(&role).then_some(())
        })
        .await
        .unwrap();
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_testbed")).with_file_name("jitr");
        let configuration = Configuration {
            runtime: "provided.al2023".into(),
            role,
            timeout: 30,
            environment: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            tracing: "Active".into(),
            ..Configuration::default()
        };
        let function = NewFunction {
            name: "JITR".into(),
            zip: package_of(&program).unwrap(),
            configuration,
            architecture: "x86_64".into(),
            tags: BTreeMap::new(),
        };
        self.testbed.lambda().create(function).unwrap();
        wait::found("an active function", async || {
            (self.testbed.lambda().function("JITR").unwrap().state() == "Active").then_some(())
        })
        .await
        .unwrap();
    }

    /// The event of a board that connects for the first time.
    fn event(&self, serial: &[u8]) -> Value {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "board");
        params.serial_number = Some(SerialNumber::from_slice(serial));
        let board = params.signed_by(&KeyPair::generate().unwrap(), &self.ca).unwrap();
        let peer = Peer { address: Ipv4Addr::LOCALHOST.into(), server_name: true };
        let Verdict::Registered { certificate_id } = self.testbed.directory().connecting(board.der(), peer)
        else {
            panic!("the board is not new")
        };
        json!({
            "certificateId": certificate_id,
            "caCertificateId": self.ca_id,
            "certificateStatus": "PENDING_ACTIVATION",
            "awsAccountId": "123456789012",
        })
    }

    /// What the function answers, or how it fails.
    async fn invoke(&self, event: &Value) -> Result<Value, Value> {
        let invoked = self.testbed.lambda().invoke("JITR", event.to_string().into()).await.unwrap();
        let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap();
        invoked.outcome.map(|answer| json(&answer)).map_err(|error| json(&error))
    }

    fn status(&self, event: &Value) -> Status {
        self.testbed.account().certificate(event["certificateId"].as_str().unwrap()).unwrap().status
    }

    /// The CA's list, good until a year.
    fn list(&self, serials: &[&[u8]], year: i32) -> Vec<u8> {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2025, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.ca).unwrap().der().to_vec()
    }

    /// A folder with the CA's certificate, as it would be in the package.
    fn folder(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("signer.crt"), self.ca.as_ref().pem()).unwrap();
        folder
    }
}

/// A file with a root certificate, for `SSL_CERT_FILE`.
fn roots(pem: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_event_finds_every_connection_open_and_a_warm_one_makes_five_calls() {
    let described = [("THING_GROUP", "line-1 line-2 line-3"), ("ADDITIONAL_POLICIES", "more")];
    for variables in [&[][..], &[("THING_NAME_SOURCE", "cn")], &[("THING_GROUP", "line-1")], &described] {
        let world = World::new(true).await;
        for group in ["line-1", "line-2", "line-3"] {
            world.testbed.account().create_thing_group(group, None, json!({})).unwrap();
        }
        world.testbed.account().create_policy("more", ALLOWS).unwrap();
        let roots = roots(world.testbed.authority().unwrap());
        let trusted = [("SSL_CERT_FILE", roots.path().to_str().unwrap())];
        world.deploy(&[&trusted[..], variables].concat()).await;
        // The first invocation starts the environment; what it costs shows in the second one.
        let refused = world.invoke(&json!({})).await.unwrap();
        assert_eq!(refused["reason"], "malformed_event");
        let before = world.testbed.connections();
        let event = world.event(&SERIAL);
        assert_eq!(world.invoke(&event).await.unwrap()["outcome"], "registered");
        assert_eq!(world.testbed.connections(), before, "{variables:?}: the event opened a connection");
        assert_eq!(world.status(&event), Status::Active);
    }
}

const ALLOWS: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Publish","Resource":"*"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn boards_of_a_queue_are_described_or_refused_until_their_templates_fit() {
    let world = World::new(false).await;
    {
        let mut account = world.testbed.account();
        account.create_thing_group("kit-board", None, json!({})).unwrap();
        account.create_billing_group("bills", Value::Null).unwrap();
        account.create_policy("more", ALLOWS).unwrap();
    }
    world
        .deploy(&[
            ("THING_ATTRIBUTES", "cn={subject.CN} serial={serial_number} ca={ca_certificate_id}"),
            ("THING_GROUP", "kit-{subject.CN}"),
            ("ADDITIONAL_POLICIES", "more"),
            ("BILLING_GROUP", "bills"),
        ])
        .await;
    let event = world.event(&SERIAL);
    let record =
        |event: &Value| json!({"messageId": "1", "body": event.to_string(), "eventSource": "aws:sqs"});
    let records = json!({"Records": [record(&event)]});
    assert_eq!(world.invoke(&records).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(world.status(&event), Status::Active);
    let name = {
        let account = world.testbed.account();
        let things = account.list_things(None, None, &Default::default()).unwrap();
        let [thing] = things.items.as_slice() else { panic!("{}", things.items.len()) };
        let expected = [("ca", world.ca_id.as_str()), ("cn", "board"), ("serial", "4001020304050607")];
        assert_eq!(thing.attributes, expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
        assert_eq!(thing.billing_group.as_deref(), Some("bills"));
        thing.name.clone()
    };
    assert!(world.testbed.account().thing_group("kit-board").unwrap().things.contains_key(&name));
    let made = world.testbed.journal().calls();
    let of = |operation: &str| {
        made.iter().filter(|call| call.operation == operation && call.outcome.is_ok()).count()
    };
    let counts = ["CreateThing", "AddThingToThingGroup", "AttachThingPrincipal", "UpdateCertificate"].map(of);
    assert_eq!(counts, [1; 4], "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_no_template_fits_stays_outside_and_nothing_is_made() {
    let world = World::new(false).await;
    world.deploy(&[("THING_GROUP", "kit-{subject.OU}")]).await;
    let event = world.event(&SERIAL);
    let refused = world.invoke(&event).await.unwrap();
    assert_eq!((&refused["outcome"], &refused["reason"]), (&json!("refused"), &json!("undescribed")));
    assert_eq!(world.status(&event), Status::PendingActivation);
    let made = world.testbed.journal().calls();
    let changes = |operation: &str| ["CreateThing", "AttachPolicy", "CreatePolicy"].contains(&operation);
    assert!(!made.iter().any(|call| changes(&call.operation)), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_decide_nothing_may_have_any_form_and_are_told_at_debug() {
    let world = World::new(false).await;
    world.deploy(&[("RUST_LOG", "info,jitr=debug")]).await;
    let mut event = world.event(&SERIAL);
    event["timestamp"] = json!("");
    event["awsAccountId"] = json!(123_456_789_012_u64);
    event["sourceIp"] = json!(["192.0.2.7"]);
    let invoked = world.testbed.lambda().invoke("JITR", event.to_string().into()).await.unwrap();
    let answer: Value = serde_json::from_slice(&invoked.outcome.unwrap()).unwrap();
    assert_eq!(answer["outcome"], "registered");
    let told: Vec<Value> = invoked.log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for field in ["timestamp", "awsAccountId", "sourceIp"] {
        let of_field = told.iter().find(|line| line["field"] == field);
        assert_eq!(of_field.unwrap()["level"], "DEBUG", "{}", invoked.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_queue_delivers_is_registered_or_stays_there() {
    let world = World::new(false).await;
    world.deploy(&[]).await;
    let (event, other) = (world.event(&SERIAL), world.event(&[0x41]));
    let notification = json!({"Type": "Notification", "Message": event.to_string()});
    let redriven = json!({"requestPayload": other, "responsePayload": {"errorMessage": "throttled"}});
    let record =
        |id: &str, body: &Value| json!({"messageId": id, "body": body.to_string(), "eventSource": "aws:sqs"});
    let warmer = json!({"source": "serverless-plugin-warmup"});
    let records = [record("sns", &notification), record("redriven", &redriven), record("warmer", &warmer)];
    let answer = world.invoke(&json!({"Records": records})).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "warmer"}]}));
    assert_eq!([&event, &other].map(|event| world.status(event)), [Status::Active; 2]);
    // Nothing says which record it is: the invocation fails.
    let failed = world.invoke(&json!({"Records": [{"eventSource": "aws:s3"}]})).await.unwrap_err();
    assert_eq!(failed["errorType"], "malformed_event");
    assert!(failed["errorMessage"].as_str().unwrap().contains("a record of Amazon S3"), "{failed}");
}

/// The processes on this computer that have this in their environment (proc_pid_environ(5)).
fn processes_with(variable: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let has = |entry: &std::fs::DirEntry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|found| found == variable.as_bytes())
    };
    processes.filter(has).filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_function_knows_which_certificates_are_active() {
    let world = World::new(false).await;
    let mark = world.ca_id.clone();
    world.deploy(&[("MARK", &mark)]).await;
    let mut event = world.event(&SERIAL);
    event["timestamp"] = json!(1_761_991_200_123_u64);
    let records = json!({"Records": [
        {"messageId": "1", "body": event.to_string(), "eventSource": "aws:sqs"}
    ]});
    assert_eq!(world.invoke(&records).await.unwrap(), json!({"batchItemFailures": []}));
    assert_eq!(world.status(&event), Status::Active);
    let describes = || {
        world.testbed.journal().calls().iter().filter(|call| call.operation == "DescribeCertificate").count()
    };
    let before = describes();

    let [process] = processes_with(&format!("MARK={mark}"))[..] else { panic!("there is one environment") };
    assert!(
        std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success()
    );
    // Its memory is gone before it can be waited for: state Z (proc_pid_stat(5)).
    let stat = format!("/proc/{process}/stat");
    let has_ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    wait::until("the process has ended", has_ended).unwrap();
    assert_eq!(world.invoke(&records).await.unwrap(), json!({"batchItemFailures": []}));
    assert_ne!(processes_with(&format!("MARK={mark}")), [process]);
    assert_eq!(describes(), before, "an older event says nothing new");
}

#[test]
fn the_function_started_by_hand_says_what_it_is() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_testbed")).with_file_name("jitr");
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(&program);
        let output = command.args(arguments).env_clear().envs(variables.iter().copied()).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(!stderr.contains("panicked"), "{stderr}");
        (output.status.code(), stdout, stderr)
    };
    let (code, stdout, _) = run(&["--version"], &[]);
    assert_eq!((code, &*stdout), (Some(0), concat!("jitr ", env!("CARGO_PKG_VERSION"), "\n")));
    let (code, stdout, stderr) = run(&["--help"], &[]);
    assert!(code == Some(0) && stdout.contains("provisioner setup --lambda-zip"), "{stdout}{stderr}");
    let (code, _, stderr) = run(&["--verson"], &[]);
    assert!(code == Some(2) && stderr.contains("there is no argument --verson"), "{stderr}");

    let all = [
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"),
        ("AWS_LAMBDA_FUNCTION_NAME", "JITR"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "much"),
    ];
    for count in 0..all.len() {
        let (code, stdout, stderr) = run(&[], &all[..count]);
        let wanted = format!("error: {} is not set: ", all[count].0);
        assert!(code == Some(1) && stdout.is_empty() && stderr.starts_with(&wanted), "{stdout}{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    for bad in [&all[..], &[&[("AWS_LAMBDA_RUNTIME_API", "a b")], &all[1..]].concat()] {
        let (code, _, stderr) = run(&[], bad);
        assert!(code == Some(1) && stderr.contains("is not valid: "), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_invocation_is_traced_call_by_call() {
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let world = World::new(false).await;
    let address = daemon.local_addr().unwrap().to_string();
    world.deploy(&[("AWS_XRAY_DAEMON_ADDRESS", &address)]).await;
    let event = world.event(&SERIAL);
    world.invoke(&event).await.unwrap();

    let mut buffer = [0; 65_536];
    let length = daemon.recv(&mut buffer).unwrap();
    let text = std::str::from_utf8(&buffer[..length]).unwrap();
    let document: Value = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
    let root = document["trace_id"].as_str().unwrap();
    assert!(root.starts_with("1-") && root.len() == 35, "{root}");
    assert_eq!(document["parent_id"].as_str().unwrap().len(), 16);
    assert_eq!(document["annotations"]["outcome"], "registered");
    assert_eq!(document["annotations"]["certificate_id"], event["certificateId"]);
    let calls = document["subsegments"].as_array().unwrap();
    let mut operations: Vec<_> =
        calls.iter().map(|call| call["aws"]["operation"].as_str().unwrap()).collect();
    operations.sort_unstable();
    let expected = [
        "AttachPolicy",
        "AttachThingPrincipal",
        "CreatePolicy",
        "CreateThing",
        "CreateThingType",
        "DescribeCertificate",
        "UpdateCertificate",
    ];
    assert_eq!(operations, expected);
    for call in calls {
        let [start, end] = ["start_time", "end_time"].map(|time| call[time].as_f64().unwrap());
        let [from, to] = ["start_time", "end_time"].map(|time| document[time].as_f64().unwrap());
        assert!(from <= start && start <= end && end <= to, "{document}");
    }
}

/// Answers with what it holds, or 503; keeps the requests.
#[derive(Clone, Default)]
struct ListServer(Arc<Mutex<Published>>);

type Requests = Vec<(String, axum::http::HeaderMap)>;

#[derive(Default)]
struct Published {
    list: Option<Vec<u8>>,
    requests: Requests,
}

impl ListServer {
    fn publish(&self, list: Option<Vec<u8>>) {
        self.0.lock().unwrap().list = list;
    }

    fn requests(&self) -> Requests {
        self.0.lock().unwrap().requests.clone()
    }

    fn router(&self) -> Router {
        let server = self.clone();
        Router::new().fallback(move |request: Request| async move {
            let mut published = server.0.lock().unwrap();
            published.requests.push((request.uri().path().to_owned(), request.headers().clone()));
            match &published.list {
                Some(list) => ([(header::ETAG, "\"one\"")], list.clone()).into_response(),
                None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            }
        })
    }
}

/// What the function makes of a list that is not there, there, and out of date.
async fn judge_lists(world: &World, server: &ListServer) {
    let (revoked, good) = (world.event(&SERIAL), world.event(&[0x41]));
    server.publish(None);
    let failed = world.invoke(&good).await.unwrap_err();
    assert_eq!(failed["errorType"], "RevocationList");
    assert!(failed["errorMessage"].as_str().unwrap().contains("status 503"), "{failed}");
    assert_eq!(world.status(&good), Status::PendingActivation);

    server.publish(Some(world.list(&[&SERIAL], 2999)));
    // AWS Lambda repeats a failed event after a minute; the function asks for the list again after a few seconds.
    testbed::wait::found("a registration with the list", async || world.invoke(&good).await.ok())
        .await
        .unwrap();
    assert_eq!(world.status(&good), Status::Active);
    let refused = world.invoke(&revoked).await.unwrap();
    assert_eq!(refused["reason"], "certificate_revoked");
    assert_eq!(world.status(&revoked), Status::PendingActivation);
    let fetched = server.requests().len();
    world.invoke(&world.event(&[0x42])).await.unwrap();
    assert_eq!(server.requests().len(), fetched, "the list is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_in_s3_are_read_with_signed_requests_and_nobody_is_let_in_without_them() {
    let server = ListServer::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let s3 = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(axum::serve(listener, server.router()).into_future());
    let world = World::new(false).await;
    let folder = world.folder();
    let variables = [
        ("CRL_DIR", folder.path().to_str().unwrap()),
        ("CRL_URL", "s3://lists/crl"),
        ("AWS_ENDPOINT_URL_S3", &s3),
    ];
    world.deploy(&variables).await;
    judge_lists(&world, &server).await;
    for (path, headers) in server.requests() {
        assert_eq!(path, "/lists/crl/signer.crl");
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(authorization.contains("/us-east-1/s3/aws4_request"), "{authorization}");
        assert!(headers.contains_key("x-amz-security-token"));
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_on_a_web_server_are_read_over_tls_and_nobody_is_let_in_without_them() {
    let server = ListServer::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/lists", listener.local_addr().unwrap().port());
    let (listener, authority) = HttpsListener::over(listener).unwrap();
    let serving = tokio::spawn(axum::serve(listener, server.router()).into_future());
    let world = World::new(false).await;
    let (folder, roots) = (world.folder(), roots(&authority));
    let variables = [
        ("CRL_DIR", folder.path().to_str().unwrap()),
        ("CRL_URL", &url),
        ("SSL_CERT_FILE", roots.path().to_str().unwrap()),
    ];
    world.deploy(&variables).await;
    judge_lists(&world, &server).await;
    assert!(
        server
            .requests()
            .iter()
            .all(|(path, headers)| { path == "/lists/signer.crl" && !headers.contains_key("authorization") })
    );
    serving.abort();
}

/// The most memory that the function has used whose environment names `mark`, in KiB.
#[cfg(target_os = "linux")]
fn most_memory_of_the_function_with(mark: &str) -> u64 {
    let has_mark = |process: &std::path::Path| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|bytes| bytes == mark.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let peak = |process: std::path::PathBuf| {
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    processes.filter(|process| has_mark(process)).filter_map(peak).max().expect("a function that runs")
}

/// With a list that is held, and a second one that is fetched and takes its place.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_million_admitted_keys_need_less_memory_than_the_function_has() {
    use device_pki::admission_list::{KeyIdentifier, MAX_KEYS};

    let folder = tempfile::tempdir().unwrap();
    let keys = device_pki::key::Keys::new(());
    let place = device_pki::key::Uri::File(folder.path().join("admission.key"));
    let signer = device_pki::Signer::new(&keys, keys.make(&place, false).unwrap());
    let now = time::OffsetDateTime::now_utc();
    let list = |number: u64, board: Option<KeyIdentifier>| {
        let others = (0..(MAX_KEYS - usize::from(board.is_some())) as u64).map(|n| {
            let mut octets = [0xA5; 20];
            octets[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
            KeyIdentifier(octets)
        });
        let list = signer.sign_admission_list(others.chain(board).collect(), number, 90, now).unwrap();
        assert_eq!(list.count(), MAX_KEYS);
        list.der().to_vec()
    };
    let server = ListServer::default();
    server.publish(Some(list(1, None)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let s3 = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(axum::serve(listener, server.router()).into_future());
    let world = World::new(false).await;
    let key = signer.admission_key().unwrap().to_string();
    let variables = [
        ("ADMISSION_KEY", key.as_str()),
        ("ADMISSION_LIST", "s3://lists/admission"),
        ("AWS_ENDPOINT_URL_S3", &s3),
    ];
    world.deploy(&variables).await;
    let event = world.event(&SERIAL);
    assert_eq!(world.invoke(&event).await.unwrap()["reason"], "not_admitted");
    assert_eq!(world.status(&event), Status::PendingActivation);
    let with_one = most_memory_of_the_function_with(&s3);

    let id = event["certificateId"].as_str().unwrap();
    let der = world.testbed.account().certificate(id).unwrap().der.clone();
    let point = device_pki::Certificate::from_der(&der).unwrap().point().unwrap();
    server.publish(Some(list(2, Some(KeyIdentifier::of(&point)))));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(world.invoke(&event).await.unwrap()["outcome"], "registered");
    let with_two = most_memory_of_the_function_with(&s3);
    println!("a million keys: {with_one} KiB, while the next list comes {with_two} KiB");
    assert!(with_two < 128 * 1024, "{with_two} KiB");
    serving.abort();
}
