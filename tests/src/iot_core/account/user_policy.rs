//! The policy of the account's user. Without one the user may do everything.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::Account;
use crate::iot_core::policy::{Context, Decision, Keys, Policy, PolicyError, explain};

impl Account {
    /// Lets the user do what this identity-based policy allows, and nothing else; `None`: everything.
    ///
    /// # Errors
    /// The testbed evaluates no `NotAction`, `NotResource`, `Principal`: a document with these is refused, as is a malformed one.
    pub fn set_user_policy(&mut self, document: Option<&str>) -> Result<(), PolicyError> {
        self.user_policy =
            document.map(|document| Policy::named("the user's policy", document)).transpose()?;
        Ok(())
    }

    /// Whether there is something that the user may not do.
    pub fn limits_user(&self) -> bool {
        self.user_policy.is_some()
    }

    /// Whether the user may do `action` on `resource`, an ARN or `*`; `keys` are the condition keys of the request.
    pub fn user_may(&mut self, action: &str, resource: &str, keys: &Keys) -> Decision {
        let Some(policy) = &self.user_policy else { return Decision::Allow };
        let context = Context {
            client_id: "",
            certificate_id: "",
            things: &[],
            source_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            keys,
        };
        let decision = explain(std::slice::from_ref(policy), action, resource, &context).decision;
        if decision.allows() {
            self.used_actions.insert(action.to_owned());
        }
        decision
    }

    /// The actions that the user's policies have allowed so far, each once.
    pub fn used_actions(&self) -> &BTreeSet<String> {
        &self.used_actions
    }
}
