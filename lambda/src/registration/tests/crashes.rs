//! Crashes and what an operator does after them. The crash test itself is `testbed crashes`.

use crate::fixture::Fixture;
use crate::registration::{Error, Refusal, Registration, Settings};
use crate::registry::CertificateStatus;
use crate::registry::memory::Fault;

/// One delivery of the event to a fresh environment; none if it crashed.
async fn deliver(fixture: &Fixture) -> Option<Result<(), Error>> {
    let environment = fixture.registry.environment();
    let registration = Registration::new(environment.clone(), Settings::zero_touch().unwrap());
    let event = fixture.event();
    environment.run(async { registration.register_event(&event).await.map(drop) }).await
}

#[tokio::test(start_paused = true)]
async fn a_certificate_revoked_after_a_crash_stays_revoked() {
    let undisturbed = Fixture::new();
    deliver(&undisturbed).await.unwrap().unwrap();
    let calls = undisturbed.registry.calls().len();
    for position in 0..calls {
        let fixture = Fixture::new();
        fixture.registry.set_faults(move |n, _| if n == position { Fault::CrashBefore } else { Fault::None });
        deliver(&fixture).await;
        fixture.registry.reset();
        fixture.set_status(CertificateStatus::Revoked);
        for _ in 0..3 {
            let result = deliver(&fixture).await.unwrap();
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
