//! Client certificates.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::reply::{Reply, ServiceError};
use super::super::request::Call;
use super::page;
use crate::iot_core::account::{Account, Certificate, Status, epoch, x509};

/// The `validity` of a certificate description.
pub(super) fn validity(der: &[u8]) -> Value {
    let Ok(certificate) = x509::parse(der) else { return Value::Null };
    let (not_before, not_after) = x509::validity(&certificate);
    json!({ "notBefore": epoch(not_before), "notAfter": epoch(not_after) })
}

pub(super) fn describe(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let certificate = account.certificate(call.name())?;
    Ok(Reply::json(json!({ "certificateDescription": {
        "certificateArn": account.certificate_arn(&certificate.id),
        "certificateId": certificate.id,
        "caCertificateId": certificate.ca_id,
        "status": certificate.status.as_str(),
        "certificatePem": x509::to_pem(&certificate.der),
        "ownedBy": account.identity().account_id,
        "creationDate": epoch(certificate.created),
        "lastModifiedDate": epoch(certificate.modified),
        "customerVersion": certificate.version,
        "transferData": {},
        "generationId": format!("{}-{}", certificate.id, certificate.version),
        "validity": validity(&certificate.der),
        "certificateMode": certificate.mode.as_str(),
    }})))
}

pub(super) fn update(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let status = Status::settable(call.query("newStatus").unwrap_or_default())?;
    account.set_certificate_status(call.name(), status)?;
    Ok(Reply::empty())
}

pub(super) fn delete(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_certificate(call.name(), call.flag("forceDelete"))?;
    Ok(Reply::empty())
}

pub(super) fn list(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    listed(account, call, None)
}

pub(super) fn list_by_ca(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    listed(account, call, Some(call.name()))
}

fn listed(account: &Account, call: &Call, ca_id: Option<&str>) -> Result<Reply, ServiceError> {
    let entry = |certificate: &Certificate| {
        json!({
            "certificateArn": account.certificate_arn(&certificate.id),
            "certificateId": certificate.id,
            "status": certificate.status.as_str(),
            "certificateMode": certificate.mode.as_str(),
            "creationDate": epoch(certificate.created),
        })
    };
    Ok(page("certificates", "nextMarker", account.list_certificates(ca_id, &call.marker_page()?)?, entry))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterBody {
    certificate_pem: String,
    ca_certificate_pem: Option<String>,
    status: Option<String>,
}

impl RegisterBody {
    /// The status asked for; `setAsActive` is the older way to ask.
    fn status(&self, call: &Call) -> Result<Status, ServiceError> {
        match self.status.as_deref() {
            None if call.flag("setAsActive") => Ok(Status::Active),
            None => Ok(Status::Inactive),
            Some(name) => Ok(Status::settable(name)?),
        }
    }
}

pub(super) fn register(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: RegisterBody = call.json()?;
    let status = body.status(call)?;
    let id =
        account.register_certificate(&body.certificate_pem, body.ca_certificate_pem.as_deref(), status)?;
    Ok(registered(account, &id))
}

pub(super) fn register_without_ca(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: RegisterBody = call.json()?;
    let id = account.register_certificate_without_ca(&body.certificate_pem, body.status(call)?)?;
    Ok(registered(account, &id))
}

pub(super) fn create_keys(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let (issued, public, private) = account.create_keys_and_certificate(status_of_new(call))?;
    Ok(Reply::json(json!({
        "certificateArn": account.certificate_arn(&issued.id),
        "certificateId": issued.id,
        "certificatePem": issued.pem,
        "keyPair": { "PublicKey": public, "PrivateKey": private },
    })))
}

pub(super) fn create_from_csr(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        certificate_signing_request: String,
    }
    let body: Body = call.json()?;
    let issued =
        account.create_certificate_from_csr(&body.certificate_signing_request, status_of_new(call))?;
    Ok(Reply::json(json!({
        "certificateArn": account.certificate_arn(&issued.id),
        "certificateId": issued.id,
        "certificatePem": issued.pem,
    })))
}

fn status_of_new(call: &Call) -> Status {
    if call.flag("setAsActive") { Status::Active } else { Status::Inactive }
}

fn registered(account: &Account, id: &str) -> Reply {
    Reply::json(json!({ "certificateArn": account.certificate_arn(id), "certificateId": id }))
}
