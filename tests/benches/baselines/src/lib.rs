//! The leanest client of AWS: bytes written to a socket and read from it, nothing signed, nothing parsed but the length.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is a bench's result")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A call that an account answers in which a board has been registered before. The stand-in reads the service out of the
/// credential scope and checks no signature.
const REQUEST: &str = "GET /policies/zt_policy HTTP/1.1\r\n\
    host: localhost\r\n\
    authorization: AWS4-HMAC-SHA256 Credential=ASIABENCH/20260101/us-east-1/iot/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n";

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection to a stand-in of AWS.
pub struct Connection(Box<dyn Stream>);

impl Connection {
    /// Opens one to `url`, over TLS if it says so: then `authority`, PEM, is the CA of its certificate.
    ///
    /// # Panics
    /// If that fails.
    pub fn open(url: &str, authority: Option<&[u8]>) -> Self {
        let (scheme, address) = url.split_once("://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        if scheme == "http" {
            return Self(Box::new(stream));
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.unwrap()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        // A function that starts has no session to resume either.
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).unwrap();
        }
        Self(Box::new(StreamOwned::new(connection, stream)))
    }

    /// Calls `iot:GetPolicy` and waits for the whole answer.
    ///
    /// # Panics
    /// If that fails.
    pub fn call(&mut self) {
        self.0.write_all(REQUEST.as_bytes()).unwrap();
        self.0.flush().unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 8192]);
        loop {
            let read = self.0.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "the stand-in hung up");
            answer.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            assert!(head.starts_with("HTTP/1.1 200"), "{text}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return;
            }
        }
    }
}
