//! Which calls are repeated, for how long, and which are not.

use super::*;
use crate::fixture::{Fixture, LATENCY};
use crate::registry::memory::{Fault, MemoryRegistry};

fn retrying(fixture: &Fixture, time: Duration) -> Retrying<MemoryRegistry> {
    let retrying = Retrying::new(fixture.registry.clone());
    retrying.set_deadline(Instant::now() + time);
    retrying
}

#[tokio::test(start_paused = true)]
async fn what_is_transient_is_asked_again_until_it_succeeds() {
    for kind in [ErrorKind::Throttled, ErrorKind::Unavailable] {
        let fixture = Fixture::new();
        fixture.registry.set_faults(move |n, _| if n < 5 { Fault::Error(kind) } else { Fault::None });
        let registry = retrying(&fixture, Duration::from_secs(30));
        registry.describe_certificate(&fixture.certificate_id).await.unwrap();
        assert_eq!(fixture.registry.calls().len(), 6);
        assert_eq!(registry.throttled(), if kind == ErrorKind::Throttled { 5 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn neither_a_time_out_nor_a_server_error_makes_the_pace_faster() {
    let fixture = Fixture::new();
    fixture.registry.set_faults(|n, _| match n {
        0 => Fault::Error(ErrorKind::Throttled),
        1..20 => Fault::Error(ErrorKind::Unavailable),
        _ => Fault::None,
    });
    let registry = retrying(&fixture, Duration::from_secs(300));
    let rate = || registry.state().paces[Operation::DescribeCertificate as usize].rate().unwrap();
    registry.describe_certificate(&fixture.certificate_id).await.unwrap();
    assert!((rate() - 10.0).abs() < 1e-9, "one throttled, one accepted long after its slot: {}", rate());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_asked_once() {
    for kind in [
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::LimitExceeded,
        ErrorKind::CertificateState,
        ErrorKind::Invalid,
        ErrorKind::Denied,
        ErrorKind::Other,
    ] {
        let fixture = Fixture::new();
        fixture.registry.set_faults(move |_, _| Fault::Error(kind));
        let registry = retrying(&fixture, Duration::from_secs(30));
        let error = registry.activate_certificate(&fixture.certificate_id).await.unwrap_err();
        assert_eq!((error.kind, fixture.registry.calls().len()), (kind, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn asking_ends_with_the_last_error_before_the_deadline_and_uses_most_of_the_time() {
    for seed in 0..20 {
        fastrand::seed(seed);
        let fixture = Fixture::new();
        fixture.registry.set_faults(|_, _| Fault::Error(ErrorKind::Throttled));
        let time = Duration::from_secs(29);
        let start = Instant::now();
        let registry = retrying(&fixture, time);
        let error = registry.activate_certificate(&fixture.certificate_id).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Throttled);
        let elapsed = start.elapsed();
        assert!(elapsed <= time + LATENCY, "{elapsed:?}");
        assert!(elapsed + LONGEST_PAUSE >= time, "{elapsed:?}");
        let calls = fixture.registry.calls().len();
        assert!((6..60).contains(&calls), "{calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_nothing_is_asked_again() {
    let fixture = Fixture::new();
    fixture.registry.set_faults(|_, _| Fault::Error(ErrorKind::Unavailable));
    let registry = Retrying::new(fixture.registry.clone());
    registry.describe_certificate(&fixture.certificate_id).await.unwrap_err();
    assert_eq!(fixture.registry.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_creation_whose_answer_was_lost_ends_well() {
    use crate::registration::{Registration, Settings};
    let fixture = Fixture::new();
    fixture.registry.set_faults(|n, _| match n % 2 {
        0 => Fault::ErrorAfter(ErrorKind::Unavailable),
        _ => Fault::None,
    });
    let registry = retrying(&fixture, Duration::from_secs(30));
    let registration = Registration::new(registry, Settings::zero_touch().unwrap());
    registration.register_event(&fixture.event()).await.unwrap();
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn what_the_workflow_can_do_without_is_asked_once() {
    use crate::name::{PolicyName, ThingTypeName};
    let fixture = Fixture::new();
    fixture.registry.set_faults(|_, _| Fault::Error(ErrorKind::Throttled));
    let registry = retrying(&fixture, Duration::from_secs(30));
    registry.get_policy(&PolicyName::zero_touch()).await.unwrap_err();
    registry.describe_thing_type(&ThingTypeName::zero_touch_kit()).await.unwrap_err();
    assert_eq!((fixture.registry.calls().len(), registry.throttled()), (2, 2));
}
