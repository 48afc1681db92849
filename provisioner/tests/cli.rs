//! The command line as a user meets it: messages, exit codes, both forms of the output.

#![expect(clippy::expect_used, reason = "a test that cannot start should say so and stop")]

use assert_cmd::Command;

/// The program in an environment without AWS settings, with a home folder of its own.
fn provisioner(home: &tempfile::TempDir) -> Command {
    let mut command = Command::cargo_bin("provisioner").expect("the binary is built");
    command
        .env_clear()
        .env("HOME", home.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("COLUMNS", "100");
    command
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Exit code, stdout and stderr of one run.
fn outcome(args: &[&str]) -> String {
    let home = home();
    let output = provisioner(&home).args(args).output().expect("it starts");
    format!(
        "exit {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn help_teaches() {
    insta::assert_snapshot!(outcome(&["--help"]));
}

#[test]
fn other_clouds_get_the_reason_why_not() {
    insta::assert_snapshot!("google", outcome(&["-c", "google", "-m", "jitr"]));
    insta::assert_snapshot!("azure", outcome(&["-c", "azure"]));
}

#[test]
fn flags_of_later_work_are_refused_and_not_ignored() {
    for flags in [
        vec!["-m", "mar"],
        vec!["-m", "sandbox"],
        vec!["-m", "jitr", "-p", "fw.hex"],
        vec!["-m", "jitr", "-app", "app.hex"],
        vec!["-ssid", "net", "-psk", "hush", "-auth", "wpa-psk"],
        vec!["-m", "jitr", "-w"],
    ] {
        let outcome = outcome(&flags);
        assert!(outcome.starts_with("exit 2\n"), "{flags:?}: {outcome}");
        assert!(outcome.contains("is not supported yet"), "{flags:?}: {outcome}");
        assert!(!outcome.contains("hush"), "a passphrase is shown: {outcome}");
    }
}

#[test]
fn a_wrong_command_line_is_a_json_object_too_when_asked_for() {
    insta::assert_snapshot!("unknown_flag_json", outcome(&["--output", "json", "--nonsense"]));
    insta::assert_snapshot!("no_method_json", outcome(&["--output=json", "-c", "aws"]));
}

#[test]
fn flags_of_both_forms_do_not_mix() {
    insta::assert_snapshot!("both_forms", outcome(&["-m", "jitr", "completions", "bash"]));
}
