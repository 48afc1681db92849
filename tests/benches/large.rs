//! The provisioner's commands on large accounts, ledgers and home folders, at AWS's default quotas: time, peak memory and calls.
//!
//! `cargo bench -p testbed --bench large [-- NUMBER… WORD…]` plays with 10,000 devices unless other numbers are given; it runs the
//! provisioner as built beside it, or the one that the variable PROVISIONER names. With words, it runs the commands alone whose rows
//! begin with one of them. Folders are made for 100,000 boards at the most; 1,000 devices are revoked, and as many registered and torn
//! down; 100 registrations are replayed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData};
use testbed::iot_core::account::{Account, CertificateMode, RegisterAuthority, Status};
use testbed::iot_core::control_plane::Throttle;
use testbed::manifest::Vendor;
use testbed::{Options, Testbed, beside};

/// Devices, unless other numbers are given.
const DEVICES: usize = 10_000;
/// Boards with a folder of their own, at the most.
const FOLDERS: usize = 100_000;
/// Devices that are changed one by one.
const CHANGED: usize = 1_000;
/// Registrations that are replayed.
const WAITING: usize = 100;
/// What `provisioner` tags what it makes with.
const OURS: [&str; 2] = ["zero-touch:created-by", "provisioner"];
const THING_TYPE: &str = "microchip-zero-touch-kit";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let (mut numbers, mut words) = (Vec::new(), Vec::new());
    for argument in arguments {
        argument.parse().map_or_else(|_| words.push(argument.clone()), |number: usize| numbers.push(number));
    }
    if numbers.is_empty() {
        numbers.push(DEVICES);
    }
    println!(
        "| command | devices | time, s | memory, MB | calls | throttled |\n|---|---:|---:|---:|---:|---:|"
    );
    for number in numbers {
        let stage = || {
            let options = Options { interceptor: Arc::new(Throttle::default()), ..Options::default() };
            let testbed = runtime.block_on(Testbed::start(options)).unwrap();
            Stage { testbed, folder: tempfile::tempdir().unwrap(), number, words: words.clone() }
        };
        stage().play();
        stage().tear_down();
    }
}

struct Stage {
    testbed: Testbed,
    folder: tempfile::TempDir,
    number: usize,
    /// Beginnings of the rows that are asked for.
    words: Vec<String>,
}

/// A device: its certificate's id, its thing, and its certificate.
struct Device {
    id: String,
    thing: String,
    pem: String,
}

impl Stage {
    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn play(&self) {
        self.run("", &["ca", "create"]);
        self.ledger(|board| (format!("K{board}"), format!("{board:018X}")));
        self.run("ledger", &["ledger"]);
        self.run("ledger --serial", &["ledger", "--serial", "0000"]);
        self.run("ledger check", &["ledger", "check"]);
        let lists = self.folder.path().join("lists");
        self.run("admission add --ledger", &["admission", "add", "--ledger"]);
        self.run("admission publish", &["admission", "publish", "--to", lists.to_str().unwrap()]);
        self.run("admission check", &["admission", "check", "--local", &"0".repeat(40)]);
        self.ledger(|board| ("K0".to_owned(), format!("{board:018X}")));
        self.run("ledger check, one kit for all", &["ledger", "check"]);
        std::fs::remove_file(self.home().join("ledger.jsonl")).unwrap();

        let devices = self.devices();
        if devices.is_empty() {
            return;
        }
        self.run("certificates", &["certificates"]);
        self.run("certificates DEVICE", &["certificates", &devices[0].id]);
        self.run("doctor", &["doctor"]);
        self.run("replay --local --dry-run", &["replay", "--local", "--dry-run"]);
        self.run("replay --local, 100 that wait", &["replay", "--local", "--rate", "100"]);
        let boards = &devices[..self.number.min(FOLDERS)];
        self.folders(boards);
        let offline = format!("certificates --offline, {} folders", boards.len());
        self.run(&offline, &["certificates", "--offline"]);
        self.run("certificates, with folders", &["certificates"]);
        let changed = &boards[..CHANGED.min(boards.len())];
        let list = self.folder.path().join("stolen.txt");
        let things: Vec<&str> = changed.iter().map(|device| device.thing.as_str()).collect();
        std::fs::write(&list, things.join("\n")).unwrap();
        let list = list.to_str().unwrap();
        self.run("revoke --file, 1,000 of them", &["revoke", "--file", list, "--yes"]);

        let folder = self.folder.path().join("to register");
        std::fs::create_dir(&folder).unwrap();
        for board in 0..CHANGED {
            let key = KeyPair::generate().unwrap();
            let pem = CertificateParams::default().self_signed(&key).unwrap().pem();
            std::fs::write(folder.join(format!("{board}.crt")), pem).unwrap();
        }
        let register = ["register", "--dir", folder.to_str().unwrap()];
        self.run("register, 1,000 more", &register);
        self.run("register, the same again", &register);
        self.manifest();
        self.run("teardown, of these 2,000", &["teardown", "--yes"]);
    }

