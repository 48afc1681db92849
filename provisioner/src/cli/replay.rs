//! `replay`: registrations that got stuck, finished.

use std::path::{Path, PathBuf};

use clap::Args;
use jitr::event::is_certificate_id;
use jitr::scope::Scope;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::context::Progress;
use super::plan::{self, Line, Plan};
use super::revoke::SHORTEST_PREFIX;
use super::values::Device;
use super::{Context, Error, named};
use crate::work::revoked_keys::{RevokedKeys, keys_of_old_revocations};
use device_pki::certificate::rfc3339;
use iot_account::counted;
use iot_account::replay::{self, Failed, Filter, Job, Planned, Ready, Route, Row};
use iot_account::{Account, Outcome, Queue, certificates, revoke, setup};

/// Events a second unless the user says another: half of what the account's default quotas allow, so that boards that
/// connect meanwhile are registered, too.
const RATE: f64 = 5.0;

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner replay --dry-run
      Show the certificates that wait for registration.
  provisioner replay --age 10m
      Send the event of every certificate that has waited for ten minutes to the function again.
  provisioner replay --queue
      Send the events in the queue of failed events again, and delete those that succeed.
  provisioner replay --local
      Run the registration here, with your permissions, without the function.")]
pub struct Arguments {
    /// Ids of certificates, or at least 8 digits of their beginnings [default: all that are PENDING_ACTIVATION]
    #[arg(value_name = "ID", value_parser = beginning_of_id)]
    ids: Vec<Device>,
    /// Only certificates of this CA
    #[arg(long, value_name = "ID", value_parser = certificate_id, conflicts_with = "ids")]
    ca: Option<String>,
    /// Only certificates that have waited at least this long (90s, 10m, 2h, 3d)
    #[arg(long, value_name = "TIME", value_parser = age, conflicts_with = "ids")]
    age: Option<Duration>,
    /// Send the recorded events in this file instead (JSON lines, or a JSON list)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ids", "ca", "age"])]
    events: Option<PathBuf>,
    /// Send the events in this queue instead, and delete each once its certificate is registered [without a name: the
    /// function's on-failure destination]
    #[arg(long, value_name = "ARN|URL|NAME", conflicts_with_all = ["ids", "ca", "age", "events"])]
    queue: Option<Option<String>>,
    /// Run the workflow here instead of invoking the function
    #[arg(long)]
    local: bool,
    /// The function [default: JITR]
    #[arg(long, value_name = "NAME|ARN", value_parser = super::setup::function_name)]
    function: Option<String>,
    /// Events a second
    #[arg(long, value_name = "N", default_value_t = RATE, value_parser = rate)]
    rate: f64,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let events = arguments.events.as_deref().map(read).transpose()?;
    let recorded = events.is_some();
    let account = context.account().await?;
    let function = arguments.function.as_deref().unwrap_or(setup::FUNCTION);
    let rate = arguments.rate;
    let route = match arguments.local {
        true => Route::local(&account, function).await?,
        false => Route::Function(function.to_owned()),
    };
    if let Some(queue) = &arguments.queue {
        let progress = context.progress("looking into the queue");
        let queue = replay::queue(&account, function, queue.as_deref()).await?;
        let waiting = queue.depth(&account).await?;
        let scope = account.scope().await?;
        let old = keys_of_old_revocations(&context.home)?;
        let revoked = RevokedKeys::read(&context.home, &old)?;
        let events = Vec::new();
        let plan = ReplayQueue { account, scope, route, rate, queue, waiting, events, revoked, progress };
        return plan::run(context, plan).await;
    }
    let progress = context.progress("looking for certificates that wait");
    let scope = account.scope().await?;
    let jobs: Option<Vec<Job>> = match (events, &arguments.ids[..]) {
        (Some(events), _) => Some(events),
        (None, []) => None,
        (None, ids) => {
            let mut jobs = Vec::new();
            for id in ids {
                id.check(&account).await?;
                jobs.push(Job::Certificate(whole_id(&account, &id.name).await?));
            }
            Some(jobs)
        }
    };
    let planned = match jobs {
        Some(jobs) => {
            let mut planned = Vec::new();
            for job in &jobs {
                planned.push(Planned::Looked(replay::look(&account, &scope, job).await?));
            }
            planned
        }
        None => {
            let filter = Filter { ca: arguments.ca.clone(), age: arguments.age };
            let pending = replay::pending(&account, &filter, OffsetDateTime::now_utc()).await?;
            pending.into_iter().map(Planned::Waiting).collect()
        }
    };
    let planned = without_revoked(context, planned)?;
    if planned.is_empty() {
        context.note("no certificate waits for its registration");
        return Ok(());
    }
    plan::run(context, Replay { account, scope, route, rate, planned, recorded, progress }).await
}

