//! What messages advise, followed to the letter: it works.

use aws_sdk_iot::types::CertificateStatus;
use serde_json::Value;
use testbed::board::{Options as BoardOptions, SimulatedBoard};
use testbed::device::{Credentials, Device, DeviceError, Endpoint};
use testbed::iot_core::account::{Delays, Identity};
use testbed::{HOST, Options};

use crate::account::Account;
use crate::account_life::scenario::Stage;
use crate::account_life::scenario::stage::Run;

mod delivering;
mod given;
mod policy;
mod registering;
mod revoking;

const POLICY: &str = "zt_policy";
const THING_TYPE: &str = "microchip-zero-touch-kit";

/// An account, and a user whose signer CA is registered there, with the function.
struct Desk {
    account: Account,
    stage: Stage,
    gateway: Endpoint,
}

/// A board in the field.
struct Field {
    device: Credentials,
    thing: String,
    certificate: String,
    folder: String,
    port: String,
    _board: SimulatedBoard,
}

impl Desk {
    async fn with(options: Options) -> Self {
        let account = Account::with(options).await;
        let testbed = &account.testbed;
        let gateway = Endpoint::new(HOST, testbed.gateway().port(), testbed.gateway().server_ca_pem());
        let stage = Stage::new("the testbed", testbed.access(), &[], None).await;
        stage.ends(0, &["ca", "create"]);
        Self { account, stage, gateway }
    }

    async fn new() -> Self {
        let desk = Self::with(Options::default()).await;
        desk.set_up();
        desk
    }

    fn set_up(&self) -> Run {
        self.stage.ends(0, &["setup", "--lambda-zip", self.stage.package().to_str().unwrap()])
    }

    fn provision(&self) -> Field {
        let board = SimulatedBoard::start(BoardOptions { seed: None, ..BoardOptions::instant(0) }).unwrap();
        self.field(board, &[])
    }

    fn field(&self, board: SimulatedBoard, more: &[&str]) -> Field {
        let port = board.path().to_str().unwrap().to_owned();
        let report = self.stage.ends(0, &[&["provision", "--port", &port], more].concat());
        let row = report.lines.iter().find(|line| line["certificate_id"].is_string()).unwrap();
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        board.trust(&self.gateway.server_ca_pem);
        let (device, store) = Credentials::of(&board).unwrap();
        let (certificate, folder) = (text("certificate_id"), text("folder"));
        Field { device, thing: store.thing_name, certificate, folder, port, _board: board }
    }

    /// The board connects until it is let in.
    async fn gets_in(&self, field: &Field) {
        let patience = std::time::Duration::from_secs(60);
        let (device, thing) = (&field.device, &field.thing);
        let (connected, _) =
            Device::connect_until_let_in(&self.gateway, device, thing, patience).await.unwrap();
        connected.disconnect().await.unwrap();
    }

    async fn is_turned_away(&self, field: &Field) {
        match Device::connect(&self.gateway, &field.device, &field.thing).await {
            Err(DeviceError::Connection(_)) => {}
            other => panic!("it has to be turned away: {other:?}"),
        }
    }

    /// What `doctor` finds about this resource, with its advice.
    fn finding(&self, resource: &str, arguments: &[&str]) -> (Value, String) {
        let run = self.stage.provisioner(&[&["doctor"], arguments].concat());
        let found = run.lines.into_iter().find(|line| line["resource"] == resource).expect(&run.said);
        let help = found["help"].as_str().unwrap_or_default().to_owned();
        (found, help)
    }

    /// Runs the `provisioner …` that an advice names, with more flags; it has to end with 0.
    fn follows(&self, advice: &str, more: &[&str]) -> Run {
        let command =
            advice.split("provisioner ").nth(1).unwrap_or_else(|| panic!("no command in {advice:?}"));
        let words = command.split(' ').take_while(|word| !word.is_empty() && *word != "if");
        let words: Vec<&str> = words.map(|word| word.trim_matches([';', ',', ')', '`'])).collect();
        self.stage.ends(0, &[&words[..], more].concat())
    }

    async fn arn(&self, certificate: &str) -> String {
        let found =
            self.account.iot().describe_certificate().certificate_id(certificate).send().await.unwrap();
        found.certificate_description.unwrap().certificate_arn.unwrap()
    }

    async fn set(&self, certificate: &str, status: CertificateStatus) {
        let request = self.account.iot().update_certificate().certificate_id(certificate).new_status(status);
        request.send().await.unwrap();
    }

