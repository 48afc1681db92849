//! What `ca show` tells beyond the chain in use: retired signers, ends that come soon, and lists that are due.

use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;

use crate::Error;
use crate::ca::authorities::{self, Authority, expiry_notice};
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

pub(super) fn show(context: &Context, now: OffsetDateTime) -> Result<(), Error> {
    for authority in authorities::all(&context.home)? {
        if authority.current {
            notice(context, &authority.certificate, now);
        } else {
            let revoked = authority.withdrawn()?;
            let key = Place::of(&authority.folder, &context.keys, Role::Signer)?;
            let retired =
                Retired { retired: authority.key_id(), certificate: &authority.certificate, key, revoked };
            context.result(&retired, &retired);
        }
        if is_list_due(context, &authority, now)? {
            context.note(format_args!(
                "the revocation list of the signer {} is due; write it with: provisioner ca crl",
                authority.key_id()
            ));
        }
    }
    Ok(())
}

/// Tells of a signer that ends soon.
pub(in crate::cli) fn notice(context: &Context, signer: &Certificate, now: OffsetDateTime) {
    if let Some(notice) = expiry_notice(signer, now) {
        context.note(notice);
    }
}

/// Whether the list is past its date, or does not say all that was revoked. A signer that has ended gets none any more.
fn is_list_due(context: &Context, authority: &Authority, now: OffsetDateTime) -> Result<bool, Error> {
    let revoked = Records::of(&context.home, authority.key_id()).read()?.len();
    let due = match List::read(&crl::folder(&context.home), authority.key_id())? {
        Some(list) => list.next_update < now || list.revoked < revoked,
        None => revoked > 0,
    };
    Ok(due && !authority.left(now).is_negative())
}
