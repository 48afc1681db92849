//! Certificates that were revoked here and that the account does not have as REVOKED: they become so, and those that it
//! does not know are registered as REVOKED, so that they never get in.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{Action, Link, SignerCa};
use crate::certificates::{self, Of};
use crate::revoke::{Device, is_active};
use crate::{Account, Error as AccountError, Resource};
use device_pki::Certificate;

/// A certificate that its CA has revoked.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// SHA-256 of the DER certificate, 64 lower-case hex digits.
    pub certificate_id: String,
    /// The certificate, where the home has it.
    pub certificate: Option<Certificate>,
    /// The certificate of the CA.
    pub ca: Certificate,
}

/// What is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Act {
    /// The account does not know it: it is registered as REVOKED.
    Register,
    /// The account has it with this status: it becomes REVOKED.
    Revoke(String),
    /// The account does not know it, and there is nothing to register.
    Nothing,
}

/// A certificate of which the account does not say yet that it is revoked.
#[derive(Clone, Debug)]
pub(super) struct Step {
    revoked: Revoked,
    act: Act,
}

impl Step {
    pub(super) fn link(&self) -> Link {
        let (action, detail) = match &self.act {
            Act::Register => (
                Action::Create,
                "was revoked before the account knew it: it is registered as REVOKED".to_owned(),
            ),
            Act::Revoke(status) => {
                (Action::Change, format!("is {status} and was revoked here: it becomes REVOKED"))
            }
            Act::Nothing => (
                Action::Leave,
                "was revoked here, and is not in this home folder: it cannot be registered as REVOKED"
                    .to_owned(),
            ),
        };
        let (link, name) = (Resource::Certificate, self.revoked.certificate_id.clone());
        Link { link, name, action, details: vec![detail], versions: None }
    }

    /// Whether the CA must register no device before this is done.
    pub(super) fn is_urgent(&self) -> bool {
        self.act == Act::Register
    }

    pub(super) async fn apply(&self, account: &Account) -> Result<(), AccountError> {
        let Revoked { certificate_id, certificate, ca } = &self.revoked;
        let there = async || Device::look(account, certificate_id, None).await?.revoke(account, None).await;
        match self.act {
            Act::Nothing => Ok(()),
            Act::Revoke(_) => there().await,
            Act::Register => {
                let device = Device::known(certificate_id, certificate.clone());
                match device.revoke(account, Some(&ca.to_pem())).await {
                    // It came in meanwhile.
                    Err(error) if error.has_code("ResourceAlreadyExistsException") => there().await,
                    registered => registered,
                }
            }
        }
    }
}

/// What is to be done: with `signer`, which is active once the plan is carried out, and with other CAs that are active, those
/// are registered that the account does not know. One that is past its end cannot connect, and the account does not take it.
pub(super) async fn steps(
    account: &Account,
    signer: Option<&SignerCa<'_>>,
    revoked: &[Revoked],
) -> Result<Vec<Step>, AccountError> {
    let mut of_cas = BTreeMap::<&str, Vec<&Revoked>>::new();
    for revoked in revoked {
        of_cas.entry(&revoked.ca.facts().certificate_id).or_default().push(revoked);
    }
    let (mut steps, now) = (Vec::new(), OffsetDateTime::now_utc());
    for (ca, revoked) in of_cas {
        let is_active = signer.is_some_and(|signer| signer.id == ca) || is_active(account, ca).await?;
        let ids = revoked.iter().map(|revoked| revoked.certificate_id.clone());
        let statuses = certificates::statuses(account, Of::Ca(ca), ids).await?;
        for revoked in revoked {
            let has_ended = |certificate: &Certificate| certificate.facts().not_after < now;
            let act = match (statuses.get(&revoked.certificate_id), &revoked.certificate) {
                (Some(status), _) if status == certificates::REVOKED => continue,
                (Some(status), _) => Act::Revoke(status.clone()),
                (None, Some(certificate)) if has_ended(certificate) => continue,
                (None, _) if !is_active => continue,
                (None, Some(_)) => Act::Register,
                (None, None) => Act::Nothing,
            };
            steps.push(Step { revoked: revoked.clone(), act });
        }
    }
    Ok(steps)
}
