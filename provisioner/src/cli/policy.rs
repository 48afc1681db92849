//! `policy`: the document of the policy that devices get.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jitr::name::PolicyName;
use serde::Serialize;
use serde_json::Value;

use super::{Context, Error, register};
use iot_account::{policy, setup};

/// The policy that devices get.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the document that the policy is created with, filled in for the account and its Region
    Print(Print),
}

/// Arguments of `policy print`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner policy print > zt_policy.json
      The document of the function, or the default document where there is no function.
  provisioner policy print --policy-document own.json
      A document of yours, with partition, Region and account filled in.

`provisioner doctor --repair` makes it the default version of a policy that lets no device, or too many, do something.")]
pub struct Print {
    /// The function that creates the policy [default: JITR]
    #[arg(long, value_name = "NAME|ARN", value_parser = super::setup::function_name)]
    function: Option<String>,
    /// Name of the policy [default: the function's, zt_policy]
    #[arg(long, value_name = "NAME")]
    policy_name: Option<PolicyName>,
    /// Document to fill in [default: the function's, or the default document]
    #[arg(long, value_name = "PATH")]
    policy_document: Option<PathBuf>,
}

#[derive(Serialize)]
struct Printed<'a> {
    policy: &'a str,
    policy_document: &'a Value,
}

pub(super) async fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let Command::Print(Print { function, policy_name, policy_document }) = command;
    let template = policy_document.as_deref().map(register::policy_template).transpose()?;
    let account = context.account().await?;
    let named = function.as_deref().unwrap_or(setup::FUNCTION);
    let policy::Expected { name, document, is_default } =
        policy::expected(&account, named, policy_name.as_ref(), template).await?;
    match (is_default, function) {
        (true, Some(name)) => {
            let name = name.clone();
            return Err(iot_account::Error::Setup(setup::Error::NoFunction { name }).into());
        }
        (true, None) => context.note(format_args!(
            "there is no function {named} in this account and Region: this is the default document"
        )),
        (false, _) => {}
    }
    let printed = Printed { policy: name.as_str(), policy_document: document.as_value() };
    context.result_block(format_args!("{:#}", document.as_value()), &printed);
    Ok(())
}
