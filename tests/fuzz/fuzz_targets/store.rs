//! The client certificate store: two independent readers, and the builder as the inverse of one.
#![no_main]

#[path = "../properties/store.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
