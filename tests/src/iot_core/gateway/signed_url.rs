//! URLs that are signed with Signature Version 4, as MQTT over WebSocket has them (AWS IoT Core developer guide, "Device communication
//! protocols"; AWS General Reference, "Authenticating requests: using query parameters").

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use axum::http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};
use time::PrimitiveDateTime;
use time::macros::format_description;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service that the credential scope has to name. It is not the name of any AWS API.
const SERVICE: &str = "iotdevicegateway";
/// The only path that is signed.
pub(super) const PATH: &str = "/mqtt";
/// How far the client's clock may be ahead, and how long a signature is valid that says nothing of it.
const CLOCK: Duration = Duration::from_secs(5 * 60);
const LONGEST: Duration = Duration::from_secs(86400);
/// What stays as it is in a canonical query: the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a URL lets nobody in. AWS answers 403 to each, and says no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the URL has no {0}")]
    Missing(&'static str),
    #[error("X-Amz-Algorithm is {0:?}, should be {ALGORITHM}")]
    Algorithm(String),
    #[error("{name} is malformed: {value:?}")]
    Malformed { name: &'static str, value: String },
    #[error("the signature is for the service {0:?}, should be {SERVICE}")]
    Service(String),
    #[error("the signature is for the Region {signed}, the endpoint is in {own}")]
    Region { signed: String, own: String },
    #[error("the access key is not known")]
    Key,
    #[error("the session token is missing or belongs to another key")]
    Token,
    #[error("the clock of the client is more than 5 minutes ahead")]
    Ahead,
    #[error("the signature has expired")]
    Expired,
    #[error(
        "the signature does not match: secret key, host, or a session token that was signed (it is appended after signing)"
    )]
    Signature,
}

/// What the query of a signed URL says.
#[derive(Clone, Debug)]
pub(super) struct SignedUrl {
    pub(super) access_key_id: String,
    scope: String,
    region: String,
    date: String,
    time: SystemTime,
    validity: Duration,
    /// Their names, sorted. `host` is enough, and some clients sign more.
    signed_headers: Vec<String>,
    token: Option<String>,
    signature: String,
    /// The query that is signed: without signature and token, sorted.
    canonical_query: String,
}

impl SignedUrl {
    /// Reads a query, still percent-encoded.
    ///
    /// # Errors
    /// What is missing or malformed in it.
    pub(super) fn parse(query: &str) -> Result<Self, Error> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        let value =
            |name: &'static str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let needed = |name| value(name).ok_or(Error::Missing(name));
        let malformed = |name, value: &str| Error::Malformed { name, value: value.to_owned() };

