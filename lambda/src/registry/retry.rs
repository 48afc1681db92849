//! Calls that are asked again: what is transient, with full jitter, at the account's pace, until the deadline.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::pace::Pace;
use super::{
    Attachment, CertificateDescription, ErrorKind, Operation, Registry, RegistryError, Result, StoredPolicy,
    ThingType,
};
use crate::name::{PolicyName, ThingGroupName, ThingTypeName};
use crate::policy::PolicyDocument;

/// Upper bound of the first pause between two attempts. The pause is random below its bound ("full jitter"), so that
/// environments which were throttled together do not come back together; the bound doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Upper bound of any pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// A registry whose transient errors are asked again for as long as there is time.
///
/// Throttling is the normal case when many devices come on line at once. What AWS IoT refuses for good is returned at
/// once, and so is a transient error when the next attempt would come after the deadline: then AWS Lambda's retry or the
/// queue takes over.
#[derive(Debug)]
pub struct Retrying<R> {
    registry: R,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    deadline: Option<Instant>,
    paces: [Pace; Operation::ALL.len()],
    throttled: u64,
}

impl<R: Registry> Retrying<R> {
    /// Asks `registry`. Nothing is asked again before a deadline is set.
    pub fn new(registry: R) -> Self {
        let paces = [Pace::default(); Operation::ALL.len()];
        Self { registry, state: Mutex::new(State { deadline: None, paces, throttled: 0 }) }
    }

    /// The registry that is asked.
    pub fn inner(&self) -> &R {
        &self.registry
    }

    /// Sets the time until which calls are asked again. An environment works on one invocation at a time, so the
    /// deadline is that of the environment.
    pub fn set_deadline(&self, deadline: Instant) {
        self.state().deadline = Some(deadline);
    }

    /// How many calls AWS IoT has throttled so far.
    pub fn throttled(&self) -> u64 {
        self.state().throttled
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count<T>(&self, result: &Result<T>) {
        if result.as_ref().is_err_and(|error| error.kind == ErrorKind::Throttled) {
            self.state().throttled += 1;
        }
    }

    /// Waits until the operation's pace allows a call.
    async fn wait_for_slot(&self, operation: Operation) -> Result<()> {
        let now = Instant::now();
        let slot = {
            let mut state = self.state();
            let deadline = state.deadline.unwrap_or(now + LONGEST_PAUSE);
            state.paces[operation as usize].slot(now, deadline)
        };
        match slot {
            Some(slot) if slot > now => sleep_until(slot).await,
            Some(_) => {}
            None => {
                return Err(RegistryError {
                    operation,
                    kind: ErrorKind::Throttled,
                    code: Some("ThrottlingException".to_owned()),
                    message: "AWS IoT throttles it, and its pace allows no call before the deadline"
                        .to_owned(),
                });
            }
        }
        Ok(())
    }

    async fn ask<T, F>(&self, operation: Operation, call: impl Fn() -> F + Send + Sync) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let mut bound = FIRST_PAUSE;
        loop {
            self.wait_for_slot(operation).await?;
            let result = call().await;
            self.count(&result);
            let now = Instant::now();
            let deadline = {
                let mut state = self.state();
                let pace = &mut state.paces[operation as usize];
                match &result {
                    Err(error) if error.kind == ErrorKind::Throttled => pace.throttled(now),
                    _ => pace.accepted(),
                }
                state.deadline
            };
            let pause = bound.mul_f64(fastrand::f64());
            match result {
                Err(error)
                    if error.kind.is_transient()
                        && deadline.is_some_and(|deadline| now + pause < deadline) =>
                {
                    tracing::debug!(%error, ?pause, "asking again");
                }
                last => return last,
            }
            sleep(pause).await;
            bound = (bound * 2).min(LONGEST_PAUSE);
        }
    }
}

/// What the workflow can do without ([`get_policy`](Registry::get_policy) and
/// [`describe_thing_type`](Registry::describe_thing_type) only tell it earlier what it would find out by doing) is
/// asked once: waiting for it would take longer.
impl<R: Registry + Send> Registry for Retrying<R> {
    async fn describe_certificate(&self, id: &str) -> Result<CertificateDescription> {
        self.ask(Operation::DescribeCertificate, || self.registry.describe_certificate(id)).await
    }

    async fn create_thing(&self, thing: &str, thing_type: &ThingTypeName) -> Result<()> {
        self.ask(Operation::CreateThing, || self.registry.create_thing(thing, thing_type)).await
    }

    async fn describe_thing_type(&self, thing_type: &ThingTypeName) -> Result<ThingType> {
        let result = self.registry.describe_thing_type(thing_type).await;
        self.count(&result);
        result
    }

    async fn create_thing_type(&self, thing_type: &ThingTypeName) -> Result<()> {
        self.ask(Operation::CreateThingType, || self.registry.create_thing_type(thing_type)).await
    }

    async fn add_thing_to_thing_group(&self, thing: &str, group: &ThingGroupName) -> Result<()> {
        self.ask(Operation::AddThingToThingGroup, || self.registry.add_thing_to_thing_group(thing, group))
            .await
    }

    async fn attach_thing_principal(
        &self,
        thing: &str,
        certificate_arn: &str,
        attachment: Attachment,
    ) -> Result<()> {
        self.ask(Operation::AttachThingPrincipal, || {
            self.registry.attach_thing_principal(thing, certificate_arn, attachment)
        })
        .await
    }

    async fn list_thing_principals(&self, thing: &str) -> Result<Vec<String>> {
        self.ask(Operation::ListThingPrincipals, || self.registry.list_thing_principals(thing)).await
    }

    async fn get_policy(&self, policy: &PolicyName) -> Result<StoredPolicy> {
        let result = self.registry.get_policy(policy).await;
        self.count(&result);
        result
    }

    async fn create_policy(&self, policy: &PolicyName, document: &PolicyDocument) -> Result<()> {
        self.ask(Operation::CreatePolicy, || self.registry.create_policy(policy, document)).await
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<()> {
        self.ask(Operation::AttachPolicy, || self.registry.attach_policy(policy, certificate_arn)).await
    }

    async fn activate_certificate(&self, id: &str) -> Result<()> {
        self.ask(Operation::UpdateCertificate, || self.registry.activate_certificate(id)).await
    }
}

#[cfg(test)]
mod tests;
