//! `POST /topics/TOPIC?qos=1`: publishing over HTTPS, with a client certificate or a signature.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use rmqtt_codec::types::QoS;
use serde::Deserialize;

use super::{Web, answer};
use crate::iot_core::gateway::admission::check_publish;
use crate::iot_core::gateway::journal::Refusal;
use crate::iot_core::gateway::limits::{Limit, MAX_PAYLOAD};
use crate::iot_core::gateway::message::Message;
use crate::iot_core::topic;

/// The query of a `Publish`.
#[derive(Deserialize)]
pub(super) struct Wish {
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
}

pub(super) async fn publish(
    State(web): State<Web>,
    Path(topic): Path<String>,
    Query(wish): Query<Wish>,
    request: Request<Body>,
) -> Response {
    // One byte more than is allowed, so that what is too large is told from what is lost.
    let (client, payload) = match web.asked(request, MAX_PAYLOAD + 1).await {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let qos = match wish.qos {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => return web.refuse(StatusCode::BAD_REQUEST, &Limit::QualityOfService),
    };
    if !topic::is_name(&topic) {
        return web.refuse(StatusCode::BAD_REQUEST, &Limit::TopicName);
    }
    if let Err(refusal) = check_publish(&web.shared.access, &client, &topic, &payload, qos, wish.retain) {
        let status = match &refusal {
            Refusal::Unsupported { what: Limit::Payload } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::FORBIDDEN,
        };
        return web.refuse(status, &refusal);
    }
    let message = Message { qos, retain: wish.retain, ..Message::new(topic, payload) };
    web.shared.accept(&message, client.principal.id());
    answer(StatusCode::OK, "OK")
}
