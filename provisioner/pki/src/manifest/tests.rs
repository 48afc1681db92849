//! Manifests of a signer of our own: what counts, and what is refused, each for its own reason.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SigningKey as _,
};
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;

/// A certificate with its key.
type Authority = CertifiedIssuer<'static, KeyPair>;

/// Who signs the manifests of the tests, and the CA of the devices in them.
struct Maker {
    signer: Authority,
    ca: Authority,
    signers: Signers,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (datetime!(2020-01-01 0:00 UTC), datetime!(2022-01-01 0:00 UTC));
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn read(certificate: &Authority) -> Certificate {
    Certificate::from_der(certificate.der()).unwrap()
}

fn url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// R‖S by another implementation.
fn signature(key: &KeyPair, message: &str) -> Vec<u8> {
    let der = key.sign(message.as_bytes()).unwrap();
    p256::ecdsa::Signature::from_der(&der).unwrap().to_bytes().to_vec()
}

fn jwk(kid: &str, key: &KeyPair) -> Value {
    let point = key.der_bytes();
    json!({ "kid": kid, "kty": "EC", "crv": "P-256", "x": url(&point[1..33]), "y": url(&point[33..]) })
}

impl Maker {
    fn new() -> Self {
        let (signer, ca) = (authority("Manifest Signer"), authority("Device CA"));
        let mut signers = Signers::default();
        signers.add(&read(&signer)).unwrap();
        Self { signer, ca, signers }
    }

    fn protected(&self) -> Value {
        let signer = ManifestSigner::of(&read(&self.signer)).unwrap();
        json!({
            "typ": "JWT",
            "alg": "ES256",
            "kid": url(signer.key_identifier),
            "x5t#S256": url(signer.fingerprint),
        })
    }

    fn chain(&self, id: &str, key: &KeyPair) -> Vec<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("sn{}", id.to_uppercase()));
        let device = params.signed_by(key, &self.ca).unwrap();
        vec![STANDARD.encode(device.der()), STANDARD.encode(self.ca.der())]
    }

    fn payload(&self, id: &str, key: &KeyPair) -> Value {
        let mut device = jwk("0", key);
        device["x5c"] = self.chain(id, key).into();
        let other = jwk("1", &KeyPair::generate().unwrap());
        json!({
            "version": 1,
            "model": "ATECC608C",
            "partNumber": "ATECC608C-TNGTLSU-B",
            "provisioningTimestamp": "2021-06-01T20:14:53.773Z",
            "uniqueId": id,
            "publicKeySet": { "keys": [device, other] },
        })
    }

    /// An entry with these parts, signed.
    fn entry(&self, protected: &Value, payload: &Value) -> Value {
        let (protected, text) = (url(protected.to_string()), url(payload.to_string()));
        let signature = signature(self.signer.key(), &format!("{protected}.{text}"));
        json!({
            "payload": text,
            "protected": protected,
            "header": { "uniqueId": payload["uniqueId"] },
            "signature": url(signature),
        })
    }

    fn good(&self, id: &str) -> Value {
        self.entry(&self.protected(), &self.payload(id, &KeyPair::generate().unwrap()))
    }

    /// A payload that `change` has changed, before it is signed.
    fn signed(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut payload = self.payload(ID, &KeyPair::generate().unwrap());
        change(&mut payload);
        self.entry(&self.protected(), &payload)
    }

    fn read(&self, manifest: &Value) -> Vec<Element> {
        self.read_text(manifest.to_string().as_bytes())
    }

    fn read_text(&self, manifest: &[u8]) -> Vec<Element> {
        Elements::new(manifest, &self.signers).map(Result::unwrap).collect()
    }

    /// Why the one entry is refused.
    fn refused(&self, entry: Value) -> Refusal {
        let [element] = self.read(&json!([entry])).try_into().unwrap();
        element.content.unwrap_err()
    }
}

const ID: &str = "0123f2408ea1fcf201";
const OTHER_ID: &str = "0123f2408ea1fcf301";

