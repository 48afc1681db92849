//! `admission remove`: boards are taken off the list, revoked where they are registered, and cut off.

use std::time::Duration;

use clap::Args;
use device_pki::admission_list::KeyIdentifier;
use device_pki::revocation::Reason;
use durable_files::folder;
use iot_account::admission as account_admission;
use serde::Serialize;
use tokio::time::Instant;

use super::{names, publish};
use crate::cli::plan::{self, Line, Plan};
use crate::cli::{Context, Error, revoke, values};
use crate::state::admission::{self, Admitted};

/// How long it takes AWS IoT to end the connection of a revoked certificate is not documented: minutes.
const PATIENCE: &str = "10m";
/// Between two looks at a connection.
const PAUSE: Duration = Duration::from_secs(2);

/// Arguments of `admission remove`.
#[derive(Debug, Args)]
#[command(after_help = "\
Takes the boards off the list of this station, then does what `provisioner revoke` does for those that are registered, and waits until \
they are disconnected. A board that is not registered yet stays out once the list is published: with --publish, or by a yes at the \
terminal, or later with `provisioner admission publish`.

A removed board comes back with `admission add --again`. If it was registered, it also needs a new certificate: provision --force")]
pub struct Arguments {
    /// Boards: key identifiers (the names of their things), or files with their certificates
    #[arg(value_name = "KEY|FILE", required = true)]
    boards: Vec<String>,
    /// Reason for the revocation
    #[arg(long, default_value = "unspecified", value_name = "REASON", value_parser = revoke::reasons())]
    reason: Reason,
    /// How long to wait until the boards are disconnected (90s, 5m, 1h)
    #[arg(long, value_name = "TIME", default_value = PATIENCE, value_parser = values::duration)]
    timeout: Duration,
    /// Publish the list where the function reads it, without a question
    #[arg(long)]
    publish: bool,
}

/// A board.
#[derive(Serialize)]
struct Board {
    subject_key_identifier: String,
    /// Whether it was on the list here.
    is_admitted: bool,
}

impl Board {
    fn text(&self, done: bool) -> String {
        let key = &self.subject_key_identifier;
        match (self.is_admitted, done) {
            (true, false) => format!("{key} would be taken off the list"),
            (true, true) => format!("{key} is off the list"),
            (false, _) => format!("{key} is not on the list here; it is noted as removed"),
        }
    }
}

struct Remove {
    keys: Vec<KeyIdentifier>,
    revoke: Option<revoke::Revoke>,
    timeout: Duration,
    publish: bool,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let mut keys = Vec::new();
    for name in &arguments.boards {
        keys.extend(names::keys(name)?);
    }
    keys.sort_unstable();
    keys.dedup();
    let named = keys.iter().map(ToString::to_string).collect();
    let revoke = revoke::of_keys(named, arguments.reason, context).await?;
    let Arguments { timeout, publish, .. } = *arguments;
    plan::run(context, Remove { keys, revoke, timeout, publish }).await
}

impl Remove {
    fn boards(&self, admitted: &Admitted) -> impl Iterator<Item = Board> {
        self.keys
            .iter()
            .map(|key| Board { subject_key_identifier: key.to_string(), is_admitted: admitted.has(key) })
    }
}

impl Plan for Remove {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        let admitted = Admitted::read(&context.home)?;
        let mut lines: Vec<_> =
            self.boards(&admitted).map(|board| Line::new("remove", board.text(false), &board)).collect();
        if let Some(revoke) = &mut self.revoke {
            lines.extend(revoke.lines(context).await?);
        }
        Ok(lines)
    }

    fn question(&self) -> Option<String> {
        self.revoke.as_ref().and_then(Plan::question)
    }

    fn refused(self) -> Result<(), Error> {
        self.revoke.map_or(Ok(()), Plan::refused)
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        context.home.create()?;
        folder::check_writable(context.home.root())?;
        {
            let _lock = admission::lock(&context.home)?;
            let mut admitted = Admitted::read(&context.home)?;
            let boards: Vec<_> = self.boards(&admitted).collect();
            for key in &self.keys {
                admitted.remove(*key);
            }
            admitted.write(&context.home)?;
            boards.iter().for_each(|board| plan::tell(context, "remove", board.text(true), board));
        }
        let account = self.revoke.as_ref().and_then(revoke::Revoke::account).cloned();
        if let Some(revoke) = self.revoke {
            revoke.carry_out(context).await?;
        }
        // Whoever is not registered could get in until then.
        let publishes = self.publish || context.agrees("Publish the list now?")?;
        if publishes {
            publish::where_the_function_reads_it(context).await?;
        }
        if let Some(account) = account {
            let progress = context.progress("waiting until the boards are disconnected");
            let endpoint = iot_account::endpoint(&account).await?;
            let (end, all) = (Instant::now() + self.timeout, self.keys.len());
            let mut things: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
            loop {
                let mut left = Vec::new();
                for thing in things {
                    if account_admission::is_connected(&account, &endpoint, &thing).await? {
                        left.push(thing);
                    }
                }
                things = left;
                progress.count(all - things.len(), all);
                if things.is_empty() {
                    break;
                }
                if Instant::now() + PAUSE > end {
                    let error = account_admission::Error::StillConnected { things };
                    return Err(iot_account::Error::from(error).into());
                }
                tokio::time::sleep(PAUSE).await;
            }
            drop(progress);
            context.note("no board of these is connected");
        }
        if !publishes {
            context.note(
                "publish the list, so that those that are not registered stay out: provisioner admission publish",
            );
        }
        Ok(())
    }
}
