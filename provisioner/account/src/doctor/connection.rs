//! The connection of one device, as far as AWS IoT tells: since when it is connected, or why it is not. It decides nothing: a device
//! that is not connected now may connect, and what cannot be read is told.

use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::finding::{Finding, Remedy};
use crate::account::existing;
use crate::{Account, Error as AccountError, Resource};
use device_pki::certificate::rfc3339;

/// The event type of refused authentications in the logs of AWS IoT, and the log group without one of its own (AWS IoT Core
/// Developer Guide, "CloudWatch Logs log entries").
const REFUSED: &str = "Connection.AuthNError";
const LOG_GROUP: &str = "AWSIotLogsV2";
/// How far back refused authentications are looked for.
const RECENT: Duration = Duration::hours(24);

/// The connection of a device whose MQTT client id is the name of its thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    connected: bool,
    since: Option<OffsetDateTime>,
    /// Why it has ended, in AWS's word.
    reason: Option<String>,
}

/// An authentication that AWS IoT refused.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    at: OffsetDateTime,
    reason: String,
}

/// Looks at the connection of the device of this thing, with these certificates.
pub(super) async fn examine(
    account: &Account,
    endpoint: &str,
    thing: &str,
    certificate_ids: &[String],
    now: OffsetDateTime,
) -> Finding {
    let mut unread = Vec::new();
    let mut state = match of_data_plane(account, endpoint, thing).await {
        Ok(state) => state,
        Err(error) => {
            unread.push(text(&error));
            None
        }
    };
    if state.is_none() {
        state = match of_index(account, thing).await {
            Ok(state) => state,
            Err(error) if error.has_code("IndexNotReadyException") => {
                unread.push("fleet indexing does not index the connectivity of things".to_owned());
                None
            }
            Err(error) => {
                unread.push(text(&error));
                None
            }
        };
    }
    let refusal = match &state {
        Some(State { connected: true, .. }) => Ok(None),
        _ => refusal(account, certificate_ids, now).await,
    };
    judge(thing, state, &unread, refusal)
}

fn text(error: &AccountError) -> String {
    match error {
        AccountError::Denied { .. } => error.to_string(),
        _ => match error.answer() {
            Some(answer) => format!("{error}: {answer}"),
            None => match crate::error::deepest(error) {
                same if same == error.to_string() => same,
                cause => format!("{error}: {cause}"),
            },
        },
    }
}

/// `refusal` is the latest one, or why there is none to be known.
fn judge(
    thing: &str,
    state: Option<State>,
    unread: &[String],
    refusal: Result<Option<Refusal>, String>,
) -> Finding {
    let since = |state: &State| state.since.map(|at| format!(" since {}", rfc3339(at))).unwrap_or_default();
    let mut found = match &state {
        Some(state) if state.connected => {
            return Finding::right(Resource::Connection, thing, vec![format!("connected{}", since(state))]);
        }
        Some(state) => {
            let why = state.reason.as_deref().map(|reason| format!(": {}", explained(reason)));
            vec![format!("not connected{}{}", since(state), why.unwrap_or_default())]
        }
        None if unread.is_empty() => vec!["AWS IoT knows of no connection".to_owned()],
        None => vec![format!("AWS IoT does not tell whether it is connected ({})", unread.join("; "))],
    };
    match refusal {
        Ok(Some(Refusal { at, reason })) => {
            found.push(format!("AWS IoT refused it at {}: {}", rfc3339(at), refused(&reason)));
        }
        Ok(None) => {}
        Err(unknown) => found.push(unknown),
    }
    Finding::notable(Resource::Connection, thing, found).remedy(Remedy::Watch { thing: thing.to_owned() })
}

/// What a reason of AWS for the end of a connection means (AWS IoT Core Developer Guide, "Lifecycle events").
fn explained(reason: &str) -> String {
    let means = match reason {
        "CLIENT_INITIATED_DISCONNECT" => "the device closed the connection itself",
        "CONNECTION_LOST" | "MQTT_KEEP_ALIVE_TIMEOUT" => {
            "nothing came from it any more: look at its power and its network"
        }
        "DUPLICATE_CLIENTID" => {
            "another connection had the same client id: look for a second board with its key, or a tool with its name"
        }
        "AUTH_ERROR" => "its certificate was not accepted any more",
        "FORBIDDEN_ACCESS" => "it did something that its policies do not allow",
        "CLIENT_ERROR" => "it did something that MQTT or AWS IoT does not allow",
        "API_INITIATED_DISCONNECT" => "somebody ended the connection (DeleteConnection)",
        "THROTTLED" => "it sent more than AWS IoT takes",
        "SERVER_ERROR" | "SERVER_INITIATED_DISCONNECT" => "AWS IoT ended the connection",
        _ => return reason.to_owned(),
    };
    format!("{reason}, {means}")
}

/// What a reason of AWS for a refused authentication means.
fn refused(reason: &str) -> String {
    let means = match reason {
        "DEVICE_CERTIFICATE_NOT_REGISTERED" => {
            "neither its certificate nor its signer CA is registered in this Region"
        }
        "DEVICE_CERTIFICATE_INACTIVE" => "its certificate was not ACTIVE",
        "DEVICE_CERTIFICATE_REVOKED" => "its certificate is revoked",
        "SNI_MISUSED" => "it named another server than the endpoint that it connected to",
        _ => return reason.to_owned(),
    };
    format!("{reason}, {means}")
}

