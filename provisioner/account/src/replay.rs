//! Repeats incomplete registrations: sends the event again that AWS sent when the device connected.

use std::borrow::Cow;
use std::ops::ControlFlow;

use aws_sdk_iot::types::CertificateStatus as SdkStatus;
use aws_sdk_lambda::primitives::Blob;
use jitr::admission::Admission;
use jitr::event::{self, Event};
use jitr::registration::Registration;
use jitr::registry::CertificateStatus;
use jitr::registry::aws::AwsRegistry;
use jitr::scope::Scope;
use serde::Serialize;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

mod from_queue;
mod recorded;

pub use from_queue::{look_into, queue, replay_queue};
pub use recorded::recorded;

use crate::certificates::{self, Listed, Of};
use crate::counted;
use crate::registrar::{self, ended};
use crate::setup::{self, deploy};
use crate::turns::Turns;
use crate::{Account, Error as AccountError, Outcome, Queue, admission};

/// Why certificates are still not registered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Some failed.
    #[error("failed: {failed} of {}", counted(*total, "registration"))]
    Incomplete {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// Some are of revoked certificates, and no other failed.
    #[error("not registered: {failed} of {}, because they are revoked", counted(*total, "certificate"))]
    Revoked {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// Some events of a queue have not led to a registration, and stay in it.
    #[error("failed: {failed} of {}, which stay in queue {queue}", counted(*total, "event"))]
    Stays {
        /// The queue.
        queue: String,
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// The environment of the function.
    #[error("the settings of the function cannot be used")]
    Settings(#[from] jitr::config::ConfigError),
    /// The function sends what failed nowhere.
    #[error("the function `{function}` has no queue of failed events")]
    NoQueue {
        /// Name or ARN.
        function: String,
    },
    /// A topic, a bus or another function.
    #[error("{arn} is not a queue that events can be taken from")]
    NotAQueue {
        /// As given, or as the function has it.
        arn: String,
    },
}

/// Which certificates are meant.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this CA.
    pub ca: Option<String>,
    /// Only those that have waited for at least this time.
    pub age: Option<Duration>,
}

/// A certificate that waits for its registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub certificate_id: String,
    /// When AWS registered it, if it says so.
    pub since: Option<OffsetDateTime>,
}

/// The certificates that are PENDING_ACTIVATION and meant by `filter`. All pages are read.
///
/// # Errors
/// Errors of the calls.
pub async fn pending(
    account: &Account,
    filter: &Filter,
    now: OffsetDateTime,
) -> Result<Vec<Pending>, AccountError> {
    let mut pending = Vec::new();
    let list = filter.ca.as_deref().map_or(Of::Account, Of::Ca);
    certificates::each(account, list, |Listed { certificate_id, status, since }| {
        let waits = status == SdkStatus::PendingActivation.as_str();
        let found = Some(Pending { certificate_id, since }).filter(|_| waits);
        pending.extend(found.filter(|found| is_old_enough(found, filter.age, now)));
        ControlFlow::Continue(())
    })
    .await?;
    Ok(pending)
}

/// One whose age is not known counts as old: it is there, and it waits.
fn is_old_enough(pending: &Pending, age: Option<Duration>, now: OffsetDateTime) -> bool {
    match (age, pending.since) {
        (Some(age), Some(since)) => now - since >= age,
        _ => true,
    }
}

/// An event to send.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// To be made for a certificate.
    Certificate(String),
    /// Recorded earlier.
    Recorded {
        /// Where: file and number, or id of the message.
        source: String,
        /// The event, not parsed yet, and whatever is around it.
        event: Value,
    },
}

/// The result for one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The certificate, if the event names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_id: Option<String>,
    /// File and number, or id of the message, of an event that names no certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its thing, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thing_name: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong, if something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it is refused because it is revoked.
    #[serde(skip)]
    is_revoked: bool,
}

impl Row {
    /// A certificate whose event is not sent, because it is revoked.
    pub fn revoked(certificate_id: &str, error: impl ToString) -> Self {
        Self { is_revoked: true, ..Self::bad(certificate_id, Outcome::Refused, error) }
    }

    /// What the workflow has refused, with the [`Refusal`]'s code and text.
    fn refused(certificate_id: &str, reason: &str, message: &str) -> Self {
        let status = reason == "certificate_status" && message.contains(certificates::REVOKED);
        let is_revoked = status || reason == "certificate_revoked";
        Self { is_revoked, ..Self::bad(certificate_id, Outcome::Refused, message) }
    }

