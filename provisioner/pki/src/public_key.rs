//! Public keys on P-256.

use std::ops::RangeInclusive;

use aws_lc_rs::digest;
use x509_parser::asn1_rs::{Oid, Tag, oid};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Size of an uncompressed P-256 point, `0x04 ‖ X ‖ Y`, in bytes (SEC 1, section 2.3.3).
pub const PUBLIC_KEY_SIZE: usize = 65;

/// The curves whose signatures are accepted.
const ACCEPTED_CURVES: [Oid<'static>; 3] = [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521];
/// The RSA keys whose signatures are accepted, in bits: below, signatures can be forged (NIST SP 800-131A); above, checking one takes
/// too long.
const ACCEPTED_RSA: RangeInclusive<usize> = 2048..=8192;

/// Names of curves (SEC 2, RFC 5639, GB/T 32918).
const CURVES: [(Oid<'static>, &str); 10] = [
    (OID_EC_P256, "P-256"),
    (OID_NIST_EC_P384, "P-384"),
    (OID_NIST_EC_P521, "P-521"),
    (oid!(1.2.840.10045.3.1.1), "P-192"),
    (oid!(1.3.132.0.33), "P-224"),
    (oid!(1.3.132.0.10), "secp256k1"),
    (oid!(1.3.36.3.3.2.8.1.1.7), "brainpoolP256r1"),
    (oid!(1.3.36.3.3.2.8.1.1.11), "brainpoolP384r1"),
    (oid!(1.3.36.3.3.2.8.1.1.13), "brainpoolP512r1"),
    (oid!(1.2.156.10197.1.301), "SM2"),
];

/// The uncompressed point of X‖Y.
pub fn point_of(coordinates: &[u8; PUBLIC_KEY_SIZE - 1]) -> [u8; PUBLIC_KEY_SIZE] {
    let mut point = [0x04; PUBLIC_KEY_SIZE];
    point[1..].copy_from_slice(coordinates);
    point
}

/// The curve that a key names. One that gives the parameters of its curve instead names none (RFC 5480, section 2.1.1).
fn curve<'a>(key: &SubjectPublicKeyInfo<'a>) -> Option<Oid<'a>> {
    let parameters = key.algorithm.parameters.clone()?;
    (parameters.tag() == Tag::Oid).then(|| parameters.oid().ok()).flatten()
}

/// The uncompressed point of a subject public key; `None` for a key of another kind.
pub fn p256_point(key: &SubjectPublicKeyInfo<'_>) -> Option<[u8; PUBLIC_KEY_SIZE]> {
    let curve = curve(key)?;
    let point: [u8; PUBLIC_KEY_SIZE] = key.subject_public_key.data.as_ref().try_into().ok()?;
    (curve == OID_EC_P256 && point[0] == 0x04).then_some(point)
}

/// The subject key identifier: SHA-1 over the subject public key bit string, 20 bytes (RFC 5280, section 4.2.1.2,
/// method 1).
pub fn subject_key_identifier(point: &[u8; PUBLIC_KEY_SIZE]) -> [u8; 20] {
    let mut identifier = [0; 20];
    identifier.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, point).as_ref());
    identifier
}

/// What a public key is, for people: `RSA`, `P-384`, `of algorithm 1.2.3`, ….
pub fn kind(key: &SubjectPublicKeyInfo<'_>) -> String {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        return "RSA".to_owned();
    }
    if *algorithm == OID_SIG_ED25519 {
        return "Ed25519".to_owned();
    }
    if *algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return format!("of algorithm {algorithm}");
    }
    match curve(key) {
        Some(curve) if curve == OID_EC_P256 && p256_point(key).is_none() => {
            format!("not an uncompressed point ({} bytes)", key.subject_public_key.data.len())
        }
        Some(curve) => CURVES
            .iter()
            .find(|(known, _)| *known == curve)
            .map_or_else(|| format!("on the curve {curve}"), |(_, name)| (*name).to_owned()),
        None => "on an unnamed curve".to_owned(),
    }
}

/// What a key is by which no signature is accepted; `None` for one whose signatures are verified, or for which the algorithm of the
/// signature decides.
pub(crate) fn refused(key: &SubjectPublicKeyInfo<'_>) -> Option<String> {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let is_accepted = curve(key).is_some_and(|curve| ACCEPTED_CURVES.contains(&curve));
        return (!is_accepted).then(|| kind(key));
    }
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let modulus = rsa.modulus.iter().skip_while(|byte| **byte == 0);
            let (first, bytes) = (modulus.clone().next().copied().unwrap_or_default(), modulus.count());
            let bits = bytes * 8 - first.leading_zeros() as usize * usize::from(bytes > 0);
            (!ACCEPTED_RSA.contains(&bits)).then(|| format!("RSA with {bits} bits"))
        }
        _ => None,
    }
}
