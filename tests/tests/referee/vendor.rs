//! Microchip's own tool, iotprovision, on the same boards and the same account: what it writes is what ours writes, and a
//! home folder that one of them made serves the other.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testbed::board::{Options, SimulatedBoard};
use testbed::certificate_store::CertificateStore;
use testbed::device::{Credentials, Device, Endpoint};
use testbed::{HOST, Testbed};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::scenario::account_life::Stage;
use crate::scenario::account_life::stage::Run;
use crate::server::program;

/// How long the board may try to get in.
const PATIENCE: Duration = Duration::from_secs(60);

/// The vendor's tool, and the account of the user who runs it.
struct Vendor {
    python: PathBuf,
    folder: TempDir,
    testbed: Testbed,
}

impl Vendor {
    async fn new() -> Option<Self> {
        program("iotprovision")?;
        let (python, folder) = (program("python")?, TempDir::new().unwrap());
        let testbed = Testbed::start(testbed::Options::default()).await.unwrap();
        let access = testbed.access();
        // It names the profile, so it takes no keys from the environment.
        let profile = format!(
            "[default]\nregion = us-east-1\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            access.access_key_id, access.secret_access_key
        );
        std::fs::write(folder.path().join("credentials"), profile).unwrap();
        Some(Self { python, folder, testbed })
    }

    /// The home folder, where it expects it.
    fn home(&self) -> PathBuf {
        self.folder.path().join(".microchip-iot")
    }

    /// A file of the board's folder.
    fn file(&self, board: &SimulatedBoard, name: &str) -> Vec<u8> {
        std::fs::read(self.home().join(board.ecc_serial()).join(name)).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/referee/vendor.py");
        let mut command = Command::new(&self.python);
        command
            .arg(script)
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("AWS_SHARED_CREDENTIALS_FILE", self.folder.path().join("credentials"))
            .env("AWS_ENDPOINT_URL", self.testbed.endpoint_url());
        // The account runs on the same runtime.
        let output = tokio::task::block_in_place(|| command.output()).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "iotprovision {arguments:?}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    /// Runs iotprovision for `board`, whose debugger has the serial number that our folder of the board is named by.
    fn provision(&self, board: &SimulatedBoard, arguments: &[&str]) {
        let said = self
            .run(&[&[board.path().to_str().unwrap(), &board.ecc_serial(), "-c", "aws"], arguments].concat());
        assert!(said.contains("Done provisioning thing"), "{said}");
    }

    /// Runs ours with the same home; it has to end well.
    fn ours(&self, user: &Stage, arguments: &[&str]) -> Run {
        let run = user.run_at(&self.home(), arguments);
        assert_eq!(run.code, 0, "{}", run.said);
        run
    }

    /// Names and contents of the files that its reader finds in the certificate store, and where they end.
    fn read(&self, board: &SimulatedBoard) -> (Vec<(String, Vec<u8>)>, u64) {
        let image = self.folder.path().join("image");
        std::fs::write(&image, board.flash()).unwrap();
        let store: Value = serde_json::from_str(&self.run(&["--read", image.to_str().unwrap()])).unwrap();
        let files = store["files"].as_array().unwrap().iter();
        let file = |file: &Value| {
            (file[0].as_str().unwrap().to_owned(), hex::decode(file[1].as_str().unwrap()).unwrap())
        };
        (files.map(file).collect(), store["end"].as_u64().unwrap())
    }
}

fn board(seed: u64) -> SimulatedBoard {
    SimulatedBoard::start(Options::instant(seed)).unwrap()
}

/// The one block of a PEM file.
fn der(pem: &[u8]) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem).unwrap().1.contents
}

/// The one common name, as it is encoded.
fn common_name(name: &X509Name<'_>) -> String {
    let names: Vec<_> = name.iter_common_name().collect();
    assert_eq!(names.len(), 1);
    format!("{:?}", names[0].attr_value())
}

