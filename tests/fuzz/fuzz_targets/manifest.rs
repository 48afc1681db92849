//! Secure-element manifests that users have from others.
#![no_main]

#[path = "../properties/manifest.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
