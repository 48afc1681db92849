//! The crash test: the function crashes right before and right after each of its calls, and the event is repeated.
//!
//! The registry in memory is `jitr`'s, and so is the workflow: it is what is tested here.

pub mod cli;
mod table;

use std::sync::Arc;

use futures::future::join;
use jitr::event::Event;
use jitr::policy::PolicyError;
use jitr::registration::{Registration, Settings};
use jitr::registry::memory::{Account, Fault, MemoryRegistry};
use jitr::registry::{CertificateStatus, Operation, ThingType};
use jitr::scope::Scope;
use jitr::thing_name::ThingNameSource;
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::iot_core::account::x509;

const GROUP: &str = "line-1";
const ACCOUNT: &str = "123456789012";
const CA_ID: &str = "caca0000caca0000caca0000caca0000caca0000caca0000caca0000caca0000";

/// Why the crash test cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No runtime.
    #[error("cannot start the runtime of the crash test")]
    Runtime(#[from] std::io::Error),
    /// No certificate.
    #[error("cannot make the board's certificate")]
    Certificate(#[from] rcgen::Error),
    /// The policy that boards get.
    #[error("the policy document cannot be used")]
    Policy(#[from] PolicyError),
    /// The name of the thing group.
    #[error("the thing group cannot be used")]
    Group(#[from] jitr::description::DescriptionError),
    /// The undisturbed registration, which the others are compared with, did not succeed.
    #[error("the registration fails without a crash, too: {0}")]
    Undisturbed(#[from] jitr::registration::Error),
}

/// What the function finds: it decides which calls it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Whether the account has policy and thing type already.
    pub onboarded: bool,
    /// Whether the environment has warmed up before the event.
    pub warm: bool,
    /// Whether things are named by the common name and put into a group: two calls more.
    pub named_and_grouped: bool,
}

impl Situation {
    /// Every situation.
    pub const ALL: [Self; 5] = [
        Self { onboarded: false, warm: false, named_and_grouped: false },
        Self { onboarded: false, warm: true, named_and_grouped: false },
        Self { onboarded: true, warm: false, named_and_grouped: false },
        Self { onboarded: true, warm: true, named_and_grouped: false },
        Self { onboarded: false, warm: false, named_and_grouped: true },
    ];

    /// The situation in words.
    pub fn title(self) -> String {
        let account = if self.onboarded { "account with policy and thing type" } else { "empty account" };
        let warm = if self.warm { "with warm-up" } else { "no warm-up" };
        let options =
            if self.named_and_grouped { ", things named by common name and put into a group" } else { "" };
        format!("{account}, {warm}{options}")
    }
}

/// Where the function crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The call is not made.
    Before,
    /// The call has taken effect; its answer is not seen.
    After,
}

/// What the board's certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Its status.
    pub status: CertificateStatus,
    /// Whether it has a thing.
    pub thing: bool,
    /// Whether it has a policy.
    pub policy: bool,
}

/// The state of the account after the event was repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As without a crash, and the certificate never was ACTIVE without its attachments.
    AsWithout,
    /// It was ACTIVE before thing and policy were attached.
    ActiveTooEarly,
    /// Otherwise.
    Differs(State),
    /// A repeated event was not registered.
    Failed(String),
}

/// One crash and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// What the function found.
    pub situation: Situation,
    /// The place of the call among the calls of an undisturbed run, from 1.
    pub position: usize,
    /// The call.
    pub operation: Operation,
    /// Before or after it.
    pub moment: Moment,
    /// What the certificate had right after the crash.
    pub left: State,
    /// The result when the event is repeated alone.
    pub alone: End,
    /// The end when it comes twice at once, to two environments.
    pub twice: End,
}

/// Runs every crash there is, on a runtime of its own in virtual time.
///
/// # Errors
/// If it cannot be set up, or the registration fails without a crash.
pub fn run() -> Result<Vec<Crash>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let board = Board::new()?;
        let mut crashes = Vec::new();
        for situation in Situation::ALL {
            crashes.extend(board.crashes(situation).await?);
        }
        Ok(crashes)
    })
}

/// A board that has connected for the first time.
struct Board {
    pem: String,
    event: Event,
    defaults: Settings,
    named_and_grouped: Settings,
}

