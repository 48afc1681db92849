//! The program as a release has it, with packages of the function beside it; and one version of the function after another.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testbed::beside;
use testbed::lambda_host::package_of;

use crate::account::Account;
use crate::account_life::scenario::stage::Stage;

/// Where an ELF file says for which processor it is, and the number of arm64 (System V ABI, "ELF Header").
const MACHINE: std::ops::Range<usize> = 18..20;
const ARM64: [u8; 2] = [183, 0];
const VERSION: &str = env!("CARGO_PKG_VERSION");
const RULE: &str = "ForwardSignedButUnknownDevices";

/// An account, a user of it, and a folder with what the user has unpacked.
struct Desk {
    account: Account,
    stage: Stage,
    folder: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        let account = Account::empty().await;
        let stage = Stage::new("the testbed", account.testbed.access(), &[], None).await;
        stage.ends(0, &["ca", "create"]);
        Self { account, stage, folder: tempfile::tempdir().unwrap() }
    }

    /// A package of the function, changed by `change`.
    fn package(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
        let mut program = std::fs::read(beside::program("jitr").unwrap()).unwrap();
        change(&mut program);
        let bootstrap = self.folder.path().join("bootstrap");
        std::fs::write(&bootstrap, program).unwrap();
        let package = self.folder.path().join(name);
        std::fs::write(&package, package_of(&bootstrap).unwrap()).unwrap();
        std::fs::remove_file(bootstrap).unwrap();
        package
    }

    /// Code of another version of the function.
    fn of_version(&self, version: &str) -> PathBuf {
        self.package(&format!("{version}.zip"), |program| {
            let title = format!("jitr {VERSION}: registers devices");
            let at = program.windows(title.len()).position(|bytes| bytes == title.as_bytes()).unwrap();
            program[at + 5..][..VERSION.len()].copy_from_slice(version.as_bytes());
        })
    }

    /// `setup` of the program at `path`.
    fn set_up_with(&self, path: &Path, arguments: &[&str]) -> (i32, String, Option<Value>) {
        let mut command = Command::new(path);
        command
            .args(["setup", "--output", "json"])
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .env("MICROCHIP_IOT_HOME", self.stage.file(""))
            .envs(self.account.testbed.access().environment());
        let output = tokio::task::block_in_place(|| command.output()).unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        let lines = schemas::checked(&["--output", "json", "setup"], &stdout);
        let function = lines.into_iter().find(|line| line["resource"] == "function");
        (output.status.code().unwrap(), stdout + &stderr, function)
    }

    /// What `setup` with a package says of the function.
    fn deploys(&self, package: &Path, more: &[&str]) -> (Value, String) {
        let run = self.stage.ends(0, &[&["setup", "--lambda-zip", package.to_str().unwrap()], more].concat());
        (run.lines.iter().find(|line| line["resource"] == "function").unwrap().clone(), run.said)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_packages_of_a_release_are_found_beside_the_program_and_taken_by_processor() {
    let desk = Desk::new().await;
    let program = desk.folder.path().join("provisioner");
    let built = beside::program("provisioner").unwrap();
    if std::fs::hard_link(&built, &program).is_err() {
        std::fs::copy(&built, &program).unwrap();
    }
    let (code, said, _) = desk.set_up_with(&program, &["--lambda-zip", "--dry-run"]);
    assert!(code == 2 && said.contains("target/lambda/jitr/bootstrap.zip"), "{said}");
    assert!(said.contains("jitr-arm64.zip or jitr-x86-64.zip"), "{said}");

    let arm64 = desk.package("jitr-arm64.zip", |program| program[MACHINE].copy_from_slice(&ARM64));
    let x86_64 = desk.package("jitr-x86-64.zip", |_| {});
    let link = desk.folder.path().join("link");
    std::os::unix::fs::symlink(&program, &link).unwrap();
    let by_itself: &[&str] = &["--dry-run"];
    for (program, arguments) in [(&program, &["--lambda-zip", "--dry-run"][..]), (&link, by_itself)] {
        let (code, said, function) = desk.set_up_with(program, arguments);
        let function = function.expect(&said);
        assert_eq!((code, &function["action"]), (0, &Value::from("create")), "{said}");
        let from = format!("from {}", arm64.canonicalize().unwrap().display());
        let details = ["provided.al2023, arm64".to_owned(), format!("jitr {VERSION}"), from];
        assert_eq!(function["details"], Value::from(details.to_vec()), "{said}");
        assert_eq!(
            (&function["function_version"], &function["package_version"]),
            (&Value::Null, &VERSION.into())
        );
    }
    // Another name may be a slip of the hand.
    let (code, said, _) = desk.set_up_with(&program, &["--function", "JlTR"]);
    assert!(code == 4 && said.contains("JlTR"), "{said}");
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    // The testbed says what it cannot run before a board meets it.
    let (code, said, _) = desk.set_up_with(&program, &[]);
    assert!(code == 4 && said.contains("bootstrap is for another processor (ELF machine 183)"), "{said}");
    assert!(desk.account.testbed.lambda().list().is_empty());

    desk.stage.ends(0, &["setup", "--lambda-zip", x86_64.to_str().unwrap()]);
    let (code, said, function) = desk.set_up_with(&program, &["--lambda-zip"]);
    let function = function.expect(&said);
    assert_eq!((code, &function["action"]), (0, &Value::from("leave")), "{said}");
    assert_eq!(function["details"], Value::from(vec![format!("jitr {VERSION}")]), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_the_function_are_told_and_what_ran_before_is_gone_back_to() {
    let desk = Desk::new().await;
    let other = |digit| VERSION.replace(|c: char| c.is_ascii_digit(), digit);
    let (old, new) = (other("3"), other("7"));
    let (first, second) = (desk.of_version(&old), desk.of_version(&new));
    let lambda = desk.account.testbed.lambda();
    let code_of = |name: &str| lambda.function(name).unwrap().code_sha256().to_owned();

    let (made, said) = desk.deploys(&first, &[]);
    assert_eq!((&made["package_version"], &made["kept_as"]), (&Value::from(&*old), &Value::Null), "{said}");
    let before = code_of("JITR");
    let left = desk.stage.ends(0, &["setup"]);
    let remark = format!("jitr {old}, and this program is {VERSION}");
    assert!(left.said.contains(&remark), "{}", left.said);
    let found = desk.stage.finding("function");
    assert_eq!(found["verdict"], "right", "{found}");
    assert!(found["details"].to_string().contains(&format!("jitr {old}")), "{found}");

    let (plan, _) = desk.deploys(&second, &["--dry-run"]);
    let (changed, said) = desk.deploys(&second, &[]);
    let details = [
        format!("code is jitr {old}, should be jitr {new}"),
        format!("from {}", second.display()),
        "what runs is kept as a version".to_owned(),
    ];
    assert_eq!(changed["details"], Value::from(details.to_vec()), "{said}");
    assert_eq!((&plan["details"], &plan["kept_as"]), (&changed["details"], &Value::Null));
    assert_eq!(changed["function_version"], *old);
    assert_eq!((&changed["package_version"], &changed["kept_as"]), (&Value::from(&*new), &"JITR:1".into()));
    assert!(said.contains("to go back to what ran before: provisioner setup --function JITR:1"), "{said}");
    assert_ne!(code_of("JITR"), before);
    assert_eq!(code_of("JITR:1"), before);
    let (again, said) = desk.deploys(&second, &[]);
    assert_eq!(
        (&again["action"], &again["function_version"]),
        (&"leave".into(), &Value::from(&*new)),
        "{said}"
    );

    // Back: what ran before takes the events, alone.
    let back = desk.stage.ends(0, &["setup", "--function", "JITR:1"]);
    assert!(back.said.contains(&format!("jitr {old}")), "{}", back.said);
    assert!(back.said.contains("invokes JITR, should invoke JITR:1"), "{}", back.said);
    let takers =
        || -> Vec<_> { lambda.list_event_sources(None).into_iter().map(|source| source.function).collect() };
    assert_eq!(takers(), ["JITR:1"]);
    desk.stage.ends(0, &["setup", "--function", "JITR:1", "--delivery", "rule"]);
    let rule = desk.account.iot().get_topic_rule().rule_name(RULE).send().await.unwrap().rule.unwrap();
    assert!(rule.actions()[0].lambda().unwrap().function_arn().ends_with(":function:JITR:1"));
    desk.stage.ends(0, &["setup", "--function", "JITR:1", "--delivery", "queue"]);
    desk.stage.is_healthy(&["--function", "JITR:1"]);
    let answer = lambda.invoke("JITR:1", "{}".into()).await.unwrap().outcome.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("malformed_event"), "{answer:?}");

    // And forward again, to what somebody else deployed meanwhile: nothing is said of its version.
    let others = desk.package("others.zip", |program| program.extend(b"another build"));
    let zip = std::fs::read(others).unwrap();
    desk.account
        .lambda()
        .update_function_code()
        .function_name("JITR")
        .zip_file(zip.into())
        .send()
        .await
        .unwrap();
    let forward = desk.stage.ends(0, &["setup"]);
    assert_eq!(takers(), ["JITR"]);
    let function = forward.lines.iter().find(|line| line["resource"] == "function").unwrap();
    assert_eq!(function["function_version"], Value::Null, "{}", forward.said);
    let (changed, said) = desk.deploys(&first, &[]);
    assert!(changed["details"][0] == format!("code differs from the package, which is jitr {old}"), "{said}");
    assert_eq!(changed["kept_as"], "JITR:2", "{said}");
}