    /// A manifest with one element for each device, looked through; and one with those that are registered.
    fn manifest(&self) {
        let vendor = Vendor::new("Example").unwrap();
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (signer, manifest) = (path("signer.crt"), path("delivery.json"));
        std::fs::write(&signer, vendor.signer()).unwrap();
        for (name, elements, arguments) in [
            ("register --manifest --dry-run", self.number, &["--dry-run"][..]),
            ("register --manifest, 1,000 of them", CHANGED, &[]),
        ] {
            vendor.write(&mut BufWriter::new(File::create(&manifest).unwrap()), elements).unwrap();
            let named = ["register", "--manifest", &manifest, "--manifest-signer", &signer];
            self.run(name, &[&named, arguments].concat());
        }
    }

    /// A ledger with one attempt at each board.
    fn ledger(&self, serials: impl Fn(usize) -> (String, String)) {
        let mut text = String::new();
        for board in 0..self.number {
            let (kit, element) = serials(board);
            writeln!(
                text,
                r#"{{"when":"2026-03-01T08:30:15Z","station":"bench-1","port":"/dev/ttyACM0","usb_serial":"{kit}","secure_element_serial":"{element}","thing_name":"{board:040x}","certificate_id":"{board:064x}","method":"jitr","attested":false,"outcome":"provisioned","error":null,"seconds":1.25}}"#
            )
            .unwrap();
        }
        std::fs::write(self.home().join("ledger.jsonl"), text).unwrap();
    }

    /// Devices of the home's signer CA, in the account with their things; some more wait for their registration.
    fn devices(&self) -> Vec<Device> {
        if self.leaves_out(&["certificates", "doctor", "replay", "revoke", "register", "teardown"]) {
            return Vec::new();
        }
        let home = self.home();
        let pem = std::fs::read_to_string(home.join("signer-ca.crt")).unwrap();
        let key = KeyPair::from_pem(&std::fs::read_to_string(home.join("signer-ca.key")).unwrap()).unwrap();
        let signer = Issuer::from_ca_cert_pem(&pem, key).unwrap();
        let mut account = self.testbed.account();
        account.register_authority(authority(pem)).unwrap();
        for board in 0..WAITING {
            let (_, pem) = issued(&signer, &format!("waiting {board}"));
            account.register_certificate(&pem, None, Status::PendingActivation).unwrap();
        }
        (0..self.number).map(|board| device(&mut account, &signer, board, None)).collect()
    }

    /// The same for a CA that this tool has registered, and removing all of it.
    fn tear_down(&self) {
        if self.leaves_out(&["teardown"]) {
            return;
        }
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        {
            let mut account = self.testbed.account();
            let id = account.register_authority(authority(pem)).unwrap();
            let tagged = account.authority_arn(&id);
            account.tag(&tagged, [OURS.map(str::to_owned).into()]).unwrap();
            account.create_thing_type(THING_TYPE, serde_json::json!({})).unwrap();
            let signer = Issuer::new(params, key);
            (0..CHANGED).for_each(|board| drop(device(&mut account, &signer, board, Some(THING_TYPE))));
        }
        self.run("teardown --dry-run, 1,000 of a CA", &["teardown", "--dry-run"]);
        self.run("teardown, 1,000 of a CA", &["teardown", "--yes"]);
    }

