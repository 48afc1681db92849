//! Revoking devices and signer CAs in the account: first what there is, then what is to be done, then doing it.
//!
//! Every step can be repeated, and steps already done are left out, so that an interrupted run is finished by the
//! next one. The step that stops the device is the first one.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_iot::types::{AutoRegistrationStatus, CaCertificateStatus, CertificateStatus};
use futures::{StreamExt, TryStreamExt, stream};

use super::account::existing;
use super::certificates::{self, Of, SIDE_BY_SIDE, Tally};
use super::setup::signer_ca::{self, Registered};
use super::setup::{self, deploy, function};
use super::{Account, Error as AccountError, counted};
use device_pki::Certificate;
use jitr::scope::Arn;

/// Why nothing can be revoked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the user named is unknown.
    #[error("neither the account nor this computer knows a certificate of `{name}`")]
    Unknown {
        /// As given.
        name: String,
    },
    /// The beginning of several ids.
    #[error("`{name}` is the beginning of {} certificate ids: {}", candidates.len(), candidates.join(", "))]
    Ambiguous {
        /// As given.
        name: String,
        /// The ids.
        candidates: Vec<String>,
    },
    /// AWS IoT changes no certificate that is in transfer to another account.
    #[error("the certificate {id} is being transferred to another account")]
    InTransfer {
        /// Its id.
        id: String,
    },
    /// A thing that is to be deleted has another device's certificate.
    #[error("the thing {thing_name} stays: a certificate of another key is attached to it")]
    ThingStays {
        /// Its name.
        thing_name: String,
    },
    /// Some are neither REVOKED in the account nor on a list.
    #[error("not revoked: {failed} of {}", counted(*total, "certificate"))]
    Incomplete {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
}

/// Of the certificates that nobody here knows, so many are asked for one by one: AWS IoT takes ten DescribeCertificate calls a
/// second.
const MOST_UNKNOWN: usize = 1000;

/// A device's certificate as the account has it.
#[derive(Clone, Debug)]
pub struct Device {
    /// SHA-256 of the DER certificate, 64 lower-case hex digits.
    pub certificate_id: String,
    /// The certificate, where the account or this computer has it.
    pub certificate: Option<Certificate>,
    /// Its status; `None` where the account does not have it.
    pub status: Option<String>,
    /// Things that it is attached to.
    pub things: Vec<String>,
    arn: String,
}

/// The one certificate id that is meant by its beginning, `name`; `None` where there is none.
///
/// # Errors
/// [`Error::Ambiguous`].
pub fn meant(name: &str, mut candidates: Vec<String>) -> Result<Option<String>, Error> {
    match candidates.len() {
        0 | 1 => Ok(candidates.pop()),
        _ => Err(Error::Ambiguous { name: name.to_owned(), candidates }),
    }
}

/// The ids of the certificates that are attached to a thing; none where there is no such thing.
///
/// # Errors
/// Errors of `iot:ListThingPrincipals`.
pub async fn certificates_of(account: &Account, thing: &str) -> Result<Vec<String>, AccountError> {
    Ok(attached_to(account, thing).await?.unwrap_or_default())
}

/// The ids of the certificates that are attached to a thing; `None` where there is no such thing.
///
/// # Errors
/// Errors of `iot:ListThingPrincipals`.
pub async fn attached_to(account: &Account, thing: &str) -> Result<Option<Vec<String>>, AccountError> {
    let arns = match certificates::principals(account, thing).await {
        // What cannot be the name of a thing is none.
        Err(error) if error.has_code("InvalidRequestException") => None,
        arns => existing(arns)?,
    };
    let id = |arn: &String| Some(Arn::parse(arn)?.named("cert")?.to_owned());
    Ok(arns.map(|arns| arns.iter().filter_map(id).collect()))
}

