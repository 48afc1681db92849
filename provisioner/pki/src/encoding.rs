//! DER (X.690) of what no library writes as it has to be: signatures of raw halves, and factory certificates.

use der::asn1::{AnyRef, UintRef};
use der::{Encode, Tag};

/// R‖S as an ECDSA-Sig-Value: `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279, section 2.2.3).
///
/// # Errors
/// None for 64 bytes, although the encoder returns a result.
pub fn ecdsa_sig_value(signature: &[u8; 64]) -> der::Result<Vec<u8>> {
    let (r, s) = signature.split_at(32);
    tlv(Tag::Sequence, &[&UintRef::new(r)?.to_der()?, &UintRef::new(s)?.to_der()?])
}

/// Tag, length and value.
pub(crate) fn tlv(tag: Tag, value: &[&[u8]]) -> der::Result<Vec<u8>> {
    AnyRef::new(tag, &value.concat())?.to_der()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn signatures_are_encoded_as_another_implementation_does(
            mut halves in proptest::array::uniform32(any::<u8>()),
            zeros in 0..31usize,
        ) {
            // Below the order of the curve, with leading zeros now and then.
            halves[0] &= 0x7F;
            halves[..zeros].fill(0);
            halves[31] |= 1;
            let signature: [u8; 64] = [halves, halves].concat().try_into().unwrap();
            let expected = p256::ecdsa::Signature::from_slice(&signature).unwrap().to_der();
            prop_assert_eq!(ecdsa_sig_value(&signature).unwrap(), expected.as_bytes());
        }
    }

    #[test]
    fn numbers_with_the_top_bit_set_stay_positive() {
        let der = ecdsa_sig_value(&[0x80; 64]).unwrap();
        assert_eq!((der[1], der[3], der[4], der[5]), (70, 33, 0, 0x80));
    }
}