        let algorithm = needed("X-Amz-Algorithm")?;
        if algorithm != ALGORITHM {
            return Err(Error::Algorithm(algorithm));
        }
        let credential = needed("X-Amz-Credential")?;
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, day, region, service, "aws4_request"] = parts[..] else {
            return Err(malformed("X-Amz-Credential", &credential));
        };
        if service != SERVICE {
            return Err(Error::Service(service.to_owned()));
        }
        let date = needed("X-Amz-Date")?;
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let time = PrimitiveDateTime::parse(&date, format).ok().filter(|_| date.starts_with(day));
        let time = time.ok_or_else(|| malformed("X-Amz-Date", &date))?;
        let validity = match value("X-Amz-Expires") {
            None => CLOCK,
            Some(text) => {
                let seconds =
                    text.parse().map(Duration::from_secs).ok().filter(|seconds| *seconds <= LONGEST);
                seconds.ok_or_else(|| malformed("X-Amz-Expires", &text))?
            }
        };
        let headers = needed("X-Amz-SignedHeaders")?;
        let signed_headers: Vec<String> = headers.split(';').map(str::to_owned).collect();
        if !signed_headers.iter().any(|name| name == "host") || !signed_headers.is_sorted() {
            return Err(malformed("X-Amz-SignedHeaders", &headers));
        }
        let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let is_signed = |name: &str| !["X-Amz-Signature", "X-Amz-Security-Token"].contains(&name);
        let mut signed: Vec<_> = pairs.iter().filter(|(name, _)| is_signed(name)).collect();
        signed.sort();
        let signed: Vec<_> =
            signed.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            scope: format!("{day}/{region}/{service}/aws4_request"),
            region: region.to_owned(),
            time: time.assume_utc().into(),
            date,
            validity,
            signed_headers,
            token: value("X-Amz-Security-Token"),
            signature: needed("X-Amz-Signature")?,
            canonical_query: signed.join("&"),
        })
    }

    /// Compares the URL and the headers of its request with what the owner of the key would have signed.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn verify(
        &self,
        headers: &HeaderMap,
        own_region: &str,
        secret: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<(), Error> {
        if self.region != own_region {
            return Err(Error::Region { signed: self.region.clone(), own: own_region.to_owned() });
        }
        if self.token.as_deref() != token {
            return Err(Error::Token);
        }
        if self.time > now + CLOCK {
            return Err(Error::Ahead);
        }
        if now > self.time + self.validity {
            return Err(Error::Expired);
        }
        // On port 443 the header has no port. Some clients leave it out on other ports as well, in the header or in what they sign.
        let host = value(headers, "host").unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        let signed = [host.as_str(), name].map(|host| self.signature_for(headers, host, secret));
        let right = |expected: &String| {
            verify_slices_are_equal(expected.as_bytes(), self.signature.as_bytes()).is_ok()
        };
        if signed.iter().any(right) { Ok(()) } else { Err(Error::Signature) }
    }

    fn signature_for(&self, headers: &HeaderMap, host: &str, secret: &str) -> String {
        let empty = hex::encode(Sha256::digest(""));
        let line = |name: &String| match name.as_str() {
            "host" => format!("host:{host}\n"),
            name => format!("{name}:{}\n", value(headers, name).unwrap_or_default()),
        };
        let lines: String = self.signed_headers.iter().map(line).collect();
        let names = self.signed_headers.join(";");
        let canonical = format!("GET\n{PATH}\n{}\n{lines}\n{names}\n{empty}", self.canonical_query);
        let hash = hex::encode(Sha256::digest(canonical));
        let Self { date, scope, .. } = self;
        let text = format!("{ALGORITHM}\n{date}\n{scope}\n{hash}");
        let key = generate_signing_key(secret, self.time, &self.region, SERVICE);
        calculate_signature(key, text.as_bytes())
    }
}

