//! Multi-account registration (MAR): certificates that are put into the account one by one, without their CA, and then
//! registered by the same workflow that the function runs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::ready;

use aws_sdk_iot::types::CertificateStatus;
use futures::{StreamExt, stream};
use jitr::description::Fields;
use jitr::policy::{PolicyDocument, PolicyError};
use jitr::registration::{Error as Workflow, PolicyState, Refusal, Registration, Settings};
use jitr::registry::aws::AwsRegistry;
use jitr::registry::{CertificateStatus as Status, ErrorKind, Operation, Registry, RegistryError};
use jitr::scope::Scope;
use jitr::thing_name::{ThingName, ThingNameError};

mod journal;
mod row;

pub use self::journal::{Elsewhere, Journal};
use self::row::row;
pub use self::row::{Bad, Candidate, Item, Row};
pub use crate::quota::Quota;

use crate::certificates::{self, Of};
use crate::counted;
use crate::description;
use crate::quota::{Paced, REGISTER};
use crate::registrar::ended;
use crate::setup::{Action, Link, TOOL, thing_type};
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
    #[error("not registered: {failed} of {}, because they are revoked or off the admission list", counted(*total, "certificate"))]
    Revoked {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// Some are none that can be registered, or a person has to decide first; no other failed.
    #[error("not registered: {failed} of {}", counted(*total, "certificate"))]
    Refused {
        /// How many.
        failed: usize,
        /// Of how many.
        total: usize,
    },
    /// The account lacks what every certificate needs.
    #[error("no certificate can be registered: {0}")]
    Unmet(#[from] Unmet),
    /// What failed for one certificate would fail for all.
    #[error("stopped: {left} of {} not registered", counted(*total, "certificate"))]
    Stopped {
        /// How many are not registered.
        left: usize,
        /// Of how many.
        total: usize,
        /// What failed.
        source: Box<AccountError>,
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
}

/// What every certificate needs, and the account does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// The thing type is deprecated.
    #[error("thing type {name} {}", thing_type::DEPRECATED)]
    ThingType {
        /// Its name.
        name: String,
    },
    /// There is no such group.
    #[error("thing group {name} does not exist")]
    ThingGroup {
        /// Its name.
        name: String,
    },
    /// There is no such billing group.
    #[error("billing group {name} does not exist")]
    BillingGroup {
        /// Its name.
        name: String,
    },
    /// There is no such policy.
    #[error("additional policy {name} does not exist")]
    Policy {
        /// Its name.
        name: String,
    },
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
    /// What is known of boards besides their certificates, by certificate id.
    known: HashMap<String, Fields>,
}

impl Registrar {
    /// One that stays under `quotas`.
    pub fn new(account: &Account, settings: Settings, quotas: &[Quota]) -> Self {
        let iot = account.iot_without_retries();
        let registry = Paced::new(AwsRegistry::new(iot.clone(), TOOL), quotas);
        let workflow = Registration::new(registry, settings.clone());
        Self { iot, account: account.clone(), workflow, settings, known: HashMap::new() }
    }

    /// The same, with what is known of boards besides their certificates, by certificate id.
    #[must_use]
    pub fn knowing(self, known: HashMap<String, Fields>) -> Self {
        Self { known, ..self }
    }

    /// What is known of a board besides its certificate.
    fn known(&self, certificate: &Certificate) -> Fields {
        self.known.get(&certificate.facts().certificate_id).cloned().unwrap_or_default()
    }

    /// Why a certificate cannot be registered; what shows before the first call.
    ///
    /// # Errors
    /// What is wrong with it, or with what its thing is to be described with.
    fn check_certificate(&self, certificate: &Certificate) -> Result<(), Refusal> {
        let thing = self.thing_name(certificate)?;
        let templates = &self.settings.description;
        if templates.fields().next().is_some() {
            let id = &certificate.facts().certificate_id;
            let fields = Fields::of_certificate(&certificate.to_pem(), id, &thing)?;
            templates.fill(&fields.and(&self.known(certificate)))?;
        }
        Ok(())
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
    /// [`Error::Policy`] for a document that is too long, before any call; errors of the calls.
    pub async fn look(&self, scope: &Scope) -> Result<Prerequisites, AccountError> {
        let failed = |error| self.account.of_registry(error);
        let (settings, registry) = (&self.settings, self.workflow.registry());
        let document = settings
            .policy_template
            .fill(scope)
            .map_err(|source| Error::Policy { document: format!("of {}", settings.policy), source })?;
        let policy = self.workflow.warm_up().await.map_err(failed)?;
        let thing_type = match registry.describe_thing_type(&settings.thing_type).await {
            Err(error) if error.kind == ErrorKind::NotFound => None,
            described => Some(described.map_err(failed)?),
        };
        let exists = (policy != PolicyState::Missing, thing_type.is_some());
        let deprecated = thing_type.is_some_and(|found| found.deprecated);
        let changes = if deprecated { vec![thing_type::REVIVED.to_owned()] } else { Vec::new() };
        let mut links = [
            Link::new(Resource::DevicePolicy, settings.policy.as_str(), exists.0, Vec::new()),
            Link::new(Resource::ThingType, settings.thing_type.as_str(), exists.1, changes),
        ];
        if policy == PolicyState::Different {
            links[0].details.push("has another document than the one it would be created with".to_owned());
        }
        Ok(Prerequisites { links, document, deprecated })
    }

    /// Makes the policy and the thing type where the look found none, and takes a deprecated thing type into use again.
    ///
    /// # Errors
    /// Errors of the calls.
    pub async fn prepare(&self, found: &Prerequisites) -> Result<(), AccountError> {
        if found.deprecated {
            thing_type::deprecate(&self.account, self.settings.thing_type.as_str(), true).await?;
        }
        self.create(found).await.map_err(|error| self.account.of_registry(error))
    }

    async fn create(&self, found: &Prerequisites) -> Result<(), RegistryError> {
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

    /// Whether the account has what every certificate needs: a thing type that new things can have, and groups and policies that
    /// have to exist.
    ///
    /// # Errors
    /// [`Error::Unmet`]; whatever looking for groups and policies ends in.
    pub async fn check(&self, found: &Prerequisites) -> Result<(), AccountError> {
        if found.deprecated {
            let name = self.settings.thing_type.to_string();
            return Err(Error::Unmet(Unmet::ThingType { name }).into());
        }
        let besides = description::look(&self.account, &self.settings.description).await?;
        match besides.into_iter().find(|(.., exists)| !exists) {
            Some((Resource::BillingGroup, name, _)) => Err(Error::Unmet(Unmet::BillingGroup { name }).into()),
            Some((Resource::AdditionalPolicy, name, _)) => Err(Error::Unmet(Unmet::Policy { name }).into()),
            Some((_, name, _)) => Err(Error::Unmet(Unmet::ThingGroup { name }).into()),
            None => Ok(()),
        }
    }

    /// Of these certificates, those that the account has as ACTIVE: an earlier run has registered them, and nobody has taken them
    /// out since. A value of the map is kept with its certificate id.
    ///
    /// # Errors
    /// As [`certificates::statuses`].
    pub async fn still_active(
        &self,
        mut registered: HashMap<String, String>,
    ) -> Result<HashMap<String, String>, AccountError> {
        let statuses = certificates::statuses(&self.account, Of::Account, registered.keys().cloned()).await?;
        let active = CertificateStatus::Active.as_str();
        registered.retain(|id, _| statuses.get(id).is_some_and(|status| status == active));
        Ok(registered)
    }

    /// The status of each of these certificates that the account has, by id.
    ///
    /// # Errors
    /// As [`certificates::statuses`].
    pub async fn statuses(
        &self,
        ids: impl IntoIterator<Item = String>,
    ) -> Result<HashMap<String, String>, AccountError> {
        certificates::statuses(&self.account, Of::Account, ids).await
    }

    /// What registering a certificate would be refused for, as far as the account tells without a change; `None` where
    /// nothing stands in the way. `status` is the certificate's, if the account has it.
    pub fn obstacle(&self, certificate: &Certificate, status: Option<&str>) -> Option<String> {
        if let Err(refusal) = self.check_certificate(certificate) {
            return Some(refusal.to_string());
        }
        match status.and_then(Status::from_name)? {
            Status::Active | Status::PendingActivation | Status::Inactive => None,
            status => Some(Refusal::Status(status).to_string()),
        }
    }

    /// Registers certificates side by side and calls `done` for each; it is in the journal before that. The first goes alone:
    /// what would fail for all fails for one, and then no other is tried. They are taken as they are needed. A row among them is
    /// handed on. There are `total` items.
    ///
    /// # Errors
    /// [`Error::File`] if the journal cannot be written: then it stops. [`Error::Stopped`] at what concerns all of them.
    /// [`Error::Incomplete`] or [`Error::Refused`] at the end if any failed.
    pub async fn register(
        &self,
        items: impl IntoIterator<Item = Item>,
        total: usize,
        journal: &mut Journal,
        mut done: impl FnMut(&Row),
    ) -> Result<(), Error> {
        let (mut bad, mut good) = (Bad::default(), 0);
        let journal = RefCell::new(journal);
        let one = |item| {
            let before = match &item {
                Item::Candidate(candidate) => {
                    let id = &candidate.certificate.facts().certificate_id;
                    journal.borrow().thing_of(id).map(str::to_owned)
                }
                Item::Row(_) => None,
            };
            async move {
                match (item, before) {
                    (Item::Row(row), _) => Ok(row),
                    (Item::Candidate(candidate), Some(thing_name)) => {
                        Ok(row(candidate, Outcome::DoneBefore, Ok(thing_name)))
                    }
                    (Item::Candidate(candidate), None) => self.one(candidate).await,
                }
            }
        };
        let mut items = items.into_iter();
        let stopped = Cell::new(false);
        let first = loop {
            match items.next() {
                Some(Item::Row(row)) => {
                    bad.count(&row);
                    done(&row);
                }
                first => break first,
            }
        };
        let first = stream::iter(first).then(&one);
        let others = stream::iter(items).take_while(|_| ready(!stopped.get()));
        let mut rows = std::pin::pin!(first.chain(others.map(&one).buffer_unordered(SIDE_BY_SIDE)));
        let mut cause = None;
        while let Some(row) = rows.next().await {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    stopped.set(true);
                    cause.get_or_insert(error);
                    continue;
                }
            };
            bad.count(&row);
            good += usize::from(row.outcome.is_good());
            if let (Some(id), Some(thing_name)) = (&row.certificate_id, &row.thing_name)
                && row.outcome != Outcome::DoneBefore
            {
                journal.borrow_mut().record(id, thing_name)?;
            }
            done(&row);
        }
        match cause {
            Some(source) => Err(Error::Stopped { left: total - good, total, source: Box::new(source) }),
            None => bad.of(total),
        }
    }

    /// # Errors
    /// What would fail for every other certificate, too.
    async fn one(&self, candidate: Candidate) -> Result<Row, AccountError> {
        if let Err(refusal) = self.check_certificate(&candidate.certificate) {
            return Ok(row(candidate, Outcome::Refused, Err(refusal.to_string())));
        }
        if let Err(error) = self.admit(&candidate.certificate).await {
            return match error.concerns_all() {
                true => Err(error),
                // What AWS says of the certificate, it says again.
                false => {
                    let outcome = if error.is_transient() { Outcome::Failed } else { Outcome::Refused };
                    Ok(row(candidate, outcome, Err(with_causes(&error))))
                }
            };
        }
        let id = &candidate.certificate.facts().certificate_id;
        let registered = self.workflow.register_board(id, &self.known(&candidate.certificate)).await;
        if let Err(Workflow::Registry(error)) = &registered
            && let Some(error) = self.cause(error)
        {
            return Err(error);
        }
        let (outcome, thing_name) = ended(registered);
        Ok(row(candidate, outcome, thing_name))
    }

    /// What a call that failed means for all certificates, if it means something.
    fn cause(&self, error: &RegistryError) -> Option<AccountError> {
        let Settings { thing_type, description, .. } = &self.settings;
        let unmet = match (error.operation, error.kind) {
            (Operation::AddThingToThingGroup, ErrorKind::NotFound) => {
                // Of several groups, AWS says which in its own words.
                let [group] = description.groups.as_slice() else { return None };
                Some(Unmet::ThingGroup { name: group.name()?.to_string() })
            }
            (Operation::CreateThing, ErrorKind::Invalid) if error.message.contains("deprecated") => {
                Some(Unmet::ThingType { name: thing_type.to_string() })
            }
            _ => None,
        };
        if let Some(unmet) = unmet {
            return Some(Error::Unmet(unmet).into());
        }
        let error = self.account.of_registry(error.clone());
        error.concerns_all().then_some(error)
    }

    /// Puts the certificate into the account, not yet usable. One that is there already is no failure.
    async fn admit(&self, certificate: &Certificate) -> Result<(), AccountError> {
        let pem = certificate.to_pem();
        let attempt = || async {
            let request = self.iot.register_certificate_without_ca().certificate_pem(&pem);
            let answer = request.status(CertificateStatus::Inactive).send().await;
            answer.map(drop).map_err(self.account.failed("iot:RegisterCertificateWithoutCA"))
        };
        let admitted =
            self.workflow.registry().turns(REGISTER).call(AccountError::is_transient, attempt).await;
        match admitted {
            Err(error) if error.has_code("ResourceAlreadyExistsException") => Ok(()),
            admitted => admitted,
        }
    }
}

fn with_causes(error: &AccountError) -> String {
    match error.answer() {
        Some(answer) => format!("{error}: {answer}"),
        None => error.to_string(),
    }
}

/// What the journal is kept for: account, Region and everything that decides what a registration does.
pub fn target(scope: &Scope, settings: &Settings) -> String {
    let Settings { policy, thing_type, description, thing_name_source, .. } = settings;
    let place = place(scope);
    format!("{place}{policy} {thing_type} {} {thing_name_source:?}{description}", description.listed_groups())
}

/// Account and Region, as the journal writes them down.
fn place(scope: &Scope) -> String {
    format!("{} {} ", scope.account, scope.region)
}
