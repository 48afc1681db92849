//! Which certificates are meant: what is named, or every certificate of its key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use device_pki::Certificate;
use device_pki::revocation::Reason;
use iot_account::{Account, counted};

use super::Order;
use super::target::Target;
use crate::cli::{Context, Error, certificate_file, values};
use crate::state::authorities::is_key_identifier;
use crate::work;
use crate::work::inventory::Sources;

mod search;
mod targets;

use self::search::{Meaning, Search};

/// Fewer digits of a certificate id could be a typing error.
pub(in crate::cli) const SHORTEST_PREFIX: usize = 8;

/// What is named.
pub(super) enum Named {
    /// What a user has written: each a thing, a serial number, a certificate id or its beginning, or a file.
    Devices(Vec<values::Device>),
    /// Every certificate of these keys: their identifiers.
    Keys(Vec<String>),
    /// These certificates, by id; the others of their keys are to stay.
    Superseded(Vec<String>),
}

/// The certificates that are meant.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) targets: Vec<Target>,
    /// Certificates of the same keys that stay valid, by id, with the key.
    pub(super) others: Vec<(String, String)>,
    /// Certificates of the account that may be of the same key and were not looked at.
    pub(super) unseen: usize,
    /// Things of the account that are to be deleted, and whether each stays, because a certificate of another key is attached to it.
    pub(super) things: BTreeMap<String, bool>,
    /// What was named among others and cannot be revoked, and why.
    pub(super) refused: Vec<(String, Error)>,
}

/// Finds the certificates that are meant, and opens the keys that are needed. What nobody knows among several that are named is
/// refused; the only one that is named is an error.
pub(super) async fn find(
    order: Order,
    context: &Context,
    account: Option<&Account>,
) -> Result<Selection, Error> {
    let progress = context.progress("looking at the certificates");
    let sources = Sources::of(&context.home)?;
    if let damaged @ 1.. = sources.damaged {
        context.note(format_args!(
            "{} of the ledger cannot be read: a certificate in it may be missing here",
            counted(damaged, "line")
        ));
    }
    let mut search = Search::new(context, account, sources, progress);
    let named = match order.named {
        Named::Superseded(ids) => {
            search.look(ids.into_iter().map(|id| (id, None)).collect()).await?;
            let targets = search.targets(order.reason, order.keep_thing).await?;
            return Ok(Selection { targets, ..Selection::default() });
        }
        Named::Keys(keys) => keys.into_iter().map(|key| (key.clone(), Ok(Meaning::Thing(key)))).collect(),
        Named::Devices(devices) => {
            let mut named = Vec::new();
            for device in devices {
                if let Some(account) = account {
                    device.check(account).await?;
                }
                let meaning = search.meaning(&device.name).await;
                named.push((device.name, meaning));
            }
            named
        }
    };
    let is_one = named.len() == 1;
    let (mut refused, mut meant) = (Vec::new(), Vec::new());
    for (name, meaning) in named {
        match meaning {
            Ok(meaning) => meant.push((name, meaning)),
            Err(error) if is_one || concerns_all(&error) => return Err(error),
            Err(error) => refused.push((name, error)),
        }
    }
    search.read(&meant).await?;

    // A file or an id names certificates; a thing, a serial number or a compromise names keys.
    let (mut whole, mut rest, mut missing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (name, meaning) in &meant {
        let ids = search.ids(meaning);
        if let (Meaning::Certificates(_), Some(id)) = (meaning, ids.iter().find(|id| !search.is_known(id))) {
            refused.push((name.clone(), search.unknown(id)));
            search.found.remove(id);
            continue;
        }
        let keys = ids.iter().filter_map(|id| search.key_of(id));
        match meaning {
            Meaning::Certificates(_) if order.reason != Reason::KeyCompromise => rest.extend(keys),
            Meaning::Certificates(_) => whole.extend(keys),
            Meaning::Thing(thing) | Meaning::Serial(thing) => {
                whole.extend(keys);
                whole.extend(Some(thing.clone()).filter(|thing| is_key_identifier(thing)));
                if !ids.iter().any(|id| search.is_found(id)) {
                    missing.insert(thing.clone());
                }
            }
        }
    }
    let unseen = match whole.is_empty() && missing.is_empty() {
        true => 0,
        false => search.keys(&whole, &mut missing).await?,
    };
    rest.retain(|key| !whole.contains(key));
    let others = search.others(&rest).await?;
    let things = match (order.forget, meant.first()) {
        (true, Some((_, Meaning::Thing(thing)))) => search.things(Some(thing)).await?,
        (true, _) => search.things(None).await?,
        (false, _) => BTreeMap::new(),
    };
    missing.retain(|name| !things.contains_key(name));
    refused.extend(missing.into_iter().map(|name| (name.clone(), search.unknown(&name))));
    match refused.pop() {
        Some((_, error)) if is_one => return Err(error),
        last => refused.extend(last),
    }
    let targets = search.targets(order.reason, order.keep_thing).await?;
    Ok(Selection { targets, others, unseen, things, refused })
}

/// Whether a failure says nothing about what was named.
pub(super) fn concerns_all(error: &Error) -> bool {
    matches!(error, Error::Work(work::Error::Account(error)) if error.concerns_all())
}

/// Every certificate of a file, without the chain of another one in it. One that is a CA's otherwise is none of a device.
fn of_file(
    path: &Path,
    is_authority: impl Fn(&Certificate) -> bool,
) -> Result<BTreeMap<String, Option<Certificate>>, Error> {
    let all = certificate_file::read_whole(path)?;
    let of_chain: Vec<bool> = all.iter().map(|one| certificate_file::is_of_chain(one, &all)).collect();
    let certificates: Vec<_> =
        all.into_iter().zip(of_chain).filter(|(_, chain)| !chain).map(|(one, _)| one).collect();
    if let Some(ca) = certificates.iter().find(|found| found.is_ca() && is_authority(found)) {
        let subject = &ca.facts().subject;
        let reason =
            format!("the certificate of {subject} in it is a CA's: revoke a signer CA with --signer");
        return Err(Error::File { path: PathBuf::from(path), reason });
    }
    Ok(certificates.into_iter().map(|found| (found.facts().certificate_id.clone(), Some(found))).collect())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    fn params(is_ca: bool, name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    #[test]
    fn the_chain_in_a_file_is_passed_over_and_a_ca_alone_is_refused() {
        let [root_key, signer_key, key] = [(); 3].map(|()| KeyPair::generate().unwrap());
        let root = params(true, "root").self_signed(&root_key).unwrap();
        let issuer = Issuer::new(params(true, "root"), &root_key);
        let signer = params(true, "signer").signed_by(&signer_key, &issuer).unwrap();
        let issuer = Issuer::new(params(true, "signer"), &signer_key);
        let device = params(false, "device").signed_by(&key, &issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.pem");
        std::fs::write(&path, root.pem() + &signer.pem() + &device.pem()).unwrap();
        let expected = Certificate::read_all(device.pem().as_bytes()).unwrap().swap_remove(0);
        let found = of_file(&path, |_| true).unwrap();
        assert_eq!(found, [(expected.facts().certificate_id.clone(), Some(expected))].into());
        std::fs::write(&path, root.pem() + &signer.pem()).unwrap();
        let error = of_file(&path, |_| true).unwrap_err().to_string();
        assert!(error.contains("signer"), "{error}");
        std::fs::write(&path, root.pem()).unwrap();
        assert_eq!(of_file(&path, |_| false).unwrap().len(), 1);
    }
}