/// A header's value, as it is signed.
fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{
        SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
    };
    use aws_sigv4::sign::v4::SigningParams;
    use aws_smithy_runtime_api::client::identity::Identity;
    use axum::http::header::{CONNECTION, HOST};
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "secret/+=";

    /// The query that AWS's own library signs.
    fn query(service: &str, token: Option<&str>, mode: SessionTokenMode, time: SystemTime) -> String {
        query_with(service, token, mode, time, &[])
    }

    /// With more headers that are signed.
    fn query_with(
        service: &str,
        token: Option<&str>,
        mode: SessionTokenMode,
        time: SystemTime,
        more: &[(&str, &str)],
    ) -> String {
        let token = token.map(str::to_owned);
        let identity: Identity = Credentials::new("AKIA1", SECRET, token, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(60));
        settings.session_token_mode = mode;
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(service)
            .time(time)
            .settings(settings)
            .build()
            .unwrap();
        let request = SignableRequest::new(
            "GET",
            "wss://localhost/mqtt",
            more.iter().copied(),
            SignableBody::Bytes(b""),
        )
        .unwrap();
        let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
        let (_, parameters) = instructions.into_parts();
        let pair = |(name, value): &(&str, std::borrow::Cow<'static, str>)| {
            format!("{name}={}", utf8_percent_encode(value, RESERVED))
        };
        parameters.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    fn check(query: &str, host: &str, token: Option<&str>, now: SystemTime) -> Result<(), Error> {
        SignedUrl::parse(query)?.verify(&headers(host), "eu-west-1", SECRET, token, now)
    }

    fn headers(host: &str) -> HeaderMap {
        HeaderMap::from_iter([(HOST, host.parse().unwrap()), (CONNECTION, "Upgrade".parse().unwrap())])
    }

    #[test]
    fn what_the_aws_library_signs_is_right_with_and_without_the_port_in_the_header() {
        let now = SystemTime::now();
        let signed = query(SERVICE, None, SessionTokenMode::Exclude, now);
        for host in ["localhost", "localhost:443", "localhost:18883"] {
            assert_eq!(check(&signed, host, None, now), Ok(()), "{host}");
        }
        assert_eq!(check(&signed, "other", None, now), Err(Error::Signature));
        let other = SignedUrl::parse(&signed).unwrap();
        assert_eq!(
            other.verify(&headers("localhost"), "eu-west-1", "wrong", None, now),
            Err(Error::Signature)
        );
        let region = other.verify(&headers("localhost"), "us-east-1", SECRET, None, now);
        assert!(matches!(region, Err(Error::Region { .. })), "{region:?}");
    }

    #[test]
    fn headers_that_are_signed_besides_the_host_count() {
        let now = SystemTime::now();
        let signed =
            |value| query_with(SERVICE, None, SessionTokenMode::Exclude, now, &[("connection", value)]);
        assert!(signed("Upgrade").contains("connection%3Bhost"));
        assert_eq!(check(&signed("Upgrade"), "localhost", None, now), Ok(()));
        assert_eq!(check(&signed("close"), "localhost", None, now), Err(Error::Signature));
    }

    #[test]
    fn a_session_token_is_appended_and_never_signed() {
        let now = SystemTime::now();
        let appended = query(SERVICE, Some("to/ken="), SessionTokenMode::Exclude, now);
        assert_eq!(check(&appended, "localhost", Some("to/ken="), now), Ok(()));
        assert_eq!(check(&appended, "localhost", Some("another"), now), Err(Error::Token));
        let signed = query(SERVICE, Some("to/ken="), SessionTokenMode::Include, now);
        assert_eq!(check(&signed, "localhost", Some("to/ken="), now), Err(Error::Signature));
    }

    #[test]
    fn a_signature_is_valid_for_its_time_and_service_alone() {
        let now = SystemTime::now();
        let signed = |time| query(SERVICE, None, SessionTokenMode::Exclude, time);
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        assert_eq!(check(&signed(now - hour), "localhost", None, now), Err(Error::Expired));
        assert_eq!(check(&signed(now + minute), "localhost", None, now), Ok(()));
        assert_eq!(check(&signed(now + hour), "localhost", None, now), Err(Error::Ahead));
        let other = query("iotdata", None, SessionTokenMode::Exclude, now);
        assert_eq!(check(&other, "localhost", None, now), Err(Error::Service("iotdata".to_owned())));
    }

    proptest! {
        #[test]
        fn any_character_that_differs_is_refused(at in any::<prop::sample::Index>(), with in "[!-~]") {
            let now = SystemTime::now();
            let signed = query(SERVICE, None, SessionTokenMode::Exclude, now);
            let at = at.index(signed.len());
            let mut changed = signed.clone();
            changed.replace_range(at..=at, &with);
            let same = SignedUrl::parse(&changed).is_ok_and(|url| {
                let signed = SignedUrl::parse(&signed).unwrap();
                url.canonical_query == signed.canonical_query && url.signature == signed.signature && url.token.is_none()
            });
            prop_assert_eq!(check(&changed, "localhost", None, now).is_ok(), same);
        }

        #[test]
        fn no_query_panics(query in ".{0,200}") {
            let _ = SignedUrl::parse(&query);
        }
    }
}