    /// The folders of the boards, and the certificates that are kept.
    fn folders(&self, boards: &[Device]) {
        for (number, Device { id, thing, pem }) in boards.iter().enumerate() {
            let folder = self.home().join(format!("K{number}"));
            let kept = self.home().join("certificates").join(thing);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::create_dir_all(&kept).unwrap();
            std::fs::write(folder.join("device.crt"), pem).unwrap();
            std::fs::write(folder.join("aws-thing-name.txt"), thing).unwrap();
            std::fs::write(kept.join(format!("{id}.crt")), pem).unwrap();
        }
    }

    /// Whether no row is asked for that begins with one of these.
    fn leaves_out(&self, commands: &[&str]) -> bool {
        let asks_for = |command: &&str| self.words.iter().any(|word| word.starts_with(command));
        !self.words.is_empty() && !commands.iter().any(asks_for)
    }

    /// Runs a command and prints its row, if it has a name.
    fn run(&self, name: &str, arguments: &[&str]) {
        let is_asked_for = |word: &String| name.starts_with(word.as_str());
        if !name.is_empty() && !self.words.is_empty() && !self.words.iter().any(is_asked_for) {
            return;
        }
        let before = self.testbed.journal().calls().len();
        let program = std::env::var_os("PROVISIONER").map(PathBuf::from);
        let program = program.or_else(|| beside::program("provisioner").ok());
        let mut command = Command::new(program.expect("build the programs with this bench's profile"));
        command
            .args(arguments)
            .args(["--output", "json", "--non-interactive"])
            .env_clear()
            .env("MICROCHIP_IOT_HOME", self.home())
            .env("HOME", self.folder.path())
            .envs(self.testbed.access().environment())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let begun = Instant::now();
        let mut run = command.spawn().unwrap();
        let mut peak = 0;
        while run.try_wait().unwrap().is_none() {
            peak = memory(run.id()).unwrap_or(peak);
            std::thread::sleep(Duration::from_millis(5));
        }
        let code = run.wait().unwrap().code();
        let took = begun.elapsed().as_secs_f64();
        // A check that finds something ends with 1, and `doctor` with 4 where nothing is set up.
        assert!(matches!(code, Some(0 | 1 | 4)), "{name}: {code:?}");
        let calls = self.testbed.journal().calls().split_off(before);
        let throttled = calls
            .iter()
            .filter(|call| matches!(&call.outcome, Err((code, _)) if code == "ThrottlingException"));
        if !name.is_empty() {
            println!(
                "| `{name}` | {} | {took:.1} | {} | {} | {} |",
                self.number,
                peak / 1024,
                calls.len(),
                throttled.count()
            );
        }
    }
}

fn authority(certificate: String) -> RegisterAuthority {
    RegisterAuthority {
        certificate,
        verification: None,
        mode: CertificateMode::SniOnly,
        active: true,
        auto_registration: true,
        registration_config: None,
    }
}

/// A new key and its certificate.
fn issued(signer: &Issuer<'_, KeyPair>, name: &str) -> (KeyPair, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = params.signed_by(&key, signer).unwrap().pem();
    (key, pem)
}

/// A device of a CA, in the account with its thing.
fn device(
    account: &mut Account,
    signer: &Issuer<'_, KeyPair>,
    board: usize,
    thing_type: Option<&str>,
) -> Device {
    let (key, pem) = issued(signer, &format!("board {board}"));
    let thing = identifier(&key);
    let id = account.register_certificate(&pem, None, Status::Active).unwrap();
    account.create_thing(&thing, thing_type, Default::default(), None).unwrap();
    let arn = account.certificate_arn(&id);
    account.attach_thing_principal(&thing, &arn, false).unwrap();
    Device { id, thing, pem }
}

/// The name that a device's thing gets: SHA-1 of the public key bits, 40 hex digits.
fn identifier(key: &KeyPair) -> String {
    hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.der_bytes()))
}

/// The most memory that a process has had so far, in KiB.
fn memory(process: u32) -> Option<usize> {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
