//! Multi-account registration at AWS's default quotas: how much of the tightest quota `provisioner register` uses, with
//! further throttling and two kills in between, and whether anything is done twice.
//!
//! `cargo bench -p testbed --bench register [-- NUMBER]` registers 2,000 certificates unless another number is given; it runs
//! the provisioner as built beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use testbed::iot_core::control_plane::{Fault, Interceptor, Operation, Throttle, throttled};
use testbed::iot_core::quota::default_rate;
use testbed::journal::Journal;
use testbed::{Access, Options, Testbed, beside};

const CERTIFICATES: usize = 2000;
const KILLS: usize = 2;
/// One call in so many is throttled although it is within the quota: another program uses the quota, too.
const THROTTLED: usize = 500;
/// The calls that each certificate costs; the tightest of their quotas is the limit.
const CALLS: [&str; 6] = [
    "RegisterCertificateWithoutCA",
    "DescribeCertificate",
    "CreateThing",
    "AttachThingPrincipal",
    "AttachPolicy",
    "UpdateCertificate",
];
/// The least share of the tightest quota that is to be used.
const SHARE: f64 = 0.95;

/// AWS's quotas, and another program that uses them up now and then.
#[derive(Default)]
struct Busy {
    quotas: Throttle,
    calls: AtomicUsize,
}

impl Interceptor for Busy {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match operation.service == "iot" && number.is_multiple_of(THROTTLED) {
            true => Some(throttled()),
            false => self.quotas.intercept(operation),
        }
    }
}

fn main() {
    let number = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(CERTIFICATES);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let options = Options { interceptor: Arc::new(Busy::default()), ..Options::default() };
    let testbed = runtime.block_on(Testbed::start(options)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for board in 0..number {
        let certificate =
            CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        std::fs::write(folder.path().join(format!("{board}.crt")), certificate).unwrap();
    }

    let mut running = Duration::ZERO;
    for part in 1..=KILLS {
        let begun = Instant::now();
        let mut run = register(folder.path(), testbed.access()).spawn().unwrap();
        while activated(testbed.journal()).len() < number * part / (KILLS + 1) {
            assert!(run.try_wait().unwrap().is_none(), "it ended before it could be killed");
            std::thread::sleep(Duration::from_millis(20));
        }
        run.kill().unwrap();
        run.wait().unwrap();
        running += begun.elapsed();
        println!(
            "killed after {:.1} s with {} registered",
            running.as_secs_f64(),
            activated(testbed.journal()).len()
        );
    }
    let begun = Instant::now();
    let status = register(folder.path(), testbed.access()).status().unwrap();
    running += begun.elapsed();
    assert!(status.success(), "the last run failed");

    let calls = testbed.journal().calls();
    let activations = activated(testbed.journal());
    let throttled =
        calls.iter().filter(|call| matches!(&call.outcome, Err((code, _)) if code == "ThrottlingException"));
    let registered: BTreeSet<_> = activations.iter().collect();
    let admitted = succeeded(&calls, "RegisterCertificateWithoutCA");
    let twice = (activations.len() - registered.len()) + admitted.saturating_sub(number);
    let quota = CALLS.map(default_rate).into_iter().fold(f64::INFINITY, f64::min);
    let rate = number as f64 / running.as_secs_f64();
    println!("certificates registered  {:>9} of {number}", registered.len());
    println!("done twice               {twice:>9}");
    println!("throttled calls          {:>9}", throttled.count());
    println!(
        "time                     {:>9.1} s, two kills and three starts included",
        running.as_secs_f64()
    );
    println!("rate                     {rate:>9.2} certificates a second");
    println!("share of the quota       {:>9.1} % of {quota} a second", rate / quota * 100.0);
    assert_eq!((registered.len(), twice), (number, 0));
    assert!(rate / quota >= SHARE, "the rate is below {SHARE} of the quota");
}

fn register(folder: &Path, access: &Access) -> Command {
    let mut command =
        Command::new(beside::program("provisioner").expect("build the programs with this bench's profile"));
    command
        .args(["register", "--dir"])
        .arg(folder)
        .env_clear()
        .env("MICROCHIP_IOT_HOME", folder.join("home"))
        .env("HOME", folder)
        .envs(access.environment())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The certificates that were made ACTIVE, one entry each time.
fn activated(journal: &Journal) -> Vec<String> {
    let calls = journal.calls().into_iter();
    calls
        .filter(|call| call.operation == "UpdateCertificate" && call.outcome.is_ok())
        .map(|call| call.argument)
        .collect()
}

fn succeeded(calls: &[testbed::journal::Call], operation: &str) -> usize {
    calls.iter().filter(|call| call.operation == operation && call.outcome.is_ok()).count()
}
