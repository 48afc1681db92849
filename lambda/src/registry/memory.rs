//! A registry in memory that follows AWS IoT's state and conflict rules, for tests and local runs.
//!
//! Calls can be given a latency, made to fail, or made to crash the caller; each is logged with the order in which
//! calls started and finished, so that a test can tell what ran beside what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{
    Attachment, CertificateDescription, CertificateStatus, ErrorKind, Operation, Registry, RegistryError,
    Result, StoredPolicy, ThingType,
};
use crate::name::{PolicyName, ThingGroupName, ThingTypeName};
use crate::policy::PolicyDocument;
use crate::scope::Scope;

/// Policies that can be attached to one certificate (AWS IoT Core endpoints and quotas).
const MAX_POLICIES_PER_CERTIFICATE: usize = 10;

/// A certificate and what is attached to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What `DescribeCertificate` answers.
    pub description: CertificateDescription,
    /// Names of the attached policies.
    pub policies: BTreeSet<String>,
    /// Things it is attached to, and how.
    pub things: BTreeMap<String, Attachment>,
}

/// A thing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thing {
    /// Its type.
    pub thing_type: Option<String>,
    /// The groups it is in.
    pub groups: BTreeSet<String>,
}

/// Everything the account holds. Tests read and change it as an operator would.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Certificates by id.
    pub certificates: BTreeMap<String, Certificate>,
    /// Things by name.
    pub things: BTreeMap<String, Thing>,
    /// Thing types by name.
    pub thing_types: BTreeMap<String, ThingType>,
    /// Names of the thing groups.
    pub thing_groups: BTreeSet<String>,
    /// Policy documents by policy name.
    pub policies: BTreeMap<String, String>,
}

impl Account {
    /// Whether a certificate could be used the moment it is ACTIVE: it has a policy and belongs to a thing.
    pub fn is_attached(&self, certificate_id: &str) -> bool {
        self.certificates.get(certificate_id).is_some_and(|c| !c.policies.is_empty() && !c.things.is_empty())
    }
}

/// What happens to a call instead of, or besides, being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: it is answered.
    #[default]
    None,
    /// It fails and changes nothing.
    Error(ErrorKind),
    /// It takes effect, but the answer is lost and an error comes back.
    ErrorAfter(ErrorKind),
    /// The caller dies before the call is made.
    CrashBefore,
    /// The caller dies after the call took effect, before it sees the answer.
    CrashAfter,
}

/// One call in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The operation.
    pub operation: Operation,
    /// When it started: its place among all starts and finishes.
    pub started: usize,
    /// When it finished, on the same scale; none if it never did.
    pub finished: Option<usize>,
    /// How it failed, if it did.
    pub error: Option<ErrorKind>,
}

impl Call {
    /// Whether this call had finished before `later` started.
    pub fn precedes(&self, later: &Self) -> bool {
        self.finished.is_some_and(|finished| finished < later.started)
    }
}

/// One activation of a certificate, with the state it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The certificate.
    pub certificate_id: String,
    /// Its status before.
    pub status_before: CertificateStatus,
    /// Whether a policy and a thing were attached by then.
    pub attached: bool,
}

type FaultPlan = Box<dyn FnMut(usize, Operation) -> Fault + Send>;

#[derive(Default)]
struct Inner {
    account: Account,
    calls: Vec<Call>,
    activations: Vec<Activation>,
    clock: usize,
    faults: Option<FaultPlan>,
}

/// An AWS IoT registry in memory, as one environment of the function sees it. Clones are the same environment;
/// several environments share one account.
#[derive(Clone)]
pub struct MemoryRegistry {
    scope: Scope,
    latency: Duration,
    inner: Arc<Mutex<Inner>>,
    crash: Arc<Crash>,
}

/// The end of one environment.
#[derive(Default)]
struct Crash {
    happened: AtomicBool,
    signal: Notify,
}

impl MemoryRegistry {
    /// An empty account.
    pub fn new(scope: Scope) -> Self {
        Self { scope, latency: Duration::ZERO, inner: Arc::default(), crash: Arc::default() }
    }

    /// Lets every call take `latency`: half of it before it takes effect, half of it after.
    #[must_use]
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Registers a certificate as the device gateway does at a device's first connection.
    pub fn register_certificate(
        &self,
        id: &str,
        ca_certificate_id: Option<&str>,
        pem: &str,
        status: CertificateStatus,
    ) {
        let description = CertificateDescription {
            arn: self.scope.arn(format_args!("cert/{id}")),
            status,
            ca_certificate_id: ca_certificate_id.map(str::to_owned),
            pem: pem.to_owned(),
        };
        let certificate = Certificate { description, policies: BTreeSet::new(), things: BTreeMap::new() };
        self.inner().account.certificates.insert(id.to_owned(), certificate);
    }

    /// Reads or changes the account directly: what an operator, or another program, does.
    pub fn account<T>(&self, access: impl FnOnce(&mut Account) -> T) -> T {
        access(&mut self.inner().account)
    }