    fn bad(certificate_id: &str, outcome: Outcome, error: impl ToString) -> Self {
        Self { error: Some(error.to_string()), ..Self::good(certificate_id, outcome, None) }
    }

    /// The certificate, or where the event is from that names none.
    pub fn name(&self) -> &str {
        self.certificate_id.as_ref().or(self.source.as_ref()).map_or("", String::as_str)
    }

    fn is_good(&self) -> bool {
        self.outcome.is_good()
    }

    fn good(certificate_id: &str, outcome: Outcome, thing_name: Option<String>) -> Self {
        let certificate_id = Some(certificate_id.to_owned());
        Self { certificate_id, source: None, thing_name, outcome, error: None, is_revoked: false }
    }
}

/// How many events have not led to a registration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Failed {
    all: usize,
    revoked: usize,
}

impl Failed {
    /// Counts a row.
    pub fn count(&mut self, row: &Row) {
        self.all += usize::from(!row.is_good());
        self.revoked += usize::from(row.is_revoked);
    }

    /// As [`Failed::of`], for the events of a queue.
    ///
    /// # Errors
    /// [`Error::Stays`] in place of [`Error::Incomplete`].
    pub fn of_queue(self, total: usize, queue: &Queue) -> Result<(), AccountError> {
        self.of(total).map_err(|error| match error {
            AccountError::Replay(Error::Incomplete { failed, total }) => {
                Error::Stays { queue: queue.name.clone(), failed, total }.into()
            }
            error => error,
        })
    }

    /// How it ends for `total` events.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if any failed; [`Error::Revoked`] if all of those are revoked.
    pub fn of(self, total: usize) -> Result<(), AccountError> {
        match self {
            Self { all: 0, .. } => Ok(()),
            Self { all: failed, revoked } if failed == revoked => {
                Err(Error::Revoked { failed, total }.into())
            }
            Self { all: failed, .. } => Err(Error::Incomplete { failed, total }.into()),
        }
    }
}

/// Which way an event takes to its registration.
#[derive(Debug)]
pub enum Route {
    /// The function of this name or ARN.
    Function(String),
    /// The same workflow, in this process.
    Local(Box<Registration<AwsRegistry>>),
}

impl Route {
    /// The workflow in this process, with the settings and the admission list of the function if there is one, and else the defaults.
    ///
    /// # Errors
    /// [`Error::Settings`], [`admission::Error`], and errors of reading the function.
    pub async fn local(account: &Account, function: &str) -> Result<Self, AccountError> {
        let (settings, admission) = match deploy::find(account, function).await? {
            Some(deployed) => {
                (registrar::settings(&deployed)?, admission::in_process(account, function, &deployed).await?)
            }
            None => (setup::defaults()?, Admission::default()),
        };
        let registration = Registration::new(account.registry(), settings).with_admission(admission);
        Ok(Self::Local(Box::new(registration)))
    }

    /// Whether there is such a function.
    ///
    /// # Errors
    /// [`crate::setup::Error::NoFunction`], and whatever asking for it ends in.
    pub async fn check(&self, account: &Account) -> Result<(), AccountError> {
        let Self::Function(name) = self else { return Ok(()) };
        setup::check_is_here(account, name).await?;
        match deploy::find(account, name).await? {
            Some(_) => Ok(()),
            None => Err(crate::setup::Error::NoFunction { name: name.clone() }.into()),
        }
    }
}

/// An event that can be sent.
#[derive(Clone, Debug)]
pub struct Ready {
    event: Event,
    payload: Value,
}

impl Ready {
    /// The certificate.
    pub fn certificate_id(&self) -> &str {
        &self.event.certificate_id
    }
}

