//! What a call costs the leanest of clients: bytes written to a socket and read from it, nothing signed, nothing parsed
//! but the length. What a function takes beyond this is its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::account::BenchAccount;
use crate::report::median;

const CONNECTIONS: usize = 21;
const CALLS: usize = 5;

/// The call of the warm-up. The stand-in reads the service out of the credential scope and checks no signature.
const REQUEST: &str = "GET /policies/zt_policy HTTP/1.1\r\n\
    host: localhost\r\n\
    authorization: AWS4-HMAC-SHA256 Credential=ASIABENCH/20260101/us-east-1/iot/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n";

/// Medians.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundTrip {
    /// Opening a connection, with the TLS handshake if there is one, and the first call on it.
    pub(crate) first: Duration,
    /// Calls on it after that.
    pub(crate) call: Duration,
    /// What of these is spent before and after the stand-in works on them.
    pub(crate) transport: Duration,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl RoundTrip {
    pub(crate) fn measure(account: &BenchAccount) -> Self {
        let tls = account.authority().map(|authority| {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let versions =
                ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let mut config = versions.unwrap().with_root_certificates(roots).with_no_client_auth();
            // A function that starts has no session to resume either.
            config.resumption = rustls::client::Resumption::disabled();
            Arc::new(config)
        });
        let (mut firsts, mut calls, mut transports) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..CONNECTIONS {
            let begin = Instant::now();
            let mut stream = open(account.address(), tls.as_ref());
            call(&mut stream);
            firsts.push(begin.elapsed());
            for _ in 0..CALLS {
                account.take_calls();
                let begin = Instant::now();
                call(&mut stream);
                let took = begin.elapsed();
                calls.push(took);
                let in_stand_in = account.take_calls().iter().map(|call| call.took).sum();
                transports.push(took.saturating_sub(in_stand_in));
            }
        }
        Self { first: median(&firsts), call: median(&calls), transport: median(&transports) }
    }
}

fn open(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Box<dyn Stream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let Some(config) = tls else { return Box::new(stream) };
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(config.clone(), name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).unwrap();
    }
    Box::new(StreamOwned::new(connection, stream))
}

fn call(stream: &mut Box<dyn Stream>) {
    stream.write_all(REQUEST.as_bytes()).unwrap();
    stream.flush().unwrap();
    let (mut answer, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        let read = stream.read(&mut buffer).unwrap();
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
