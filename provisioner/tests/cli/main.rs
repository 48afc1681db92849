//! The command line as a user meets it: messages, exit codes, both forms of the output.

#![expect(clippy::expect_used, reason = "a test that cannot start should say so and stop")]

mod refusing_aws;

use assert_cmd::Command;
use refusing_aws::refusing;

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
fn flags_that_would_update_firmware_are_refused_with_the_reason() {
    for flags in [
        vec!["-m", "jitr", "-A", "debugger.zip"],
        vec!["-m", "jitr", "-w", "-ssid", "net", "-psk", "hush", "-auth", "wpa-psk"],
    ] {
        let outcome = outcome(&flags);
        assert!(outcome.starts_with("exit 2\n"), "{flags:?}: {outcome}");
        assert!(outcome.contains("which this tool does not change"), "{flags:?}: {outcome}");
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

/// One run with AWS settings that lead nowhere; what differs from run to run is taken out.
fn with_settings(args: &[&str], settings: &[(&str, &str)]) -> String {
    let home = home();
    let mut command = provisioner(&home);
    let output = command.args(args).envs(settings.iter().copied()).output().expect("it starts");
    let shown = format!(
        "exit {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        std::fs::read_dir(home.path()).expect("the home is there").next().is_none(),
        "a failed run left files behind: {shown}"
    );
    shown.replace(&home.path().display().to_string(), "HOME")
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hush")];

#[test]
fn settings_that_are_missing_or_wrong_show_before_any_call_and_leave_no_file() {
    let jitr = ["-c", "aws", "-m", "jitr"];
    insta::assert_snapshot!("no_region", with_settings(&jitr, &KEYS));
    insta::assert_snapshot!(
        "malformed_region",
        with_settings(&[&jitr[..], &["--region", "Ohio"]].concat(), &KEYS)
    );
    insta::assert_snapshot!("no_profile", with_settings(&[&jitr[..], &["-a", "factory"]].concat(), &KEYS));
    insta::assert_snapshot!(
        "no_package",
        with_settings(
            &[&jitr[..], &["--region", "us-east-2", "--lambda-zip", "/nowhere.zip"]].concat(),
            &KEYS
        )
    );
    insta::assert_snapshot!(
        "malformed_names",
        with_settings(&["setup", "--rule-name", "with-dash", "--region", "us-east-2"], &KEYS)
    );
}

#[test]
fn a_profile_that_does_not_exist_is_answered_with_those_that_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("config");
    std::fs::write(&file, "[default]\nregion = us-east-2\n[profile line]\nregion = eu-central-1\n")
        .expect("written");
    let file = file.display().to_string();
    let settings = [("AWS_CONFIG_FILE", file.as_str()), KEYS[0], KEYS[1]];
    let told = with_settings(&["setup", "--profile", "factory"], &settings).replace(&file, "FILE");
    insta::assert_snapshot!("other_profiles", told);
}

/// A dry run gets as far as the account without having made anything.
const DRY: [&str; 9] =
    ["-c", "aws", "-m", "jitr", "--dry-run", "--region", "us-east-2", "-P", "/dev/nowhere"];

#[test]
fn without_credentials_the_ways_to_get_some_are_told() {
    let settings = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9")];
    insta::assert_snapshot!("no_credentials", with_settings(&DRY, &settings));
}

#[test]
fn an_endpoint_that_does_not_answer_is_named() {
    // Port 9 (discard) of this computer: nothing listens there.
    let settings = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), KEYS[0], KEYS[1]];
    let shown = with_settings(&DRY, &settings);
    assert!(shown.starts_with("exit 4\n"), "{shown}");
    assert!(shown.contains("error: http://127.0.0.1:9 cannot be reached"), "{shown}");
    assert!(!shown.contains("hush"), "a secret is shown: {shown}");
}

#[test]
fn setup_without_a_certificate_authority_says_how_to_make_one() {
    insta::assert_snapshot!("no_ca", with_settings(&["setup", "--region", "us-east-2"], &KEYS));
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let shown = with_settings(
        &[
            "--home",
            "/proc/nowhere",
            "-c",
            "aws",
            "-m",
            "jitr",
            "--region",
            "us-east-2",
            "-P",
            "/dev/nowhere",
        ],
        &KEYS,
    );
    assert!(shown.starts_with("exit 1\n"), "{shown}");
    assert!(shown.contains("/proc/nowhere") && shown.contains("help: "), "{shown}");
}

