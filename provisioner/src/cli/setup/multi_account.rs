//! The account, made ready for multi-account registration.

use jitr::scope::Scope;

use super::{Options, Place, line, tell};
use crate::cli::plan::{Line, Plan};
use crate::cli::{Context, Error};
use iot_account::Account;
use iot_account::register::{Prerequisites, Registrar};

/// What certificates get in multi-account registration: there is no function, no rule and no CA in the account.
pub(in crate::cli) struct SetUpMar {
    registrar: Registrar,
    found: Prerequisites,
    scope: Scope,
    /// Host that boards connect to.
    pub(in crate::cli) endpoint: String,
}

impl SetUpMar {
    /// Looks at the account.
    ///
    /// # Errors
    /// Flags that have no meaning here; what the calls end in.
    pub(in crate::cli) async fn look(account: Account, options: &Options) -> Result<Self, Error> {
        if options.is_for_jitr() {
            return Err(Error::usage(
                "function, role, rule and CA are for just-in-time registration; multi-account registration has none",
                "leave --lambda-zip, --function, --delivery, --role-arn, --rule-name and --sni-only out, or give --method jitr",
            ));
        }
        let (scope, endpoint) = tokio::try_join!(account.scope(), iot_account::endpoint(&account))?;
        let registrar = Registrar::new(&account, options.registration()?, &[]);
        let found = registrar.look(&scope).await?;
        Ok(Self { registrar, found, scope, endpoint })
    }
}

impl Plan for SetUpMar {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let place = Place::of(&self.scope, &self.endpoint);
        Ok([Line::plain(&place, &place)].into_iter().chain(self.found.links.iter().map(line)).collect())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        context.show(&Place::of(&self.scope, &self.endpoint));
        self.registrar.prepare(&self.found).await?;
        self.found.links.iter().for_each(|link| tell(context, link));
        Ok(())
    }
}
