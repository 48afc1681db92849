//! The page for testers: its commands for CI, with AWS's own command line, and its tests in Python run as they are written there.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use testbed::beside;

use crate::server::{present, program};

const PAGE: &str = include_str!("../../docs/testers.md");

/// The code in this language of the section with this heading.
fn code(heading: &str, language: &str) -> String {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let (_, code) = section.split_once(&format!("```{language}\n")).unwrap();
    code.split_once("```").unwrap().0.to_owned()
}

/// Runs it in an empty folder, with the programs of this build and these on the PATH.
fn run(command: &mut Command, folder: &Path, programs: &[&Path]) -> Output {
    // The testbed makes the function's package of the program beside it.
    let own = beside::program("testbed").unwrap();
    beside::program("jitr").unwrap();
    let folders = programs.iter().copied().chain([own.as_path()]).filter_map(Path::parent);
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let path = folders.map(Path::to_owned).chain(std::env::split_paths(&usual));
    command
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("HOME", folder)
        .output()
        .unwrap()
}

#[test]
fn the_commands_for_ci_do_what_the_page_says() {
    let Some(aws) = program("aws") else { return };
    let folder = TempDir::new().unwrap();
    let script = format!("set -eu\n{}", code("In CI", "sh"));
    assert!(["testbed serve", "aws iot", "kill"].iter().all(|step| script.contains(step)), "{script}");
    let output = run(Command::new("sh").args(["-c", &script]), folder.path(), &[&aws]);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("ForwardSignedButUnknownDevices"), "{said}");
}

#[test]
fn the_tests_in_python_pass() {
    let Some(python) = program("python") else { return };
    let has = Command::new(&python).args(["-c", "import pytest, boto3"]).output().unwrap();
    if present("pytest and boto3", has.status.success().then_some(())).is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let code = code("From Python", "python");
    let (fixtures, tests) = code.split_once("\ndef test_").unwrap();
    std::fs::write(folder.path().join("conftest.py"), fixtures).unwrap();
    std::fs::write(folder.path().join("test_rule.py"), format!("def test_{tests}")).unwrap();
    let mut pytest = Command::new(&python);
    let output = run(pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]), folder.path(), &[]);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}
