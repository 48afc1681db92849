//! The link's codec: any bytes in any pieces; the pieces make no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use provisioner::board::codec::Decoder;

// The first byte is the size of the pieces.
fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = Decoder::default().push(bytes);
    let mut decoder = Decoder::default();
    let events: Vec<_> =
        bytes.chunks(usize::from(piece).max(1)).flat_map(|piece| decoder.push(piece)).collect();
    assert_eq!(events, whole);
});
