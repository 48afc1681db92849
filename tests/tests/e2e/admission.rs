//! An admission list keeps out the boards of somebody who has the signer CA's key, and lets in those that are put on it.

use std::future::IntoFuture;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rcgen::{CertificateParams, Issuer, KeyPair, PublicKeyData, SigningKey};
use serde_json::json;
use testbed::device::{Credentials, Device, DeviceError, Endpoint};
use testbed::manifest::Vendor;
use testbed::{HOST, beside};
use tokio::net::TcpListener;

use crate::account::Account;
use crate::account_life::scenario::Stage;
use crate::account_life::scenario::breaks::configure;
use crate::account_life::scenario::permissions;
use crate::terminal::at_terminal;

const PLACE: &str = "s3://lists/admission";

/// One object in Amazon S3, with the conditions that requests for it have (Amazon S3 User Guide, "How to prevent object overwrites with
/// conditional writes").
#[derive(Clone, Default)]
struct Bucket(Arc<Mutex<Object>>);

#[derive(Default)]
struct Object {
    bytes: Option<Vec<u8>>,
    version: u64,
}

impl Bucket {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(self.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        url
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap().bytes.clone()
    }

    fn put_back(&self, bytes: Vec<u8>) {
        let mut object = self.0.lock().unwrap();
        (object.bytes, object.version) = (Some(bytes), object.version + 1);
    }
}

