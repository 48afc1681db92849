//! The leanest client of AWS: bytes written to a socket and read from it, signed once, nothing parsed but the length.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is a bench's result")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Path of a call that an account answers in which a board has been registered before.
const PATH: &str = "/policies/zt_policy";

/// Where an account is, and what requests to it are signed with.
pub struct Keys {
    /// `AWS_ENDPOINT_URL`.
    pub endpoint_url: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

impl Keys {
    /// The request, signed once: the signature is good for a quarter of an hour.
    fn request(&self) -> String {
        let keys = Credentials::new(&self.access_key_id, &self.secret_access_key, None, None, "bench");
        let identity = keys.into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("iot")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let url = format!("http://localhost{PATH}");
        let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::empty()).unwrap();
        let (signed, _) = sign(request, &params).unwrap().into_parts();
        let headers = signed.headers().map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("GET {PATH} HTTP/1.1\r\nhost: localhost\r\n{}\r\n", headers.collect::<String>())
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection to a stand-in of AWS.
pub struct Connection {
    stream: Box<dyn Stream>,
    request: String,
}

impl Connection {
    /// Opens one to the account's endpoint, over TLS if it says so: then `authority`, PEM, is the CA of its certificate.
    ///
    /// # Panics
    /// If that fails.
    pub fn open(keys: &Keys, authority: Option<&[u8]>) -> Self {
        let request = keys.request();
        let (scheme, address) = keys.endpoint_url.split_once("://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        if scheme == "http" {
            return Self { stream: Box::new(stream), request };
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
        Self { stream: Box::new(StreamOwned::new(connection, stream)), request }
    }

    /// Calls `iot:GetPolicy` and waits for the whole answer.
    ///
    /// # Panics
    /// If that fails.
    pub fn call(&mut self) {
        self.stream.write_all(self.request.as_bytes()).unwrap();
        self.stream.flush().unwrap();
        let (mut answer, mut buffer) = (Vec::new(), [0; 8192]);
        loop {
            let read = self.stream.read(&mut buffer).unwrap();
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
