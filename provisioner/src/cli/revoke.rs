//! `revoke`: a device is revoked: every certificate of its key, or those that are named. In a file of its own, a signer CA.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use futures::{StreamExt, stream};
use serde::Serialize;
use time::OffsetDateTime;

mod selection;
mod signer;
mod target;

use super::plan::{self, Line, Plan};
use super::{Context, given, list, values};
use crate::cli::Error;
use crate::cli::ca::crl::warn_if_full;
use crate::state::authorities::is_key_identifier;
use crate::state::revocations as crl;
use crate::work;
use crate::work::revocation::Publication;
use device_pki::revocation::Reason;
use durable_files::folder::{self, Lock};
use iot_account::certificates::SIDE_BY_SIDE;
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
  provisioner revoke --file stolen.txt --reason key-compromise
      Revoke every device of a list. AWS takes 10 calls a second: 1,000 devices take about 4 minutes.
  provisioner revoke --signer current
      Revoke the signer CA: its new devices are not registered. Revoke registered devices one by one.

AWS IoT disconnects a connected device. An interrupted run continues when it is run again.")]
pub struct Arguments {
    /// Thing names, or serial numbers of kits or secure elements in the ledger: every certificate of their keys. Certificate ids, at
    /// least 8 digits of their beginnings, or files: these certificates
    #[arg(value_name = "DEVICE", required_unless_present_any = ["file", "signer", "key"],
        value_parser = values::device)]
    devices: Vec<values::Device>,
    /// Also the devices in this list, one a line; `-` is the standard input. Empty lines and those with # are left out, and names of
    /// files are read from the folder of the list
    #[arg(long, value_name = "LIST")]
    file: Vec<PathBuf>,
    /// Every certificate of the key with this subject key identifier
    #[arg(long, value_name = "SKI", conflicts_with_all = ["devices", "file"], value_parser = key_identifier)]
    key: Option<String>,
    /// A signer CA instead: `current`, or the start of its key identifier or certificate id
    #[arg(long, value_name = "ID", conflicts_with_all = ["devices", "file", "key", "keep_thing", "list_only"])]
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
    let Arguments { mut devices, file, key, signer, reason, keep_thing, list_only } = arguments.clone();
    if let Some(signer) = signer {
        return signer::revoke(&signer, reason, context).await;
    }
    let named = match key {
        Some(key) => Named::Keys(vec![key]),
        None => {
            for list in &file {
                devices.extend(listed(list)?);
            }
            if devices.is_empty() {
                return Err(Error::usage("there is no device in the list", "write one device a line"));
            }
            Named::Devices(devices)
        }
    };
    let order = Order { named, reason, keep_thing, list_only, forget: false };
    plan::run(context, look(order, context).await?).await
}

