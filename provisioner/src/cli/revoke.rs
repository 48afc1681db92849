//! `revoke`: a device is revoked: every certificate of its key, or those that are named. In a file of its own, a signer CA.

use std::collections::BTreeMap;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use time::OffsetDateTime;

mod selection;
mod signer;
mod target;

use super::plan::{self, Line, Plan};
use super::{Context, given, values};
use crate::cli::Error;
use crate::cli::ca::crl::warn_if_full;
use crate::state::authorities::is_key_identifier;
use crate::state::revocations as crl;
use crate::work::revocation::Publication;
use device_pki::revocation::Reason;
use durable_files::folder::{self, Lock};
use iot_account::revoke as account_revoke;
use iot_account::{Account, counted};
use selection::{Named, Selection};

pub(super) use selection::SHORTEST_PREFIX;
use target::{OnList, Target};

/// Arguments of `revoke`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner revoke 3a2d78ae0f5b1c... --reason key-compromise
      Revoke every certificate of the device with this thing name, in the account and on the revocation list.
  provisioner revoke old-device.crt --reason superseded
      Revoke one certificate; the others of its key stay valid.
  provisioner revoke --signer current
      Revoke the signer CA: its new devices are not registered. Revoke registered devices one by one.

AWS IoT disconnects a connected device. An interrupted run continues when it is run again.")]
pub struct Arguments {
    /// A thing name: every certificate of its key. A certificate id, at least 8 digits of its beginning, or a file: this
    /// certificate
    #[arg(value_name = "DEVICE", required_unless_present_any = ["signer", "key"],
        value_parser = values::device)]
    device: Option<values::Device>,
    /// Every certificate of the key with this subject key identifier
    #[arg(long, value_name = "SKI", conflicts_with = "device", value_parser = key_identifier)]
    key: Option<String>,
    /// A signer CA instead: `current`, or the start of its key identifier or certificate id
    #[arg(long, value_name = "ID", conflicts_with_all = ["device", "key", "keep_thing", "list_only"])]
    signer: Option<String>,
    /// Reason for the revocation; key-compromise always revokes every certificate of the key
    #[arg(long, default_value = "unspecified", value_name = "REASON", value_parser = reasons())]
    reason: Reason,
    /// Leave the certificate attached to its thing
    #[arg(long)]
    keep_thing: bool,
    /// Add it to the revocation list only; no AWS call is made
    #[arg(long)]
    list_only: bool,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let Arguments { device, key, signer, reason, keep_thing, list_only } = arguments.clone();
    if let Some(signer) = signer {
        return signer::revoke(&signer, reason, context).await;
    }
    let named = match (device, key) {
        (Some(device), _) => Named::Text(device),
        (None, key) => Named::Key(key.unwrap_or_default()),
    };
    let order = Order { named, reason, keep_thing, list_only, forget: false };
    plan::run(context, look(order, context).await?).await
}

/// What is to be revoked, and what else is done.
struct Order {
    named: Named,
    reason: Reason,
    /// The certificates stay attached to their things.
    keep_thing: bool,
    /// No AWS call is made.
    list_only: bool,
    /// The things are deleted.
    forget: bool,
}

/// A subject key identifier: 40 hex digits.
fn key_identifier(text: &str) -> Result<String, &'static str> {
    let text = text.to_ascii_lowercase();
    if is_key_identifier(&text) { Ok(text) } else { Err("a subject key identifier has 40 hex digits") }
}

/// The reasons, as the command line has them.
pub(super) fn reasons() -> impl TypedValueParser<Value = Reason> {
    let help = |reason: Reason| match reason {
        Reason::Unspecified => "No reason is given",
        Reason::KeyCompromise => "Somebody else has, or may have, the key",
        Reason::CaCompromise => "Somebody else has, or may have, the key of a CA above it",
        Reason::AffiliationChanged => "The board has another owner now",
        Reason::Superseded => "The board has another certificate now",
        Reason::CessationOfOperation => "The board is out of use",
        Reason::PrivilegeWithdrawn => "The board may no longer do what it could",
    };
    let values = Reason::ALL.map(|reason| PossibleValue::new(reason.name()).help(help(reason)));
    PossibleValuesParser::new(values)
        .map(|name| Reason::ALL.into_iter().find(|reason| reason.name() == name).unwrap_or_default())
}

