//! The provisioner's commands on large accounts, ledgers and home folders, at AWS's default quotas: time, peak memory and calls.
//!
//! `cargo bench -p testbed --bench large [-- NUMBER…]` plays with 10,000 devices unless other numbers are given; it runs the
//! provisioner as built beside it, or the one that the variable PROVISIONER names. Folders are made for 100,000 boards at the
//! most; 1,000 devices are revoked, and as many registered and torn down.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PublicKeyData};
use testbed::iot_core::account::{CertificateMode, RegisterAuthority, Status};
use testbed::iot_core::control_plane::Throttle;
use testbed::manifest::Vendor;
use testbed::{Options, Testbed, beside};

/// Devices, unless other numbers are given.
const DEVICES: usize = 10_000;
/// Boards with a folder of their own, at the most.
const FOLDERS: usize = 100_000;
/// Devices that are changed one by one.
const CHANGED: usize = 1_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut numbers: Vec<usize> =
        std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    if numbers.is_empty() {
        numbers.push(DEVICES);
    }
    println!(
        "| command | devices | time, s | memory, MB | calls | throttled |\n|---|---:|---:|---:|---:|---:|"
    );
    for number in numbers {
        let options = Options { interceptor: Arc::new(Throttle::default()), ..Options::default() };
        let stage = Stage {
            testbed: runtime.block_on(Testbed::start(options)).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            number,
        };
        stage.play();
    }
}

struct Stage {
    testbed: Testbed,
    folder: tempfile::TempDir,
    number: usize,
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
        self.ledger(|board| ("K0".to_owned(), format!("{board:018X}")));
        self.run("ledger check, one kit for all", &["ledger", "check"]);
        std::fs::remove_file(self.home().join("ledger.jsonl")).unwrap();

        let devices = self.devices();
        self.run("certificates", &["certificates"]);
        self.run("certificates DEVICE", &["certificates", &devices[0].id]);
        let boards = &devices[..self.number.min(FOLDERS)];
        self.folders(boards);
        self.run("certificates --offline, with folders", &["certificates", "--offline"]);
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

    /// Devices of the home's signer CA, in the account with their things.
    fn devices(&self) -> Vec<Device> {
        let pem = std::fs::read_to_string(self.home().join("signer-ca.crt")).unwrap();
        let key =
            KeyPair::from_pem(&std::fs::read_to_string(self.home().join("signer-ca.key")).unwrap()).unwrap();
        let signer = Issuer::from_ca_cert_pem(&pem, key).unwrap();
        let mut account = self.testbed.account();
        let authority = RegisterAuthority {
            certificate: pem,
            verification: None,
            mode: CertificateMode::SniOnly,
            active: true,
            auto_registration: true,
            registration_config: None,
        };
        account.register_authority(authority).unwrap();
        (0..self.number)
            .map(|board| {
                let mut params = CertificateParams::default();
                params.distinguished_name.push(DnType::CommonName, format!("board {board}"));
                let key = KeyPair::generate().unwrap();
                let pem = params.signed_by(&key, &signer).unwrap().pem();
                let thing = identifier(&key);
                let id = account.register_certificate(&pem, None, Status::Active).unwrap();
                account.create_thing(&thing, None, Default::default(), None).unwrap();
                let arn = account.certificate_arn(&id);
                account.attach_thing_principal(&thing, &arn, false).unwrap();
                Device { id, thing, pem }
            })
            .collect()
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

    /// Runs a command and prints its row, if it has a name.
    fn run(&self, name: &str, arguments: &[&str]) {
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
        // A check that finds something ends with 1.
        assert!(matches!(code, Some(0 | 1)), "{name}: {code:?}");
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
