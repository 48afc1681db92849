//! The firmware that Microchip publishes, unmodified: every image of the catalogue is what its SHA-256 says, suits its kits, and
//! takes a simulated kit from its demo to its demo.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testbed::beside;
use testbed::board::{Kit, Options, SimulatedBoard, SimulatedDisk};
use testbed::certificate_store::CertificateStore;

use crate::server::program;

const SERIAL: &str = "MCHP3261021800001234";
const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

/// A user, in whose Python the packages are installed.
struct User {
    home: tempfile::TempDir,
    python: PathBuf,
}

impl User {
    /// Runs the provisioner; gives its lines.
    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Vec<Value> {
        let output = Command::new(beside::program("provisioner").unwrap())
            .args(["--output", "json"])
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", self.python.parent().unwrap())
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[test]
fn the_published_images_are_the_pinned_ones_and_take_every_wifi_kit_from_its_demo_to_the_end() {
    let Some(python) = program("python") else { return };
    let user = User { home: tempfile::tempdir().unwrap(), python };
    let listed = user.run(&["firmware", "list"], &[]);
    let fetched = user.run(&["firmware", "fetch"], &[]);
    assert!(!listed.is_empty() && listed.len() == fetched.len());
    for line in &fetched {
        let shown = &user.run(&["firmware", "show", line["name"].as_str().unwrap()], &[])[0];
        let memories = shown["memories"].as_array().unwrap();
        assert_eq!(memories[0]["memory"], "flash", "{shown}");
        assert_eq!(memories[0]["first_address"], 0, "{shown}");
    }

    user.run(&["ca", "create"], &[]);
    for kit in Kit::ALL.into_iter().filter(|kit| kit.has_wifi_module()) {
        let board = SimulatedBoard::start(Options { kit, runs_demo: true, ..Options::instant(95) }).unwrap();
        let disk = SimulatedDisk::of(&board, SERIAL).unwrap();
        let ports = format!("{}={SERIAL}", board.path().display());
        let named =
            [("MICROCHIP_IOT_PORTS", &*ports), ("MICROCHIP_IOT_DISKS", disk.folder().to_str().unwrap())];
        // The key of each board is the same, and so its folder.
        user.run(&["provision", "--program", "--force", "--endpoint", ENDPOINT], &named);
        let has_demo = listed.iter().any(|line| {
            let kits = line["kits"].as_array().unwrap();
            line["program"] == "application" && kits.iter().any(|name| name == kit.name())
        });
        assert_eq!(
            (board.runs_demo(), disk.programmed().len()),
            (has_demo, 1 + usize::from(has_demo)),
            "{kit}"
        );
        let store = CertificateStore::read(&board.flash()).unwrap();
        assert_eq!(store.endpoint, ENDPOINT, "{kit}");
        if has_demo {
            assert_eq!(board.names(), Some((store.thing_name, store.endpoint)), "{kit}");
        }
    }
}
