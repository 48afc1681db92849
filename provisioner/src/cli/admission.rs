//! `admission`: which boards the account lets in. Each command in a file of its own.

use std::path::Path;
use std::str::FromStr;

use clap::Subcommand;
use jitr::published::ListUrl;

mod add;
mod check;
mod names;
mod place;
mod publish;
mod remove;

use super::{Context, Error};

/// What to do with the admission list.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put boards on the list of this station: from the ledger, a table, other stations, or by name
    Add(add::Arguments),
    /// Take boards off the list of this station, and revoke those that are registered
    Remove(remove::Arguments),
    /// Sign the list and put it where the function reads it
    Publish(publish::Arguments),
    /// Say of boards whether they are on the list here, and on the published one
    Check(check::Arguments),
}

/// Carries the command out.
///
/// # Errors
/// What keeps it from being done.
pub(super) async fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::Add(arguments) => add::run(arguments, context).await,
        Command::Remove(arguments) => remove::run(arguments, context).await,
        Command::Publish(arguments) => publish::run(arguments, context).await,
        Command::Check(arguments) => check::run(arguments, context).await,
    }
}

/// Where a list is written: a folder, or a place in Amazon S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Folder(std::path::PathBuf),
    Url(ListUrl),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains("://") {
            false => Ok(Self::Folder(Path::new(text).to_owned())),
            true => match text.parse() {
                Ok(url @ ListUrl::S3 { .. }) => Ok(Self::Url(url)),
                _ => Err("allowed are s3://BUCKET/PREFIX and folders".to_owned()),
            },
        }
    }
}
