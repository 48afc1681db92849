//! The root certificates that AWS's endpoints are checked with, and the time that loading them takes.
//!
//! The system's root certificates are some 150, read and parsed before the first connection: more than half of the time
//! from the start of the process to the first event. AWS's own endpoints need five (Amazon Trust Services, "Repository";
//! AWS Security Blog, "How to prepare for AWS's move to its own certificate authority"). They are in the program.

use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use device_pki::amazon;

use crate::config::Connection;

/// The TLS implementation.
pub(super) const PROVIDER: Provider = Provider::Rustls(CryptoMode::AwsLc);

/// The root certificates that a server's certificate has to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// None: there is no TLS.
    Nobody,
    /// Amazon's.
    Amazon,
    /// The system's, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    System,
}

impl Trust {
    /// For a service of AWS: Amazon's roots if it is at its own endpoint in one of the commercial Regions, and no variable says
    /// otherwise.
    pub(super) fn in_service(connection: &Connection, endpoint_url: Option<&str>) -> Self {
        let elsewhere = ["cn-", "us-gov-", "us-iso", "eu-iso", "eusc-"];
        match endpoint_url {
            Some(url) if url.starts_with("http://") => Self::Nobody,
            Some(_) => Self::System,
            None if connection.own_roots => Self::System,
            None if elsewhere.iter().any(|prefix| connection.region.starts_with(prefix)) => Self::System,
            None => Self::Amazon,
        }
    }

    /// The context that connections are made in.
    pub(super) fn context(self) -> TlsContext {
        let store = match self {
            Self::Nobody => TrustStore::empty(),
            Self::Amazon => TrustStore::empty().with_pem_certificate(amazon::PEM),
            Self::System => TrustStore::default(),
        };
        // Building cannot fail; what it would fall back to is the system's.
        TlsContext::builder().with_trust_store(store).build().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(region: &str, own_roots: bool) -> Connection {
        Connection {
            region: region.into(),
            access_key_id: "AKID".into(),
            secret_access_key: "s3cret".into(),
            session_token: None,
            endpoint_url: None,
            s3_endpoint_url: None,
            own_roots,
        }
    }

    #[test]
    fn amazons_roots_count_for_awss_own_endpoints_alone() {
        let trust = |region, own, url| Trust::in_service(&connection(region, own), url);
        assert_eq!(trust("us-east-2", false, None), Trust::Amazon);
        assert_eq!(trust("eu-central-1", false, None), Trust::Amazon);
        assert_eq!(trust("us-east-2", true, None), Trust::System);
        for region in ["cn-north-1", "us-gov-west-1", "us-iso-east-1", "eusc-de-east-1"] {
            assert_eq!(trust(region, false, None), Trust::System, "{region}");
        }
        assert_eq!(trust("us-east-2", false, Some("https://localhost:1")), Trust::System);
        assert_eq!(trust("us-east-2", false, Some("http://localhost:1")), Trust::Nobody);
    }
}
