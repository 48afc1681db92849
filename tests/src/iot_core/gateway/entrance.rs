//! One TLS port for everything: MQTT, and HTTP with WebSocket, told apart by ALPN or else by the first byte (AWS IoT Core developer
//! guide, "Protocols, port mappings, and authentication": on AWS the port decides where a client offers no ALPN).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// MQTT with client certificates on port 443, MQTT with custom authentication, HTTPS with client certificates on port 443, HTTPS.
pub(super) const PROTOCOLS: [&[u8]; 4] = [b"x-amzn-mqtt-ca", b"mqtt", b"x-amzn-http-ca", b"http/1.1"];
const HTTP: [&[u8]; 2] = [PROTOCOLS[2], PROTOCOLS[3]];

/// A connection whose TLS handshake is over. What was read of it to see what it speaks is still to be read.
pub(super) struct Arrival {
    pub(super) stream: BufReader<TlsStream<TcpStream>>,
    pub(super) visitor: Visitor,
    /// HTTP; otherwise MQTT.
    pub(super) http: bool,
}

/// Who comes, as far as TLS tells.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) peer: SocketAddr,
    /// The certificate (DER) whose key the client has proved to hold.
    pub(super) leaf: Option<Vec<u8>>,
    /// Whether the handshake named the server.
    pub(super) server_name: bool,
}

/// Shakes hands; an error says in words why that fails.
pub(super) async fn arrive(
    tls: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    patience: Duration,
) -> Result<Arrival, String> {
    // Answers are small: Nagle's algorithm would keep them waiting.
    let _ = stream.set_nodelay(true);
    let late = |what: &str| format!("no {what} within {patience:?}");
    let handshake = timeout(patience, tls.accept(stream)).await;
    let stream = handshake.map_err(|_| late("TLS handshake"))?.map_err(|error| error.to_string())?;
    let session = stream.get_ref().1;
    let visitor = Visitor {
        peer,
        leaf: session.peer_certificates().and_then(<[_]>::first).map(|leaf| leaf.to_vec()),
        server_name: session.server_name().is_some(),
    };
    let agreed = session.alpn_protocol().map(|protocol| HTTP.contains(&protocol));
    let mut stream = BufReader::new(stream);
    let http = match agreed {
        Some(http) => http,
        None => {
            let first = timeout(patience, stream.fill_buf()).await.map_err(|_| late("CONNECT"))?;
            let first = first.map_err(|error| error.to_string())?;
            // A method is in capitals; a CONNECT of MQTT begins with 0x10.
            first.first().ok_or("closed before CONNECT")?.is_ascii_uppercase()
        }
    };
    Ok(Arrival { stream, visitor, http })
}
