//! Where a request comes from. A web page reaches loopback ports, too: under a name of its own that leads here, or with requests
//! that say where they come from. Neither is answered.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;

use crate::testbed::HOST as NAME;

/// Whether the request names this host, and comes from no page of another.
pub(super) fn is_own(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(host) = host.to_str().ok().and_then(authority) else { return false };
    let named = |authority: &Authority| is_loopback(authority.host());
    let origins = parts.headers.get_all(ORIGIN).iter();
    named(&host)
        && parts.uri.authority().is_none_or(named)
        && origins.into_iter().all(|origin| origin.to_str().is_ok_and(|origin| is_of(origin, &host)))
}

/// Whether an origin (RFC 6454, section 6.1) is this server: a loopback name, and the port that was asked.
fn is_of(origin: &str, host: &Authority) -> bool {
    let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    named
        .and_then(authority)
        .is_some_and(|origin| is_loopback(origin.host()) && origin.port_u16() == host.port_u16())
}

/// A host, and a port if there is one, and nothing else.
fn authority(text: &str) -> Option<Authority> {
    let authority = text.parse::<Authority>().ok()?;
    let host = authority.host();
    let whole = match authority.port_u16() {
        Some(port) => text == format!("{host}:{port}"),
        None => text == host,
    };
    whole.then_some(authority)
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case(NAME) || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/things");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_loopback_hosts_and_origins_of_the_same_port_are_its_own() {
        for own in [
            &[("host", "127.0.0.1:8080")][..],
            &[("host", "LOCALHOST:8080")],
            &[("host", "[::1]:8080")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")],
            &[("host", "localhost"), ("origin", "https://localhost")],
        ] {
            assert!(is_own(&parts(own)), "{own:?}");
        }
        for other in [
            &[][..],
            &[("host", "")],
            &[("host", "evil.example:8080")],
            &[("host", "localhost.evil.example")],
            &[("host", "127.0.0.1.evil.example:8080")],
            &[("host", "evil.example@localhost.example")],
            &[("host", "127.0.0.1:8080.evil.example")],
            &[("host", "user@127.0.0.1:8080")],
            &[("host", "0.0.0.0:8080")],
            &[("host", "192.168.0.1:8080")],
            &[("host", "localhost:8080"), ("host", "evil.example")],
            &[("host", "127.0.0.1:8080"), ("origin", "null")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://evil.example")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:9090")],
            &[
                ("host", "127.0.0.1:8080"),
                ("origin", "http://127.0.0.1:8080"),
                ("origin", "http://evil.example"),
            ],
        ] {
            assert!(!is_own(&parts(other)), "{other:?}");
        }
    }
}
