//! The account's quotas, and a registry that stays under them.

use std::collections::BTreeMap;
use std::str::FromStr;

use futures::future::BoxFuture;
use jitr::registry::layer::Layer;
use jitr::registry::{Operation, Registry, RegistryError, Result};

use crate::turns::Turns;

/// The call that brings a certificate into the account without its CA.
pub(super) const REGISTER: &str = "RegisterCertificateWithoutCA";

/// AWS's defaults, calls a second (AWS General Reference, "AWS IoT Core endpoints and quotas").
const DEFAULTS: [(&str, f64); 12] = [
    (REGISTER, 10.0),
    ("DescribeCertificate", 10.0),
    ("UpdateCertificate", 10.0),
    ("AttachPolicy", 15.0),
    ("GetPolicy", 10.0),
    ("CreatePolicy", 10.0),
    ("CreateThing", 100.0),
    ("AttachThingPrincipal", 100.0),
    ("CreateThingType", 15.0),
    ("DescribeThingType", 100.0),
    ("AddThingToThingGroup", 100.0),
    ("ListThingPrincipals", 10.0),
];

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
        let known = DEFAULTS.iter().find(|(api, _)| api.eq_ignore_ascii_case(name)).map(|(api, _)| *api);
        let api = known.ok_or_else(|| {
            let names: Vec<_> = DEFAULTS.iter().map(|(api, _)| *api).collect();
            format!("`{name}` is none of the calls that are made: {}", names.join(", "))
        })?;
        match rate.parse::<f64>() {
            Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Self { api, rate }),
            _ => Err(format!("`{rate}` is no number of calls a second")),
        }
    }
}

/// Calls a second, by the name of the API: AWS's defaults, except for `given`.
fn rates(given: &[Quota]) -> BTreeMap<&'static str, f64> {
    DEFAULTS.into_iter().chain(given.iter().map(|quota| (quota.api, quota.rate))).collect()
}

/// A registry whose calls wait for their turn, and are made again when AWS throttles them.
///
/// The client behind it must not make calls again by itself: those would come out of turn.
#[derive(Debug)]
pub(super) struct Paced<R> {
    registry: R,
    turns: BTreeMap<&'static str, Turns>,
    /// For a call that has no quota here; there is none today.
    other: Turns,
}

impl<R: Registry> Paced<R> {
    /// Calls come as often as AWS allows by default, except for `quotas`.
    pub(super) fn new(registry: R, quotas: &[Quota]) -> Self {
        let turns = rates(quotas).into_iter().map(|(api, rate)| (api, Turns::new(rate))).collect();
        Self { registry, turns, other: Turns::new(10.0) }
    }

    /// The turns of an API.
    pub(super) fn turns(&self, api: &str) -> &Turns {
        self.turns.get(api).unwrap_or(&self.other)
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
    fn every_call_of_the_workflow_has_a_quota() {
        let rates = rates(&[]);
        for operation in Operation::ALL {
            assert!(rates.contains_key(operation.name()), "{operation}");
        }
    }

    #[test]
    fn a_quota_names_a_call_and_a_rate() {
        let quota: Quota = "updatecertificate=25.5".parse().unwrap();
        assert_eq!(rates(&[quota])["UpdateCertificate"], 25.5);
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