/// What two certificates of one key and one signer have in common: all but serial number and signature. The organisation in the
/// subject is left out: iotprovision names Microchip, and ours the CA's.
fn profile(der: &[u8]) -> Vec<(&'static str, String)> {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let extensions = certificate.extensions().iter().map(|extension| {
        format!("{} {} {}", extension.oid, extension.critical, hex::encode(extension.value))
    });
    let extensions: BTreeSet<_> = extensions.collect();
    let validity = certificate.validity();
    vec![
        ("version", certificate.version.to_string()),
        ("algorithm", format!("{:?}", certificate.signature_algorithm)),
        ("issuer", hex::encode(certificate.issuer().as_raw())),
        ("common name", common_name(certificate.subject())),
        ("not before, minute and second", validity.not_before.to_datetime().minute().to_string()),
        ("not after", validity.not_after.to_string()),
        ("serial number", certificate.raw_serial().len().to_string()),
        ("public key", hex::encode(certificate.public_key().raw)),
        ("extensions", format!("{extensions:?}")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_iotprovision_made_serves_ours_and_both_write_the_same_bytes() {
    let Some(vendor) = Vendor::new().await else { return };
    let user = Stage::new("testbed", vendor.testbed.access(), &[], None).await;
    let ours = |arguments: &[&str]| vendor.ours(&user, arguments);
    let (first, twin, third) = (board(1), board(1), board(1));
    vendor.provision(&first, &["-m", "jitr", "certs", "provision"]);
    let image = first.flash();

    // It leaves keys that others can read.
    for key in ["root-ca.key", "signer-ca.key"] {
        let path = vendor.home().join(key);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let provision = |board: &SimulatedBoard, options: &[&str]| {
        ours(
            &[&["provision", "--method", "jitr", "--port", board.path().to_str().unwrap()], options].concat(),
        )
    };
    assert_eq!(provision(&first, &[]).values("outcome"), ["unchanged"]);
    assert_eq!(first.flash(), image);
    provision(&twin, &[]);
    assert!(twin.flash() == image, "the flash that ours writes differs");

    // A certificate of ours differs in what is random alone.
    let theirs = der(&vendor.file(&first, "device.crt"));
    let request = der(&vendor.file(&first, "device.csr"));
    provision(&third, &["--force"]);
    let issued = der(&vendor.file(&first, "device.crt"));
    assert_ne!(issued, theirs);
    assert_eq!(profile(&issued), profile(&theirs));
    let subject = |request: &[u8]| {
        let (_, request) =
            x509_parser::certification_request::X509CertificationRequest::from_der(request).unwrap();
        request.verify_signature().unwrap();
        let info = &request.certification_request_info;
        (common_name(&info.subject), hex::encode(info.subject_pki.raw))
    };
    assert_eq!(subject(&der(&vendor.file(&first, "device.csr"))), subject(&request));

    // Its reader finds what ours wrote.
    let (files, end) = vendor.read(&third);
    let store = CertificateStore::read(&third.flash()).unwrap();
    let signer = der(&std::fs::read(vendor.home().join("signer-ca.crt")).unwrap());
    assert_eq!(files.iter().map(|(_, content)| content).take(2).collect::<Vec<_>>(), [&issued, &signer]);
    assert_eq!((files.len(), files[2].0.as_str()), (3, "ECDSA.lst"));
    assert!(end < 0x6E00, "{end:#x}");

    // The signer that it registered lets the board in.
    ours(&["setup", "--lambda-zip", user.package().to_str().unwrap()]);
    let gateway = vendor.testbed.gateway();
    third.trust(gateway.server_ca_pem());
    let (device, _) = Credentials::of(&third).unwrap();
    let endpoint = Endpoint::new(HOST, gateway.port(), gateway.server_ca_pem());
    let connected = Device::connect_until_let_in(&endpoint, &device, &store.thing_name, PATIENCE).await;
    connected.unwrap().0.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn iotprovision_goes_on_with_a_home_of_ours_and_ours_with_its_registration() {
    let Some(vendor) = Vendor::new().await else { return };
    let user = Stage::new("testbed", vendor.testbed.access(), &[], None).await;
    let ours = |arguments: &[&str]| vendor.ours(&user, arguments);
    let (first, twin) = (board(2), board(2));
    ours(&["ca", "create"]);
    ours(&["provision", "--endpoint", HOST, "--port", first.path().to_str().unwrap()]);
    let issued = vendor.file(&first, "device.crt");

    vendor.provision(&twin, &["-m", "mar", "account", "certs", "provision"]);
    assert_eq!(vendor.file(&twin, "device.crt"), issued);
    assert!(twin.flash() == first.flash(), "the flash that iotprovision writes differs");

    let thing = CertificateStore::read(&twin.flash()).unwrap().thing_name;
    let certificates = ours(&["certificates"]);
    let row = certificates.lines.iter().find(|line| line["thing_name"] == *thing).unwrap();
    assert_eq!(row["status"], "ACTIVE", "{}", certificates.said);
    let again = ours(&["provision", "--method", "mar", "--port", twin.path().to_str().unwrap()]);
    // It makes things without a type; ours keeps them so.
    assert_eq!(again.values("outcome"), ["unchanged", "repaired"], "{}", again.said);
}

/// Its own code for the root store, run on files.
const ROOT_STORE: &str = "
import sys
from iotprovision.winc.winc_certs import RootCertStorage
storage = RootCertStorage()
for file in sys.argv[1:]:
    storage.add_certificate(file)
sys.stdout.write(bytes(storage.build()).hex())
";

#[tokio::test(flavor = "multi_thread")]
async fn the_root_store_that_ours_writes_is_the_one_that_its_code_builds() {
    let Some(vendor) = Vendor::new().await else { return };
    let user = Stage::new("testbed", vendor.testbed.access(), &[], None).await;
    let board = board(3);
    let port = board.path().to_str().unwrap().to_owned();
    // The roots that ours installs: of all in its file, those that are in use.
    let pem = include_str!("../../../provisioner/pki/src/amazon.pem");
    let all = pem.split_inclusive("-----END CERTIFICATE-----\n");
    let mut files = Vec::new();
    for (number, root) in all.enumerate().filter(|(number, _)| [0, 2, 4].contains(number)) {
        let path = vendor.folder.path().join(format!("root-{number}.pem"));
        std::fs::write(&path, &root[root.find("-----BEGIN").unwrap()..]).unwrap();
        files.push(path);
    }
    let output = Command::new(&vendor.python).args(["-c", ROOT_STORE]).args(&files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = hex::decode(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    vendor.ours(&user, &["roots", "install", "--port", &port]);
    assert_eq!(theirs.len(), 736);
    assert_eq!(board.flash()[0x4000..0x4000 + theirs.len()], theirs);

    // The store that it takes for the factory's is one that ours reads, whole.
    let package = Command::new(&vendor.python)
        .args(["-c", "import iotprovision; print(iotprovision.__path__[0])"])
        .output()
        .unwrap();
    let package = PathBuf::from(String::from_utf8(package.stdout).unwrap().trim());
    let factory = package.join("fw/winc/tls_root_cert.bin");
    let restored =
        vendor.ours(&user, &["roots", "restore", "--file", factory.to_str().unwrap(), "--port", &port]);
    assert_eq!(restored.lines[0]["bytes"], 2984, "{}", restored.said);
    let roots = restored.lines[0]["roots"].as_array().unwrap();
    assert_eq!(roots.len(), 10, "{}", restored.said);
    assert!(roots.iter().all(|root| root["subject"].is_string()), "{}", restored.said);
    let factory = std::fs::read(factory).unwrap();
    assert_eq!(board.flash()[0x4000..0x4000 + factory.len()], factory);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_of_its_help_is_known() {
    let Some(vendor) = Vendor::new().await else { return };
    let user = Stage::new("testbed", vendor.testbed.access(), &[], None).await;
    let help = Command::new(program("iotprovision").unwrap()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut tried = 0;
    for line in help.lines().filter(|line| line.trim_start().starts_with('-')) {
        // What follows two spaces is what the option means.
        for option in line.trim().split("  ").next().unwrap().split(", ") {
            let mut words = option.split_whitespace();
            let flag = words.next().unwrap();
            let value = words.next();
            let value = value.map(|value| match value.strip_prefix('{') {
                Some(choices) => choices.split([',', '}']).next().unwrap().to_owned(),
                None => "x".to_owned(),
            });
            // What these print is no line for programs.
            if ["-h", "--help", "-V", "--version", "-R", "--release-info"].contains(&flag) {
                continue;
            }
            let mut arguments: Vec<&str> = [flag].into_iter().chain(value.as_deref()).collect();
            arguments.extend(["--dry-run", "none"]);
            let run = user.run_at(&vendor.home(), &arguments);
            for unknown in ["unexpected argument", "invalid value", "a value is required"] {
                assert!(!run.said.contains(unknown), "{flag}: {}", run.said);
            }
            tried += 1;
        }
    }
    assert!(tried > 28, "{tried} options in\n{help}");
}
