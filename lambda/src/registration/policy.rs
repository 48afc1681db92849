//! The part of the workflow that is about the policy, and what an environment remembers between events.

use std::sync::{Mutex, PoisonError};

use futures::future::{join, join_all};

use super::{Error, Registration};
use crate::name::PolicyName;
use crate::registry::{ErrorKind, Registry, RegistryError};
use crate::scope::Scope;

/// What is known about the policy in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyState {
    /// It does not exist.
    Missing,
    /// It exists with the document it would be created with.
    Same,
    /// It exists with another document. That is used as it is: the account's owner may have changed it, and devices in
    /// the field depend on it.
    Different,
}

/// What an environment has learnt and need not ask again.
#[derive(Debug, Default)]
pub(super) struct Knowledge(Mutex<Known>);

#[derive(Debug, Default, Clone)]
struct Known {
    /// Where the account's certificates are.
    scope: Option<Scope>,
    /// Whether the account does not tell the policies of certificates.
    is_silent: bool,
    policy: Option<PolicyState>,
    thing_type_is_missing: bool,
}

impl Knowledge {
    fn with<T>(&self, access: impl FnOnce(&mut Known) -> T) -> T {
        access(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn policy(&self) -> Option<PolicyState> {
        self.with(|known| known.policy)
    }

    fn set_policy(&self, state: Option<PolicyState>) {
        self.with(|known| known.policy = state);
    }

    /// Where the account's certificates are; `None` if they cannot be asked about.
    pub(super) fn scope(&self) -> Option<Scope> {
        self.with(|known| known.scope.clone().filter(|_| !known.is_silent))
    }

    pub(super) fn learn_scope(&self, scope: &Scope) {
        self.with(|known| {
            known.scope.get_or_insert_with(|| scope.clone());
        });
    }

    pub(super) fn ask_no_more(&self) {
        self.with(|known| known.is_silent = true);
    }

    pub(super) fn thing_type_is_missing(&self) -> bool {
        self.with(|known| known.thing_type_is_missing)
    }

    pub(super) fn thing_type_exists(&self) {
        self.with(|known| known.thing_type_is_missing = false);
    }
}

impl<R: Registry> Registration<R> {
    /// Asks for the policy and compares its document with the one it would be created with.
    pub(super) async fn learn_policy(&self) -> Result<PolicyState, RegistryError> {
        let settings = &self.settings;
        let state = match self.registry.get_policy(&settings.policy).await {
            Ok(stored) => {
                let wanted =
                    Scope::from_arn(&stored.arn).ok().and_then(|s| settings.policy_template.fill(&s).ok());
                if wanted.is_some_and(|wanted| wanted.is_same_as(&stored.document)) {
                    PolicyState::Same
                } else {
                    tracing::warn!(
                        policy = %settings.policy,
                        "the policy exists with another document; it is used as it is"
                    );
                    PolicyState::Different
                }
            }
            Err(error) if error.kind == ErrorKind::NotFound => PolicyState::Missing,
            Err(error) => return Err(error),
        };
        self.knowledge.set_policy(Some(state));
        Ok(state)
    }

    /// Asks for the thing type. If that fails, the creation of the first thing shows whether it exists.
    pub(super) async fn learn_thing_type(&self) {
        let thing_type = &self.settings.thing_type;
        match self.registry.describe_thing_type(thing_type).await {
            Ok(found) if found.deprecated => {
                tracing::warn!(thingType = %thing_type, "the thing type is deprecated; AWS IoT creates no things of it");
            }
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.knowledge.with(|known| known.thing_type_is_missing = true);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the thing type's state is not known"),
        }
    }

    /// Attaches the policy and the `further` ones, side by side. Those have to exist.
    pub(super) async fn attach_policies(
        &self,
        known: Option<PolicyState>,
        further: &[PolicyName],
        scope: &Scope,
        certificate_arn: &str,
    ) -> Result<(), Error> {
        let further = further.iter().filter(|policy| **policy != self.settings.policy);
        let further = join_all(further.map(|policy| self.registry.attach_policy(policy, certificate_arn)));
        let (attached, further) = join(self.attach_policy(known, scope, certificate_arn), further).await;
        attached?;
        Ok(further.into_iter().collect::<Result<(), _>>()?)
    }

    /// Attaches the policy to the certificate; creates it if it is missing, also if it was deleted since it was seen.
    async fn attach_policy(
        &self,
        known: Option<PolicyState>,
        scope: &Scope,
        certificate_arn: &str,
    ) -> Result<(), Error> {
        let policy = &self.settings.policy;
        if known == Some(PolicyState::Missing) {
            self.create_policy(scope).await?;
        }
        match self.registry.attach_policy(policy, certificate_arn).await {
            Err(error) if error.kind == ErrorKind::NotFound => {
                self.create_policy(scope).await?;
                self.registry.attach_policy(policy, certificate_arn).await?;
            }
            attached => attached?,
        }
        Ok(())
    }

    /// Creates the policy. Another environment that was faster has done the same work; with which document, the next
    /// event asks.
    async fn create_policy(&self, scope: &Scope) -> Result<(), Error> {
        let document = self.settings.policy_template.fill(scope)?;
        match self.registry.create_policy(&self.settings.policy, &document).await {
            Ok(()) => self.knowledge.set_policy(Some(PolicyState::Same)),
            Err(error) if error.kind == ErrorKind::AlreadyExists => self.knowledge.set_policy(None),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
