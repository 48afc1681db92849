//! Factory certificates rebuilt from whatever is in the slots of a secure element.
#![no_main]

#[path = "../properties/factory.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: property::Input| property::check(input));
