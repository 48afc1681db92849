//! `teardown`: what this tool made in the account, removed.

use clap::Args;
use jitr::scope::Scope;
use serde::Serialize;

use super::Context;
use super::plan::{self, Line, Plan};
use crate::cli::Error;
use crate::state::home::JOURNAL;
use iot_account::register::Journal;
use iot_account::teardown::{self, Item, Keep, Outcome};
use iot_account::{Account, Resource};

/// Arguments of `teardown`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: provisioner teardown --dry-run
    Show what would be removed.

Removes only what has the tag zero-touch:created-by=provisioner, and what depends on it:
  - certificates that a tagged signer CA signed, with their things
  - certificates without a CA that have a tagged policy, with their things
  - the policy and thing type of a tagged function, if nothing else uses them

An interrupted run continues when it is run again. AWS lets a thing type be deleted five minutes after its deprecation: until then it
stays, deprecated, and the exit code is 0. --wait waits; `setup` takes the type into use again.")]
pub struct Arguments {
    /// Keep certificates and things, and what they need
    #[arg(long)]
    keep_devices: bool,
    /// Keep the signer CAs registered
    #[arg(long)]
    keep_ca: bool,
    /// Wait until AWS lets the thing type be deleted: five minutes after its deprecation
    #[arg(long, conflicts_with = "keep_devices")]
    wait: bool,
}

#[derive(Serialize)]
struct Ended<'a> {
    #[serde(flatten)]
    item: &'a Item,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let account = context.account().await?;
    let keep = Keep { devices: arguments.keep_devices, cas: arguments.keep_ca };
    let plan = {
        let progress = context.progress("looking for what was made");
        let looked = |done, of| progress.count(done, of);
        teardown::Plan::make(&account, context.home.root(), keep, looked).await?
    };
    if plan.is_empty() {
        context.note(format_args!("{}: nothing here was made by this tool", place(&plan.scope)));
        return Ok(());
    }
    plan::run(context, TearDown { account, plan, wait: arguments.wait }).await
}

fn place(scope: &Scope) -> String {
    format!("account {} in {}", scope.account, scope.region)
}

struct TearDown {
    account: Account,
    plan: teardown::Plan,
    /// Whether what AWS deletes later is waited for.
    wait: bool,
}

impl Plan for TearDown {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        context.note(format_args!("{}:", place(&self.plan.scope)));
        let line = |item: &Item| match item.stays() {
            Some(why) => {
                let outcome = &Outcome::Kept(why.to_owned());
                Line::new("leave", line("would be kept", item, Some(why)), &Ended { item, outcome })
            }
            None => Line::new("remove", line("would be removed", item, item.note), item),
        };
        Ok(self.plan.items().map(line).collect())
    }

    fn question(&self) -> Option<String> {
        Some("All this will be removed from the account.".to_owned())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { account, plan, wait } = self;
        let mut journal = journal(context)?;
        let progress = context.progress("removing");
        let (total, mut count, mut waits, mut failure) = (plan.items().count(), 0, false, None);
        let waiting =
            |item: &Item| progress.step(format!("waiting until AWS deletes {} {}", item.kind, item.name));
        let waiting: Option<&(dyn Fn(&Item) + Sync)> = if wait { Some(&waiting) } else { None };
        let scope = plan.scope.clone();
        let applied = plan.apply(&account, context.home.root(), waiting, |item, outcome| {
            let is_gone = matches!(outcome, Outcome::Removed | Outcome::Gone);
            // An interrupted run has noted what it removed.
            if let (Resource::Certificate, true, Some(journal)) = (item.kind, is_gone, &mut journal)
                && let Err(error) = journal.record_removal(&scope, &item.name)
            {
                failure.get_or_insert(error);
            }
            waits |= matches!(outcome, Outcome::Waiting(_));
            count += 1;
            progress.count(count, total);
            tell(context, item, outcome);
        });
        applied.await?;
        if let Some(error) = failure {
            return Err(iot_account::Error::Register(error).into());
        }
        if waits {
            context.note(
                "AWS lets a thing type be deleted five minutes after its deprecation: run `provisioner teardown` again then, \
                 or with --wait; `provisioner setup` takes it into use again",
            );
        }
        Ok(())
    }
}

/// Tells what became of an entry.
fn tell(context: &Context, item: &Item, outcome: &Outcome) {
    let about = Ended { item, outcome };
    match outcome {
        Outcome::Removed => plan::tell(context, "remove", line("removed", item, None), &about),
        Outcome::Gone => plan::tell(context, "remove", line("was gone", item, None), &about),
        Outcome::Kept(reason) => {
            plan::tell_undone(context, "leave", line("kept", item, Some(reason)), &about);
        }
        Outcome::Waiting(reason) => {
            plan::tell_undone(context, "remove", line("has to wait", item, Some(reason)), &about);
        }
    }
}

/// The journal of `register`, if there is one: it has to know which certificates are not registered any more.
fn journal(context: &Context) -> Result<Option<Journal>, Error> {
    let path = context.home.file(JOURNAL);
    let journal = path.exists().then(|| Journal::open(&path, String::new())).transpose();
    Ok(journal.map_err(iot_account::Error::Register)?)
}

fn line(verb: &str, item: &Item, remark: Option<&str>) -> String {
    let mut line = format!("{:<13} {:<17} {}", item.kind, verb, item.name);
    if let Some(remark) = remark {
        line.push_str(&format!(": {remark}"));
    }
    line
}
