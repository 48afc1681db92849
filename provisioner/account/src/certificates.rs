//! The account's lists of certificates, every page of them.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;

use aws_sdk_iot::types::{CertificateDescription, CertificateStatus};

use super::account::existing;
use super::{Account, Error};

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
}

/// Every certificate of the account.
///
/// # Errors
/// Errors of `iot:ListCertificates`.
pub async fn all(account: &Account) -> Result<Vec<Listed>, Error> {
    let iot = account.iot();
    let pages = iot.list_certificates().into_paginator().send();
    let all = account.all("iot:ListCertificates", pages, |page| page.certificates).await?;
    Ok(all.into_iter().filter_map(listed).collect())
}

/// Every certificate that was registered with this CA; none where the account does not know the CA.
///
/// # Errors
/// Errors of `iot:ListCertificatesByCA`.
pub async fn of_ca(account: &Account, ca_id: &str) -> Result<Vec<Listed>, Error> {
    let iot = account.iot();
    let pages = iot.list_certificates_by_ca().ca_certificate_id(ca_id).into_paginator().send();
    let all = existing(account.all("iot:ListCertificatesByCA", pages, |page| page.certificates).await)?
        .unwrap_or_default();
    Ok(all.into_iter().filter_map(listed).collect())
}

/// The ids of the account's certificates that begin with these digits.
///
/// # Errors
/// Errors of `iot:ListCertificates`.
pub async fn beginning_with(account: &Account, digits: &str) -> Result<Vec<String>, Error> {
    let ids = all(account).await?.into_iter().map(|listed| listed.certificate_id);
    Ok(ids.filter(|id| id.starts_with(digits)).collect())
}

/// What the account knows of a certificate, if it knows it.
pub(super) async fn describe(account: &Account, id: &str) -> Result<Option<CertificateDescription>, Error> {
    const ACTION: &str = "iot:DescribeCertificate";
    let answer = account.iot().describe_certificate().certificate_id(id).send().await;
    let Some(answer) = account.found(ACTION, answer)? else { return Ok(None) };
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
    let pages = account.iot().list_principal_things().principal(arn).into_paginator().send();
    account.all("iot:ListPrincipalThings", pages, |page| page.things).await
}

/// The names of the policies that are attached to a certificate.
pub(super) async fn policies(account: &Account, arn: &str) -> Result<Vec<String>, Error> {
    let pages = account.iot().list_attached_policies().target(arn).into_paginator().send();
    let all = account.all("iot:ListAttachedPolicies", pages, |page| page.policies).await?;
    Ok(all.into_iter().filter_map(|policy| policy.policy_name).collect())
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
    Some(Listed { certificate_id: certificate.certificate_id?, status })
}

/// How many certificates have which status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Tally(BTreeMap<String, usize>);

impl Tally {
    /// Counts a list.
    pub fn of(list: &[Listed]) -> Self {
        let mut tally = Self::default();
        for listed in list {
            *tally.0.entry(listed.status.clone()).or_default() += 1;
        }
        tally
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