    async fn status(&self, certificate: &str) -> String {
        let found =
            self.account.iot().describe_certificate().certificate_id(certificate).send().await.unwrap();
        found.certificate_description.unwrap().status.unwrap().as_str().to_owned()
    }
}

/// The value of a flag in a command line; it may be quoted.
fn flag<'a>(command: &'a str, name: &str) -> &'a str {
    let rest =
        command.split(&format!("--{name} ")).nth(1).unwrap_or_else(|| panic!("no --{name}: {command}"));
    match rest.strip_prefix('\'') {
        Some(quoted) => quoted.split('\'').next().unwrap(),
        None => rest.split([' ', ';']).next().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_teardown_the_account_is_set_up_again_and_a_board_is_registered() {
    let desk = Desk::new().await;
    let board = desk.provision();
    desk.gets_in(&board).await;
    let torn = desk.stage.ends(0, &["teardown", "--yes"]);
    let kept = torn.lines.iter().find(|line| line["resource"] == "thing_type").unwrap();
    assert_eq!(kept["outcome"], "waiting", "{}", torn.said);
    assert!(torn.said.contains("--wait") && torn.said.contains("provisioner setup"), "{}", torn.said);

    let package = desk.stage.package();
    let setup = ["setup", "--lambda-zip", package.to_str().unwrap()];
    let of_type = |run: &Run| {
        let line = run.lines.iter().find(|line| line["resource"] == "thing_type").unwrap().clone();
        (line["action"].clone(), line["name"].clone(), line["done"].clone())
    };
    let planned = desk.stage.ends(0, &[&setup[..], &["--dry-run"]].concat());
    assert_eq!(of_type(&planned), ("change".into(), THING_TYPE.into(), false.into()), "{}", planned.said);
    let made = desk.stage.ends(0, &setup);
    assert_eq!(of_type(&made), ("change".into(), THING_TYPE.into(), true.into()), "{}", made.said);
    let again = desk.stage.ends(0, &setup);
    assert!(!again.values("resource").contains(&"thing_type"), "{}", again.said);
    desk.stage.is_healthy(&[]);
    desk.gets_in(&board).await;
    // The next teardown removes it all the same.
    let torn = desk.stage.ends(0, &["teardown", "--yes"]);
    assert!(torn.values("resource").contains(&"thing_type"), "{}", torn.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teardown_can_wait_for_the_thing_type_and_foretells_what_stays() {
    let delays = Delays { thing_type_deletion: std::time::Duration::from_secs(1), ..Delays::default() };
    let desk = Desk::with(Options { delays, ..Options::default() }).await;
    desk.set_up();
    let board = desk.provision();
    desk.gets_in(&board).await;
    let role = |run: &Run| run.lines.iter().find(|line| line["resource"] == "role").unwrap().clone();
    let iam = desk.account.iam();
    let own =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
    iam.put_role_policy()
        .role_name("JITR-role")
        .policy_name("own")
        .policy_document(own)
        .send()
        .await
        .unwrap();
    let planned = role(&desk.stage.ends(0, &["teardown", "--dry-run"]));
    let torn = desk.stage.ends(0, &["teardown", "--yes", "--wait"]);
    assert_eq!((&planned["action"], &planned["outcome"]), (&"leave".into(), &"kept".into()), "{planned}");
    assert_eq!(planned, role(&torn));
    assert!(planned["error"].as_str().unwrap().contains("own"), "{planned}");
    let thing_type = torn.lines.iter().find(|line| line["resource"] == "thing_type").unwrap();
    assert_eq!(thing_type["outcome"], "removed", "{}", torn.said);
    assert!(desk.account.iot().list_thing_types().send().await.unwrap().thing_types().is_empty());
    iam.delete_role_policy().role_name("JITR-role").policy_name("own").send().await.unwrap();
    assert_eq!(role(&desk.stage.ends(0, &["teardown", "--yes"]))["outcome"], "removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_for_what_fails_is_made_by_the_commands_that_doctor_prints() {
    let desk = Desk::with(Options::default()).await;
    let package = desk.stage.package();
    desk.stage.ends(0, &["setup", "--lambda-zip", package.to_str().unwrap(), "--delivery", "rule"]);
    let (found, advice) = desk.finding("on_failure", &[]);
    assert_eq!(found["verdict"], "notable", "{found}");
    let commands: Vec<&str> = advice.split(" && ").collect();
    let [queue, role, destination] = commands.as_slice() else { panic!("{advice}") };
    let is = |command: &str, of: &str| command.starts_with(&format!("aws --region us-east-1 {of} "));
    assert!(is(queue, "sqs create-queue") && is(role, "iam put-role-policy"), "{advice}");
    assert!(is(destination, "lambda put-function-event-invoke-config"), "{advice}");
    // What is set stays: AWS Lambda replaces both destinations together.
    let lambda = desk.account.lambda();
    let succeeded = "arn:aws:sqs:us-east-1:123456789012:registered";
    let on_success = aws_sdk_lambda::types::OnSuccess::builder().destination(succeeded).build();
    let config = aws_sdk_lambda::types::DestinationConfig::builder().on_success(on_success).build();
    let put = lambda.put_function_event_invoke_config().function_name("JITR").destination_config(config);
    put.send().await.unwrap();
    let (_, advice) = desk.finding("on_failure", &[]);
    let update = advice.rsplit(" && ").next().unwrap();
    assert!(is(update, "lambda update-function-event-invoke-config"), "{advice}");
    let given: Value = serde_json::from_str(flag(update, "destination-config")).unwrap();
    assert_eq!(given["OnSuccess"]["Destination"], succeeded);
    lambda.delete_function_event_invoke_config().function_name("JITR").send().await.unwrap();

    let given: Value = serde_json::from_str(flag(destination, "destination-config")).unwrap();
    let arn = given["OnFailure"]["Destination"].as_str().unwrap();
    let on_failure = aws_sdk_lambda::types::OnFailure::builder().destination(arn).build();
    let config = aws_sdk_lambda::types::DestinationConfig::builder().on_failure(on_failure).build();
    let put = lambda.put_function_event_invoke_config().function_name(flag(destination, "function-name"));
    put.destination_config(config).send().await.unwrap();
    // The queue is not there yet.
    let (_, missing) = desk.finding("on_failure", &[]);
    assert_eq!(missing, *queue);

    let sqs = desk.stage.sqs();
    sqs.create_queue().queue_name(flag(&missing, "queue-name")).send().await.unwrap();
    let put = desk.account.iam().put_role_policy().role_name(flag(role, "role-name"));
    let document = flag(role, "policy-document");
    assert!(document.contains(&format!("\"Resource\":\"{arn}\"")), "{document}");
    put.policy_name(flag(role, "policy-name")).policy_document(document).send().await.unwrap();
    assert_eq!(desk.finding("on_failure", &[]).0["verdict"], "right");
    desk.stage.ends(0, &["replay", "--queue"]);
    // What the advice has made is no reason to keep the role.
    let torn = desk.stage.ends(0, &["teardown", "--yes"]);
    let role = torn.lines.iter().find(|line| line["resource"] == "role").unwrap();
    assert_eq!(role["outcome"], "removed", "{}", torn.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_in_which_nothing_is_set_up_is_told_first() {
    let identity = Identity { account_id: "123456789012".into(), region: "eu-west-1".into() };
    let desk = Desk::with(Options { identity, ..Options::default() }).await;
    let (found, advice) = desk.finding("credentials", &["--region", "eu-west-1"]);
    assert!(found["details"].to_string().contains("nothing is set up in this Region"), "{found}");
    assert!(
        advice.contains("--region") && advice.contains("provisioner --region eu-west-1 setup"),
        "{advice}"
    );
    // Set-up alone refuses without a function; so each link that it makes is advised with the package.
    for link in ["signer_ca", "topic_rule", "function"] {
        let (found, advice) = desk.finding(link, &["--region", "eu-west-1"]);
        assert_eq!(found["verdict"], "wrong", "{found}");
        assert_eq!(advice, "provisioner --region eu-west-1 setup --lambda-zip", "{link}");
    }
    assert_eq!(desk.finding("permission", &["--region", "eu-west-1"]).0["verdict"], "unknown");
    // The endpoint is another Region's.
    let (unread, advice) = desk.finding("endpoint", &["--region", "us-east-1"]);
    assert_eq!(unread["verdict"], "unknown", "{unread}");
    assert!(advice.contains("--region"), "{advice}");

    let package = desk.stage.package();
    desk.stage.ends(0, &["setup", "--lambda-zip", package.to_str().unwrap(), "--region", "eu-west-1"]);
    assert_eq!(desk.finding("credentials", &["--region", "eu-west-1"]).0["verdict"], "right");
    desk.stage.ends(0, &["doctor", "--region", "eu-west-1"]);
}
