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
use rustls::SupportedProtocolVersion;
use rustls::client::ClientConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem;
use tokio::time::{Instant, sleep, timeout};

use crate::board::SimulatedBoard;
use crate::certificate_store::{CertificateStore, StoreError};

pub(crate) mod tls;

/// In bytes. More than AWS IoT takes.
const LARGEST_PACKET: usize = 256 * 1024;
/// How long the device waits for any one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the device may be silent, in seconds.
const KEEP_ALIVE: u16 = 60;
/// Requests that may wait for the network.
const QUEUE: usize = 16;
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

/// The pauses between attempts to connect: each is twice as long as the one before, from 50 ms up to a second.
#[derive(Clone, Debug)]
pub struct BackOff(Duration);

impl Default for BackOff {
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl BackOff {
    const LONGEST: Duration = Duration::from_secs(1);

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Self::LONGEST);
        pause
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
        let tls = Arc::new(tls::config(endpoint, credentials)?);
        Self::connect_by(tls, &endpoint.host, endpoint.port, client_id).await
    }

    /// Connects once, with TLS as it is set up here.
    ///
    /// # Errors
    /// As [`Device::connect`].
    pub(crate) async fn connect_by(
        tls: Arc<ClientConfig>,
        host: &str,
        port: u16,
        client_id: &str,
    ) -> Result<Self, DeviceError> {
        let mut options = MqttOptions::new(client_id, (host, port));
        let tls = TlsConfiguration::Rustls(tls);
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
        let mut back_off = BackOff::default();
        for attempt in 1.. {
            let pause = back_off.pause();
            match Self::connect(endpoint, credentials, client_id).await {
                Ok(device) => return Ok((device, attempt)),
                Err(DeviceError::Connection(_)) if Instant::now() + pause < deadline => sleep(pause).await,
                Err(error) => return Err(error),
            }
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
