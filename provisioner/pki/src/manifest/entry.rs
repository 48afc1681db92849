//! One entry of a manifest: verified, or refused.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ParsedPublicKey, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::signer::{FINGERPRINT_SIZE, KEY_IDENTIFIER_SIZE, ManifestSigner, Signers};
use super::{LONGEST_ID, MOST_CERTIFICATES, MOST_KEYS, Refusal, Undecodable, Verified};
use crate::{Certificate, PUBLIC_KEY_SIZE, point_of};

/// Size of an ES256 signature, R‖S, in bytes (RFC 7518, section 3.4).
const SIGNATURE_SIZE: usize = 64;
/// Size of a coordinate of a point on P-256, in bytes (RFC 7518, section 6.2.1.2).
const COORDINATE_SIZE: usize = 32;
/// The slot of the device's key in secure elements of Microchip: `kid` of its JWK.
const DEVICE_SLOT: &str = "0";
/// Versions of the payload: 1 with keys, 2 without.
const VERSIONS: [u64; 2] = [1, 2];

/// A flattened JWS (RFC 7515, section 7.2.2). Both encoded parts stay as they stand in the file: they are what is signed.
#[derive(Deserialize)]
struct Entry {
    payload: String,
    protected: String,
    header: Header,
    signature: String,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "uniqueId")]
    unique_id: String,
}

/// What is left of an entry that is no JWS.
#[derive(Deserialize)]
struct Claim {
    header: Header,
}

#[derive(Deserialize)]
struct Protected {
    alg: String,
    kid: Option<String>,
    #[serde(rename = "x5t#S256")]
    fingerprint: Option<String>,
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    version: u64,
    unique_id: String,
    provisioning_timestamp: String,
    part_number: Option<String>,
    public_key_set: Option<KeySet>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

/// A public key (JWK, RFC 7517).
#[derive(Deserialize)]
struct Key {
    kid: Option<String>,
    kty: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    x5c: Option<Vec<String>>,
}

/// The unique id that an entry claims, [`LONGEST_ID`] characters of it, and what is verified of the entry.
pub(super) fn verified(entry: &[u8], signers: &Signers) -> (Option<String>, Result<Verified, Refusal>) {
    let entry: Entry = match serde_json::from_slice(entry) {
        Ok(entry) => entry,
        Err(error) => {
            let claim = serde_json::from_slice::<Claim>(entry).ok();
            let claimed = claim.map(|claim| shortened(&claim.header.unique_id));
            return (claimed, Err(Refusal::Form { why: error.to_string() }));
        }
    };
    let content = checked(&entry, signers);
    (Some(shortened(&entry.header.unique_id)), content)
}

fn shortened(claimed: &str) -> String {
    claimed.chars().take(LONGEST_ID).collect()
}

fn checked(entry: &Entry, signers: &Signers) -> Result<Verified, Refusal> {
    let signer = signer(&entry.protected, signers)?;
    verify(entry, signer)?;
    let Payload { version, unique_id, provisioning_timestamp, part_number, public_key_set } =
        json("payload", &entry.payload)?;
    if !VERSIONS.contains(&version) {
        return Err(Refusal::Version { version });
    }
    if unique_id != entry.header.unique_id {
        return Err(Refusal::OtherId { signed: unique_id });
    }
    let is_of_id = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if !(1..=LONGEST_ID).contains(&unique_id.len()) || !unique_id.bytes().all(is_of_id) {
        return Err(Refusal::Id);
    }
    let at = OffsetDateTime::parse(&provisioning_timestamp, &Rfc3339)
        .map_err(|_| Refusal::Undecodable { part: "provisioningTimestamp", why: Undecodable::Time })?;
    if !signer.is_valid_at(at) {
        return Err(Refusal::OutsideValidity { at, signer: signer.name.to_string() });
    }
    let keys = public_key_set.map(|set| set.keys).unwrap_or_default();
    let key = device_key(keys)?;
    let point = point(&key)?;
    let certificate = key.x5c.map(|chain| certificate(&chain, &point)).transpose()?.flatten();
    Ok(Verified { unique_id, part_number, point, certificate })
}

/// The signer that the protected header names.
fn signer<'a>(protected: &str, signers: &'a Signers) -> Result<&'a ManifestSigner, Refusal> {
    let Protected { alg, kid, fingerprint, crit } = json("protected", protected)?;
    if alg != "ES256" {
        return Err(Refusal::Algorithm { found: alg });
    }
    if crit.is_some() {
        return Err(Refusal::Critical);
    }
    let kid = array::<KEY_IDENTIFIER_SIZE>("kid", kid.as_deref())?;
    let fingerprint = array::<FINGERPRINT_SIZE>("x5t#S256", fingerprint.as_deref())?;
    signers.find(&kid, &fingerprint)
}