impl Board {
    fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "board");
        let certificate = params.self_signed(&KeyPair::generate()?)?;
        let event = Event {
            certificate_id: x509::certificate_id(certificate.der()),
            ca_certificate_id: CA_ID.to_owned(),
            aws_account_id: Some(ACCOUNT.to_owned()),
            timestamp: None,
        };
        let defaults = Settings::zero_touch()?;
        let mut named_and_grouped = defaults.clone();
        named_and_grouped.thing_name_source = ThingNameSource::CommonName;
        named_and_grouped.description.groups = vec![GROUP.parse()?];
        Ok(Self { pem: certificate.pem(), event, defaults, named_and_grouped })
    }

    fn settings(&self, situation: Situation) -> &Settings {
        if situation.named_and_grouped { &self.named_and_grouped } else { &self.defaults }
    }

    /// The account as the function finds it.
    fn account(&self, situation: Situation) -> Result<MemoryRegistry, Error> {
        let scope =
            Scope { partition: "aws".into(), region: "us-east-1".into(), account: ACCOUNT.to_owned() };
        let settings = self.settings(situation);
        let document = settings.policy_template.fill(&scope)?.to_string();
        let registry = MemoryRegistry::new(scope);
        let pending = CertificateStatus::PendingActivation;
        registry.register_certificate(&self.event.certificate_id, Some(CA_ID), &self.pem, pending);
        registry.account(|account| {
            account.thing_groups.extend(settings.description.groups.iter().map(ToString::to_string));
            if situation.onboarded {
                account.policies.insert(settings.policy.to_string(), document);
                let thing_type = ThingType { deprecated: false };
                account.thing_types.insert(settings.thing_type.to_string(), thing_type);
            }
        });
        Ok(registry)
    }

    /// One delivery of the event to a fresh environment; none if that crashed.
    async fn deliver(
        &self,
        registry: &MemoryRegistry,
        situation: Situation,
    ) -> Option<Result<(), jitr::registration::Error>> {
        let environment = registry.environment();
        let registration = Registration::new(environment.clone(), self.settings(situation).clone());
        let delivery = async {
            if situation.warm {
                // As in the function: a warm-up that fails is no reason to give up.
                let _ = registration.warm_up().await;
            }
            registration.register_event(&self.event).await.map(drop)
        };
        environment.run(delivery).await
    }

    async fn crashes(&self, situation: Situation) -> Result<Vec<Crash>, Error> {
        let registry = self.account(situation)?;
        // A run without faults never crashes.
        if let Some(delivered) = self.deliver(&registry, situation).await {
            delivered?;
        }
        let wanted = Arc::new(registry.account(|account| account.clone()));
        let mut crashes = Vec::new();
        for (place, call) in registry.calls().into_iter().enumerate() {
            for moment in [Moment::Before, Moment::After] {
                let (left, alone) = self.crash(situation, place, moment, &wanted, false).await?;
                let (_, twice) = self.crash(situation, place, moment, &wanted, true).await?;
                let (position, operation) = (place + 1, call.operation);
                crashes.push(Crash { situation, position, operation, moment, left, alone, twice });
            }
        }
        Ok(crashes)
    }

    /// Crashes at the call of this number, delivers the event again, and compares.
    async fn crash(
        &self,
        situation: Situation,
        place: usize,
        moment: Moment,
        wanted: &Account,
        twice_at_once: bool,
    ) -> Result<(State, End), Error> {
        let fault = match moment {
            Moment::Before => Fault::CrashBefore,
            Moment::After => Fault::CrashAfter,
        };
        let registry = self.account(situation)?;
        registry.set_faults(move |n, _| if n == place { fault } else { Fault::None });
        self.deliver(&registry, situation).await;
        let left = self.state(&registry);
        registry.reset();
        let deliveries = if twice_at_once {
            let (a, b) = join(self.deliver(&registry, situation), self.deliver(&registry, situation)).await;
            vec![a, b]
        } else {
            vec![self.deliver(&registry, situation).await]
        };
        let failed = deliveries.into_iter().find_map(|delivery| match delivery {
            None => Some("crashed again".to_owned()),
            Some(Err(error)) => Some(error.to_string()),
            Some(Ok(())) => None,
        });
        let end = match failed {
            Some(why) => End::Failed(why),
            None if registry.activations().iter().any(|activation| !activation.attached) => {
                End::ActiveTooEarly
            }
            None if registry.account(|account| account == wanted) => End::AsWithout,
            None => End::Differs(self.state(&registry)),
        };
        Ok((left, end))
    }

    fn state(&self, registry: &MemoryRegistry) -> State {
        registry.account(|account| {
            let certificate = account.certificates.get(&self.event.certificate_id);
            State {
                status: certificate.map_or(CertificateStatus::Inactive, |c| c.description.status),
                thing: certificate.is_some_and(|certificate| !certificate.things.is_empty()),
                policy: certificate.is_some_and(|certificate| !certificate.policies.is_empty()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
