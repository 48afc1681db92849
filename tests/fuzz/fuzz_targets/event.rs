//! The registration event: whatever comes is an event with ids as AWS writes them, or a refusal.
#![no_main]

#[path = "../properties/event.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &str| property::check(input));
