//! The gateway's TLS: its own certificates, and client certificates taken as they come.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};

use super::entrance::PROTOCOLS;

/// The names the gateway's certificate is valid for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Why the gateway's TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The gateway's own certificates.
    #[error("cannot make the server's certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library.
    #[error("cannot set up TLS: {0}")]
    Setup(#[from] rustls::Error),
    /// The operating system.
    #[error("cannot tell where TLS is listened for: {0}")]
    Listen(std::io::Error),
}

/// A TLS 1.2 and 1.3 server with fresh certificates, and the PEM of the CA that signed them.
pub(super) fn server() -> Result<(ServerConfig, String), TlsError> {
    let authority = authority()?;
    let pem = authority.pem();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyClient { algorithms: provider.signature_verification_algorithms });
    let ecdsa = Arc::new(certified(&authority, &KeyPair::generate()?)?);
    let certificates = Arc::new(Certificates { authority, ecdsa, rsa: OnceLock::new() });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificates);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok((config, pem))
}

/// A fresh certificate with its key, and the PEM of the fresh CA that signed it.
pub(in crate::iot_core) fn identity()
-> Result<(String, Vec<CertificateDer<'static>>, PrivatePkcs8KeyDer<'static>), rcgen::Error> {
    let (authority, key) = (authority()?, KeyPair::generate()?);
    let certificate = server_certificate(&authority, &key)?;
    Ok((authority.pem(), vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der())))
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Result<Authority, rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "testbed server CA");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(authority, KeyPair::generate()?)
}

fn server_certificate(authority: &Authority, key: &KeyPair) -> Result<CertificateDer<'static>, rcgen::Error> {
    let mut server = CertificateParams::new(NAMES.map(str::to_owned))?;
    server.distinguished_name.push(DnType::CommonName, NAMES[0]);
    server.use_authority_key_identifier_extension = true;
    Ok(server.signed_by(key, authority)?.der().clone())
}

fn certified(authority: &Authority, key: &KeyPair) -> Result<CertifiedKey, TlsError> {
    let certificate = server_certificate(authority, key)?;
    let key = aws_lc_rs::sign::any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    Ok(CertifiedKey::new(vec![certificate], key))
}

/// The server's certificates, of which a client gets the one that it can check (AWS IoT Core developer guide, "Server
/// authentication"): ECDSA, or RSA. The RSA key takes its time; it is made for the first client that needs it.
struct Certificates {
    authority: Authority,
    ecdsa: Arc<CertifiedKey>,
    rsa: OnceLock<Option<Arc<CertifiedKey>>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let scheme = hello.signature_schemes().contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        // In TLS 1.2 the suite names the kind of the server's key, in TLS 1.3 it does not.
        let suite = |suite: &CipherSuite| {
            let name = suite.as_str().unwrap_or_default();
            name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_ECDSA_")
        };
        if scheme && hello.cipher_suites().iter().any(suite) {
            return Some(self.ecdsa.clone());
        }
        let make = || {
            let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).ok()?;
            certified(&self.authority, &key).ok().map(Arc::new)
        };
        self.rsa.get_or_init(make).clone()
    }
}

/// Has the client prove that it holds its certificate's key, if it shows one; who signed the certificate is decided by the account at the
/// MQTT CONNECT, as in AWS IoT just-in-time registration.
#[derive(Debug)]
struct AnyClient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyClient {
    /// A client that signs with the account's keys shows none.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
