//! CA certificates.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::{Call, Tag};
use super::certificates::validity;
use super::page;
use crate::iot_core::account::{
    Account, Authority, CertificateMode, RegisterAuthority, UpdateAuthority, epoch, x509,
};

pub(super) fn registration_code(account: &mut Account, _: &Call) -> Result<Reply, ServiceError> {
    Ok(Reply::json(json!({ "registrationCode": account.registration_code() })))
}

pub(super) fn register(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        ca_certificate: String,
        verification_certificate: Option<String>,
        registration_config: Option<Value>,
        certificate_mode: Option<String>,
        #[serde(default)]
        tags: Vec<Tag>,
    }
    let body: Body = call.json()?;
    let mode = match body.certificate_mode.as_deref() {
        None | Some("DEFAULT") => CertificateMode::Default,
        Some("SNI_ONLY") => CertificateMode::SniOnly,
        Some(other) => return Err(ServiceError::invalid_request(format!("certificateMode {other:?}"))),
    };
    let id = account.register_authority(RegisterAuthority {
        certificate: body.ca_certificate,
        verification: body.verification_certificate,
        active: call.flag("setAsActive"),
        auto_registration: call.flag("allowAutoRegistration"),
        registration_config: body.registration_config,
        mode,
    })?;
    let arn = account.authority_arn(&id);
    account.tag(&arn, body.tags.into_iter().map(Tag::pair))?;
    Ok(Reply::json(json!({ "certificateArn": arn, "certificateId": id })))
}

fn status(authority: &Authority) -> &'static str {
    if authority.active { "ACTIVE" } else { "INACTIVE" }
}

pub(super) fn describe(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let authority = account.authority(call.name())?;
    Ok(Reply::json(json!({
        "certificateDescription": {
            "certificateArn": account.authority_arn(&authority.id),
            "certificateId": authority.id,
            "status": status(authority),
            "certificatePem": x509::to_pem(&authority.der),
            "ownedBy": account.identity().account_id,
            "creationDate": epoch(authority.created),
            "lastModifiedDate": epoch(authority.modified),
            "autoRegistrationStatus": if authority.auto_registration { "ENABLE" } else { "DISABLE" },
            "customerVersion": authority.version,
            "generationId": format!("{}-{}", authority.id, authority.version),
            "validity": validity(&authority.der),
            "certificateMode": authority.mode.as_str(),
        },
        "registrationConfig": authority.registration_config,
    })))
}

pub(super) fn update(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        registration_config: Option<Value>,
        #[serde(default)]
        remove_auto_registration: bool,
    }
    let body: Body = call.json()?;
    let either = |name: &str, yes: &str, no: &str| match call.query(name) {
        None => Ok(None),
        Some(value) if value == yes => Ok(Some(true)),
        Some(value) if value == no => Ok(Some(false)),
        Some(other) => Err(ServiceError::invalid_request(format!("{name} {other:?}"))),
    };
    let update = UpdateAuthority {
        active: either("newStatus", "ACTIVE", "INACTIVE")?,
        auto_registration: either("newAutoRegistrationStatus", "ENABLE", "DISABLE")?,
        registration_config: body.registration_config,
        remove_auto_registration: body.remove_auto_registration,
    };
    account.update_authority(call.name(), update)?;
    Ok(Reply::empty())
}

pub(super) fn list(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    Ok(page("certificates", "nextMarker", account.list_authorities(&call.marker_page()?)?, |authority| {
        json!({
            "certificateArn": account.authority_arn(&authority.id),
            "certificateId": authority.id,
            "status": status(authority),
            "creationDate": epoch(authority.created),
        })
    }))
}

pub(super) fn delete(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_authority(call.name())?;
    Ok(Reply::json(json!({})))
}
