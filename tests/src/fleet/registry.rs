//! AWS IoT in the simulation: certificates, things and one policy, behind quotas, latency and faults.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jitr::name::{PolicyName, ThingGroupName, ThingTypeName};
use jitr::policy::PolicyDocument;
use jitr::registry::{
    self, Attachment, CertificateDescription, CertificateStatus, ErrorKind, Operation, RegistryError, Result,
    StoredPolicy, ThingType,
};

use super::clock::Clock;
use crate::iot_core::quota::{Bucket, CONNECTS, default_rate};

/// The account.
pub(super) const ACCOUNT: &str = "123456789012";
/// The signer CA.
pub(super) const CA_ID: &str = "caca0000caca0000caca0000caca0000caca0000caca0000caca0000caca0000";
const ARN_PREFIX: &str = "arn:aws:iot:us-east-1:123456789012:";
/// A call's way to AWS and back takes between these two.
const LATENCY: (f64, f64) = (0.015, 0.06);

#[derive(Debug)]
struct Certificate {
    pem: String,
    status: CertificateStatus,
    policy: bool,
    thing: Option<String>,
}

/// How often an operation was called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// All calls.
    pub made: u64,
    /// Those that AWS IoT throttled.
    pub throttled: u64,
    /// Those that it took about a certificate that was ACTIVE already.
    pub needless: u64,
}

#[derive(Debug)]
struct State {
    certificates: BTreeMap<String, Certificate>,
    things: BTreeSet<String>,
    thing_types: BTreeSet<String>,
    policy: Option<String>,
    buckets: Vec<Bucket>,
    calls: Vec<Calls>,
    connects: Bucket,
    activations: Vec<Duration>,
    unfinished_activations: usize,
    chance: fastrand::Rng,
}

/// AWS IoT; clones are the same account.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    clock: Clock,
    faulty: f64,
    state: Arc<Mutex<State>>,
}

/// What a device's CONNECT comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Connect {
    Accepted,
    /// Refused; the registration event is published.
    Pending,
    /// The gateway's own quota is used up.
    Throttled,
}