/// Makes the event of a job, or says why there is none to send.
///
/// # Errors
/// What concerns all jobs: credentials, permissions, the way to AWS.
pub async fn look(account: &Account, scope: &Scope, job: &Job) -> Result<Result<Ready, Row>, AccountError> {
    let refused = |id: &str, error: &str| Ok(Err(Row::bad(id, Outcome::Refused, error)));
    let payload = match job {
        Job::Recorded { event, .. } => event::opened(event).map(Cow::into_owned),
        Job::Certificate(id) => match certificates::describe(account, id).await? {
            None => return refused(id, "there is no such certificate in this account"),
            Some(found) if found.status() == Some(&SdkStatus::Revoked) => {
                return Ok(Err(Row::revoked(id, "the certificate is REVOKED")));
            }
            Some(found) => match found.ca_certificate_id.filter(|ca| !ca.is_empty()) {
                None => return refused(id, "no CA of this account signed it, so AWS sends no event"),
                Some(ca) => Ok(published(id, &ca, &scope.account, OffsetDateTime::now_utc())),
            },
        },
    };
    // The event alone is sent, whatever was around it.
    match payload.and_then(|payload| Ok(Ready { event: Event::from_value(&payload)?, payload })) {
        Ok(ready) => Ok(Ok(ready)),
        Err(error) => Ok(Err(match job {
            Job::Certificate(id) => Row::bad(id, Outcome::Refused, error),
            Job::Recorded { source, .. } => {
                let source = Some(source.clone());
                Row { certificate_id: None, source, ..Row::bad("", Outcome::Refused, error) }
            }
        })),
    }
}

