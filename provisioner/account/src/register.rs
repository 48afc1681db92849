//! Multi-account registration (MAR): certificates that are put into the account one by one, without their CA, and then
//! registered by the same workflow that the function runs.

use aws_sdk_iot::types::CertificateStatus;
use futures::{StreamExt, stream};
use jitr::policy::{PolicyDocument, PolicyError};
use jitr::registration::{PolicyState, Refusal, Registration, Settings};
use jitr::registry::aws::AwsRegistry;
use jitr::registry::{CertificateStatus as Status, ErrorKind, Registry, RegistryError};
use jitr::scope::Scope;
use jitr::thing_name::{ThingName, ThingNameError};
use serde::Serialize;

mod journal;
mod quota;

pub use journal::Journal;
pub use quota::Quota;

use self::quota::{Paced, REGISTER};
use crate::counted;
use crate::registrar::ended;
use crate::setup::{Action, Link, TOOL};
use crate::{Account, Error as AccountError, Outcome, Resource};
use device_pki::Certificate;

/// Registrations under way at the same time: enough to use up the default quotas when an answer takes a second.
const SIDE_BY_SIDE: usize = 64;

/// Why certificates are not registered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Some failed.
    #[error("not registered: {failed} of {}", counted(*total, "certificate"))]
    Incomplete {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// Some were revoked, or their keys were.
    #[error("not registered: {failed} of {}, because they are revoked", counted(*total, "certificate"))]
    Revoked {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// Another run has the journal.
    #[error("another run is registering certificates: {} is in use", path.display())]
    Busy {
        /// The journal.
        path: std::path::PathBuf,
    },
    /// The journal cannot be read or written.
    #[error(transparent)]
    File(#[from] durable_files::Error),
    /// A line of the journal cannot be made.
    #[error("the journal cannot hold this entry")]
    Entry {
        /// Why.
        source: serde_json::Error,
    },
    /// The policy document.
    #[error("the policy document {document} cannot be used")]
    Policy {
        /// Its file, or the policy it is for.
        document: String,
        /// What is wrong with it, and where.
        source: PolicyError,
    },
    /// A call before the first certificate.
    #[error("the account cannot be set up")]
    Prepare(#[from] RegistryError),
}

/// One certificate to register.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The file it is from.
    pub source: String,
    /// The certificate.
    pub certificate: Certificate,
}

/// The result for one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The file it is from.
    pub source: String,
    /// SHA-256 of the DER, if there is a certificate in the file.
    pub certificate_id: Option<String>,
    /// Its thing, if it has one.
    pub thing_name: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// What certificates are registered with, as the account has it.
#[derive(Clone, Debug)]
pub struct Prerequisites {
    /// The policy and the thing type: there, or to be created.
    pub links: [Link; 2],
    /// The document that the policy is created with.
    document: PolicyDocument,
    /// Whether no new thing can have the thing type.
    deprecated: bool,
}

/// Registers certificates, with what it has learnt about the account.
#[derive(Debug)]
pub struct Registrar {
    iot: aws_sdk_iot::Client,
    account: Account,
    workflow: Registration<Paced<AwsRegistry>>,
    settings: Settings,
}

impl Registrar {
    /// One that stays under `quotas`.
    pub fn new(account: &Account, settings: Settings, quotas: &[Quota]) -> Self {
        let iot = account.iot_without_retries();
        let registry = Paced::new(AwsRegistry::new(iot.clone(), TOOL), quotas);
        let workflow = Registration::new(registry, settings.clone());
        Self { iot, account: account.clone(), workflow, settings }
    }

    /// The thing name that a certificate gives; what cannot be registered shows before the first call.
    ///
    /// # Errors
    /// What is wrong with the certificate.
    pub fn thing_name(&self, certificate: &Certificate) -> Result<ThingName, ThingNameError> {
        ThingName::from_certificate_der(certificate.der(), self.settings.thing_name_source)
    }

    /// Looks for the policy and the thing type.
    ///
    /// # Errors
    /// [`Error::Policy`] for a document that is too long, before any call; [`Error::Prepare`].
    pub async fn look(&self, scope: &Scope) -> Result<Prerequisites, Error> {
        let (settings, registry) = (&self.settings, self.workflow.registry());
        let document = settings
            .policy_template
            .fill(scope)
            .map_err(|source| Error::Policy { document: format!("of {}", settings.policy), source })?;
        let policy = self.workflow.warm_up().await?;
        let thing_type = match registry.describe_thing_type(&settings.thing_type).await {
            Err(error) if error.kind == ErrorKind::NotFound => None,
            described => Some(described?),
        };
        let exists = (policy != PolicyState::Missing, thing_type.is_some());
        let mut links = [
            Link::new(Resource::DevicePolicy, settings.policy.as_str(), exists.0, Vec::new()),
            Link::new(Resource::ThingType, settings.thing_type.as_str(), exists.1, Vec::new()),
        ];
        if policy == PolicyState::Different {
            links[0].details.push("has another document than the one it would be created with".to_owned());
        }
        let deprecated = thing_type.is_some_and(|found| found.deprecated);
        if deprecated {
            links[1].details.push("is deprecated: no new thing can have it".to_owned());
        }
        Ok(Prerequisites { links, document, deprecated })
    }

    /// Makes the policy and the thing type where the look found none.
    ///
    /// # Errors
    /// [`Error::Prepare`].
    pub async fn prepare(&self, found: &Prerequisites) -> Result<(), Error> {
        let (settings, registry) = (&self.settings, self.workflow.registry());
        let [policy, thing_type] = found.links.each_ref().map(|link| link.action == Action::Create);
        if policy {
            match registry.create_policy(&settings.policy, &found.document).await {
                Err(error) if error.kind == ErrorKind::AlreadyExists => {}
                created => created?,
            }
        }
        if thing_type {
            registry.create_thing_type(&settings.thing_type).await?;
        }
        if policy || thing_type {
            self.workflow.warm_up().await?;
        }
        Ok(())
    }

    /// What is missing for every certificate, if something is: a thing type that new things can have, or the thing group.
    ///
    /// # Errors
    /// Whatever `iot:DescribeThingGroup` ends in.
    pub async fn unmet(&self, found: &Prerequisites) -> Result<Option<String>, AccountError> {
        if found.deprecated {
            return Ok(Some(format!("thing type {} is deprecated", self.settings.thing_type)));
        }
        let Some(group) = &self.settings.thing_group else { return Ok(None) };
        let answer = self.iot.describe_thing_group().thing_group_name(group.as_str()).send().await;
        let there = self.account.found("iot:DescribeThingGroup", answer)?.is_some();
        Ok((!there).then(|| format!("thing group {group} does not exist")))
    }

    /// What registering a certificate would be refused for, as far as the account tells without a change; `None` where
    /// nothing stands in the way.
    ///
    /// # Errors
    /// Whatever `iot:DescribeCertificate` ends in.
    pub async fn obstacle(&self, certificate: &Certificate) -> Result<Option<String>, AccountError> {
        if let Err(error) = self.thing_name(certificate) {
            return Ok(Some(error.to_string()));
        }
        let id = &certificate.facts().certificate_id;
        let found = self.workflow.registry().describe_certificate(id).await;
        Ok(match found {
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(AccountError::Register(Error::Prepare(error))),
            Ok(found) => match found.status {
                Status::Active | Status::PendingActivation | Status::Inactive => None,
                status => Some(Refusal::Status(status).to_string()),
            },
        })
    }

    /// Registers certificates side by side and calls `done` for each; it is in the journal before that.
    ///
    /// # Errors
    /// [`Error::File`] if the journal cannot be written: then it stops. [`Error::Incomplete`] at the end if any failed.
    pub async fn register(
        &self,
        candidates: Vec<Candidate>,
        journal: &mut Journal,
        mut done: impl FnMut(&Row),
    ) -> Result<(), Error> {
        let (total, mut failed) = (candidates.len(), 0);
        let before: Vec<Option<String>> = candidates
            .iter()
            .map(|candidate| {
                journal.thing_of(&candidate.certificate.facts().certificate_id).map(str::to_owned)
            })
            .collect();
        let rows = stream::iter(candidates.into_iter().zip(before)).map(|(candidate, before)| async move {
            match before {
                Some(thing_name) => row(candidate, Outcome::DoneBefore, Ok(thing_name)),
                None => self.one(candidate).await,
            }
        });
        let mut rows = std::pin::pin!(rows.buffer_unordered(SIDE_BY_SIDE));
        while let Some(row) = rows.next().await {
            failed += usize::from(!row.outcome.is_good());
            if let (Some(id), Some(thing_name)) = (&row.certificate_id, &row.thing_name)
                && row.outcome != Outcome::DoneBefore
            {
                journal.record(id, thing_name)?;
            }
            done(&row);
        }
        if failed > 0 { Err(Error::Incomplete { failed, total }) } else { Ok(()) }
    }

    async fn one(&self, candidate: Candidate) -> Row {
        if let Err(error) = self.thing_name(&candidate.certificate) {
            return row(candidate, Outcome::Refused, Err(error.to_string()));
        }
        if let Err(error) = self.admit(&candidate.certificate).await {
            return row(candidate, Outcome::Failed, Err(with_causes(&error)));
        }
        let id = &candidate.certificate.facts().certificate_id;
        let (outcome, thing_name) = ended(self.workflow.register_certificate(id).await);
        row(candidate, outcome, thing_name)
    }

    /// Puts the certificate into the account, not yet usable. One that is there already is no failure.
    async fn admit(&self, certificate: &Certificate) -> Result<(), AccountError> {
        let pem = certificate.to_pem();
        let attempt = || async {
            let request = self.iot.register_certificate_without_ca().certificate_pem(&pem);
            let answer = request.status(CertificateStatus::Inactive).send().await;
            answer.map(drop).map_err(self.account.failed("iot:RegisterCertificateWithoutCA"))
        };
        let admitted = self.workflow.registry().turns(REGISTER).call(is_transient, attempt).await;
        match admitted {
            Err(error) if error.has_code("ResourceAlreadyExistsException") => Ok(()),
            admitted => admitted,
        }
    }
}

fn is_transient(error: &AccountError) -> bool {
    match error {
        AccountError::Throttled { .. } | AccountError::Unreachable { .. } => true,
        error => error.answer().is_some_and(|answer| answer.status >= 500),
    }
}

fn with_causes(error: &AccountError) -> String {
    match error.answer() {
        Some(answer) => format!("{error}: {answer}"),
        None => error.to_string(),
    }
}

fn row(candidate: Candidate, outcome: Outcome, thing_name: Result<String, String>) -> Row {
    let certificate_id = Some(candidate.certificate.facts().certificate_id.clone());
    let error = thing_name.as_ref().err().cloned();
    Row { source: candidate.source, certificate_id, thing_name: thing_name.ok(), outcome, error }
}

/// What the journal is kept for: account, Region and everything that decides what a registration does.
pub fn target(scope: &Scope, settings: &Settings) -> String {
    let Settings { policy, thing_type, thing_group, thing_name_source, .. } = settings;
    let group = thing_group.as_ref().map_or("-", |group| group.as_str());
    format!("{}{policy} {thing_type} {group} {thing_name_source:?}", place(scope))
}

/// Account and Region, as the journal writes them down.
fn place(scope: &Scope) -> String {
    format!("{} {} ", scope.account, scope.region)
}
