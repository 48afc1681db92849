//! Whose request it is: the signature is computed once more and compared (AWS IAM User Guide, "AWS Signature Version 4 for API
//! requests").

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_sigv4::http_request::{
    PayloadChecksumKind, SessionTokenMode, SignableBody, SignableRequest, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use axum::http::header::HOST;
use axum::http::request::Parts;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::Services;
use super::reply::ServiceError;
use crate::iot_core::directory::Keys;
use crate::journal::Caller;

/// What the scope of a signature for the data plane may name.
const DATA_PLANE: [&str; 2] = ["iotdata", "iotdevicegateway"];
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
const CONTENT_HASH: &str = "x-amz-content-sha256";
/// How long a signature is valid, and how far the clock of the signing client may be ahead.
const VALIDITY: Duration = Duration::from_secs(15 * 60);

/// What the `Authorization` header says.
pub(super) struct Authorization<'a> {
    access_key_id: &'a str,
    date: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX`.
    pub(super) fn of(parts: &'a Parts) -> Option<Self> {
        let text = parts.headers.get("authorization")?.to_str().ok()?;
        let fields = text.strip_prefix(ALGORITHM)?;
        let field = |name: &str| {
            let mut fields = fields.split(',').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let scope: Vec<&str> = field("Credential")?.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else { return None };
        Some(Self {
            access_key_id,
            date,
            region,
            service,
            signed_headers: field("SignedHeaders")?.split(';').collect(),
            signature: field("Signature")?,
        })
    }
}

/// Who has made a request, if the account knows the key and the signature is right.
pub(super) fn caller(
    services: &Services,
    parts: &Parts,
    authorization: Option<&Authorization<'_>>,
    body: &[u8],
) -> Result<Caller, ServiceError> {
    let refused = |code, message: &str| ServiceError::new(code, 403, message.to_owned());
    let Some(authorization) = authorization else {
        return Err(refused("MissingAuthenticationTokenException", "the request is not signed"));
    };
    let key = authorization.access_key_id;
    let Some(Keys { caller, secret_access_key: secret, session_token: token, .. }) = services.keys(key)
    else {
        let message = "The security token included in the request is invalid.";
        return Err(refused("UnrecognizedClientException", message));
    };
    let wrong = |what: &str| refused("InvalidSignatureException", what);
    let given_token = header(parts, TOKEN);
    if given_token != token.as_deref() {
        return Err(refused(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    }
    let time = time_of(parts, authorization).ok_or_else(|| wrong("the request has no valid x-amz-date"))?;
    let now = SystemTime::now();
    let apart = now.duration_since(time).or_else(|_| time.duration_since(now)).unwrap_or_default();
    if apart > VALIDITY {
        return Err(wrong("Signature expired: the clocks are more than 15 minutes apart"));
    }
    let credentials = Credentials::new(key, secret, token, None, "testbed");
    let expected = signature(parts, authorization, body, time, credentials)
        .ok_or_else(|| wrong("the request cannot be signed"))?;
    match verify_slices_are_equal(expected.as_bytes(), authorization.signature.as_bytes()) {
        Ok(()) => Ok(caller),
        Err(_) => Err(wrong(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method.",
        )),
    }
}

impl Services {
    /// Who has made a request of the data plane, and with which key, if its signature is right and for this Region.
    pub(in crate::iot_core) fn data_plane_caller(
        &self,
        parts: &Parts,
        body: &[u8],
    ) -> Result<(String, Caller), ServiceError> {
        let authorization = Authorization::of(parts);
        let caller = caller(self, parts, authorization.as_ref(), body)?;
        let region = self.account().identity().region.clone();
        match authorization {
            Some(signed) if signed.region == region && DATA_PLANE.contains(&signed.service) => {
                Ok((signed.access_key_id.to_owned(), caller))
            }
            _ => {
                let message = format!("Credential should be scoped to iotdata in {region}.");
                Err(ServiceError::new("InvalidSignatureException", 403, message))
            }
        }
    }

    /// The keys with this id, if the account has given them to anybody.
    pub(in crate::iot_core) fn keys(&self, access_key_id: &str) -> Option<Keys> {
        let keys = |caller, secret_access_key: &str, session_token: Option<&str>, end| Keys {
            caller,
            secret_access_key: secret_access_key.to_owned(),
            session_token: session_token.map(str::to_owned),
            end,
        };
        if access_key_id == self.access.access_key_id {
            return Some(keys(Caller::User, &self.access.secret_access_key, None, None));
        }
        if let Some(session) = self.account().session(access_key_id) {
            let token = Some(session.token.as_str());
            return Some(keys(Caller::User, &session.secret_access_key, token, Some(session.end)));
        }
        let function = self.lambda.function_with_access_key(access_key_id)?;
        let (secret, token) = self.lambda.role_keys(&function);
        Some(keys(Caller::Function(function), &secret, Some(&token), None))
    }
}

fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

/// When it was signed, if that is the day of the credential scope.
fn time_of(parts: &Parts, authorization: &Authorization<'_>) -> Option<SystemTime> {
    let text = header(parts, DATE).filter(|text| text.starts_with(authorization.date))?;
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    Some(PrimitiveDateTime::parse(text, format).ok()?.assume_utc().into())
}

/// The signature that the request should have.
fn signature(
    parts: &Parts,
    authorization: &Authorization<'_>,
    body: &[u8],
    time: SystemTime,
    credentials: Credentials,
) -> Option<String> {
    let signed = |name: &str| authorization.signed_headers.contains(&name);
    // Host and date are signed in any case; the others are there, each once.
    let mut names = authorization.signed_headers.clone();
    names.dedup();
    let whole = signed(HOST.as_str())
        && signed(DATE)
        && names.len() == authorization.signed_headers.len()
        && names.iter().all(|name| parts.headers.contains_key(*name));
    if !whole {
        return None;
    }
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    if signed(CONTENT_HASH) {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings.session_token_mode =
        if signed(TOKEN) { SessionTokenMode::Include } else { SessionTokenMode::Exclude };
    let identity: Identity = credentials.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(authorization.region)
        .name(authorization.service)
        .time(time)
        .settings(settings)
        .build()
        .ok()?;
    let host = parts.headers.get(HOST)?.to_str().ok()?;
    let uri = format!("http://{host}{}", parts.uri.path_and_query()?);
    let headers: Option<Vec<_>> = parts
        .headers
        .iter()
        .filter(|(name, _)| signed(name.as_str()))
        .map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let method = parts.method.as_str();
    let request = SignableRequest::new(method, uri, headers?.into_iter(), SignableBody::Bytes(body)).ok()?;
    Some(sign(request, &params.into()).ok()?.signature().to_owned())
}
