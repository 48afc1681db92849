//! AWS IoT policy documents: filling a template, and evaluating what a user may have attached.
#![no_main]

#[path = "../properties/policy.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &str| property::check(input));
