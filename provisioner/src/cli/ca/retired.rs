//! What `ca show` tells beyond the chain in use: retired signers, ends that come soon, and lists that are due.

use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::Context;
use crate::cli::Error;
use crate::state::authorities::{self, SignerRevocation};
use crate::state::revocations::{self as crl, List, Records};
use crate::state::store::Role;
use device_pki::Certificate;
use device_pki::certificate::rfc3339;
use device_pki::key::Protection;

use super::organisation;
use super::place::Place;

#[derive(Serialize)]
struct Shown<'a> {
    retired_signer: Retired<'a>,
}

#[derive(Serialize)]
struct Retired<'a> {
    #[serde(flatten)]
    certificate: &'a Certificate,
    key: Place,
    revocation: Option<SignerRevocation>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Retired { certificate, key, revocation } = &self.retired_signer;
        let facts = certificate.facts();
        let id = facts.subject_key_identifier.as_deref().unwrap_or_default();
        write!(f, "retired signer {id}, {}, until {}", facts.subject, rfc3339(facts.not_after))?;
        if let Some(revocation) = revocation {
            write!(f, ", revoked on {}", revocation.when.date())?;
        }
        write!(f, "; key: {key}")
    }
}

pub(super) fn show(context: &Context, root: &super::Authority, now: OffsetDateTime) -> Result<(), Error> {
    let mut revoked_signers = 0;
    for authority in authorities::all(&context.home)? {
        let revocation = authority.revocation()?;
        revoked_signers += usize::from(revocation.is_some());
        if authority.current {
            notice(context, &authority.certificate, &root.certificate, now);
        } else {
            let key = Place::of(&authority.folder, &context.keys, Role::Signer)?;
            let retired_signer = Retired { certificate: &authority.certificate, key, revocation };
            context.show(&Shown { retired_signer });
        }
        // A signer that has ended gets none any more.
        let devices = Records::of(&context.home, authority.subject_key_identifier()).read()?.len();
        if is_list_due(context, authority.subject_key_identifier(), devices, now)?
            && !authority.left(now).is_negative()
        {
            context.note(format_args!(
                "the revocation list of the signer CA {} is due; write it with: provisioner ca crl",
                authority.subject_key_identifier()
            ));
        }
    }
    let key_id = root.certificate.facts().subject_key_identifier.as_deref().unwrap_or_default();
    if is_list_due(context, key_id, revoked_signers, now)? {
        let given = if root.key.protection == Protection::Absent {
            " --root-key URI, with the root's key"
        } else {
            ""
        };
        context.note(format_args!(
            "the revocation list of the root is due; write it with: provisioner ca crl{given}"
        ));
    }
    Ok(())
}

/// Tells of a signer that ends soon, or has ended, and of what certificates below it cannot carry.
pub(in crate::cli) fn notice(
    context: &Context,
    signer: &Certificate,
    root: &Certificate,
    now: OffsetDateTime,
) {
    if let Some(notice) = expiry_notice(signer, root, now) {
        context.note(notice);
    }
    organisation::tell(context, signer);
}

fn expiry_notice(signer: &Certificate, root: &Certificate, now: OffsetDateTime) -> Option<String> {
    let left = signer.facts().not_after - now;
    let ends = match left.is_positive() {
        true => format!("expires in {}", super::period(left)),
        false => "has expired".to_owned(),
    };
    // No signer outlives its root.
    let next = match root.facts().not_after <= signer.facts().not_after {
        true => {
            "its root CA does not last longer: have the root's certificate issued anew, or make another root with its signer in another folder: provisioner --home DIR ca create"
        }
        false => "make the next one with: provisioner ca rotate",
    };
    let notice = format!("the signer CA {ends}; {next}");
    signer.ends_soon(now).then_some(notice)
}

/// Whether a list is past its date, or does not say all that its issuer has revoked.
fn is_list_due(context: &Context, issuer: &str, revoked: usize, now: OffsetDateTime) -> Result<bool, Error> {
    Ok(match List::read(&crl::folder(&context.home), issuer)? {
        Some(list) => list.next_update < now || list.revoked_certificates < revoked,
        None => revoked > 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_that_ends_soon_is_told_of_early() {
        let key = rcgen::KeyPair::generate().unwrap();
        let signer = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let signer = Certificate::from_der(signer.der()).unwrap();
        let end = signer.facts().not_after;
        let mut params = rcgen::CertificateParams::default();
        params.not_after = end + time::Duration::days(1);
        let root = Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap();
        let told: Vec<String> = [61, 60, 30, 0, -1]
            .into_iter()
            .map(|days| expiry_notice(&signer, &root, end - time::Duration::days(days)))
            .map(Option::unwrap_or_default)
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"

        the signer CA expires in 60 days; make the next one with: provisioner ca rotate
        the signer CA expires in 30 days; make the next one with: provisioner ca rotate
        the signer CA has expired; make the next one with: provisioner ca rotate
        the signer CA has expired; make the next one with: provisioner ca rotate
        ");
        let limited = expiry_notice(&signer, &signer, end).unwrap();
        assert!(
            limited.contains("its root CA does not last longer") && !limited.contains("ca rotate"),
            "{limited}"
        );
    }
}
