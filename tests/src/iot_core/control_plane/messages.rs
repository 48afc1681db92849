//! Messages and shadows over HTTP, of the data plane of AWS IoT.

use axum::http::Method;
use serde_json::json;

use super::reply::{Content, Reply, ServiceError};
use super::request::{Call, Route};
use super::{OfServices, Services};
use crate::iot_core::gateway::{Limit, Publisher, Rejection};

/// Operations of the data plane.
pub(super) const ROUTES: &[Route<OfServices>] = &[
    Route { operation: "Publish", method: Method::POST, pattern: "/topics/{topic}", handler: publish },
    Route {
        operation: "GetThingShadow",
        method: Method::GET,
        pattern: "/things/{thingName}/shadow",
        handler: |services, call| shadow(services, call, "get"),
    },
    Route {
        operation: "UpdateThingShadow",
        method: Method::POST,
        pattern: "/things/{thingName}/shadow",
        handler: |services, call| shadow(services, call, "update"),
    },
    Route {
        operation: "DeleteThingShadow",
        method: Method::DELETE,
        pattern: "/things/{thingName}/shadow",
        handler: |services, call| shadow(services, call, "delete"),
    },
    Route {
        operation: "ListNamedShadowsForThing",
        method: Method::GET,
        pattern: "/api/things/shadow/ListNamedShadowsForThing/{thingName}",
        handler: named_shadows,
    },
];

fn gateway(services: &Services) -> Result<Publisher, ServiceError> {
    let starting = || ServiceError::new("ServiceUnavailableException", 503, "the device gateway is starting");
    services.gateway().ok_or_else(starting)
}

fn publish(services: &Services, call: &Call) -> Result<Reply, ServiceError> {
    let qos = call.number("qos")?.unwrap_or(0);
    let published =
        gateway(services)?.publish_for("iotdata", call.name(), &call.body, qos, call.flag("retain"));
    match published {
        Ok(()) => Ok(Reply::empty()),
        Err(limit @ Limit::Payload) => {
            Err(ServiceError::new("RequestEntityTooLargeException", 413, limit.to_string()))
        }
        Err(limit) => Err(ServiceError::invalid_request(limit.to_string())),
    }
}

fn shadow(services: &Services, call: &Call, operation: &str) -> Result<Reply, ServiceError> {
    let answer = gateway(services)?.shadow(call.name(), call.query("name"), operation, &call.body);
    let document = answer.map_err(|Rejection(status, message)| {
        let code = match status {
            404 => "ResourceNotFoundException",
            409 => "ConflictException",
            413 => "RequestEntityTooLargeException",
            _ => "InvalidRequestException",
        };
        ServiceError::new(code, status, message)
    })?;
    // A null in a document has a meaning.
    let content = Content::Bytes(document.to_string().into_bytes());
    Ok(Reply { status: 200, headers: Vec::new(), content })
}

fn named_shadows(services: &Services, call: &Call) -> Result<Reply, ServiceError> {
    let names = gateway(services)?.named_shadows(call.name());
    let size = call.number("pageSize")?.unwrap_or(25_usize).clamp(1, 100);
    let from: usize = call.number("nextToken")?.unwrap_or(0);
    let page: Vec<&String> = names.iter().skip(from).take(size).collect();
    let next = (from.saturating_add(page.len()) < names.len()).then(|| (from + page.len()).to_string());
    Ok(Reply::json(json!({ "results": page, "nextToken": next })))
}