/// The certificate id that is meant by its beginning.
async fn whole_id(account: &Account, beginning: &str) -> Result<String, Error> {
    if is_certificate_id(beginning) {
        return Ok(beginning.to_owned());
    }
    let candidates = certificates::beginning_with(account, beginning).await?;
    let meant = revoke::meant(beginning, candidates)
        .and_then(|meant| meant.ok_or_else(|| revoke::Error::Unknown { name: beginning.to_owned() }));
    Ok(meant.map_err(iot_account::Error::Revoke)?)
}

/// Refuses the certificates that this home has revoked: a function without lists would register them.
fn without_revoked(context: &Context, planned: Vec<Planned>) -> Result<Vec<Planned>, Error> {
    let revoked = RevokedKeys::read(&context.home, &keys_of_old_revocations(&context.home)?)?;
    let checked = planned.into_iter().map(|planned| {
        let found = planned.certificate_id().and_then(|id| Some((id.to_owned(), revoked.certificate(id)?)));
        match found {
            Some((id, found)) => Planned::Looked(Err(Row::revoked(&id, found))),
            None => planned,
        }
    });
    Ok(checked.collect())
}

/// Events to be sent.
struct Replay {
    account: Account,
    scope: Scope,
    route: Route,
    rate: f64,
    planned: Vec<Planned>,
    /// Whether the events were recorded earlier.
    recorded: bool,
    progress: Progress,
}

/// The line of a plan for one certificate.
#[derive(Serialize)]
struct About<'a> {
    certificate_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

fn would_send(certificate_id: &str, since: Option<String>) -> Line {
    let waited = since.as_ref().map_or_else(String::new, |since| format!(" since {since}"));
    let text = format!("would send the event of {certificate_id}{waited}");
    Line::new("send", text, &About { certificate_id, since })
}

fn would_refuse(row: &Row) -> Line {
    let error = row.error.as_deref().unwrap_or_default();
    Line::new("refuse", format!("would refuse {}: {error}", row.name()), row)
}

impl Plan for Replay {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        if self.refusals().count() < self.planned.len() {
            self.route.check(&self.account).await?;
        }
        // A certificate that is named was looked at when its event was made.
        for planned in self.planned.iter_mut().filter(|_| self.recorded) {
            if let Planned::Looked(looked) = planned
                && let Ok(ready) = looked
                && let Some(row) = replay::refusal(&self.account, ready).await?
            {
                *looked = Err(row);
            }
        }
        let lines = self.planned.iter().map(|planned| {
            let (certificate_id, since) = match planned {
                Planned::Looked(Err(row)) => return would_refuse(row),
                Planned::Looked(Ok(ready)) => (ready.certificate_id(), None),
                Planned::Waiting(pending) => (pending.certificate_id.as_str(), pending.since.map(rfc3339)),
            };
            would_send(certificate_id, since)
        });
        context.note(format_args!(
            "would send {}",
            counted(self.planned.len() - self.refusals().count(), "event")
        ));
        Ok(lines.collect())
    }

    fn refused(self) -> Result<(), Error> {
        let mut failed = Failed::default();
        self.refusals().for_each(|row| failed.count(row));
        Ok(failed.of(self.planned.len())?)
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { account, scope, route, rate, planned, progress, .. } = self;
        let (mut count, all) = (0, planned.len());
        progress.step("sending events");
        let done = |row: &Row| {
            count += 1;
            progress.count(count, all);
            tell(context, row);
        };
        Ok(replay::replay(&account, &scope, &route, planned, rate, done).await?)
    }
}

impl Replay {
    fn refusals(&self) -> impl Iterator<Item = &Row> {
        self.planned.iter().filter_map(|planned| match planned {
            Planned::Looked(Err(row)) => Some(row),
            _ => None,
        })
    }
}

/// A queue of failed events to be worked off.
struct ReplayQueue<'a> {
    account: Account,
    scope: Scope,
    route: Route,
    rate: f64,
    queue: Queue,
    waiting: u64,
    /// What a dry run has found in it.
    events: Vec<Result<Ready, Row>>,
    revoked: RevokedKeys<'a>,
    progress: Progress,
}

