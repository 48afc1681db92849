//! The way to the message broker: through the proxy that the environment names, or directly.

use std::io;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use rumqttc_v4::{NetworkOptions, default_socket_connect};
use tokio::net::TcpStream;
use tower_service::Service;
use tungstenite::http::Uri;

/// A connection to `address`, which is host name and port, for TLS or not.
///
/// # Errors
/// What the system or the proxy says.
pub(super) async fn connect(
    address: String,
    is_secure: bool,
    options: NetworkOptions,
) -> io::Result<TcpStream> {
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidInput, "this is no host name");
    let scheme = if is_secure { "https" } else { "http" };
    let to: Uri = format!("{scheme}://{address}/").parse().map_err(invalid)?;
    let Some(proxy) = Matcher::from_env().intercept(&to) else {
        return default_socket_connect(address, options).await;
    };
    let name = proxy.uri().authority().map(ToString::to_string).unwrap_or_default();
    if proxy.uri().scheme_str() != Some("http") {
        let scheme = proxy.uri().scheme_str().unwrap_or_default();
        let why =
            format!("a proxy by {scheme}: is not supported for this connection; one by http: is ({name})");
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    let mut tunnel = Tunnel::new(proxy.uri().clone(), HttpConnector::new());
    if let Some(credentials) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(credentials.clone());
    }
    let failed = |error| {
        let said = crate::error::deepest(&error);
        io::Error::other(format!("the proxy {name} makes no connection: {said}"))
    };
    Ok(tunnel.call(to).await.map_err(failed)?.into_inner())
}
