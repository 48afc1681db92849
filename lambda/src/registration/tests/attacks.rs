//! Attacks and operating errors: each test's name is the rule that it checks.

use super::*;
use crate::registry::memory::Account;

/// The certificate is not ACTIVE, and nothing is attached to it.
fn assert_untouched(fixture: &Fixture, before: &Account) {
    let after = fixture.account();
    assert_eq!(after.certificates, before.certificates);
    assert_eq!(after.things, before.things);
    assert_eq!(fixture.registry.activations(), []);
}

/// Delivers the event, altered, and expects the refusal to change nothing about certificates and things.
async fn refused_reason(
    fixture: &Fixture,
    settings: Settings,
    alter: impl FnOnce(&mut Event),
) -> &'static str {
    let before = fixture.account();
    let mut event = fixture.event();
    alter(&mut event);
    let refusal = refused(fixture.registration_with(settings).register_event(&event).await);
    assert_untouched(fixture, &before);
    refusal.reason()
}

/// The fixture's event with a status of its own.
fn claiming(fixture: &Fixture, status: CertificateStatus) -> Event {
    let event = serde_json::json!({
        "certificateId": fixture.certificate_id,
        "caCertificateId": fixture.ca_id,
        "certificateStatus": status.name(),
    });
    Event::from_value(&event).unwrap()
}

