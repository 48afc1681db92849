//! Microchip's own tool for secure-element manifests, pytrustplatform: ours registers what it makes, it reads what the tests'
//! vendor makes, and the pinned signers are those whose certificates come with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use device_pki::Certificate;
use device_pki::manifest::{ManifestSigner, Signers};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _,
};
use tempfile::TempDir;
use testbed::manifest::Vendor;
use testbed::{Options, Testbed};

use crate::scenario::account_life::Stage;
use crate::server::program;

const ID: &str = "01230390b3d1450c01";
/// Prints the folder of the certificates that manifests are verified with.
const SIGNERS: &str =
    "from pytrustplatform.manifest import manifest; print(manifest.VERIFICATION_CERTIFICATES_FOLDER)";

/// Runs the tool in `folder`; it has to end well.
fn pytrust(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program("pytrust")?);
    command.current_dir(folder).env("HOME", folder).arg("manifest").args(arguments);
    // The account runs on the same runtime.
    let output = tokio::task::block_in_place(|| command.output()).unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pytrust manifest {arguments:?}: {said}{error}");
    Some(said)
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_the_vendors_tool_makes_is_registered() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    let (signer, ca, key) =
        (authority("Manifest Signer"), authority("Device CA"), KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("sn{}", ID.to_uppercase()));
    let device = params.signed_by(&key, &ca).unwrap();
    file("man.crt", &signer.as_ref().pem());
    file("man.key", &signer.key().serialize_pem());
    file("signer.crt", &ca.as_ref().pem());
    file("device.crt", &device.pem());
    for kind in ["TNGOTLS", "TFLXTLS", "TCSM"] {
        let made = pytrust(
            folder.path(),
            &[
                "create-from-certificates",
                "out.json",
                "--manifest-signer-cert",
                "man.crt",
                "--manifest-signer-key",
                "man.key",
                "--device-cert",
                "device.crt",
                "--signer-cert",
                "signer.crt",
                "--type",
                kind,
            ],
        );
        if made.is_none() {
            return;
        }
        let testbed = Testbed::start(Options::default()).await.unwrap();
        let user = Stage::new("testbed", testbed.access(), &[], None).await;
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (manifest, signer) = (path("out.json"), path("man.crt"));
        let arguments = ["register", "--manifest", &manifest, "--manifest-signer", &signer];
        let run = user.run_at(&folder.path().join(kind), &arguments);
        assert_eq!(run.code, 0, "{}", run.said);
        assert_eq!(run.values("unique_id"), [ID], "{}", run.said);
        let thing = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()));
        assert_eq!(run.values("thing_name"), [thing], "{}", run.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vendors_tool_reads_the_manifests_that_tests_are_made_with() {
    let (folder, vendor) = (TempDir::new().unwrap(), Vendor::new("Example").unwrap());
    let key = KeyPair::generate().unwrap();
    let device = vendor.certificate(ID, &key).unwrap();
    let entry = vendor.entry(&vendor.payload(ID, &key, &device)).unwrap();
    std::fs::write(folder.path().join("ours.json"), format!("[{entry}]")).unwrap();
    let Some(listed) = pytrust(folder.path(), &["list-secure-element-ids", "ours.json"]) else { return };
    assert!(listed.lines().any(|line| line == ID), "{listed}");
    pytrust(folder.path(), &["get-certificates", "ours.json", "--outdir", "."]);
    let taken = std::fs::read(folder.path().join(format!("sn{}.cer", ID.to_uppercase()))).unwrap();
    assert_eq!(Certificate::read(&taken).unwrap().der(), device.der().as_ref());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pinned_signers_are_those_whose_certificates_the_vendors_tool_has() {
    let Some(python) = program("python") else { return };
    let output = Command::new(python).args(["-c", SIGNERS]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let pinned = Signers::default();
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "crt") {
            continue;
        }
        let certificate = Certificate::read(&std::fs::read(&path).unwrap()).unwrap();
        let mut signer = ManifestSigner::of(&certificate).unwrap();
        let found = pinned.iter().find(|pinned| pinned.fingerprint == signer.fingerprint);
        let found = found.unwrap_or_else(|| panic!("{} is not pinned", path.display()));
        // The name is the common name alone.
        assert!(signer.name.contains(&*found.name), "{} and {}", signer.name, found.name);
        signer.name = found.name.clone();
        assert_eq!(signer, *found);
        compared += 1;
    }
    assert!(compared >= 3, "only {compared} certificates");
}