/// What a user sees whose every call is refused like this.
fn refused(status: u16, code: &'static str, message: &'static str) -> String {
    let url = refusing(status, code, message);
    let shown = with_settings(&DRY, &[("AWS_ENDPOINT_URL", url.as_str()), KEYS[0], KEYS[1]]);
    assert!(shown.starts_with("exit 4\n"), "{shown}");
    assert!(shown.contains(message) && shown.contains("\nhelp: "), "{shown}");
    shown
}

#[test]
fn what_aws_refuses_is_told_by_what_to_do_about_it() {
    let shown =
        refused(403, "ExpiredTokenException", "The security token included in the request is expired");
    assert!(
        shown.contains("error: the AWS session of the environment (AWS_ACCESS_KEY_ID) has expired\n"),
        "{shown}"
    );
    let shown =
        refused(403, "InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier");
    assert!(shown.contains("error: the clock of this computer is wrong"), "{shown}");
    let shown =
        refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.");
    let says = "error: AWS does not accept the credentials of the environment (AWS_ACCESS_KEY_ID)\n";
    assert!(shown.contains(says), "{shown}");
}

#[test]
fn a_missing_permission_is_named_together_with_who_lacks_it() {
    let who = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform this";
    let shown = refused(403, "AccessDeniedException", who);
    let line = shown.lines().find(|line| line.starts_with("error: ")).expect("there is an error");
    let action = line.strip_prefix("error: permission ").and_then(|rest| rest.strip_suffix(" is missing"));
    let service = action.and_then(|action| action.split_once(':')).map(|(service, _)| service);
    assert!(matches!(service, Some("iot" | "lambda" | "sts")), "{shown}");
}

#[test]
fn without_a_board_nothing_is_made_neither_here_nor_in_the_account() {
    let args = ["-c", "aws", "-m", "jitr", "--region", "us-east-2", "-s", "MCHP0000"];
    let shown = with_settings(&args, &[("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), KEYS[0], KEYS[1]]);
    assert!(shown.starts_with("exit 3\n"), "{shown}");
    assert!(shown.contains("MCHP0000") && shown.contains("\nhelp: "), "{shown}");
}

#[test]
fn doctor_takes_mend_for_repair() {
    let refused = |flag| outcome(&["doctor", flag, "--board", "a", "--thing", "b"]);
    assert_eq!(refused("--mend"), refused("--repair"));
    assert!(refused("--mend").contains("cannot be used with"), "{}", refused("--mend"));
}

/// Every command and subcommand, by its words, but `help`.
fn commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, words: &[String], all: &mut Vec<Vec<String>>) {
        for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
            let words = [words, &[subcommand.get_name().to_owned()]].concat();
            below(subcommand, &words, all);
            all.push(words);
        }
    }
    let mut all = vec![Vec::new()];
    below(&provisioner::cli::definition(), &[], &mut all);
    all
}

#[test]
fn every_help_has_the_passphrase_flags_where_a_passphrase_can_be_asked_for() {
    // Those that sign, or open a key: the form without a subcommand among them.
    let with_keys = [
        "",
        "ca",
        "ca create",
        "ca encrypt",
        "ca crl",
        "ca rotate",
        "admission",
        "admission add",
        "admission remove",
        "admission publish",
        "setup",
        "provision",
        "revoke",
        "forget",
        "doctor",
    ];
    let commands = commands();
    assert!(commands.len() > 25, "{commands:?}");
    for words in commands {
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        for help in ["--help", "-h"] {
            let shown = outcome(&[&arguments[..], &[help]].concat());
            assert!(shown.starts_with("exit 0\n") && shown.contains("Usage: provisioner"), "{shown}");
            let block = ["Passphrase or PIN", "--password-file", "--password-fd", "--keyring"];
            let has = block.map(|text| shown.contains(text));
            assert_eq!(has, [with_keys.contains(&&*words.join(" ")); 4], "{words:?}: {shown}");
        }
        assert_eq!(
            outcome(&[&["help"], &arguments[..]].concat()),
            outcome(&[&arguments[..], &["--help"]].concat())
        );
    }
}
