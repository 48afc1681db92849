//! `ca crl`: the revocation lists of the signer CAs.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::Context;
use crate::cli::Error;
use crate::state::authorities::Authority;
use crate::state::{authorities, revocations as crl, store};
use crate::work::revocation::Publication;
use crate::{state, work};
use device_pki::Issuer;
use device_pki::certificate::rfc3339;
use device_pki::key::Uri;

/// Arguments of `ca crl`.
#[derive(Debug, Args)]
#[command(after_help = "\
Writes KEYID.crl and KEYID.crt of every signer CA, also of signers with nothing revoked yet.

Put the folder into the function's package and name it in CRL_DIR (RevocationLists in infra/). The function then refuses \
every certificate on a list.

Run this command again before the lists are due, for example from a timer.")]
pub struct Arguments {
    /// Folder for the lists [default: crl in the home folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Days until the next list is due
    #[arg(long, default_value_t = crl::DAYS, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Place of the root key, if it is offline, such as file:/media/usb/root-ca.key
    #[arg(long, value_name = "URI")]
    root_key: Option<Uri>,
}

/// A list, written or planned.
#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    list: crl::List,
    /// `signer` or `root`.
    issuer: &'static str,
    done: bool,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crl::List { key_id, number, next_update, revoked, file } = &self.list;
        let (issuer, id) = (self.issuer, key_id.get(..8).unwrap_or(key_id));
        write!(
            f,
            "{issuer} {id}: list {number} with {revoked} revoked, next due {}: {}",
            rfc3339(*next_update),
            file.display()
        )
    }
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    let folder = arguments.dir.clone().unwrap_or_else(|| crl::folder(&context.home));
    let _use = if context.home.root().is_dir() { Some(context.home.lock_shared()?) } else { None };
    let authorities = authorities::all(&context.home)?;
    if authorities.is_empty() {
        // Says what is missing.
        store::load(&context.home, &context.keys, now)?;
    }
    let _lock = if context.global.dry_run { None } else { Some(crl::lock(&context.home)?) };
    let publication = Publication { home: &context.home, folder: &folder, days: arguments.days, now };
    for authority in &authorities {
        let key_id = authority.key_id();
        if context.global.dry_run {
            let revoked = crl::Records::of(&context.home, key_id).read()?.len();
            context.note(format_args!("would write a list of {revoked} revoked for the signer {key_id}"));
            continue;
        }
        let list = authority
            .chain(&context.keys, now)
            .map_err(work::Error::from)
            .and_then(|chain| publication.of_signer(authority, &chain));
        match list {
            Ok(list) => {
                context.show(&Written { list, issuer: "signer", done: true });
            }
            // Its certificates are past their signer's end: nobody accepts them, on a list or not.
            Err(work::Error::Pki(device_pki::Error::NotValidNow { .. }))
                if authority.left(now).is_negative() =>
            {
                context.note(format_args!("the signer {key_id} has ended; it gets no list any more"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    root(arguments, context, authorities, publication)
}

/// Writes the root's list, if a signer was revoked or somebody says where the root's key is.
fn root(
    arguments: &Arguments,
    context: &Context,
    authorities: Vec<Authority>,
    publication: Publication<'_>,
) -> Result<(), Error> {
    let mut revoked = Vec::new();
    for authority in authorities {
        revoked.extend(authority.revocation()?.map(|revoked| (authority, revoked)));
    }
    if revoked.is_empty() && arguments.root_key.is_none() {
        return Ok(());
    }
    if context.global.dry_run {
        context.note(format_args!("would write a list of {} revoked for the root", revoked.len()));
        return Ok(());
    }
    let (root, key) = match store::root(&context.home, &context.keys, arguments.root_key.as_ref()) {
        Err(state::Error::RootOffline { uri }) if arguments.root_key.is_none() => {
            context.note(format_args!(
                "the root's list of revoked signers is left as it was: the root's key is not here ({uri}); \
                 bring it back and give it with --root-key"
            ));
            return Ok(());
        }
        found => found?,
    };
    let list = publication.of_root(Issuer { certificate: &root, key: &key }, &revoked)?;
    context.show(&Written { list, issuer: "root", done: true });
    Ok(())
}
