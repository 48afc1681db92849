//! Every command that changes something, twice: its plan, and then the run. A plan changes nothing, the run does what the plan
//! says, and both end in the same way where something is wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_sdk_iot::types::CertificateStatus;
use serde_json::Value;
use testbed::board::{Kit, Options as BoardOptions, SimulatedBoard, SimulatedDisk};

use crate::account::{Account, Ca};
use crate::account_life::scenario::Stage;
use crate::account_life::scenario::stage::Run;
use crate::kits::{AVR, SAM, SERIAL};

/// What the operations of AWS that change nothing begin with.
const READS: [&str; 4] = ["Get", "List", "Describe", "AssumeRole"];

/// A user with an account, boards and a kit's disk.
struct Desk {
    stage: Stage,
    account: Account,
    boards: Vec<SimulatedBoard>,
}

/// What a plan must not change.
#[derive(PartialEq)]
struct State {
    files: Vec<(PathBuf, Vec<u8>)>,
    flash: Vec<Vec<u8>>,
}

/// Every file below a folder, with its content.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push((path.clone(), std::fs::read(&path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

impl Desk {
    async fn new() -> Self {
        let account = Account::empty().await;
        let testbed = &account.testbed;
        let stage = Stage::new("the testbed", testbed.access(), &[], Some(testbed.journal())).await;
        let board = |seed| SimulatedBoard::start(BoardOptions::instant(seed)).unwrap();
        Self { stage, account, boards: vec![board(71), board(72), board(73)] }
    }

    fn port(&self, board: usize) -> String {
        self.boards[board].path().display().to_string()
    }

    /// The home folder and the boards.
    fn state(&self) -> State {
        State {
            files: files(&self.stage.file("")),
            flash: self.boards.iter().map(SimulatedBoard::flash).collect(),
        }
    }

    /// The plan of a command, which changes nothing.
    fn plan(&self, arguments: &[&str]) -> Run {
        let (before, journal) = (self.state(), self.account.testbed.journal());
        let calls = journal.calls().len();
        let plan = self.stage.provisioner(&[arguments, &["--dry-run"]].concat());
        assert!(self.state() == before, "a plan changed a file or a board: {}", plan.said);
        for call in journal.calls().iter().skip(calls) {
            let reads = READS.iter().any(|read| call.operation.starts_with(read));
            assert!(reads, "a plan called {}: {}", call.operation, plan.said);
        }
        for line in plan.lines.iter().filter(|line| line.get("action").is_some()) {
            assert_eq!(line["done"], false, "{}", plan.said);
        }
        plan
    }

    /// The plan, then the run: both end with `code`, and each line of the plan is told by the run.
    fn agrees(&self, code: i32, arguments: &[&str]) -> Run {
        let plan = self.plan(arguments);
        let run = self.stage.provisioner(&[arguments, &["--yes"]].concat());
        assert_eq!((plan.code, run.code), (code, code), "{}\n{}", plan.said, run.said);
        let planned: Vec<&Value> = plan.lines.iter().filter(|line| line.get("action").is_some()).collect();
        let told: Vec<&Value> = run.lines.iter().filter(|line| line.get("action").is_some()).collect();
        assert!(!planned.is_empty() && planned.len() == told.len(), "{}\n{}", plan.said, run.said);
        for line in planned {
            assert!(
                told.iter().any(|told| told["done"] == is_done(told) && says_as_much(told, line)),
                "{line} is not told in\n{}",
                run.said
            );
        }
        if code != 0 {
            assert_eq!(plan.lines.last(), run.lines.last(), "{}\n{}", plan.said, run.said);
        }
        run
    }

    /// What the plan refuses as a whole, the run refuses in the same words; neither changes anything.
    fn refuses(&self, code: i32, arguments: &[&str], error: &str) {
        let plan = self.plan(arguments);
        let run = self.stage.provisioner(&[arguments, &["--yes"]].concat());
        assert_eq!((plan.code, run.code), (code, code), "{}\n{}", plan.said, run.said);
        let said = plan.lines.last().unwrap();
        assert_eq!(Some(said), run.lines.last(), "{}\n{}", plan.said, run.said);
        assert!(said["error"].as_str().unwrap().contains(error), "{}", plan.said);
    }
}

