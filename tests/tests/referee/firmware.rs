//! The kits' own provisioning firmware as a referee, on models of the kits' chips. Nothing of it is kept here: the hex files come
//! from the Python package `pykitcommander`, and what the firmware answers is asked anew each time.

use std::process::{Command, Stdio};

use kit_hardware::Board;
use tempfile::TempDir;
use testbed::beside;
use testbed::board::Seed;
use testbed::board::emulated::kit_options;

use crate::server;

mod noise;
mod protocol;
mod provisioning;
mod simulated;
mod states;

/// Firmware images, by their paths in the package's folder `fw`.
const AVR: &str = "avr/atmega4808-iot-provision-v2.hex";
const SAM: &str = "sam/samd21g18a-iot-provision.hex";
const SAM_WX: &str = "sam/samd21g18a-iot-wx-provision.hex";

/// Prints the folder of the package, and imports nothing of it.
const FOLDER: &str = "\
import importlib.util
print(importlib.util.find_spec('pykitcommander').submodule_search_locations[0], end='')";

/// The text of an image, or `None` after saying that the package is missing.
fn image(path: &str) -> Option<String> {
    let folder = || {
        let python = server::program("python")?;
        let output = Command::new(python).args(["-c", FOLDER]).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let read = |folder| std::fs::read_to_string(format!("{folder}/fw/{path}")).ok();
    server::present(&format!("pykitcommander, {path}"), folder().and_then(read))
}

/// A kit with an image, ready for commands, and what it printed.
fn booted(hex: &str, seed: Seed) -> (Board, String) {
    let mut board = Board::new(hex, &kit_options(seed).unwrap()).unwrap();
    let printed = board.boot().unwrap();
    (board, String::from_utf8(printed).unwrap())
}

/// A user with a home of their own, and a certificate authority in it.
struct User(TempDir);

/// What a run ended with, and what it printed.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl User {
    fn new() -> Self {
        let user = Self(TempDir::new().unwrap());
        user.ends_well(&["ca", "create"]);
        user
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let output = Command::new(beside::program("provisioner").unwrap())
            .args(arguments)
            .arg("--non-interactive")
            .env_clear()
            .env("MICROCHIP_IOT_HOME", self.0.path())
            .env("HOME", self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn ends_well(&self, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}\n{}{}", run.stdout, run.stderr);
        run
    }
}

/// What OpenSSL prints; it has to end well.
fn openssl(arguments: &[&str], input: &std::path::Path) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).arg(input).output().unwrap();
    assert!(output.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
