//! What is to be done about each certificate that was looked at.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use device_pki::revocation::Reason;
use iot_account::revoke as account_revoke;
use time::OffsetDateTime;

use super::search::{Search, key_of};
use crate::cli::Error;
use crate::cli::revoke::target::{Noted, Target, chain_of};
use crate::state::authorities;

impl Search<'_> {
    /// What is to be done about each certificate that was looked at.
    pub(super) async fn targets(mut self, reason: Reason, keep_thing: bool) -> Result<Vec<Target>, Error> {
        let now = OffsetDateTime::now_utc();
        let (mut active, mut chains, mut noted) = (BTreeMap::new(), BTreeMap::new(), HashMap::new());
        let mut targets = Vec::new();
        for (id, device) in std::mem::take(&mut self.found) {
            let known = self.known.get(&id);
            let signed = known.and_then(|known| known.signed.clone());
            let authority = match (&device.certificate, &signed) {
                (Some(certificate), _) => authorities::issuer(&self.authorities, certificate),
                (None, Some((signer, _))) => {
                    self.authorities.iter().find(|authority| authority.subject_key_identifier() == signer)
                }
                (None, None) => None,
            };
            let serial_number = match &device.certificate {
                Some(certificate) => certificate.serial_number().ok(),
                None => signed.map(|(_, number)| number),
            };
            let register_with = match (self.account, authority, &device.status) {
                (Some(account), Some(authority), None) if device.certificate.is_some() => {
                    let id = authority.certificate_id();
                    if !active.contains_key(id) {
                        active.insert(id.to_owned(), account_revoke::is_active(account, id).await?);
                    }
                    active[id].then(|| authority.certificate.to_pem())
                }
                _ => None,
            };
            let chain = match authority {
                Some(authority) => {
                    let id = authority.subject_key_identifier();
                    if !chains.contains_key(id) {
                        chains.insert(id.to_owned(), chain_of(authority, self.context, now)?.map(Arc::new));
                    }
                    chains[id].clone()
                }
                None => None,
            };
            let key = key_of(&device).or_else(|| known?.subject_key_identifier.clone());
            let authority = authority.cloned();
            let has_ended =
                device.certificate.as_ref().is_some_and(|certificate| certificate.facts().not_after < now);
            let (is_noted, is_listed) = (false, false);
            let mut target = Target {
                device,
                key,
                authority,
                chain,
                serial_number,
                has_ended,
                register_with,
                is_noted,
                is_listed,
                keep_thing,
            };
            let issuer = target.issuer().to_owned();
            if !noted.contains_key(&issuer) {
                noted.insert(issuer.clone(), Noted::read(&self.context.home, &issuer)?);
            }
            target.compare(&noted[&issuer], reason);
            targets.push(target);
        }
        Ok(targets)
    }
}
