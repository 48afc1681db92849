//! The root certificate store of the Wi-Fi module: for any bytes, the builder is the inverse of the reader.
#![no_main]

#[path = "../properties/root_store.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
