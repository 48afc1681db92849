//! What users of the vendor's tool bring: its home folder, its stack in the account, its files of the sandbox, its policies, and
//! its command lines. And functions by alias, and packages for another C library.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use aws_sdk_iot::types::{Action, LambdaAction, TopicRulePayload};
use serde_json::Value;
use testbed::beside;
use testbed::board::{Options, SimulatedBoard};
use testbed::lambda_host::package_of;

use crate::account::Account;
use crate::account_life::scenario::stage::Stage;
use crate::laptop::{Laptop, Outcome};
use crate::terminal::at_terminal;

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
const EVENTS: &str = "$aws/events/certificates/registered";
const RULE: &str = "ForwardSignedButUnknownDevices";
const KEYS: [&str; 2] = ["root-ca.key", "signer-ca.key"];

fn openssl(folder: &Path, command: &str) {
    let run = Command::new("openssl").args(command.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A home as the vendor's tool makes it: keys in PKCS#8, and every file and folder readable for all.
fn vendors_home() -> Laptop {
    let laptop = Laptop::new();
    let home = laptop.folder();
    std::fs::create_dir(&home).unwrap();
    let extensions = "[root]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
        subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n[signer]\nbasicConstraints=critical,CA:TRUE,pathlen:0\n\
        keyUsage=critical,digitalSignature,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
    std::fs::write(home.join("x.cnf"), extensions).unwrap();
    let key = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out";
    for command in [
        &format!("{key} root-ca.key"),
        &format!("{key} signer-ca.key"),
        "req -new -key root-ca.key -subj /O=Example_Inc/CN=Example_Root_CA -out root.csr",
        "req -new -key signer-ca.key -subj /O=Example_Inc/CN=Example_Signer_FFFF -out signer-ca.csr",
        "x509 -req -in root.csr -signkey root-ca.key -days 9000 -sha256 -extfile x.cnf -extensions root -out root-ca.crt",
        "x509 -req -in signer-ca.csr -CA root-ca.crt -CAkey root-ca.key -set_serial 77 -days 3650 -sha256 -extfile x.cnf -extensions signer -out signer-ca.crt",
    ] {
        openssl(&home, command);
    }
    for file in ["x.cnf", "root.csr"] {
        std::fs::remove_file(home.join(file)).unwrap();
    }
    mode(&home, 0o755);
    std::fs::read_dir(&home).unwrap().for_each(|entry| mode(&entry.unwrap().path(), 0o644));
    laptop
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn modes(laptop: &Laptop) -> [u32; 2] {
    KEYS.map(|key| std::fs::metadata(laptop.folder().join(key)).unwrap().permissions().mode() & 0o777)
}

#[test]
fn keys_that_others_can_read_are_named_all_at_once_and_closed_after_a_yes() {
    let laptop = vendors_home();
    let board = SimulatedBoard::start(Options::instant(81)).unwrap();
    let port = board.path().display().to_string();
    let provision = ["provision", "--endpoint", ENDPOINT, "--port", &port];
    let elsewhere = laptop.folder().with_file_name("elsewhere").display().to_string();
    for arguments in [
        &["ca", "show"][..],
        &["ca", "crl"],
        &["ca", "rotate", "--no-register"],
        &["ca", "encrypt", "--new-password-file", "/nowhere"],
        &["ca", "export-root", &elsewhere],
        &["ca", "create"],
        &provision,
    ] {
        let refused = laptop.run(arguments, &[]);
        assert_eq!((refused.code, modes(&laptop)), (5, [0o644; 2]), "{refused}");
        for key in KEYS {
            assert!(refused.stderr.contains(&format!("{key} (mode 0644)")), "{refused}");
        }
        assert!(refused.stderr.contains("chmod 600"), "{refused}");
    }
    let planned = laptop.run(&[&provision[..], &["--dry-run"]].concat(), &[]);
    assert_eq!((planned.code, modes(&laptop)), (0, [0o644; 2]), "{planned}");
    assert!(
        planned.stderr.contains("would be closed") && planned.stdout.contains("would provision"),
        "{planned}"
    );

    let ask = |answer| {
        let command = laptop.command(&["ca", "show"], &[("TERM", "dumb")]);
        at_terminal(command, "Go on?", answer)
    };
    let (code, screen) = ask("no");
    assert!(code == Some(1) || code == Some(5), "{code:?} {screen}");
    assert_eq!(modes(&laptop), [0o644; 2]);
    assert!(KEYS.iter().all(|key| screen.contains(key)), "{screen}");
    assert_eq!(ask("yes").0, Some(0));
    assert_eq!(modes(&laptop), [0o600; 2]);

    KEYS.iter().for_each(|key| mode(&laptop.folder().join(key), 0o640));
    let done = laptop.run(&[&provision[..], &["--yes"]].concat(), &[]);
    assert_eq!((done.code, modes(&laptop)), (0, [0o600; 2]), "{done}");
    // The home of the vendor's tool works as it is.
    for arguments in
        [&["ca", "show"][..], &["ca", "crl"], &["ledger"], &["ca", "rotate", "--no-register", "--yes"]]
    {
        let outcome = laptop.run(arguments, &[]);
        assert_eq!(outcome.code, 0, "{outcome}");
    }
}

#[test]
fn one_key_that_others_can_read_is_enough_and_an_encrypted_one_is_not() {
    let laptop = Laptop::with_ca();
    mode(&laptop.folder().join("signer-ca.key"), 0o604);
    let refused = laptop.run(&["ca", "show"], &[]);
    assert!(refused.code == 5 && !refused.stderr.contains("root-ca.key"), "{refused}");
    let closed = laptop.run(&["ca", "show", "--yes"], &[]);
    assert_eq!(closed.code, 0, "{closed}");
    let passphrase = [("MICROCHIP_IOT_PASSPHRASE", "four words are enough")];
    let encrypted = laptop.folder().with_file_name("new");
    std::fs::write(&encrypted, passphrase[0].1).unwrap();
    mode(&encrypted, 0o600);
    let outcome =
        laptop.run(&["ca", "encrypt", "--new-password-file", encrypted.to_str().unwrap()], &passphrase);
    assert_eq!(outcome.code, 0, "{outcome}");
    KEYS.iter().for_each(|key| mode(&laptop.folder().join(key), 0o644));
    let shown = laptop.run(&["ca", "show"], &passphrase);
    assert_eq!((shown.code, modes(&laptop)), (0, [0o644; 2]), "{shown}");
}

/// An account that is set up, and a user.
async fn ready() -> (Account, Stage) {
    let account = Account::empty().await;
    let stage = Stage::new("the testbed", account.testbed.access(), &[], None).await;
    stage.ends(0, &["ca", "create"]);
    let package = stage.package().to_str().unwrap().to_owned();
    stage.ends(0, &["setup", "--lambda-zip", &package, "--delivery", "rule"]);
    (account, stage)
}

fn function(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:123456789012:function:{name}")
}

async fn rule(account: &Account, name: &str, filter: &str, target: &str) {
    let lambda = LambdaAction::builder().function_arn(target).build().unwrap();
    let payload = TopicRulePayload::builder()
        .sql(format!("SELECT * FROM '{filter}'"))
        .aws_iot_sql_version("2016-03-23")
        .actions(Action::builder().lambda(lambda).build())
        .build()
        .unwrap();
    account.iot().create_topic_rule().rule_name(name).topic_rule_payload(payload).send().await.unwrap();
}

fn others(lines: &[Value]) -> Vec<(&str, &Value)> {
    let others = lines.iter().filter(|line| line["resource"] == "other_rule");
    others.map(|line| (line["name"].as_str().unwrap(), line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_by_which_checks_can_be_bypassed_is_told_and_the_vendors_is_disabled_after_a_yes() {
    const VENDOR: &str = "MCHPStack_ZTLambdaRule_1A";
    let (account, stage) = ready().await;
    rule(&account, VENDOR, &format!("{EVENTS}/#"), &function("MCHPStack-ZTLambdaJITR-1A")).await;
    rule(&account, "Everything", "$aws/#", &function("Other")).await;
    rule(&account, "Levels", "$aws/events/+/registered/+", &function("Other")).await;
    rule(&account, "Twice", &format!("{EVENTS}/+"), &function("JITR")).await;
    rule(&account, "Off", &format!("{EVENTS}/#"), &function("Other")).await;
    rule(&account, "Presence", "$aws/events/presence/#", &function("Other")).await;
    rule(&account, "Hash", "#", &function("Other")).await;
    account.iot().disable_topic_rule().rule_name("Off").send().await.unwrap();
    let expected = ["Everything", "Levels", VENDOR, "Twice"];
    let disabled = async |name: &str| {
        let found = account.iot().get_topic_rule().rule_name(name).send().await.unwrap();
        found.rule.unwrap().rule_disabled == Some(true)
    };

    for arguments in [&["setup", "--dry-run"][..], &["setup"]] {
        let told = stage.ends(0, arguments);
        let found = others(&told.lines);
        assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), expected, "{}", told.said);
        for (name, line) in found {
            let details = line["details"].to_string();
            let (is_own, is_vendor) = (name == "Twice", name == VENDOR);
            assert_eq!(line["action"], if is_vendor { "disable" } else { "leave" }, "{line}");
            assert!(details.contains("function:") && details.contains("bypassed") != is_own, "{line}");
            assert_eq!(details.contains("the vendor's stack MCHPStack"), is_vendor, "{line}");
            let advised = details.contains(&format!("provisioner setup --disable-rule {name}"));
            assert_eq!(advised, !is_own && !is_vendor, "{line}");
            assert!(!is_vendor || line["done"] == false);
            assert!(!disabled(name).await);
        }
    }
    let found = stage.ends(4, &["doctor"]);
    let verdicts: Vec<_> = others(&found.lines).iter().map(|(_, line)| line["verdict"].clone()).collect();
    assert_eq!(verdicts, ["notable", "notable", "dangerous", "notable"], "{}", found.said);
    let help = others(&found.lines)[0].1["help"].to_string();
    assert!(help.contains("provisioner setup --disable-rule Everything"), "{help}");
    let unasked = stage.ends(4, &["doctor", "--repair"]);
    assert!(unasked.said.contains("not without --yes"), "{}", unasked.said);
    let planned = stage.ends(0, &["doctor", "--repair", "--dry-run"]);
    assert!(planned.values("action").contains(&"disable_rule"), "{}", planned.said);
    assert!(!disabled(VENDOR).await);

    // A yes is for what is known to let everything in.
    stage.ends(0, &["doctor", "--repair", "--yes"]);
    assert!(disabled(VENDOR).await);
    account.iot().enable_topic_rule().rule_name(VENDOR).send().await.unwrap();
    let done = stage.ends(0, &["setup", "--yes"]);
    assert!(disabled(VENDOR).await && others(&done.lines)[2].1["done"] == true, "{}", done.said);
    for name in ["Everything", "Levels", "Twice", "Presence", RULE] {
        assert!(!disabled(name).await, "{name}");
    }
    // What is named is disabled, and what is named is looked at before anything is done.
    let named = ["setup", "--disable-rule", "Levels", "--disable-rule", "Everything"];
    let planned = stage.ends(0, &[&named[..], &["--dry-run"]].concat());
    assert_eq!(others(&planned.lines)[0].1["action"], "disable", "{}", planned.said);
    assert!(!disabled("Levels").await);
    for (name, says) in [
        ("Nothing", "there is no topic rule `Nothing`"),
        ("Presence", "no other rule that gets"),
        (RULE, "no other rule that gets"),
    ] {
        let refused = stage.ends(2, &["setup", "--disable-rule", "Levels", "--disable-rule", name]);
        assert!(refused.said.contains(says), "{}", refused.said);
        assert!(!disabled("Levels").await);
    }
    stage.ends(0, &named);
    assert!(disabled("Levels").await && disabled("Everything").await && !disabled("Twice").await);
    let again = stage.ends(0, &named);
    let states: Vec<_> = others(&again.lines).iter().map(|(_, line)| line["details"].to_string()).collect();
    assert!(states[1].contains("is disabled") && states[2].contains("is disabled"), "{}", again.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_ours_in_other_words_is_right() {
    let (account, stage) = ready().await;
    for (sql, version) in [
        (format!("select * from '{EVENTS}/+'"), "2016-03-23"),
        (format!("SELECT * FROM '{EVENTS}/#'"), "2015-10-08"),
    ] {
        let lambda = LambdaAction::builder().function_arn(function("JITR")).build().unwrap();
        let payload = TopicRulePayload::builder()
            .sql(&sql)
            .aws_iot_sql_version(version)
            .actions(Action::builder().lambda(lambda).build())
            .build()
            .unwrap();
        account.iot().replace_topic_rule().rule_name(RULE).topic_rule_payload(payload).send().await.unwrap();
        let found = stage.finding("topic_rule");
        assert_eq!(found["verdict"], "notable", "{found}");
        assert!(found["details"].to_string().contains("equivalent"), "{found}");
        let left = stage.ends(0, &["setup"]);
        let line = left.lines.iter().find(|line| line["resource"] == "topic_rule").unwrap();
        assert_eq!(line["action"], "leave", "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_by_its_alias_is_invoked_by_its_alias() {
    let (account, stage) = ready().await;
    let lambda = account.lambda();
    let unknown = stage.ends(4, &["setup", "--function", "JITR:live", "--rule-name", "Live"]);
    assert!(unknown.said.contains("JITR:live"), "{}", unknown.said);
    let version = lambda.publish_version().function_name("JITR").send().await.unwrap().version.unwrap();
    lambda.create_alias().function_name("JITR").name("live").function_version(&version).send().await.unwrap();
    for (name, rule, arn) in [
        ("JITR:live", "Live", function("JITR:live")),
        (&function("JITR:1"), "First", function("JITR:1")),
        ("JITR:$LATEST", RULE, function("JITR")),
    ] {
        stage.ends(0, &["setup", "--function", name, "--rule-name", rule]);
        let found = account.iot().get_topic_rule().rule_name(rule).send().await.unwrap().rule.unwrap();
        assert_eq!(found.actions()[0].lambda().unwrap().function_arn(), arn);
        let policy = lambda.get_policy().function_name(&arn).send().await.unwrap().policy.unwrap();
        let policy: Value = serde_json::from_str(&policy).unwrap();
        assert_eq!(policy["Statement"][0]["Resource"], arn.as_str(), "{policy}");
        let again = stage.ends(0, &["setup", "--function", name, "--rule-name", rule]);
        assert!(again.values("action").iter().all(|action| *action == "leave"), "{}", again.said);
        stage.ends(0, &["doctor", "--function", name, "--rule-name", rule]);
    }
    let fixed =
        stage.ends(2, &["setup", "--function", "JITR:live", "--rule-name", "Live", "--policy-name", "other"]);
    assert!(fixed.said.contains("is a version, and cannot be changed"), "{}", fixed.said);
    for (part, other) in
        [("us-east-1", "eu-west-1"), ("123456789012", "999999999999"), ("arn:aws:", "arn:aws-cn:")]
    {
        let elsewhere = function("JITR").replace(part, other);
        let calls = account.testbed.journal().calls().len();
        for dry in [&["--dry-run"][..], &[]] {
            let arguments = ["setup", "--function", &elsewhere, "--rule-name", "Elsewhere"];
            let refused = stage.ends(2, &[&arguments[..], dry].concat());
            let here = function("").trim_end_matches(":function:").to_owned();
            assert!(
                refused.said.contains(&elsewhere) && refused.said.contains(&here),
                "{part}: {}",
                refused.said
            );
        }
        assert!(
            account.testbed.journal().calls()[calls..]
                .iter()
                .all(|call| !call.operation.starts_with("Create"))
        );
        let unknown = lambda.get_function().function_name(&elsewhere).send().await.unwrap_err();
        assert!(unknown.into_service_error().is_resource_not_found_exception(), "{elsewhere}");
    }
    for wrong in ["JITR:", "JITR:a:b", "JITR:a b", &function("JITR:a:b")] {
        stage.ends(2, &["setup", "--function", wrong]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_for_a_newer_c_library_than_that_of_the_runtime_is_refused() {
    let account = Account::empty().await;
    let stage = Stage::new("the testbed", account.testbed.access(), &[], None).await;
    stage.ends(0, &["ca", "create"]);
    let mut program = std::fs::read(beside::program("jitr").unwrap()).unwrap();
    let needs = |program: &[u8]| {
        let found = program
            .windows(11)
            .enumerate()
            .filter(|(_, word)| word.starts_with(b"GLIBC_2.") && word[10] == 0);
        found.map(|(at, word)| (word[8..10].to_vec(), at)).max()
    };
    let (newest, at) = needs(&program).expect("this computer has the GNU C library");
    assert!(
        newest.as_slice() <= b"34".as_slice(),
        "the function is built for a newer C library than that of the runtime"
    );
    program[at + 8..at + 10].copy_from_slice(b"39");
    let bootstrap = stage.file("bootstrap");
    std::fs::write(&bootstrap, program).unwrap();
    let package = stage.file("new.zip");
    std::fs::write(&package, package_of(&bootstrap).unwrap()).unwrap();
    let package = package.to_str().unwrap();
    for arguments in
        [&["setup", "--lambda-zip", package, "--dry-run"][..], &["setup", "--lambda-zip", package]]
    {
        let refused = stage.ends(2, arguments);
        for word in ["GLIBC 2.39", "provided.al2023 has 2.34"] {
            assert!(refused.said.contains(word), "{word}: {}", refused.said);
        }
    }
    assert!(account.testbed.lambda().list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_sandbox_are_no_devices_of_the_account() {
    let laptop = vendors_home();
    let board = laptop.folder().join("MCHP3261021800001234");
    std::fs::create_dir(&board).unwrap();
    for name in ["device_sandbox", "signer_sandbox", "device"] {
        let key = format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key");
        openssl(&board, &key);
        let is_ca = if name == "signer_sandbox" { "CA:TRUE" } else { "CA:FALSE" };
        openssl(
            &board,
            &format!(
                "req -new -x509 -key {name}.key -subj /CN={name} -days 99 -addext basicConstraints={is_ca} -out {name}.crt"
            ),
        );
        std::fs::remove_file(board.join(format!("{name}.key"))).unwrap();
    }
    let account = Account::empty().await;
    let folder = laptop.folder();
    for more in [&["--dry-run"][..], &[]] {
        let arguments = [&["register", "--dir", folder.to_str().unwrap()][..], more].concat();
        let outcome = laptop.run(&arguments, &account.testbed.access().environment());
        assert!(outcome.code == 0 && outcome.stdout.contains("device.crt"), "{outcome}");
        assert!(!outcome.stdout.contains("sandbox"), "{outcome}");
    }
    let certificates = account.iot().list_certificates().send().await.unwrap();
    assert_eq!(certificates.certificates().len(), 1, "{certificates:?}");
}

/// The command lines of the vendor's document.
#[tokio::test(flavor = "multi_thread")]
async fn command_lines_of_the_vendors_tool_do_as_there() {
    let (account, _) = ready().await;
    let laptop = Laptop::new();
    let board = SimulatedBoard::start(Options::instant(82)).unwrap();
    let port = board.path().display().to_string();
    let environment = account.testbed.access().environment();
    let run = |line: &str| -> Outcome {
        let words: Vec<_> = line.split(' ').collect();
        laptop.run(&words, &environment)
    };
    let good = |line: &str| {
        let outcome = run(line);
        assert_eq!(outcome.code, 0, "{line}: {outcome}");
        outcome
    };
    let certs = good("-c aws -m jitr certs");
    assert!(
        certs.stdout.contains("made root-ca.key") && certs.stdout.contains("signer CA   created"),
        "{certs}"
    );
    assert!(!certs.stdout.contains("provisioned"), "{certs}");
    let account_alone = good("-c aws -m jitr account");
    assert!(account_alone.stdout.contains("topic rule  unchanged"), "{account_alone}");
    assert!(!account_alone.stdout.contains("signer CA"), "{account_alone}");
    let all = good(&format!("-c aws -m jitr all -P {port} -v debug"));
    assert!(all.stdout.contains("provisioned "), "{all}");
    let words = good(&format!("-c aws -m jitr account certs provision application -P {port}"));
    assert!(words.stdout.contains("unchanged"), "{words}");
    assert!(good(&format!("-c aws -m jitr provision -P {port} --fdev")).stdout.contains("provisioned "));

    let wifi = good(&format!("-auth wpa-psk -ssid mywifi -psk password -P {port} --dry-run"));
    assert!(wifi.stdout.contains("would set the Wi-Fi network mywifi"), "{wifi}");
    assert!(!wifi.stdout.contains("provision"), "{wifi}");
    assert!(good("none").stderr.contains("nothing to do"));
    assert!(good("-m jitr links").stderr.contains("is not touched"));
    assert!(good("-R").stdout.starts_with("provisioner "));
    for (line, word) in [
        ("-c aws all", "no registration method"),
        ("-c aws -m jitr rootcerts", "needs --irc FOLDER"),
        ("-c aws -m jitr dbgupgrade", "debugger"),
        ("-c aws -m jitr debuggerupgrade", "debugger"),
        ("-c aws -m jitr wincupgrade", "Wi-Fi module"),
        ("-c aws -m jitr --fca", "ca rotate"),
        ("-c aws -m jitr --faws", "the vendor's stack"),
        ("-c aws -m jitr --irc certs", "roots install"),
        ("-c azure -m jitr all", "Azure"),
    ] {
        let declined = run(line);
        assert!(declined.code == 2 && declined.stderr.contains(word), "{line}: {declined}");
    }
}
