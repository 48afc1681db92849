//! The crates of the program, the layers of the crate `provisioner`, and which uses which: no arrow upwards, no circle.
//!
//! `cargo test -p provisioner --test crates -- --nocapture` draws the pictures that CONTRIBUTING shows, and the modules of
//! each layer.
#![allow(clippy::unwrap_used, reason = "a failure is the test's result")]

mod files;
mod layers;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Each crate may use those behind it.
const ORDER: [&str; 6] = ["provisioner", "iot-account", "jitr", "device-pki", "iot-kit", "durable-files"];

/// The crates of the program that each of them uses, tests left out.
fn uses() -> Vec<(&'static str, Vec<&'static str>)> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let uses = |name: &str| {
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        let used = |other: &&str| {
            package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .any(|found| found["name"] == **other && found["kind"].is_null())
        };
        ORDER.into_iter().filter(used).collect()
    };
    ORDER.map(|name| (name, uses(name))).to_vec()
}

#[test]
fn every_crate_uses_only_crates_below_it() {
    for (at, (name, used)) in uses().into_iter().enumerate() {
        for other in used {
            assert!(ORDER[at + 1..].contains(&other), "{name} uses {other}, which is not below it");
        }
    }
}

#[test]
fn contributing_shows_the_crates_as_they_are() {
    assert_contributing_shows(&picture(&uses()));
}

/// `cargo deny` refuses every use that deny.toml does not list.
#[test]
fn the_ban_list_allows_the_crates_as_they_are() {
    let bans = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deny.toml")).unwrap();
    let uses = uses();
    for name in ORDER {
        let users: Vec<_> =
            uses.iter().filter(|(_, used)| used.contains(&name)).map(|(user, _)| *user).collect();
        let Some((_, listed)) = bans.split_once(&format!("{{ crate = \"{name}\", wrappers = ")) else {
            assert!(users.is_empty(), "deny.toml lists no user of {name}");
            continue;
        };
        let (listed, _) = listed.split_once(" }").unwrap();
        let mut listed: Vec<String> = serde_json::from_str(listed).unwrap();
        // Crates for tests are allowed besides.
        listed.retain(|user| ORDER.contains(&user.as_str()));
        listed.sort_by_key(|user| ORDER.iter().position(|name| name == user));
        assert_eq!(listed, users, "the users of {name}: deny.toml on the left, the crates on the right");
    }
}

/// A line for each name, with what it uses.
fn picture(uses: &[(&str, Vec<&str>)]) -> String {
    let line = |(name, used): &(&str, Vec<&str>)| match used.as_slice() {
        [] => format!("{name}\n"),
        used => format!("{name:<13} → {}\n", used.join(", ")),
    };
    uses.iter().map(line).collect()
}

fn assert_contributing_shows(picture: &str) {
    println!("{picture}");
    let contributing = Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONTRIBUTING.md");
    let contributing = std::fs::read_to_string(contributing).unwrap();
    assert!(contributing.contains(picture), "CONTRIBUTING.md shows another picture than this:\n{picture}");
}
