//! The workflow over the registry in memory: what it calls, what it refuses, and that it ends well after every fault.

mod attacks;
mod crashes;
mod descriptions;
mod interleavings;
mod refusals;

use tokio::time::Instant;

use super::*;
use crate::fixture::{Fixture, LATENCY};
use crate::registry::memory::Call;
use crate::registry::{Operation, ThingType};

fn operations(calls: &[Call]) -> Vec<Operation> {
    let mut operations: Vec<_> = calls.iter().map(|call| call.operation).collect();
    operations.sort();
    operations
}

fn call(calls: &[Call], operation: Operation) -> Call {
    let mut found = calls.iter().filter(|call| call.operation == operation);
    let call = *found.next().unwrap();
    assert_eq!(found.next(), None, "{operation} was called twice");
    call
}

/// Runs to the end and returns how long it took in virtual time, in call latencies.
async fn latencies<T>(work: impl Future<Output = T>) -> (T, u32) {
    let start = Instant::now();
    let output = work.await;
    let elapsed = start.elapsed();
    assert_eq!(elapsed.as_micros() % LATENCY.as_micros(), 0);
    (output, u32::try_from(elapsed.as_micros() / LATENCY.as_micros()).unwrap())
}

fn refused(result: Result<Registered, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_event_costs_five_calls_four_of_them_in_sequence() {
    let fixture = Fixture::onboarded();
    let registration = fixture.registration();
    registration.warm_up().await.unwrap();
    fixture.registry.reset();

    let (registered, in_sequence) = latencies(registration.register_event(&fixture.event())).await;

    let registered = registered.unwrap();
    assert_eq!(registered.outcome, Outcome::Registered);
    assert_eq!(registered.thing_name, fixture.thing_name());
    assert_eq!(in_sequence, 4);
    let calls = fixture.registry.calls();
    use Operation::*;
    assert_eq!(
        operations(&calls),
        [DescribeCertificate, CreateThing, AttachThingPrincipal, AttachPolicy, UpdateCertificate]
    );
    let chain = [DescribeCertificate, CreateThing, AttachThingPrincipal, UpdateCertificate];
    for pair in chain.windows(2) {
        assert!(call(&calls, pair[0]).precedes(&call(&calls, pair[1])), "{pair:?}");
    }
    let policy = call(&calls, AttachPolicy);
    assert!(call(&calls, DescribeCertificate).precedes(&policy));
    assert!(policy.precedes(&call(&calls, UpdateCertificate)));
    assert!(!call(&calls, CreateThing).precedes(&policy), "AttachPolicy waited for CreateThing");
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn the_first_event_of_an_account_adds_only_policy_and_thing_type() {
    let fixture = Fixture::new();
    let registration = fixture.registration();
    assert_eq!(registration.warm_up().await.unwrap(), PolicyState::Missing);
    fixture.registry.reset();

    let (registered, in_sequence) = latencies(registration.register_event(&fixture.event())).await;

    registered.unwrap();
    use Operation::*;
    assert_eq!(
        operations(&fixture.registry.calls()),
        [
            DescribeCertificate,
            CreateThing,
            CreateThingType,
            AttachThingPrincipal,
            CreatePolicy,
            AttachPolicy,
            UpdateCertificate
        ]
    );
    assert_eq!(in_sequence, 5, "the policy is created beside the thing type and the thing");
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn without_a_warm_up_the_policy_is_asked_for_beside_the_certificate() {
    let fixture = Fixture::onboarded();
    let (registered, in_sequence) = latencies(fixture.registration().register_event(&fixture.event())).await;
    registered.unwrap();
    assert_eq!(in_sequence, 4);
    assert_eq!(fixture.registry.calls().len(), 6);

    let fixture = Fixture::new();
    let (registered, in_sequence) = latencies(fixture.registration().register_event(&fixture.event())).await;
    registered.unwrap();
    assert_eq!(in_sequence, 6, "the missing thing type shows when the thing is created");
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn a_failed_warm_up_costs_nothing_but_its_time() {
    let fixture = Fixture::new();
    let registration = fixture.registration();
    fixture.registry.set_faults(|_, operation| match operation {
        Operation::GetPolicy | Operation::DescribeThingType => {
            crate::registry::memory::Fault::Error(ErrorKind::Throttled)
        }
        _ => crate::registry::memory::Fault::None,
    });
    assert_eq!(registration.warm_up().await.unwrap_err().kind, ErrorKind::Throttled);
    registration.register_event(&fixture.event()).await.unwrap();
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_before_the_certificate_is_described() {
    let fixture = Fixture::new();
    fixture.registration().register_event(&fixture.event()).await.unwrap();
    let calls = fixture.registry.calls();
    let described = call(&calls, Operation::DescribeCertificate);
    for other in &calls {
        assert!(
            described.precedes(other)
                || matches!(other.operation, Operation::DescribeCertificate | Operation::GetPolicy),
            "{other:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_decides() {
    for status in CertificateStatus::ALL {
        let fixture = Fixture::onboarded();
        fixture.set_status(status);
        let before = fixture.account();
        let result = fixture.registration().register_event(&fixture.event()).await;
        match status {
            CertificateStatus::PendingActivation => assert_eq!(result.unwrap().outcome, Outcome::Registered),
            CertificateStatus::Active => assert_eq!(result.unwrap().outcome, Outcome::Repaired),
            _ => {
                assert_eq!(refused(result), Refusal::Status(status));
                assert_eq!(fixture.account(), before, "{status}: nothing may change");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_active_certificate_is_repaired_without_an_activation() {
    let fixture = Fixture::new();
    fixture.set_status(CertificateStatus::Active);
    let registered = fixture.registration().register_event(&fixture.event()).await.unwrap();
    assert_eq!(registered.outcome, Outcome::Repaired);
    fixture.assert_registered();
    assert_eq!(fixture.registry.activations(), []);
}

#[tokio::test(start_paused = true)]
async fn an_operator_registers_a_certificate_put_into_the_account_inactive() {
    let fixture = Fixture::new();
    fixture.set_status(CertificateStatus::Inactive);
    let registered = fixture.registration().register_certificate(&fixture.certificate_id).await.unwrap();
    assert_eq!(registered.outcome, Outcome::Registered);
    fixture.assert_registered();
    for status in [CertificateStatus::Revoked, CertificateStatus::PendingTransfer] {
        fixture.set_status(status);
        let result = fixture.registration().register_certificate(&fixture.certificate_id).await;
        assert_eq!(refused(result), Refusal::Status(status));
    }
}

#[tokio::test(start_paused = true)]
async fn an_allowed_ca_is_registered() {
    let fixture = Fixture::new();
    let mut settings = Settings::zero_touch().unwrap();
    settings.allowed_ca_ids = [fixture.ca_id.clone()].into();
    fixture.registration_with(settings).register_event(&fixture.event()).await.unwrap();
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn two_environments_racing_to_create_policy_and_thing_type_both_succeed() {
    let fixture = Fixture::new();
    let second = fixture.another_certificate("second");
    let (one, two) = (fixture.registration(), fixture.registration());
    one.warm_up().await.unwrap();
    two.warm_up().await.unwrap();
    let (first_event, second_event) = (fixture.event(), fixture.event_for(&second));
    let (a, b) = join(one.register_event(&first_event), two.register_event(&second_event)).await;
    assert_eq!((a.unwrap().outcome, b.unwrap().outcome), (Outcome::Registered, Outcome::Registered));
    fixture.assert_registered();
    let lost =
        fixture.registry.calls().into_iter().filter(|call| call.error == Some(ErrorKind::AlreadyExists));
    assert_eq!(lost.map(|call| call.operation).collect::<Vec<_>>(), [Operation::CreatePolicy]);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_while_the_environment_is_warm_is_created_again() {
    let fixture = Fixture::onboarded();
    let registration = fixture.registration();
    registration.warm_up().await.unwrap();
    fixture.registry.account(|account| {
        account.policies.clear();
        account.thing_types.clear();
    });
    registration.register_event(&fixture.event()).await.unwrap();
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn the_same_document_written_otherwise_is_the_same_policy() {
    let fixture = Fixture::onboarded();
    fixture.registry.account(|account| {
        let document = account.policies.get_mut("zt_policy").unwrap();
        let value: serde_json::Value = serde_json::from_str(document).unwrap();
        *document = serde_json::to_string_pretty(&value).unwrap();
    });
    assert_eq!(fixture.registration().warm_up().await.unwrap(), PolicyState::Same);
}

#[tokio::test(start_paused = true)]
async fn a_thing_that_exists_with_another_type_is_kept() {
    let fixture = Fixture::onboarded();
    let thing = crate::registry::memory::Thing { thing_type: Some("older".into()), ..Default::default() };
    fixture
        .registry
        .account(|account| account.things.insert(fixture.thing_name().to_string(), thing.clone()));
    fixture.registration().register_event(&fixture.event()).await.unwrap();
    assert_eq!(fixture.account().things[fixture.thing_name().as_str()], thing);
    assert!(fixture.registry.account(|account| account.is_attached(&fixture.certificate_id)));
}

#[tokio::test(start_paused = true)]
async fn a_deprecated_thing_type_fails_without_activation() {
    let fixture = Fixture::onboarded();
    fixture.registry.account(|account| {
        account.thing_types.insert("microchip-zero-touch-kit".into(), ThingType { deprecated: true })
    });
    let error = fixture.registration().register_event(&fixture.event()).await.unwrap_err();
    assert!(error.to_string().contains("deprecated"), "{error}");
    assert_eq!(fixture.registry.activations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_renewed_certificate_for_the_same_key_gets_the_same_thing() {
    let fixture = Fixture::new();
    fixture.registration().register_event(&fixture.event()).await.unwrap();
    let renewed = fixture.renewed_certificate();
    let registered = fixture.registration().register_event(&fixture.event_for(&renewed)).await.unwrap();
    assert_eq!(registered.thing_name, fixture.thing_name());
    assert_eq!(fixture.account().things.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_thing_group_is_joined_beside_the_attachment() {
    let mut settings = Settings::zero_touch().unwrap();
    settings.description.groups = vec!["line-1".parse().unwrap()];
    let fixture = Fixture::onboarded();
    let registration = fixture.registration_with(settings);
    registration.warm_up().await.unwrap();
    let error = registration.register_event(&fixture.event()).await.unwrap_err();
    assert!(error.to_string().contains("thing group line-1 does not exist"), "{error}");
    assert_eq!(fixture.registry.activations(), []);

    fixture.registry.account(|account| account.thing_groups.insert("line-1".into()));
    fixture.registry.reset();
    let (registered, in_sequence) = latencies(registration.register_event(&fixture.event())).await;
    registered.unwrap();
    assert_eq!((in_sequence, fixture.registry.calls().len()), (4, 6));
    assert!(fixture.account().things[fixture.thing_name().as_str()].groups.contains("line-1"));
}

#[tokio::test(start_paused = true)]
async fn a_full_certificate_is_not_activated_without_the_policy() {
    let fixture = Fixture::onboarded();
    fixture.registry.account(|account| {
        let certificate = account.certificates.get_mut(&fixture.certificate_id).unwrap();
        certificate.policies = (0..10).map(|n| format!("other-{n}")).collect();
    });
    let error = fixture.registration().register_event(&fixture.event()).await.unwrap_err();
    assert!(
        matches!(error, Error::Registry(RegistryError { kind: ErrorKind::LimitExceeded, .. })),
        "{error:?}"
    );
    assert_eq!(fixture.registry.activations(), []);
}
