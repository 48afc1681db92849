//! The board as an MQTT device: its TLS client key stays in the secure element, and it trusts the roots of its Wi-Fi module alone, as
//! the real boards do.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rumqttc_v4::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, Incoming, MqttOptions, Outgoing,
    PublishOptions, QoS, SubscribeReasonCode, TlsConfiguration, Transport,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureAlgorithm, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::board::{SimulatedBoard, root_store};
use crate::certificate_store::{CertificateStore, StoreError};

/// In bytes. More than AWS IoT takes.
const LARGEST_PACKET: usize = 256 * 1024;
/// How long the device waits for any one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the device may be silent, in seconds.
const KEEP_ALIVE: u16 = 60;
/// Requests that may wait for the network.
const QUEUE: usize = 16;
/// First pause of the back-off; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// What the WINC1510 Wi-Fi module speaks.
static WIFI_MODULE_TLS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

/// Signs a message (ECDSA with SHA-256) with the device's P-256 key; the result is a DER ECDSA-Sig-Value.
pub type Sign = dyn Fn(&[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// What the device shows of itself at the TLS handshake.
#[derive(Clone)]
pub struct Credentials {
    /// Device certificate, then its signer's.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key that belongs to the first certificate.
    pub sign: Arc<Sign>,
    /// The sector of root certificates in the flash of a board, which trusts no other server; `None` for a device that trusts the
    /// CA that the endpoint names.
    pub roots: Option<Arc<dyn Fn() -> Vec<u8> + Send + Sync>>,
}

impl Credentials {
    /// What a provisioned board shows and trusts: the certificates of its flash, the key of its secure element, the roots of its
    /// Wi-Fi module. The store is what its flash holds.
    ///
    /// # Errors
    /// [`StoreError`] for a board that is not provisioned.
    pub fn of(board: &SimulatedBoard) -> Result<(Self, CertificateStore), StoreError> {
        let store = CertificateStore::read(&board.flash())?;
        let (signer, module) = (board.signer(), board.signer());
        let credentials = Self {
            chain: store.certificates.iter().map(|file| file.content.clone().into()).collect(),
            sign: Arc::new(move |message: &[u8]| signer.sign(message).map_err(Into::into)),
            roots: Some(Arc::new(move || module.root_store())),
        };
        Ok((credentials, store))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("chain", &self.chain).finish_non_exhaustive()
    }
}

/// Where the device connects to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Host name, which the server's certificate must carry.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The CA (PEM) that a device trusts that is no board.
    pub server_ca_pem: String,
    /// TLS versions the device speaks.
    pub tls_versions: &'static [&'static SupportedProtocolVersion],
}

impl Endpoint {
    /// An endpoint for a device with the boards' Wi-Fi module, which speaks TLS 1.2 only.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, server_ca_pem: impl Into<String>) -> Self {
        Self { host: host.into(), port, server_ca_pem: server_ca_pem.into(), tls_versions: WIFI_MODULE_TLS }
    }
}

/// What went wrong for the device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The CA given for the server is not one.
    #[error("the server's CA is malformed")]
    ServerCa(#[from] pem::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The connection was refused, or it ended.
    #[error("the connection was refused, or ended")]
    Connection(#[source] Box<ConnectionError>),
    /// The client library takes no more requests.
    #[error("the request cannot be sent")]
    Request(#[source] Box<ClientError>),
    /// SUBACK with failure (0x80).
    #[error("the subscription to {filter} was refused")]
    SubscriptionRefused {
        /// Topic filter.
        filter: String,
    },
    /// Nothing came.
    #[error("no {what} within {PATIENCE:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
    },
}

impl From<ConnectionError> for DeviceError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(Box::new(error))
    }
}

impl From<ClientError> for DeviceError {
    fn from(error: ClientError) -> Self {
        Self::Request(Box::new(error))
    }
}

/// A message the device received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic name.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
}

/// A connected device.
pub struct Device {
    client: AsyncClient,
    event_loop: EventLoop,
    received: VecDeque<Message>,
}

impl fmt::Debug for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Device").field("received", &self.received).finish_non_exhaustive()
    }
}

impl Device {
    /// Connects once.
    ///
    /// # Errors
    /// [`DeviceError::Connection`] when the server turns the device away.
    pub async fn connect(
        endpoint: &Endpoint,
        credentials: &Credentials,
        client_id: &str,
    ) -> Result<Self, DeviceError> {
        let mut options = MqttOptions::new(client_id, (endpoint.host.as_str(), endpoint.port));
        let tls = TlsConfiguration::Rustls(Arc::new(tls_config(endpoint, credentials)?));
        options.set_transport(Transport::tls_with_config(tls)).set_keep_alive(KEEP_ALIVE);
        // The server says what is too large, as it does to every other client.
        options.set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
        let (client, event_loop) = AsyncClient::builder(options).capacity(QUEUE).build();
        let mut device = Self { client, event_loop, received: VecDeque::new() };
        device.wait("CONNACK", |packet| matches!(packet, Incoming::ConnAck(_)).then_some(())).await?;
        Ok(device)
    }

