//! What `ca show` tells beyond the chain in use: retired signers, ends that come soon, and lists that are due.

use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;

use crate::Error;
use crate::ca::authorities::{self, expiry_notice};
use crate::ca::certificate::rfc3339;
use crate::ca::crl::{self, List, Records};
use crate::ca::store::Role;
use crate::ca::{Certificate, authorities::Withdrawn};
use crate::cli::Context;

use super::place::Place;

#[derive(Serialize)]
struct Retired<'a> {
    retired: &'a str,
    certificate: &'a Certificate,
    key: Place,
    revoked: Option<Withdrawn>,
}

impl fmt::Display for Retired<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = self.certificate.facts();
        write!(f, "retired signer {}, {}, until {}", self.retired, facts.subject, rfc3339(facts.not_after))?;
        if let Some(withdrawn) = &self.revoked {
            write!(f, ", revoked on {}", withdrawn.when.date())?;
        }
        write!(f, "; key: {}", self.key)
    }
}

/// `root` and where its key is.
pub(super) fn show(
    context: &Context,
    (root, root_key): (&Certificate, &Place),
    now: OffsetDateTime,
) -> Result<(), Error> {
    let mut revoked_signers = 0;
    for authority in authorities::all(&context.home)? {
        let revoked = authority.withdrawn()?;
        revoked_signers += usize::from(revoked.is_some());
        if authority.current {
            notice(context, &authority.certificate, now);
        } else {
            let key = Place::of(&authority.folder, &context.keys, Role::Signer)?;
            let retired =
                Retired { retired: authority.key_id(), certificate: &authority.certificate, key, revoked };
            context.result(&retired, &retired);
        }
        // A signer that has ended gets none any more.
        let devices = Records::of(&context.home, authority.key_id()).read()?.len();
        if is_list_due(context, authority.key_id(), devices, now)? && !authority.left(now).is_negative() {
            context.note(format_args!(
                "the revocation list of the signer {} is due; write it with: provisioner ca crl",
                authority.key_id()
            ));
        }
    }
    let root = root.facts().subject_key_identifier.as_deref().unwrap_or_default();
    if is_list_due(context, root, revoked_signers, now)? {
        let given = if root_key.is_absent() { " --root-key URI, with the root's key" } else { "" };
        context.note(format_args!(
            "the revocation list of the root is due; write it with: provisioner ca crl{given}"
        ));
    }
    Ok(())
}

/// Tells of a signer that ends soon.
pub(in crate::cli) fn notice(context: &Context, signer: &Certificate, now: OffsetDateTime) {
    if let Some(notice) = expiry_notice(signer, now) {
        context.note(notice);
    }
}

/// Whether a list is past its date, or does not say all that its issuer has revoked.
fn is_list_due(context: &Context, issuer: &str, revoked: usize, now: OffsetDateTime) -> Result<bool, Error> {
    Ok(match List::read(&crl::folder(&context.home), issuer)? {
        Some(list) => list.next_update < now || list.revoked < revoked,
        None => revoked > 0,
    })
}
