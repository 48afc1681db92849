//! AWS KMS (JSON 1.1), as far as a signing key needs it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Named;
use super::reply::{Reply, ServiceError};
use super::request::Call;
use crate::iot_core::account::{Account, Key};

/// Every operation the testbed knows.
pub(super) const OPERATIONS: &[Named] = &[
    ("CreateKey", create),
    ("DescribeKey", describe),
    ("ListKeys", list),
    ("GetPublicKey", public_key),
    ("Sign", sign),
    ("DisableKey", disable),
    ("EnableKey", enable),
];

const SPEC: &str = "ECC_NIST_P256";
const USAGE: &str = "SIGN_VERIFY";
const ALGORITHM: &str = "ECDSA_SHA_256";

/// The fields of all requests.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Body {
    key_id: String,
    key_spec: String,
    key_usage: String,
    message: String,
    message_type: String,
    signing_algorithm: String,
    description: String,
    limit: Option<usize>,
    marker: String,
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::new("ValidationException", 400, message.to_owned())
}

fn key<'a>(account: &'a mut Account, id: &str) -> Result<&'a mut Key, ServiceError> {
    let missing = || ServiceError::new("NotFoundException", 400, format!("Key '{id}' does not exist"));
    account.key_mut(id).ok_or_else(missing)
}

fn enabled<'a>(account: &'a mut Account, id: &str) -> Result<&'a Key, ServiceError> {
    let key = key(account, id)?;
    if key.enabled {
        return Ok(key);
    }
    Err(ServiceError::new("DisabledException", 400, format!("{} is disabled.", key.arn)))
}

fn metadata(key: &Key) -> Value {
    json!({
        "Arn": key.arn,
        "KeyId": key.arn.rsplit('/').next(),
        "Description": key.description,
        "Enabled": key.enabled,
        "KeyState": if key.enabled { "Enabled" } else { "Disabled" },
        "KeySpec": SPEC,
        "KeyUsage": USAGE,
        "SigningAlgorithms": [ALGORITHM],
    })
}

fn create(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    if (body.key_spec.as_str(), body.key_usage.as_str()) != (SPEC, USAGE) {
        return Err(invalid("the testbed has keys of ECC_NIST_P256 for SIGN_VERIFY only"));
    }
    let id = account.create_key(&body.description)?;
    Ok(Reply::json(json!({ "KeyMetadata": metadata(key(account, &id)?) })))
}

fn list(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let (begin, limit) = (body.marker.parse().unwrap_or_default(), body.limit.unwrap_or(100));
    let arns: Vec<_> = account.key_arns().skip(begin).collect();
    let truncated = arns.len() > limit;
    let keys = arns.iter().take(limit).map(|arn| json!({ "KeyArn": arn, "KeyId": arn.rsplit('/').next() }));
    let keys: Vec<_> = keys.collect();
    let marker = truncated.then(|| (begin + limit).to_string());
    Ok(Reply::json(json!({ "Keys": keys, "Truncated": truncated, "NextMarker": marker })))
}

fn describe(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    Ok(Reply::json(json!({ "KeyMetadata": metadata(key(account, &body.key_id)?) })))
}

fn public_key(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let key = enabled(account, &body.key_id)?;
    Ok(Reply::json(json!({
        "KeyId": key.arn,
        "PublicKey": STANDARD.encode(key.public()),
        "KeySpec": SPEC,
        "KeyUsage": USAGE,
        "SigningAlgorithms": [ALGORITHM],
    })))
}

fn sign(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let body: Body = call.json()?;
    let key = enabled(account, &body.key_id)?;
    let digest = STANDARD.decode(&body.message).ok().filter(|digest| digest.len() == 32);
    let (Some(digest), "DIGEST", ALGORITHM) =
        (digest, body.message_type.as_str(), body.signing_algorithm.as_str())
    else {
        return Err(invalid("the testbed signs 32-byte digests with ECDSA_SHA_256"));
    };
    let signature = key.sign(&digest).ok_or_else(|| invalid("the digest cannot be signed"))?;
    Ok(Reply::json(json!({
        "KeyId": key.arn,
        "Signature": STANDARD.encode(signature),
        "SigningAlgorithm": ALGORITHM,
    })))
}

fn disable(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    key(account, &call.json::<Body>()?.key_id)?.enabled = false;
    Ok(Reply::json(json!({})))
}

fn enable(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    key(account, &call.json::<Body>()?.key_id)?.enabled = true;
    Ok(Reply::json(json!({})))
}