/// Registers a certificate of the signer CA, ACTIVE and without a thing; gives its id.
async fn registered(desk: &Desk, certificate: &Path) -> String {
    let pem = std::fs::read_to_string(certificate).unwrap();
    let ca = std::fs::read_to_string(desk.stage.file("signer-ca.crt")).unwrap();
    let request = desk.account.iot().register_certificate().certificate_pem(pem).ca_certificate_pem(ca);
    request.status(CertificateStatus::Active).send().await.unwrap().certificate_id.unwrap()
}

/// Whether a line of a run that went well is about something that was done.
fn is_done(told: &Value) -> bool {
    told["action"] != "refuse" && told["outcome"] != "kept" && told["outcome"] != "waiting"
}

/// Whether `told` has everything that `planned` has and knows. What a plan removes unless others use it may be left.
fn says_as_much(told: &Value, planned: &Value) -> bool {
    let conditional = planned["note"].as_str().is_some_and(|note| note.starts_with("unless"));
    planned
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, value)| *key != "done" && !value.is_null())
        .all(|(key, value)| told[key] == *value || conditional && key == "action" && told[key] == "leave")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_plan_changes_nothing_and_the_run_does_what_it_says() {
    let desk = Desk::new().await;
    let stage = &desk.stage;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();

    // The keys and files of the chain come as one line of the run.
    let plan = desk.plan(&["ca", "create"]);
    let made = stage.ends(0, &["ca", "create"]);
    let names = plan.values("name").join(" ");
    for name in made.lines[0]["made"].as_array().unwrap().iter().filter(|name| **name != "signer-ca.csr") {
        assert!(names.contains(name.as_str().unwrap()), "{} is not in {names}", name);
    }
    assert_eq!(desk.plan(&["ca", "create"]).values("action"), ["leave"; 5]);

    let package = stage.package();
    let setup = ["setup", "--lambda-zip", package.to_str().unwrap()];
    desk.agrees(0, &setup);
    desk.agrees(0, &setup);
    let others = std::fs::read(&package).unwrap();
    let mut others = zip::ZipWriter::new_append(std::io::Cursor::new(others)).unwrap();
    others.start_file("another", zip::write::SimpleFileOptions::default()).unwrap();
    std::fs::write(file("others.zip"), others.finish().unwrap().into_inner()).unwrap();
    desk.agrees(0, &["setup", "--lambda-zip", &file("others.zip")]);
    desk.agrees(0, &setup);
    desk.agrees(0, &["setup", "--method", "mar"]);
    for word in ["account", "certs"] {
        desk.agrees(0, &["-m", "jitr", word]);
    }

    let ports = [0, 1, 2].map(|board| desk.port(board));
    let locking = ["provision", "-m", "sandbox", "--lock-slots", "-P", &ports[0], "-P", &ports[1]];
    let plan = desk.plan(&locking);
    assert!(plan.lines.iter().all(|line| line["slots_locked"] == true), "{}", plan.said);
    let unasked = stage.ends(5, &locking);
    assert!(unasked.said.contains("cannot be undone") && !desk.boards[0].is_locked(10), "{}", unasked.said);
    let provisioned = desk.agrees(0, &["provision", "-P", &ports[0]]);
    let thing = provisioned.values("thing_name")[0].to_owned();
    let again = desk.agrees(0, &["provision", "-P", &ports[0]]);
    assert_eq!(again.values("action"), ["leave"]);
    desk.agrees(0, &["provision", "-P", &ports[0], "-P", &ports[1]]);
    desk.agrees(0, &["provision", "-P", &ports[0], "--csr-only"]);
    desk.agrees(0, &["provision", "-P", &ports[2], "-m", "mar"]);

    let disk = SimulatedDisk::start(Kit::AvrIotWg, SERIAL).unwrap();
    let kit = ["-P", &ports[2], "-s", SERIAL, "--disk", disk.folder().to_str().unwrap()];
    std::fs::write(file("avr.hex"), AVR).unwrap();
    desk.agrees(0, &[&["flash", &file("avr.hex")], &kit[..]].concat());
    desk.agrees(0, &[&["wifi", "--ssid", "net", "--auth", "open"], &kit[..]].concat());

    for command in ["install", "install", "restore"] {
        desk.agrees(0, &["roots", command, "-P", &ports[0]]);
    }
    desk.agrees(0, &["report", "--board", "-P", &ports[0], "--offline", "--file", &file("report.md")]);

    let foreign = Ca::new("Foreign");
    std::fs::write(file("good.crt"), foreign.issue("good")).unwrap();
    std::fs::write(file("ca.crt"), foreign.pem()).unwrap();
    std::fs::write(file("bad.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    desk.agrees(0, &["register", &file("good.crt")]);
    let grouped = ["register", "--again", &file("good.crt"), "--thing-group", "nowhere"];
    desk.refuses(4, &grouped, "thing group nowhere does not exist");
    let again = desk.agrees(0, &["register", &file("good.crt")]);
    assert_eq!(again.values("action"), ["leave"]);
    desk.agrees(1, &["register", "--again", &file("good.crt"), &file("ca.crt"), &file("bad.crt")]);

    let pem = stage.file("").join(desk.boards[0].ecc_serial()).join("device.crt");
    stage.ends(0, &["register", pem.to_str().unwrap()]);
    let issued = desk.boards[1].ecc_serial();
    let active = registered(&desk, &stage.file("").join(issued).join("device.crt")).await;
    desk.agrees(1, &["replay", &active, &"0".repeat(64)]);
    let event = format!(
        r#"{{"certificateId":"{active}","caCertificateId":"{}","timestamp":1,"certificateStatus":"PENDING_ACTIVATION","awsAccountId":"{}"}}"#,
        "1".repeat(64),
        "123456789012",
    );
    std::fs::write(file("events.jsonl"), event).unwrap();
    let events = ["replay", "--events", &file("events.jsonl")];
    assert_eq!((desk.plan(&events).code, stage.provisioner(&events).code), (1, 1));

    desk.agrees(0, &["revoke", &thing, "--reason", "superseded"]);
    let superseded = ["revoke", &thing, "--reason", "superseded"];
    assert!(desk.agrees(0, &superseded).values("action").iter().all(|action| *action == "leave"));
    desk.agrees(0, &["revoke", &thing]);
    desk.agrees(0, &["provision", "-P", &ports[0], "--force"]);
    desk.agrees(0, &["forget", &thing]);
    desk.agrees(5, &["register", "--again", pem.to_str().unwrap()]);
    desk.agrees(0, &["ca", "crl"]);

    desk.account.iot().delete_topic_rule().rule_name("ForwardSignedButUnknownDevices").send().await.unwrap();
    let plan = desk.plan(&["doctor", "--repair"]);
    let run = stage.provisioner(&["doctor", "--repair"]);
    let repairs = |run: &Run| -> Vec<Value> {
        run.lines.iter().filter(|line| line["action"] == "create").map(|line| line["name"].clone()).collect()
    };
    assert_eq!((plan.code, run.code, repairs(&plan)), (0, 0, repairs(&run)), "{}", run.said);

    let old = stage.ends(0, &["ca", "show"]).lines[0]["signer"]["subject_key_identifier"].clone();
    let plan = desk.plan(&["ca", "rotate"]);
    let retired: Vec<&Value> = plan.lines.iter().filter(|line| line["action"] == "retire").collect();
    assert_eq!(
        retired.iter().map(|line| &line["subject_key_identifier"]).collect::<Vec<_>>(),
        [&old],
        "{}",
        plan.said
    );
    let rotated = stage.ends(0, &["ca", "rotate"]);
    assert!(
        rotated.lines.iter().any(|line| line["action"] == "retire" && line["subject_key_identifier"] == old),
        "{}",
        rotated.said
    );

    desk.agrees(0, &["revoke", "--signer", "current"]);
    std::fs::write(file("passphrase"), "correct horse battery\n").unwrap();
    std::fs::set_permissions(file("passphrase"), PermissionsExt::from_mode(0o600)).unwrap();
    desk.agrees(0, &["ca", "encrypt", "--new-password-file", &file("passphrase")]);
    let medium = tempfile::tempdir().unwrap();
    desk.agrees(0, &["ca", "export-root", medium.path().to_str().unwrap()]);
    desk.agrees(0, &["teardown"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_refuses_what_the_run_refuses() {
    let desk = Desk::new().await;
    let stage = &desk.stage;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("sam.hex"), SAM).unwrap();
    std::fs::write(file("text.hex"), "no image").unwrap();
    std::fs::write(file("in the way"), "").unwrap();
    let port = desk.port(0);

    desk.refuses(1, &["provision", "-P", &port], "there is no certificate authority");
    desk.refuses(2, &["ca", "encrypt"], "there is no key file");
    desk.refuses(1, &["ca", "crl"], "there is no certificate authority");
    desk.refuses(1, &["ca", "rotate", "--no-register"], "there is no certificate authority");
    let nowhere = format!("{}/home", file("in the way"));
    let below_a_file = stage.run_at(Path::new(&nowhere), &["ca", "create", "--dry-run"]);
    let run = stage.run_at(Path::new(&nowhere), &["ca", "create"]);
    assert_eq!((below_a_file.code, run.code), (2, 2), "{}\n{}", below_a_file.said, run.said);

    stage.ends(0, &["ca", "create"]);
    desk.refuses(5, &["ca", "create", "--signer-key", &file("other.key")], "not at");
    desk.refuses(5, &["ca", "create", "--encrypt"], "is not encrypted");
    desk.refuses(2, &["ca", "create", "--force", "--encrypt"], "passphrase");
    desk.refuses(1, &["ca", "create", "--force", "--root-key", &file("no/root.key")], "no/root.key");
    desk.refuses(2, &["ca", "encrypt"], "passphrase");
    let signer = stage.file("signer-ca.crt");
    std::fs::rename(&signer, file("signer-ca.crt")).unwrap();
    let (root, kept) = (stage.file("root-ca.key"), file("kept.key"));
    std::fs::copy(&root, &kept).unwrap();
    std::fs::write(&root, "no key").unwrap();
    desk.refuses(1, &["ca", "create"], "root-ca.key");
    std::fs::copy(&kept, &root).unwrap();
    std::fs::rename(file("signer-ca.crt"), &signer).unwrap();
    desk.refuses(2, &["ca", "export-root", &file("nowhere")], "there is no such folder");
    desk.refuses(2, &["ca", "export-root", &file("in the way")], "not a folder");
    let root = stage.file("root-ca.key");
    std::fs::rename(&root, file("root-ca.key")).unwrap();
    desk.refuses(1, &["ca", "rotate", "--no-register"], "root");
    std::fs::rename(file("root-ca.key"), &root).unwrap();

    desk.refuses(3, &["provision", "-P", "/dev/nope"], "/dev/nope");
    desk.refuses(3, &["provision", "-P", "/dev/nope", "--csr-only"], "/dev/nope");
    desk.refuses(2, &["provision", "-P", &port, "--endpoint", "https://host"], "host");
    let own = |name: &str| desk.stage.file(name).display().to_string();
    let labels = ["--label-dir", &own("certificates")];
    desk.refuses(5, &[&["provision", "-P", &port], &labels[..]].concat(), "one of its own files");
    desk.refuses(2, &["provision", "-P", &port, "--certificate", &file("nowhere")], "there is no such file");
    desk.refuses(4, &["-m", "jitr", "-P", "/dev/nope"], "function");
    let many = ["provision", "--endpoint", "host", "-P", &port, "-P", "/dev/nope"];
    let (plan, run) = (desk.plan(&many), stage.provisioner(&many));
    assert_eq!((plan.code, run.code), (3, 3), "{}\n{}", plan.said, run.said);
    assert_eq!(plan.lines.last(), run.lines.last(), "{}\n{}", plan.said, run.said);

    let disk = SimulatedDisk::start(Kit::AvrIotWg, SERIAL).unwrap();
    let kit = ["-P", &port, "-s", SERIAL, "--disk", disk.folder().to_str().unwrap()];
    desk.refuses(2, &[&["flash", &file("sam.hex")], &kit[..]].concat(), "sam.hex");
    desk.refuses(2, &[&["flash", &file("text.hex")], &kit[..]].concat(), "text.hex");
    desk.refuses(2, &["flash", &file("sam.hex"), "-P", &port, "--disk", &file("nowhere")], "nowhere");
    desk.refuses(3, &["wifi", "--ssid", "net", "--auth", "open", "-P", "/dev/nope"], "/dev/nope");

    desk.refuses(4, &["setup"], "function");
    desk.refuses(1, &["register", &file("x.crt"), "--result", &file("no/result.csv")], "result.csv");
    desk.refuses(5, &["register", &file("x.crt"), "--result", &own("ledger.jsonl")], "one of its own files");
    desk.refuses(2, &["revoke", "nobody"], "nobody");
    desk.refuses(4, &["replay", "--queue"], "queue");
    desk.refuses(1, &["replay", &"0".repeat(64)], "failed: 1 of 1");
}
