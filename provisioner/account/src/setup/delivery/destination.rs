//! Where AWS Lambda sends an event that the rule invoked the function with, and that failed for good.

use super::super::link::Link;
use super::super::waiting::{For, Waiting, is_role_too_new};
use crate::{Account, Error as AccountError, Resource, queue};

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There is one, whichever it is.
    Leave,
    Set {
        /// ARN of the destination of events that succeeded. It stays.
        succeeded: Option<String>,
    },
}

/// Looks for a destination of the function.
pub(crate) async fn decide(account: &Account, function: &str) -> Result<Step, AccountError> {
    let found = queue::destinations(account, function).await?;
    Ok(match found.failed {
        Some(_) => Step::Leave,
        None => Step::Set { succeeded: found.succeeded },
    })
}

impl Step {
    pub(crate) fn link(&self, queue: &str) -> Link {
        Link::new(Resource::OnFailure, queue, *self == Self::Leave, Vec::new())
    }

    /// Does it, trying again while the role's new policy is not known everywhere.
    pub(crate) async fn apply(
        &self,
        account: &Account,
        function: &str,
        queue: &str,
    ) -> Result<(), AccountError> {
        let Self::Set { succeeded } = self else { return Ok(()) };
        let mut waiting = Waiting::start(For::Role);
        loop {
            match queue::set_destination(account, function, queue, succeeded.as_deref()).await {
                Err(error) if is_role_too_new(&error) && waiting.pause().await => {}
                ended => return ended,
            }
        }
    }
}
