//! Admission lists from packages, web servers and Amazon S3.
#![no_main]

#[path = "../properties/admission_list.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::check(input));
