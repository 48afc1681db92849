//! What repairs a link of the chain that `doctor` looks at.

use iot_account::doctor::Remedy;

use super::{Text, account};

/// What to do about what was found.
pub(in crate::cli) fn remedy(remedy: &Remedy) -> Text {
    match remedy {
        Remedy::SetUp => "provisioner setup".into(),
        Remedy::Deploy => "provisioner setup --lambda-zip".into(),
        Remedy::MakeCa => "provisioner ca create".into(),
        Remedy::ReplaceCa => "provisioner ca rotate, then provision the boards again".into(),
        Remedy::EnableMapping => {
            "aws lambda update-event-source-mapping --enabled --uuid, with the UUID of the mapping".into()
        }
        Remedy::AddLists => account::ADD_LISTS.into(),
        Remedy::MendVariable => "fix the variable in the function's configuration".into(),
        Remedy::Wait => "wait a minute and run doctor again".into(),
        Remedy::ShortenPolicy => "shorten the document in ZT_POLICY_DOCUMENT of the function".into(),
        Remedy::NarrowPermission { function } => format!(
            "if nobody needs them: aws lambda remove-permission --function-name {function} --statement-id ID"
        )
        .into(),
        Remedy::ReplacePolicy => {
            "put the document of infra/zt_policy.json in as the default version: aws iot create-policy-version --set-as-default"
                .into()
        }
        Remedy::CreateGroup { group } => {
            format!("aws iot create-thing-group --thing-group-name {group}").into()
        }
        Remedy::AddDestination => {
            "deploy infra/template.yaml, which has one, or find the devices with: provisioner replay".into()
        }
        Remedy::ReplayQueue => "provisioner replay --queue".into(),
        Remedy::Replay => "provisioner replay".into(),
        Remedy::Connect => "connect its board, or provision it".into(),
        Remedy::Provision => "provisioner provision --force".into(),
        Remedy::Activate => {
            "aws iot update-certificate --new-status ACTIVE, if it is to be used again".into()
        }
        Remedy::Cause(error) => account::account(error),
    }
}
