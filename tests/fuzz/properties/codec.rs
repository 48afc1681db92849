//! The link's codec: any bytes in any pieces; the pieces make no difference.

use iot_kit::codec::Decoder;

/// Panics where this does not hold. The first byte is the size of the pieces.
pub(crate) fn check((piece, bytes): (u8, &[u8])) {
    let whole = Decoder::default().push(bytes);
    let mut decoder = Decoder::default();
    let events: Vec<_> =
        bytes.chunks(usize::from(piece).max(1)).flat_map(|piece| decoder.push(piece)).collect();
    assert_eq!(events, whole);
}
