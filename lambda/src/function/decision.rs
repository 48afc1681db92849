//! The answer to an invocation, and why an event has to be repeated.

use serde::Serialize;

use crate::event::EventError;
use crate::registration::Error;

/// What an invocation is answered with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The decision about one event.
    Decision(Decision),
    /// The records of a batch that have to be repeated.
    Batch(Batch),
}

/// The records of a batch that have to be repeated; the others are deleted (AWS Lambda Developer Guide, "Implementing partial
/// batch responses").
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Batch {
    /// One for each record.
    pub batch_item_failures: Vec<ItemFailure>,
}

/// A record that has to be repeated.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// The id of the message.
    pub item_identifier: String,
}

/// The decision about one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Decision {
    /// The certificate was activated.
    Registered {
        /// The certificate.
        certificate_id: String,
        /// Its thing.
        thing_name: String,
    },
    /// The certificate was ACTIVE already and has everything it needs.
    Repaired {
        /// The certificate.
        certificate_id: String,
        /// Its thing.
        thing_name: String,
    },
    /// Nothing was activated, and a repetition of the event activates nothing.
    Refused {
        /// The certificate, if the event names one.
        #[serde(skip_serializing_if = "Option::is_none")]
        certificate_id: Option<String>,
        /// A stable code.
        reason: &'static str,
        /// What is wrong, for people.
        message: String,
    },
}

/// Why an event has to be repeated.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A call failed.
    #[error(transparent)]
    Registration(Error),
    /// The invocation's time is up.
    #[error("the time of the invocation was up before the registration was complete")]
    OutOfTime,
    /// The message is not understood. Whoever delivers it keeps it.
    #[error(transparent)]
    Event(#[from] EventError),
}

impl Failure {
    /// Whether it says nothing about the event, so that a repetition is as likely to succeed as any other.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::OutOfTime => true,
            Self::Registration(Error::Registry(error)) => error.kind.is_transient(),
            Self::Registration(_) | Self::Event(_) => false,
        }
    }
}

impl From<Failure> for lambda_runtime::Diagnostic {
    fn from(failure: Failure) -> Self {
        let error_type = match &failure {
            Failure::Registration(Error::Registry(error)) => {
                error.code.clone().unwrap_or_else(|| format!("{:?}", error.kind))
            }
            Failure::Registration(Error::Revocation(_)) => "RevocationList".to_owned(),
            Failure::Registration(Error::Admission(_)) => "AdmissionList".to_owned(),
            Failure::Registration(_) => "Registration".to_owned(),
            Failure::OutOfTime => "OutOfTime".to_owned(),
            Failure::Event(error) => error.reason().to_owned(),
        };
        Self { error_type, error_message: failure.to_string() }
    }
}
