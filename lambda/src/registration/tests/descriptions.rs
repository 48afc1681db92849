//! Things with attributes, groups and a billing group, and certificates with several policies.

use super::*;
use crate::registry::memory::{Fault, Thing};

/// Everything there is, two groups and two further policies.
fn description() -> Description {
    Description {
        attributes: ["cn={subject.CN}", "ca={ca_certificate_id}", "line={subject.OU|1}", "ou={subject.OU|}"]
            .map(|attribute| attribute.parse().unwrap())
            .to_vec(),
        groups: ["line-1", "kit-{subject.CN}", "kit-{subject.CN}"]
            .map(|group| group.parse().unwrap())
            .to_vec(),
        policies: ["zt_policy", "more", "of-{subject.CN}"].map(|policy| policy.parse().unwrap()).to_vec(),
        billing_group: Some("bills".parse().unwrap()),
    }
}

fn with(description: Description) -> Settings {
    Settings { description, ..Settings::zero_touch().unwrap() }
}

/// An account with everything that `description` names.
fn fixture() -> Fixture {
    let fixture = Fixture::onboarded();
    fixture.registry.account(|account| {
        account.thing_groups.extend(["line-1", "kit-board"].map(str::to_owned));
        account.billing_groups.insert("bills".to_owned());
        for policy in ["more", "of-board"] {
            account.policies.insert(policy.to_owned(), "{}".to_owned());
        }
    });
    fixture
}