#[derive(Serialize)]
struct Waiting<'a> {
    queue: &'a str,
    /// About so many.
    events: u64,
}

impl Plan for ReplayQueue<'_> {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        self.route.check(&self.account).await?;
        let (queue, events) = (self.queue.name.as_str(), self.waiting);
        let text = format!("would send the events in queue {queue} (about {events})");
        let mut lines = vec![Line::new("send", text, &Waiting { queue, events })];
        let revoked = |id: &str| self.revoked.certificate(id).map(|found| found.to_string());
        self.events = replay::look_into(&self.account, &self.scope, &self.queue, revoked).await?;
        lines.extend(self.events.iter().map(|event| match event {
            Ok(ready) => would_send(ready.certificate_id(), None),
            Err(row) => would_refuse(row),
        }));
        Ok(lines)
    }

    fn refused(self) -> Result<(), Error> {
        let mut failed = Failed::default();
        self.events.iter().filter_map(|event| event.as_ref().err()).for_each(|row| failed.count(row));
        Ok(failed.of_queue(self.events.len(), &self.queue)?)
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { account, scope, route, rate, queue, waiting, revoked, progress, .. } = self;
        let (mut count, all) = (0, usize::try_from(waiting).unwrap_or(usize::MAX));
        progress.step("sending events");
        let done = |row: &Row| {
            count += 1;
            // AWS says only about how many messages a queue has.
            progress.count(count, all.max(count));
            tell(context, row);
        };
        let revoked = |id: &str| revoked.certificate(id).map(|found| found.to_string());
        replay::replay_queue(&account, &scope, &route, &queue, rate, revoked, done).await?;
        drop(progress);
        if count == 0 {
            context.note(format_args!("no event waits in queue {}", queue.name));
        }
        Ok(())
    }
}

/// Tells how it ended for one event.
fn tell(context: &Context, row: &Row) {
    match row.outcome {
        Outcome::Refused => plan::tell_undone(context, "refuse", line(row), row),
        Outcome::Failed => plan::tell_undone(context, "send", line(row), row),
        Outcome::Registered | Outcome::Repaired | Outcome::DoneBefore | Outcome::Duplicate => {
            plan::tell(context, "send", line(row), row);
        }
    }
}

fn read(path: &Path) -> Result<Vec<Job>, Error> {
    let Some(bytes) = named::read(path)? else {
        return Err(Error::usage(format!("there is no file {}", path.display()), "name a file of events"));
    };
    replay::recorded(&path.display().to_string(), &String::from_utf8_lossy(&bytes)).map_err(|error| {
        Error::usage(
            format!("{} is not JSON: {error}", path.display()),
            "it has one event a line, or a list of events, as AWS IoT published them",
        )
    })
}

fn line(row: &Row) -> String {
    let Row { thing_name, outcome, error, .. } = row;
    let said = match outcome {
        Outcome::Registered | Outcome::DoneBefore | Outcome::Duplicate => "registered",
        Outcome::Repaired => "repaired",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    };
    let thing = thing_name.as_ref().map(|thing| format!("thing {thing}"));
    let rest = error.clone().or(thing).map_or_else(String::new, |rest| format!(": {rest}"));
    format!("{said:<10} {}{rest}", row.name())
}

fn certificate_id(text: &str) -> Result<String, &'static str> {
    if is_certificate_id(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("the id of a certificate has 64 hex digits")
    }
}

fn beginning_of_id(text: &str) -> Result<Device, &'static str> {
    let mut device = super::values::device(text)?;
    device.name.make_ascii_lowercase();
    let is_hex = device.name.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex && (SHORTEST_PREFIX..=64).contains(&device.name.len()) {
        Ok(device)
    } else {
        Err("the id of a certificate has 64 hex digits; the first 8 or more are enough")
    }
}

fn age(text: &str) -> Result<Duration, &'static str> {
    crate::state::ledger::duration(text).ok_or("write it as a number and s, m, h or d, for example 10m")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("a number of events a second, more than 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        assert_eq!(age("10m"), Ok(Duration::minutes(10)));
        assert_eq!(age("3d"), Ok(Duration::days(3)));
        for text in ["", "10", "m", "-1h", "1.5h", "10ü"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