async fn answer(
    State(bucket): State<Bucket>,
    method: Method,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    assert_eq!(uri.path(), "/lists/admission/admission.der");
    assert!(headers["authorization"].to_str().unwrap().contains("/s3/aws4_request"));
    let mut object = bucket.0.lock().unwrap();
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let version = object.bytes.as_ref().map(|_| format!("\"{}\"", object.version));
    if method == Method::PUT {
        let is_met = match (header("if-match"), header("if-none-match")) {
            (Some(wanted), None) => version == Some(wanted),
            (None, Some(any)) => any == "*" && version.is_none(),
            _ => false,
        };
        if !is_met {
            return StatusCode::PRECONDITION_FAILED.into_response();
        }
        (object.bytes, object.version) = (Some(body.to_vec()), object.version + 1);
        return StatusCode::OK.into_response();
    }
    match (&object.bytes, version) {
        (Some(_), Some(version)) if header("if-none-match").as_ref() == Some(&version) => {
            StatusCode::NOT_MODIFIED.into_response()
        }
        (Some(bytes), Some(version)) => ([("etag", version)], bytes.clone()).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

struct World {
    stage: Stage,
    account: Account,
    bucket: Bucket,
    s3: String,
}

impl World {
    /// An account whose function lets in nobody: its list is empty.
    async fn new() -> Self {
        let account = Account::empty().await;
        let testbed = &account.testbed;
        let stage = Stage::new("the testbed", testbed.access(), &[], Some(testbed.journal())).await;
        let bucket = Bucket::default();
        let s3 = bucket.serve().await;
        let world = Self { stage, account, bucket, s3 };
        world.stage.reaches(&world.gateway());
        world.stage.sets("AWS_ENDPOINT_URL_S3", world.s3.clone());
        let package = world.stage.package();
        world.stage.ends(0, &["ca", "create"]);
        world.stage.ends(0, &["setup", "--lambda-zip", package.to_str().unwrap()]);
        configure(&world.stage.lambda(), &[("AWS_ENDPOINT_URL_S3", &world.s3)]).await;
        world
    }

    async fn with_list() -> Self {
        let world = Self::new().await;
        world.stage.ends(0, &["admission", "publish", "--to", PLACE]);
        world.stage.ends(0, &["setup", "--admission-list", PLACE]);
        world
    }

    fn gateway(&self) -> Endpoint {
        let gateway = self.account.testbed.gateway();
        Endpoint::new(HOST, gateway.port(), gateway.server_ca_pem())
    }

    /// Gives the function one more variable, or another value for one; it begins anew, with what is published.
    async fn tells(&self, name: &str, value: &str) {
        let lambda = self.stage.lambda();
        let found = lambda.get_function_configuration().function_name("JITR").send().await.unwrap();
        let mut variables = found.environment().unwrap().variables().unwrap().clone();
        variables.insert(name.into(), value.into());
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        configure(&lambda, &variables).await;
    }

    /// The status of a thief's certificate.
    async fn status(&self, forged: &Forged) -> Option<String> {
        let iot = self.account.iot();
        let described = iot.describe_certificate().certificate_id(&forged.id).send().await;
        Some(described.ok()?.certificate_description()?.status()?.as_str().to_owned())
    }

    async fn has_thing(&self, forged: &Forged) -> bool {
        self.account.iot().describe_thing().thing_name(&forged.thing).send().await.is_ok()
    }

    async fn is_turned_away(&self, forged: &Forged) {
        for _ in 0..3 {
            match Device::connect(&self.gateway(), &forged.device, &forged.thing).await {
                Err(DeviceError::Connection(_)) => tokio::time::sleep(Duration::from_millis(300)).await,
                other => panic!("it has to be turned away: {other:?}"),
            }
        }
    }
}

/// A board that somebody made who has the signer CA's key.
struct Forged {
    key: Arc<KeyPair>,
    device: Credentials,
    thing: String,
    id: String,
}

impl Forged {
    fn new(stage: &Stage) -> Self {
        Self::of_key(stage, Arc::new(KeyPair::generate().unwrap()))
    }

    /// Another certificate for the same key.
    fn again(&self, stage: &Stage) -> Self {
        Self::of_key(stage, Arc::clone(&self.key))
    }

    fn of_key(stage: &Stage, key: Arc<KeyPair>) -> Self {
        let read = |name: &str| std::fs::read_to_string(stage.file(name)).unwrap();
        let authority = KeyPair::from_pem(&read("signer-ca.key")).unwrap();
        let issuer = Issuer::from_ca_cert_pem(&read("signer-ca.crt"), authority).unwrap();
        let certificate = CertificateParams::default().signed_by(&*key, &issuer).unwrap();
        let signer = x509_parser::pem::parse_x509_pem(read("signer-ca.crt").as_bytes()).unwrap().1.contents;
        let digest = |algorithm, bytes: &[u8]| hex::encode(aws_lc_rs::digest::digest(algorithm, bytes));
        let id = digest(&aws_lc_rs::digest::SHA256, certificate.der());
        let thing = digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes());
        let signing = Arc::clone(&key);
        let device = Credentials {
            chain: vec![certificate.der().clone(), signer.into()],
            sign: Arc::new(move |message: &[u8]| Ok(signing.sign(message).unwrap())),
            roots: None,
        };
        Self { key, device, thing, id }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_signer_key_lets_in_no_board_that_is_not_on_the_list() {
    let world = World::with_list().await;
    let stage = &world.stage;
    let thief = Forged::new(stage);
    world.is_turned_away(&thief).await;
    assert_eq!(world.status(&thief).await.as_deref(), Some("PENDING_ACTIVATION"));
    assert!(!world.has_thing(&thief).await);
    let refused = stage.ends(1, &["replay", &thief.id]);
    assert!(refused.said.contains("not on the admission list"), "{}", refused.said);
    // Nor does the workflow with the user's permissions let it in, named or not.
    for named in [&[thief.id.as_str()][..], &[]] {
        let refused = stage.ends(1, &[&["replay", "--local"], named].concat());
        assert!(refused.said.contains("not on the admission list"), "{}", refused.said);
    }
    assert_eq!(world.status(&thief).await.as_deref(), Some("PENDING_ACTIVATION"));

    // Put on the list, it gets in with the event that was refused.
    stage.ends(0, &["admission", "add", &thief.thing]);
    let published = stage.ends(0, &["admission", "publish"]);
    assert_eq!(published.values("action"), ["publish"], "{}", published.said);
    let checked = stage.ends(0, &["admission", "check", &thief.thing]);
    assert!(checked.lines[0]["is_admitted"] == true && checked.lines[0]["is_published"] == true);
    tokio::time::sleep(Duration::from_secs(6)).await;
    stage.ends(0, &["replay", &thief.id]);
    assert_eq!(world.status(&thief).await.as_deref(), Some("ACTIVE"));
    let (mut connected, _) =
        Device::connect_until_let_in(&world.gateway(), &thief.device, &thief.thing, Duration::from_secs(60))
            .await
            .unwrap();

    // Removed, it is cut off, and stays out also with another certificate.
    let list = world.bucket.bytes();
    let removed =
        stage.ends(0, &["admission", "remove", &thief.thing, "--yes", "--timeout", "30s", "--publish"]);
    assert!(world.bucket.bytes() != list, "the list was published: {}", removed.said);
    assert!(removed.said.contains("no board of these is connected"), "{}", removed.said);
    assert!(connected.receive().await.is_err(), "AWS IoT has ended the connection");
    assert_eq!(world.status(&thief).await.as_deref(), Some("REVOKED"));
    world.is_turned_away(&thief).await;
    world.tells("LOG_LEVEL", "debug").await;
    let again = thief.again(stage);
    world.is_turned_away(&again).await;
    assert_eq!(world.status(&again).await.as_deref(), Some("PENDING_ACTIVATION"));
    // Nothing but an explicit word brings it back.
    let kept = stage
        .ends(0, &["admission", "add", "--merge", stage.file("admission/admission.der").to_str().unwrap()]);
    assert_eq!(kept.lines[0]["added_keys"], 0, "{}", kept.said);
    assert!(stage.ends(0, &["admission", "check", &thief.thing]).lines[0]["is_admitted"] == false);

    let calls = stage.calls().unwrap().into_iter().filter(|(command, _)| command.starts_with("admission "));
    permissions::are_those_of(&calls.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_published_once_and_stations_take_over_from_each_other() {
    let world = World::new().await;
    let stage = &world.stage;
    let key = |n: u8| hex::encode([n; 20]);
    let publish = ["admission", "publish", "--to", PLACE];
    // A plan makes neither a key nor a list.
    let planned = stage.ends(0, &[&publish[..], &["--dry-run"]].concat());
    assert_eq!(
        (&planned.lines[0]["done"], &planned.lines[0]["admission_key"]),
        (&false.into(), &serde_json::Value::Null)
    );
    assert!(!stage.file("admission.key").exists() && world.bucket.bytes().is_none());
    stage.ends(0, &["admission", "add", &key(1), &key(2)]);
    let first = stage.ends(0, &publish);
    assert_eq!(first.lines[0]["admitted_keys"], 2, "{}", first.said);
    let list = world.bucket.bytes().unwrap();
    assert_eq!(stage.ends(0, &publish).values("action"), ["leave"]);
    assert_eq!(world.bucket.bytes().unwrap(), list, "nothing was published");
    let forced = stage.ends(0, &[&publish[..], &["--force"]].concat());
    let number =
        |run: &crate::account_life::scenario::stage::Run| run.lines[0]["admission_number"].as_u64().unwrap();
    assert!(number(&forced) > number(&first));

    // Another station with the same key has added a key and removed one.
    let testbed = &world.account.testbed;
    let other = Stage::new("the testbed", testbed.access(), &[], Some(testbed.journal())).await;
    other.sets("AWS_ENDPOINT_URL_S3", world.s3.clone());
    std::fs::copy(stage.file("admission.key"), other.file("admission.key")).unwrap();
    other.ends(0, &["admission", "add", "--merge", stage.file("admission/keys.csv").to_str().unwrap()]);
    other.ends(0, &["admission", "add", &key(3)]);
    other.ends(0, &["admission", "remove", &key(1), "--yes"]);
    other.ends(0, &publish);
    let taken = stage.ends(0, &publish);
    assert_eq!(taken.values("action"), ["leave"], "{}", taken.said);
    for (n, is_admitted) in [(1, false), (2, true), (3, true)] {
        let checked = stage.ends(0, &["admission", "check", "--local", &key(n)]);
        assert_eq!(checked.lines[0]["is_admitted"], is_admitted, "{n}: {}", checked.said);
    }

    // An earlier list in the place of a later one is told, and followed by a later one.
    stage.ends(0, &["setup", "--admission-list", PLACE]);
    world.bucket.put_back(list);
    let told = stage.ends(0, &["doctor"]);
    assert!(told.said.contains("an older one took its place"), "{}", told.said);
    assert_eq!(stage.ends(0, &["admission", "publish"]).values("action"), ["publish"]);
    // What another key has signed is no list of ours.
    world.bucket.put_back(b"no list".to_vec());
    stage.ends(1, &["admission", "publish"]);
    let refused = stage.ends(4, &["setup"]);
    assert!(refused.said.contains("is not an admission list"), "{}", refused.said);
    // Turned off by a word alone.
    let off = stage.ends(0, &["setup", "--admission-list", "off"]);
    assert!(off.said.contains("ADMISSION_LIST should be empty"), "{}", off.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_taken_off_the_list_is_not_registered_by_hand_either() {
    let world = World::new().await;
    let stage = &world.stage;
    let (board, other) = (Forged::new(stage), Forged::new(stage));
    let file = |forged: &Forged| {
        let path = stage.file(&format!("{}.crt", forged.thing));
        std::fs::write(&path, &forged.device.chain[0]).unwrap();
        path.display().to_string()
    };
    let files = [file(&board), file(&other)];
    stage.ends(0, &["admission", "add", &board.thing]);
    stage.ends(0, &["admission", "remove", &board.thing, "--yes"]);
    let refused = stage.ends(5, &["register", &files[0]]);
    assert!(refused.said.contains("taken off the admission list"), "{}", refused.said);
    assert!(refused.said.contains("admission add --again"), "{}", refused.said);
    assert_eq!(world.status(&board).await, None);
    stage.ends(0, &["admission", "add", "--again", &board.thing]);
    let registered = stage.ends(0, &["register", &files[0], &files[1]]);
    assert!(registered.said.contains("not on the admission list here: 1 key"), "{}", registered.said);
    assert_eq!(world.status(&board).await.as_deref(), Some("ACTIVE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_to_publish_what_was_removed_is_asked_at_a_terminal() {
    let world = World::with_list().await;
    let key = |n: u8| hex::encode([n; 20]);
    world.stage.ends(0, &["admission", "add", &key(1), &key(2), &key(3)]);
    world.stage.ends(0, &["admission", "publish"]);
    for (removed, answer, is_published) in [(1, "no", true), (2, "yes", false)] {
        let mut command = Command::new(beside::program("provisioner").unwrap());
        command
            .args(["admission", "remove", &key(removed)])
            .env_clear()
            .envs([("MICROCHIP_IOT_HOME", world.stage.file("")), ("HOME", world.stage.file(""))])
            .envs(world.account.testbed.access().environment())
            .envs([("AWS_ENDPOINT_URL_S3", world.s3.as_str()), ("TERM", "dumb")]);
        let (code, screen) =
            tokio::task::block_in_place(|| at_terminal(command, "Publish the list now?", answer));
        assert_eq!(code, Some(0), "{screen}");
        assert_eq!(screen.contains("provisioner admission publish"), is_published, "{screen}");
        let checked = world.stage.ends(0, &["admission", "check", &key(1), &key(2)]);
        let published: Vec<_> = checked.lines.iter().map(|line| &line["is_published"]).collect();
        assert_eq!(published, [is_published, is_published], "{answer}: {}", checked.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_of_a_function_is_fetched_once_for_lists_of_both_kinds() {
    let world = World::new().await;
    let stage = &world.stage;
    let lists = tempfile::tempdir().unwrap();
    stage.ends(0, &["ca", "crl"]);
    stage.ends(0, &["admission", "publish", "--to", lists.path().to_str().unwrap()]);
    let package = lists.path().join("with-lists.zip");
    std::fs::copy(stage.package(), &package).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&package).unwrap();
    let mut zip = zip::ZipWriter::new_append(file).unwrap();
    let crls = std::fs::read_dir(stage.file("crl")).unwrap().map(|entry| ("crl", entry.unwrap().path()));
    for (folder, path) in crls.chain([("admission", lists.path().join("admission.der"))]) {
        let name = format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap());
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, &std::fs::read(path).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    stage.ends(0, &["setup", "--lambda-zip", package.to_str().unwrap(), "--admission-list", "admission"]);
    world.tells("CRL_DIR", "crl").await;
    for command in ["setup", "doctor"] {
        let before = world.account.testbed.journal().calls().len();
        stage.ends(0, &[command]);
        let calls = world.account.testbed.journal().calls().split_off(before);
        assert_eq!(calls.iter().filter(|call| call.operation == "GetFunction").count(), 1, "{command}");
    }
    for link in ["revocation_lists", "admission_list"] {
        assert_eq!(stage.finding(link)["verdict"], "right", "{link}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_elements_of_a_manifest_are_put_on_the_list_and_what_no_signer_has_signed_is_not() {
    let world = World::new().await;
    let stage = &world.stage;
    let vendor = Vendor::new("Example").unwrap();
    let mut forged = vendor.element("0123000000000003ee").unwrap();
    forged["header"]["uniqueId"] = "0123000000000004ee".into();
    let elements = json!([
        vendor.element("0123000000000001ee").unwrap(),
        Vendor::new("Somebody").unwrap().element("0123000000000002ee").unwrap(),
        forged,
        vendor.element("0123000000000005ee").unwrap(),
    ]);
    let [manifest, signer] = ["manifest.json", "signer.crt"].map(|name| stage.file(name));
    std::fs::write(&manifest, elements.to_string()).unwrap();
    std::fs::write(&signer, vendor.signer()).unwrap();
    let [manifest, signer] = [&manifest, &signer].map(|path| path.to_str().unwrap());
    let add = ["admission", "add", "--manifest", manifest];
    // Without the signer none of them counts.
    let unknown = stage.ends(1, &add);
    assert_eq!(unknown.values("action"), ["add", "refuse", "refuse", "refuse", "refuse"], "{}", unknown.said);
    assert!(unknown.said.contains("--manifest-signer"), "{}", unknown.said);
    let added = stage.ends(1, &[&add[..], &["--manifest-signer", signer]].concat());
    assert_eq!(added.lines[0]["added_keys"], 2, "{}", added.said);
    let refused = [1, 2].map(|line: usize| added.lines[line]["source"].as_str().unwrap().to_owned());
    assert_eq!(refused, [2, 3].map(|number| format!("{manifest}:{number}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_board_of_ours_is_not_put_on_a_list() {
    let world = World::new().await;
    let stage = &world.stage;
    let (one, two) = (hex::encode([1; 20]), hex::encode([2; 20]));
    let table = stage.file("boards.csv");
    std::fs::write(&table, format!("name,ski\na,{one}\nb,nonsense\nc,{two}\nd\n")).unwrap();
    let table = table.to_str().unwrap();
    let added = stage.ends(1, &["admission", "add", "--csv", table, "--column", "ski"]);
    assert_eq!(added.lines[0]["added_keys"], 2, "{}", added.said);
    let lines: Vec<_> = added.lines.iter().filter_map(|line| line["line"].as_u64()).collect();
    assert_eq!(lines, [3, 5], "{}", added.said);
    stage.ends(2, &["admission", "add", "--csv", table, "--column", "other"]);
    stage.ends(2, &["admission", "add", "neither"]);
    // The key of a CA signs no list.
    let key = stage.file("signer-ca.key").display().to_string();
    let refused = stage.ends(5, &["admission", "publish", "--to", PLACE, "--admission-key", &key]);
    assert!(refused.said.contains("must be a key of its own"), "{}", refused.said);
    // Nobody has said where.
    stage.ends(2, &["admission", "publish"]);
    assert!(world.bucket.bytes().is_none());
}
