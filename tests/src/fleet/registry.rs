//! AWS IoT in the simulation: certificates, things and one policy, behind quotas, latency and faults.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use jitr::description::Described;
use jitr::name::{PolicyName, ThingGroupName, ThingTypeName};
use jitr::policy::PolicyDocument;
use jitr::registry::{
    self, Attachment, CertificateDescription, CertificateStatus, ErrorKind, Operation, RegistryError, Result,
    StoredPolicy, ThingType,
};

use super::clock::Clock;
use super::device::Certificates;
use crate::iot_core::quota::{Bucket, CONNECTS, default_rate};

/// The account.
pub(super) const ACCOUNT: &str = "123456789012";
/// The signer CA.
pub(super) const CA_ID: &str = "caca0000caca0000caca0000caca0000caca0000caca0000caca0000caca0000";
const ARN_PREFIX: &str = "arn:aws:iot:us-east-1:123456789012:";
/// A call's way to AWS and back takes between these two.
const LATENCY: (f64, f64) = (0.015, 0.06);

/// A device's certificate in the account.
#[derive(Debug, Clone)]
struct Certificate {
    status: CertificateStatus,
    changed: SystemTime,
    policy: bool,
    thing: bool,
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
    /// By device; none is known before the device has connected.
    certificates: Vec<Option<Certificate>>,
    /// Things, with the devices that are attached to them.
    things: HashMap<String, Vec<usize>>,
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
    issued: Arc<Certificates>,
    /// The device of each certificate, by the first half of its id.
    devices: Arc<HashMap<[u8; 16], usize>>,
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
    /// An account with a quota of `quota` devices a second; the quotas of all operations are in proportion.
    pub(super) fn new(
        clock: Clock,
        issued: Arc<Certificates>,
        chance: fastrand::Rng,
        faulty: f64,
        quota: f64,
    ) -> Self {
        let factor = quota / default_quota();
        let bucket = |rate: f64| Bucket::new(rate * factor);
        let state = State {
            certificates: vec![None; issued.ids().len()],
            things: HashMap::new(),
            thing_types: BTreeSet::new(),
            policy: None,
            buckets: Operation::ALL.map(|operation| bucket(default_rate(operation.name()))).to_vec(),
            calls: vec![Calls::default(); Operation::ALL.len()],
            connects: bucket(CONNECTS),
            activations: Vec::new(),
            unfinished_activations: 0,
            chance,
        };
        let by_id = issued.ids().iter().enumerate().map(|(device, id)| (half(id), device));
        let devices = Arc::new(by_id.collect());
        Self { clock, faulty, issued, devices, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device that has the certificate.
    fn device(&self, certificate_id: &str) -> Option<usize> {
        let mut id = [0; 32];
        hex::decode_to_slice(certificate_id, &mut id).ok()?;
        self.devices.get(&half(&id)).copied()
    }

    /// A device presents its certificate.
    pub(super) fn connect(&self, device: usize) -> Connect {
        let now = self.clock.elapsed();
        let mut state = self.state();
        if !state.connects.take(now) {
            return Connect::Throttled;
        }
        let registered = || Certificate {
            status: CertificateStatus::PendingActivation,
            changed: self.clock.wall_clock(),
            policy: false,
            thing: false,
        };
        match state.certificates[device].get_or_insert_with(registered).status {
            CertificateStatus::Active => Connect::Accepted,
            _ => Connect::Pending,
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

    /// One call about the certificate of the device `about`: half the latency, quota and effect, the other half.
    async fn call<T>(
        &self,
        operation: Operation,
        about: Option<usize>,
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
                let is_active = |device: usize| {
                    state.certificates[device]
                        .as_ref()
                        .is_some_and(|certificate| certificate.status == CertificateStatus::Active)
                };
                state.calls[index].needless += u64::from(about.is_some_and(is_active));
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

fn half(id: &[u8; 32]) -> [u8; 16] {
    std::array::from_fn(|index| id[index])
}

/// Devices a second that AWS IoT's default quotas allow: each device needs one `DescribeCertificate` and one
/// `UpdateCertificate`.
pub(super) fn default_quota() -> f64 {
    default_rate(Operation::DescribeCertificate.name()).min(default_rate(Operation::UpdateCertificate.name()))
}

impl State {
    /// The certificate of a device that has connected.
    fn certificate(&mut self, device: Option<usize>) -> std::result::Result<&mut Certificate, ErrorKind> {
        device.and_then(|device| self.certificates[device].as_mut()).ok_or(ErrorKind::NotFound)
    }
}

impl registry::Registry for Registry {
    async fn describe_certificate(&self, id: &str) -> Result<CertificateDescription> {
        let device = self.device(id);
        self.call(Operation::DescribeCertificate, device, |state| {
            let Certificate { status, changed, .. } = *state.certificate(device)?;
            Ok(CertificateDescription {
                arn: format!("{ARN_PREFIX}cert/{id}"),
                status,
                changed: Some(changed),
                ca_certificate_id: Some(CA_ID.to_owned()),
                pem: device.map(|device| self.issued.pem(device)).unwrap_or_default(),
            })
        })
        .await
    }

    async fn create_thing(&self, thing: &str, thing_type: &ThingTypeName, _: &Described) -> Result<()> {
        self.call(Operation::CreateThing, None, |state| {
            if !state.thing_types.contains(thing_type.as_str()) {
                return Err(ErrorKind::NotFound);
            }
            state.things.entry(thing.to_owned()).or_default();
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
        let device = self.device(id_of(certificate_arn));
        self.call(Operation::AttachThingPrincipal, device, |state| {
            let attached = state.things.get_mut(thing).ok_or(ErrorKind::NotFound)?;
            attached.extend(device.filter(|device| !attached.contains(device)));
            state.certificate(device)?.thing = true;
            Ok(())
        })
        .await
    }

    async fn list_thing_principals(&self, thing: &str) -> Result<Vec<String>> {
        self.call(Operation::ListThingPrincipals, None, |state| {
            let attached = state.things.get(thing).ok_or(ErrorKind::NotFound)?;
            let ids = attached.iter().map(|device| hex::encode(self.issued.ids()[*device]));
            Ok(ids.map(|id| format!("{ARN_PREFIX}cert/{id}")).collect())
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
        let device = self.device(id_of(certificate_arn));
        self.call(Operation::AttachPolicy, device, |state| {
            if state.policy.is_none() {
                return Err(ErrorKind::NotFound);
            }
            state.certificate(device)?.policy = true;
            Ok(())
        })
        .await
    }

    async fn list_principal_things(&self, certificate_arn: &str) -> Result<Vec<String>> {
        let device = self.device(id_of(certificate_arn));
        self.call(Operation::ListPrincipalThings, device, |state| {
            state.certificate(device)?;
            let of_device =
                state.things.iter().filter(|(_, attached)| attached.iter().any(|it| device == Some(*it)));
            Ok(of_device.map(|(thing, _)| thing.clone()).collect())
        })
        .await
    }

    async fn list_attached_policies(&self, certificate_arn: &str) -> Result<Vec<String>> {
        let device = self.device(id_of(certificate_arn));
        self.call(Operation::ListAttachedPolicies, device, |state| {
            let attached = state.certificate(device)?.policy;
            Ok(attached.then(|| PolicyName::zero_touch().to_string()).into_iter().collect())
        })
        .await
    }

    async fn activate_certificate(&self, id: &str) -> Result<()> {
        let (clock, device) = (self.clock, self.device(id));
        self.call(Operation::UpdateCertificate, device, |state| {
            let certificate = state.certificate(device)?;
            if certificate.status != CertificateStatus::Active {
                certificate.status = CertificateStatus::Active;
                certificate.changed = clock.wall_clock();
                let unfinished = !certificate.policy || !certificate.thing;
                state.unfinished_activations += usize::from(unfinished);
                state.activations.push(clock.elapsed());
            }
            Ok(())
        })
        .await
    }
}
