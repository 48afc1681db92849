//! The URL of an MQTT connection over WebSocket, signed with the credentials of an AWS user. Pure.
//!
//! The signature is in the query (AWS IoT Core Developer Guide, "Device communication protocols", "MQTT over WebSocket Secure").

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::Cause;

/// The name of the service in the signature: not that of the API.
const SERVICE: &str = "iotdevicegateway";

/// How long the signature can be used to open a connection. The connection itself may last longer.
const EXPIRES: Duration = Duration::from_secs(300);

/// All but what RFC 3986, section 2.3, calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where a connection is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Whether by TLS, as always at AWS.
    pub(super) is_secure: bool,
    /// Host name, and the port unless it is 443.
    pub(super) authority: String,
}

impl Place {
    /// The place of the data plane with this URL; `None` if it is none. What is not `http:` is taken for HTTPS.
    pub(super) fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
        let is_secure = !scheme.eq_ignore_ascii_case("http");
        let default = if is_secure { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default).unwrap_or(authority).to_owned();
        Some(Self { is_secure, authority })
    }

    /// That of the host at its usual port.
    pub(super) fn of_host(host: &str) -> Self {
        Self { is_secure: true, authority: host.to_owned() }
    }
}

/// The URL that opens a connection at `place`, with a signature of the time `now`. It is a secret for as long as it is valid.
///
/// The session token is no part of what is signed: AWS IoT refuses a signature over it.
///
/// # Errors
/// A host name that is none.
pub(super) fn signed_url(
    place: &Place,
    region: &str,
    credentials: &Credentials,
    now: SystemTime,
) -> Result<String, Cause> {
    let Place { is_secure, authority } = place;
    let url = format!("{}://{authority}/mqtt", if *is_secure { "wss" } else { "ws" });
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.session_token_mode = SessionTokenMode::Exclude;
    settings.expires_in = Some(EXPIRES);
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let headers = [("host", authority.as_str())].into_iter();
    let request = SignableRequest::new("GET", url.as_str(), headers, SignableBody::empty())?;
    let (instructions, _) = sign(request, &parameters)?.into_parts();
    let (_, query) = instructions.into_parts();
    let mut query: Vec<(&str, String)> =
        query.iter().map(|(name, value)| (*name, value.to_string())).collect();
    if let Some(token) = credentials.session_token()
        && !query.iter().any(|(name, _)| *name == "X-Amz-Security-Token")
    {
        query.push(("X-Amz-Security-Token", token.to_owned()));
    }
    let pair = |(name, value): &(&str, String)| format!("{name}={}", utf8_percent_encode(value, RESERVED));
    Ok(format!("{url}?{}", query.iter().map(pair).collect::<Vec<_>>().join("&")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const HOST: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";

    /// 2026-11-27 12:00:00 UTC.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_780_800)
    }

    fn signed(place: &Place, token: Option<&str>) -> (String, BTreeSet<String>) {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let credentials = Credentials::new("AKIDEXAMPLE", secret, token.map(str::to_owned), None, "test");
        let url = signed_url(place, "eu-central-1", &credentials, now()).unwrap();
        let (address, query) = url.split_once('?').unwrap();
        (address.to_owned(), query.split('&').map(str::to_owned).collect())
    }

    /// What `SigV4QueryAuth` of botocore 1.43.106 makes of the same key, time and URL.
    fn of_botocore(signature: &str) -> BTreeSet<String> {
        let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261127%2Feu-central-1%2F\
            iotdevicegateway%2Faws4_request&X-Amz-Date=20261127T120000Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host";
        query.split('&').map(str::to_owned).chain([format!("X-Amz-Signature={signature}")]).collect()
    }

    #[test]
    fn the_signature_is_that_of_botocore() {
        let (address, query) = signed(&Place::of_host(HOST), None);
        assert_eq!(address, format!("wss://{HOST}/mqtt"));
        assert_eq!(query, of_botocore("9af95c938bebc555b90e4d688f5d1ed8edf44e585b8b605f9069edfef43a0a34"));
        let local = Place::of_url("http://127.0.0.1:4566").unwrap();
        let (address, query) = signed(&local, None);
        assert_eq!(address, "ws://127.0.0.1:4566/mqtt");
        assert_eq!(query, of_botocore("40ec426ef774b7965926004af92769dda5e471686535c7afacd53d0c5c762a0b"));
    }

    #[test]
    fn a_session_token_is_sent_and_not_signed() {
        let (_, mut query) = signed(&Place::of_host(HOST), Some("to+ken/=="));
        assert!(query.remove("X-Amz-Security-Token=to%2Bken%2F%3D%3D"), "{query:?}");
        assert_eq!(query, of_botocore("9af95c938bebc555b90e4d688f5d1ed8edf44e585b8b605f9069edfef43a0a34"));
    }

    #[test]
    fn the_place_has_no_usual_port_and_no_path() {
        for url in ["https://host", "https://host:443/", "HTTPS://host/a?b", "wss://host#c"] {
            assert_eq!(Place::of_url(url), Some(Place::of_host("host")), "{url}");
        }
        let local = Place { is_secure: false, authority: "127.0.0.1:4566".to_owned() };
        assert_eq!(Place::of_url("http://127.0.0.1:4566/"), Some(local));
        assert_eq!(Place::of_url("localhost:4566"), None);
        assert_eq!(Place::of_url("https://"), None);
    }
}
