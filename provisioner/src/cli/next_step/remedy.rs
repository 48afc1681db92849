//! What repairs a link of the chain that `doctor` looks at.

use iot_account::doctor::Remedy;
use iot_account::setup::FAILED_EVENTS;

use super::{Text, account};

/// What to do about what was found.
pub(super) fn remedy(remedy: &Remedy) -> Text {
    match remedy {
        Remedy::SetUp => "provisioner setup".into(),
        Remedy::Deploy => "provisioner setup --lambda-zip".into(),
        Remedy::MakeCa => "provisioner ca create".into(),
        Remedy::ReplaceCa => "provisioner ca rotate, then provision the boards again".into(),
        Remedy::EnableMapping => {
            "aws lambda update-event-source-mapping --enabled --uuid, with the UUID of the mapping".into()
        }
        Remedy::AddLists => account::ADD_LISTS.into(),
        Remedy::PublishAdmissionList => account::PUBLISH_LIST.into(),
        Remedy::MendVariable => "fix the variable in the function's configuration".into(),
        Remedy::Wait => "wait a minute and run doctor again".into(),
        Remedy::ShortenPolicy => "shorten the document in ZT_POLICY_DOCUMENT of the function".into(),
        Remedy::DisableRule { rule } => {
            format!("if it is not needed: provisioner setup --disable-rule {rule}").into()
        }
        Remedy::NarrowPermission { function } => format!(
            "if nobody needs them: aws lambda remove-permission --function-name {function} --statement-id ID"
        )
        .into(),
        Remedy::ComparePolicy => "compare it with: provisioner policy print".into(),
        Remedy::NarrowDocument => {
            "give the function a narrower document in ZT_POLICY_DOCUMENT; provisioner policy print shows the one that it has".into()
        }
        Remedy::RepairPolicy => "provisioner doctor --repair".into(),
        Remedy::DetachPolicies { policies, target } => {
            let detach = |policy: &String| format!("aws iot detach-policy --policy-name {policy} --target {target}");
            policies.iter().map(detach).collect::<Vec<_>>().join("; ").into()
        }
        Remedy::ChooseRegion => {
            "if boards were set up in another Region, name it with --region; to set this one up: provisioner setup --lambda-zip".into()
        }
        Remedy::CreateGroup { group } => {
            format!("aws iot create-thing-group --thing-group-name {group}").into()
        }
        Remedy::CreateBillingGroup { group } => {
            format!("aws iot create-billing-group --billing-group-name {group}").into()
        }
        Remedy::CreatePolicy { policy } => {
            format!("aws iot create-policy --policy-name {policy} --policy-document, with the document that it is to have").into()
        }
        Remedy::AddDestination { function, role, queue, succeeded, is_configured } => {
            add_destination(function, role.as_deref(), queue, succeeded.as_deref(), *is_configured).into()
        }
        Remedy::CreateQueue { queue } => format!("aws sqs create-queue --queue-name {queue}").into(),
        Remedy::ReadLog { function } => format!("to see why: aws logs tail /aws/lambda/{function} --since 1h").into(),
        Remedy::ReplayQueue => "provisioner replay --queue".into(),
        Remedy::Replay => "provisioner replay".into(),
        Remedy::Connect => "connect its board, or provision it".into(),
        Remedy::Watch { thing } => format!("to see its next attempt: provisioner monitor {thing}").into(),
        Remedy::Provision => "provisioner provision --force".into(),
        Remedy::InstallRoots => "provisioner roots install --keep".into(),
        Remedy::UpdateWifiModule => "if the board does not connect, update it with Microchip's tool (iotprovision wincupgrade), then provision the board again".into(),
        Remedy::Replace { is_final: true } => {
            "replace the board or its secure element: its key may be somebody else's, and gets no certificate again".into()
        }
        Remedy::Replace { is_final: false } => {
            "give its board a new certificate: provisioner provision --force".into()
        }
        Remedy::Revoke { certificate_id } => format!("provisioner revoke {certificate_id}").into(),
        Remedy::ReplayOne { certificate_id: Some(id) } => format!("provisioner replay {id}").into(),
        Remedy::ReplayOne { certificate_id: None } => {
            "attach it again with: provisioner replay ID (provisioner certificates lists the ids); or provision its board".into()
        }
        Remedy::CancelTransfer { certificate_id } => {
            format!("to keep it: aws iot cancel-certificate-transfer --certificate-id {certificate_id}").into()
        }
        Remedy::Activate { certificate_id } => format!(
            "aws iot update-certificate --certificate-id {certificate_id} --new-status ACTIVE, if it is to be used again"
        )
        .into(),
        Remedy::Cause(error) => account::account(error),
    }
}

/// The commands that give the function a queue for what fails. AWS Lambda takes it only once the role may send to it. It replaces
/// both destinations together, and with `put` the number of repetitions, too.
fn add_destination(
    function: &str,
    role: Option<&str>,
    queue: &str,
    succeeded: Option<&str>,
    is_configured: bool,
) -> String {
    let role = role.unwrap_or("ROLE");
    let name = queue.rsplit(':').next().unwrap_or(queue);
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"{queue}"}}]}}"#
    );
    let on_success =
        succeeded.map(|arn| format!(r#","OnSuccess":{{"Destination":"{arn}"}}"#)).unwrap_or_default();
    let destination = format!(r#"{{"OnFailure":{{"Destination":"{queue}"}}{on_success}}}"#);
    let set = if is_configured { "update" } else { "put" };
    format!(
        "aws sqs create-queue --queue-name {name} && \
         aws iam put-role-policy --role-name {role} --policy-name {FAILED_EVENTS} --policy-document '{policy}' && \
         aws lambda {set}-function-event-invoke-config --function-name {function} --destination-config '{destination}'"
    )
}
