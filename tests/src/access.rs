//! What a client needs to reach an account: the endpoint, and the keys that its requests are signed with.

use std::fmt;

use crate::secret;

/// The endpoint of an account and an access key of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// `AWS_ENDPOINT_URL`.
    pub endpoint_url: String,
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

/// Without the secret.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint_url, region, access_key_id, .. } = self;
        f.debug_struct("Access")
            .field("endpoint_url", endpoint_url)
            .field("region", region)
            .field("access_key_id", access_key_id)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// A new key, of the form that AWS gives users' keys.
    pub(crate) fn random(endpoint_url: &str, region: &str) -> Self {
        Self {
            endpoint_url: endpoint_url.to_owned(),
            region: region.to_owned(),
            access_key_id: format!("AKIA{}", secret::random()[..16].to_ascii_uppercase()),
            secret_access_key: secret::random(),
        }
    }

    /// To a server that checks no signatures.
    pub fn unchecked(endpoint_url: &str, region: &str) -> Self {
        Self {
            endpoint_url: endpoint_url.to_owned(),
            region: region.to_owned(),
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned(),
        }
    }

    /// The environment variables that AWS's tools read.
    pub fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint_url),
            ("AWS_REGION", &self.region),
            ("AWS_ACCESS_KEY_ID", &self.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_access_key),
        ]
    }
}