/// `forget`: every certificate of the thing's key is revoked and detached, and the thing is deleted.
pub(super) async fn forget(thing: &values::Device, reason: Reason, context: &Context) -> Result<(), Error> {
    let named = Named::Text(thing.clone());
    let order = Order { named, reason, keep_thing: false, list_only: false, forget: true };
    plan::run(context, look(order, context).await?).await
}

/// Revokes older certificates of a board that has a newer one, which was asked for by a flag.
pub(super) async fn superseded(certificates: &[String], context: &Context) -> Result<(), Error> {
    if certificates.is_empty() {
        return Ok(());
    }
    let (named, reason) = (Named::Superseded(certificates.to_vec()), Reason::Superseded);
    let order = Order { named, reason, keep_thing: false, list_only: false, forget: false };
    look(order, context).await?.carry_out(context).await
}

/// Looks at the certificates that are meant.
async fn look(order: Order, context: &Context) -> Result<Revoke, Error> {
    let Order { reason, list_only, .. } = order;
    let account = if list_only { None } else { Some(context.account().await?) };
    let lock = context.home.lock_shared_existing()?;
    let selection = selection::find(order, context, account.as_ref()).await?;
    if selection.targets.iter().any(|target| !target.is_done()) {
        // It is recorded after the account is changed.
        folder::check_writable(context.home.root())?;
        folder::check_writable(&context.home.file(crl::RECORDS))?;
        folder::check_writable(&crl::folder(&context.home))?;
    }
    if selection.unseen > 0 {
        context.note(format_args!(
            "{} of these signer CAs are not known here and were not looked at: one of them may be of the same key",
            counted(selection.unseen, "certificate")
        ));
    }
    Ok(Revoke { selection, account, reason, _lock: lock })
}

/// Certificates to be revoked.
struct Revoke {
    selection: Selection,
    account: Option<Account>,
    reason: Reason,
    _lock: Option<Lock>,
}

/// A thing that is deleted.
#[derive(Serialize)]
struct Thing<'a> {
    thing_name: &'a str,
}

/// Why a thing is not deleted.
const OF_ANOTHER_KEY: &str = "a certificate of another key is attached to it";

fn thing_stays(name: &str) -> Error {
    iot_account::Error::Revoke(account_revoke::Error::ThingStays { thing_name: name.to_owned() }).into()
}

/// A certificate of the same key that stays valid.
#[derive(Serialize)]
struct Other<'a> {
    certificate_id: &'a str,
    subject_key_identifier: &'a str,
    /// What revokes every certificate of the key.
    help: String,
}

impl Other<'_> {
    fn text(&self) -> String {
        format!(
            "certificate {} of the same key stays valid; revoke every certificate of the key with: {}",
            self.certificate_id, self.help
        )
    }
}

impl Revoke {
    fn is_done(&self) -> bool {
        self.selection.targets.iter().all(Target::is_done)
            && self.selection.things.values().all(|stays| *stays)
    }

    fn others(&self) -> impl Iterator<Item = Other<'_>> {
        let others = self.selection.others.iter();
        others.map(|(id, key)| Other {
            certificate_id: id,
            subject_key_identifier: key,
            help: given::repeated(format!("provisioner revoke --key {key}")).into_owned(),
        })
    }

    /// How it ends because of what cannot be revoked.
    fn verdict(&self) -> Result<(), Error> {
        let total = self.selection.targets.len();
        match self.selection.targets.iter().filter(|target| !target.is_out()).count() {
            0 => Ok(()),
            failed => {
                Err(iot_account::Error::Revoke(account_revoke::Error::Incomplete { failed, total }).into())
            }
        }
    }

    /// Looks again at what the function may have been registering when it was revoked: its last step makes a certificate
    /// ACTIVE.
    async fn settle(&self, context: &Context, account: &Account) -> Result<(), Error> {
        let pending = || self.selection.targets.iter().filter(|target| target.device.is_pending());
        if pending().next().is_none() {
            return Ok(());
        }
        let pause = account_revoke::longest_registration(account).await?;
        context.note(format_args!(
            "waiting {} s: the function may have been registering the certificate",
            pause.as_secs()
        ));
        let _progress = context.progress("waiting for the function");
        tokio::time::sleep(pause).await;
        for target in pending() {
            let id = &target.device.certificate_id;
            let device = account_revoke::Device::look(account, id, target.device.certificate.clone()).await?;
            if !device.is_revoked() {
                context.note(format_args!(
                    "certificate {id} had been registered meanwhile; it is revoked again"
                ));
                device.revoke(account, target.register_with.as_deref()).await?;
                if !target.keep_thing {
                    device.detach(account).await?;
                }
            }
        }
        Ok(())
    }
}

