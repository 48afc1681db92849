//! Whom connections to AWS trust: the roots of `AWS_CA_BUNDLE` or `ca_bundle`, or those of the operating system. A system without any,
//! such as a bare Debian, trusts Amazon's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::Error;

/// The environment variable that names a file with root certificates, PEM (AWS SDKs and Tools Reference Guide, "General
/// configuration").
const VARIABLE: &str = "AWS_CA_BUNDLE";

/// The environment variable that names the roots to trust, if it does: it goes before the profile's setting.
pub fn ca_bundle_variable() -> Option<&'static str> {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(|_| VARIABLE)
}

/// The roots that connections to AWS are checked against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust(Option<Arc<[CertificateDer<'static>]>>);

impl Trust {
    /// The certificates of the file that the environment or the profile names, and no other. Where none is named, and the
    /// system has no roots, Amazon's. Otherwise the roots of the system.
    ///
    /// # Errors
    /// [`Error::CaBundle`].
    pub(super) fn find(of_profile: Option<&str>) -> Result<Self, Error> {
        let (setting, path) = match (std::env::var_os(VARIABLE), of_profile) {
            (Some(path), _) if !path.is_empty() => (VARIABLE, PathBuf::from(path)),
            (_, Some(path)) => ("ca_bundle", PathBuf::from(path)),
            _ if rustls_native_certs::load_native_certs().certs.is_empty() => {
                let amazon = CertificateDer::pem_slice_iter(device_pki::amazon::PEM.as_bytes());
                return Ok(Self(Some(amazon.flatten().collect())));
            }
            _ => return Ok(Self(None)),
        };
        let path = match path.strip_prefix("~") {
            Ok(rest) => std::env::home_dir().unwrap_or_default().join(rest),
            Err(_) => path,
        };
        let roots = roots(&path).map_err(|reason| Error::CaBundle { setting, path, reason })?;
        Ok(Self(Some(roots.into())))
    }

    /// An HTTP client that trusts them; `None` for the roots of the system, which the SDK's own client trusts.
    pub(super) fn http_client(&self) -> Option<SharedHttpClient> {
        let roots = self.0.as_ref()?;
        Some(client(context(roots)))
    }

    /// What opens connections that trust them, through a proxy if the environment names one.
    pub(crate) fn connector(&self) -> Connector {
        let context = self.0.as_ref().map(|roots| context(roots)).unwrap_or_default();
        let connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context).build()
    }

    /// The TLS settings of other connections that trust them.
    ///
    /// # Errors
    /// Only without a version of TLS: a fault of the program.
    pub(crate) fn tls(&self) -> Result<ClientConfig, rustls::Error> {
        let mut store = RootCertStore::empty();
        match &self.0 {
            Some(roots) => store.add_parsable_certificates(roots.iter().cloned()),
            None => store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.with_root_certificates(store).with_no_client_auth())
    }
}

/// A context that trusts these roots alone.
fn context(roots: &[CertificateDer<'_>]) -> TlsContext {
    let add = |store: TrustStore, root: &CertificateDer<'_>| store.with_pem_certificate(pem(root));
    let store = roots.iter().fold(TrustStore::empty(), add);
    // Building cannot fail: what could not be an anchor was left out.
    TlsContext::builder().with_trust_store(store).build().unwrap_or_default()
}

fn client(context: TlsContext) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        let connector = connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc));
        connector.tls_context(context.clone()).build()
    })
}

/// The certificates of the file that can be trust anchors. The HTTP client takes no other.
fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let said = |error: durable_files::Error| {
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    };
    let bytes = durable_files::read(path).map_err(said)?.ok_or("there is no such file")?;
    let (mut roots, mut other) = (Vec::new(), 0);
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        match webpki::anchor_from_trusted_cert(&certificate) {
            Ok(_) => roots.push(certificate),
            Err(_) => other += 1,
        }
    }
    match (roots.len(), other) {
        (0, 0) => Err("it has no PEM block CERTIFICATE".to_owned()),
        (0, _) => Err("none of its certificates can be a root".to_owned()),
        _ => Ok(roots),
    }
}

fn pem(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let text = aws_smithy_types::base64::encode(certificate.as_ref());
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}
