//! TLS as a device speaks it: with a key that stays where it is, and the roots that it has.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Credentials, DeviceError, Endpoint, Sign};
use crate::board::root_store;

pub(super) fn config(endpoint: &Endpoint, credentials: &Credentials) -> Result<ClientConfig, DeviceError> {
    let key = Arc::new(SlotKey { sign: credentials.sign.clone() });
    let certified = Arc::new(SingleCertAndKey::from(CertifiedKey::new(credentials.chain.clone(), key)));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(endpoint.tls_versions)?;
    if let Some(roots) = &credentials.roots {
        let verifier = Arc::new(WifiModule { sector: roots(), provider });
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        return Ok(builder.with_client_cert_resolver(certified));
    }
    let roots = roots(&endpoint.server_ca_pem)?;
    Ok(builder.with_root_certificates(roots).with_client_cert_resolver(certified))
}

/// The certificates of a PEM text, to trust servers by.
///
/// # Errors
/// [`DeviceError::ServerCa`] for a text that is none, [`DeviceError::Tls`] for a certificate that cannot be trusted.
pub(crate) fn roots(pem: &str) -> Result<RootCertStore, DeviceError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(authority?)?;
    }
    Ok(roots)
}

/// Checks a server as the Wi-Fi module does: its certificates have to lead to a root of the module's flash.
#[derive(Debug)]
struct WifiModule {
    sector: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for WifiModule {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(end_entity).chain(intermediates);
        let anchors = shown.filter_map(|certificate| {
            let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
            root_store::anchor(&self.sector, certificate.issuer(), OffsetDateTime::now_utc())
        });
        let roots = RootCertStore { roots: anchors.collect() };
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The device's key as the TLS library wants it.
#[derive(Clone)]
struct SlotKey {
    sign: Arc<Sign>,
}

impl fmt::Debug for SlotKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SlotKey").finish_non_exhaustive()
    }
}

impl SigningKey for SlotKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for SlotKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        (self.sign)(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
