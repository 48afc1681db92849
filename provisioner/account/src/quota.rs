//! AWS IoT's quotas: the calls of an account wait for their turn, whichever command makes them, and a registry whose calls do so.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use jitr::registry::layer::Layer;
use jitr::registry::{Operation, Registry, RegistryError, Result};

use crate::turns::Turns;

/// The call that brings a certificate into the account without its CA.
pub(crate) const REGISTER: &str = "RegisterCertificateWithoutCA";

/// The calls that a registration makes.
const OF_REGISTRATION: [&str; 12] = [
    REGISTER,
    "DescribeCertificate",
    "UpdateCertificate",
    "AttachPolicy",
    "GetPolicy",
    "CreatePolicy",
    "CreateThing",
    "AttachThingPrincipal",
    "CreateThingType",
    "DescribeThingType",
    "AddThingToThingGroup",
    "ListThingPrincipals",
];

/// AWS's default quota of a call, calls a second (AWS General Reference, "AWS IoT Core endpoints and quotas"). Calls that are not
/// told apart here have at least 10.
pub(crate) fn default_rate(api: &str) -> f64 {
    match api {
        "AttachPolicy" | "CreateThingType" => 15.0,
        "CreateThing" | "AttachThingPrincipal" | "DescribeThingType" | "AddThingToThingGroup" => 100.0,
        _ => 10.0,
    }
}

/// One quota that differs from AWS's default: `API=N`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    api: &'static str,
    rate: f64,
}

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, rate) =
            text.split_once('=').ok_or("write it as API=N, for example UpdateCertificate=20")?;
        let known = OF_REGISTRATION.into_iter().find(|api| api.eq_ignore_ascii_case(name));
        let api = known.ok_or_else(|| {
            format!("`{name}` is none of the calls that are made: {}", OF_REGISTRATION.join(", "))
        })?;
        match rate.parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Self { api, rate }),
            _ => Err(format!("`{rate}` is no number of calls a second")),
        }
    }
}

/// The turns of each API: as often as AWS allows by default, except for the quotas that were given.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<BTreeMap<&'static str, Arc<Turns>>>);

impl Quotas {
    fn with(given: &[Quota]) -> Self {
        let turns = given.iter().map(|quota| (quota.api, Arc::new(Turns::new(quota.rate))));
        Self(Mutex::new(turns.collect()))
    }

    /// The turns of an API.
    pub(crate) fn turns(&self, api: &'static str) -> Arc<Turns> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(api).or_insert_with(|| Arc::new(Turns::new(default_rate(api)))))
    }
}

/// A registry whose calls wait for their turn, and are made again when AWS throttles them.
///
/// The client behind it must not make calls again by itself: those would come out of turn.
#[derive(Debug)]
pub(crate) struct Paced<R> {
    registry: R,
    quotas: Quotas,
}

impl<R: Registry> Paced<R> {
    /// Calls come as often as AWS allows by default, except for `quotas`.
    pub(crate) fn new(registry: R, quotas: &[Quota]) -> Self {
        Self { registry, quotas: Quotas::with(quotas) }
    }

    /// The turns of an API.
    pub(crate) fn turns(&self, api: &'static str) -> Arc<Turns> {
        self.quotas.turns(api)
    }
}

impl<R: Registry + Send> Layer for Paced<R> {
    type Inner = R;

    fn inner(&self) -> &R {
        &self.registry
    }

    async fn around<'a, T: Send>(
        &'a self,
        operation: Operation,
        call: impl Fn() -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> Result<T> {
        self.turns(operation.name()).call(|error: &RegistryError| error.kind.is_transient(), call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_workflow_can_be_given_a_quota() {
        // Only environments of the function ask what others have begun, and only they attach exclusively.
        let of_function = [Operation::ListAttachedPolicies, Operation::ListPrincipalThings];
        for operation in Operation::ALL.into_iter().filter(|it| !of_function.contains(it)) {
            assert!(OF_REGISTRATION.contains(&operation.name()), "{operation}");
        }
    }

    #[test]
    fn a_quota_names_a_call_and_a_rate() {
        let quota: Quota = "updatecertificate=25.5".parse().unwrap();
        assert_eq!((quota.api, quota.rate), ("UpdateCertificate", 25.5));
        for (text, says) in [
            ("UpdateCertificate", "API=N"),
            ("DeleteThing=3", "none of the calls"),
            ("CreateThing=0", "no number"),
            ("CreateThing=-1", "no number"),
            ("CreateThing=inf", "no number"),
            ("CreateThing=fast", "no number"),
        ] {
            let error = text.parse::<Quota>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