    /// Decides for every following call, given its number (from 0) and its operation, what goes wrong with it.
    pub fn set_faults(&self, plan: impl FnMut(usize, Operation) -> Fault + Send + 'static) {
        self.inner().faults = Some(Box::new(plan));
    }

    /// Another environment with the same account: it lives on when this one crashes.
    #[must_use]
    pub fn environment(&self) -> Self {
        Self { crash: Arc::default(), ..self.clone() }
    }

    /// Ends all faults and empties the log of calls. Activations are kept.
    pub fn reset(&self) {
        let mut inner = self.inner();
        inner.faults = None;
        inner.calls.clear();
    }

    /// Every call so far, in the order they started.
    pub fn calls(&self) -> Vec<Call> {
        self.inner().calls.clone()
    }

    /// Every activation so far.
    pub fn activations(&self) -> Vec<Activation> {
        self.inner().activations.clone()
    }

    /// Runs a caller until it ends or until a fault crashes this environment; then it is dropped where it stands.
    pub async fn run<F: Future>(&self, caller: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.crash.signal.notified() => None,
            output = caller => Some(output),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Half of a call's way: the other half is the answer's.
    async fn travel(&self) {
        if self.latency.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(self.latency / 2).await;
        }
    }

    async fn die(&self) -> std::convert::Infallible {
        self.crash.happened.store(true, Ordering::Relaxed);
        self.crash.signal.notify_one();
        std::future::pending().await
    }

    async fn call<T>(
        &self,
        operation: Operation,
        effect: impl FnOnce(&mut Inner) -> std::result::Result<T, (ErrorKind, String)> + Send,
    ) -> Result<T> {
        let (number, fault) = {
            let mut guard = self.inner();
            let inner = &mut *guard;
            let number = inner.calls.len();
            let fault = inner.faults.as_mut().map_or(Fault::None, |plan| plan(number, operation));
            inner.calls.push(Call { operation, started: inner.clock, finished: None, error: None });
            inner.clock += 1;
            (number, if self.crash.happened.load(Ordering::Relaxed) { Fault::CrashBefore } else { fault })
        };
        if fault == Fault::CrashBefore {
            match self.die().await {}
        }
        self.travel().await;
        let injected = |kind| (kind, "injected".to_owned());
        let result = match fault {
            Fault::Error(kind) => Err(injected(kind)),
            _ => effect(&mut self.inner()),
        };
        if fault == Fault::CrashAfter {
            match self.die().await {}
        }
        self.travel().await;
        let result = match fault {
            Fault::ErrorAfter(kind) => Err(injected(kind)),
            _ => result,
        };
        let mut inner = self.inner();
        let finished = inner.clock;
        inner.clock += 1;
        if let Some(call) = inner.calls.get_mut(number) {
            call.finished = Some(finished);
            call.error = result.as_ref().err().map(|(kind, _)| *kind);
        }
        result.map_err(|(kind, message)| RegistryError { operation, kind, code: code_of(kind), message })
    }
}

fn code_of(kind: ErrorKind) -> Option<String> {
    let code = match kind {
        ErrorKind::NotFound => "ResourceNotFoundException",
        ErrorKind::AlreadyExists => "ResourceAlreadyExistsException",
        ErrorKind::LimitExceeded => "LimitExceededException",
        ErrorKind::CertificateState => "CertificateStateException",
        ErrorKind::Invalid => "InvalidRequestException",
        ErrorKind::Denied => "UnauthorizedException",
        ErrorKind::Throttled => "ThrottlingException",
        ErrorKind::Unavailable => "ServiceUnavailableException",
        ErrorKind::Other => return None,
    };
    Some(code.to_owned())
}

fn not_found<T>(what: &str, name: &str) -> std::result::Result<T, (ErrorKind, String)> {
    Err((ErrorKind::NotFound, format!("{what} {name} does not exist")))
}

/// The id at the end of a certificate's ARN.
fn certificate_id(arn: &str) -> &str {
    arn.rsplit_once("cert/").map_or("", |(_, id)| id)
}

impl Registry for MemoryRegistry {
    async fn describe_certificate(&self, id: &str) -> Result<CertificateDescription> {
        self.call(Operation::DescribeCertificate, |inner| match inner.account.certificates.get(id) {
            Some(certificate) => Ok(certificate.description.clone()),
            None => not_found("certificate", id),
        })
        .await
    }

    async fn create_thing(&self, thing: &str, thing_type: &ThingTypeName) -> Result<()> {
        self.call(Operation::CreateThing, |inner| {
            let account = &mut inner.account;
            let wanted = thing_type.as_str();
            match account.thing_types.get(wanted) {
                None => return not_found("thing type", wanted),
                Some(ThingType { deprecated: true }) => {
                    return Err((ErrorKind::Invalid, format!("thing type {wanted} is deprecated")));
                }
                Some(ThingType { deprecated: false }) => {}
            }
            match account.things.get(thing) {
                Some(existing) if existing.thing_type.as_deref() == Some(wanted) => Ok(()),
                Some(_) => {
                    Err((ErrorKind::AlreadyExists, format!("thing {thing} exists with other attributes")))
                }
                None => {
                    let created = Thing { thing_type: Some(wanted.to_owned()), groups: BTreeSet::new() };
                    account.things.insert(thing.to_owned(), created);
                    Ok(())
                }
            }
        })
        .await
    }

