//! Secure-element manifests: what is registered of one, and what is refused, element by element.

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{KeyPair, PublicKeyData as _};
use schemas::checked;
use serde_json::{Value, json};
use tempfile::TempDir;
use testbed::manifest::Vendor;

use crate::account::Account;
use crate::laptop::{Laptop, Outcome};
use crate::serve::Served;

/// A user with an account and a vendor's delivery.
struct Desk {
    account: Account,
    laptop: Laptop,
    vendor: Vendor,
    folder: TempDir,
}

/// An element: its unique id, its key and its thing.
struct Element {
    id: String,
    key: KeyPair,
    thing: String,
}

fn element(number: u64) -> Element {
    let key = KeyPair::generate().unwrap();
    let thing = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()));
    Element { id: format!("0123{number:012x}01"), key, thing }
}

fn entry(vendor: &Vendor, element: &Element) -> Value {
    vendor.entry(&payload(vendor, element)).unwrap()
}

fn payload(vendor: &Vendor, Element { id, key, .. }: &Element) -> Value {
    vendor.payload(id, key, &vendor.certificate(id, key).unwrap())
}

impl Desk {
    async fn new() -> Self {
        let (account, vendor) = (Account::empty().await, Vendor::new("Example").unwrap());
        let desk = Self { account, laptop: Laptop::new(), vendor, folder: TempDir::new().unwrap() };
        desk.file("signer.crt", &desk.vendor.signer());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Registers a manifest, with the vendor's signer as one that is trusted.
    fn register(&self, manifest: &Path, arguments: &[&str]) -> Outcome {
        let (manifest, signer) = (manifest.to_str().unwrap(), self.path("signer.crt"));
        let named = ["register", "--manifest", manifest, "--manifest-signer", signer.to_str().unwrap()];
        self.run(&[&named, arguments].concat())
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let environment = self.account.testbed.access().environment();
        // The account runs on the same runtime.
        tokio::task::block_in_place(|| self.laptop.run(arguments, &environment))
    }

    /// How many calls of this operation have succeeded.
    fn calls(&self, operation: &str) -> usize {
        let calls = self.account.testbed.journal().calls();
        calls.iter().filter(|call| call.operation == operation && call.outcome.is_ok()).count()
    }
}

/// The lines about elements, by their number in the manifest.
fn lines(outcome: &Outcome) -> Vec<Value> {
    let lines = checked(&["register", "--output=json"], &outcome.stdout);
    let mut lines: Vec<_> = lines.into_iter().filter(|line| line.get("source").is_some()).collect();
    lines.sort_by_key(|line| line["source"].as_str().unwrap().to_owned());
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn each_element_of_a_manifest_is_registered_once_under_the_name_of_its_key() {
    let desk = Desk::new().await;
    let elements: Vec<_> = (1..=3).map(element).collect();
    let entries: Vec<_> = elements.iter().map(|element| entry(&desk.vendor, element)).collect();
    let manifest = desk.file("delivery.json", &json!(entries).to_string());

    let planned = desk.register(&manifest, &["--dry-run", "--output=json"]);
    assert_eq!(planned.code, 0, "{planned}");
    assert_eq!(desk.calls("RegisterCertificateWithoutCA"), 0);
    let result = desk.path("result.csv");
    let registered = desk.register(&manifest, &["--output=json", "--result", result.to_str().unwrap()]);
    assert_eq!(registered.code, 0, "{registered}");
    for (outcome, done) in [(&planned, false), (&registered, true)] {
        for (number, (line, element)) in (1..).zip(lines(outcome).iter().zip(&elements)) {
            assert_eq!(line["source"], format!("{}:{number}", manifest.display()));
            assert_eq!(
                (&line["unique_id"], &line["thing_name"]),
                (&json!(element.id), &json!(element.thing))
            );
            assert_eq!((&line["action"], &line["done"]), (&json!("register"), &json!(done)));
        }
    }
    assert!(registered.stderr.contains("registered: 3 of 3 certificates"), "{registered}");
    let result = std::fs::read_to_string(result).unwrap();
    assert!(
        result.lines().nth(1).unwrap().ends_with(&format!(",registered,,{}", elements[0].id)),
        "{result}"
    );

    let again = desk.register(&manifest, &["--output=json"]);
    assert_eq!(again.code, 0, "{again}");
    assert!(lines(&again).iter().all(|line| line["outcome"] == "done_before"), "{again}");
    assert_eq!((desk.calls("RegisterCertificateWithoutCA"), desk.calls("CreateThing")), (3, 3));

    // A certificate counts where it is first: in a file, or in the first manifest.
    let new = element(9);
    let certificate = desk.vendor.certificate(&new.id, &new.key).unwrap();
    let file = desk.file("device.crt", &certificate.pem());
    let new = desk.vendor.entry(&desk.vendor.payload(&new.id, &new.key, &certificate)).unwrap();
    let other = desk.file("other.json", &json!([new, entries[1]]).to_string());
    let (file, other) = (file.to_str().unwrap(), other.to_str().unwrap());
    let both = desk.register(&manifest, &["--manifest", other, file, "--dry-run", "--output=json"]);
    assert_eq!(both.code, 0, "{both}");
    let both = lines(&both);
    let same_as =
        |source: &str| both.iter().find(|line| line["source"] == *source).unwrap()["same_as"].clone();
    assert_eq!(same_as(&format!("{other}:1")), *file);
    assert_eq!(same_as(&format!("{other}:2")), format!("{}:2", manifest.display()));

    // One that was revoked stays outside.
    let revoked = desk.run(&["revoke", "--yes", &elements[2].thing]);
    assert_eq!(revoked.code, 0, "{revoked}");
    let refused = desk.register(&manifest, &["--output=json"]);
    assert_eq!(refused.code, 5, "{refused}");
    let line = lines(&refused).pop().unwrap();
    assert!(line["error"].as_str().unwrap().contains("was revoked on"), "{refused}");
    assert_eq!(line["unique_id"], json!(elements[2].id));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tampered_with_or_of_an_unknown_signer_is_refused_by_element_and_the_others_go_on() {
    let desk = Desk::new().await;
    let (vendor, stranger) = (&desk.vendor, Vendor::new("Stranger").unwrap());
    let good: Vec<_> = (1..=2).map(element).collect();
    let mut tampered = entry(vendor, &element(3));
    tampered["payload"] = entry(vendor, &element(4))["payload"].clone();
    let mut renamed = entry(vendor, &element(5));
    renamed["header"]["uniqueId"] = json!("0123\u{1b}[2Jffff01");
    let mut without_keys = payload(vendor, &element(6));
    without_keys["version"] = json!(2);
    without_keys.as_object_mut().unwrap().remove("publicKeySet");
    let mut swapped = payload(vendor, &element(7));
    let mut chain = swapped["publicKeySet"]["keys"][0]["x5c"].as_array().unwrap().clone();
    chain.swap(0, 1);
    swapped["publicKeySet"]["keys"][0]["x5c"] = json!(chain);
    let manifest = json!([
        entry(vendor, &good[0]),
        tampered,
        renamed,
        entry(&stranger, &element(8)),
        vendor.entry(&without_keys).unwrap(),
        vendor.entry(&swapped).unwrap(),
        entry(vendor, &good[0]),
        entry(vendor, &good[1]),
    ]);
    let manifest = desk.file("delivery.json", &manifest.to_string());
    let reasons = [
        (2, "the signature is not that of CN=Example Manifest Signer"),
        (3, "header.uniqueId is not the signed unique id"),
        (4, "is not known"),
        (5, "no public key of this element"),
        (6, "has another key than the entry"),
        (7, "element 1 has the same unique id"),
    ];
    for dry in [&["--dry-run"][..], &[]] {
        let outcome = desk.register(&manifest, &[dry, &["--output=json"]].concat());
        assert_eq!(outcome.code, 1, "{outcome}");
        let lines = lines(&outcome);
        assert_eq!(lines.len(), 8, "{outcome}");
        for (number, reason) in reasons {
            let line = &lines[number - 1];
            assert_eq!(line["action"], "refuse", "{outcome}");
            assert!(line["error"].as_str().unwrap().contains(reason), "{number}: {outcome}");
        }
        for (number, element) in [(1, &good[0]), (8, &good[1])] {
            assert_eq!(lines[number - 1]["thing_name"], json!(element.thing), "{outcome}");
        }
    }
    assert_eq!(desk.calls("RegisterCertificateWithoutCA"), 2);

    let shown = desk.register(&manifest, &["--again"]);
    let line = shown.stdout.lines().find(|line| line.contains("delivery.json:3")).unwrap();
    assert!(line.contains(r"(0123\u{1b}[2Jffff01): header.uniqueId"), "{shown}");
    assert!(shown.stderr.contains("help for 1 element: Microchip's manifest signers are known"), "{shown}");
    assert!(shown.stderr.contains("registered: 2 of 8 certificates"), "{shown}");

    // Without the signer's certificate nobody knows it.
    let unknown = desk.run(&["register", "--manifest", manifest.to_str().unwrap()]);
    assert!(unknown.code == 1 && unknown.stderr.contains("registered: 0 of 8"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_manifest_or_is_cut_off_is_told() {
    let desk = Desk::new().await;
    let whole = json!([entry(&desk.vendor, &element(1)), entry(&desk.vendor, &element(2))]).to_string();
    for (name, content, registered, reason) in [
        ("cut.json", &whole[..whole.len() - 9], 1, "it is cut off after 2 elements"),
        ("object.json", "{}", 0, "it is no manifest"),
        ("empty.json", "[]", 0, "the manifest has no element"),
        ("signer.crt", &desk.vendor.signer(), 0, "it is no manifest"),
    ] {
        let outcome = desk.register(&desk.file(name, content), &[]);
        assert_eq!(outcome.code, 1, "{outcome}");
        assert!(outcome.stdout.contains(reason), "{outcome}");
        assert_eq!(outcome.stdout.lines().filter(|line| line.starts_with("registered")).count(), registered);
    }
    let missing = desk.register(&desk.path("missing.json"), &[]);
    assert!(missing.code != 0 && missing.stderr.contains("missing.json"), "{missing}");
    let folder = desk.register(desk.folder.path(), &[]);
    assert!(folder.code != 0 && folder.stderr.contains("is a folder and not a regular file"), "{folder}");
    let rsa = desk.file("device.crt", &crate::account::Ca::new("x").issue("y"));
    let manifest = desk.file("whole.json", &whole);
    let (manifest, signer) = (manifest.to_str().unwrap(), rsa.to_str().unwrap());
    let no_signer = desk.run(&["register", "--manifest", manifest, "--manifest-signer", signer]);
    assert!(no_signer.stderr.contains("it has no subject key identifier"), "{no_signer}");
    let alone = desk.run(&["register", "--manifest-signer", signer]);
    assert!(alone.code == 2 && alone.stderr.contains("--manifest"), "{alone}");
}

#[test]
fn a_device_of_a_manifest_connects_with_its_key_at_once() {
    let served = Served::logging(&["--ready", "--boards", "0"]);
    let (laptop, vendor, folder) = (Laptop::new(), Vendor::new("Example").unwrap(), TempDir::new().unwrap());
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let Element { id, key, thing } = element(1);
    let device = vendor.certificate(&id, &key).unwrap();
    let entry = vendor.entry(&vendor.payload(&id, &key, &device)).unwrap();
    let (manifest, signer) =
        (file("delivery.json", &json!([entry]).to_string()), file("signer.crt", &vendor.signer()));
    let arguments = ["register", "--manifest", &manifest, "--manifest-signer", &signer];
    let registered = laptop.run(&arguments, &served.access().environment());
    assert_eq!(registered.code, 0, "{registered}");

    let (certificate, key) = (file("device.crt", &device.pem()), file("device.key", &key.serialize_pem()));
    let topic = format!("{thing}/sensors");
    let connected = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .args(["connect", "--cert", &certificate, "--key", &key, "--for", "1s", "--publish", &topic, "x"])
        .env("TESTBED_MQTT_HOST", served.text("mqtt_host"))
        .env("TESTBED_MQTT_PORT", served.line["mqtt_port"].to_string())
        .env("TESTBED_SERVER_CA", served.text("server_ca"))
        .env("TESTBED_LOG", served.log())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&connected.stdout).into_owned();
    assert!(connected.status.success(), "{said}{}", String::from_utf8_lossy(&connected.stderr));
    assert!(said.contains(&thing) && said.contains("published") && !said.contains("turned away"), "{said}");
}
