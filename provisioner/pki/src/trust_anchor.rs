//! What is kept of a root certificate where certificates themselves have no room: its name as a hash, and its public key.

use aws_lc_rs::digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::PublicKey;

use crate::name;
use crate::public_key::{PUBLIC_KEY_SIZE, p256_point};

/// A root as a small device keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    /// SHA-1 of the values of the subject's attributes as UTF-8, in their order, with nothing between them.
    pub subject_hash: [u8; 20],
    /// The public key.
    pub key: AnchorKey,
}

/// The public key of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorKey {
    /// RSA; both numbers big endian, without leading zeros.
    Rsa {
        /// Modulus.
        modulus: Vec<u8>,
        /// Exponent.
        exponent: Vec<u8>,
    },
    /// An uncompressed point on P-256.
    P256([u8; PUBLIC_KEY_SIZE]),
}

impl TrustAnchor {
    /// Of a certificate; `None` where its key is of another kind, or its name has what is no text.
    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Option<Self> {
        let values: Option<String> = certificate.subject().iter_attributes().map(name::text).collect();
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, values?.as_bytes());
        let key = match (p256_point(certificate.public_key()), certificate.public_key().parsed().ok()?) {
            (Some(point), _) => AnchorKey::P256(point),
            (None, PublicKey::RSA(key)) => {
                AnchorKey::Rsa { modulus: number(key.modulus), exponent: number(key.exponent) }
            }
            _ => return None,
        };
        Some(Self { subject_hash: hash.as_ref().try_into().ok()?, key })
    }
}

/// A DER integer without the zeros that only give it its sign.
fn number(bytes: &[u8]) -> Vec<u8> {
    bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len())..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amazon;

    #[test]
    fn hash_and_key_are_those_that_the_modules_tools_write() {
        let roots = amazon::roots();
        let anchors: Vec<_> = roots.iter().map(|root| root.trust_anchor()).collect();
        let hashes: Vec<_> =
            anchors.iter().flatten().map(|anchor| hex::encode(anchor.subject_hash)).collect();
        // Root CA 4 has a key on P-384.
        assert_eq!(
            hashes,
            [
                "a86680c456272eafe3a7ce2e49d131dc65bbb1ed",
                "1a49c763823a9e3f532df1ba1fbf7eb0130fbb1a",
                "e7ee465ea39d44681652b7386782c1e44cd9df1a",
                "b91dd5c1079339e777a4e9be1c5f2117110c76a3",
            ]
        );
        let Some(AnchorKey::Rsa { modulus, exponent }) = anchors[0].as_ref().map(|anchor| &anchor.key) else {
            panic!("Root CA 1 is RSA")
        };
        assert_eq!((modulus.len(), exponent.as_slice()), (256, &[1, 0, 1][..]));
        let Some(AnchorKey::P256(point)) = anchors[2].as_ref().map(|anchor| &anchor.key) else {
            panic!("Root CA 3 is P-256")
        };
        assert_eq!(hex::encode(&point[..9]), "042997a7c6417fc00d");
    }
}
