//! The threat model names tests: each of them exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = include_str!("../../../provisioner/docs/threat-model.md");
/// What a row says that has no test.
const ACCEPTED: &str = "accepted";

/// The last cell of every row about a threat: tests in back quotes, or that it is accepted.
fn shown_by() -> Vec<String> {
    let rows =
        DOCUMENT.lines().skip_while(|line| *line != "## Threats").filter(|line| line.starts_with("| "));
    rows.skip(1).map(|row| row.trim_end_matches('|').rsplit('|').next().unwrap().trim().to_owned()).collect()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, files),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
}

/// Names of the functions that carry a test attribute, in all of the workspace.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    let libraries = ["account", "files", "kit", "pki"].map(|library| format!("provisioner/{library}"));
    for package in ["lambda", "provisioner", "tests"].into_iter().chain(libraries.iter().map(String::as_str))
    {
        for folder in ["src", "tests"].map(|folder| root.join(package).join(folder)) {
            if folder.is_dir() {
                sources(&folder, &mut files);
            }
        }
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let mut attributed = false;
        for line in text.lines().map(str::trim) {
            if line == "#[test]" || line.starts_with("#[tokio::test") {
                attributed = true;
            } else if attributed && let Some((_, rest)) = line.split_once("fn ") {
                names.insert(rest.split(['(', '<']).next().unwrap().to_owned());
                attributed = false;
            }
        }
    }
    names
}

#[test]
fn every_threat_is_accepted_or_names_tests_that_exist() {
    let (rows, tests) = (shown_by(), tests());
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        let named: Vec<&str> = quoted(&row).collect();
        assert!(
            row.starts_with(ACCEPTED) || !named.is_empty(),
            "neither accepted nor shown by a test: {row}"
        );
        for name in named {
            assert!(tests.contains(name), "there is no test {name}");
        }
    }
}
