//! The demo, run as a user runs it.

use std::process::{Command, Output};

use serde_json::Value;

/// Every step of the story, in its order.
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

#[test]
fn without_the_programs_beside_it_the_demo_says_how_to_build_them() {
    let alone = tempfile::tempdir().unwrap();
    let copy = alone.path().join("testbed");
    std::fs::copy(env!("CARGO_BIN_EXE_testbed"), &copy).unwrap();
    let output = Command::new(&copy).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("there is no provisioner beside the testbed"), "{complaint}");
    assert!(complaint.contains("cargo build --bins"), "{complaint}");
}
