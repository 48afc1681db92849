//! The workflow as a state machine: two or three handlers at once, an operator who changes things, calls that fail.

use std::time::Duration;

use futures::future::join_all;
use proptest::prelude::*;

use crate::fixture::{Fixture, LATENCY};
use crate::registration::{Error, Refusal, Registration, Settings};
use crate::registry::memory::{Account, Activation, Fault, MemoryRegistry};
use crate::registry::{CertificateStatus, ErrorKind, ThingType};

/// What an operator does to the account at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meddling {
    Revoke,
    DetachPolicy,
    DeletePolicy,
    DeleteThing,
    DeprecateThingType,
    DeleteThingType,
}

impl Meddling {
    const ALL: [Self; 6] = [
        Self::Revoke,
        Self::DetachPolicy,
        Self::DeletePolicy,
        Self::DeleteThing,
        Self::DeprecateThingType,
        Self::DeleteThingType,
    ];

    fn takes_attachments(self) -> bool {
        matches!(self, Self::DetachPolicy | Self::DeletePolicy | Self::DeleteThing)
    }

    fn apply(self, account: &mut Account) {
        match self {
            Self::Revoke => account
                .certificates
                .values_mut()
                .for_each(|certificate| certificate.description.status = CertificateStatus::Revoked),
            Self::DetachPolicy => account.certificates.values_mut().for_each(|c| c.policies.clear()),
            Self::DeletePolicy => {
                account.certificates.values_mut().for_each(|c| c.policies.clear());
                account.policies.clear();
            }
            Self::DeleteThing => {
                account.certificates.values_mut().for_each(|c| c.things.clear());
                account.things.clear();
            }
            Self::DeprecateThingType => {
                account.thing_types.values_mut().for_each(|thing_type| thing_type.deprecated = true);
            }
            Self::DeleteThingType => account.thing_types.clear(),
        }
    }
}

/// One handler: when it starts, how long its calls take, whether it has warmed up; times in eighths of [`LATENCY`].
#[derive(Debug, Clone, Copy)]
struct Delivery {
    start: u32,
    latency: u32,
    warm: bool,
}

fn deliveries() -> impl Strategy<Value = Vec<Delivery>> {
    let delivery = (0_u32..48, 2_u32..24, any::<bool>()).prop_map(|(start, latency, warm)| Delivery {
        start,
        latency,
        warm,
    });
    prop::collection::vec(delivery, 2..=3)
}

fn meddlings() -> impl Strategy<Value = Vec<(u32, Meddling)>> {
    prop::collection::vec((0_u32..96, prop::sample::select(Meddling::ALL.to_vec())), 0..4)
}

fn fault() -> impl Strategy<Value = Fault> {
    let kinds = [
        ErrorKind::Throttled,
        ErrorKind::Unavailable,
        ErrorKind::Denied,
        ErrorKind::LimitExceeded,
        ErrorKind::Invalid,
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::CertificateState,
        ErrorKind::Other,
    ];
    let kind = prop::sample::select(kinds.to_vec());
    prop_oneof![
        12 => Just(Fault::None),
        1 => kind.clone().prop_map(Fault::Error),
        1 => kind.prop_map(Fault::ErrorAfter),
        1 => Just(Fault::CrashBefore),
        1 => Just(Fault::CrashAfter),
    ]
}

fn eighths(count: u32) -> Duration {
    LATENCY / 8 * count
}

async fn deliver(fixture: &Fixture, delivery: Delivery) -> Option<Result<(), Error>> {
    let environment = fixture.registry.environment().with_latency(eighths(delivery.latency));
    let registration = Registration::new(environment.clone(), Settings::zero_touch().unwrap());
    let event = fixture.event();
    tokio::time::sleep(eighths(delivery.start)).await;
    let run = async {
        if delivery.warm {
            let _ = registration.warm_up().await;
        }
        registration.register_event(&event).await.map(drop)
    };
    environment.run(run).await
}

async fn meddle(registry: &MemoryRegistry, meddlings: &[(u32, Meddling)]) {
    join_all(meddlings.iter().map(|(at, meddling)| async move {
        tokio::time::sleep(eighths(*at)).await;
        registry.account(|account| meddling.apply(account));
    }))
    .await;
}

/// What holds for every activation, in every interleaving.
fn check(activation: &Activation, meddlings: &[(u32, Meddling)]) {
    // AWS IoT offers no condition on UpdateCertificate. What the handler saw is all it can go by: a certificate that
    // was revoked before DescribeCertificate answered is never activated.
    assert_eq!(activation.seen, Some(CertificateStatus::PendingActivation), "{activation:?}");
    assert!(activation.attached_here, "the handler itself had not attached policy and thing: {activation:?}");
    let taken_away = meddlings.iter().any(|(_, meddling)| meddling.takes_attachments());
    assert!(activation.attached || taken_away, "{activation:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_interleaving_activates_what_was_seen_revoked_or_is_not_attached_and_all_converge(
        onboarded in any::<bool>(),
        deliveries in deliveries(),
        meddlings in meddlings(),
        faults in prop::collection::vec(fault(), 0..40),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fixture = if onboarded { Fixture::onboarded() } else { Fixture::new() };
            fixture.registry.set_faults(move |n, _| faults.get(n).copied().unwrap_or_default());
            let handlers = join_all(deliveries.iter().map(|delivery| deliver(&fixture, *delivery)));
            futures::future::join(handlers, meddle(&fixture.registry, &meddlings)).await;
            for activation in fixture.registry.activations() {
                check(&activation, &meddlings);
            }

            // Errors end, the operator undeprecates the thing type, and the event is delivered once more.
            fixture.registry.reset();
            fixture.registry.account(|account| {
                account.thing_types.values_mut().for_each(|t| *t = ThingType { deprecated: false });
            });
            let before = fixture.account();
            let last = deliver(&fixture, Delivery { start: 0, latency: 8, warm: true }).await.unwrap();
            match before.certificates[&fixture.certificate_id].description.status {
                CertificateStatus::Revoked => {
                    let refused = matches!(last, Err(Error::Refused(Refusal::Status(CertificateStatus::Revoked))));
                    assert!(refused, "{last:?}");
                    assert_eq!(fixture.account(), before, "a refusal changes nothing");
                }
                _ => {
                    last.unwrap();
                    fixture.assert_converged();
                }
            }
        });
    }
}
