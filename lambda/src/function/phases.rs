//! How long the phases of one registration took, read off its calls.

use std::time::Duration;

use tokio::time::Instant;

use crate::registry::Operation;
use crate::registry::record::RecordedCall;

/// The phases that a registration reached, waiting and repetitions included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Phases {
    /// Until AWS IoT has answered what the certificate is.
    pub(super) describe: Option<Duration>,
    /// From then until thing and policy are attached.
    pub(super) attach: Option<Duration>,
    /// From then until the certificate is ACTIVE.
    pub(super) activate: Option<Duration>,
}

impl Phases {
    /// The phases of a registration that began at `start`.
    pub(super) fn of(start: Instant, calls: &[RecordedCall]) -> Self {
        let end_of = |phase: fn(Operation) -> bool| {
            calls.iter().filter(|call| phase(call.operation)).filter_map(|call| call.end).max()
        };
        let described = end_of(|operation| operation == Operation::DescribeCertificate);
        let attached = end_of(attaches);
        let activated = end_of(|operation| operation == Operation::UpdateCertificate);
        let between = |from: Option<Instant>, to: Option<Instant>| Some(to?.duration_since(from?));
        Self {
            describe: between(Some(start), described),
            attach: between(described, attached),
            activate: between(attached, activated),
        }
    }
}

/// Whether an operation belongs to the phase in the middle.
fn attaches(operation: Operation) -> bool {
    match operation {
        Operation::CreateThing
        | Operation::CreateThingType
        | Operation::AddThingToThingGroup
        | Operation::AttachThingPrincipal
        | Operation::ListThingPrincipals
        | Operation::ListPrincipalThings
        | Operation::CreatePolicy
        | Operation::AttachPolicy => true,
        // Called beside DescribeCertificate, or before it.
        Operation::GetPolicy | Operation::DescribeThingType | Operation::ListAttachedPolicies => false,
        Operation::DescribeCertificate | Operation::UpdateCertificate => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, LATENCY};
    use crate::registration::{Registration, Settings};
    use crate::registry::ErrorKind;
    use crate::registry::memory::{Fault, MemoryRegistry};
    use crate::registry::record::recorded;
    use crate::registry::retry::Retrying;

    fn registration(fixture: &Fixture) -> Registration<Retrying<MemoryRegistry>> {
        let retrying = Retrying::new(fixture.registry.clone());
        retrying.set_deadline(Instant::now() + Duration::from_secs(30));
        Registration::new(retrying, Settings::zero_touch().unwrap())
    }

    async fn phases(fixture: &Fixture) -> (Phases, Duration) {
        let (registration, event) = (registration(fixture), fixture.event());
        let start = Instant::now();
        let (_, calls) = recorded(registration.register_event(&event)).await;
        (Phases::of(start, &calls), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_phases_of_a_registration_are_one_two_and_one_call_long() {
        let (phases, _) = phases(&Fixture::onboarded()).await;
        let expected = Phases { describe: Some(LATENCY), attach: Some(LATENCY * 2), activate: Some(LATENCY) };
        assert_eq!(phases, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn repetitions_count_for_the_phase_they_belong_to() {
        let fixture = Fixture::onboarded();
        fixture.registry.set_faults(|n, operation| match operation {
            Operation::UpdateCertificate if n < 9 => Fault::Error(ErrorKind::Throttled),
            _ => Fault::None,
        });
        let (phases, elapsed) = phases(&fixture).await;
        assert_eq!((phases.describe, phases.attach), (Some(LATENCY), Some(LATENCY * 2)));
        assert_eq!(phases.activate, Some(elapsed - LATENCY * 3));
        assert!(phases.activate.unwrap() > LATENCY);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_come_to_has_no_duration() {
        let fixture = Fixture::onboarded();
        fixture.set_status(crate::registry::CertificateStatus::Revoked);
        let refused = phases(&fixture).await.0;
        assert_eq!(refused, Phases { describe: Some(LATENCY), ..Phases::default() });
        fixture.set_status(crate::registry::CertificateStatus::Active);
        assert_eq!(phases(&fixture).await.0.activate, None, "repaired");
    }
}
