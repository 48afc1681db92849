//! Whatever goes wrong at any call, the next delivery finishes the job, and no certificate is ACTIVE too early.

use futures::future::join;
use proptest::prelude::*;

use crate::fixture::Fixture;
use crate::registration::{Error, Refusal, Registration, Settings};
use crate::registry::memory::{Account, Fault};
use crate::registry::{CertificateStatus, ErrorKind};

/// An account in which nothing is set up, and one that has registered boards before.
const ACCOUNTS: [fn() -> Fixture; 2] = [Fixture::new, Fixture::onboarded];

/// One delivery of the event to a fresh environment; none if it crashed.
async fn deliver(fixture: &Fixture, warm: bool) -> Option<Result<(), Error>> {
    let environment = fixture.registry.environment();
    let registration = Registration::new(environment.clone(), Settings::zero_touch().unwrap());
    let event = fixture.event();
    let delivery = async {
        if warm {
            let _ = registration.warm_up().await;
        }
        registration.register_event(&event).await.map(drop)
    };
    environment.run(delivery).await
}

/// How many calls an undisturbed delivery makes.
async fn undisturbed_calls(account: fn() -> Fixture, warm: bool) -> usize {
    let fixture = account();
    deliver(&fixture, warm).await.unwrap().unwrap();
    fixture.registry.calls().len()
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_at_any_call_the_next_delivery_ends_as_if_there_had_been_none() {
    let mut crashes = 0;
    for account in ACCOUNTS {
        for warm in [false, true] {
            for position in 0..undisturbed_calls(account, warm).await {
                for fault in [Fault::CrashBefore, Fault::CrashAfter] {
                    for twice in [false, true] {
                        let fixture = account();
                        fixture
                            .registry
                            .set_faults(move |n, _| if n == position { fault } else { Fault::None });
                        let crashed = deliver(&fixture, warm).await;
                        assert!(crashed.is_none(), "call {position} did not crash");
                        fixture.registry.reset();
                        if twice {
                            let (a, b) = join(deliver(&fixture, warm), deliver(&fixture, warm)).await;
                            a.unwrap().unwrap();
                            b.unwrap().unwrap();
                        } else {
                            deliver(&fixture, warm).await.unwrap().unwrap();
                        }
                        fixture.assert_registered();
                        crashes += 1;
                    }
                }
            }
        }
    }
    assert!(crashes >= 4 * (5 + 7), "{crashes}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_revoked_after_a_crash_stays_revoked() {
    for position in 0..undisturbed_calls(Fixture::new, false).await {
        let fixture = Fixture::new();
        fixture.registry.set_faults(move |n, _| if n == position { Fault::CrashBefore } else { Fault::None });
        deliver(&fixture, false).await;
        fixture.registry.reset();
        fixture.set_status(CertificateStatus::Revoked);
        for _ in 0..3 {
            let result = deliver(&fixture, false).await.unwrap();
            assert!(
                matches!(result, Err(Error::Refused(Refusal::Status(CertificateStatus::Revoked)))),
                "{result:?}"
            );
        }
        assert_eq!(
            fixture.account().certificates[&fixture.certificate_id].description.status,
            CertificateStatus::Revoked
        );
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop::sample::select(vec![ErrorKind::Throttled, ErrorKind::Unavailable, ErrorKind::Denied]);
    prop_oneof![
        4 => Just(Fault::None),
        1 => kind.clone().prop_map(Fault::Error),
        1 => kind.prop_map(Fault::ErrorAfter),
        1 => Just(Fault::CrashBefore),
        1 => Just(Fault::CrashAfter),
    ]
}

/// What an operator does to the account between two deliveries.
#[derive(Debug, Clone, Copy)]
enum Meddling {
    Nothing,
    DeletePolicy,
    DeleteThingType,
    DetachPolicy,
    DeleteThing,
}

fn meddle(account: &mut Account, meddling: Meddling) {
    match meddling {
        Meddling::Nothing => {}
        Meddling::DeletePolicy => {
            account.certificates.values_mut().for_each(|c| c.policies.clear());
            account.policies.clear();
        }
        Meddling::DeleteThingType => account.thing_types.clear(),
        Meddling::DetachPolicy => account.certificates.values_mut().for_each(|c| c.policies.clear()),
        Meddling::DeleteThing => {
            account.certificates.values_mut().for_each(|c| c.things.clear());
            account.things.clear();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn when_faults_and_meddling_end_the_next_delivery_registers(
        rounds in prop::collection::vec(
            (
                prop::collection::vec(fault(), 0..12),
                prop::sample::select(vec![
                    Meddling::Nothing,
                    Meddling::DeletePolicy,
                    Meddling::DeleteThingType,
                    Meddling::DetachPolicy,
                    Meddling::DeleteThing,
                ]),
                any::<bool>(),
                any::<bool>(),
            ),
            0..6,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new();
            for (faults, meddling, warm, twice) in rounds {
                fixture.registry.set_faults(move |n, _| faults.get(n).copied().unwrap_or_default());
                if twice {
                    join(deliver(&fixture, warm), deliver(&fixture, warm)).await;
                } else {
                    deliver(&fixture, warm).await;
                }
                for activation in fixture.registry.activations() {
                    assert!(activation.attached, "{activation:?}");
                }
                fixture.registry.reset();
                fixture.registry.account(|account| meddle(account, meddling));
            }
            deliver(&fixture, true).await.unwrap().unwrap();
            fixture.assert_registered();
        });
    }
}
