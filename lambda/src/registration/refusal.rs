//! Why a certificate is not registered: refused, or failed and to be repeated.

use crate::admission;
use crate::description::Undescribed;
use crate::policy::PolicyError;
use crate::registry::{CertificateStatus, RegistryError};
use crate::revocation::Unavailable;
use crate::scope::ArnError;
use crate::thing_name::{ThingName, ThingNameError};

/// Why a certificate is not registered, now or ever. A repetition has the same result, until a person changes something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such certificate in this account and Region.
    #[error("there is no such certificate in this account and Region")]
    UnknownCertificate,
    /// The event is about another account.
    #[error("the event names account {event}, but the certificate is in account {certificate}")]
    OtherAccount {
        /// The account that the event names.
        event: String,
        /// The account in the certificate's ARN.
        certificate: String,
    },
    /// The event names a CA that did not issue the certificate.
    #[error("the event names CA {event}, but AWS IoT reports {}", certificate.as_deref().unwrap_or("none"))]
    OtherCa {
        /// The CA that the event names.
        event: String,
        /// The CA that AWS IoT reports.
        certificate: Option<String>,
    },
    /// The CA is not among the allowed ones.
    #[error("CA {} is not on the allow-list", ca.as_deref().unwrap_or("(none)"))]
    CaNotAllowed {
        /// The CA that AWS IoT reports.
        ca: Option<String>,
    },
    /// The status forbids it.
    #[error("the certificate is {0}")]
    Status(CertificateStatus),
    /// The CA has revoked it.
    #[error("the certificate is on its CA's revocation list")]
    Revoked,
    /// The board's key is not on the admission list.
    #[error("the board's key is not on the admission list")]
    NotAdmitted,
    /// The certificate gives no thing name.
    #[error(transparent)]
    Certificate(#[from] ThingNameError),
    /// The certificate gives no attribute, group or policy that AWS IoT takes.
    #[error(transparent)]
    Undescribed(#[from] Undescribed),
    /// Another certificate has the name.
    #[error("thing {thing} belongs to another certificate: {holder}")]
    ThingTaken {
        /// The thing.
        thing: ThingName,
        /// ARN of the principal attached to it.
        holder: String,
    },
    /// The certificate belongs to another thing.
    #[error("the certificate cannot be attached to thing {thing} alone: {message}")]
    NotExclusive {
        /// The thing.
        thing: ThingName,
        /// What AWS IoT said.
        message: String,
    },
}

impl Refusal {
    /// A stable code for logs, metrics and scripts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownCertificate => "unknown_certificate",
            Self::OtherAccount { .. } => "other_account",
            Self::OtherCa { .. } => "other_ca",
            Self::CaNotAllowed { .. } => "ca_not_allowed",
            Self::Status(_) => "certificate_status",
            Self::Revoked => "certificate_revoked",
            Self::NotAdmitted => "not_admitted",
            Self::Certificate(error) if error.is_key_type() => "key_type",
            Self::Certificate(_) => "certificate_unusable",
            Self::Undescribed(_) => "undescribed",
            Self::ThingTaken { .. } => "thing_taken",
            Self::NotExclusive { .. } => "not_exclusive",
        }
    }
}

/// Why a registration did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate must not be registered.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// A call failed; the registration can be repeated.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The policy does not exist and its document cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// AWS IoT answered with something that is not its ARN.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// It is not known whether the CA has revoked the certificate.
    #[error(transparent)]
    Revocation(#[from] Unavailable),
    /// It is not known whether the board is on the admission list.
    #[error(transparent)]
    Admission(#[from] admission::Unavailable),
}
