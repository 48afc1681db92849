//! `admission check`: whether boards are on the list, here and where it is published.

use clap::Args;
use device_pki::admission_list::{AdmissionList, KeyIdentifier};
use device_pki::certificate::rfc3339;
use serde::Serialize;

use super::names;
use super::place::told;
use crate::cli::{Context, Error};
use crate::state::admission::{self, Admitted};

/// Arguments of `admission check`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Boards: key identifiers (the names of their things), or files with their certificates
    #[arg(value_name = "KEY|FILE", required = true)]
    boards: Vec<String>,
    /// Look at this computer alone: the published list is the last one that it knows
    #[arg(long, conflicts_with = "function")]
    local: bool,
    /// The function [default: JITR]
    #[arg(long, value_name = "NAME|ARN", value_parser = crate::cli::setup::function_name)]
    function: Option<String>,
}

/// What is known of one board.
#[derive(Serialize)]
struct Row<'a> {
    subject_key_identifier: String,
    /// Whether the list of this station has it.
    is_admitted: bool,
    /// Whether the published list has it; `None` without one.
    is_published: Option<bool>,
    location: Option<&'a str>,
    admission_number: Option<u64>,
    next_update: Option<String>,
}

impl Row<'_> {
    fn text(&self) -> String {
        let here = if self.is_admitted { "on the list here" } else { "not on the list here" };
        let published = match (self.is_published, self.admission_number, &self.next_update) {
            (Some(is_on), Some(number), Some(until)) => {
                let is_on = if is_on { "on" } else { "not on" };
                format!("{is_on} the published list {number}, which counts until {until}")
            }
            _ => "no list is published".to_owned(),
        };
        format!("{}  {here}; {published}", self.subject_key_identifier)
    }
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let mut keys: Vec<KeyIdentifier> = Vec::new();
    for name in &arguments.boards {
        keys.extend(names::keys(name)?);
    }
    let admitted = Admitted::read(&context.home)?;
    let (list, location) = match arguments.local {
        true => {
            let list = admission::last_list(&context.home)?;
            let location = list.as_ref().map(|_| admission::list_file(&context.home).display().to_string());
            (list, location)
        }
        false => match told(context, arguments.function.as_deref()).await? {
            None => {
                context.note("the function reads no admission list: it lets every board of the signer CA in");
                (None, None)
            }
            Some(told) => {
                let (location, published) = (told.location(), told.published().await?);
                let read = |found: iot_account::admission::Published| {
                    AdmissionList::verified(found.bytes, &location, &told.key)
                };
                let list = published.map(read).transpose().map_err(device_pki::Error::from)?;
                (list, Some(location))
            }
        },
    };
    for key in keys {
        let row = Row {
            subject_key_identifier: key.to_string(),
            is_admitted: admitted.has(&key),
            is_published: list.as_ref().map(|list| list.has(&key)),
            location: location.as_deref(),
            admission_number: list.as_ref().map(AdmissionList::number),
            next_update: list.as_ref().map(|list| rfc3339(list.counts_until())),
        };
        context.result(row.text(), &row);
    }
    if list.as_ref().is_some_and(AdmissionList::is_overdue) {
        context.note("warning: the published list counts no more, and no board is registered: provisioner admission publish");
    }
    Ok(())
}