/// The certificates that were registered with these CAs and are not among the `known` ones; those that are REVOKED only if
/// `revoked`. And how many more there are, which were not looked at.
///
/// # Errors
/// Errors of `iot:ListCertificatesByCA` and `iot:DescribeCertificate`.
pub async fn unknown(
    account: &Account,
    cas: impl IntoIterator<Item = &str>,
    known: &BTreeSet<&str>,
    revoked: bool,
) -> Result<(Vec<Device>, usize), AccountError> {
    let mut ids = Vec::new();
    for ca in cas {
        certificates::each(account, Of::Ca(ca), |found| {
            if !known.contains(&*found.certificate_id) && (revoked || found.status != certificates::REVOKED) {
                ids.push(found.certificate_id);
            }
            ControlFlow::Continue(())
        })
        .await?;
    }
    let left = ids.len().saturating_sub(MOST_UNKNOWN);
    ids.truncate(MOST_UNKNOWN);
    let looks = stream::iter(ids).map(|id| async move { Device::look(account, &id, None).await });
    Ok((looks.buffered(SIDE_BY_SIDE).try_collect().await?, left))
}

/// Whether the account knows this CA and registers certificates with it.
///
/// # Errors
/// Errors of `iot:DescribeCACertificate`.
pub async fn is_active(account: &Account, ca_id: &str) -> Result<bool, AccountError> {
    Ok(signer_ca::find(account, ca_id).await?.is_some_and(|found| found.active))
}

/// How long the function may be at work on a certificate: its time-out, or the one that it is deployed with where there is
/// none under the usual name, or where it may not be looked at.
///
/// # Errors
/// Errors of `lambda:GetFunctionConfiguration`.
pub async fn longest_registration(account: &Account) -> Result<Duration, AccountError> {
    let seconds = match deploy::find(account, setup::FUNCTION).await {
        Err(AccountError::Denied { .. }) => function::TIMEOUT,
        found => found?.map_or(function::TIMEOUT, |found| found.timeout),
    };
    Ok(Duration::from_secs(seconds.unsigned_abs().into()))
}

/// Deletes a thing, unless a certificate is attached to it. Says whether it is gone.
///
/// # Errors
/// Errors of `iot:ListThingPrincipals` and `iot:DeleteThing`.
pub async fn delete_thing(account: &Account, name: &str) -> Result<bool, AccountError> {
    if !certificates_of(account, name).await?.is_empty() {
        return Ok(false);
    }
    certificates::patiently(&["InvalidRequestException"], || async {
        let answer = account.iot().delete_thing().thing_name(name).send().await;
        answer.map(drop).map_err(account.failed("iot:DeleteThing"))
    })
    .await?;
    Ok(true)
}

impl Device {
    /// A certificate that the account does not have, or was not asked for.
    pub fn known(certificate_id: &str, certificate: Option<Certificate>) -> Self {
        let certificate_id = certificate_id.to_owned();
        Self { certificate_id, certificate, status: None, things: Vec::new(), arn: String::new() }
    }

    /// Looks at a certificate; `on_disk` is it, where this computer has it.
    ///
    /// # Errors
    /// [`Error::InTransfer`]; errors of the calls.
    pub async fn look(
        account: &Account,
        certificate_id: &str,
        on_disk: Option<Certificate>,
    ) -> Result<Self, AccountError> {
        let Some(found) = certificates::describe(account, certificate_id).await? else {
            return Ok(Self::known(certificate_id, on_disk));
        };
        let status = found.status().map(CertificateStatus::as_str).unwrap_or_default().to_owned();
        if found.status() == Some(&CertificateStatus::PendingTransfer) {
            return Err(Error::InTransfer { id: certificate_id.to_owned() }.into());
        }
        let arn = found.certificate_arn().unwrap_or_default().to_owned();
        let things = certificates::things(account, &arn).await?;
        let stored = || Certificate::read(found.certificate_pem()?.as_bytes()).ok();
        Ok(Self {
            certificate_id: certificate_id.to_owned(),
            certificate: on_disk.or_else(stored),
            status: Some(status),
            things,
            arn,
        })
    }

    /// Whether the account says that it is revoked.
    pub fn is_revoked(&self) -> bool {
        self.status.as_deref() == Some(certificates::REVOKED)
    }

    /// Whether the function may be registering it.
    pub fn is_pending(&self) -> bool {
        self.status.as_deref() == Some(CertificateStatus::PendingActivation.as_str())
    }

