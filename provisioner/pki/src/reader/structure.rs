//! What a DER object is, told by its structure.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber};
use x509_parser::certificate::X509Certificate;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Kind, PrivateKey};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// `data`, in which PKCS #12 keeps what is authenticated by a password (RFC 7292, section 4).
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const CURVES: [(ObjectIdentifier, PrivateKey); 4] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), PrivateKey::P256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), PrivateKey::P384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), PrivateKey::P521),
    (ObjectIdentifier::new_unwrap("1.3.132.0.10"), PrivateKey::Secp256k1),
];

/// The tag of a SEQUENCE.
const SEQUENCE: u8 = 0x30;
/// The octet of an indefinite length (X.690, section 8.1.3.6).
const INDEFINITE: u8 = 0x80;

/// The first object of bytes, and what is behind it.
///
/// # Errors
/// What it would be, did it not end too early; nothing for what is no SEQUENCE of more than 127 bytes.
pub(super) fn first(bytes: &[u8]) -> Result<(&[u8], &[u8]), Option<Kind>> {
    let [SEQUENCE, length, ..] = bytes else { return Err(None) };
    let object = SliceReader::new(bytes).ok().and_then(|mut reader| reader.tlv_bytes().ok());
    match object {
        Some(object) => Ok((object, &bytes[object.len()..])),
        None if *length == INDEFINITE => Err(Some(Kind::Indefinite)),
        // Text may begin with the digit that has the tag's code.
        None if *length > INDEFINITE => Err(Some(Kind::CutOff)),
        None => Err(None),
    }
}

/// The certificates in a PKCS #7 container; `None` for another object.
pub(super) fn certificates_of_pkcs7(object: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = SliceReader::new(object).ok()?;
    let (id, content) = reader
        .sequence(|info| Ok::<_, der::Error>((ObjectIdentifier::decode(info)?, info.tlv_bytes()?)))
        .ok()?;
    if id != SIGNED_DATA {
        return None;
    }
    let signed = AnyRef::from_der(content).ok()?;
    let mut fields = SliceReader::new(AnyRef::from_der(signed.value()).ok()?.value()).ok()?;
    while !fields.is_finished() {
        let field = AnyRef::decode(&mut fields).ok()?;
        if field.header().tag() == (Tag::ContextSpecific { constructed: true, number: TagNumber(0) }) {
            return objects(field.value());
        }
    }
    Some(Vec::new())
}

fn objects(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut objects = Vec::new();
    while !reader.is_finished() {
        objects.push(reader.tlv_bytes().ok()?);
    }
    Some(objects)
}

/// What an object is.
pub(super) fn kind(object: &[u8]) -> Kind {
    let is_whole = |rest: &[u8]| rest.is_empty();
    if X509Certificate::from_der(object).is_ok_and(|(rest, _)| is_whole(rest)) {
        return Kind::Certificate;
    }
    if let Some(kind) = by_fields(object) {
        return kind;
    }
    if X509CertificationRequest::from_der(object).is_ok() {
        return Kind::Request;
    }
    if CertificateRevocationList::from_der(object).is_ok() {
        return Kind::RevocationList;
    }
    match SubjectPublicKeyInfo::from_der(object) {
        Ok((rest, _)) if is_whole(rest) => Kind::PublicKey,
        _ => Kind::Unknown,
    }
}

/// Keys and containers, by their first fields.
fn by_fields(object: &[u8]) -> Option<Kind> {
    let fields = objects(AnyRef::from_der(object).ok()?.value())?;
    let any = |index: usize| AnyRef::from_der(fields.get(index)?).ok();
    let tag = |index| any(index).map(|field| field.header().tag());
    match (tag(0)?, tag(1)?) {
        (Tag::Integer, Tag::Sequence) => {
            let algorithm = objects(any(1)?.value())?;
            let id = ObjectIdentifier::from_der(algorithm.first()?).ok()?;
            match any(0)?.value() {
                [3] if id == DATA || id == SIGNED_DATA => Some(Kind::Pkcs12),
                [0 | 1] if tag(2) == Some(Tag::OctetString) => {
                    let parameters =
                        algorithm.get(1).and_then(|curve| ObjectIdentifier::from_der(curve).ok());
                    Some(Kind::PrivateKey(algorithm_of(id, parameters)))
                }
                _ => None,
            }
        }
        // RFC 5915, section 3.
        (Tag::Integer, Tag::OctetString) => {
            let curve = fields.iter().skip(2).find_map(|field| {
                let field = AnyRef::from_der(field).ok()?;
                ObjectIdentifier::from_der(field.value()).ok()
            });
            Some(Kind::PrivateKey(curve.map_or(PrivateKey::UnnamedCurve, on_curve)))
        }
        // RFC 8017, appendix A.1.2: nine numbers. A public key has two.
        (Tag::Integer, Tag::Integer) if fields.len() > 8 => Some(Kind::PrivateKey(PrivateKey::Rsa)),
        (Tag::Integer, Tag::Integer) if fields.len() == 2 => Some(Kind::PublicKey),
        (Tag::Sequence, Tag::OctetString) if fields.len() == 2 => Some(Kind::EncryptedKey),
        _ => None,
    }
}

fn algorithm_of(id: ObjectIdentifier, curve: Option<ObjectIdentifier>) -> PrivateKey {
    match id {
        EC_PUBLIC_KEY => curve.map_or(PrivateKey::UnnamedCurve, on_curve),
        RSA => PrivateKey::Rsa,
        ED25519 => PrivateKey::Ed25519,
        _ => PrivateKey::Other,
    }
}

fn on_curve(curve: ObjectIdentifier) -> PrivateKey {
    CURVES.iter().find(|(id, _)| *id == curve).map_or(PrivateKey::Other, |(_, key)| *key)
}
