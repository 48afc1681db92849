//! `replay`: registrations that got stuck, finished.

use std::path::{Path, PathBuf};

use clap::Args;
use jitr::event::is_certificate_id;
use time::{Duration, OffsetDateTime};

use super::{Context, Error};
use device_pki::certificate::rfc3339;
use iot_account::counted;
use iot_account::replay::{self, Filter, Job, Route, Row};
use iot_account::{Account, Outcome, setup};

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
    /// Ids of certificates [default: all that are PENDING_ACTIVATION]
    #[arg(value_name = "ID", value_parser = certificate_id)]
    ids: Vec<String>,
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
    let recorded = arguments.events.as_deref().map(read).transpose()?;
    let account = context.account().await?;
    let function = arguments.function.as_deref().unwrap_or(setup::FUNCTION);
    if let Some(queue) = &arguments.queue {
        return run_queue(arguments, context, &account, function, queue.as_deref()).await;
    }
    let progress = context.progress("looking for certificates that wait");
    let scope = account.scope().await?;
    let filter = Filter { ca: arguments.ca.clone(), age: arguments.age, ids: arguments.ids.clone() };
    let jobs = match recorded {
        Some(jobs) => jobs,
        None => {
            let pending = replay::pending(&account, &filter, OffsetDateTime::now_utc()).await?;
            if context.global.dry_run {
                for found in &pending {
                    let since =
                        found.since.map_or_else(String::new, |since| format!(" since {}", rfc3339(since)));
                    context.result(
                        format_args!("would send the event of {}{since}", found.certificate_id),
                        &serde_json::json!({
                            "certificate_id": found.certificate_id,
                            "since": found.since.map(rfc3339),
                            "outcome": "would_send",
                        }),
                    );
                }
            }
            pending.into_iter().map(|found| Job::Certificate(found.certificate_id)).collect()
        }
    };
    if jobs.is_empty() {
        context.note("no certificate waits for its registration");
        return Ok(());
    }
    if context.global.dry_run {
        context.note(format_args!("would send {}", counted(jobs.len(), "event")));
        return Ok(());
    }
    let route = route(arguments, &account, function).await?;
    let mut count = 0;
    replay::replay(&account, &scope, &route, &jobs, arguments.rate, |row| {
        count += 1;
        progress.step(format!("{count} of {}", counted(jobs.len(), "event")));
        context.result(line(row), row);
    })
    .await?;
    Ok(())
}

async fn route(
    arguments: &Arguments,
    account: &Account,
    function: &str,
) -> Result<Route, iot_account::Error> {
    match arguments.local {
        true => Route::local(account, function).await,
        false => Ok(Route::Function(function.to_owned())),
    }
}

/// Works a queue of failed events off.
async fn run_queue(
    arguments: &Arguments,
    context: &Context,
    account: &Account,
    function: &str,
    queue: Option<&str>,
) -> Result<(), Error> {
    let progress = context.progress("looking into the queue");
    let queue = replay::queue(account, function, queue).await?;
    let waiting = queue.depth(account).await?;
    if context.global.dry_run {
        context.result(
            format_args!("would send the events in queue {} (about {waiting})", queue.name),
            &serde_json::json!({"queue": queue.name, "events": waiting, "outcome": "would_send"}),
        );
        return Ok(());
    }
    let scope = account.scope().await?;
    let route = route(arguments, account, function).await?;
    let mut count = 0;
    replay::replay_queue(account, &scope, &route, &queue, arguments.rate, |row| {
        count += 1;
        progress.step(format!("{count} of about {}", counted(waiting, "event")));
        context.result(line(row), row);
    })
    .await?;
    drop(progress);
    if count == 0 {
        context.note(format_args!("no event waits in queue {}", queue.name));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Job>, Error> {
    let Some(bytes) = durable_files::read(path)? else {
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
    let Row { certificate_id, thing_name, outcome, reason } = row;
    let said = match outcome {
        Outcome::Registered | Outcome::DoneBefore => "registered",
        Outcome::Repaired => "repaired",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    };
    let thing = thing_name.as_ref().map(|thing| format!("thing {thing}"));
    let rest = reason.clone().or(thing).map_or_else(String::new, |rest| format!(": {rest}"));
    format!("{said:<10} {certificate_id}{rest}")
}

fn certificate_id(text: &str) -> Result<String, &'static str> {
    if is_certificate_id(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("the id of a certificate has 64 hex digits")
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