    async fn describe_thing_type(&self, thing_type: &ThingTypeName) -> Result<ThingType> {
        self.call(Operation::DescribeThingType, |inner| {
            match inner.account.thing_types.get(thing_type.as_str()) {
                Some(thing_type) => Ok(*thing_type),
                None => not_found("thing type", thing_type.as_str()),
            }
        })
        .await
    }

    async fn create_thing_type(&self, thing_type: &ThingTypeName) -> Result<()> {
        self.call(Operation::CreateThingType, |inner| {
            inner
                .account
                .thing_types
                .entry(thing_type.to_string())
                .or_insert(ThingType { deprecated: false });
            Ok(())
        })
        .await
    }

    async fn add_thing_to_thing_group(&self, thing: &str, group: &ThingGroupName) -> Result<()> {
        self.call(Operation::AddThingToThingGroup, |inner| {
            if !inner.account.thing_groups.contains(group.as_str()) {
                return not_found("thing group", group.as_str());
            }
            match inner.account.things.get_mut(thing) {
                Some(thing) => {
                    thing.groups.insert(group.to_string());
                    Ok(())
                }
                None => not_found("thing", thing),
            }
        })
        .await
    }

    async fn attach_thing_principal(
        &self,
        thing: &str,
        certificate_arn: &str,
        attachment: Attachment,
    ) -> Result<()> {
        self.call(Operation::AttachThingPrincipal, |inner| {
            if !inner.account.things.contains_key(thing) {
                return not_found("thing", thing);
            }
            let Some(certificate) = inner.account.certificates.get_mut(certificate_id(certificate_arn))
            else {
                return not_found("certificate", certificate_arn);
            };
            let elsewhere = certificate.things.iter().find(|(name, held)| {
                name.as_str() != thing
                    && (attachment == Attachment::Exclusive || **held == Attachment::Exclusive)
            });
            if let Some((name, _)) = elsewhere {
                return Err((ErrorKind::Invalid, format!("the principal is attached to thing {name}")));
            }
            certificate.things.insert(thing.to_owned(), attachment);
            Ok(())
        })
        .await
    }

    async fn list_thing_principals(&self, thing: &str) -> Result<Vec<String>> {
        self.call(Operation::ListThingPrincipals, |inner| {
            if !inner.account.things.contains_key(thing) {
                return not_found("thing", thing);
            }
            let attached = inner.account.certificates.values().filter(|c| c.things.contains_key(thing));
            Ok(attached.map(|certificate| certificate.description.arn.clone()).collect())
        })
        .await
    }

    async fn get_policy(&self, policy: &PolicyName) -> Result<StoredPolicy> {
        let arn = self.scope.arn(format_args!("policy/{policy}"));
        self.call(Operation::GetPolicy, |inner| match inner.account.policies.get(policy.as_str()) {
            Some(document) => Ok(StoredPolicy { arn, document: document.clone() }),
            None => not_found("policy", policy.as_str()),
        })
        .await
    }

    async fn create_policy(&self, policy: &PolicyName, document: &PolicyDocument) -> Result<()> {
        self.call(Operation::CreatePolicy, |inner| {
            if inner.account.policies.contains_key(policy.as_str()) {
                return Err((ErrorKind::AlreadyExists, format!("policy {policy} exists")));
            }
            inner.account.policies.insert(policy.to_string(), document.to_string());
            Ok(())
        })
        .await
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<()> {
        self.call(Operation::AttachPolicy, |inner| {
            if !inner.account.policies.contains_key(policy.as_str()) {
                return not_found("policy", policy.as_str());
            }
            let Some(certificate) = inner.account.certificates.get_mut(certificate_id(certificate_arn))
            else {
                return not_found("certificate", certificate_arn);
            };
            let full = certificate.policies.len() >= MAX_POLICIES_PER_CERTIFICATE;
            if full && !certificate.policies.contains(policy.as_str()) {
                return Err((ErrorKind::LimitExceeded, "the certificate has 10 policies".to_owned()));
            }
            certificate.policies.insert(policy.to_string());
            Ok(())
        })
        .await
    }

    async fn activate_certificate(&self, id: &str) -> Result<()> {
        self.call(Operation::UpdateCertificate, |inner| {
            let attached = inner.account.is_attached(id);
            let Some(certificate) = inner.account.certificates.get_mut(id) else {
                return not_found("certificate", id);
            };
            let status_before = certificate.description.status;
            if status_before == CertificateStatus::PendingTransfer {
                return Err((ErrorKind::CertificateState, "the certificate is being transferred".to_owned()));
            }
            certificate.description.status = CertificateStatus::Active;
            inner.activations.push(Activation { certificate_id: id.to_owned(), status_before, attached });
            Ok(())
        })
        .await
    }
}
