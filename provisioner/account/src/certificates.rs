//! The account's lists of certificates, every page of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_iot::operation::list_certificates_by_ca::ListCertificatesByCaOutput;
use aws_sdk_iot::types::{CertificateDescription, CertificateStatus};
use futures::{StreamExt, TryStreamExt, stream};
use jitr::registry::pages::Place;
use serde::Serialize;
use time::OffsetDateTime;

use super::account::existing;
use super::page::LARGEST;
use super::{Account, Error, quota};

/// Certificates that are looked at or changed at the same time: enough to use up the default quotas when the calls for one of them
/// take three seconds.
pub const SIDE_BY_SIDE: usize = 32;

/// Detaching takes effect a little later: how often, and after which pause, removing is tried again.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(500);

/// The status of a certificate that never gets in again.
pub(super) const REVOKED: &str = "REVOKED";

/// A certificate as the account lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// SHA-256 of the DER certificate, 64 lower-case hex digits.
    pub certificate_id: String,
    /// `ACTIVE`, `INACTIVE`, `REVOKED`, `PENDING_ACTIVATION`, `PENDING_TRANSFER`, …
    pub status: String,
    /// When AWS registered it, if it says so.
    pub since: Option<OffsetDateTime>,
}

/// Which certificates a list has.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// Every certificate of the account.
    Account,
    /// Those that were registered with the CA of this id; none where the account does not know the CA.
    Ca(&'a str),
}

/// Reads a list page by page and gives each certificate to `take`, until there is no more or `take` has enough.
///
/// # Errors
/// Errors of `iot:ListCertificates` or `iot:ListCertificatesByCA`.
pub async fn each(
    account: &Account,
    of: Of<'_>,
    mut take: impl FnMut(Listed) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut pages = List::new(account, of);
    while let Some(page) = pages.next().await? {
        if page.into_iter().try_for_each(&mut take).is_break() {
            break;
        }
    }
    Ok(())
}

/// Every certificate of a list.
///
/// # Errors
/// As [`each`].
pub async fn all(account: &Account, of: Of<'_>) -> Result<Vec<Listed>, Error> {
    let mut all = Vec::new();
    each(account, of, |listed| {
        all.push(listed);
        ControlFlow::Continue(())
    })
    .await?;
    Ok(all)
}

/// The pages of a list of certificates.
struct List<'a> {
    account: &'a Account,
    iot: aws_sdk_iot::Client,
    of: Of<'a>,
    place: Place,
}

impl<'a> List<'a> {
    fn new(account: &'a Account, of: Of<'a>) -> Self {
        Self { account, iot: account.iot_without_retries(), of, place: Place::default() }
    }

    /// The certificates of the next page; `None` after the last one.
    async fn next(&mut self) -> Result<Option<Vec<Listed>>, Error> {
        let Self { account, iot, of, place } = self;
        let found = match of {
            Of::Account => {
                let ask = |marker| iot.list_certificates().page_size(LARGEST).set_marker(marker).send();
                account.next_in_turn(place, "iot:ListCertificates", ask, |page| page.certificates).await?
            }
            Of::Ca(ca) => {
                let list = || iot.list_certificates_by_ca().ca_certificate_id(*ca);
                let ask = |marker| list().page_size(LARGEST).set_marker(marker).send();
                let of_page = |page: ListCertificatesByCaOutput| page.certificates;
                existing(account.next_in_turn(place, "iot:ListCertificatesByCA", ask, of_page).await)?
                    .flatten()
            }
        };
        Ok(found.map(|found| found.into_iter().filter_map(listed).collect()))
    }
}

/// So many certificates are asked for one by one rather than by reading a list.
const FEW: usize = 10;

/// The status of each of these certificates that the account has, by id. They are all on `list`, if the account has them. It is read
/// as long as that takes fewer calls than asking for each certificate that it has not shown yet.
///
/// # Errors
/// As [`each`]; errors of `iot:DescribeCertificate`.
pub async fn statuses(
    account: &Account,
    list: Of<'_>,
    ids: impl IntoIterator<Item = String>,
) -> Result<HashMap<String, String>, Error> {
    let mut unseen: HashSet<String> = ids.into_iter().collect();
    let (mut statuses, mut read) = (HashMap::new(), 0);
    let mut pages = List::new(account, list);
    while unseen.len() > FEW.max(read) {
        let Some(page) = pages.next().await? else {
            unseen.clear();
            break;
        };
        read += 1;
        for Listed { certificate_id, status, .. } in page {
            if unseen.remove(&certificate_id) {
                statuses.insert(certificate_id, status);
            }
        }
    }
    let rest = with_cas(account, unseen).await?;
    statuses.extend(rest.into_iter().map(|(id, (status, _))| (id, status)));
    Ok(statuses)
}