impl Plan for Revoke {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let targets = self.selection.targets.iter().map(|target| {
            let row = target.row(self.reason);
            Line::new(target.action(), row.text(false), &row).block()
        });
        let things = self.selection.things.iter().map(|(thing_name, stays)| {
            let text = match stays {
                true => format!("thing {thing_name} would stay: {OF_ANOTHER_KEY}"),
                false => format!("thing {thing_name} would be deleted"),
            };
            Line::new("delete", text, &Thing { thing_name })
        });
        let others = self.others().map(|other| Line::new("leave", other.text(), &other));
        Ok(targets.chain(things).chain(others).collect())
    }

    fn question(&self) -> Option<String> {
        let question = match self.selection.targets.iter().all(Target::is_done) {
            true => "A deleted thing loses its attributes, its groups and its shadow.",
            false => "A revoked certificate stays revoked; to connect again, the board needs a new one.",
        };
        (!self.is_done()).then(|| question.to_owned())
    }

    fn refused(self) -> Result<(), Error> {
        match self.selection.things.iter().find(|(_, stays)| **stays) {
            Some((name, _)) => Err(thing_stays(name)),
            None => self.verdict(),
        }
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        if self.is_done() {
            context.note("nothing to do: it is revoked already");
        }
        let targets = &self.selection.targets;
        let mut failures: Vec<Option<Error>> = Vec::new();
        for target in targets {
            // What stops the device comes first. What fails for one certificate keeps no other one in.
            failures.push(match &self.account {
                Some(account) => target.stop(account).await.err(),
                None => None,
            });
        }
        let entered = enter(targets, self.reason, context);
        if let Some(account) = &self.account {
            // What is not noted stays attached: the next run finds it by its thing.
            let noted =
                targets.iter().zip(&mut failures).filter(|(_, failed)| entered.is_ok() && failed.is_none());
            for (target, failure) in noted {
                *failure = target.detach(account).await.err();
            }
            self.settle(context, account).await?;
        }
        let is_entered = entered.is_ok();
        for (target, failure) in targets.iter().zip(&failures) {
            let row = target.row(self.reason);
            let done = target.is_out() && failure.is_none() && is_entered;
            plan::tell_block(context, target.action(), row.text(done), &row, done);
        }
        if targets.iter().any(Target::waits_for_list) {
            context.note(
                "it is on no list yet, because the key of its signer CA is not here: run `provisioner ca crl` where the key is",
            );
        }
        entered?;
        if let Some(failure) = failures.into_iter().flatten().next() {
            return Err(failure);
        }
        let mut stays = None;
        for thing_name in self.selection.things.keys() {
            let Some(account) = &self.account else { continue };
            let thing = Thing { thing_name };
            match account_revoke::delete_thing(account, thing_name).await? {
                true => plan::tell(context, "delete", format_args!("thing {thing_name} deleted"), &thing),
                false => {
                    let text = format!("thing {thing_name} stays: {OF_ANOTHER_KEY}");
                    plan::tell_undone(context, "delete", text, &thing);
                    stays.get_or_insert_with(|| thing_name.clone());
                }
            }
        }
        for other in self.others() {
            plan::tell_undone(context, "leave", other.text(), &other);
        }
        if let Some(thing_name) = stays {
            return Err(thing_stays(&thing_name));
        }
        self.verdict()
    }
}

/// Notes the revocations, and writes the lists of the signers.
fn enter(targets: &[Target], reason: Reason, context: &Context) -> Result<(), Error> {
    if targets.iter().all(|target| target.is_noted && target.on_list() != OnList::Add) {
        return Ok(());
    }
    let _lock = crl::lock(&context.home)?;
    let mut signers = BTreeMap::new();
    for target in targets {
        target.note(context, reason)?;
        if let (Some(authority), Some(chain), OnList::Add) =
            (&target.authority, &target.chain, target.on_list())
        {
            signers.insert(authority.subject_key_identifier(), (authority, chain));
        }
    }
    let folder = crl::folder(&context.home);
    let now = OffsetDateTime::now_utc();
    let publication = Publication { home: &context.home, folder: &folder, days: crl::DAYS, now };
    for (authority, chain) in signers.into_values() {
        warn_if_full(&publication.of_signer(authority, chain)?, context);
    }
    Ok(())
}
