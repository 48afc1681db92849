//! Certificates that AWS IoT issues itself: for a key that it makes, or for a certificate signing request.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName,
    DnType, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, date_time_ymd,
};
use time::{Duration, OffsetDateTime};

use super::{Account, CertificateMode, Error, Status, x509};

/// AWS IoT's own CA. No device knows it: certificates that it issued are told by their id.
pub(super) struct Issuer(CertifiedIssuer<'static, KeyPair>);

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer")
    }
}

/// A certificate that has been issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Certificate id.
    pub id: String,
    /// The certificate, PEM.
    pub pem: String,
}

impl Account {
    /// `CreateCertificateFromCsr`: the request's subject and key, AWS IoT's issuer and validity.
    pub fn create_certificate_from_csr(&mut self, pem: &str, status: Status) -> Result<Issued, Error> {
        let invalid = |error: rcgen::Error| Error::InvalidRequest {
            reason: format!("the certificate signing request cannot be used: {error}"),
        };
        let request = CertificateSigningRequestParams::from_pem(pem).map_err(invalid)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = request.params.distinguished_name;
        self.issue(params, &request.public_key, status)
    }

    /// `CreateKeysAndCertificate`: RSA with 2048 bits. Gives the certificate, and the public and the private key as PEM.
    pub fn create_keys_and_certificate(&mut self, status: Status) -> Result<(Issued, String, String), Error> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(internal)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "AWS IoT Certificate");
        let issued = self.issue(params, &key, status)?;
        // The key is the third element of its PKCS #8 form (RFC 5958).
        let whole = key.serialize_der();
        let key_of = |der: &[u8]| {
            let (_, whole) = x509_parser::der_parser::parse_der(der).ok()?;
            Some(whole.as_sequence().ok()?.get(2)?.as_slice().ok()?.to_owned())
        };
        let private =
            key_of(&whole).ok_or_else(|| Error::Internal { reason: "the key is not PKCS #8".into() })?;
        Ok((issued, key.public_key_pem(), x509::pem("RSA PRIVATE KEY", &private)))
    }

    fn issue(
        &mut self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        status: Status,
    ) -> Result<Issued, Error> {
        if self.issuer.is_none() {
            self.issuer = Some(Issuer::new().map_err(internal)?);
        }
        let Some(Issuer(issuer)) = &self.issuer else {
            return Err(internal(rcgen::Error::CouldNotParseCertificate));
        };
        params.not_before = OffsetDateTime::now_utc() - Duration::minutes(2);
        params.not_after = date_time_ymd(2049, 12, 31);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, issuer).map_err(internal)?;
        x509::check_key(&x509::parse(certificate.der())?)?;
        self.refuse_known(certificate.der())?;
        let id = self.insert_certificate(certificate.der(), None, status, CertificateMode::Default);
        Ok(Issued { id, pem: x509::to_pem(certificate.der()) })
    }
}

impl Issuer {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in [
            (DnType::OrganizationalUnitName, "Amazon Web Services"),
            (DnType::OrganizationName, "Amazon.com Inc."),
            (DnType::LocalityName, "Seattle"),
            (DnType::StateOrProvinceName, "Washington"),
            (DnType::CountryName, "US"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }
}

fn internal(error: rcgen::Error) -> Error {
    Error::Internal { reason: error.to_string() }
}