    /// Makes it REVOKED: AWS IoT ends the device's connection and lets it in no more. One that the account does not know
    /// yet is registered as REVOKED with `ca`, the PEM of a CA that the account knows, so that it never gets in.
    /// A certificate that is REVOKED stays so.
    ///
    /// # Errors
    /// Errors of `iot:UpdateCertificate` or `iot:RegisterCertificate`.
    pub async fn revoke(&self, account: &Account, ca: Option<&str>) -> Result<(), AccountError> {
        let iot = account.iot_without_retries();
        match (&self.status, &self.certificate, ca) {
            (Some(_), ..) if self.is_revoked() => Ok(()),
            (Some(_), ..) => {
                let request = || iot.update_certificate().certificate_id(&self.certificate_id);
                let revoke = || request().new_status(CertificateStatus::Revoked).send();
                account.call("iot:UpdateCertificate", revoke).await.map(drop)
            }
            (None, Some(certificate), Some(ca)) => {
                let request = || iot.register_certificate().certificate_pem(certificate.to_pem());
                let register = || request().ca_certificate_pem(ca).status(CertificateStatus::Revoked).send();
                account.call("iot:RegisterCertificate", register).await.map(drop)
            }
            (None, ..) => Ok(()),
        }
    }

    /// Detaches it from its things, which stay.
    ///
    /// # Errors
    /// Errors of `iot:DetachThingPrincipal`.
    pub async fn detach(&self, account: &Account) -> Result<(), AccountError> {
        let iot = account.iot_without_retries();
        for thing in &self.things {
            let request = || iot.detach_thing_principal().thing_name(thing).principal(&self.arn);
            existing(account.call("iot:DetachThingPrincipal", || request().send()).await)?;
        }
        Ok(())
    }
}

/// A signer CA as the account has it.
#[derive(Clone, Debug)]
pub struct SignerState {
    registered: Option<Registered>,
    /// The certificates that were registered with it, by status.
    pub certificates: Tally,
}

impl SignerState {
    /// Looks at the CA with this certificate id.
    ///
    /// # Errors
    /// Errors of `iot:DescribeCACertificate` and `iot:ListCertificatesByCA`.
    pub async fn look(account: &Account, id: &str) -> Result<Self, AccountError> {
        let (registered, certificates) =
            tokio::try_join!(signer_ca::find(account, id), Tally::of(account, Of::Ca(id)))?;
        Ok(Self { registered, certificates })
    }

    /// Whether the account knows it.
    pub fn is_registered(&self) -> bool {
        self.registered.is_some()
    }

    /// Whether certificates of it can be registered.
    pub fn is_active(&self) -> bool {
        self.registered.is_some_and(|found| found.active)
    }

    /// Whether it can let in no device any more.
    pub fn is_off(&self) -> bool {
        self.registered.is_none_or(|found| !found.active && !found.auto_registration)
    }

    /// Makes it INACTIVE and switches auto-registration off. Devices that are registered stay registered.
    ///
    /// # Errors
    /// Errors of `iot:UpdateCACertificate`.
    pub async fn switch_off(&self, account: &Account, id: &str) -> Result<(), AccountError> {
        if self.is_off() {
            return Ok(());
        }
        let request = account.iot().update_ca_certificate().certificate_id(id);
        let request = request
            .new_status(CaCertificateStatus::Inactive)
            .new_auto_registration_status(AutoRegistrationStatus::Disable);
        request.send().await.map(drop).map_err(account.failed("iot:UpdateCACertificate"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_of_several_ids_is_refused_with_each_of_them() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(meant("1f2e", ids(&[])).unwrap(), None);
        assert_eq!(meant("1f2e", ids(&["1f2e00"])).unwrap().as_deref(), Some("1f2e00"));
        let several = meant("1f2e", ids(&["1f2e00", "1f2e01"])).unwrap_err().to_string();
        assert_eq!(several, "`1f2e` is the beginning of 2 certificate ids: 1f2e00, 1f2e01");
    }
}