/// Why the function would refuse an event, as far as the account tells without a change.
///
/// # Errors
/// As [`look`].
pub async fn refusal(account: &Account, ready: &Ready) -> Result<Option<Row>, AccountError> {
    let Event { certificate_id, ca_certificate_id, .. } = &ready.event;
    let refused = |reason: &str| Ok(Some(Row::bad(certificate_id, Outcome::Refused, reason.to_owned())));
    match certificates::describe(account, certificate_id).await? {
        None => refused("there is no such certificate in this account"),
        Some(found) if found.ca_certificate_id.as_deref() != Some(ca_certificate_id) => {
            refused("the event names another CA than that of the certificate")
        }
        Some(_) => Ok(None),
    }
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub enum Planned {
    /// The event of a certificate that waits; it is looked at when its turn comes.
    Waiting(Pending),
    /// Looked at already.
    Looked(Result<Ready, Row>),
}

impl Planned {
    /// The certificate, unless it is refused already.
    pub fn certificate_id(&self) -> Option<&str> {
        match self {
            Self::Waiting(pending) => Some(&pending.certificate_id),
            Self::Looked(Ok(ready)) => Some(ready.certificate_id()),
            Self::Looked(Err(_)) => None,
        }
    }
}

/// Sends events one after the other, at most `rate` a second, and calls `done` for each.
///
/// # Errors
/// What concerns all of them: credentials, permissions, the way to AWS. at the end as [`Failed::of`].
pub async fn replay(
    account: &Account,
    scope: &Scope,
    route: &Route,
    planned: Vec<Planned>,
    rate: f64,
    mut done: impl FnMut(&Row),
) -> Result<(), AccountError> {
    let turns = Turns::new(rate);
    let (total, mut failed) = (planned.len(), Failed::default());
    for planned in planned {
        turns.turn().await;
        let ready = match planned {
            Planned::Looked(looked) => looked,
            Planned::Waiting(pending) => {
                look(account, scope, &Job::Certificate(pending.certificate_id)).await?
            }
        };
        let row = match ready {
            Ok(ready) => send(account, route, &ready).await?,
            Err(row) => row,
        };
        failed.count(&row);
        done(&row);
    }
    failed.of(total)
}

async fn send(account: &Account, route: &Route, ready: &Ready) -> Result<Row, AccountError> {
    let Ready { event, payload } = ready;
    let id = event.certificate_id.as_str();
    match route {
        Route::Function(function) => invoke(account, function, id, payload).await,
        Route::Local(workflow) => Ok(match workflow.register_event(event).await {
            Err(jitr::registration::Error::Refused(refusal)) => {
                Row::refused(id, refusal.reason(), &refusal.to_string())
            }
            registered => match ended(registered) {
                (outcome, Ok(thing_name)) => Row::good(id, outcome, Some(thing_name)),
                (outcome, Err(reason)) => Row::bad(id, outcome, reason),
            },
        }),
    }
}

/// The event as AWS publishes it (AWS IoT Developer Guide, "Just-in-time registration").
fn published(certificate_id: &str, ca: &str, account: &str, now: OffsetDateTime) -> Value {
    json!({
        "certificateId": certificate_id,
        "caCertificateId": ca,
        "timestamp": now.unix_timestamp() * 1000,
        "certificateStatus": CertificateStatus::PendingActivation.name(),
        "awsAccountId": account,
        "certificateRegistrationTimestamp": null,
    })
}

/// Invokes the function and waits for its answer.
async fn invoke(account: &Account, function: &str, id: &str, payload: &Value) -> Result<Row, AccountError> {
    let request = account.lambda().invoke().function_name(function);
    let answer = request.payload(Blob::new(payload.to_string())).send().await;
    let answer = answer.map_err(account.failed("lambda:InvokeFunction"))?;
    let bytes = answer.payload.map(Blob::into_inner).unwrap_or_default();
    let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if answer.function_error.is_some() {
        let text = said["errorMessage"].as_str().unwrap_or("the function failed and did not say why");
        return Ok(Row::bad(id, Outcome::Failed, text));
    }
    if let Some(row) = decision(id, &said) {
        return Ok(row);
    }
    // Another function than ours says nothing that could be understood; what it did shows.
    let found = certificates::describe(account, id).await?;
    match found.and_then(|found| found.status) {
        Some(SdkStatus::Active) => Ok(Row::good(id, Outcome::Registered, None)),
        _ => Ok(Row::bad(id, Outcome::Failed, "the function ended well, and the certificate is not ACTIVE")),
    }
}

/// The decision in the function's answer.
fn decision(id: &str, said: &Value) -> Option<Row> {
    let thing_name = said["thingName"].as_str().map(str::to_owned);
    match said["outcome"].as_str()? {
        "registered" => Some(Row::good(id, Outcome::Registered, thing_name)),
        "repaired" => Some(Row::good(id, Outcome::Repaired, thing_name)),
        "refused" => {
            let message = said["message"].as_str().unwrap_or("no reason is given");
            Some(Row::refused(id, said["reason"].as_str().unwrap_or_default(), message))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

    #[test]
    fn the_event_is_one_that_the_function_takes() {
        let now = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        let event = Event::from_value(&published(ID, &ID.replace('a', "b"), "123456789012", now)).unwrap();
        assert_eq!(event.certificate_id, ID);
        assert_eq!(event.aws_account_id.as_deref(), Some("123456789012"));
        assert_eq!(event.timestamp, Some(1_790_000_000_000));
    }

    #[test]
    fn age_counts_from_the_registration_and_an_unknown_one_as_old() {
        let now = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        let since =
            |seconds| Pending { certificate_id: ID.into(), since: Some(now - Duration::seconds(seconds)) };
        let hour = Some(Duration::hours(1));
        assert!(is_old_enough(&since(3600), hour, now));
        assert!(!is_old_enough(&since(3599), hour, now));
        assert!(is_old_enough(&since(0), None, now));
        assert!(is_old_enough(&Pending { since: None, ..since(0) }, hour, now));
    }

    #[test]
    fn a_revoked_certificate_counts_apart_from_what_failed() {
        let ended = |rows: &[Row]| {
            let mut failed = Failed::default();
            rows.iter().for_each(|row| failed.count(row));
            failed.of(rows.len())
        };
        let (good, revoked) = (Row::good(ID, Outcome::Registered, None), Row::revoked(ID, "it was revoked"));
        let failed = Row::bad(ID, Outcome::Failed, "no");
        assert!(ended(std::slice::from_ref(&good)).is_ok());
        let only = ended(&[good.clone(), revoked.clone()]);
        assert!(
            matches!(only, Err(AccountError::Replay(Error::Revoked { failed: 1, total: 2 }))),
            "{only:?}"
        );
        let both = ended(&[good, revoked, failed]);
        assert!(
            matches!(both, Err(AccountError::Replay(Error::Incomplete { failed: 2, total: 3 }))),
            "{both:?}"
        );
    }

    #[test]
    fn the_answer_of_the_function_is_understood() {
        let row =
            decision(ID, &json!({"outcome": "registered", "certificateId": ID, "thingName": "t"})).unwrap();
        assert_eq!(row, Row::good(ID, Outcome::Registered, Some("t".into())));
        let refused =
            json!({"outcome": "refused", "reason": "certificate_status", "message": "it is REVOKED"});
        let row = decision(ID, &refused).unwrap();
        assert_eq!((row.error.as_deref(), row.is_revoked), (Some("it is REVOKED"), true));
        let refused = json!({"outcome": "refused", "reason": "other_ca", "message": "no"});
        assert!(!decision(ID, &refused).unwrap().is_revoked);
        assert_eq!(decision(ID, &json!({"batchItemFailures": []})), None);
        assert_eq!(decision(ID, &Value::Null), None);
    }
}
