//! What the account reads out of certificates, and the one check that counts: the signature.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::Error;

/// The first certificate of a PEM text, as DER.
pub fn from_pem(pem: &str) -> Result<Vec<u8>, Error> {
    let invalid = |reason: &str| Error::CertificateValidation { reason: reason.into() };
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|_| invalid("not PEM"))?;
    if block.label != "CERTIFICATE" {
        return Err(invalid("the PEM block is not a CERTIFICATE"));
    }
    parse(&block.contents)?;
    Ok(block.contents)
}

/// The certificate as PEM text.
pub fn to_pem(der: &[u8]) -> String {
    pem("CERTIFICATE", der)
}

/// PEM text with this label.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

/// Refuses a key that AWS IoT does not take (AWS IoT Core developer guide, "X.509 client certificates"): RSA with less than 2048
/// bits, and curves other than P-256, P-384 and P-521.
pub fn check_key(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    let invalid = |reason: String| Err(Error::CertificateValidation { reason });
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < 2048 => {
            invalid(format!("its RSA key has {} bits; AWS IoT takes 2048 and more", key.key_size()))
        }
        Ok(PublicKey::RSA(_)) => Ok(()),
        Ok(PublicKey::EC(key)) if matches!(key.key_size(), 256 | 384 | 521..=528) => Ok(()),
        _ => invalid("its key is neither RSA nor on P-256, P-384 or P-521".to_owned()),
    }
}

/// The certificate id: SHA-256 of the DER, 64 hex digits.
pub fn certificate_id(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// Reads a certificate.
pub fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Error::CertificateValidation { reason: "not an X.509 certificate".into() }),
    }
}

/// Whether `issuer` issued `certificate`: the names fit, whatever the types of their strings (RFC 5280, section 7.1), and the
/// signature verifies.
pub fn issued_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.issuer().to_string() == issuer.subject().to_string()
        && certificate.verify_signature(Some(issuer.public_key())).is_ok()
}

/// The subject's common name; empty if it has none.
pub fn common_name(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.unwrap_or_default().to_owned()
}

/// First and last moment of validity.
pub fn validity(certificate: &X509Certificate<'_>) -> (SystemTime, SystemTime) {
    let at = |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs());
    let validity = certificate.validity();
    (at(validity.not_before.timestamp()), at(validity.not_after.timestamp()))
}

/// Refuses a certificate that is not valid yet, or no longer.
pub fn check_validity(certificate: &X509Certificate<'_>) -> Result<(), Error> {
    let (not_before, not_after) = validity(certificate);
    let now = SystemTime::now();
    if now < not_before {
        return Err(Error::CertificateValidation { reason: "it is not valid yet".into() });
    }
    if now > not_after {
        return Err(Error::CertificateValidation { reason: "it has expired".into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, Issuer, KeyPair};

    use super::*;

    fn named(name: DnValue) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    #[test]
    fn a_name_in_a_string_of_another_type_is_the_same_name_and_the_signature_decides() {
        let utf8 = |name: &str| DnValue::Utf8String(name.to_owned());
        let [key, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let ca = named(utf8("CA")).self_signed(&key).unwrap();
        let ca = parse(ca.der()).unwrap();
        for (name, signed_by, is_issued) in [
            (DnValue::PrintableString("CA".try_into().unwrap()), &key, true),
            (utf8("CA"), &key, true),
            (utf8("CB"), &key, false),
            (utf8("CA"), &other, false),
        ] {
            let issuer = Issuer::new(named(name), signed_by);
            let device = named(utf8("device")).signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
            assert_eq!(issued_by(&parse(device.der()).unwrap(), &ca), is_issued);
        }
    }
}
