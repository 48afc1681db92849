//! What the gateway serves over HTTP: MQTT over WebSocket, publishing, and shadows (AWS IoT Core developer guide, "Device
//! communication protocols" and "Device Shadow REST API"; AWS IoT data plane API, `Publish`).

mod publish;
mod shadow;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures::{SinkExt, StreamExt, future};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use super::access::{Client, Principal};
use super::admission::Identity;
use super::connection::Shared;
use super::entrance::{Arrival, Visitor};
use super::journal::Event;
use super::limits::{Limit, MAX_WEBSOCKET};
use super::signed_url::{self, SignedUrl};
use super::wire::Transport;
use crate::iot_core::directory::{Peer, Verdict};

/// The names of MQTT as a WebSocket subprotocol: the registered one, and an older one.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
/// In bytes; more than the largest packet.
const LARGEST_MESSAGE: usize = 256 * 1024;

/// MQTT that comes over WebSocket.
pub(super) struct Upgraded {
    pub(super) transport: Transport,
    pub(super) identity: Identity,
    /// When the connection has to end.
    pub(super) end: SystemTime,
}

/// What the handlers of one connection share.
#[derive(Clone)]
struct Web {
    shared: Arc<Shared>,
    visitor: Visitor,
    upgraded: mpsc::Sender<Upgraded>,
}

/// Answers the requests of a connection; returns the WebSocket if it becomes one.
pub(super) async fn serve(shared: &Arc<Shared>, arrival: Arrival) -> Option<Upgraded> {
    let (sender, mut upgraded) = mpsc::channel(1);
    let web = Web { shared: Arc::clone(shared), visitor: arrival.visitor, upgraded: sender };
    let router = Router::new()
        .route(signed_url::PATH, get(websocket))
        .route("/topics/{*topic}", post(publish::publish))
        .route("/things/{thing}/shadow", any(shadow::shadow))
        .with_state(web);
    let router = match &shared.data_plane {
        Some(data_plane) => router.fallback_service(data_plane.clone()),
        None => router
            .fallback(async || answer(StatusCode::NOT_FOUND, "the device gateway has nothing at this path")),
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.patience)
        .serve_connection(TokioIo::new(arrival.stream), TowerToHyperService::new(router))
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection over HTTP ended");
    }
    upgraded.recv().await
}

fn answer(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({"message": message}))).into_response()
}

impl Web {
    /// Refuses a request. The client is told the status; why is in the testbed's own log.
    fn refuse(&self, status: StatusCode, reason: &dyn std::fmt::Display) -> Response {
        let reason = format!("refused with {}: {reason}", status.as_u16());
        self.shared.journal.record(Event::HandshakeFailed { peer: self.visitor.peer.to_string(), reason });
        answer(status, status.canonical_reason().unwrap_or_default())
    }

    /// Who asks, and the body of the request, at most so many bytes; an answer where the body is larger, and for who is nobody.
    async fn asked(&self, request: Request<Body>, most: usize) -> Result<(Client, Bytes), Response> {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, most).await else {
            return Err(self.refuse(StatusCode::PAYLOAD_TOO_LARGE, &Limit::Payload));
        };
        match self.client(&parts, &body) {
            Ok(client) => Ok((client, body)),
            Err(reason) => Err(self.refuse(StatusCode::FORBIDDEN, &reason)),
        }
    }

    /// Who asks: the certificate counts, where the client has shown one. HTTP has no client id.
    fn client(&self, parts: &Parts, body: &[u8]) -> Result<Client, String> {
        let directory = &self.shared.access.directory;
        let address = self.visitor.peer.ip();
        let principal = match &self.visitor.leaf {
            None => {
                let (access_key_id, caller) = directory.caller(parts, body)?;
                Principal::Keys { access_key_id, caller }
            }
            Some(leaf) => {
                match directory.connecting(leaf, Peer { address, server_name: self.visitor.server_name }) {
                    Verdict::Active { certificate_id } => Principal::Certificate(certificate_id),
                    Verdict::Registered { .. } => {
                        return Err("the certificate is registered, and PENDING_ACTIVATION".to_owned());
                    }
                    Verdict::Refused { reason } => return Err(reason),
                }
            }
        };
        Ok(Client { client_id: String::new(), principal, source_ip: address })
    }

    /// Whose signature the URL has, and until when the keys are valid.
    fn signed_by(
        &self,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<(Identity, SystemTime), signed_url::Error> {
        let url = SignedUrl::parse(query)?;
        let keys = self.shared.access.directory.keys(&url.access_key_id).ok_or(signed_url::Error::Key)?;
        let now = SystemTime::now();
        let token = keys.session_token.as_deref();
        url.verify(headers, self.shared.access.region(), &keys.secret_access_key, token, now)?;
        let last = now + MAX_WEBSOCKET;
        let end = keys.end.map_or(last, |end| end.min(last));
        if end <= now {
            return Err(signed_url::Error::Expired);
        }
        Ok((Identity::Keys { access_key_id: url.access_key_id, caller: keys.caller }, end))
    }
}

async fn websocket(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let (identity, end) = match web.signed_by(query.as_deref().unwrap_or_default(), &headers) {
        Ok(signed) => signed,
        Err(error) => return web.refuse(StatusCode::FORBIDDEN, &error),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols(SUBPROTOCOLS).max_message_size(LARGEST_MESSAGE),
        Err(rejection) => return web.refuse(rejection.status(), &rejection.body_text()),
    };
    if upgrade.selected_protocol().is_none() {
        return web.refuse(StatusCode::BAD_REQUEST, &"the WebSocket subprotocol is not mqtt");
    }
    upgrade.on_upgrade(async move |socket| {
        let upgraded = Upgraded { transport: bytes(socket), identity, end };
        // The receiver is gone if the gateway is.
        let _ = web.upgraded.send(upgraded).await;
    })
}

/// The binary messages of a WebSocket as a stream of bytes; packets may begin and end anywhere in them (MQTT 3.1.1, section 6).
fn bytes(socket: WebSocket) -> Transport {
    let (sink, stream) = socket.split();
    let received = stream.filter_map(|message| {
        future::ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            Ok(Message::Text(_)) => Some(Err(io::Error::other("a text message on a WebSocket of MQTT"))),
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    let sent = sink
        .sink_map_err(io::Error::other)
        .with(|bytes: Bytes| future::ok::<_, io::Error>(Message::Binary(bytes)));
    let writer = SinkWriter::new(CopyToBytes::new(Box::pin(sent)));
    Box::new(tokio::io::join(StreamReader::new(Box::pin(received)), writer))
}
