//! Certificates and requests in files that users bring: a PEM file, or bare DER.

use device_pki::{Certificate, certificate, request};
use jitr::thing_name::{ThingName, ThingNameSource};

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    for certificate in [Certificate::from_pem(bytes), Certificate::from_der(bytes)].into_iter().flatten() {
        let again = Certificate::from_pem(certificate.to_pem().as_bytes());
        assert_eq!(again.unwrap().facts(), certificate.facts());
        let _ = (certificate.point(), certificate.is_ca(), certificate.is_signed_by(&certificate));
    }
    let _ = request::point(bytes);
    let _ = request::point(certificate::pem_of("CERTIFICATE REQUEST", bytes).as_bytes());
    let pem = String::from_utf8_lossy(bytes);
    for source in [ThingNameSource::SubjectKeyIdentifier, ThingNameSource::CommonName] {
        let _ = ThingName::from_certificate_pem(&pem, source);
        let _ = ThingName::from_certificate_der(bytes, source);
    }
}
