//! The device gateway: MQTT 3.1.1 and 5, with client certificates or over WebSocket with the account's keys, on one TLS port; with
//! the account's policies enforced.
//!
//! It differs from AWS IoT Core in this: a last will is not delayed, and there are no jobs behind the `$aws/…` topics. Policies are
//! read anew at every operation; AWS takes minutes.

mod access;
mod admission;
mod connection;
mod conversation;
mod entrance;
mod journal;
mod limits;
mod message;
mod presence;
mod router;
mod session;
mod shadow;
mod signed_url;
pub(in crate::iot_core) mod tls;
mod web;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rmqtt_codec::types::QoS;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

pub use journal::{Ended, Event, Refusal};
pub use limits::Limit;
pub use session::Connection;
pub use tls::TlsError;

use access::Access;
use connection::Shared;
use journal::Journal;
use message::Message;
use router::Router;
pub(in crate::iot_core) use shadow::Rejection;

use crate::iot_core::directory::Directory;

/// How the gateway is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What the ARNs of the account's clients and topics begin with: `arn:<partition>:iot:<region>:<account>`.
    pub arn_prefix: String,
    /// How long a client may take for its TLS handshake, for its CONNECT, and to take a packet from the gateway.
    pub patience: Duration,
    /// Connections served at the same time; further ones are closed at once.
    pub max_connections: usize,
    /// Answers what else is asked over HTTP.
    pub data_plane: Option<axum::Router>,
}

impl Options {
    /// Loopback, a free port, 10 seconds of patience and 4096 connections.
    #[must_use]
    pub fn new(arn_prefix: impl Into<String>) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            arn_prefix: arn_prefix.into(),
            patience: Duration::from_secs(10),
            max_connections: 4096,
            data_plane: None,
        }
    }
}

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its certificate or its TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Its socket.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// A running gateway; dropping it closes every connection.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    server_ca_pem: String,
    journal: Journal,
    publisher: Publisher,
    tasks: [JoinHandle<()>; 2],
}

impl Gateway {
    /// Starts a gateway for an account, on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] when its certificate cannot be made or the address is not to be had.
    pub async fn start(directory: Arc<dyn Directory>, options: Options) -> Result<Self, StartError> {
        let (tls, server_ca_pem) = tls::server()?;
        let listen_error = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let journal = Journal::new();
        let access = Access { directory, arn_prefix: options.arn_prefix.into() };
        let router = Arc::new(Router::new(access.clone(), journal.clone()));
        let shared = Arc::new(Shared {
            tls: TlsAcceptor::from(Arc::new(tls)),
            access: access.clone(),
            router: router.clone(),
            journal: journal.clone(),
            shadows: Mutex::default(),
            patience: options.patience,
            data_plane: options.data_plane,
        });
        let changes = access.directory.certificate_changes();
        let tasks = [
            tokio::spawn(accept(listener, shared.clone(), options.max_connections)),
            tokio::spawn(watch_certificates(changes, router)),
        ];
        let publisher = Publisher { shared };
        Ok(Self { address, server_ca_pem, journal, publisher, tasks })
    }

    /// The port the gateway listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate (PEM) of the CA behind the gateway's own certificate, which names `localhost` and 127.0.0.1.
    #[must_use]
    pub fn server_ca_pem(&self) -> &str {
        &self.server_ca_pem
    }

    /// Everything that happens at the gateway from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.journal.subscribe()
    }

    /// A handle to publish from the account's side.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Publishes from the account's side: to the subscribers, whose policies still decide on `iot:Receive`; the rule engine is
/// the account's own business. The account must not hold a lock of its own that [`Directory`] needs.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Publisher").finish_non_exhaustive()
    }
}

/// A [`Publisher`] that does not keep the gateway. The control plane has one: the gateway itself has a part of the control plane.
#[derive(Clone, Debug)]
pub struct WeakPublisher(Weak<Shared>);

impl WeakPublisher {
    /// The publisher, as long as there is the gateway.
    #[must_use]
    pub fn upgrade(&self) -> Option<Publisher> {
        self.0.upgrade().map(|shared| Publisher { shared })
    }
}

impl Publisher {
    /// The same, without the gateway.
    #[must_use]
    pub fn downgrade(&self) -> WeakPublisher {
        WeakPublisher(Arc::downgrade(&self.shared))
    }

    /// Publishes at quality of service 1.
    pub fn publish(&self, topic: &str, payload: &[u8]) {
        let bytes = payload.len();
        self.shared.journal.record(Event::Published { client_id: None, topic: topic.to_owned(), bytes });
        self.shared.router.route(&Message::new(topic, payload.to_vec()), None);
    }

    /// Publishes what a caller of the data plane sends, as a device's message.
    ///
    /// # Errors
    /// The limit that the message runs into.
    pub(super) fn publish_for(
        &self,
        caller: &str,
        topic: &str,
        payload: &[u8],
        qos: u8,
        retain: bool,
    ) -> Result<(), Limit> {
        let qos = QoS::try_from(qos).map_err(|_| Limit::QualityOfService)?;
        admission::within_limits(topic, payload, qos)?;
        let message = Message { qos, retain, ..Message::new(topic, payload.to_vec()) };
        self.shared.accept(&message, caller);
        Ok(())
    }

    /// Answers a request to a shadow of a thing, the classic one or the one of this name: `get`, `update` or `delete`.
    ///
    /// # Errors
    /// What AWS rejects it with.
    pub(super) fn shadow(
        &self,
        thing: &str,
        shadow: Option<&str>,
        operation: &str,
        payload: &[u8],
    ) -> Result<Value, Rejection> {
        self.shared.shadow(&shadow::Name::new(thing, shadow), operation, payload)
    }

    /// The named shadows of a thing, in order.
    pub(super) fn named_shadows(&self, thing: &str) -> Vec<String> {
        self.shared.shadows().named(thing)
    }

    /// The connection of a client (`GetConnection`).
    #[must_use]
    pub fn connection(&self, client_id: &str) -> Option<Connection> {
        self.shared.router.connection(client_id)
    }

    /// Ends the connection of a client (`DeleteConnection`); tells whether it had one.
    #[must_use]
    pub fn disconnect(&self, client_id: &str) -> bool {
        self.shared.router.end(client_id, Ended::Deleted)
    }
}

/// Cuts off clients whose certificates are revoked or made inactive. AWS takes its time for it.
async fn watch_certificates(mut changes: watch::Receiver<()>, router: Arc<Router>) {
    while changes.changed().await.is_ok() {
        router.cut_off();
    }
}

/// Accepts connections for as long as the gateway lives; the set ends them with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>, max_connections: usize) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < max_connections => {
                    connections.spawn(connection::serve(shared.clone(), stream, peer));
                }
                Ok((_, peer)) => shared.journal.record(Event::HandshakeFailed {
                    peer: peer.to_string(),
                    reason: format!("{max_connections} connections already"),
                }),
                // Out of file descriptors, most likely: give connections time to end.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
