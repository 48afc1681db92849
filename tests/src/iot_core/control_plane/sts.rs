//! AWS STS (query protocol, 2011-06-15).

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Named;
use super::reply::{Content, Reply, ServiceError};
use super::request::Call;
use crate::iot_core::account::{Account, Proof};

/// The operation that a token proves, and no signature.
pub(super) const UNSIGNED: &str = "AssumeRoleWithWebIdentity";

/// Every operation the testbed knows.
pub(super) const OPERATIONS: &[Named] =
    &[("GetCallerIdentity", get_caller_identity), ("AssumeRole", assume_role), (UNSIGNED, assume_role)];

fn get_caller_identity(account: &mut Account, _: &Call) -> Result<Reply, ServiceError> {
    let arn = account.identity().iam_arn("user/testbed");
    let content = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>AIDATESTBED</UserId><Account>{}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        account.identity().account_id
    );
    Ok(Reply { status: 200, headers: Vec::new(), content: Content::Xml(content) })
}

fn assume_role(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = call.form();
    let field = |name: &str| form.get(name).map(String::as_str);
    let proof = match field("WebIdentityToken") {
        Some(token) => Proof::Token(token),
        None => Proof::Keys(field("SerialNumber").zip(field("TokenCode"))),
    };
    let seconds = field("DurationSeconds").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let (role, name) = (field("RoleArn").unwrap_or_default(), field("RoleSessionName").unwrap_or_default());
    let session = account
        .assume_role(role, name, proof, seconds)
        .map_err(|denied| ServiceError::new("AccessDenied", 403, denied))?;
    let end = OffsetDateTime::from(session.end).format(&Rfc3339).unwrap_or_default();
    let (operation, arn) = (call.operation, &session.arn);
    let content = format!(
        "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result>\
         <Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
         <Expiration>{end}</Expiration></Credentials>\
         <AssumedRoleUser><Arn>{arn}</Arn><AssumedRoleId>AROATESTBED:{name}</AssumedRoleId></AssumedRoleUser>\
         </{operation}Result></{operation}Response>",
        session.access_key_id, session.secret_access_key, session.token
    );
    Ok(Reply { status: 200, headers: Vec::new(), content: Content::Xml(content) })
}
