//! Key files: PKCS#8 PEM, encrypted or not. What costs too much to decrypt is refused before.
#![no_main]

#[path = "../properties/key.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