#[test]
fn elements_are_read_with_their_key_and_certificate() {
    let (maker, key) = (Maker::new(), KeyPair::generate().unwrap());
    let payload = maker.payload(ID, &key);
    let manifest = json!([maker.entry(&maker.protected(), &payload), maker.good(OTHER_ID)]);
    for text in [
        manifest.to_string(),
        serde_json::to_string_pretty(&manifest).unwrap(),
        format!("\u{FEFF}{manifest}\r\n"),
    ] {
        let elements = maker.read_text(text.as_bytes());
        assert_eq!(elements.iter().map(|element| element.number).collect::<Vec<_>>(), [1, 2]);
        let first = elements[0].content.as_ref().unwrap();
        assert_eq!(
            (first.unique_id.as_str(), first.part_number.as_deref()),
            (ID, Some("ATECC608C-TNGTLSU-B"))
        );
        assert_eq!(first.point.as_slice(), key.der_bytes());
        let certificate = first.certificate.as_ref().unwrap();
        assert_eq!(certificate.point(), Some(first.point));
        assert_eq!(certificate.facts().subject, "CN=sn0123F2408EA1FCF201");
    }
    assert!(maker.read(&json!([])).is_empty());
}

#[test]
fn a_key_without_a_certificate_is_that_of_slot_0() {
    let (maker, key) = (Maker::new(), KeyPair::generate().unwrap());
    let keys = json!([jwk("1", &KeyPair::generate().unwrap()), jwk("0", &key)]);
    let entry = maker.signed(|payload| payload["publicKeySet"]["keys"] = keys);
    let [element] = maker.read(&json!([entry])).try_into().unwrap();
    let verified = element.content.unwrap();
    assert_eq!((verified.point.as_slice(), verified.certificate), (key.der_bytes(), None));
}

#[test]
fn a_changed_entry_is_refused_and_the_next_one_counts() {
    let maker = Maker::new();
    let good = maker.good(ID);
    // One bit of each signed part, as it is decoded.
    for part in ["payload", "protected", "signature"] {
        let decoded = URL_SAFE_NO_PAD.decode(good[part].as_str().unwrap()).unwrap();
        for at in [0, decoded.len() / 2, decoded.len() - 1] {
            let (mut bytes, mut entry) = (decoded.clone(), good.clone());
            bytes[at] ^= 1;
            entry[part] = url(&bytes).into();
            let elements = maker.read(&json!([entry, maker.good(OTHER_ID)]));
            assert!(elements[0].content.is_err(), "{part}, byte {at}");
            assert!(elements[1].content.is_ok(), "{part}, byte {at}");
        }
    }
    let mut entry = good.clone();
    let mut payload = maker.payload(ID, &KeyPair::generate().unwrap());
    payload["partNumber"] = "ATECC608C-OTHER".into();
    entry["payload"] = url(payload.to_string()).into();
    assert!(matches!(maker.refused(entry), Refusal::Signature { signer } if signer == "CN=Manifest Signer"));
}

#[test]
fn a_signature_in_another_form_or_by_another_algorithm_is_refused() {
    let maker = Maker::new();
    let good = maker.good(ID);
    let message = format!("{}.{}", good["protected"].as_str().unwrap(), good["payload"].as_str().unwrap());
    let with = |part: &str, value: String| {
        let mut entry = good.clone();
        entry[part] = value.into();
        maker.refused(entry)
    };
    let der = maker.signer.key().sign(message.as_bytes()).unwrap();
    let length =
        |part, found, expected| Refusal::Undecodable { part, why: Undecodable::Length { found, expected } };
    assert_eq!(with("signature", url(&der)), length("signature", der.len(), 64));
    assert_eq!(with("signature", String::new()), length("signature", 0, 64));
    let raw = URL_SAFE_NO_PAD.decode(good["signature"].as_str().unwrap()).unwrap();
    let base64 = |part| Refusal::Undecodable { part, why: Undecodable::Base64 };
    assert_eq!(with("signature", URL_SAFE.encode(&raw)), base64("signature"));
    // The last character has bits that decode to nothing.
    let mut loose = good["signature"].as_str().unwrap().to_owned();
    let last = loose.pop().unwrap();
    loose.push(char::from(last as u8 + 1));
    assert_eq!(with("signature", loose), base64("signature"));

    let payload = maker.payload(ID, &KeyPair::generate().unwrap());
    for alg in ["none", "HS256", "ES384", "es256", ""] {
        let mut protected = maker.protected();
        protected["alg"] = alg.into();
        let refused = maker.refused(maker.entry(&protected, &payload));
        assert_eq!(refused, Refusal::Algorithm { found: alg.to_owned() });
    }
    let mut protected = maker.protected();
    protected["crit"] = json!(["b64"]);
    assert_eq!(maker.refused(maker.entry(&protected, &payload)), Refusal::Critical);
}

