//! KIT-INFO.TXT as a disk may have it.
#![no_main]

#[path = "../properties/records.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
