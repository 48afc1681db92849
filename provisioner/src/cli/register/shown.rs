//! What is shown of each certificate: the line of a plan, and how it ended.

use serde::Serialize;

use crate::cli::Context;
use crate::cli::plan::{self, Line};
use iot_account::Outcome;
use iot_account::register::Row;

/// The line of a plan for one certificate.
#[derive(Serialize)]
pub(super) struct Planned<'a> {
    pub(super) source: &'a str,
    pub(super) certificate_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thing_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) same_as: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unique_id: Option<&'a str>,
}

impl<'a> Planned<'a> {
    /// Of a certificate that will be registered as this thing.
    pub(super) fn registered(
        source: &'a str,
        certificate_id: Option<&'a str>,
        thing_name: Option<&'a str>,
    ) -> Self {
        Self { source, certificate_id, thing_name, error: None, same_as: None, unique_id: None }
    }

    fn of(row: &'a Row) -> Self {
        Self {
            source: &row.source,
            certificate_id: row.certificate_id.as_deref(),
            thing_name: row.thing_name.as_deref(),
            error: row.error.as_deref(),
            same_as: row.same_as.as_deref(),
            unique_id: row.unique_id.as_deref(),
        }
    }

    pub(super) fn line(&self) -> Line {
        let Self { thing_name, error, .. } = self;
        let source = place(self.source, self.unique_id);
        match (error, thing_name) {
            (Some(error), _) => Line::new("refuse", format_args!("would refuse   {source}: {error}"), self),
            (None, thing) => {
                let text = format!("would register {source} as {}", thing.unwrap_or_default());
                Line::new("register", text, self)
            }
        }
    }
}

/// The line of a plan for what is not registered.
pub(super) fn planned(row: &Row) -> Line {
    match row.outcome {
        Outcome::Duplicate => Line::new("leave", line(row), &Planned::of(row)),
        _ => Planned::of(row).line(),
    }
}

/// Tells how it ended for one certificate.
pub(super) fn tell(context: &Context, row: &Row) {
    match row.outcome {
        Outcome::Registered | Outcome::Repaired => plan::tell(context, "register", line(row), row),
        Outcome::DoneBefore | Outcome::Duplicate => plan::tell(context, "leave", line(row), row),
        Outcome::Refused => plan::tell_undone(context, "refuse", line(row), row),
        Outcome::Failed => plan::tell_undone(context, "register", line(row), row),
    }
}

/// Where something is from: the file and the place in it, and the unique id of the secure element that it is about.
pub(super) fn place(source: &str, unique_id: Option<&str>) -> String {
    match unique_id {
        Some(unique_id) => format!("{source} ({unique_id})"),
        None => source.to_owned(),
    }
}

fn line(row: &Row) -> String {
    let Row { thing_name, outcome, error, same_as, .. } = row;
    let source = place(&row.source, row.unique_id.as_deref());
    let said = match outcome {
        Outcome::Registered => "registered",
        Outcome::Repaired => "was registered, repaired",
        Outcome::DoneBefore => "registered before",
        Outcome::Duplicate => "left",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    };
    match (error, same_as) {
        (None, Some(first)) => format!("{said:<12} {source}: the same certificate as {first}"),
        (None, None) => format!("{said:<12} {source}: thing {}", thing_name.as_deref().unwrap_or_default()),
        (Some(error), _) => format!("{said:<12} {source}: {error}"),
    }
}
