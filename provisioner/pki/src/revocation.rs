//! Signing certificate revocation lists (RFC 5280, section 5).

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use x509_cert::ext::pkix::CrlReason;

use crate::builder::{self, Entry, ListContent};
use crate::{Certificate, Error, Issuer, Purpose, SerialNumber};

/// Why a certificate is revoked: the codes of RFC 5280, section 5.3.1, that are for certificates of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No reason is given.
    #[default]
    Unspecified,
    /// Another person has, or may have, the key.
    KeyCompromise,
    /// Another person has, or may have, the key of a CA above it.
    CaCompromise,
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
    pub const ALL: [Self; 7] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
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
            Self::CaCompromise => "ca-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    /// Whether what was revoked for it is never to be trusted again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::KeyCompromise | Self::CaCompromise)
    }

    /// Whether a certificate that is revoked for `other` is to be noted for this reason instead: nothing follows from
    /// [`Self::Superseded`] for the key, and what is final outweighs the rest.
    pub fn outweighs(self, other: Self) -> bool {
        let weight = |reason: Self| (reason != Self::Superseded, reason.is_final());
        weight(self) > weight(other)
    }

    fn code(self) -> Option<CrlReason> {
        match self {
            // RFC 5280: the extension should be absent instead.
            Self::Unspecified => None,
            Self::KeyCompromise => Some(CrlReason::KeyCompromise),
            Self::CaCompromise => Some(CrlReason::CaCompromise),
            Self::AffiliationChanged => Some(CrlReason::AffiliationChanged),
            Self::Superseded => Some(CrlReason::Superseded),
            Self::CessationOfOperation => Some(CrlReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
        }
    }

    /// A CA's key has a code of its own.
    fn code_for_ca(self) -> Option<CrlReason> {
        match self {
            Self::KeyCompromise => Some(CrlReason::CaCompromise),
            other => other.code(),
        }
    }
}

/// A certificate on a list.
#[derive(Clone, Debug)]
pub struct Revoked {
    serial_number: SerialNumber,
    when: OffsetDateTime,
    code: Option<CrlReason>,
}

impl Revoked {
    /// A device's certificate.
    pub fn device(serial_number: &SerialNumber, when: OffsetDateTime, reason: Reason) -> Self {
        Self { serial_number: serial_number.clone(), when, code: reason.code() }
    }

    /// A CA's certificate.
    ///
    /// # Errors
    /// [`Error::SerialNumber`].
    pub fn ca(certificate: &Certificate, when: OffsetDateTime, reason: Reason) -> Result<Self, Error> {
        let serial_number = certificate.serial_number()?;
        Ok(Self { serial_number, when, code: reason.code_for_ca() })
    }
}

impl Issuer<'_> {
    /// Signs a list with this number that is good for so many days from `now`. Gives it as DER.
    ///
    /// # Errors
    /// [`Error::SerialNumber`] for a negative one; as [`Signer::issue`](crate::Signer::issue).
    pub fn sign_list(
        &self,
        revoked: impl IntoIterator<Item = Revoked>,
        number: u64,
        days: u16,
        now: OffsetDateTime,
    ) -> Result<Vec<u8>, Error> {
        crate::profile::check_clock(now)?;
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let entry = |revoked: Revoked| match revoked.serial_number.positive() {
            Some(octets) => {
                Ok(Entry { serial_number: octets.to_vec(), when: revoked.when, reason: revoked.code })
            }
            None => Err(Error::SerialNumber { serial_number: revoked.serial_number.to_string() }),
        };
        let content = ListContent {
            this_update: now,
            next_update: now + Duration::days(days.into()),
            number,
            entries: revoked.into_iter().map(entry).collect::<Result<_, _>>()?,
        };
        self.key.complete(Purpose::RevocationList, &builder::list(&content, self.certificate)?)
    }
}
