//! What a signed document says, read from the document itself.

use serde::{Deserialize, Deserializer, Serialize};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use device_pki::certificate::rfc3339;
use device_pki::{AdmissionList, Certificate};

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "document", rename_all = "snake_case")]
pub enum Document {
    /// A certificate.
    Certificate {
        /// Subject, as `O=…, CN=…`.
        subject: String,
        /// Serial number, upper-case hex without leading zeros.
        serial_number: String,
        /// End of the validity, RFC 3339.
        not_after: String,
        /// Identifier of its key: SHA-1 of the public key bits, 40 lower-case hex digits; `None` for a key that is not P-256,
        /// and in lines of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject_key_identifier: Option<String>,
    },
    /// A certificate revocation list.
    RevocationList {
        /// Whose list: `O=…, CN=…`.
        issuer: String,
        /// Its CRL number (RFC 5280, section 5.2.3), if it has one.
        #[serde(alias = "list_number", deserialize_with = "number")]
        crl_number: Option<u64>,
        /// When the next one is due, RFC 3339, if the list says so.
        next_update: Option<String>,
        /// How many certificates are on it.
        #[serde(alias = "revoked")]
        revoked_certificates: usize,
    },
    /// A certificate signing request.
    Request {
        /// Subject, as `O=…, CN=…`.
        subject: String,
    },
    /// An admission list.
    AdmissionList {
        /// Its number.
        admission_number: u64,
        /// Until when it counts, RFC 3339.
        next_update: String,
        /// How many keys are on it.
        admitted_keys: usize,
    },
    /// None of these.
    Unknown,
}

/// A number, which earlier versions wrote as text.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Written::Number(number)) => Some(number),
        Some(Written::Text(text)) => text.parse().ok(),
        None => None,
    })
}

impl Document {
    /// Reads a signed document, DER.
    pub fn read(der: &[u8]) -> Self {
        if let Ok(certificate) = Certificate::from_der(der) {
            let facts = certificate.facts().clone();
            return Self::Certificate {
                subject: facts.subject,
                serial_number: facts.serial_number,
                not_after: rfc3339(facts.not_after),
                subject_key_identifier: facts.subject_key_identifier,
            };
        }
        if let Ok(([], list)) = CertificateRevocationList::from_der(der) {
            return Self::RevocationList {
                issuer: list.issuer().to_string(),
                crl_number: list.crl_number().and_then(|number| number.to_string().parse().ok()),
                next_update: list.next_update().map(|next| rfc3339(next.to_datetime())),
                revoked_certificates: list.iter_revoked_certificates().count(),
            };
        }
        if let Ok(list) = AdmissionList::unverified(der.to_vec(), "") {
            return Self::AdmissionList {
                admission_number: list.number(),
                next_update: rfc3339(list.counts_until()),
                admitted_keys: list.count(),
            };
        }
        match X509CertificationRequest::from_der(der) {
            Ok(([], request)) => {
                Self::Request { subject: request.certification_request_info.subject.to_string() }
            }
            _ => Self::Unknown,
        }
    }

    /// The name in it: of whom, or of whose list.
    pub fn name(&self) -> &str {
        match self {
            Self::Certificate { subject, .. } | Self::Request { subject } => subject,
            Self::RevocationList { issuer, .. } => issuer,
            Self::AdmissionList { .. } | Self::Unknown => "",
        }
    }
}
