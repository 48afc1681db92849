//! Who is connected: of the data plane of AWS IoT, and `GetThingConnectivityData` of AWS IoT itself.

use std::time::SystemTime;

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reply::{Reply, ServiceError};
use super::request::{Call, Route};
use super::{OfServices, Services};
use crate::iot_core::account::{Error, epoch};

/// Operations of AWS IoT that need the device gateway.
pub(super) const IOT_ROUTES: &[Route<OfServices>] = &[Route {
    operation: "GetThingConnectivityData",
    method: Method::POST,
    pattern: "/things/{thingName}/connectivity-data",
    handler: connectivity,
}];

/// Operations of the data plane.
pub(super) const DATA_ROUTES: &[Route<OfServices>] = &[
    Route {
        operation: "GetConnection",
        method: Method::GET,
        pattern: "/connections/{clientId}",
        handler: get,
    },
    Route {
        operation: "DeleteConnection",
        method: Method::DELETE,
        pattern: "/connections/{clientId}",
        handler: delete,
    },
    Route {
        operation: "ListSubscriptions",
        method: Method::GET,
        pattern: "/connections/{clientId}/subscriptions",
        handler: subscriptions,
    },
];

/// The last state of a client's connection; `None` if it has never had one.
struct State {
    connected: bool,
    /// Since when it is so.
    since: SystemTime,
    reason: &'static str,
    /// The other fields that both calls have.
    fields: Map<String, Value>,
}

fn state(services: &Services, client_id: &str, with_sockets: bool) -> Option<State> {
    let mut fields = Map::from_iter([("clientId".to_owned(), client_id.into())]);
    let connection = services.gateway().and_then(|gateway| gateway.connection(client_id));
    let Some(connection) = connection else {
        let (since, ended) = services.journal.last_end_of(client_id)?;
        return Some(State { connected: false, since, reason: ended.disconnect_reason(), fields });
    };
    fields.insert("keepAliveDuration".to_owned(), connection.keep_alive.into());
    fields.insert("cleanSession".to_owned(), connection.clean.into());
    fields.insert("sessionExpiry".to_owned(), connection.session_expiry.as_secs().into());
    if with_sockets {
        fields.insert("sourceIp".to_owned(), connection.source_ip.to_string().into());
    }
    Some(State { connected: true, since: connection.since, reason: "NONE", fields })
}

fn connectivity(services: &Services, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        #[serde(default)]
        include_socket_information: bool,
    }
    let body: Body = call.json()?;
    {
        let account = services.account();
        if !account.settings().indexing.has_connectivity() {
            return Err(Error::IndexNotReady.into());
        }
        account.thing(call.name())?;
    }
    // The client id has to be the name of the thing.
    let mut answer = Map::from_iter([("thingName".to_owned(), Value::from(call.name()))]);
    match state(services, call.name(), body.include_socket_information) {
        Some(State { connected, since, reason, fields }) => {
            answer.extend(fields);
            answer.insert("connected".to_owned(), connected.into());
            answer.insert("timestamp".to_owned(), epoch(since).into());
            answer.insert("disconnectReason".to_owned(), reason.into());
        }
        None => {
            answer.insert("connected".to_owned(), false.into());
            answer.insert("disconnectReason".to_owned(), "UNKNOWN".into());
        }
    }
    Ok(Reply::json(answer.into()))
}

fn unknown(client_id: &str) -> ServiceError {
    Error::NotFound { what: "connection of the client", name: client_id.to_owned() }.into()
}

fn get(services: &Services, call: &Call) -> Result<Reply, ServiceError> {
    let state = state(services, call.name(), call.flag("includeSocketInformation"));
    let State { connected, since, reason, fields: mut answer } = state.ok_or_else(|| unknown(call.name()))?;
    answer.insert("connected".to_owned(), connected.into());
    let key = if connected { "connectedSince" } else { "disconnectedSince" };
    answer.insert(key.to_owned(), ((epoch(since) * 1000.0) as u64).into());
    if !connected {
        answer.insert("disconnectReason".to_owned(), reason.into());
    }
    Ok(Reply::json(answer.into()))
}

fn delete(services: &Services, call: &Call) -> Result<Reply, ServiceError> {
    match services.gateway().is_some_and(|gateway| gateway.disconnect(call.name())) {
        true => Ok(Reply::empty()),
        false => Err(unknown(call.name())),
    }
}

fn subscriptions(services: &Services, call: &Call) -> Result<Reply, ServiceError> {
    let connection = services.gateway().and_then(|gateway| gateway.connection(call.name()));
    let connection = connection.ok_or_else(|| unknown(call.name()))?;
    let subscription = |(filter, qos): &(String, u8)| json!({ "topicFilter": filter, "qos": qos });
    let subscriptions: Vec<Value> = connection.subscriptions.iter().map(subscription).collect();
    Ok(Reply::json(json!({ "subscriptions": subscriptions })))
}
