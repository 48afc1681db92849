//! The link's codec: any bytes in any pieces; the pieces make no difference.
#![no_main]

#[path = "../properties/codec.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| property::check(input));
