//! Secure-element manifests: a file of any bytes, and any payload that a known signer has signed.

use std::sync::LazyLock;

use device_pki::Certificate;
use device_pki::manifest::{Damage, Element, Elements, Refusal, Signers};
use serde_json::Value;
use testbed::manifest::Vendor;

static VENDOR: LazyLock<(Vendor, Signers)> = LazyLock::new(|| {
    let (vendor, mut signers) = (Vendor::new("Fuzz").unwrap(), Signers::default());
    signers.add(&Certificate::read(vendor.signer().as_bytes()).unwrap()).unwrap();
    (vendor, signers)
});

fn read(bytes: &[u8]) -> (Vec<Element>, Option<Damage>) {
    let (mut elements, mut damage) = (Vec::new(), None);
    for element in Elements::new(bytes, &VENDOR.1) {
        assert!(damage.is_none(), "something follows the damage");
        match element {
            Ok(element) => elements.push(element),
            Err(found) => damage = Some(found),
        }
    }
    (elements, damage)
}

/// Panics where this does not hold: a parser of the whole array finds as many values; what is verified is what was signed.
pub(crate) fn check(bytes: &[u8]) {
    let (elements, damage) = read(bytes);
    assert!(elements.iter().zip(1..).all(|(element, number)| element.number == number));
    if let Ok(values) = serde_json::from_slice::<Vec<Value>>(bytes) {
        assert!(damage.is_none(), "{damage:?}");
        assert_eq!(elements.len(), values.len());
    }
    let Ok(payload) = serde_json::from_slice::<Value>(bytes) else { return };
    if !payload["uniqueId"].is_string() {
        return;
    }
    let entry = VENDOR.0.entry(&payload).unwrap();
    let (elements, damage) = read(format!("[{entry}]").as_bytes());
    assert!(damage.is_none() && elements.len() == 1);
    for element in elements {
        match element.content {
            Ok(verified) => {
                assert_eq!(payload["uniqueId"], verified.unique_id);
                let certificate = verified.certificate;
                assert!(certificate.is_none_or(|certificate| certificate.point() == Some(verified.point)));
            }
            Err(refusal) => assert!(!matches!(
                refusal,
                Refusal::Signature { .. } | Refusal::OtherId { .. } | Refusal::UnknownSigner { .. }
            )),
        }
    }
}
