//! Whom connections to AWS trust: the roots of `AWS_CA_BUNDLE` or `ca_bundle`, or those of the operating system. A system without any,
//! such as a bare Debian, trusts Amazon's.

use std::path::{Path, PathBuf};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
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

/// A client that trusts the certificates of the file that the environment or the profile names, and no other. Where none is
/// named, and the system has no roots, one that trusts Amazon's. `None` for the roots of the system.
///
/// # Errors
/// [`Error::CaBundle`].
pub(super) fn http_client(of_profile: Option<&str>) -> Result<Option<SharedHttpClient>, Error> {
    let (setting, path) = match (std::env::var_os(VARIABLE), of_profile) {
        (Some(path), _) if !path.is_empty() => (VARIABLE, PathBuf::from(path)),
        (_, Some(path)) => ("ca_bundle", PathBuf::from(path)),
        _ if rustls_native_certs::load_native_certs().certs.is_empty() => {
            let amazon = TrustStore::empty().with_pem_certificate(device_pki::amazon::PEM);
            // Building cannot fail; what it would fall back to is the system's.
            let context = TlsContext::builder().with_trust_store(amazon).build().unwrap_or_default();
            return Ok(Some(client(context)));
        }
        _ => return Ok(None),
    };
    let path = match path.strip_prefix("~") {
        Ok(rest) => std::env::home_dir().unwrap_or_default().join(rest),
        Err(_) => path,
    };
    let refuse = |reason: &str| Error::CaBundle { setting, path: path.clone(), reason: reason.to_owned() };
    let roots = roots(&path).map_err(|reason| refuse(&reason))?;
    let context = TlsContext::builder().with_trust_store(roots).build();
    let context = context.map_err(|error| refuse(&error.to_string()))?;
    Ok(Some(client(context)))
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
fn roots(path: &Path) -> Result<TrustStore, String> {
    let said = |error: durable_files::Error| {
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    };
    let bytes = durable_files::read(path).map_err(said)?.ok_or("there is no such file")?;
    let (mut roots, mut taken, mut other) = (TrustStore::empty(), 0, 0);
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        match webpki::anchor_from_trusted_cert(&certificate) {
            Ok(_) => {
                taken += 1;
                roots.add_pem_certificate(pem(&certificate));
            }
            Err(_) => other += 1,
        }
    }
    match (taken, other) {
        (0, 0) => Err("it has no PEM block CERTIFICATE".to_owned()),
        (0, _) => Err("none of its certificates can be a root".to_owned()),
        _ => Ok(roots),
    }
}

fn pem(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let text = aws_smithy_types::base64::encode(certificate.as_ref());
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}