/// Verifies the signature over the bytes of the file (RFC 7515, section 5.2).
fn verify(entry: &Entry, signer: &ManifestSigner) -> Result<(), Refusal> {
    let signature = array::<SIGNATURE_SIZE>("signature", Some(&entry.signature))?;
    let message = [entry.protected.as_bytes(), b".", entry.payload.as_bytes()].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signer.point())
        .verify(&message, &signature)
        .map_err(|_| Refusal::Signature { signer: signer.name.to_string() })
}

/// The key that the device connects with: the one with certificates, or that of slot 0 where none has any.
fn device_key(keys: Vec<Key>) -> Result<Key, Refusal> {
    if keys.is_empty() {
        return Err(Refusal::NoKey);
    }
    if keys.len() > MOST_KEYS {
        return Err(Refusal::ManyKeys);
    }
    let has_certificates = |key: &Key| key.x5c.as_ref().is_some_and(|chain| !chain.is_empty());
    let with_certificates = keys.iter().filter(|key| has_certificates(key)).count();
    let is_device = |key: &Key| match with_certificates {
        0 => key.kid.as_deref() == Some(DEVICE_SLOT),
        _ => has_certificates(key),
    };
    let mut device = keys.into_iter().filter(is_device);
    match (device.next(), device.next()) {
        (Some(key), None) => Ok(key),
        _ => Err(Refusal::DeviceKey { with_certificates }),
    }
}

fn point(key: &Key) -> Result<[u8; PUBLIC_KEY_SIZE], Refusal> {
    if key.kty.as_deref() != Some("EC") || key.crv.as_deref() != Some("P-256") {
        return Err(Refusal::Key);
    }
    let mut coordinates = [0; 2 * COORDINATE_SIZE];
    for (half, (part, text)) in
        coordinates.chunks_mut(COORDINATE_SIZE).zip([("x", key.x.as_deref()), ("y", key.y.as_deref())])
    {
        half.copy_from_slice(&array::<COORDINATE_SIZE>(part, text)?);
    }
    let point = point_of(&coordinates);
    // Whether it is on the curve.
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).map_err(|_| Refusal::Key)?;
    Ok(point)
}

/// The device's certificate, first of its chain; `None` where there is none.
fn certificate(chain: &[String], point: &[u8; PUBLIC_KEY_SIZE]) -> Result<Option<Certificate>, Refusal> {
    if chain.len() > MOST_CERTIFICATES {
        return Err(Refusal::ManyCertificates);
    }
    let mut read = Vec::with_capacity(chain.len());
    for (index, text) in chain.iter().enumerate() {
        // In standard base64 (RFC 7517, section 4.7).
        let der = STANDARD
            .decode(text)
            .map_err(|_| Refusal::Undecodable { part: "x5c", why: Undecodable::Base64 })?;
        let certificate =
            Certificate::from_der(&der).map_err(|malformed| Refusal::Certificate { index, malformed })?;
        read.push(certificate);
    }
    let Some(device) = read.first() else { return Ok(None) };
    if device.point().as_ref() != Some(point) {
        return Err(Refusal::OtherKey);
    }
    if device.is_ca() {
        return Err(Refusal::Authority);
    }
    // Without the one above it, the device's is not checked any further: the manifest's signature covers it.
    if let Some(index) = read.windows(2).position(|pair| !pair[0].is_signed_by(&pair[1])) {
        return Err(Refusal::Chain { index });
    }
    Ok(read.into_iter().next())
}

fn json<T: DeserializeOwned>(part: &'static str, text: &str) -> Result<T, Refusal> {
    let bytes = bytes(part, text)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::Undecodable { part, why: Undecodable::Json(error.to_string()) })
}

fn array<const SIZE: usize>(part: &'static str, text: Option<&str>) -> Result<[u8; SIZE], Refusal> {
    let bytes = bytes(part, text.unwrap_or_default())?;
    let found = bytes.len();
    let why = Undecodable::Length { found, expected: SIZE };
    bytes.try_into().map_err(|_| Refusal::Undecodable { part, why })
}

fn bytes(part: &'static str, text: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Undecodable { part, why: Undecodable::Base64 })
}