fn assert_described(fixture: &Fixture) {
    let account = fixture.account();
    let Thing { attributes, billing_group, groups, .. } = &account.things[fixture.thing_name().as_str()];
    let attributes: Vec<_> = attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(attributes, [("ca", fixture.ca_id.as_str()), ("cn", "board"), ("line", "1")]);
    assert_eq!(billing_group.as_deref(), Some("bills"));
    assert_eq!(groups.iter().collect::<Vec<_>>(), ["kit-board", "line-1"]);
    let certificate = &account.certificates[&fixture.certificate_id];
    assert_eq!(certificate.policies.iter().collect::<Vec<_>>(), ["more", "of-board", "zt_policy"]);
    assert_eq!(certificate.description.status, CertificateStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn groups_and_policies_are_attached_beside_what_is_needed_anyhow() {
    let fixture = fixture();
    let registration = fixture.registration_with(with(description()));
    registration.warm_up().await.unwrap();
    fixture.registry.reset();
    let (registered, in_sequence) = latencies(registration.register_event(&fixture.event())).await;
    registered.unwrap();
    assert_described(&fixture);
    use Operation::*;
    let calls = fixture.registry.calls();
    assert_eq!(
        operations(&calls),
        [
            DescribeCertificate,
            CreateThing,
            AddThingToThingGroup,
            AddThingToThingGroup,
            AttachThingPrincipal,
            AttachPolicy,
            AttachPolicy,
            AttachPolicy,
            UpdateCertificate
        ]
    );
    assert_eq!(in_sequence, 4);
    let activation = call(&calls, UpdateCertificate);
    assert!(calls.iter().all(|call| *call == activation || call.precedes(&activation)));
}

#[tokio::test(start_paused = true)]
async fn a_crash_anywhere_is_finished_by_the_next_delivery() {
    let undisturbed = fixture();
    let event = undisturbed.event();
    undisturbed.registration_with(with(description())).register_event(&event).await.unwrap();
    for position in 0..undisturbed.registry.calls().len() {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let fixture = fixture();
            fixture.registry.set_faults(move |n, _| if n == position { fault } else { Fault::None });
            let environment = fixture.registry.environment();
            let registration = Registration::new(environment.clone(), with(description()));
            let event = fixture.event();
            environment.run(async { registration.register_event(&event).await.map(drop) }).await;
            fixture.registry.reset();
            fixture.registration_with(with(description())).register_event(&event).await.unwrap();
            assert_described(&fixture);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_one_group_or_policy_leaves_the_certificate_inactive() {
    for (operation, missing) in [
        (Operation::AddThingToThingGroup, "thing group line-1 does not exist"),
        (Operation::AttachPolicy, "policy more does not exist"),
        (Operation::CreateThing, "billing group bills does not exist"),
    ] {
        let fixture = fixture();
        fixture.registry.account(|account| match operation {
            Operation::AttachPolicy => drop(account.policies.remove("more")),
            Operation::CreateThing => account.billing_groups.clear(),
            _ => drop(account.thing_groups.remove("line-1")),
        });
        let registration = fixture.registration_with(with(description()));
        let error = registration.register_event(&fixture.event()).await.unwrap_err();
        assert!(error.to_string().contains(missing), "{error}");
        assert_eq!(fixture.registry.activations(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_certificate_does_not_give_is_refused_before_anything_changes() {
    let cases = [
        (
            Description { groups: vec!["g-{subject.OU}".parse().unwrap()], ..Description::default() },
            "thing group",
        ),
        (
            Description { policies: vec!["p-{subject.O}".parse().unwrap()], ..Description::default() },
            "policy",
        ),
        (
            Description { billing_group: Some("{subject.C}".parse().unwrap()), ..Description::default() },
            "billing",
        ),
        (
            Description { attributes: vec!["a={subject.L}".parse().unwrap()], ..Description::default() },
            "attribute a",
        ),
    ];
    for (description, what) in cases {
        let fixture = fixture();
        let before = fixture.account();
        let registration = fixture.registration_with(with(description));
        let refusal = refused(registration.register_event(&fixture.event()).await);
        assert_eq!(refusal.reason(), "undescribed");
        let text = refusal.to_string();
        assert!(text.contains(what) && text.contains("it has no {subject."), "{text}");
        assert_eq!(fixture.account(), before);
        use Operation::*;
        let made = fixture.registry.calls();
        assert!(
            made.iter().all(|call| matches!(call.operation, DescribeCertificate | GetPolicy)),
            "{made:?}"
        );
        // Mended, it is registered.
        fixture.registration_with(with(self::description())).register_event(&fixture.event()).await.unwrap();
        assert_described(&fixture);
    }
    // A common name with a space.
    let fixture = Fixture::with_key(&rcgen::PKCS_ECDSA_P256_SHA256, "my board");
    let result = fixture.registration_with(with(description())).register_event(&fixture.event()).await;
    let text = refused(result).to_string();
    assert!(text.contains("attribute cn: \"my board\" is no value of an attribute"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_thing_that_exists_keeps_its_attributes_and_billing_group_and_joins_the_groups() {
    let fixture = fixture();
    let thing = Thing {
        thing_type: Some("microchip-zero-touch-kit".to_owned()),
        attributes: [("mine".to_owned(), "1".to_owned())].into(),
        billing_group: Some("other".to_owned()),
        groups: ["own".to_owned()].into(),
    };
    let name = fixture.thing_name().to_string();
    fixture.registry.account(|account| account.things.insert(name.clone(), thing.clone()));
    fixture.registration_with(with(description())).register_event(&fixture.event()).await.unwrap();
    let groups = ["kit-board", "line-1", "own"].map(str::to_owned).into();
    assert_eq!(fixture.account().things[&name], Thing { groups, ..thing });
}

#[tokio::test(start_paused = true)]
async fn what_is_known_besides_the_certificate_is_filled_in() {
    let fixture = Fixture::onboarded();
    let attributes = vec!["usb={usb_serial}".parse().unwrap(), "station={station|none}".parse().unwrap()];
    let registration = fixture.registration_with(with(Description { attributes, ..Description::default() }));
    let unknown = registration.register_board(&fixture.certificate_id, &Fields::default()).await;
    assert!(refused(unknown).to_string().contains("attribute usb: it has no {usb_serial}"));
    let known = Fields::default().with("usb_serial", "MCHP3261");
    registration.register_board(&fixture.certificate_id, &known).await.unwrap();
    let thing = &fixture.account().things[fixture.thing_name().as_str()];
    assert_eq!(
        thing.attributes,
        [("station", "none"), ("usb", "MCHP3261")].map(|(a, b)| (a.into(), b.into())).into()
    );
}
