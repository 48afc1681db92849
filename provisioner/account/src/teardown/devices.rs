//! Removing one device: what its certificate is attached to, the thing that is named after it, and the certificate.

use aws_sdk_iot::types::{CertificateDescription, CertificateStatus};
use jitr::name::ThingTypeName;
use jitr::thing_name::{ThingName, ThingNameSource};

use super::Outcome;
use crate::certificates::{self, patiently};
use crate::{Account, Error as AccountError};

/// Removes a certificate, and its device's thing if that is of one of our types.
pub(super) async fn remove(
    account: &Account,
    id: &str,
    thing_types: &[ThingTypeName],
) -> Result<Outcome, AccountError> {
    let Some(found) = certificates::describe(account, id).await? else { return Ok(Outcome::Gone) };
    if found.status() == Some(&CertificateStatus::PendingTransfer) {
        return Ok(Outcome::Kept("is being transferred to another account".to_owned()));
    }
    detach_from_all(account, &found, thing_types).await?;
    let iot = account.iot();
    if found.status() == Some(&CertificateStatus::Active)
        || found.status() == Some(&CertificateStatus::PendingActivation)
    {
        let request = iot.update_certificate().certificate_id(id).new_status(CertificateStatus::Inactive);
        request.send().await.map_err(account.failed("iot:UpdateCertificate"))?;
    }
    patiently(&["DeleteConflictException", "CertificateStateException"], || async {
        let answer = iot.delete_certificate().certificate_id(id).send().await;
        answer.map(drop).map_err(account.failed("iot:DeleteCertificate"))
    })
    .await?;
    Ok(Outcome::Removed)
}

/// Detaches a certificate, and removes its device's thing if that is of one of our types. `None` where it is gone.
pub(super) async fn detach(
    account: &Account,
    id: &str,
    thing_types: &[ThingTypeName],
) -> Result<Option<()>, AccountError> {
    let Some(found) = certificates::describe(account, id).await? else { return Ok(None) };
    detach_from_all(account, &found, thing_types).await.map(Some)
}

async fn detach_from_all(
    account: &Account,
    found: &CertificateDescription,
    thing_types: &[ThingTypeName],
) -> Result<(), AccountError> {
    let (iot, arn) = (account.iot(), found.certificate_arn().unwrap_or_default());
    for thing in certificates::things(account, arn).await? {
        let request = iot.detach_thing_principal().thing_name(thing).principal(arn);
        request.send().await.map_err(account.failed("iot:DetachThingPrincipal"))?;
    }
    let pem = found.certificate_pem().unwrap_or_default();
    for source in [ThingNameSource::SubjectKeyIdentifier, ThingNameSource::CommonName] {
        if let Ok(name) = ThingName::from_certificate_pem(pem, source) {
            remove_thing(account, name.as_str(), thing_types).await?;
        }
    }
    for policy in certificates::policies(account, arn).await? {
        let request = iot.detach_policy().policy_name(policy).target(arn);
        request.send().await.map_err(account.failed("iot:DetachPolicy"))?;
    }
    Ok(())
}

/// Removes a thing, unless another certificate has it or it is of a type that others gave it.
async fn remove_thing(
    account: &Account,
    name: &str,
    thing_types: &[ThingTypeName],
) -> Result<(), AccountError> {
    let iot = account.iot();
    let answer = iot.describe_thing().thing_name(name).send().await;
    let Some(thing) = account.found("iot:DescribeThing", answer)? else { return Ok(()) };
    let principals = iot.list_thing_principals().thing_name(name).into_paginator().send();
    let principals = account.all("iot:ListThingPrincipals", principals, |page| page.principals).await?;
    let ours = thing_types.iter().any(|ours| thing.thing_type_name() == Some(ours.as_str()));
    if !ours || !principals.is_empty() {
        return Ok(());
    }
    patiently(&["InvalidRequestException"], || async {
        let answer = iot.delete_thing().thing_name(name).send().await;
        answer.map(drop).map_err(account.failed("iot:DeleteThing"))
    })
    .await
}
