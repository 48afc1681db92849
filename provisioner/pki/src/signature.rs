//! Signatures on certificates and lists, by any algorithm that CAs sign with.
//!
//! Only what is signed here is ECDSA on P-256 with SHA-256. A root or an intermediate CA of others may have another key.

use aws_lc_rs::signature as algorithms;
use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::asn1_rs::{BitString, Oid, oid};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::verify::verify_signature;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::public_key;

/// Names of algorithms, by which one is refused that is not verified here.
const NAMES: [(Oid<'static>, &str); 14] = [
    (oid!(1.2.840.10045.4.1), "ECDSA with SHA-1"),
    (oid!(1.2.840.10045.4.3.1), "ECDSA with SHA-224"),
    (oid!(1.2.840.10045.4.3.2), "ECDSA with SHA-256"),
    (oid!(1.2.840.10045.4.3.3), "ECDSA with SHA-384"),
    (oid!(1.2.840.10045.4.3.4), "ECDSA with SHA-512"),
    (oid!(1.2.840.113549.1.1.4), "RSA with MD5"),
    (oid!(1.2.840.113549.1.1.5), "RSA with SHA-1"),
    (oid!(1.2.840.113549.1.1.10), "RSA-PSS"),
    (oid!(1.2.840.113549.1.1.11), "RSA with SHA-256"),
    (oid!(1.2.840.113549.1.1.14), "RSA with SHA-224"),
    (oid!(1.3.101.112), "Ed25519"),
    (oid!(1.3.101.113), "Ed448"),
    (oid!(1.2.840.10040.4.3), "DSA with SHA-1"),
    (oid!(1.2.156.10197.1.501), "SM2 with SM3"),
];

/// Why a signature does not count, or not as that of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// It is by an algorithm that is not verified here. Its name.
    Algorithm(String),
    /// No signature by this key is accepted. What the key is.
    Key(String),
    /// It is the key's, and the certificate names another issuer.
    #[cfg(feature = "issue")]
    Name,
    /// It is the key's, and the certificate has the identifier of another key.
    #[cfg(feature = "issue")]
    KeyIdentifier,
    /// It is not the key's.
    Wrong,
}

/// Verifies the signature of `message` by `key`.
pub(crate) fn verify(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    signature: &[u8],
    message: &[u8],
) -> Result<(), Unverified> {
    if let Some(found) = public_key::refused(key) {
        return Err(Unverified::Key(found));
    }
    if let Some(verified_by) = ecdsa(key, algorithm) {
        let key = UnparsedPublicKey::new(verified_by, &key.subject_public_key.data);
        return key.verify(message, signature).map_err(|_| Unverified::Wrong);
    }
    verify_signature(key, algorithm, &BitString::new(0, signature), message).map_err(|error| match error {
        x509_parser::error::X509Error::SignatureUnsupportedAlgorithm => {
            Unverified::Algorithm(name(algorithm))
        }
        _ => Unverified::Wrong,
    })
}

/// As [`verify`], of a certificate's.
pub(crate) fn verify_certificate(
    certificate: &x509_parser::certificate::X509Certificate<'_>,
    key: &SubjectPublicKeyInfo<'_>,
) -> Result<(), Unverified> {
    let signature = &certificate.signature_value.data;
    verify(key, &certificate.signature_algorithm, signature, certificate.tbs_certificate.as_ref())
}

/// ECDSA of every curve with every digest: `x509-parser` knows some of the pairs.
fn ecdsa(
    key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let digests = [OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512];
    let digest = digests.iter().position(|digest| *digest == algorithm.algorithm)?;
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let by_digest: [&'static dyn VerificationAlgorithm; 3] = match curve {
        curve if curve == OID_EC_P256 => [
            &algorithms::ECDSA_P256_SHA256_ASN1,
            &algorithms::ECDSA_P256_SHA384_ASN1,
            &algorithms::ECDSA_P256_SHA512_ASN1,
        ],
        curve if curve == OID_NIST_EC_P384 => [
            &algorithms::ECDSA_P384_SHA256_ASN1,
            &algorithms::ECDSA_P384_SHA384_ASN1,
            &algorithms::ECDSA_P384_SHA512_ASN1,
        ],
        curve if curve == OID_NIST_EC_P521 => [
            &algorithms::ECDSA_P521_SHA256_ASN1,
            &algorithms::ECDSA_P521_SHA384_ASN1,
            &algorithms::ECDSA_P521_SHA512_ASN1,
        ],
        _ => return None,
    };
    by_digest.get(digest).copied()
}

fn name(algorithm: &AlgorithmIdentifier<'_>) -> String {
    let id = &algorithm.algorithm;
    NAMES
        .iter()
        .find(|(known, _)| known == id)
        .map_or_else(|| id.to_id_string(), |(_, name)| (*name).to_owned())
}
