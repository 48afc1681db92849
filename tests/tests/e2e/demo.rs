//! The demo, run as a user runs it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Every step of the demo, in its order.
const STEPS: [&str; 13] = [
    "ca",
    "setup",
    "provision",
    "first_connect",
    "registration",
    "let_in",
    "publish",
    "message",
    "second_provision",
    "second_registration",
    "wrong_client_id",
    "foreign_topic",
    "stranger",
];

fn testbed(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_testbed")).args(arguments).output().unwrap()
}

#[test]
fn every_step_of_the_demo_happens() {
    let home = tempfile::tempdir().unwrap();
    let kept = home.path().join("kept");
    let output = testbed(&["--baud", "fast", "--output", "json", "--keep", &kept.to_string_lossy()]);
    let shown = || format!("{output:#?}");
    let stdout = std::str::from_utf8(&output.stdout).unwrap();
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, steps) = lines.split_last().unwrap_or_else(|| panic!("{}", shown()));

    assert_eq!(end["demo"], "done", "{}", shown());
    assert!(output.status.success(), "{}", shown());
    assert!(steps.iter().map(|step| step["step"].as_str().unwrap()).eq(STEPS), "{}", shown());
    assert!(steps.iter().all(|step| step["status"] == "done"), "{}", shown());
    assert!(kept.join(".microchip-iot/signer-ca.crt").is_file(), "the home folder is kept");

    let again = testbed(&["--keep", &kept.to_string_lossy()]);
    assert_eq!(again.status.code(), Some(1));
    let complaint = String::from_utf8(again.stderr).unwrap();
    assert!(complaint.contains("is not empty"), "{complaint}");
}

/// Runs the demo with the certificate authority's keys in `backend`, and returns what was seen of them.
fn played_with(backend: &str) -> String {
    let output = testbed(&["--baud", "fast", "--output", "json", "--signer", backend]);
    let stdout = std::str::from_utf8(&output.stdout).unwrap();
    assert!(output.status.success(), "{output:#?}");
    let steps: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(steps.iter().filter_map(|step| step["step"].as_str()).eq(STEPS), "{stdout}");
    steps[0]["seen"].as_str().unwrap().to_owned()
}

#[test]
fn the_demo_happens_with_encrypted_keys() {
    assert_eq!(played_with("encrypted"), "root CA → signer CA, keys encrypted");
}

#[test]
fn the_demo_happens_with_keys_in_kms() {
    assert_eq!(played_with("kms"), "root CA → signer CA, keys in KMS");
}

#[test]
fn the_demo_happens_with_keys_in_a_token() {
    let folder = tempfile::tempdir().unwrap();
    if let Err(error @ testbed::softhsm::Error::Missing) = testbed::softhsm::SoftHsm::start(folder.path()) {
        assert!(std::env::var("REFEREES").as_deref() != Ok("required"), "{error}");
        // Past the harness, which keeps what a passing test prints to itself.
        std::io::stderr().write_all(format!("skipped, token: {error}\n").as_bytes()).unwrap();
        return;
    }
    assert_eq!(played_with("pkcs11"), "root CA → signer CA, keys in a token");
}

#[test]
fn without_the_programs_beside_it_the_demo_says_how_to_build_them() {
    let (_folder, alone) = testbed_alone();
    let output = Command::new(alone).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("there is no provisioner beside the testbed"), "{complaint}");
    assert!(complaint.contains("cargo build --bins"), "{complaint}");
}

/// The program in a folder without the others. It is a link: a file that was just written cannot be executed while another
/// test starts a program (`ETXTBSY`).
pub(crate) fn testbed_alone() -> (TempDir, PathBuf) {
    let program = Path::new(env!("CARGO_BIN_EXE_testbed"));
    let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let alone = folder.path().join("testbed");
    std::fs::hard_link(program, &alone).unwrap();
    (folder, alone)
}
