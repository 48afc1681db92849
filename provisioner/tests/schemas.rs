//! The schemas of what the commands print as JSON: every command has one, and one name is one property with one meaning.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure is the test's result")]

use std::collections::BTreeSet;

use schemas::{COMMON, documents, validate};
use serde_json::{Map, Value};

/// What prints no JSON.
const WITHOUT_JSON: [&str; 3] = ["completions", "ledger export", "man"];

/// Every command that can be run, in its words.
fn commands(definition: &clap::Command, words: &str, commands: &mut BTreeSet<String>) {
    for command in definition.get_subcommands() {
        let words = format!("{words} {}", command.get_name()).trim().to_owned();
        if !command.is_subcommand_required_set() {
            commands.insert(words.clone());
        }
        self::commands(command, &words, commands);
    }
}

/// Calls `visit` with every schema for an object, those inside of others included.
fn objects<'a>(schema: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match schema {
        Value::Object(object) => {
            if object.contains_key("properties") {
                visit(object);
            }
            let parts = object.iter().filter(|(keyword, _)| *keyword != "examples");
            parts.for_each(|(_, part)| objects(part, visit));
        }
        Value::Array(parts) => parts.iter().for_each(|part| objects(part, visit)),
        _ => {}
    }
}

#[test]
fn every_command_has_a_schema_and_every_schema_a_command() {
    let mut found = BTreeSet::new();
    commands(&provisioner::cli::definition(), "", &mut found);
    for command in WITHOUT_JSON {
        assert!(found.remove(command), "there is no command {command}");
    }
    let mut names: BTreeSet<String> = found.iter().map(|command| command.replace(' ', "-")).collect();
    names.extend([COMMON.to_owned(), "provisioner".to_owned()]);
    assert_eq!(documents().keys().cloned().collect::<BTreeSet<_>>(), names);
}

#[test]
fn every_schema_allows_its_examples_and_an_error_and_nothing_beyond() {
    let failure = serde_json::json!({
        "schema_version": provisioner::contract::SCHEMA_VERSION, "error": "no", "help": "try", "exit_code": 1
    });
    for (name, schema) in documents().iter().filter(|(name, _)| *name != COMMON) {
        let examples = schema["examples"].as_array().filter(|examples| !examples.is_empty());
        let examples = examples.unwrap_or_else(|| panic!("{name} has no examples"));
        for example in examples.iter().chain([&failure]) {
            validate(name, example).unwrap_or_else(|error| panic!("{example}: {error}"));
            let changed = |change: &dyn Fn(&mut Map<String, Value>)| {
                let mut changed = example.clone();
                change(changed.as_object_mut().unwrap());
                validate(name, &changed)
            };
            let more = changed(&|line| drop(line.insert("of_a_later_version".to_owned(), Value::Null)));
            assert!(more.is_err(), "{name} allows a property that it does not name");
            let unversioned = changed(&|line| drop(line.remove("schema_version")));
            assert!(unversioned.is_err(), "{name} allows a line without a version");
        }
    }
}

/// Whether `schema` is the property `name` of the common file, perhaps narrowed, or null instead.
fn refers_to(schema: &Value, name: &str) -> bool {
    let common = format!("#/$defs/{name}");
    let refers = |schema: &Value| {
        schema["$ref"].as_str().is_some_and(|reference| {
            reference == common || reference.strip_prefix("common.json") == Some(&common)
        })
    };
    let or_null = |schemas: &Vec<Value>| {
        schemas.len() == 2 && refers(&schemas[0]) && schemas[1] == serde_json::json!({"type": "null"})
    };
    refers(schema) || schema["anyOf"].as_array().is_some_and(or_null)
}

#[test]
fn a_name_is_one_property_that_is_described_once() {
    // Other words for what has a name.
    const SYNONYMS: [&str; 19] = [
        "ca",
        "ca_id",
        "created_at",
        "date",
        "ecc_serial",
        "expires",
        "fingerprint",
        "id",
        "key_id",
        "kit_serial",
        "list_number",
        "path",
        "result",
        "retired",
        "serial",
        "ski",
        "thing",
        "time",
        "trouble",
    ];
    let common = documents()[COMMON]["$defs"].as_object().unwrap();
    let mut used = BTreeSet::new();
    for (file, schema) in documents() {
        objects(schema, &mut |object| {
            assert_eq!(object["type"], "object", "{file}");
            assert_eq!(object.get("additionalProperties"), Some(&Value::Bool(false)), "{file}: {object:?}");
            let properties = object["properties"].as_object().unwrap();
            for (name, property) in properties {
                assert!(!SYNONYMS.contains(&name.as_str()), "{file}: {name} has another name");
                assert!(common.contains_key(name), "{file}: {name} is not in common.json");
                assert!(refers_to(property, name), "{file}: {name} is not what common.json says of it");
                used.insert(name.clone());
            }
            let required = object["required"].as_array().unwrap();
            assert!(required.iter().all(|name| properties.contains_key(name.as_str().unwrap())), "{file}");
        });
    }
    for (name, property) in common {
        assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        assert!(used.contains(name) || name.ends_with("_line"), "no line has the property {name}");
    }
}

#[test]
fn the_page_names_every_schema_and_its_lines_are_as_the_schemas_say() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/json.md");
    let page = std::fs::read_to_string(page).unwrap();
    for name in documents().keys() {
        assert!(page.contains(&format!("](schemas/{name}.json)")), "{name}.json is not on the page");
    }
    let (mut arguments, mut lines) = (Vec::new(), 0);
    for line in page.lines() {
        match line.strip_prefix("$ provisioner ") {
            Some(words) => arguments = words.split(' ').collect(),
            None if line.starts_with('{') => {
                schemas::checked_line(&arguments, line);
                lines += 1;
            }
            None => {}
        }
    }
    assert!(lines > 5, "{lines} lines");
}
