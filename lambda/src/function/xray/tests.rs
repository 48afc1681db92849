//! Documents as the X-Ray daemon gets them, over UDP.

use std::time::Duration;

use super::*;
use crate::registry::Operation;

const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";
const PARENT: &str = "53995c3f42cd8ad8";

fn trace() -> Trace {
    Trace { root: ROOT.into(), parent: PARENT.into() }
}

/// A daemon that keeps what it receives, and a tracer for it.
fn daemon() -> (UdpSocket, Tracer) {
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = daemon.local_addr().unwrap().to_string();
    let tracer = Tracer::new(|name| match name {
        DAEMON_ADDRESS => Some(address.clone()),
        "AWS_REGION" => Some("us-east-2".into()),
        _ => None,
    });
    (daemon, tracer.unwrap())
}

/// The next document, without what the daemon wants before it.
fn received(daemon: &UdpSocket) -> Value {
    let mut buffer = [0; 65_536];
    let length = daemon.recv(&mut buffer).unwrap();
    let text = std::str::from_utf8(&buffer[..length]).unwrap();
    let (header, document) = text.split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<Value>(header).unwrap(), json!({"format": "json", "version": 1}));
    serde_json::from_str(document).unwrap()
}

#[test]
fn a_registration_and_its_calls_get_to_the_daemon_as_one_document() {
    let (daemon, tracer) = daemon();
    let end = Instant::now();
    let start = end - Duration::from_millis(80);
    let at = |milliseconds| start + Duration::from_millis(milliseconds);
    let call = |operation, from, to: Option<u64>, error| RecordedCall {
        operation,
        start: at(from),
        end: to.map(at),
        error,
    };
    let traced = Traced {
        certificate_id: Some("ab".repeat(32)),
        start,
        end,
        outcome: Outcome { name: "failed", reason: None },
        calls: vec![
            call(Operation::DescribeCertificate, 0, Some(20), None),
            call(Operation::CreateThing, 20, Some(40), Some(ErrorKind::Throttled)),
            call(Operation::AttachPolicy, 20, Some(41), Some(ErrorKind::Unavailable)),
            call(Operation::CreateThing, 60, None, None),
        ],
    };
    let wall_clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_761_991_200);
    tracer.send(&trace(), &[traced], end, wall_clock);

    let document = received(&daemon);
    assert_eq!(document["type"], "subsegment");
    assert_eq!((&document["trace_id"], &document["parent_id"]), (&json!(ROOT), &json!(PARENT)));
    assert_eq!(document["end_time"], 1_761_991_200.0);
    assert_eq!(document["start_time"], 1_761_991_199.92);
    assert_eq!(document["annotations"], json!({"outcome": "failed", "certificate_id": "ab".repeat(32)}));
    assert_eq!((&document["error"], &document["fault"]), (&json!(false), &json!(true)));
    let calls = document["subsegments"].as_array().unwrap();
    let flags: Vec<_> = calls
        .iter()
        .map(|call| {
            assert_eq!((&call["namespace"], &call["aws"]["region"]), (&json!("aws"), &json!("us-east-2")));
            let flag = |name| call[name].as_bool().unwrap();
            let operation = call["aws"]["operation"].as_str().unwrap();
            (operation, flag("error"), flag("throttle"), flag("fault"))
        })
        .collect();
    let expected = [
        ("DescribeCertificate", false, false, false),
        ("CreateThing", true, true, false),
        ("AttachPolicy", false, false, true),
        ("CreateThing", false, false, true),
    ];
    assert_eq!(flags, expected);
    assert_eq!(calls[1]["start_time"], 1_761_991_199.94);
    assert_eq!(calls[3]["end_time"], document["end_time"], "an unanswered call ends with the registration");
    let ids: std::collections::BTreeSet<_> =
        calls.iter().chain([&document]).map(|segment| segment["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
}

#[test]
fn the_reason_of_a_refusal_is_an_annotation() {
    let refused = Ok(Decision::Refused { certificate_id: None, reason: "other_ca", message: String::new() });
    let now = Instant::now();
    let traced =
        Traced { certificate_id: None, start: now, end: now, outcome: Outcome::of(&refused), calls: vec![] };
    let clock = Clock { now, wall_clock: SystemTime::now() };
    let document = document(&trace(), &traced, "us-east-2", clock);
    assert_eq!(document["annotations"], json!({"outcome": "refused", "reason": "other_ca"}));
    assert_eq!((&document["error"], &document["fault"]), (&json!(true), &json!(false)));
}

#[test]
fn only_sampled_invocations_are_traced() {
    let header = |sampled| format!("Root={ROOT};Parent={PARENT};Sampled={sampled};Lineage=1:a87bd80c:0");
    assert_eq!(Trace::sampled(Some(&header("1"))), Some(trace()));
    assert_eq!(Trace::sampled(Some(&header("0"))), None);
    for incomplete in [None, Some(""), Some("Sampled=1"), Some("Root=1-a-b;Sampled=1")] {
        assert_eq!(Trace::sampled(incomplete), None, "{incomplete:?}");
    }
}

#[test]
fn the_daemons_address_is_read_in_both_its_forms_and_a_bad_one_costs_the_traces_alone() {
    let expected = "169.254.79.129:2000".parse().ok();
    assert_eq!(udp_address("169.254.79.129:2000"), expected);
    assert_eq!(udp_address("tcp:127.0.0.1:3000 udp:169.254.79.129:2000"), expected);
    for bad in ["daemon", "tcp:127.0.0.1:3000"] {
        assert_eq!(udp_address(bad), None);
        assert!(Tracer::new(|_| Some(bad.to_owned())).is_none());
    }
    assert!(Tracer::new(|_| None).is_none());
}
