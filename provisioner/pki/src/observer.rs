//! Observers of every signature, such as an audit log.

use crate::Cause;
use crate::key::{PublicKey, Uri};

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The root CA's certificate for its own key.
    RootCertificate,
    /// A signer CA's certificate.
    SignerCertificate,
    /// A signer CA's certificate signing request.
    SigningRequest,
    /// A device's certificate.
    DeviceCertificate,
    /// The certificate that proves possession of the signer's key to AWS IoT.
    VerificationCertificate,
    /// A certificate revocation list.
    RevocationList,
    /// An admission list.
    AdmissionList,
}

impl Purpose {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::RootCertificate => "root certificate",
            Self::SignerCertificate => "signer certificate",
            Self::SigningRequest => "signing request",
            Self::DeviceCertificate => "device certificate",
            Self::VerificationCertificate => "verification certificate",
            Self::RevocationList => "revocation list",
            Self::AdmissionList => "admission list",
        }
    }
}

/// A document that is signed and not yet released.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// What it is.
    pub purpose: Purpose,
    /// The key that signed it.
    pub key: &'a Uri,
    /// The public key that verifies it.
    pub public: &'a PublicKey,
    /// The whole document, its signature included, DER.
    pub der: &'a [u8],
}

/// Observes every signature.
pub trait Observer: Send + Sync {
    /// Notes a signature. The document is withheld, and the command fails, unless this succeeds.
    ///
    /// # Errors
    /// It could not be noted.
    fn on_signature(&self, signed: &Signed<'_>) -> Result<(), Cause>;
}

/// Lets signatures pass unnoted.
impl Observer for () {
    fn on_signature(&self, _: &Signed<'_>) -> Result<(), Cause> {
        Ok(())
    }
}