#[test]
fn a_signer_that_is_not_known_or_is_two_is_refused() {
    let (maker, stranger) = (Maker::new(), Maker::new());
    let pinned = PINNED_NAMES.map(|name| maker.signers.iter().find(|signer| signer.name == name).unwrap());
    let payload = maker.payload(ID, &KeyPair::generate().unwrap());
    let with = |kid: &[u8], fingerprint: &[u8]| {
        let mut protected = maker.protected();
        (protected["kid"], protected["x5t#S256"]) = (url(kid).into(), url(fingerprint).into());
        maker.refused(maker.entry(&protected, &payload))
    };
    let own = ManifestSigner::of(&read(&maker.signer)).unwrap();
    let other = ManifestSigner::of(&read(&stranger.signer)).unwrap();
    let known = Some("CN=Manifest Signer".to_owned());
    let (by_key, by_fingerprint) = (known.clone(), Some("Manifest Signer 005".to_owned()));
    assert_eq!(
        with(&own.key_identifier, &pinned[4].fingerprint),
        Refusal::TwoSigners { by_key: by_key.clone(), by_fingerprint: by_fingerprint.clone() }
    );
    assert_eq!(
        with(&pinned[4].key_identifier, &own.fingerprint),
        Refusal::TwoSigners { by_key: by_fingerprint, by_fingerprint: by_key }
    );
    assert_eq!(
        with(&own.key_identifier, &other.fingerprint),
        Refusal::TwoSigners { by_key: known, by_fingerprint: None }
    );
    let key_identifier = hex::encode(other.key_identifier);
    assert_eq!(with(&other.key_identifier, &other.fingerprint), Refusal::UnknownSigner { key_identifier });
    // Whoever names a pinned signer has to have its key.
    for signer in pinned {
        let refused = with(&signer.key_identifier, &signer.fingerprint);
        assert_eq!(refused, Refusal::Signature { signer: signer.name.to_string() });
    }
    assert!(matches!(maker.refused(stranger.good(ID)), Refusal::UnknownSigner { .. }));
}

const PINNED_NAMES: [&str; 5] =
    ["Log Signer 001", "Log Signer 002", "Log Signer 003", "Log Signer 004", "Manifest Signer 005"];

#[test]
fn each_pinned_key_identifier_is_that_of_its_key() {
    for signer in Signers::default().iter() {
        assert_eq!(crate::subject_key_identifier(&signer.point()), signer.key_identifier, "{}", signer.name);
        assert!(signer.not_before < signer.not_after);
    }
}

#[test]
fn the_unsigned_header_has_to_repeat_the_signed_unique_id() {
    let maker = Maker::new();
    let mut entry = maker.good(ID);
    entry["header"]["uniqueId"] = "0123ffffffffffff01\u{1b}[2J".into();
    let [element] = maker.read(&json!([entry])).try_into().unwrap();
    assert_eq!(element.claimed_id.as_deref(), Some("0123ffffffffffff01\u{1b}[2J"));
    assert_eq!(element.content, Err(Refusal::OtherId { signed: ID.to_owned() }));
    let id = maker.entry(&maker.protected(), &{
        let mut payload = maker.payload(ID, &KeyPair::generate().unwrap());
        payload["uniqueId"] = "../sn".into();
        payload
    });
    assert_eq!(maker.refused(id), Refusal::Id);
}

#[test]
fn the_signer_has_to_be_valid_when_the_element_was_provisioned_and_not_today() {
    let maker = Maker::new();
    for (at, counts) in [
        ("2019-12-31T23:59:59.999Z", false),
        ("2020-01-01T00:00:00Z", true),
        ("2022-01-01T01:00:00+01:00", true),
        ("2022-01-01T00:00:00.001Z", false),
    ] {
        let entry = maker.signed(|payload| payload["provisioningTimestamp"] = at.into());
        let [element] = maker.read(&json!([entry])).try_into().unwrap();
        match element.content {
            Ok(_) => assert!(counts, "{at}"),
            Err(refusal) => {
                assert!(!counts && matches!(refusal, Refusal::OutsideValidity { .. }), "{at}: {refusal}")
            }
        }
    }
    let refused =
        maker.refused(maker.signed(|payload| payload["provisioningTimestamp"] = "2021-06-01".into()));
    assert_eq!(refused, Refusal::Undecodable { part: "provisioningTimestamp", why: Undecodable::Time });
}

