//! `revoke`: a device certificate is revoked; in a file of its own, a signer CA.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use time::OffsetDateTime;

mod signer;

use super::Context;
use crate::cli::Error;
use crate::state::audit;
use crate::state::authorities::{self, Authority};
use crate::state::revocations::{self as crl, Records, Revocation};
use crate::work::inventory::{self, OnDisk};
use crate::work::revocation::Publication;
use crate::{state, work};
use device_pki::revocation::Reason;
use device_pki::{Certificate, Chain};
use iot_account::Account;
use iot_account::revoke::{self as account_revoke, Device, SignerState, certificates_of};

/// Arguments of `revoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner revoke 3a2d78ae0f5b1c... --reason key-compromise
      Revoke the certificate of the device with this thing name, in the account and on the revocation list.
  provisioner revoke --signer current
      Revoke the signer CA: its new devices are not registered. Revoke registered devices one by one.

AWS IoT disconnects a connected device. An interrupted run continues when it is run again.")]
pub struct Arguments {
    /// Thing name, certificate id or certificate file of the device
    #[arg(value_name = "DEVICE", required_unless_present = "signer")]
    device: Option<String>,
    /// A signer CA instead: `current`, or the start of its key identifier or certificate id
    #[arg(long, value_name = "ID", conflicts_with_all = ["device", "keep_thing", "list_only"])]
    signer: Option<String>,
    /// Reason for the revocation
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
    match (&arguments.device, &arguments.signer) {
        (_, Some(signer)) => signer::revoke(signer, arguments.reason, context).await,
        (device, None) => revoke_devices(arguments, device.as_deref().unwrap_or_default(), context).await,
    }
}

/// The reasons, as the command line has them.
fn reasons() -> impl TypedValueParser<Value = Reason> {
    let help = |reason: Reason| match reason {
        Reason::Unspecified => "No reason is given",
        Reason::KeyCompromise => "Somebody else has, or may have, the key",
        Reason::AffiliationChanged => "The board belongs to somebody else now",
        Reason::Superseded => "The board has another certificate now",
        Reason::CessationOfOperation => "The board is out of use",
        Reason::PrivilegeWithdrawn => "The board may no longer do what it could",
    };
    let values = Reason::ALL.map(|reason| PossibleValue::new(reason.name()).help(help(reason)));
    PossibleValuesParser::new(values)
        .map(|name| Reason::ALL.into_iter().find(|reason| reason.name() == name).unwrap_or_default())
}

/// What is to be done about one device.
struct Plan {
    device: Device,
    /// The signer that issued it, and its key, if it is in this home and can sign lists.
    signer: Option<(Authority, Chain)>,
    /// Serial number, for the list.
    serial_number: Option<String>,
    /// PEM of the CA to register it with, if the account does not know it yet.
    register_with: Option<String>,
    is_listed: bool,
    keep_thing: bool,
}

/// One line of the plan, or of what was done.
#[derive(Serialize)]
struct Row<'a> {
    certificate_id: &'a str,
    /// What the account has.
    status: Option<&'a str>,
    /// `revoke`, `register_as_revoked`, `leave`, or `unknown` where it cannot be registered.
    account: &'static str,
    /// Things that it is detached from.
    detached: &'a [String],
    /// `add`, `leave`, or `none` where the signer's key is not in this home.
    list: &'static str,
    signer: Option<&'a str>,
    reason: Reason,
    done: bool,
}

