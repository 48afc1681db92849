//! Things, their types and groups, and what they are attached to.

use aws_sdk_iot::types::{ThingPrincipalType, ThingTypeProperties};
use testbed::iot_core::account::Delays;

use super::*;

#[tokio::test]
async fn the_same_thing_twice_is_fine_and_a_different_one_is_not() {
    let account = Account::empty().await;
    let iot = account.iot();
    let properties = ThingTypeProperties::builder().thing_type_description("kit").build();
    let create_type = || iot.create_thing_type().thing_type_name("microchip-zero-touch-kit");
    let id = create_type().send().await.unwrap().thing_type_id;
    assert_eq!(create_type().send().await.unwrap().thing_type_id, id);
    assert_eq!(
        refused!(create_type().thing_type_properties(properties)),
        is("ResourceAlreadyExistsException", 409)
    );

    let thing = || iot.create_thing().thing_name("0a1b");
    assert_eq!(refused!(thing().thing_type_name("none")), is("ResourceNotFoundException", 404));
    let typed = || thing().thing_type_name("microchip-zero-touch-kit");
    let id = typed().send().await.unwrap().thing_id;
    assert_eq!(typed().send().await.unwrap().thing_id, id);
    assert_eq!(refused!(thing()), is("ResourceAlreadyExistsException", 409));
    assert_eq!(refused!(iot.create_thing().thing_name("a b")), is("InvalidRequestException", 400));
    assert_eq!(
        refused!(iot.delete_thing_type().thing_type_name("microchip-zero-touch-kit")),
        is("InvalidRequestException", 400)
    );
}

#[tokio::test]
async fn a_thing_type_is_deleted_only_some_time_after_its_deprecation() {
    let delays = Delays { thing_type_deletion: Duration::ZERO, ..Delays::default() };
    let quick = Account::with(Options { delays, ..Options::default() }).await;
    for (account, deleted) in [(Account::empty().await, false), (quick, true)] {
        let iot = account.iot();
        iot.create_thing_type().thing_type_name("kit").send().await.unwrap();
        iot.deprecate_thing_type().thing_type_name("kit").send().await.unwrap();
        let create = iot.create_thing().thing_name("0a1b").thing_type_name("kit");
        assert_eq!(refused!(create), is("InvalidRequestException", 400));
        let outcome = iot.delete_thing_type().thing_type_name("kit").send().await;
        assert_eq!(outcome.is_ok(), deleted);
    }
}

#[tokio::test]
async fn an_exclusive_thing_is_the_only_one_of_its_certificate() {
    let account = Account::empty().await;
    let iot = account.iot();
    let certificate = iot.register_certificate_without_ca().certificate_pem(Ca::new("Any").issue("sn1"));
    let arn = certificate.send().await.unwrap().certificate_arn.unwrap();
    for name in ["one", "two"] {
        iot.create_thing().thing_name(name).send().await.unwrap();
    }
    let attach = |name: &str| iot.attach_thing_principal().thing_name(name).principal(&arn);
    attach("one").thing_principal_type(ThingPrincipalType::ExclusiveThing).send().await.unwrap();
    attach("one").thing_principal_type(ThingPrincipalType::ExclusiveThing).send().await.unwrap();
    assert_eq!(refused!(attach("two")), is("InvalidRequestException", 400));
    let things = iot.list_principal_things_v2().principal(&arn).send().await.unwrap();
    let things = things.principal_thing_objects.unwrap();
    assert_eq!(things[0].thing_name, "one");
    assert_eq!(things[0].thing_principal_type, Some(ThingPrincipalType::ExclusiveThing));
    let principals = iot.list_thing_principals().thing_name("one").send().await.unwrap();
    assert_eq!(principals.principals.unwrap(), [arn]);
}

#[tokio::test]
async fn groups_hold_things() {
    let account = Account::empty().await;
    let iot = account.iot();
    iot.create_thing_group().thing_group_name("boards").send().await.unwrap();
    iot.create_thing().thing_name("0a1b").send().await.unwrap();
    let add = iot.add_thing_to_thing_group().thing_group_name("boards").thing_name("0a1b");
    add.send().await.unwrap();
    let things = iot.list_things_in_thing_group().thing_group_name("boards").send().await.unwrap();
    assert_eq!(things.things.unwrap(), ["0a1b"]);
    let groups = iot.list_thing_groups_for_thing().thing_name("0a1b").send().await.unwrap();
    assert_eq!(groups.thing_groups.unwrap()[0].group_name.as_deref(), Some("boards"));
    let missing = iot.add_thing_to_thing_group().thing_group_name("none").thing_name("0a1b");
    assert_eq!(refused!(missing), is("ResourceNotFoundException", 404));
}

#[tokio::test]
async fn a_thing_is_in_ten_groups_at_the_most_and_in_one_of_a_hierarchy() {
    let account = Account::empty().await;
    let iot = account.iot();
    iot.create_thing().thing_name("0a1b").send().await.unwrap();
    let add = |group: &str| iot.add_thing_to_thing_group().thing_group_name(group).thing_name("0a1b");
    for (group, parent) in [("top", None), ("one", Some("top")), ("two", Some("top"))] {
        let group = iot.create_thing_group().thing_group_name(group);
        group.set_parent_group_name(parent.map(str::to_owned)).send().await.unwrap();
    }
    add("one").send().await.unwrap();
    for relative in ["top", "two"] {
        assert_eq!(refused!(add(relative)), is("InvalidRequestException", 400));
    }
    for n in 2..=11 {
        let group = format!("g{n}");
        iot.create_thing_group().thing_group_name(&group).send().await.unwrap();
        match n {
            11 => assert_eq!(refused!(add(&group)), is("InvalidRequestException", 400)),
            _ => drop(add(&group).send().await.unwrap()),
        }
    }
    add("one").send().await.unwrap();
}

#[tokio::test]
async fn a_thing_is_made_in_a_billing_group_that_exists() {
    let account = Account::empty().await;
    let iot = account.iot();
    let create = || iot.create_thing().thing_name("0a1b").billing_group_name("bills");
    assert_eq!(refused!(create()), is("ResourceNotFoundException", 404));
    iot.create_billing_group().billing_group_name("bills").send().await.unwrap();
    create().send().await.unwrap();
    create().send().await.unwrap();
    assert_eq!(refused!(iot.create_thing().thing_name("0a1b")), is("ResourceAlreadyExistsException", 409));
    let billing_group =
        || async { iot.describe_thing().thing_name("0a1b").send().await.unwrap().billing_group_name };
    assert_eq!(billing_group().await.as_deref(), Some("bills"));
    let found = iot.describe_billing_group().billing_group_name("bills").send().await.unwrap();
    assert!(found.billing_group_arn.unwrap().ends_with(":billinggroup/bills"));
    iot.delete_billing_group().billing_group_name("bills").send().await.unwrap();
    assert_eq!(billing_group().await, None);
    let gone = iot.describe_billing_group().billing_group_name("bills");
    assert_eq!(refused!(gone), is("ResourceNotFoundException", 404));
}