impl Registry {
    pub(super) fn new(clock: Clock, chance: fastrand::Rng, faulty: f64) -> Self {
        let state = State {
            certificates: BTreeMap::new(),
            things: BTreeSet::new(),
            thing_types: BTreeSet::new(),
            policy: None,
            buckets: Operation::ALL.map(|operation| Bucket::new(default_rate(operation.name()))).to_vec(),
            calls: vec![Calls::default(); Operation::ALL.len()],
            connects: Bucket::new(CONNECTS),
            activations: Vec::new(),
            unfinished_activations: 0,
            chance,
        };
        Self { clock, faulty, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device presents its certificate.
    pub(super) fn connect(&self, certificate_id: &str, pem: &str) -> Connect {
        let now = self.clock.elapsed();
        let mut state = self.state();
        if !state.connects.take(now) {
            return Connect::Throttled;
        }
        match state.certificates.get(certificate_id) {
            Some(known) if known.status == CertificateStatus::Active => Connect::Accepted,
            Some(_) => Connect::Pending,
            None => {
                let certificate = Certificate {
                    pem: pem.to_owned(),
                    status: CertificateStatus::PendingActivation,
                    policy: false,
                    thing: None,
                };
                state.certificates.insert(certificate_id.to_owned(), certificate);
                Connect::Pending
            }
        }
    }

    /// When each device was activated, in order, and how many were activated before everything was attached.
    pub(super) fn activations(&self) -> (Vec<Duration>, usize) {
        let state = self.state();
        (state.activations.clone(), state.unfinished_activations)
    }

    pub(super) fn calls(&self) -> Vec<(Operation, Calls)> {
        Operation::ALL.into_iter().zip(self.state().calls.iter().copied()).collect()
    }

    /// One call about the certificate `about`: half the latency, quota and effect, the other half.
    async fn call<T>(
        &self,
        operation: Operation,
        about: Option<&str>,
        effect: impl FnOnce(&mut State) -> std::result::Result<T, ErrorKind> + Send,
    ) -> Result<T> {
        let (latency, fault) = {
            let mut state = self.state();
            let share = state.chance.f64();
            let fault = state.chance.f64() < self.faulty;
            (Duration::from_secs_f64(LATENCY.0 + share * (LATENCY.1 - LATENCY.0)), fault)
        };
        tokio::time::sleep(latency / 2).await;
        let now = self.clock.elapsed();
        let result = {
            let mut guard = self.state();
            let state = &mut *guard;
            let index = operation as usize;
            state.calls[index].made += 1;
            if !state.buckets[index].take(now) {
                state.calls[index].throttled += 1;
                Err(ErrorKind::Throttled)
            } else if fault {
                Err(ErrorKind::Unavailable)
            } else {
                let active = |id| {
                    state
                        .certificates
                        .get(id)
                        .is_some_and(|c: &Certificate| c.status == CertificateStatus::Active)
                };
                state.calls[index].needless += u64::from(about.is_some_and(active));
                effect(state)
            }
        };
        tokio::time::sleep(latency / 2).await;
        result.map_err(|kind| RegistryError { operation, kind, code: None, message: "simulated".to_owned() })
    }
}

fn id_of(arn: &str) -> &str {
    arn.rsplit_once("cert/").map_or(arn, |(_, id)| id)
}

impl registry::Registry for Registry {
    async fn describe_certificate(&self, id: &str) -> Result<CertificateDescription> {
        self.call(Operation::DescribeCertificate, Some(id), |state| {
            let certificate = state.certificates.get(id).ok_or(ErrorKind::NotFound)?;
            Ok(CertificateDescription {
                arn: format!("{ARN_PREFIX}cert/{id}"),
                status: certificate.status,
                ca_certificate_id: Some(CA_ID.to_owned()),
                pem: certificate.pem.clone(),
            })
        })
        .await
    }

    async fn create_thing(&self, thing: &str, thing_type: &ThingTypeName) -> Result<()> {
        self.call(Operation::CreateThing, None, |state| {
            if !state.thing_types.contains(thing_type.as_str()) {
                return Err(ErrorKind::NotFound);
            }
            state.things.insert(thing.to_owned());
            Ok(())
        })
        .await
    }

    async fn describe_thing_type(&self, thing_type: &ThingTypeName) -> Result<ThingType> {
        self.call(Operation::DescribeThingType, None, |state| {
            let known = state.thing_types.contains(thing_type.as_str());
            if known { Ok(ThingType { deprecated: false }) } else { Err(ErrorKind::NotFound) }
        })
        .await
    }

    async fn create_thing_type(&self, thing_type: &ThingTypeName) -> Result<()> {
        self.call(Operation::CreateThingType, None, |state| {
            state.thing_types.insert(thing_type.as_str().to_owned());
            Ok(())
        })
        .await
    }

    async fn add_thing_to_thing_group(&self, _: &str, _: &ThingGroupName) -> Result<()> {
        self.call(Operation::AddThingToThingGroup, None, |_| Err(ErrorKind::NotFound)).await
    }

    async fn attach_thing_principal(&self, thing: &str, certificate_arn: &str, _: Attachment) -> Result<()> {
        let id = id_of(certificate_arn);
        self.call(Operation::AttachThingPrincipal, Some(id), |state| {
            if !state.things.contains(thing) {
                return Err(ErrorKind::NotFound);
            }
            state.certificates.get_mut(id).ok_or(ErrorKind::NotFound)?.thing = Some(thing.to_owned());
            Ok(())
        })
        .await
    }

    async fn list_thing_principals(&self, thing: &str) -> Result<Vec<String>> {
        self.call(Operation::ListThingPrincipals, None, |state| {
            let attached = state.certificates.iter().filter(|(_, c)| c.thing.as_deref() == Some(thing));
            Ok(attached.map(|(id, _)| format!("{ARN_PREFIX}cert/{id}")).collect())
        })
        .await
    }

    async fn get_policy(&self, policy: &PolicyName) -> Result<StoredPolicy> {
        self.call(Operation::GetPolicy, None, |state| {
            let document = state.policy.clone().ok_or(ErrorKind::NotFound)?;
            Ok(StoredPolicy { arn: format!("{ARN_PREFIX}policy/{policy}"), document })
        })
        .await
    }

    async fn create_policy(&self, _: &PolicyName, document: &PolicyDocument) -> Result<()> {
        self.call(Operation::CreatePolicy, None, |state| {
            if state.policy.is_some() {
                return Err(ErrorKind::AlreadyExists);
            }
            state.policy = Some(document.to_string());
            Ok(())
        })
        .await
    }

    async fn attach_policy(&self, _: &PolicyName, certificate_arn: &str) -> Result<()> {
        let id = id_of(certificate_arn);
        self.call(Operation::AttachPolicy, Some(id), |state| {
            if state.policy.is_none() {
                return Err(ErrorKind::NotFound);
            }
            state.certificates.get_mut(id).ok_or(ErrorKind::NotFound)?.policy = true;
            Ok(())
        })
        .await
    }

    async fn activate_certificate(&self, id: &str) -> Result<()> {
        let clock = self.clock;
        self.call(Operation::UpdateCertificate, Some(id), |state| {
            let certificate = state.certificates.get_mut(id).ok_or(ErrorKind::NotFound)?;
            if certificate.status != CertificateStatus::Active {
                certificate.status = CertificateStatus::Active;
                state.unfinished_activations +=
                    usize::from(!certificate.policy || certificate.thing.is_none());
                state.activations.push(clock.elapsed());
            }
            Ok(())
        })
        .await
    }
}