#[test]
fn keys_and_certificates_have_to_belong_together() {
    let maker = Maker::new();
    let refused = |change: &dyn Fn(&mut Value)| maker.refused(maker.signed(change));
    let keys = |payload: &mut Value| payload["publicKeySet"]["keys"].as_array().unwrap().clone();
    assert_eq!(refused(&|payload| payload["version"] = 3.into()), Refusal::Version { version: 3 });
    let without = |payload: &mut Value| {
        payload["version"] = 2.into();
        payload.as_object_mut().unwrap().remove("publicKeySet");
    };
    assert_eq!(refused(&without), Refusal::NoKey);
    assert_eq!(refused(&|payload| payload["publicKeySet"]["keys"] = json!([])), Refusal::NoKey);
    let many = |payload: &mut Value| {
        payload["publicKeySet"]["keys"] = vec![keys(payload)[1].clone(); MOST_KEYS + 1].into();
    };
    assert_eq!(refused(&many), Refusal::ManyKeys);
    let two =
        |payload: &mut Value| payload["publicKeySet"]["keys"] = vec![keys(payload)[0].clone(); 2].into();
    assert_eq!(refused(&two), Refusal::DeviceKey { with_certificates: 2 });
    let none = |payload: &mut Value| payload["publicKeySet"]["keys"] = json!([keys(payload)[1]]);
    assert_eq!(refused(&none), Refusal::DeviceKey { with_certificates: 0 });

    // The device's key, changed.
    let device = |change: &dyn Fn(&mut Value)| refused(&|p| change(&mut p["publicKeySet"]["keys"][0]));
    let stranger = KeyPair::generate().unwrap();
    assert_eq!(device(&|key| key["crv"] = "P-384".into()), Refusal::Key);
    assert_eq!(device(&|key| key["kty"] = "RSA".into()), Refusal::Key);
    assert_eq!(device(&|key| key["y"] = key["x"].clone()), Refusal::Key);
    let length = Undecodable::Length { found: 31, expected: 32 };
    assert_eq!(
        device(&|key| key["x"] = url([1; 31]).into()),
        Refusal::Undecodable { part: "x", why: length }
    );
    let other = |key: &mut Value| {
        let chain = key["x5c"].take();
        *key = jwk("0", &stranger);
        key["x5c"] = chain;
    };
    assert_eq!(device(&other), Refusal::OtherKey);
    assert_eq!(device(&|key| key["x5c"].as_array_mut().unwrap().swap(0, 1)), Refusal::OtherKey);
    let foreign = Maker::new();
    let by_other = |key: &mut Value| key["x5c"][1] = STANDARD.encode(foreign.ca.der()).into();
    assert_eq!(device(&by_other), Refusal::Chain { index: 0 });
    let long = |key: &mut Value| key["x5c"] = vec![key["x5c"][0].clone(); MOST_CERTIFICATES + 1].into();
    assert_eq!(device(&long), Refusal::ManyCertificates);
    let url_safe = |key: &mut Value| key["x5c"][0] = "-_".into();
    assert_eq!(device(&url_safe), Refusal::Undecodable { part: "x5c", why: Undecodable::Base64 });
    let damaged = |key: &mut Value| key["x5c"][1] = STANDARD.encode([0x30, 0x00]).into();
    assert!(matches!(device(&damaged), Refusal::Certificate { index: 1, .. }));
    let authority = maker.signed(|payload| {
        let mut key = jwk("0", maker.ca.key());
        key["x5c"] = json!([STANDARD.encode(maker.ca.der())]);
        payload["publicKeySet"]["keys"] = json!([key]);
    });
    assert_eq!(maker.refused(authority), Refusal::Authority);
}

