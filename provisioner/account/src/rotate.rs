//! A new signer CA in the account: known to it before any board has a certificate of it.

use super::setup::function::Deployed;
use super::setup::{self, SignerCa, deploy, function, lists, signer_ca};
use super::{Account, Error};

pub use super::setup::Settings;

/// What the account needs for a new signer.
#[derive(Clone, Debug)]
pub struct Plan {
    settings: Settings,
    signer: signer_ca::Step,
    function: Option<Deployed>,
    sni_only: bool,
    /// Whether the function has revocation lists, which then need one of the new signer.
    has_lists: bool,
}

impl Plan {
    /// Looks at the account. `signer` is the certificate id of the new signer, where it is made already. It is shared with
    /// other accounts (`SNI_ONLY`) if the signer `old`, a certificate id, is. The function matters only where it has a
    /// list of the CAs that it accepts.
    ///
    /// # Errors
    /// Errors of the calls.
    pub async fn make(
        account: &Account,
        signer: Option<&str>,
        old: &str,
        settings: Settings,
    ) -> Result<Self, Error> {
        let (registered, before, function) = tokio::try_join!(
            signer_ca::find_if_made(account, signer),
            signer_ca::find(account, old),
            deploy::find(account, &settings.function),
        )?;
        let variables = function.as_ref().and_then(|function| function.variables.as_ref());
        let has_lists = variables.is_some_and(|variables| lists::folder(variables).is_some());
        let plan = Self {
            settings,
            signer: signer_ca::decide(registered),
            function,
            sni_only: before.is_some_and(|before| before.sni_only),
            has_lists,
        };
        plan.function_step(signer)?;
        Ok(plan)
    }

    /// What is done about the function; any CA that it does not know changes it in the same way.
    fn function_step(&self, signer: Option<&str>) -> Result<Option<function::Step>, Error> {
        const UNKNOWN: &str = "the new CA";
        let decide = |deployed| {
            function::decide(Some(deployed), &self.settings, None, Some(signer.unwrap_or(UNKNOWN)))
        };
        Ok(self.function.as_ref().map(decide).transpose()?)
    }

    /// What is done, in this order: the function accepts the CA before the account does.
    ///
    /// # Errors
    /// What is wrong with the function.
    pub fn links(&self, signer: Option<&str>) -> Result<Vec<setup::Link>, Error> {
        let function = self.function_step(signer)?.map(|step| step.link(&self.settings.function));
        let function = function.map(|mut link| {
            if self.has_lists {
                let without =
                    "registers no device of this signer CA until its package has a revocation list of it";
                link.details.push(without.to_owned());
            }
            link
        });
        let signer = self.signer.link(signer.unwrap_or("(id not known yet)"), self.sni_only);
        Ok(function.into_iter().chain([signer]).collect())
    }

    /// Whether carrying it out needs a verification certificate.
    pub fn needs_verification(&self) -> bool {
        self.signer == signer_ca::Step::Register && !self.sni_only
    }

    /// Does it.
    ///
    /// # Errors
    /// Errors of the calls; the next run continues from there.
    pub async fn apply(
        &self,
        account: &Account,
        signer: &SignerCa<'_>,
        verification: Option<&str>,
    ) -> Result<(), Error> {
        if let Some(function) = self.function_step(Some(signer.id))? {
            function.apply(account, &self.settings.function, Some(signer.id), false).await?;
        }
        self.signer.apply(account, signer, verification, true).await
    }
}
