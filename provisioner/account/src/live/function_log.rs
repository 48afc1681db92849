//! What the function has logged of registrations, from Amazon CloudWatch Logs.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::account::existing;
use crate::{Account, Error, setup};

/// AWS Lambda makes a group for each function (AWS Lambda Developer Guide, "Sending Lambda function logs to CloudWatch Logs").
const GROUPS: &str = "/aws/lambda/";

/// The clock of this computer may be ahead of AWS's by this much.
const AHEAD: Duration = Duration::from_secs(60);

/// Lines that have this word are those about a certificate. A filter of Amazon CloudWatch Logs: a term in quotes.
const PATTERN: &str = "\"certificateId\"";

/// A line of the function's log about the registration of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logged {
    /// The certificate.
    pub certificate_id: String,
    /// `registered`, `repaired`, `refused` or `failed`.
    pub outcome: String,
    /// The name of the thing, where it is registered.
    #[serde(default)]
    pub thing_name: Option<String>,
    /// The code of a refusal or a failure.
    #[serde(default)]
    pub reason: Option<String>,
    /// The sentence.
    #[serde(default)]
    pub message: String,
}

impl Logged {
    /// Reads a line of the log; `None` for lines that are not about a certificate.
    pub fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Whether the certificate is registered.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome.as_str(), "registered" | "repaired")
    }
}

/// The log of one function from now on.
#[derive(Debug)]
pub struct FunctionLog {
    group: String,
    /// Milliseconds since 1970.
    since: i64,
    /// Ids of the lines that were given out.
    seen: HashSet<String>,
}

impl FunctionLog {
    /// That of the function with this name or ARN, of what is logged from `now` on.
    pub fn new(function: &str, now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(AHEAD);
        Self {
            group: format!("{GROUPS}{}", setup::base_name(function)),
            since: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            seen: HashSet::new(),
        }
    }

    /// What has been logged since it was last read.
    ///
    /// # Errors
    /// What the call ends in, without permission, too.
    pub async fn read(&mut self, account: &Account) -> Result<Vec<Logged>, Error> {
        let logs = account.logs();
        let list = || logs.filter_log_events().log_group_name(&self.group).start_time(self.since);
        let ask = |token| list().filter_pattern(PATTERN).set_next_token(token).send();
        // The group is made with the first line of the function.
        let events = existing(account.all("logs:FilterLogEvents", ask, |page| page.events).await)?;
        let new = events
            .into_iter()
            .flatten()
            .filter(|event| event.event_id().is_none_or(|id| self.seen.insert(id.to_owned())));
        Ok(new.filter_map(|event| Logged::read(event.message()?)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_certificates_are_told_from_others() {
        let line = r#"{"timestamp":"2026-11-27T12:00:00Z","level":"INFO","message":"registered","requestId":"r",
            "certificateId":"ab","thingName":"t","outcome":"registered"}"#;
        let logged = Logged::read(line).unwrap();
        assert!(
            logged.is_done() && logged.thing_name.as_deref() == Some("t") && logged.certificate_id == "ab"
        );
        let refused = r#"{"level":"ERROR","message":"no","certificateId":"ab","outcome":"refused","reason":"other_ca"}"#;
        let refused = Logged::read(refused).unwrap();
        assert!(!refused.is_done() && refused.reason.as_deref() == Some("other_ca"));
        for other in ["START RequestId: 7", "{}", "[]", r#"{"certificateId":7,"outcome":"registered"}"#, ""] {
            assert_eq!(Logged::read(other), None, "{other}");
        }
    }

    #[test]
    fn the_group_is_that_of_the_function_whatever_its_version() {
        let group = |function: &str| FunctionLog::new(function, SystemTime::UNIX_EPOCH).group;
        assert_eq!(group("JITR"), "/aws/lambda/JITR");
        assert_eq!(group("JITR:live"), "/aws/lambda/JITR");
        assert_eq!(group("arn:aws:lambda:us-east-1:123456789012:function:JITR:live"), "/aws/lambda/JITR");
    }
}
