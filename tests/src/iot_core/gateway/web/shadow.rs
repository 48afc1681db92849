//! `GET`, `POST` and `DELETE /things/THING/shadow?name=NAME`: shadows over HTTPS, with a client certificate or a signature.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Web;
use crate::iot_core::gateway::access::Operation;
use crate::iot_core::gateway::limits::MAX_PAYLOAD;
use crate::iot_core::gateway::shadow::{Name, Rejection};

/// The query.
#[derive(Deserialize)]
pub(super) struct Which {
    /// None for the classic shadow.
    name: Option<String>,
}

pub(super) async fn shadow(
    State(web): State<Web>,
    Path(thing): Path<String>,
    Query(which): Query<Which>,
    request: Request<Body>,
) -> Response {
    let (action, operation) = match *request.method() {
        Method::GET => ("iot:GetThingShadow", "get"),
        Method::POST => ("iot:UpdateThingShadow", "update"),
        Method::DELETE => ("iot:DeleteThingShadow", "delete"),
        _ => return web.refuse(StatusCode::METHOD_NOT_ALLOWED, &"shadows have GET, POST and DELETE"),
    };
    let (client, payload) = match web.asked(request, MAX_PAYLOAD).await {
        Ok(asked) => asked,
        Err(refused) => return refused,
    };
    let name = Name::new(&thing, which.name.as_deref());
    let asked = Operation::Shadow { action, resource: &name.resource() };
    if let Err(refusal) = web.shared.access.check(&client, asked) {
        return web.refuse(StatusCode::FORBIDDEN, &refusal);
    }
    match web.shared.shadow(&name, operation, &payload) {
        Ok(document) => Json(document).into_response(),
        Err(Rejection(code, message)) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
            (status, Json(json!({"code": code, "message": message}))).into_response()
        }
    }
}
