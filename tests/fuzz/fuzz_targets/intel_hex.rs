//! Firmware files that users bring: what is read fits what is said of it, whatever the bytes.
#![no_main]

#[path = "../properties/intel_hex.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
