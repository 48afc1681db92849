//! Certificates in files that users bring: a PEM file, or bare DER.
#![no_main]

#[path = "../properties/certificate.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
