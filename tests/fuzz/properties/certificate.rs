//! Certificates and requests in files that users bring, whatever wraps them.

use device_pki::reader::{self, Kind};
use device_pki::{Certificate, certificate, request};
use jitr::thing_name::{ThingName, ThingNameSource};

/// Panics where this does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let parts = reader::parts(bytes);
    assert!(!parts.is_empty());
    let found: Vec<_> = parts.iter().filter(|part| part.kind == Kind::Certificate).collect();
    match Certificate::read_all(bytes) {
        Ok(certificates) => assert_eq!(certificates.len(), found.len()),
        Err(_) => assert!(found.is_empty()),
    }
    for part in found {
        let certificate = Certificate::from_der(&part.der).unwrap();
        let again = Certificate::read(certificate.to_pem().as_bytes());
        assert_eq!(again.unwrap().facts(), certificate.facts());
        let _ = (certificate.point(), certificate.is_ca(), certificate.is_signed_by(&certificate));
        let _ = (certificate.path_length(), certificate.may_sign_lists(), certificate.key_kind());
        let _ = certificate.permits(certificate.der());
    }
    let _ = request::point(bytes);
    let _ = request::point(certificate::pem_of("CERTIFICATE REQUEST", bytes).as_bytes());
    let pem = String::from_utf8_lossy(bytes);
    for source in [ThingNameSource::SubjectKeyIdentifier, ThingNameSource::CommonName] {
        let _ = ThingName::from_certificate_pem(&pem, source);
        let _ = ThingName::from_certificate_der(bytes, source);
    }
}
