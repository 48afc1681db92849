//! The device policy: printed, compared and repaired.

use serde_json::{Value, json};

use super::{Desk, POLICY};

const WIDE: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// The versions of the policy by id, with the one in force.
async fn versions(desk: &Desk) -> (Vec<String>, String) {
    let listed = desk.account.iot().list_policy_versions().policy_name(POLICY).send().await.unwrap();
    let ids = |is: fn(&aws_sdk_iot::types::PolicyVersion) -> bool| -> Vec<String> {
        let versions = listed.policy_versions().iter().filter(|version| is(version));
        versions.filter_map(|version| version.version_id.clone()).collect()
    };
    (ids(|_| true), ids(|version| version.is_default_version()).concat())
}

async fn document(desk: &Desk) -> Value {
    let policy = desk.account.iot().get_policy().policy_name(POLICY).send().await.unwrap();
    serde_json::from_str(policy.policy_document().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_too_wide_gets_the_expected_document_after_a_yes_as_foretold() {
    let desk = Desk::new().await;
    let (iot, stage) = (desk.account.iot(), &desk.stage);
    let expected = stage.ends(0, &["policy", "print"]).lines[0].clone();
    assert_eq!(expected["policy"], POLICY);
    let expected = &expected["policy_document"];
    iot.create_policy().policy_name(POLICY).policy_document(WIDE).send().await.unwrap();

    let (found, _) = desk.finding("device_policy", &[]);
    assert_eq!((&found["verdict"], &found["repairable"]), (&"dangerous".into(), &true.into()), "{found}");
    let unasked = stage.ends(4, &["doctor", "--repair"]);
    assert!(unasked.said.contains("not without --yes"), "{}", unasked.said);
    assert_eq!(versions(&desk).await, (vec!["1".to_owned()], "1".to_owned()));
    let planned = stage.ends(0, &["doctor", "--repair", "--dry-run"]);
    assert!(planned.lines.contains(&renewal(None, false)), "{}", planned.said);
    let run = stage.ends(0, &["doctor", "--repair", "--yes"]);
    assert!(run.lines.contains(&renewal(None, true)), "{}", run.said);
    assert_eq!(&document(&desk).await, expected);
    // The one before is kept.
    let (ids, default) = versions(&desk).await;
    assert_eq!((ids.len(), &*default), (2, "2"));
    stage.is_healthy(&[]);

    // Five versions leave no room: the oldest that is not in force goes, and the plan says which.
    for _ in 0..3 {
        let more = iot.create_policy_version().policy_name(POLICY).policy_document(WIDE);
        more.set_as_default(true).send().await.unwrap();
    }
    let planned = stage.ends(0, &["doctor", "--repair", "--dry-run"]);
    assert!(planned.lines.contains(&renewal(Some("1"), false)), "{}", planned.said);
    assert_eq!(versions(&desk).await.0.len(), 5);
    let run = stage.ends(0, &["doctor", "--repair", "--yes"]);
    assert!(run.lines.contains(&renewal(Some("1"), true)), "{}", run.said);
    let (ids, default) = versions(&desk).await;
    assert!(ids.len() == 5 && !ids.contains(&"1".to_owned()) && default == "6", "{ids:?} {default}");
    assert_eq!(&document(&desk).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_removes_a_policy_that_was_repaired_and_foretells_that_a_changed_one_stays() {
    let desk = Desk::new().await;
    let (iot, stage) = (desk.account.iot(), &desk.stage);
    let policy = |flag: &str| {
        let run = stage.ends(0, &["teardown", flag]);
        run.lines.iter().find(|line| line["resource"] == "device_policy").expect(&run.said).clone()
    };
    iot.create_policy().policy_name(POLICY).policy_document(WIDE).send().await.unwrap();
    stage.ends(0, &["doctor", "--repair", "--yes"]);
    assert_eq!(versions(&desk).await.0.len(), 2);
    assert_eq!(policy("--dry-run")["action"], "remove");
    assert_eq!(policy("--yes")["outcome"], "removed");
    assert!(iot.get_policy().policy_name(POLICY).send().await.is_err());

    desk.set_up();
    iot.create_policy().policy_name(POLICY).policy_document(WIDE).send().await.unwrap();
    let planned = policy("--dry-run");
    assert_eq!((&planned["action"], &planned["outcome"]), (&"leave".into(), &"kept".into()), "{planned}");
    assert_eq!(policy("--yes"), planned);
}

fn renewal(deleted: Option<&str>, done: bool) -> Value {
    let mut line = json!({"schema_version": 1, "action": "renew_policy", "policy": POLICY, "done": done});
    if let Some(deleted) = deleted {
        line["deleted_version"] = deleted.into();
    }
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_the_users_own_is_compared_with_what_policy_print_gives_and_left() {
    let desk = Desk::new().await;
    let own = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "iot:Connect",
        "Resource": "arn:aws:iot:us-east-1:123456789012:client/${iot:Connection.Thing.ThingName}",
    }]});
    let create = desk.account.iot().create_policy().policy_name(POLICY);
    create.policy_document(own.to_string()).send().await.unwrap();
    let (found, advice) = desk.finding("device_policy", &[]);
    assert_eq!((&found["verdict"], &found["repairable"]), (&"notable".into(), &false.into()), "{found}");
    let printed = desk.follows(&advice, &[]).lines[0]["policy_document"].clone();
    desk.stage.ends(0, &["doctor", "--repair", "--yes"]);
    assert_eq!(document(&desk).await, own);
    // Text is the document alone, as AWS takes it.
    let make = desk.account.iot().create_policy_version().policy_name(POLICY).set_as_default(true);
    make.policy_document(serde_json::to_string_pretty(&printed).unwrap()).send().await.unwrap();
    assert_eq!(desk.finding("device_policy", &[]).0["verdict"], "right");

    let nobody = desk.stage.ends(4, &["policy", "print", "--function", "nobodys"]);
    assert!(nobody.said.contains("there is no function `nobodys`"), "{}", nobody.said);
    desk.account.lambda().delete_function().function_name("JITR").send().await.unwrap();
    let default = desk.stage.ends(0, &["policy", "print"]);
    assert!(default.said.contains("this is the default document"), "{}", default.said);
    assert_eq!(default.lines[0]["policy_document"], printed);

    let file = desk.stage.file("own.json");
    let template = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"arn:${AWS::Partition}:iot:${AWS::Region}:${AWS::AccountId}:client/x"}]}"#;
    std::fs::write(&file, template).unwrap();
    let filled = ["policy", "print", "--policy-document", file.to_str().unwrap(), "--policy-name", "own"];
    let filled = desk.stage.ends(0, &filled).lines[0].clone();
    assert_eq!(filled["policy"], "own");
    let resource = &filled["policy_document"]["Statement"][0]["Resource"];
    assert_eq!(resource, "arn:aws:iot:us-east-1:123456789012:client/x");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_a_certificate_that_are_too_wide_are_detached_as_doctor_says() {
    let desk = Desk::new().await;
    let board = desk.provision();
    desk.gets_in(&board).await;
    let (iot, arn) = (desk.account.iot(), desk.arn(&board.certificate).await);
    iot.create_policy().policy_name("wide").policy_document(WIDE).send().await.unwrap();
    iot.attach_policy().policy_name("wide").target(&arn).send().await.unwrap();
    let (found, advice) = desk.finding("attached_policy", &["--board", &board.folder]);
    assert_eq!(found["verdict"], "dangerous", "{found}");
    assert!(
        advice.starts_with("aws --region us-east-1 iot detach-policy ")
            && advice.matches("aws ").count() == 1,
        "{advice}"
    );
    let (policy, target) = (super::flag(&advice, "policy-name"), super::flag(&advice, "target"));
    iot.detach_policy().policy_name(policy).target(target).send().await.unwrap();
    desk.stage.is_healthy(&["--board", &board.folder]);
    desk.gets_in(&board).await;
}
