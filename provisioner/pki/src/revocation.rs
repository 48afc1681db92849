//! Signing certificate revocation lists (RFC 5280, section 5).

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::{Certificate, Error, Issuer, Purpose};

/// Why a certificate is revoked: the codes of RFC 5280, section 5.3.1, that are for certificates of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No reason is given.
    #[default]
    Unspecified,
    /// Another person has, or may have, the key.
    KeyCompromise,
    /// The board has another owner now.
    AffiliationChanged,
    /// The board has another certificate now.
    Superseded,
    /// The board is out of use.
    CessationOfOperation,
    /// The board may no longer do what it could.
    PrivilegeWithdrawn,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    fn code(self) -> Option<RevocationReason> {
        match self {
            // RFC 5280: the extension should be absent instead.
            Self::Unspecified => None,
            Self::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Self::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
            Self::Superseded => Some(RevocationReason::Superseded),
            Self::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
        }
    }

    /// A CA's key has a code of its own.
    fn code_for_ca(self) -> Option<RevocationReason> {
        match self {
            Self::KeyCompromise => Some(RevocationReason::CaCompromise),
            other => other.code(),
        }
    }
}

/// A certificate on a list.
#[derive(Clone, Debug)]
pub struct Revoked {
    serial_number: String,
    when: OffsetDateTime,
    code: Option<RevocationReason>,
}

impl Revoked {
    /// A device's certificate; its serial number is upper-case hex without leading zeros.
    pub fn device(serial_number: &str, when: OffsetDateTime, reason: Reason) -> Self {
        Self { serial_number: serial_number.to_owned(), when, code: reason.code() }
    }

    /// A CA's certificate.
    pub fn ca(certificate: &Certificate, when: OffsetDateTime, reason: Reason) -> Self {
        let serial_number = certificate.facts().serial_number.clone();
        Self { serial_number, when, code: reason.code_for_ca() }
    }
}

impl Issuer<'_> {
    /// Signs a list with this number that is good for so many days from `now`. Gives it as DER.
    ///
    /// # Errors
    /// As [`Signer::issue`](crate::Signer::issue).
    pub fn sign_list(
        &self,
        revoked: impl IntoIterator<Item = Revoked>,
        number: u64,
        days: u16,
        now: OffsetDateTime,
    ) -> Result<Vec<u8>, Error> {
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let entry = |revoked: Revoked| RevokedCertParams {
            serial_number: serial_number(&revoked.serial_number),
            revocation_time: revoked.when,
            reason_code: revoked.code,
            invalidity_date: None,
        };
        let key_identifier = self.certificate.subject_key_identifier_extension().unwrap_or_default();
        let params = CertificateRevocationListParams {
            this_update: now,
            next_update: now + Duration::days(days.into()),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.into_iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::PreSpecified(key_identifier),
        };
        self.key.issue(Purpose::RevocationList, |key| {
            let issuer = rcgen::Issuer::from_ca_cert_der(&self.certificate.der().into(), key)?;
            Ok(params.signed_by(&issuer)?.der().to_vec())
        })
    }
}

/// Upper-case hex without leading zeros, which may leave an odd number of digits.
fn serial_number(text: &str) -> SerialNumber {
    let even = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
    SerialNumber::from(hex::decode(even).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_with_an_odd_number_of_digits_is_read_as_a_number() {
        assert_eq!(serial_number("ABC").to_bytes(), [0x0A, 0xBC]);
        assert_eq!(serial_number("40AB").to_bytes(), [0x40, 0xAB]);
    }
}