/// What the data plane knows: the connection, or one that ended within half an hour (AWS IoT data plane API, `GetConnection`).
async fn of_data_plane(
    account: &Account,
    endpoint: &str,
    client_id: &str,
) -> Result<Option<State>, AccountError> {
    let answer = account.iot_data(endpoint).get_connection().client_id(client_id).send().await;
    let Some(found) = account.found("iot:GetConnection", answer)? else { return Ok(None) };
    let since = if found.connected() { found.connected_since() } else { found.disconnected_since() };
    Ok(Some(State {
        connected: found.connected(),
        since: OffsetDateTime::from_unix_timestamp(since / 1000).ok().filter(|_| since > 0),
        reason: found.disconnect_reason,
    }))
}

/// What fleet indexing knows, if it is on. A device that it has never seen has no time.
async fn of_index(account: &Account, thing: &str) -> Result<Option<State>, AccountError> {
    const ACTION: &str = "iot:GetThingConnectivityData";
    let call = account.iot_without_retries().get_thing_connectivity_data().thing_name(thing);
    let answer = existing(call.send().await.map_err(account.failed(ACTION)))?;
    let state = answer.and_then(|found| {
        let since = OffsetDateTime::from_unix_timestamp(found.timestamp?.secs()).ok()?;
        let reason = found.disconnect_reason.map(|reason| reason.as_str().to_owned());
        Some(State { connected: found.connected?, since: Some(since), reason })
    });
    Ok(state)
}

/// A line of the log about a refused authentication, as far as it is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    event_type: String,
    reason: String,
}

/// The latest refused authentication of one of these certificates, if they are logged.
async fn refusal(
    account: &Account,
    certificate_ids: &[String],
    now: OffsetDateTime,
) -> Result<Option<Refusal>, String> {
    const NOT_LOGGED: &str = "refused connections are not logged";
    let options = account.iot_without_retries().get_v2_logging_options().send().await;
    let options = options.map_err(account.failed("iot:GetV2LoggingOptions"));
    let options = options.map_err(|error| match error.has_code("NotConfiguredException") {
        true => NOT_LOGGED.to_owned(),
        false => format!("{NOT_LOGGED}, as far as is known ({})", text(&error)),
    })?;
    let is_on = |event: &&aws_sdk_iot::types::LogEventConfiguration| {
        event.event_type() == REFUSED && event.log_level().is_none_or(|level| level.as_str() != "DISABLED")
    };
    let events = options.event_configurations().iter().find(is_on);
    let Some(events) = events.filter(|_| !options.disable_all_logs()) else {
        return Err(NOT_LOGGED.to_owned());
    };
    let group = events.log_destination().unwrap_or(LOG_GROUP);
    let mut latest: Option<Refusal> = None;
    for id in certificate_ids {
        let since = (now - RECENT).unix_timestamp() * 1000;
        let list = || account.logs().filter_log_events().log_group_name(group).start_time(since);
        let ask = |token| list().filter_pattern(format!("\"{id}\"")).set_next_token(token).send();
        let lines = existing(account.all("logs:FilterLogEvents", ask, |page| page.events).await);
        let lines = lines
            .map_err(|error| format!("the log of refused connections cannot be read ({})", text(&error)))?;
        let refusals = lines.into_iter().flatten().filter_map(|event| {
            let at = OffsetDateTime::from_unix_timestamp(event.timestamp()? / 1000).ok()?;
            let line: Line = serde_json::from_str(event.message()?).ok()?;
            (line.event_type == REFUSED).then_some(Refusal { at, reason: line.reason })
        });
        latest = latest.into_iter().chain(refusals).max_by_key(|refusal| refusal.at);
    }
    Ok(latest)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::doctor::Verdict;

    const AT: OffsetDateTime = datetime!(2026-11-27 12:00 UTC);

    fn state(connected: bool, reason: Option<&str>) -> Option<State> {
        Some(State { connected, since: Some(AT), reason: reason.map(str::to_owned) })
    }

    #[test]
    fn a_connection_that_is_absent_or_unknown_keeps_no_device_out() {
        let denied = ["permission iot:GetConnection is missing".to_owned()];
        let refusal = || Ok(Some(Refusal { at: AT, reason: "DEVICE_CERTIFICATE_INACTIVE".to_owned() }));
        let not_logged = || Err("refused connections are not logged".to_owned());
        let findings = [
            judge("t", state(true, Some("NONE")), &[], Ok(None)),
            judge("t", state(false, Some("CONNECTION_LOST")), &denied, not_logged()),
            judge("t", state(false, Some("NEW_REASON")), &[], Ok(None)),
            judge("t", None, &[], refusal()),
            judge("t", None, &denied, Ok(None)),
        ];
        assert!(findings.iter().all(Finding::lets_through));
        assert_eq!(findings[0].verdict, Verdict::Right);
        assert!(findings[1..].iter().all(|finding| finding.verdict == Verdict::Notable));
        let told: Vec<String> = findings.iter().map(|finding| finding.found.join("; ")).collect();
        let expected = [
            "connected since 2026-11-27T12:00:00Z",
            "not connected since 2026-11-27T12:00:00Z: CONNECTION_LOST, nothing came from it any more: look at its power and its \
             network; refused connections are not logged",
            "not connected since 2026-11-27T12:00:00Z: NEW_REASON",
            "AWS IoT knows of no connection; AWS IoT refused it at 2026-11-27T12:00:00Z: DEVICE_CERTIFICATE_INACTIVE, its \
             certificate was not ACTIVE",
            "AWS IoT does not tell whether it is connected (permission iot:GetConnection is missing)",
        ];
        assert_eq!(told, expected);
    }
}