fn defaults() -> Settings {
    Settings::zero_touch().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_forged_event_for_a_certificate_of_another_account_registers_nothing() {
    let fixture = Fixture::onboarded();
    let reason = refused_reason(&fixture, defaults(), |event| event.certificate_id = "d".repeat(64)).await;
    assert_eq!(reason, "unknown_certificate");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_names_another_account_is_refused_even_if_the_certificate_is_here() {
    let fixture = Fixture::onboarded();
    let reason =
        refused_reason(&fixture, defaults(), |event| event.aws_account_id = Some("999999999999".into()))
            .await;
    assert_eq!(reason, "other_account");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_no_ca_of_this_account_issued_is_refused() {
    let fixture = Fixture::onboarded();
    fixture.registry.account(|account| {
        let certificate = account.certificates.get_mut(&fixture.certificate_id).unwrap();
        certificate.description.ca_certificate_id = None;
    });
    assert_eq!(refused_reason(&fixture, defaults(), |_| ()).await, "other_ca");
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_is_not_on_the_allow_list_is_refused_whatever_the_event_says() {
    let fixture = Fixture::onboarded();
    let allowed = "a".repeat(64);
    let settings = || Settings { allowed_ca_ids: [allowed.clone()].into(), ..defaults() };
    assert_eq!(refused_reason(&fixture, settings(), |_| ()).await, "ca_not_allowed");
    // Naming the allowed CA in the event does not help: the answer of AWS IoT counts.
    let lie = refused_reason(&fixture, settings(), |event| event.ca_certificate_id = "a".repeat(64)).await;
    assert_eq!(lie, "other_ca");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_names_a_ca_which_did_not_issue_the_certificate_is_refused() {
    let fixture = Fixture::onboarded();
    let reason = refused_reason(&fixture, defaults(), |event| event.ca_certificate_id = "c".repeat(64)).await;
    assert_eq!(reason, "other_ca");
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_type_or_size_is_refused() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ECDSA_P521_SHA256,
    ] {
        let fixture = Fixture::with_key(algorithm, "board");
        assert_eq!(refused_reason(&fixture, defaults(), |_| ()).await, "key_type", "{algorithm:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_aws_stores_but_is_no_certificate_is_refused() {
    let fixture = Fixture::onboarded();
    for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fixture.registry.account(|account| {
            account.certificates.get_mut(&fixture.certificate_id).unwrap().description.pem = pem.into();
        });
        assert_eq!(refused_reason(&fixture, defaults(), |_| ()).await, "certificate_unusable");
    }
}

#[tokio::test(start_paused = true)]
async fn an_events_claim_to_be_pending_does_not_revive_a_revoked_certificate() {
    for status in
        [CertificateStatus::Revoked, CertificateStatus::Inactive, CertificateStatus::PendingTransfer]
    {
        let fixture = Fixture::onboarded();
        fixture.set_status(status);
        let claim = claiming(&fixture, CertificateStatus::PendingActivation);
        assert_eq!(refused_reason(&fixture, defaults(), |event| *event = claim).await, "certificate_status");
    }
}

#[tokio::test(start_paused = true)]
async fn an_events_claim_to_be_active_does_not_skip_the_registration() {
    let fixture = Fixture::onboarded();
    let event = claiming(&fixture, CertificateStatus::Active);
    let registered = fixture.registration().register_event(&event).await.unwrap();
    assert_eq!(registered.outcome, Outcome::Registered);
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn a_policy_with_another_document_is_used_and_never_overwritten() {
    let fixture = Fixture::onboarded();
    let own = r#"{"Version":"2012-10-17","Statement":[]}"#;
    fixture.registry.account(|account| account.policies.insert("zt_policy".into(), own.into()));
    let registration = fixture.registration();
    assert_eq!(registration.warm_up().await.unwrap(), PolicyState::Different);
    registration.register_event(&fixture.event()).await.unwrap();
    assert_eq!(fixture.account().policies["zt_policy"], own);
}

#[tokio::test(start_paused = true)]
async fn a_common_name_that_another_certificate_has_is_refused() {
    let mut settings = Settings::zero_touch().unwrap();
    settings.thing_name_source = ThingNameSource::CommonName;
    let fixture = Fixture::new();
    let registered =
        fixture.registration_with(settings.clone()).register_event(&fixture.event()).await.unwrap();
    assert_eq!(registered.thing_name.as_str(), "board");

    let double = fixture.another_certificate("board");
    let refusal = refused(
        fixture.registration_with(settings.clone()).register_event(&fixture.event_for(&double)).await,
    );
    assert_eq!(refusal.reason(), "thing_taken");
    let attached = fixture.account().certificates[&double].things.len();
    assert_eq!(attached, 0, "the second certificate is not even attached");

    // The first one's event is repeated: the attempt does not keep it out.
    let again = fixture.registration_with(settings).register_event(&fixture.event()).await.unwrap();
    assert_eq!(again.outcome, Outcome::Repaired);
}

#[tokio::test(start_paused = true)]
async fn of_two_certificates_that_claim_a_common_name_at_once_never_both_are_activated() {
    let mut settings = Settings::zero_touch().unwrap();
    settings.thing_name_source = ThingNameSource::CommonName;
    let fixture = Fixture::new();
    let double = fixture.another_certificate("board");
    let (one, two) =
        (fixture.registration_with(settings.clone()), fixture.registration_with(settings.clone()));
    let (first, second) = (fixture.event(), fixture.event_for(&double));
    let (a, b) = join(one.register_event(&first), two.register_event(&second)).await;
    assert!(a.is_err() || b.is_err());
    assert!(fixture.registry.activations().len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn with_exclusive_attachment_one_that_exists_to_the_same_thing_counts_and_one_to_another_does_not() {
    let mut settings = Settings::zero_touch().unwrap();
    settings.attachment = Attachment::Exclusive;
    for elsewhere in [false, true] {
        let fixture = Fixture::onboarded();
        let thing = fixture.thing_name().to_string();
        fixture.registration().register_event(&fixture.event()).await.unwrap();
        fixture.registry.account(|account| {
            let certificate = account.certificates.get_mut(&fixture.certificate_id).unwrap();
            certificate.description.status = CertificateStatus::PendingActivation;
            assert_eq!(certificate.things[&thing], Attachment::Shared);
            if elsewhere {
                certificate.things.insert("elsewhere".into(), Attachment::Shared);
            }
        });
        let activations = fixture.registry.activations().len();
        let again = fixture.registration_with(settings.clone()).register_event(&fixture.event()).await;
        match elsewhere {
            true => assert_eq!(refused(again).reason(), "not_exclusive"),
            false => assert_eq!(again.unwrap().thing_name.to_string(), thing),
        }
        assert_eq!(fixture.registry.activations().len() - activations, usize::from(!elsewhere));
    }
}

#[tokio::test(start_paused = true)]
async fn exclusive_attachment_refuses_a_certificate_of_another_thing() {
    let mut settings = Settings::zero_touch().unwrap();
    settings.attachment = Attachment::Exclusive;
    let fixture = Fixture::onboarded();
    fixture.registration_with(settings.clone()).register_event(&fixture.event()).await.unwrap();
    let held = fixture.account().certificates[&fixture.certificate_id].things.clone();
    assert_eq!(held[fixture.thing_name().as_str()], Attachment::Exclusive);

    let fixture = Fixture::onboarded();
    fixture.registry.account(|account| {
        let certificate = account.certificates.get_mut(&fixture.certificate_id).unwrap();
        certificate.things.insert("elsewhere".into(), Attachment::Shared);
    });
    let refusal = refused(fixture.registration_with(settings).register_event(&fixture.event()).await);
    assert_eq!(refusal.reason(), "not_exclusive");
    assert_eq!(fixture.registry.activations(), []);
}