#[test]
fn an_element_counts_once() {
    let (maker, key) = (Maker::new(), KeyPair::generate().unwrap());
    let entry = |id: &str, key: &KeyPair| maker.entry(&maker.protected(), &maker.payload(id, key));
    let first = entry(ID, &key);
    let manifest = json!([
        json!({}),
        first,
        first,
        entry(ID, &KeyPair::generate().unwrap()),
        entry(OTHER_ID, &key),
        entry(OTHER_ID, &KeyPair::generate().unwrap()),
    ]);
    let ended: Vec<_> = maker
        .read(&manifest)
        .into_iter()
        .map(|element| element.content.map(|verified| verified.unique_id))
        .collect();
    assert!(matches!(ended[0], Err(Refusal::Form { .. })));
    assert_eq!(ended[1], Ok(ID.to_owned()));
    assert_eq!(ended[2], Err(Refusal::DuplicateId { first: 2 }));
    assert_eq!(ended[3], Err(Refusal::DuplicateId { first: 2 }));
    assert_eq!(ended[4], Err(Refusal::DuplicateKey { first: 2 }));
    // What is refused does not count.
    assert_eq!(ended[5], Ok(OTHER_ID.to_owned()));
}

#[test]
fn what_is_no_entry_is_refused_and_what_it_claims_is_told() {
    let maker = Maker::new();
    let good = maker.good(ID);
    for wrong in [json!(1), json!(null), json!([]), json!({ "header": 1 })] {
        assert!(matches!(maker.refused(wrong), Refusal::Form { .. }));
    }
    for part in ["payload", "protected", "signature"] {
        let mut entry = good.clone();
        entry[part] = 5.into();
        let [element] = maker.read(&json!([entry])).try_into().unwrap();
        assert!(matches!(element.content, Err(Refusal::Form { .. })), "{part}");
        assert_eq!(element.claimed_id.as_deref(), Some(ID));
    }
    let mut large = good.clone();
    large["more"] = "x".repeat(LARGEST_ENTRY).into();
    let elements = maker.read(&json!([large, good]));
    assert_eq!(elements[0].content, Err(Refusal::TooLarge));
    assert!(elements[1].content.is_ok());
    // Of two members with one name, parsers take different ones.
    let twice = good.to_string().replacen('{', r#"{"payload":"e30","#, 1);
    let [element] = maker.read_text(format!("[{twice}]").as_bytes()).try_into().unwrap();
    assert!(matches!(element.content, Err(Refusal::Form { why }) if why.contains("duplicate")));
}

#[test]
fn elements_before_the_damage_count() {
    let maker = Maker::new();
    let whole = json!([maker.good(ID), maker.good(OTHER_ID)]).to_string();
    let text = &whole.as_bytes()[..whole.len() - 20];
    let mut elements = Elements::new(text, &maker.signers);
    assert!(elements.next().unwrap().unwrap().content.is_ok());
    assert!(matches!(elements.next(), Some(Err(Damage::CutOff { elements: 2 }))));
    assert!(elements.next().is_none());
}

#[test]
fn a_signer_needs_a_key_on_p256_and_a_key_identifier() {
    let mut params = CertificateParams::default();
    let plain = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let plain = Certificate::from_der(plain.der()).unwrap();
    assert_eq!(ManifestSigner::of(&plain), Err(SignerError::KeyIdentifier));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let other = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
    assert_eq!(Signers::default().add(&other), Err(SignerError::Key));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No change of one byte of the file makes another element of it.
    #[test]
    fn a_byte_that_is_changed_makes_no_other_element(at in any::<usize>(), byte in any::<u8>()) {
        use std::sync::LazyLock;
        static MADE: LazyLock<(Maker, Vec<u8>, Verified)> = LazyLock::new(|| {
            let maker = Maker::new();
            let text = json!([maker.good(ID)]).to_string().into_bytes();
            let [element] = maker.read_text(&text).try_into().unwrap();
            (maker, text, element.content.unwrap())
        });
        let (maker, text, verified) = &*MADE;
        let mut text = text.clone();
        let at = at % text.len();
        text[at] = byte;
        for element in Elements::new(text.as_slice(), &maker.signers).filter_map(Result::ok) {
            if let Ok(found) = element.content {
                prop_assert_eq!(&found, verified);
            }
        }
    }
}
