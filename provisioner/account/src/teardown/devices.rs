//! Removing one device: what its certificate is attached to, the thing that is named after it, and the certificate. What is known
//! of the certificate from the plan is not asked for again.

use std::collections::HashSet;
use std::sync::Arc;

use aws_sdk_iot::types::{CertificateDescription, CertificateStatus};
use jitr::name::ThingTypeName;
use jitr::thing_name::{ThingName, ThingNameSource};

use super::Outcome;
use crate::account::existing;
use crate::certificates::{self, patiently};
use crate::page::LARGEST;
use crate::{Account, Error as AccountError};

/// The names of the things that are of one of our types.
pub(super) type Things = Arc<HashSet<String>>;

/// The things of these types. A type that does not exist has none.
pub(super) async fn things_of(
    account: &Account,
    thing_types: impl IntoIterator<Item = &ThingTypeName>,
) -> Result<Things, AccountError> {
    let (iot, mut names) = (account.iot_without_retries(), HashSet::new());
    for thing_type in thing_types {
        let list = || iot.list_things().thing_type_name(thing_type.as_str()).max_results(LARGEST);
        let ask = |token| list().set_next_token(token).send();
        let things = existing(account.all_in_turn("iot:ListThings", ask, |page| page.things).await)?;
        names.extend(things.into_iter().flatten().filter_map(|thing| thing.thing_name));
    }
    Ok(Arc::new(names))
}

/// A device's certificate, as the account has it.
#[derive(Clone, Debug)]
pub(super) struct Device {
    arn: String,
    status: Option<CertificateStatus>,
    pub(super) is_without_ca: bool,
    /// The names that the certificate gives to a thing.
    names: Vec<String>,
    /// The things that it is attached to.
    pub(super) things: Vec<String>,
}

impl Device {
    /// Looks at a certificate; `None` where it is gone.
    pub(super) async fn look(account: &Account, id: &str) -> Result<Option<Self>, AccountError> {
        let Some(found) = certificates::describe(account, id).await? else { return Ok(None) };
        let things = certificates::things(account, found.certificate_arn().unwrap_or_default()).await?;
        Ok(Some(Self::of(found, things)))
    }

    fn of(found: CertificateDescription, things: Vec<String>) -> Self {
        let pem = found.certificate_pem().unwrap_or_default();
        let sources = [ThingNameSource::SubjectKeyIdentifier, ThingNameSource::CommonName];
        let names = sources.iter().filter_map(|source| ThingName::from_certificate_pem(pem, *source).ok());
        let names = names.map(|name| name.to_string()).collect();
        let is_without_ca = found.ca_certificate_id().unwrap_or_default().is_empty();
        let CertificateDescription { certificate_arn, status, .. } = found;
        Self { arn: certificate_arn.unwrap_or_default(), status, is_without_ca, names, things }
    }
}

/// Removes a certificate, and its device's thing if that is one of `ours`. The first step is what stops the device.
pub(super) async fn remove(
    account: &Account,
    id: &str,
    known: Option<&Device>,
    ours: &HashSet<String>,
) -> Result<Outcome, AccountError> {
    if let Some(known) = known {
        match attempt(account, id, known, ours).await {
            // It has changed since the plan was made.
            Err(error) if is_in_the_way(&error) => {}
            ended => return ended,
        }
    }
    match Device::look(account, id).await? {
        Some(found) => attempt(account, id, &found, ours).await,
        None => Ok(Outcome::Gone),
    }
}

/// The codes of what keeps a certificate from being deleted: it is attached to something, or its status.
const IN_THE_WAY: [&str; 2] = ["DeleteConflictException", "CertificateStateException"];

fn is_in_the_way(error: &AccountError) -> bool {
    IN_THE_WAY.iter().any(|code| error.has_code(code))
}

async fn attempt(
    account: &Account,
    id: &str,
    device: &Device,
    ours: &HashSet<String>,
) -> Result<Outcome, AccountError> {
    let iot = account.iot_without_retries();
    match device.status {
        Some(CertificateStatus::PendingTransfer) => {
            return Ok(Outcome::Kept("is being transferred to another account".to_owned()));
        }
        Some(CertificateStatus::Active | CertificateStatus::PendingActivation) => {
            let off = || iot.update_certificate().certificate_id(id).new_status(CertificateStatus::Inactive);
            existing(account.call("iot:UpdateCertificate", || off().send()).await)?;
        }
        _ => {}
    }
    detach(account, device, ours).await?;
    patiently(&IN_THE_WAY, || async {
        let deleted =
            account.call("iot:DeleteCertificate", || iot.delete_certificate().certificate_id(id).send());
        deleted.await.map(drop)
    })
    .await?;
    Ok(Outcome::Removed)
}

/// Detaches a certificate, and removes its device's thing if that is one of `ours`.
pub(super) async fn detach(
    account: &Account,
    device: &Device,
    ours: &HashSet<String>,
) -> Result<(), AccountError> {
    let (iot, arn) = (account.iot_without_retries(), device.arn.as_str());
    for thing in &device.things {
        let request = || iot.detach_thing_principal().thing_name(thing).principal(arn);
        existing(account.call("iot:DetachThingPrincipal", || request().send()).await)?;
    }
    for name in device.names.iter().filter(|name| ours.contains(*name)) {
        remove_thing(account, name, arn).await?;
    }
    let policies = existing(certificates::policies(account, arn).await)?;
    for policy in policies.into_iter().flatten() {
        let request = || iot.detach_policy().policy_name(&policy).target(arn);
        existing(account.call("iot:DetachPolicy", || request().send()).await)?;
    }
    Ok(())
}

/// Removes a thing, unless another certificate has it. That of `arn` is detached; AWS may list it for some seconds more.
async fn remove_thing(account: &Account, name: &str, arn: &str) -> Result<(), AccountError> {
    let Some(principals) = existing(certificates::principals(account, name).await)? else { return Ok(()) };
    if principals.iter().any(|principal| principal != arn) {
        return Ok(());
    }
    let iot = account.iot_without_retries();
    patiently(&["InvalidRequestException"], || async {
        let deleted = account.call("iot:DeleteThing", || iot.delete_thing().thing_name(name).send());
        deleted.await.map(drop)
    })
    .await
}
