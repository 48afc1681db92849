//! Thing names of certificates made by another library than the one that reads them.

use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData};

use super::*;

fn certificate(key: &KeyPair, common_names: &[&str]) -> rcgen::Certificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for name in common_names {
        params.distinguished_name.push(DnType::CommonName, *name);
    }
    params.self_signed(key).unwrap()
}

#[test]
fn the_subject_key_identifier_is_computed_from_the_key_of_a_certificate_without_the_extension() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = certificate(&key, &["sn0123"]);
    let expected = ThingName::from_public_key(key.der_bytes().try_into().unwrap());
    let ski = ThingNameSource::SubjectKeyIdentifier;
    assert_eq!(ThingName::from_certificate_der(certificate.der(), ski), Ok(expected.clone()));
    assert_eq!(ThingName::from_certificate_pem(&certificate.pem(), ski), Ok(expected.clone()));
    assert_eq!(expected.as_str().len(), 40);
    assert!(expected.as_str().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
}

#[test]
fn the_identifier_is_the_sha1_of_the_65_byte_point() {
    // OpenSSL: printf '04%0128x' 1 | xxd -r -p | openssl dgst -sha1
    let mut point = [0; PUBLIC_KEY_SIZE];
    (point[0], point[64]) = (4, 1);
    assert_eq!(ThingName::from_public_key(&point).as_str(), "1518f691cbc707d453cc789df16c6aa491609ce4");
}

#[test]
fn other_keys_are_refused_by_name() {
    for (algorithm, found) in [
        (&rcgen::PKCS_ECDSA_P384_SHA384, "the certificate's key is P-384;"),
        (&rcgen::PKCS_ED25519, "the certificate's key is Ed25519;"),
    ] {
        let certificate = certificate(&KeyPair::generate_for(algorithm).unwrap(), &["a"]);
        for source in [ThingNameSource::SubjectKeyIdentifier, ThingNameSource::CommonName] {
            let error = ThingName::from_certificate_der(certificate.der(), source).unwrap_err();
            assert!(error.is_key_type());
            assert!(error.to_string().contains(found), "{error}");
        }
    }
}

#[test]
fn the_common_name_names_the_thing_when_it_can() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let name = |names: &[&str]| {
        ThingName::from_certificate_der(certificate(&key, names).der(), ThingNameSource::CommonName)
    };
    assert_eq!(name(&["sn0123:A-b_c"]).unwrap().as_str(), "sn0123:A-b_c");
    assert_eq!(name(&[]), Err(ThingNameError::CommonNameCount { count: 0 }));
    assert_eq!(name(&["a b"]), Err(ThingNameError::CommonName("a b".into())));
    assert_eq!(name(&["$aws/x"]), Err(ThingNameError::CommonName("$aws/x".into())));
}

proptest::proptest! {
    #[test]
    fn no_input_makes_the_reader_panic(bytes: Vec<u8>, text: String) {
        let _ = ThingName::from_certificate_der(&bytes, ThingNameSource::CommonName);
        let _ = ThingName::from_certificate_pem(&text, ThingNameSource::SubjectKeyIdentifier);
    }
}
