//! The signer CA in the account, with what it has revoked, and without the other links.

use super::function::Deployed;
use super::{Link, Revoked, Settings, SignerCa, deploy, function, revoked, signer_ca};
use crate::{Account, Error as AccountError, endpoint};
use jitr::scope::Scope;

/// What is to be done about the signer CA alone.
#[derive(Clone, Debug)]
pub struct SignerPlan {
    /// Partition, Region and account.
    pub scope: Scope,
    /// Host that boards connect to.
    pub endpoint: String,
    settings: Settings,
    signer: Option<String>,
    step: signer_ca::Step,
    revoked: Vec<revoked::Step>,
    /// A function that has a list of the CAs that it accepts gets this one on it.
    function: Option<Deployed>,
}

impl SignerPlan {
    /// Looks at the account. `signer` may be missing only where the plan is not carried out.
    ///
    /// # Errors
    /// Errors of the calls.
    pub async fn make(
        account: &Account,
        signer: Option<&SignerCa<'_>>,
        settings: &Settings,
        revoked: &[Revoked],
    ) -> Result<Self, AccountError> {
        let (scope, endpoint, found, function) = tokio::try_join!(
            account.scope(),
            endpoint(account),
            signer_ca::find_if_made(account, signer.map(|signer| signer.id)),
            deploy::find(account, &settings.function),
        )?;
        let plan = Self {
            scope,
            endpoint,
            settings: settings.clone(),
            signer: signer.map(|signer| signer.id.to_owned()),
            step: signer_ca::decide(found),
            revoked: revoked::steps(account, signer, revoked).await?,
            function,
        };
        plan.function_step()?;
        Ok(plan)
    }

    fn function_step(&self) -> Result<Option<function::Step>, AccountError> {
        let decide =
            |deployed| function::decide(Some(deployed), &self.settings, None, self.signer.as_deref());
        Ok(self.function.as_ref().map(decide).transpose()?)
    }

    /// What is done, in this order.
    ///
    /// # Errors
    /// What is wrong with the function.
    pub fn links(&self) -> Result<Vec<Link>, AccountError> {
        let function = self.function_step()?.map(|step| step.link(&self.settings.function));
        let signer = self.signer.as_deref().unwrap_or("(id not known yet)");
        let signer = self.step.link(signer, self.settings.sni_only);
        let revoked = self.revoked.iter().map(revoked::Step::link);
        Ok(function.into_iter().chain([signer]).chain(revoked).collect())
    }

    /// Whether carrying it out needs a verification certificate of the signer CA.
    pub fn needs_verification(&self) -> bool {
        self.step == signer_ca::Step::Register && !self.settings.sni_only
    }

    /// Does it, and calls `done` for each link.
    ///
    /// # Errors
    /// Errors of the calls; the next run continues from there.
    pub async fn apply(
        &self,
        account: &Account,
        signer: &SignerCa<'_>,
        verification: Option<&str>,
        mut done: impl FnMut(Link),
    ) -> Result<(), AccountError> {
        if let Some(function) = self.function_step()? {
            function.apply(account, &self.settings.function, Some(signer.id), false).await?;
            done(function.link(&self.settings.function));
        }
        put_in(account, self.step, signer, verification, &self.revoked).await?;
        done(self.step.link(signer.id, self.settings.sni_only));
        self.revoked.iter().for_each(|revoked| done(revoked.link()));
        Ok(())
    }
}

/// Has the account know the signer CA. Where certificates are registered as REVOKED, it registers no board before.
pub(super) async fn put_in(
    account: &Account,
    step: signer_ca::Step,
    signer: &SignerCa<'_>,
    verification: Option<&str>,
    revoked: &[revoked::Step],
) -> Result<(), AccountError> {
    let waits = revoked.iter().any(revoked::Step::is_urgent);
    step.apply(account, signer, verification, !waits).await?;
    for revoked in revoked {
        revoked.apply(account).await?;
    }
    match waits {
        true => step.open(account, signer.id).await,
        false => Ok(()),
    }
}
