//! AWS X-Ray: the events of an invocation, call by call, as subsegments of the function's segment
//! (AWS X-Ray Developer Guide, "X-Ray segment documents" and "Sending segment documents to the X-Ray daemon").

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::decision::{Decision, Failure};
use crate::registry::ErrorKind;
use crate::registry::record::RecordedCall;

/// The variable that says where the daemon is; AWS Lambda sets it.
const DAEMON_ADDRESS: &str = "AWS_XRAY_DAEMON_ADDRESS";

/// What the daemon wants before each document.
const HEADER: &str = "{\"format\":\"json\",\"version\":1}\n";

/// Registrations of one invocation that are traced. A batch has thousands; the daemon holds a trace of 500 kB.
pub(super) const TRACED: usize = 100;

/// The trace that an invocation belongs to, if it is sampled: `Root=…;Parent=…;Sampled=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    root: String,
    parent: String,
}

impl Trace {
    /// Reads the header that the Runtime API sends with an invocation. None if the invocation is not sampled.
    pub(super) fn sampled(header: Option<&str>) -> Option<Self> {
        let field = |name: &str| {
            let mut fields = header?.split(';').filter_map(|field| field.trim().split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        let (root, parent) = (field("Root")?, field("Parent")?);
        (field("Sampled")? == "1").then_some(Self { root, parent })
    }
}

/// One event that was worked on.
#[derive(Debug)]
pub(super) struct Traced {
    /// The certificate, if the event names one.
    pub(super) certificate_id: Option<String>,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) outcome: Outcome,
    pub(super) calls: Vec<RecordedCall>,
}

/// How it ended, as an annotation has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    name: &'static str,
    reason: Option<&'static str>,
}

impl Outcome {
    pub(super) fn of(decision: &Result<Decision, Failure>) -> Self {
        let (name, reason) = match decision {
            Ok(Decision::Registered { .. }) => ("registered", None),
            Ok(Decision::Repaired { .. }) => ("repaired", None),
            Ok(Decision::Refused { reason, .. }) => ("refused", Some(*reason)),
            Err(_) => ("failed", None),
        };
        Self { name, reason }
    }
}

/// Sends subsegments to the daemon. What does not get there is lost: a trace is no reason to keep a device waiting.
#[derive(Debug)]
pub(super) struct Tracer {
    socket: UdpSocket,
    region: String,
}

impl Tracer {
    /// A tracer, if there is a daemon.
    pub(super) fn new(variables: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let value = variables(DAEMON_ADDRESS).filter(|value| !value.is_empty())?;
        let Some(daemon) = udp_address(&value) else {
            tracing::warn!(variable = DAEMON_ADDRESS, "no traces: the address is not IP:PORT");
            return None;
        };
        let connect = || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.set_nonblocking(true)?;
            socket.connect(daemon)?;
            Ok::<_, std::io::Error>(socket)
        };
        match connect() {
            Ok(socket) => Some(Self { socket, region: variables("AWS_REGION").unwrap_or_default() }),
            Err(error) => {
                tracing::warn!(%error, "no traces: the daemon cannot be reached");
                None
            }
        }
    }

    /// Sends the results of events. `now` and `wall_clock` are the same moment.
    pub(super) fn send(&self, trace: &Trace, traced: &[Traced], now: Instant, wall_clock: SystemTime) {
        let clock = Clock { now, wall_clock };
        for traced in traced {
            let document = document(trace, traced, &self.region, clock);
            if let Err(error) = self.socket.send(format!("{HEADER}{document}").as_bytes()) {
                tracing::debug!(%error, "a trace is lost");
                return;
            }
        }
    }
}

/// The address in `IP:PORT` or `tcp:IP:PORT udp:IP:PORT`.
fn udp_address(value: &str) -> Option<SocketAddr> {
    let mut words = value.split_whitespace();
    let udp = words.clone().find_map(|word| word.strip_prefix("udp:"));
    udp.or_else(|| words.next())?.parse().ok()
}

/// Puts moments of the monotonic clock on the wall's.
#[derive(Clone, Copy)]
struct Clock {
    now: Instant,
    wall_clock: SystemTime,
}

impl Clock {
    /// Seconds since 1970.
    fn seconds(self, moment: Instant) -> f64 {
        let time = self.wall_clock - self.now.saturating_duration_since(moment);
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        (seconds * 1e6).round() / 1e6
    }
}

/// The subsegment of one registration, with its calls in it.
fn document(trace: &Trace, traced: &Traced, region: &str, clock: Clock) -> Value {
    let calls = traced.calls.iter().map(|call| subsegment(call, traced.end, region, clock));
    let mut annotations = json!({"outcome": traced.outcome.name});
    if let Some(reason) = traced.outcome.reason {
        annotations["reason"] = reason.into();
    }
    if let Some(certificate_id) = &traced.certificate_id {
        annotations["certificate_id"] = certificate_id.as_str().into();
    }
    json!({
        "type": "subsegment",
        "id": id(),
        "trace_id": trace.root,
        "parent_id": trace.parent,
        "name": "registration",
        "start_time": clock.seconds(traced.start),
        "end_time": clock.seconds(traced.end),
        "error": traced.outcome.name == "refused",
        "fault": traced.outcome.name == "failed",
        "annotations": annotations,
        "subsegments": calls.collect::<Vec<_>>(),
    })
}

/// One call. An attempt that was not answered when the time was up ends with the registration, as a fault.
fn subsegment(call: &RecordedCall, end: Instant, region: &str, clock: Clock) -> Value {
    let throttled = call.error == Some(ErrorKind::Throttled);
    let fault = call.end.is_none() || call.error == Some(ErrorKind::Unavailable);
    json!({
        "id": id(),
        "name": "IoT",
        "namespace": "aws",
        "start_time": clock.seconds(call.start),
        "end_time": clock.seconds(call.end.unwrap_or(end)),
        "aws": {"operation": call.operation.name(), "region": region},
        "error": call.error.is_some() && !fault,
        "throttle": throttled,
        "fault": fault,
    })
}

/// The id of a subsegment: 64 bits, 16 hex digits.
fn id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

#[cfg(test)]
mod tests;
