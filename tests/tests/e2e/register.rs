//! Multi-account registration of many certificates, throttled as AWS throttles and killed in between.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use schemas::checked;
use testbed::beside;
use testbed::iot_core::control_plane::Throttle;
use testbed::wait;
use testbed::{Access, Options};

use crate::account::{Account, Ca};

const CERTIFICATES: usize = 240;
/// Calls a second that each API allows.
const QUOTA: f64 = 60.0;

/// The provisioner with its own home and the testbed as its AWS.
fn provisioner(home: &Path, access: &Access) -> Command {
    let mut command = Command::new(beside::program("provisioner").unwrap());
    command
        .args(["--output", "json", "--non-interactive"])
        .env_clear()
        .env("HOME", home)
        .env("MICROCHIP_IOT_HOME", home)
        .envs(access.environment())
        .stderr(Stdio::null());
    command
}

fn register(home: &Path, certificates: &Path, access: &Access) -> Command {
    let mut command = provisioner(home, access);
    command.arg("register").arg("--dir").arg(certificates).arg("--result").arg(home.join("result.csv"));
    for api in [
        "RegisterCertificateWithoutCA",
        "DescribeCertificate",
        "UpdateCertificate",
        "AttachPolicy",
        "CreateThing",
        "AttachThingPrincipal",
    ] {
        command.arg("--quota").arg(format!("{api}={QUOTA}"));
    }
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn every_certificate_is_registered_once_although_calls_are_throttled_and_runs_are_killed() {
    let throttle = Arc::new(Throttle::new(|_| QUOTA));
    let account = Account::with(Options { interceptor: throttle, ..Options::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let (home, certificates) = (folder.path().join("home"), folder.path().join("certificates"));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::create_dir_all(&certificates).unwrap();
    let ca = Ca::new("Signer");
    for number in 0..CERTIFICATES {
        std::fs::write(certificates.join(format!("{number:04}.crt")), ca.issue(&format!("board {number}")))
            .unwrap();
    }
    let access = account.testbed.access().clone();
    let succeeded = |operation: &str| {
        let calls = account.testbed.journal().calls();
        calls.iter().filter(|call| call.operation == operation && call.outcome.is_ok()).count()
    };
    let active = || succeeded("UpdateCertificate");

    for killed_after in [CERTIFICATES / 4, CERTIFICATES / 2] {
        let mut run = register(&home, &certificates, &access).stdout(Stdio::null()).spawn().unwrap();
        wait::found("certificates enough", async || {
            assert!(run.try_wait().unwrap().is_none(), "it ended before it could be killed");
            (active() >= killed_after).then_some(())
        })
        .await
        .unwrap();
        run.kill().unwrap();
        run.wait().unwrap();
    }
    let begun = (Instant::now(), active());
    let output =
        tokio::task::spawn_blocking(move || register(&home, &certificates, &access).output().unwrap());
    let output = output.await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{lines}");
    assert_eq!(checked(&["register", "--output=json"], &lines).len(), CERTIFICATES);
    assert_eq!(active(), CERTIFICATES);
    let rate = (CERTIFICATES - begun.1) as f64 / begun.0.elapsed().as_secs_f64();
    println!("the last run registered {rate:.1} certificates a second of the {QUOTA} that the quota allows");

    assert_eq!(succeeded("RegisterCertificateWithoutCA"), CERTIFICATES);
    let home = folder.path().join("home");
    let access = account.testbed.access().clone();
    let doctor = move || provisioner(&home, &access).args(["doctor", "--method", "mar"]).output().unwrap();
    let doctor = tokio::task::spawn_blocking(doctor).await.unwrap();
    let found = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.status.success(), "{found}");
    checked(&["doctor", "--output=json"], &found);
    let result = std::fs::read_to_string(folder.path().join("home/result.csv")).unwrap();
    assert_eq!(result.lines().count(), CERTIFICATES + 1);
}