/// The devices of a list.
///
/// # Errors
/// The list cannot be read; a line that names no device.
fn listed(list: &Path) -> Result<Vec<values::Device>, Error> {
    let mut devices = Vec::new();
    for (number, text) in list::read(list)? {
        let beside = list.parent().map(|folder| folder.join(&text)).filter(|path| path.is_file());
        let text = beside.map_or(text, |path| path.display().to_string());
        devices.push(values::device(&text).map_err(|wrong| {
            Error::usage(
                format!("line {number} of {}: {wrong}", list.display()),
                "correct the line, or take it out",
            )
        })?);
    }
    Ok(devices)
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
    let named = Named::Devices(vec![thing.clone()]);
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

/// The certificates of these keys, to be revoked: none for a key that neither the account nor this computer knows a certificate of.
pub(super) async fn of_keys(
    keys: Vec<String>,
    reason: Reason,
    context: &Context,
) -> Result<Option<Revoke>, Error> {
    let named = Named::Keys(keys);
    let order = Order { named, reason, keep_thing: false, list_only: false, forget: false };
    match look(order, context).await {
        Err(error) if is_unknown(&error) => Ok(None),
        found => {
            let mut found = found?;
            found.selection.refused.retain(|(_, error)| !is_unknown(error));
            Ok(Some(found))
        }
    }
}

/// Whether nobody knows what was named.
fn is_unknown(error: &Error) -> bool {
    use iot_account::Error::Revoke;
    matches!(error, Error::Work(work::Error::Account(Revoke(account_revoke::Error::Unknown { .. }))))
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
pub(super) struct Revoke {
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

/// What was named among others and is not revoked.
#[derive(Serialize)]
struct Refused<'a> {
    name: &'a str,
    error: String,
}

impl Refused<'_> {
    fn text(&self) -> String {
        format!("refused      {}: {}", self.name, self.error)
    }
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
    /// The account that has the certificates.
    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

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

    fn refusals(&self) -> impl Iterator<Item = Refused<'_>> {
        self.selection.refused.iter().map(|(name, error)| Refused { name, error: error.to_string() })
    }

    /// How it ends because of what cannot be revoked.
    fn verdict(&self) -> Result<(), Error> {
        let refused = self.selection.refused.len();
        let total = self.selection.targets.len() + refused;
        match self.selection.targets.iter().filter(|target| !target.is_out()).count() + refused {
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
        let refusals = self.refusals().map(|refused| Line::new("refuse", refused.text(), &refused));
        Ok(targets.chain(things).chain(others).chain(refusals).collect())
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
        let progress = context.progress("revoking");
        let stopped = Cell::new(false);
        let each = stream::iter(targets).map(|target| async {
            // What fails for one certificate keeps no other one in. Where all would fail, the list still keeps them out.
            if stopped.get() {
                return Err(target.note(context, self.reason).err());
            }
            let revoked = target.revoke(self.account.as_ref(), context, self.reason).await;
            revoked.map_err(|error| {
                stopped.set(stopped.get() || selection::concerns_all(&error) && !is_denied(&error));
                Some(error)
            })
        });
        let mut each = std::pin::pin!(each.buffered(SIDE_BY_SIDE));
        let mut ended = Vec::new();
        while let Some(one) = each.next().await {
            ended.push(one);
            progress.count(ended.len(), targets.len());
        }
        drop(progress);
        let entered = enter(targets, context);
        if let Some(account) = &self.account {
            self.settle(context, account).await?;
        }
        let is_entered = entered.is_ok();
        for (target, ended) in targets.iter().zip(&ended) {
            let row = target.row(self.reason);
            let done = target.is_out() && ended.is_ok() && is_entered;
            plan::tell_block(context, target.action(), row.text(done), &row, done);
        }
        self.refusals().for_each(|refused| plan::tell_undone(context, "refuse", refused.text(), &refused));
        if targets.iter().any(Target::waits_for_list) {
            context.note(
                "it is on no list yet, because the key of its signer CA is not here: run `provisioner ca crl` where the key is",
            );
        }
        entered?;
        let left = ended.iter().filter(|ended| ended.is_err()).count();
        if let Some(failure) = ended.into_iter().find_map(|ended| ended.err().flatten()) {
            if targets.len() > 1 {
                context.note(format_args!(
                    "not revoked yet: {left} of {}; run it again, it leaves out what is done",
                    counted(targets.len(), "certificate")
                ));
            }
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

fn is_denied(error: &Error) -> bool {
    matches!(error, Error::Work(work::Error::Account(iot_account::Error::Denied { .. })))
}

/// Writes the lists of the signers, where a certificate is not on one yet.
fn enter(targets: &[Target], context: &Context) -> Result<(), Error> {
    let mut signers = BTreeMap::new();
    for target in targets {
        if let (Some(authority), Some(chain), OnList::Add) =
            (&target.authority, &target.chain, target.on_list())
        {
            signers.insert(authority.subject_key_identifier(), (authority, chain));
        }
    }
    if signers.is_empty() {
        return Ok(());
    }
    let _lock = crl::lock(&context.home)?;
    let folder = crl::folder(&context.home);
    let now = OffsetDateTime::now_utc();
    let publication = Publication { home: &context.home, folder: &folder, days: crl::DAYS, now };
    for (authority, chain) in signers.into_values() {
        warn_if_full(&publication.of_signer(authority, chain)?, context);
    }
    Ok(())
}