impl Plan {
    fn account(&self) -> &'static str {
        match (&self.device.status, &self.register_with) {
            (Some(_), _) if self.device.is_revoked() => "leave",
            (Some(_), _) => "revoke",
            (None, Some(_)) => "register_as_revoked",
            (None, None) => "unknown",
        }
    }

    fn list(&self) -> &'static str {
        match (&self.signer, &self.serial_number) {
            (Some(_), _) if self.is_listed => "leave",
            (Some(_), Some(_)) => "add",
            _ => "none",
        }
    }

    fn detached(&self) -> &[String] {
        if self.keep_thing { &[] } else { &self.device.things }
    }

    fn row(&self, reason: Reason, done: bool) -> Row<'_> {
        Row {
            certificate_id: &self.device.certificate_id,
            status: self.device.status.as_deref(),
            account: self.account(),
            detached: self.detached(),
            list: self.list(),
            signer: self.signer.as_ref().map(|(authority, _)| authority.key_id()),
            reason,
            done,
        }
    }

    /// Whether there is nothing left to do.
    fn is_done(&self) -> bool {
        self.account() != "revoke"
            && self.account() != "register_as_revoked"
            && self.list() != "add"
            && self.detached().is_empty()
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.done { "" } else { "would be " };
        let status = self.status.unwrap_or("not in the account");
        write!(f, "certificate {}", self.certificate_id)?;
        match self.account {
            "revoke" => write!(f, "\n  account  {status}, {would}REVOKED")?,
            "register_as_revoked" => write!(f, "\n  account  {status}, {would}registered as REVOKED")?,
            "leave" => write!(f, "\n  account  REVOKED already")?,
            _ => write!(f, "\n  account  {status}")?,
        }
        for thing in self.detached {
            write!(f, "\n  thing    {would}detached from {thing}")?;
        }
        let signer = self.signer.and_then(|signer| signer.get(..8)).unwrap_or_default();
        match self.list {
            "add" => write!(f, "\n  list     {would}put on the list of the signer {signer}"),
            "leave" => write!(f, "\n  list     on the list of the signer {signer} already"),
            _ => write!(f, "\n  list     none: its signer, or the signer's key, is not in this home folder"),
        }
    }
}

async fn revoke_devices(arguments: &Arguments, name: &str, context: &Context) -> Result<(), Error> {
    let account = if arguments.list_only { None } else { Some(context.account().await?) };
    let _use = if context.home.root().is_dir() { Some(context.home.lock_shared()?) } else { None };
    let plans = plan(arguments, name, context, account.as_ref()).await?;
    let show = |plan: &Plan, done| context.show(&plan.row(arguments.reason, done));
    if plans.iter().all(Plan::is_done) {
        plans.iter().for_each(|plan| show(plan, true));
        context.note("nothing to do: it is revoked already");
        return Ok(());
    }
    if context.global.dry_run {
        plans.iter().for_each(|plan| show(plan, false));
        return Ok(());
    }
    if !context.global.yes {
        plans.iter().for_each(|plan| context.note(plan.row(arguments.reason, false)));
        context.confirm("A revoked certificate is not let in again; the board needs a new one.")?;
    }
    for plan in &plans {
        if let Some(account) = &account {
            // What stops the device comes first.
            plan.device.revoke(account, plan.register_with.as_deref()).await?;
        }
        enter(arguments, context, plan)?;
        if let (Some(account), false) = (&account, plan.keep_thing) {
            plan.device.detach(account).await?;
        }
        show(plan, true);
    }
    Ok(())
}

/// Notes the revocation, and writes the signer's list.
fn enter(arguments: &Arguments, context: &Context, plan: &Plan) -> Result<(), Error> {
    let (Some((authority, chain)), Some(serial_number)) = (&plan.signer, &plan.serial_number) else {
        return Ok(());
    };
    let now = OffsetDateTime::now_utc();
    let _lock = crl::lock(&context.home)?;
    let records = Records::of(&context.home, authority.key_id());
    if !records.read()?.iter().any(|revocation| revocation.serial_number == *serial_number) {
        records.add(&Revocation {
            when: state::now(),
            serial_number: serial_number.clone(),
            certificate_id: plan.device.certificate_id.clone(),
            reason: arguments.reason,
        })?;
    }
    let folder = crl::folder(&context.home);
    Publication { home: &context.home, folder: &folder, days: crl::DAYS, now }.of_signer(authority, chain)?;
    Ok(())
}