    /// Connects, and tries again with growing pauses until it is let in or `patience` is over; returns the number of
    /// attempts too.
    ///
    /// # Errors
    /// That of the last attempt.
    pub async fn connect_until_let_in(
        endpoint: &Endpoint,
        credentials: &Credentials,
        client_id: &str,
        patience: Duration,
    ) -> Result<(Self, u32), DeviceError> {
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match Self::connect(endpoint, credentials, client_id).await {
                Ok(device) => return Ok((device, attempt)),
                Err(DeviceError::Connection(_)) if Instant::now() + pause < deadline => sleep(pause).await,
                Err(error) => return Err(error),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(DeviceError::Timeout { what: "CONNACK" })
    }

    /// Subscribes and waits for SUBACK.
    ///
    /// # Errors
    /// [`DeviceError::SubscriptionRefused`], or the end of the connection.
    pub async fn subscribe(&mut self, filter: &str) -> Result<(), DeviceError> {
        self.client.subscribe(filter, QoS::AtLeastOnce).await?;
        let granted = self.wait("SUBACK", |packet| match packet {
            Incoming::SubAck(ack) => {
                Some(ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_))))
            }
            _ => None,
        });
        if granted.await? {
            Ok(())
        } else {
            Err(DeviceError::SubscriptionRefused { filter: filter.to_owned() })
        }
    }

    /// Publishes at quality of service 1 and waits for PUBACK.
    ///
    /// # Errors
    /// The end of the connection, which is how AWS IoT refuses a message.
    pub async fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), DeviceError> {
        self.client.publish(topic, payload, PublishOptions::at_least_once()).await?;
        self.wait("PUBACK", |packet| matches!(packet, Incoming::PubAck(_)).then_some(())).await
    }

    /// The next message.
    ///
    /// # Errors
    /// The end of the connection, or [`DeviceError::Timeout`].
    pub async fn receive(&mut self) -> Result<Message, DeviceError> {
        while self.received.is_empty() {
            self.wait("message", |packet| matches!(packet, Incoming::Publish(_)).then_some(())).await?;
        }
        self.received.pop_front().ok_or(DeviceError::Timeout { what: "message" })
    }

    /// Sends DISCONNECT and closes the connection.
    ///
    /// # Errors
    /// As [`DeviceError`] says.
    pub async fn disconnect(mut self) -> Result<(), DeviceError> {
        self.client.disconnect().await?;
        let gone = async {
            loop {
                match self.event_loop.poll().await {
                    Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        };
        timeout(PATIENCE, gone).await.map_err(|_| DeviceError::Timeout { what: "end of the connection" })?
    }

    /// Polls until `wanted` picks a packet; messages are put aside for [`Device::receive`].
    async fn wait<T>(
        &mut self,
        what: &'static str,
        wanted: impl Fn(&Incoming) -> Option<T>,
    ) -> Result<T, DeviceError> {
        let polling = async {
            loop {
                let Event::Incoming(packet) = self.event_loop.poll().await? else { continue };
                let found = wanted(&packet);
                if let Incoming::Publish(message) = packet {
                    // The library has checked that a topic is UTF-8.
                    let topic = String::from_utf8_lossy(&message.topic).into_owned();
                    self.received.push_back(Message { topic, payload: message.payload.to_vec() });
                }
                if let Some(found) = found {
                    return Ok(found);
                }
            }
        };
        timeout(PATIENCE, polling).await.map_err(|_| DeviceError::Timeout { what })?
    }
}

fn tls_config(endpoint: &Endpoint, credentials: &Credentials) -> Result<ClientConfig, DeviceError> {
    let key = Arc::new(SlotKey { sign: credentials.sign.clone() });
    let certified = Arc::new(SingleCertAndKey::from(CertifiedKey::new(credentials.chain.clone(), key)));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(endpoint.tls_versions)?;
    if let Some(roots) = &credentials.roots {
        let verifier = Arc::new(WifiModule { sector: roots(), provider });
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        return Ok(builder.with_client_cert_resolver(certified));
    }
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(endpoint.server_ca_pem.as_bytes()) {
        roots.add(authority?)?;
    }
    Ok(builder.with_root_certificates(roots).with_client_cert_resolver(certified))
}

/// Checks a server as the Wi-Fi module does: its certificates have to lead to a root of the module's flash.
#[derive(Debug)]
struct WifiModule {
    sector: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for WifiModule {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(end_entity).chain(intermediates);
        let anchors = shown.filter_map(|certificate| {
            let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
            root_store::anchor(&self.sector, certificate.issuer(), OffsetDateTime::now_utc())
        });
        let roots = RootCertStore { roots: anchors.collect() };
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The device's key as the TLS library wants it.
#[derive(Clone)]
struct SlotKey {
    sign: Arc<Sign>,
}

impl fmt::Debug for SlotKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SlotKey").finish_non_exhaustive()
    }
}

impl SigningKey for SlotKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for SlotKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        (self.sign)(message).map_err(|error| rustls::Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
