//! The crash test: whatever call the function dies at, the next delivery ends as if it had not.

use std::collections::BTreeMap;

use futures::future::join;

use crate::fixture::Fixture;
use crate::registration::{Error, Refusal, Registration, Settings};
use crate::registry::memory::Fault;
use crate::registry::{CertificateStatus, Operation};

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

/// The operations of an undisturbed delivery, in the order they start.
async fn undisturbed(account: fn() -> Fixture, warm: bool) -> Vec<Operation> {
    let fixture = account();
    deliver(&fixture, warm).await.unwrap().unwrap();
    fixture.registry.calls().into_iter().map(|call| call.operation).collect()
}

/// `cargo test -p jitr crash_at_any_call -- --nocapture` prints the summary.
#[tokio::test(start_paused = true)]
async fn after_a_crash_at_any_call_the_next_delivery_ends_as_if_there_had_been_none() {
    let mut crashes = BTreeMap::<Operation, u32>::new();
    for account in ACCOUNTS {
        for warm in [false, true] {
            let operations = undisturbed(account, warm).await;
            let fixture = account();
            let beginning = fixture.account();
            deliver(&fixture, warm).await.unwrap().unwrap();
            let wanted = fixture.account();
            for (position, operation) in operations.iter().enumerate() {
                for fault in [Fault::CrashBefore, Fault::CrashAfter] {
                    for twice_at_once in [false, true] {
                        fixture.registry.account(|account| *account = beginning.clone());
                        fixture.registry.reset();
                        fixture
                            .registry
                            .set_faults(move |n, _| if n == position { fault } else { Fault::None });
                        assert!(deliver(&fixture, warm).await.is_none(), "{operation} did not crash");
                        fixture.registry.reset();
                        if twice_at_once {
                            let (a, b) = join(deliver(&fixture, warm), deliver(&fixture, warm)).await;
                            a.unwrap().unwrap();
                            b.unwrap().unwrap();
                        } else {
                            deliver(&fixture, warm).await.unwrap().unwrap();
                        }
                        assert_eq!(fixture.account(), wanted, "{fault:?} at {operation}");
                        fixture.assert_registered();
                        *crashes.entry(*operation).or_default() += 1;
                    }
                }
            }
        }
    }
    let all: u32 = crashes.values().sum();
    println!(
        "crashes right before and right after each call, the event redelivered alone and twice at once:"
    );
    for (operation, count) in &crashes {
        println!("  {:<22} {count:>4}", operation.name());
    }
    println!("  {:<22} {all:>4}, each ended as without a crash; never ACTIVE before its attachments", "all");
    let workflow = [
        Operation::DescribeCertificate,
        Operation::CreateThingType,
        Operation::CreateThing,
        Operation::AttachThingPrincipal,
        Operation::CreatePolicy,
        Operation::AttachPolicy,
        Operation::UpdateCertificate,
    ];
    for operation in workflow {
        assert!(crashes.contains_key(&operation), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_revoked_after_a_crash_stays_revoked() {
    for position in 0..undisturbed(Fixture::new, false).await.len() {
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
