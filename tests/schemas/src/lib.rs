//! What the provisioner prints as JSON, held against the schemas of `provisioner/docs/schemas`.
//!
//! Every run of the provisioner in an end-to-end test goes through [`checked`]. A crate of its own, so that programs and
//! tests are built with one set of features.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is the test's result")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use serde_json::Value;

/// Name of the schema with the properties, which the others refer to.
pub const COMMON: &str = "common";

static DOCUMENTS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../provisioner/docs/schemas");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: &Path| serde_json::from_slice(&std::fs::read(path).unwrap());
    paths
        .map(|path| {
            let schema = read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), schema)
        })
        .collect()
});

static VALIDATORS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let files = DOCUMENTS.iter().map(|(name, schema)| (format!("schemas:///{name}.json"), schema.clone()));
    let files = Registry::new().extend(files).unwrap().prepare().unwrap();
    let compiled = DOCUMENTS.iter().map(|(name, schema)| {
        let options = jsonschema::options().with_registry(&files).with_base_uri("schemas:///");
        let validator = options.should_validate_formats(true).build(schema);
        (name.as_str(), validator.unwrap_or_else(|error| panic!("{name}.json: {error}")))
    });
    compiled.collect()
});

/// Every schema, by the name of its file without `.json`.
pub fn documents() -> &'static BTreeMap<String, Value> {
    &DOCUMENTS
}

/// Whether the schema with this name allows `object`.
///
/// # Errors
/// Why it does not, or that there is no such schema.
pub fn validate(name: &str, object: &Value) -> Result<(), String> {
    let validator = VALIDATORS.get(name).filter(|_| name != COMMON);
    let validator = validator.ok_or_else(|| format!("there is no schema {name}.json"))?;
    validator.validate(object).map_err(|error| format!("{name}.json does not allow it: {error}"))
}

/// Name of the schema for a command line: that of the command and its subcommand, `provisioner` for the form without one.
fn schema_of(arguments: &[&str]) -> String {
    let known: Vec<&str> = DOCUMENTS.keys().filter_map(|name| name.split('-').next()).collect();
    let Some(command) = arguments.iter().position(|word| known.contains(word)) else {
        return "provisioner".to_owned();
    };
    // With its flags, what follows is a word of iotprovision.
    if arguments[..command].iter().any(|word| ["-c", "-m"].contains(word)) {
        return "provisioner".to_owned();
    }
    let words = &arguments[command..];
    let both = words.get(..2).map(|words| words.join("-"));
    both.filter(|both| DOCUMENTS.contains_key(both)).unwrap_or_else(|| words[0].to_owned())
}

fn asks_for_json(arguments: &[&str]) -> bool {
    arguments.contains(&"--output=json") || arguments.windows(2).any(|pair| pair == ["--output", "json"])
}

/// The objects among the lines that a run with these arguments has printed, which all have to be as the schema says.
///
/// # Panics
/// They are not.
pub fn checked(arguments: &[&str], stdout: &str) -> Vec<Value> {
    // What a killed run was writing has no end.
    let lines = stdout.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    // Of several boards, programs get JSON without asking.
    let lines = lines.filter(|line| asks_for_json(arguments) || line.starts_with("{\""));
    lines.map(|line| checked_line(arguments, line)).collect()
}

/// The object that a run with these arguments has printed, which has to be as the schema says.
///
/// # Panics
/// It is not.
pub fn checked_line(arguments: &[&str], line: &str) -> Value {
    let object = serde_json::from_str(line).unwrap_or_else(|_| panic!("{arguments:?}: no object: {line}"));
    assert!(line.starts_with("{\"schema_version\":"), "{arguments:?}: the version comes first: {line}");
    let name = schema_of(arguments);
    validate(&name, &object).unwrap_or_else(|error| panic!("{arguments:?} printed {line}{error}"));
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_no_schema_allows_fails_its_test() {
        let checked = |arguments: &'static [&str], line: &'static str| {
            std::panic::catch_unwind(|| checked(arguments, line).len()).map_err(|_| ())
        };
        const CHECK: &[&str] = &["--output", "json", "ledger", "check"];
        assert_eq!(checked(CHECK, "{\"schema_version\":1,\"attempts\":2,\"findings\":0}\n"), Ok(1));
        for line in [
            "attempts: 2\n",
            "{\"attempts\":2,\"findings\":0}\n",
            "{\"schema_version\":2,\"attempts\":2,\"findings\":0}\n",
            "{\"schema_version\":1,\"attempts\":2}\n",
            "{\"schema_version\":1,\"attempts\":\"2\",\"findings\":0}\n",
            "{\"schema_version\":1,\"attempts\":2,\"findings\":0,\"kit_serial\":\"\"}\n",
        ] {
            assert_eq!(checked(CHECK, line), Err(()), "{line}");
        }
        let of_another = "{\"schema_version\":1,\"attempts\":2,\"findings\":0}\n";
        assert_eq!(checked(&["ledger", "--output=json"], of_another), Err(()));
        const WITHOUT: &[&str] = &["completions", "--output=json", "bash"];
        assert_eq!(checked(WITHOUT, of_another), Err(()), "it has no schema");
        let when = |when: &str| {
            let line = format!(
                "{{\"schema_version\":1,\"number\":1,\"when\":\"{when}\",\"station\":\"s\",\"authority_key_identifier\":\"{0}\",\"purpose\":\"signing_request\",\"document\":\"unknown\",\"sha256\":\"{1}\",\"previous\":\"{1}\"}}\n",
                "1f".repeat(20),
                "1f".repeat(32)
            );
            checked(&["audit", "show", "--output=json"], line.leak())
        };
        assert_eq!(when("2026-03-01T08:30:15Z"), Ok(1));
        assert_eq!(when("yesterday"), Err(()), "formats are looked at");
    }
}
