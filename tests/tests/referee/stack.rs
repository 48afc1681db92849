//! `infra/template.yaml`, deployed by a referee's CloudFormation, and used by the programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::scenario::account_life::Stage;
use crate::server::{self, Server};

/// Each resource of the template: its type, and what became of it. Those whose condition does not hold are left out.
type Stack = BTreeMap<String, (String, Option<String>)>;

/// Deploys the template under this name. `settings` are parameters, and types of resources to leave out.
fn deploy(referee: &Server, user: &Stage, name: &str, settings: &[&str]) -> Stack {
    let script = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/referee/stack.py"));
    let output = Command::new(server::program("python").unwrap())
        .arg(script)
        .arg(referee.url())
        .arg(user.package())
        .arg(name)
        .args(settings)
        .output()
        .unwrap();
    let said = format!(
        "{}{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        referee.log()
    );
    assert!(output.status.success(), "{said}");
    let rows: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows[0]["stack"], "CREATE_COMPLETE", "{said}");
    let text = |row: &Value, key: &str| row[key].as_str().map(str::to_owned);
    let queue = !settings.contains(&"Delivery=rule");
    let meant = |row: &&Value| match row["condition"].as_str() {
        Some("HasQueue") => queue,
        Some("HasRule") => !queue,
        Some("HasAdmissionList") => false,
        _ => true,
    };
    rows[1..]
        .iter()
        .filter(meant)
        .map(|row| (text(row, "resource").unwrap(), (text(row, "type").unwrap(), text(row, "status"))))
        .collect()
}

/// Prints what was not made, and gives the types of it.
fn gap(referee: &str, stack: &Stack) -> Vec<String> {
    println!("not judged on {referee}: the policies for lists in Amazon S3 (Fn::Select of Fn::Split)");
    let missing = stack.iter().filter(|(_, (_, status))| status.as_deref() != Some("CREATE_COMPLETE"));
    missing
        .map(|(resource, (kind, _))| {
            println!("not judged on {referee}: {resource} of the template ({kind} is not implemented, or not told of)");
            kind.clone()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack_deploys_both_variants_of_the_template_and_setup_and_doctor_take_them_as_they_are() {
    let Some((ministack, _)) = Server::ministack() else { return };
    let user = Stage::new("ministack", &ministack.access(), &[], None).await;
    user.ends(0, &["ca", "create"]);
    let (rule, queue) = (["Delivery=rule"], ["FunctionName=Queued", "RuleName=Queued"]);
    for (function, rule, settings) in
        [("JITR", "ForwardSignedButUnknownDevices", &rule[..]), ("Queued", "Queued", &queue)]
    {
        let stack = deploy(&ministack, &user, function, settings);
        assert_eq!(gap("ministack", &stack), Vec::<String>::new());
        let setup = user.ends(0, &["setup", "--function", function, "--rule-name", rule]);
        // The other stack's rule is told; nobody has said that it is to be disabled.
        let apart = ["signer_ca", "other_rule", "alarm"];
        let others = setup.lines.iter();
        let others =
            others.filter(|line| line["resource"].as_str().is_some_and(|name| !apart.contains(&name)));
        let actions: Vec<_> = others.filter_map(|line| line["action"].as_str()).collect();
        assert_eq!(actions, ["leave"; 3], "{}", setup.said);
        // The alarms of the template are those of `setup`.
        let alarms = setup.lines.iter().filter(|line| line["resource"] == "alarm");
        let alarms: Vec<_> = alarms.filter_map(|line| line["action"].as_str()).collect();
        assert_eq!(alarms, ["leave"; 3], "{}", setup.said);
        user.is_healthy(&["--function", function, "--rule-name", rule]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_deploys_what_it_implements_of_the_template() {
    let Some(moto) = Server::moto() else { return };
    let user = Stage::new("moto", &moto.access(), &[], None).await;
    // Without the queue, moto stumbles over AWS::NoValue in the list of a role's policies.
    let settings = ["-AWS::IoT::TopicRule"];
    let stack = deploy(&moto, &user, "jitr", &settings);
    let mut missing = gap("moto", &stack);
    missing.sort_unstable();
    let alarm = "AWS::CloudWatch::Alarm";
    assert_eq!(missing, [alarm, alarm, alarm, "AWS::IoT::TopicRule", "AWS::Lambda::EventInvokeConfig"]);
    println!("not judged on moto: the variant without a queue (AWS::NoValue in a list is not implemented)");
}
