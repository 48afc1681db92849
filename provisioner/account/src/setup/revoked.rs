//! Certificates that were revoked here before the account knew them: registered as REVOKED, so that they never get in.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};

use super::{Action, Link, SignerCa, signer_ca};
use crate::certificates;
use crate::revoke::Device;
use crate::{Account, Error as AccountError, Resource};
use device_pki::Certificate;

/// With more certificates of a CA than that, the account's list of them is asked for, and not each certificate: AWS IoT
/// takes ten DescribeCertificate calls a second.
const MOST_ASKED: usize = 10;
const SIDE_BY_SIDE: usize = 8;

/// A certificate that its CA has revoked.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// The certificate.
    pub certificate: Certificate,
    /// The certificate of the CA.
    pub ca: Certificate,
}

impl Revoked {
    fn id(&self) -> &str {
        &self.certificate.facts().certificate_id
    }

    fn ca(&self) -> &str {
        &self.ca.facts().certificate_id
    }

    pub(super) fn link(&self) -> Link {
        Link {
            link: Resource::Certificate,
            name: self.id().to_owned(),
            action: Action::Create,
            details: vec!["was revoked before the account knew it: it is registered as REVOKED".to_owned()],
        }
    }

    pub(super) async fn register(&self, account: &Account) -> Result<(), AccountError> {
        let device = Device::known(self.id(), Some(self.certificate.clone()));
        match device.revoke(account, Some(&self.ca.to_pem())).await {
            // It came in meanwhile.
            Err(error) if error.has_code("ResourceAlreadyExistsException") => {
                Device::look(account, self.id(), None).await?.revoke(account, None).await
            }
            registered => registered,
        }
    }
}

/// Those that the account does not know, and can register: with `signer`, which is active once the plan is carried out, and
/// with other CAs that are active.
pub(super) async fn missing(
    account: &Account,
    signer: Option<&SignerCa<'_>>,
    revoked: &[Revoked],
) -> Result<Vec<Revoked>, AccountError> {
    let mut of_cas = BTreeMap::<&str, Vec<&Revoked>>::new();
    for revoked in revoked {
        of_cas.entry(revoked.ca()).or_default().push(revoked);
    }
    let mut missing = Vec::new();
    for (ca, revoked) in of_cas {
        let is_signer = signer.is_some_and(|signer| signer.id == ca);
        if !is_signer && !signer_ca::find(account, ca).await?.is_some_and(|found| found.active) {
            continue;
        }
        let known = known(account, ca, &revoked).await?;
        missing.extend(revoked.into_iter().filter(|revoked| !known.contains(revoked.id())).cloned());
    }
    Ok(missing)
}

async fn known(account: &Account, ca: &str, revoked: &[&Revoked]) -> Result<BTreeSet<String>, AccountError> {
    if revoked.len() > MOST_ASKED {
        let listed = certificates::of_ca(account, ca).await?;
        return Ok(listed.into_iter().map(|listed| listed.certificate_id).collect());
    }
    let asked = stream::iter(revoked.iter().map(|revoked| revoked.id().to_owned())).map(|id| async move {
        let found = certificates::describe(account, &id).await?;
        Ok::<_, AccountError>(found.map(|_| id))
    });
    asked.buffered(SIDE_BY_SIDE).try_filter_map(|found| async { Ok(found) }).try_collect().await
}
