//! Certificates that AWS IoT issues itself, and the limits on keys and attributes.

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use x509_parser::parse_x509_certificate;
use x509_parser::pem::parse_x509_pem;

use super::*;

#[tokio::test]
async fn a_key_and_its_certificate_are_made_and_belong_together() {
    let account = Account::empty().await;
    let iot = account.iot();
    let made = iot.create_keys_and_certificate().set_as_active(true).send().await.unwrap();
    let pair = made.key_pair.unwrap();
    let (_, pem) = parse_x509_pem(made.certificate_pem.as_ref().unwrap().as_bytes()).unwrap();
    let (_, certificate) = parse_x509_certificate(&pem.contents).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=AWS IoT Certificate");
    assert_eq!(
        certificate.issuer().to_string(),
        "OU=Amazon Web Services, O=Amazon.com Inc., L=Seattle, ST=Washington, C=US"
    );
    let private = pair.private_key.unwrap();
    assert!(private.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let public = pair.public_key.unwrap();
    let (_, public) = parse_x509_pem(public.as_bytes()).unwrap();
    assert_eq!(public.contents, certificate.public_key().raw);
    let found = iot.describe_certificate().certificate_id(made.certificate_id.unwrap()).send().await.unwrap();
    let description = found.certificate_description.unwrap();
    assert_eq!(description.status, Some(CertificateStatus::Active));
    assert_eq!(description.certificate_pem, made.certificate_pem);
}

#[tokio::test]
async fn a_signing_request_gets_a_certificate_for_its_key_and_subject() {
    let account = Account::empty().await;
    let iot = account.iot();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "board");
    let request = params.serialize_request(&key).unwrap().pem().unwrap();
    let made = iot.create_certificate_from_csr().certificate_signing_request(&request).send().await.unwrap();
    let (_, pem) = parse_x509_pem(made.certificate_pem.as_ref().unwrap().as_bytes()).unwrap();
    let (_, certificate) = parse_x509_certificate(&pem.contents).unwrap();
    assert_eq!(certificate.subject().to_string(), "CN=board");
    assert_eq!(certificate.public_key().raw, key.subject_public_key_info());
    let id = made.certificate_id.unwrap();
    let found = iot.describe_certificate().certificate_id(&id).send().await.unwrap();
    assert_eq!(found.certificate_description.unwrap().status, Some(CertificateStatus::Inactive));

    let nonsense = iot.create_certificate_from_csr().certificate_signing_request("nonsense");
    assert_eq!(refused!(nonsense), is("InvalidRequestException", 400));
}

/// A self-signed certificate whose RSA key has 1024 bits: `openssl req -x509 -newkey rsa:1024 -subj /CN=weak -days 36500`.
const RSA_1024: &str = include_str!("rsa-1024.pem");

#[tokio::test]
async fn a_key_that_aws_iot_does_not_take_is_refused() {
    let account = Account::empty().await;
    let iot = account.iot();
    let weak = iot.register_certificate_without_ca().certificate_pem(RSA_1024);
    assert_eq!(refused!(weak), is("CertificateValidationException", 400));
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let strong = CertificateParams::default().self_signed(&key).unwrap().pem();
    iot.register_certificate_without_ca().certificate_pem(strong).send().await.unwrap();
}

#[tokio::test]
async fn attributes_have_the_limits_of_aws_iot() {
    let account = Account::empty().await;
    let iot = account.iot();
    iot.create_thing_type().thing_type_name("kit").send().await.unwrap();
    let payload = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        aws_sdk_iot::types::AttributePayload::builder().set_attributes(Some(pairs)).build()
    };
    let thing =
        |pairs: &[(&str, &str)]| iot.create_thing().thing_name("board").attribute_payload(payload(pairs));
    let invalid = || is("InvalidRequestException", 400);
    let four = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    assert_eq!(refused!(thing(&four)), invalid());
    for (name, value) in [("a b", "1"), ("ü", "1"), ("", "1"), ("a", "two words"), ("a", "grün"), ("a=", "1")]
    {
        assert_eq!(refused!(thing(&[(name, value)])), invalid(), "{name:?}: {value:?}");
    }
    let long = "x".repeat(801);
    assert_eq!(refused!(thing(&[("a", &long)])), invalid());
    assert_eq!(refused!(iot.create_thing().thing_name("x".repeat(129))), invalid());
    thing(&four).thing_type_name("kit").send().await.unwrap();
    // Without its type the thing would have too many.
    assert_eq!(refused!(iot.update_thing().thing_name("board").remove_thing_type(true)), invalid());
    let merged = iot.create_thing().thing_name("other").attribute_payload(payload(&four[..3]));
    merged.send().await.unwrap();
    let fourth = aws_sdk_iot::types::AttributePayload::builder().attributes("d", "4").merge(true).build();
    assert_eq!(refused!(iot.update_thing().thing_name("other").attribute_payload(fourth)), invalid());
    let found = iot.describe_thing().thing_name("other").send().await.unwrap();
    assert_eq!((found.attributes.unwrap().len(), found.version), (3, 1));
}
