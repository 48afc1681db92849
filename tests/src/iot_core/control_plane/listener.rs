//! What the control plane can be reached through besides plain TCP: TLS, and a count of the connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::serve::Listener;
use rustls::crypto::aws_lc_rs;
use rustls::{CipherSuite, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::iot_core::gateway::TlsError;
use crate::iot_core::gateway::tls::identity;

/// Connections waiting to be served.
const BACKLOG: usize = 64;

/// TLS over TCP, with a fresh certificate for `localhost`. Handshakes run beside one another.
#[derive(Debug)]
pub struct HttpsListener {
    address: SocketAddr,
    shaken: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: JoinHandle<()>,
}

impl HttpsListener {
    /// Listens where `listener` does; returns the PEM of the CA that signed the certificate, too.
    ///
    /// # Errors
    /// If the certificate cannot be made.
    pub fn over(listener: TcpListener) -> Result<(Self, String), TlsError> {
        let address = listener.local_addr().map_err(TlsError::Listen)?;
        let (authority, chain, key) = identity()?;
        // As CloudTrail has it for calls of AWS's own endpoints (`tlsDetails`).
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key.into())?;
        config.ignore_client_order = true;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (done, shaken) = mpsc::channel(BACKLOG);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    // Answers are small: Nagle's algorithm would keep them waiting.
                    let _ = stream.set_nodelay(true);
                    match acceptor.accept(stream).await {
                        // Without a receiver the server has stopped.
                        Ok(stream) => drop(done.send((stream, peer)).await),
                        Err(error) => tracing::debug!(%error, "TLS handshake failed"),
                    }
                });
            }
        });
        Ok((Self { address, shaken, accepting }, authority))
    }
}

impl Drop for HttpsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for HttpsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.shaken.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Counts the connections that another listener accepts.
#[derive(Debug)]
pub(crate) struct Counted<L> {
    pub(crate) listener: L,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl<L: Listener> Listener for Counted<L> {
    type Io = L::Io;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let accepted = self.listener.accept().await;
        self.connections.fetch_add(1, Ordering::Relaxed);
        accepted
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