/// Looks at everything that the name means, and opens the keys that are needed.
async fn plan(
    arguments: &Arguments,
    name: &str,
    context: &Context,
    account: Option<&Account>,
) -> Result<Vec<Plan>, Error> {
    let now = OffsetDateTime::now_utc();
    let authorities = authorities::all(&context.home)?;
    let disk = inventory::on_disk(&context.home)?;
    let log = audit::Log::of(&context.home).entries()?;
    let mut plans = Vec::new();
    for (certificate_id, certificate) in candidates(name, &disk, account).await? {
        let device = match account {
            Some(account) => Device::look(account, &certificate_id, certificate).await?,
            None => Device::known(&certificate_id, certificate),
        };
        let noted = log.iter().find(|entry| entry.sha256 == certificate_id);
        if device.status.is_none() && device.certificate.is_none() && noted.is_none() {
            return Err(
                iot_account::Error::Revoke(account_revoke::Error::Unknown { name: name.to_owned() }).into()
            );
        }
        let authority = match &device.certificate {
            Some(certificate) => authorities::issuer(&authorities, certificate),
            None => noted
                .and_then(|entry| authorities.iter().find(|authority| authority.key_id() == entry.key_id)),
        };
        let serial_number = match (&device.certificate, noted.map(|entry| &entry.document)) {
            (Some(certificate), _) => Some(certificate.facts().serial_number.clone()),
            (None, Some(audit::Document::Certificate { serial_number, .. })) => Some(serial_number.clone()),
            _ => None,
        };
        let register_with = match (account, authority, &device.status) {
            (Some(account), Some(authority), None) if device.certificate.is_some() => {
                let state = SignerState::look(account, authority.certificate_id()).await?;
                state.is_active().then(|| authority.certificate.to_pem())
            }
            _ => None,
        };
        let signer = match authority {
            Some(authority) => key_of(authority, context, now)?.map(|chain| (authority.clone(), chain)),
            None => None,
        };
        let listed = match (&signer, &serial_number) {
            (Some((authority, _)), Some(serial)) => {
                let records = Records::of(&context.home, authority.key_id()).read()?;
                records.iter().any(|revocation| revocation.serial_number == *serial)
                    && crl::List::read(&crl::folder(&context.home), authority.key_id())?
                        .is_some_and(|list| list.revoked >= records.len())
            }
            _ => false,
        };
        let keep_thing = arguments.keep_thing;
        plans.push(Plan { device, signer, serial_number, register_with, is_listed: listed, keep_thing });
    }
    Ok(plans)
}

/// The signer with its key, opened, so that whatever the key needs is asked before anything is done. A signer that has
/// ended or whose key is gone cannot sign lists any more; the account can still revoke what it has signed.
fn key_of(authority: &Authority, context: &Context, now: OffsetDateTime) -> Result<Option<Chain>, Error> {
    let opened = authority
        .chain(&context.keys, now)
        .map_err(work::Error::from)
        .and_then(|chain| Ok(chain.key().open().map(|_| chain)?));
    match opened {
        Err(
            work::Error::Pki(device_pki::Error::NotValidNow { .. } | device_pki::Error::NoKey { .. })
            | work::Error::State(state::Error::Incomplete { .. }),
        ) => Ok(None),
        opened => Ok(Some(opened?)),
    }
}

/// The certificates that a name means: those of a file, of an id, or of a thing.
async fn candidates(
    name: &str,
    disk: &[OnDisk],
    account: Option<&Account>,
) -> Result<Vec<(String, Option<Certificate>)>, Error> {
    let of_id = |id: &str| {
        let certificate = disk.iter().map(|found| &found.certificate);
        (id.to_owned(), certificate.clone().find(|found| found.facts().fingerprint == id).cloned())
    };
    if name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(vec![of_id(&name.to_ascii_lowercase())]);
    }
    let path = Path::new(name);
    if path.is_file() {
        let pem = durable_files::read(path)?.unwrap_or_default();
        let certificate = Certificate::from_pem(&pem).or_else(|_| Certificate::from_der(&pem));
        let certificate =
            certificate.map_err(|error| Error::File { path: path.to_owned(), reason: error.to_string() })?;
        let certificate_id = certificate.facts().fingerprint.clone();
        return Ok(vec![(certificate_id, Some(certificate))]);
    }
    let mut ids: BTreeSet<String> = disk
        .iter()
        .filter(|found| found.thing_name.as_deref() == Some(name))
        .map(|found| found.certificate.facts().fingerprint.clone())
        .collect();
    if let Some(account) = account {
        ids.extend(certificates_of(account, name).await?);
    }
    if ids.is_empty() {
        return Err(
            iot_account::Error::Revoke(account_revoke::Error::Unknown { name: name.to_owned() }).into()
        );
    }
    Ok(ids.iter().map(|id| of_id(id)).collect())
}
