//! A new signer CA in the account: known to it before any board has a certificate of it.

use super::setup::{self, SignerCa, deploy, function, signer_ca};
use super::{Account, Error};

pub use super::setup::Settings;

/// What the account needs for a new signer.
#[derive(Clone, Debug)]
pub struct Plan {
    settings: Settings,
    signer: signer_ca::Step,
    function: Option<function::Step>,
    sni_only: bool,
}

impl Plan {
    /// Looks at the account. The new signer is shared with other accounts (`SNI_ONLY`) if the signer `old`, a certificate
    /// id, is. The function matters only where it has a list of the CAs that it accepts.
    ///
    /// # Errors
    /// Errors of the calls.
    pub async fn make(
        account: &Account,
        signer: &SignerCa<'_>,
        old: &str,
        settings: Settings,
    ) -> Result<Self, Error> {
        let (registered, before, deployed) = tokio::try_join!(
            signer_ca::find(account, signer.id),
            signer_ca::find(account, old),
            deploy::find(account, &settings.function),
        )?;
        let function = match deployed {
            Some(deployed) => Some(function::decide(Some(&deployed), &settings, None, Some(signer.id))?),
            None => None,
        };
        Ok(Self {
            settings,
            signer: signer_ca::decide(registered),
            function,
            sni_only: before.is_some_and(|before| before.sni_only),
        })
    }

    /// Whether carrying it out needs a verification certificate.
    pub fn needs_verification(&self) -> bool {
        self.signer == signer_ca::Step::Register && !self.sni_only
    }

    /// Does it: the function accepts the CA before the account does. Returns what was changed.
    ///
    /// # Errors
    /// Errors of the calls; the next run continues from there.
    pub async fn apply(
        &self,
        account: &Account,
        signer: &SignerCa<'_>,
        verification: Option<&str>,
    ) -> Result<Vec<setup::Link>, Error> {
        let mut links = Vec::new();
        if let Some(function) = &self.function {
            function.apply(account, &self.settings.function, Some(signer.id), false).await?;
            links.push(function.link(&self.settings.function));
        }
        self.signer.apply(account, signer, verification).await?;
        links.push(self.signer.link(signer.id, self.sni_only));
        Ok(links)
    }
}
