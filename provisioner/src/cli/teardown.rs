//! `teardown`: what this tool made in the account, removed.

use clap::Args;
use jitr::scope::Scope;
use serde::Serialize;

use super::Context;
use super::register::JOURNAL;
use crate::cli::Error;
use iot_account::Resource;
use iot_account::register::Journal;
use iot_account::teardown::{Item, Keep, Outcome, Plan};

/// Arguments of `teardown`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: provisioner teardown --dry-run
    Show what would be removed.

Removes only what carries the tag zero-touch:created-by=provisioner, and what depends on it:
  - certificates that such a CA signed, or that have such a policy and no CA, with their things
  - the policy and the thing type of such a function, if nothing else uses them

An interrupted run continues when it is run again.")]
pub struct Arguments {
    /// Keep certificates and things, and what they need
    #[arg(long)]
    keep_devices: bool,
    /// Keep the signer CAs registered
    #[arg(long)]
    keep_ca: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    item: &'a Item,
    #[serde(flatten)]
    outcome: Option<&'a Outcome>,
    done: bool,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let account = context.account().await?;
    let progress = context.progress("looking for what was made");
    let keep = Keep { devices: arguments.keep_devices, cas: arguments.keep_ca };
    let plan = Plan::make(&account, context.home.root(), keep).await?;
    drop(progress);
    let place = format!("account {} in {}", plan.scope.account, plan.scope.region);
    if plan.is_empty() {
        context.note(format_args!("{place}: nothing here was made by this tool"));
        return Ok(());
    }
    if context.global.dry_run {
        plan.items().for_each(|item| {
            context
                .result(line("would be removed", item, item.note), &Row { item, outcome: None, done: false });
        });
        return Ok(());
    }
    if !context.global.yes {
        context.note(format_args!("{place}:"));
        plan.items().for_each(|item| context.note(line("would be removed", item, item.note)));
        context.confirm("All this will be removed from the account.")?;
    }
    let progress = context.progress("removing");
    let mut removed = Vec::new();
    let applied = plan.apply(&account, context.home.root(), |item, outcome| {
        if item.kind == Resource::Certificate && matches!(outcome, Outcome::Removed | Outcome::Gone) {
            removed.push(item.name.clone());
        }
        progress.step(format!("removing {} {}", item.kind, item.name));
        let (verb, reason) = match outcome {
            Outcome::Removed => ("removed", None),
            Outcome::Gone => ("gone already", None),
            Outcome::Kept(reason) => ("left as it is", Some(reason.as_str())),
            Outcome::Waiting(reason) => ("has to wait", Some(reason.as_str())),
        };
        context.result(line(verb, item, reason), &Row { item, outcome: Some(outcome), done: true });
    });
    let applied = applied.await;
    forget(context, &plan.scope, &removed)?;
    Ok(applied?)
}

/// Has `register` know that certificates are not registered any more.
fn forget(context: &Context, scope: &Scope, removed: &[String]) -> Result<(), Error> {
    let path = context.home.file(JOURNAL);
    if removed.is_empty() || !path.exists() {
        return Ok(());
    }
    let mut journal = Journal::open(&path, String::new()).map_err(iot_account::Error::Register)?;
    for id in removed {
        journal.record_removal(scope, id).map_err(iot_account::Error::Register)?;
    }
    Ok(())
}

fn line(verb: &str, item: &Item, remark: Option<&str>) -> String {
    let mut line = format!("{:<13} {:<17} {}", item.kind, verb, item.name);
    if let Some(remark) = remark {
        line.push_str(&format!(": {remark}"));
    }
    line
}
