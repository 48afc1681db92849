//! What registers: with which settings, and how it ended, by the function or by the same workflow in this process.

use jitr::registration::{Error, Outcome as Workflow, Registered, Settings};
use serde::Serialize;

use crate::setup::deploy;
use crate::setup::function::Deployed;
use crate::{Account, Error as AccountError, replay};

/// What the function of this name or ARN registers devices with; `None` where there is no such function.
///
/// # Errors
/// [`replay::Error::Settings`], and errors of reading the function.
pub(crate) async fn settings_of(account: &Account, function: &str) -> Result<Option<Settings>, AccountError> {
    deploy::find(account, function).await?.as_ref().map(settings).transpose()
}

/// What a function registers devices with.
///
/// # Errors
/// [`replay::Error::Settings`].
pub(crate) fn settings(function: &Deployed) -> Result<Settings, AccountError> {
    let settings = jitr::config::settings(|name| function.variable(name).map(str::to_owned));
    Ok(settings.map_err(replay::Error::Settings)?)
}

/// How it ended for one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was activated.
    Registered,
    /// It was ACTIVE already and has everything it needs.
    Repaired,
    /// An earlier run registered it.
    DoneBefore,
    /// It is the certificate of another file.
    Duplicate,
    /// A person has to decide first.
    Refused,
    /// It can be tried again.
    Failed,
}

impl Outcome {
    /// Whether the certificate is registered.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Registered | Self::Repaired | Self::DoneBefore)
    }
}

/// The thing of a certificate that the workflow has registered, or why it is not: what is said, and how it counts.
pub(crate) fn ended(registered: Result<Registered, Error>) -> (Outcome, Result<String, String>) {
    match registered {
        Ok(Registered { outcome: Workflow::Registered, thing_name, .. }) => {
            (Outcome::Registered, Ok(thing_name.to_string()))
        }
        Ok(Registered { outcome: Workflow::Repaired, thing_name, .. }) => {
            (Outcome::Repaired, Ok(thing_name.to_string()))
        }
        Err(Error::Refused(refusal)) => (Outcome::Refused, Err(refusal.to_string())),
        Err(error) => (Outcome::Failed, Err(error.to_string())),
    }
}
