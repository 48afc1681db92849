//! What a device shows of itself, from the files that name it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls::client::ClientConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::device::tls;
use crate::iot_core::account::x509;

/// Files that make no device.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read {}: check the path of {option}", path.display())]
    Read {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file without a certificate.
    #[error(
        "{} has no certificate as PEM (`BEGIN CERTIFICATE`): `openssl x509 -inform DER` makes PEM of a DER file", path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// PEM that is broken.
    #[error("{} has broken PEM: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: pem::Error,
    },
    /// A certificate that cannot be read.
    #[error("the first certificate of {} is no X.509 certificate", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// A file without a private key.
    #[error("{} has no private key as PEM: --key takes PKCS#8 (`BEGIN PRIVATE KEY`), SEC1 and PKCS#1", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A key behind a passphrase.
    #[error(
        "the key in {} is encrypted: `openssl pkey -in FILE -out PLAIN` asks for its passphrase and writes it without", path.display()
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// A key of a kind that TLS does not use.
    #[error("the key in {} is of a kind that TLS does not use: use a P-256 or an RSA key", path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// What the TLS library says.
        #[source]
        source: rustls::Error,
    },
    /// A key that is another's.
    #[error(
        "the key in {} is not that of the first certificate of {}, which has to be the device's own: name key and certificate of the same device",
        key.display(), certificate.display()
    )]
    KeyOfAnother {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// Something else than the CA of a server.
    #[error("{} is no certificate of a server's CA, which --ca takes as PEM", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
    },
}

/// A device: what it is called, and its TLS.
pub(super) struct Identity {
    /// SHA-256 of the certificate, hexadecimal, as AWS IoT names it.
    pub(super) certificate_id: String,
    /// SHA-1 of the public key, hexadecimal: the thing name and client id of the kits' boards.
    pub(super) key_identifier: String,
    pub(super) tls: Arc<ClientConfig>,
}

impl Identity {
    /// Reads the certificate with its chain, its key, and the CA of the server.
    pub(super) fn read(certificate: &Path, key: &Path, authority: &Path) -> Result<Self, Error> {
        let chain = chain(certificate)?;
        let leaf = chain.first().ok_or(Error::NoCertificate { path: certificate.to_owned() })?;
        let certificate_id = x509::certificate_id(leaf);
        let parsed = x509::parse(leaf).map_err(|_| Error::Certificate { path: certificate.to_owned() })?;
        let point = parsed.public_key().subject_public_key.data.as_ref();
        let key_identifier = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, point));

        let pem = read("--ca", authority)?;
        let roots = tls::roots(&String::from_utf8_lossy(&pem)).ok().filter(|roots| !roots.is_empty());
        let roots = roots.ok_or(Error::Authority { path: authority.to_owned() })?;
        let unusable = |source| Error::UnusableKey { path: key.to_owned(), source };
        let private = any_supported_type(&private(key)?).map_err(unusable)?;
        // The key may be of a kind whose public half cannot be told: the server notices.
        let public = private.public_key();
        let public = public.as_ref().and_then(|public| SubjectPublicKeyInfo::from_der(public).ok());
        if public.is_some_and(|(_, public)| public.subject_public_key.data.as_ref() != point) {
            return Err(Error::KeyOfAnother { key: key.to_owned(), certificate: certificate.to_owned() });
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let own = SingleCertAndKey::from(CertifiedKey::new(chain, private));
        let tls = builder.with_root_certificates(roots).with_client_cert_resolver(Arc::new(own));
        Ok(Self { certificate_id, key_identifier, tls: Arc::new(tls) })
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { option, path: path.to_owned(), source })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = read("--cert", path)?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>();
    chain.map_err(|reason| Error::Pem { path: path.to_owned(), reason })
}

fn private(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = read("--key", path)?;
    // Both forms of encrypted keys say so in their text.
    if String::from_utf8_lossy(&bytes).contains("ENCRYPTED") {
        return Err(Error::Encrypted { path: path.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        pem::Error::NoItemsFound => Error::NoKey { path: path.to_owned() },
        reason => Error::Pem { path: path.to_owned(), reason },
    })
}