/// The status of each of these certificates that the account has, and the id of the CA that it was registered with, by id. Each is
/// asked for by itself.
///
/// # Errors
/// Errors of `iot:DescribeCertificate`.
pub async fn with_cas(
    account: &Account,
    ids: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, (String, Option<String>)>, Error> {
    let asked = stream::iter(ids).map(|id| async move {
        let found = describe(account, &id).await?;
        Ok::<_, Error>(found.map(|found| {
            let status = found.status.map(|status| status.as_str().to_owned()).unwrap_or_default();
            (id, (status, found.ca_certificate_id.filter(|ca| !ca.is_empty())))
        }))
    });
    asked.buffer_unordered(SIDE_BY_SIDE).try_filter_map(|found| async { Ok(found) }).try_collect().await
}

/// How long it takes to ask for so many certificates by themselves, at AWS's default quota: see [`with_cas`].
pub fn time_of_asking(count: usize) -> Duration {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    Duration::from_secs_f64(f64::from(count) / quota::default_rate("DescribeCertificate"))
}

/// The ids of the account's certificates that begin with these digits.
///
/// # Errors
/// Errors of `iot:ListCertificates`.
pub async fn beginning_with(account: &Account, digits: &str) -> Result<Vec<String>, Error> {
    let mut ids = Vec::new();
    each(account, Of::Account, |Listed { certificate_id, .. }| {
        ids.extend(Some(certificate_id).filter(|id| id.starts_with(digits)));
        ControlFlow::Continue(())
    })
    .await?;
    Ok(ids)
}

/// What the account knows of a certificate, if it knows it.
pub(super) async fn describe(account: &Account, id: &str) -> Result<Option<CertificateDescription>, Error> {
    const ACTION: &str = "iot:DescribeCertificate";
    let iot = account.iot_without_retries();
    let answer = account.call(ACTION, || iot.describe_certificate().certificate_id(id).send()).await;
    let Some(answer) = existing(answer)? else { return Ok(None) };
    let incomplete = Error::Incomplete { action: ACTION, what: "what the certificate is" };
    answer.certificate_description.ok_or(incomplete).map(Some)
}

/// Whether the account has this certificate as REVOKED.
///
/// # Errors
/// Errors of `iot:DescribeCertificate`.
pub async fn is_revoked(account: &Account, id: &str) -> Result<bool, Error> {
    let found = describe(account, id).await?;
    Ok(found.is_some_and(|found| found.status() == Some(&CertificateStatus::Revoked)))
}

/// The things that a certificate is attached to.
pub(super) async fn things(account: &Account, arn: &str) -> Result<Vec<String>, Error> {
    let iot = account.iot_without_retries();
    let list = || iot.list_principal_things().principal(arn).max_results(LARGEST);
    let ask = |token| list().set_next_token(token).send();
    account.all_in_turn("iot:ListPrincipalThings", ask, |page| page.things).await
}

/// The names of the policies that are attached to a certificate.
pub(super) async fn policies(account: &Account, arn: &str) -> Result<Vec<String>, Error> {
    let iot = account.iot_without_retries();
    let list = || iot.list_attached_policies().target(arn).page_size(LARGEST);
    let ask = |marker| list().set_marker(marker).send();
    let all = account.all_in_turn("iot:ListAttachedPolicies", ask, |page| page.policies).await?;
    Ok(all.into_iter().filter_map(|policy| policy.policy_name).collect())
}

/// The ARNs of what is attached to a thing.
pub(super) async fn principals(account: &Account, thing: &str) -> Result<Vec<String>, Error> {
    let iot = account.iot_without_retries();
    let list = || iot.list_thing_principals().thing_name(thing).max_results(LARGEST);
    let ask = |token| list().set_next_token(token).send();
    account.all_in_turn("iot:ListThingPrincipals", ask, |page| page.principals).await
}

/// Tries again while AWS answers with one of `codes`.
pub(super) async fn patiently<F>(codes: &[&str], attempt: impl Fn() -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>>,
{
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if codes.iter().any(|code| error.has_code(code)) => tokio::time::sleep(PAUSE).await,
            Err(error) if error.has_code("ResourceNotFoundException") => return Ok(()),
            ended => return ended,
        }
    }
    attempt().await
}

fn listed(certificate: aws_sdk_iot::types::Certificate) -> Option<Listed> {
    let status = certificate.status.map(|status| status.as_str().to_owned()).unwrap_or_default();
    let since = certificate.creation_date.map(|date| OffsetDateTime::from_unix_timestamp(date.secs()));
    Some(Listed { certificate_id: certificate.certificate_id?, status, since: since.and_then(Result::ok) })
}

/// How many certificates have which status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Tally(BTreeMap<String, usize>);

impl Tally {
    /// Counts a list.
    ///
    /// # Errors
    /// As [`each`].
    pub async fn of(account: &Account, list: Of<'_>) -> Result<Self, Error> {
        let mut tally = Self::default();
        each(account, list, |listed| {
            *tally.0.entry(listed.status).or_default() += 1;
            ControlFlow::Continue(())
        })
        .await?;
        Ok(tally)
    }

    /// How many have this status.
    pub fn with(&self, status: &str) -> usize {
        self.0.get(status).copied().unwrap_or_default()
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts: Vec<String> = self.0.iter().map(|(status, count)| format!("{count} {status}")).collect();
        if counts.is_empty() { f.write_str("none") } else { f.write_str(&counts.join(", ")) }
    }
}
