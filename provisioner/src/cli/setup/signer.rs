//! The signer CA in the account, by itself.

use super::{Place, line, open_for_verification, signer_ca, tell, verification_certificate};
use crate::cli::plan::{Line, Plan};
use crate::cli::{Context, Error};
use crate::state;
use crate::work::revocation;
use device_pki::Chain;
use iot_account::Account;
use iot_account::setup::{Settings, SignerPlan};

/// The signer CA in the account, and nothing else of it.
pub(in crate::cli) struct SetUpSigner<'a> {
    account: Account,
    /// `None` where it is made before the plan is carried out.
    chain: Option<&'a Chain>,
    plan: SignerPlan,
}

impl<'a> SetUpSigner<'a> {
    /// Looks at the account.
    ///
    /// # Errors
    /// As [`SignerPlan::make`]; what keeps the signer's key closed.
    pub(in crate::cli) async fn look(
        context: &Context,
        account: Account,
        chain: Option<&'a Chain>,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let _progress = context.progress("looking at the account");
        let revoked = revocation::revoked(&context.home)?;
        let plan = SignerPlan::make(&account, chain.map(signer_ca).as_ref(), settings, &revoked).await?;
        open_for_verification(chain, plan.needs_verification())?;
        Ok(Self { account, chain, plan })
    }

    /// Host that boards connect to.
    pub(in crate::cli) fn endpoint(&self) -> String {
        self.plan.endpoint.clone()
    }
}

impl Plan for SetUpSigner<'_> {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let place = Place::of(&self.plan.scope, &self.plan.endpoint);
        Ok([Line::plain(&place, &place)].into_iter().chain(self.plan.links()?.iter().map(line)).collect())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { account, chain, plan } = self;
        context.show(&Place::of(&plan.scope, &plan.endpoint));
        let Some(chain) = chain else {
            return Err(state::Error::Missing { folder: context.home.root().to_owned() }.into());
        };
        let _progress = context.progress("registering the signer CA");
        let is_needed = plan.needs_verification();
        let verification = verification_certificate(&account, chain, &context.home, is_needed).await?;
        let (signer, verification) = (signer_ca(chain), verification.as_deref());
        Ok(plan.apply(&account, &signer, verification, |link| tell(context, &link)).await?)
    }
}
