//! Waiting for what AWS does in its own time.

use std::time::Duration;

use tokio::time::Instant;

use crate::Error as AccountError;

/// How long to wait for a new role to be known everywhere in IAM, and for a function to become active.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Waiting that is longer is told.
const QUIET: Duration = Duration::from_secs(1);

/// What AWS does in its own time.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    /// A role that is new, or has a new policy.
    Role,
    /// A function that is made or updated.
    Function,
}

impl For {
    fn text(self) -> &'static str {
        match self {
            Self::Role => "AWS does not know everywhere yet what the role allows",
            Self::Function => "AWS Lambda has not finished making or updating the function",
        }
    }
}

/// Pauses that grow, up to [`PATIENCE`] in all.
pub(super) struct Waiting {
    what: For,
    since: Instant,
    pause: Duration,
    told: bool,
}

impl Waiting {
    pub(super) fn start(what: For) -> Self {
        Self { what, since: Instant::now(), pause: FIRST_PAUSE, told: false }
    }

    /// Pauses; `false` once [`PATIENCE`] is over.
    pub(super) async fn pause(&mut self) -> bool {
        if self.since.elapsed() > PATIENCE {
            return false;
        }
        if self.since.elapsed() + self.pause > QUIET && !self.told {
            self.told = true;
            tracing::warn!("{}; waiting, {} s at the most", self.what.text(), PATIENCE.as_secs());
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// A new role, its trust policy and its permissions take effect after some seconds: IAM is eventually consistent.
pub(super) fn is_role_too_new(error: &AccountError) -> bool {
    let codes = ["InvalidParameterValueException", "InvalidRequestException"];
    let says = |what| error.answer().is_some_and(|answer| answer.message.contains(what));
    codes.iter().any(|code| error.has_code(code))
        && (says("assume")
            || says("AssumeRole")
            || says("does not have permissions")
            || says("doesn't have permissions"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Answer;

    #[tokio::test(start_paused = true)]
    async fn waiting_that_lasts_is_told_and_ends() {
        let mut waiting = Waiting::start(For::Role);
        let (start, mut quiet) = (Instant::now(), Duration::ZERO);
        while waiting.pause().await {
            if !waiting.told {
                quiet = start.elapsed();
            }
        }
        assert!(quiet > Duration::ZERO && quiet <= QUIET, "{quiet:?}");
        assert!(waiting.told && start.elapsed() < PATIENCE + 2 * LONGEST_PAUSE);
    }

    #[test]
    fn only_a_role_that_cannot_do_its_part_yet_is_waited_for() {
        let error = |code: &str, message: &str| {
            let answer = Answer { code: code.into(), message: message.into(), status: 400 };
            AccountError::from_answer("lambda:CreateFunction", answer)
        };
        let invalid = "InvalidParameterValueException";
        let new = [
            (invalid, "The role defined for the function cannot be assumed by Lambda."),
            (invalid, "The provided execution role does not have permissions to call ReceiveMessage on SQS"),
            (invalid, "The function's execution role doesn't have permissions to call SendMessage on arn:q"),
            (
                "InvalidRequestException",
                "iot.amazonaws.com is unable to perform: sts:AssumeRole on resource: arn:r",
            ),
        ];
        for (code, message) in new {
            assert!(is_role_too_new(&error(code, message)), "{message}");
        }
        assert!(!is_role_too_new(&error(invalid, "Unzipped size must be smaller than 262144000 bytes")));
        assert!(!is_role_too_new(&error("ResourceConflictException", "Function already exist: JITR")));
    }
}
