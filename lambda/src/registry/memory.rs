//! A registry in memory that follows AWS IoT's state and conflict rules, for tests and local runs.
//!
//! Calls can be given a latency, made to fail, or made to crash the caller; each is logged with the order in which
//! calls started and finished, so that a test can see what ran side by side.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{
    Attachment, CertificateDescription, CertificateStatus, ErrorKind, Operation, RegistryError, Result,
    ThingType,
};
use crate::scope::Scope;

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
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The billing group it is in.
    pub billing_group: Option<String>,
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
    /// Names of the billing groups.
    pub billing_groups: BTreeSet<String>,
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
    /// It takes effect, but the answer is lost and an error is returned.
    ErrorAfter(ErrorKind),
    /// The caller crashes before the call is made.
    CrashBefore,
    /// The caller crashes after the call took effect, before it sees the answer.
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
    /// The status that the activating environment saw last.
    pub seen: Option<CertificateStatus>,
    /// Whether this environment has attached policy and thing itself since then.
    pub attached_here: bool,
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
    environment: Arc<Environment>,
}

/// What belongs to one environment: its end, and what it has seen and done, by certificate.
#[derive(Default)]
struct Environment {
    crashed: AtomicBool,
    crash: Notify,
    progress: Mutex<BTreeMap<String, Progress>>,
}

/// How far one environment is with one certificate.
#[derive(Clone, Copy, Default)]
struct Progress {
    seen: Option<CertificateStatus>,
    policy: bool,
    thing: bool,
}

impl Environment {
    fn progress<T>(&self, certificate_id: &str, access: impl FnOnce(&mut Progress) -> T) -> T {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        access(progress.entry(certificate_id.to_owned()).or_default())
    }
}

impl MemoryRegistry {
    /// An empty account.
    pub fn new(scope: Scope) -> Self {
        Self { scope, latency: Duration::ZERO, inner: Arc::default(), environment: Arc::default() }
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
            changed: None,
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
        Self { environment: Arc::default(), ..self.clone() }
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

    /// Runs a caller until it ends or until a fault crashes this environment; then it is dropped.
    pub async fn run<F: Future>(&self, caller: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.environment.crash.notified() => None,
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
        self.environment.crashed.store(true, Ordering::Relaxed);
        self.environment.crash.notify_one();
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
            (
                number,
                if self.environment.crashed.load(Ordering::Relaxed) { Fault::CrashBefore } else { fault },
            )
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
