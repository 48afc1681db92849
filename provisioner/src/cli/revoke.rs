//! `revoke`: a device certificate is revoked; in a file of its own, a signer CA.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use time::OffsetDateTime;

mod signer;

use super::Context;
use super::plan::{self, Line, Plan};
use crate::cli::Error;
use crate::cli::ca::crl::warn_if_full;
use crate::state::audit;
use crate::state::authorities::{self, Authority};
use crate::state::revocations::{self as crl, Records, Revocation};
use crate::work::inventory::{self, OnDisk};
use crate::work::revocation::Publication;
use crate::{state, work};
use device_pki::revocation::Reason;
use device_pki::visible;
use device_pki::{Certificate, Chain, SerialNumber};
use durable_files::folder::{self, Lock};
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
        Reason::AffiliationChanged => "The board has another owner now",
        Reason::Superseded => "The board has another certificate now",
        Reason::CessationOfOperation => "The board is out of use",
        Reason::PrivilegeWithdrawn => "The board may no longer do what it could",
    };
    let values = Reason::ALL.map(|reason| PossibleValue::new(reason.name()).help(help(reason)));
    PossibleValuesParser::new(values)
        .map(|name| Reason::ALL.into_iter().find(|reason| reason.name() == name).unwrap_or_default())
}

/// What is to be done about one certificate.
struct Target {
    device: Device,
    /// The signer that issued it, and its key, if it is in this home and can sign lists.
    signer: Option<(Authority, Chain)>,
    /// Serial number, for the list.
    serial_number: Option<SerialNumber>,
    /// PEM of the CA to register it with, if the account does not know it yet.
    register_with: Option<String>,
    is_listed: bool,
    keep_thing: bool,
}

/// What is done in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum InAccount {
    /// It is REVOKED already.
    Leave,
    /// It becomes REVOKED.
    Revoke,
    /// The account does not know it: it is registered as REVOKED.
    RegisterAsRevoked,
    /// The account does not know it, and it cannot be registered.
    Unknown,
}

/// What is done about the signer's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum OnList {
    /// It is on the list already.
    Leave,
    /// It is put on the list.
    Add,
    /// The signer's key is not in this home.
    None,
}

/// One line of the plan, or of what was done.
#[derive(Serialize)]
struct Row<'a> {
    certificate_id: &'a str,
    /// What the account has.
    status: Option<&'a str>,
    account_action: InAccount,
    /// Things that it is detached from.
    detached: &'a [String],
    list_action: OnList,
    authority_key_identifier: Option<&'a str>,
    reason: Reason,
}

impl Target {
    fn in_account(&self) -> InAccount {
        match (&self.device.status, &self.register_with) {
            (Some(_), _) if self.device.is_revoked() => InAccount::Leave,
            (Some(_), _) => InAccount::Revoke,
            (None, Some(_)) => InAccount::RegisterAsRevoked,
            (None, None) => InAccount::Unknown,
        }
    }

    fn on_list(&self) -> OnList {
        match (&self.signer, &self.serial_number) {
            (Some(_), _) if self.is_listed => OnList::Leave,
            (Some(_), Some(_)) => OnList::Add,
            _ => OnList::None,
        }
    }

    fn detached(&self) -> &[String] {
        if self.keep_thing { &[] } else { &self.device.things }
    }

    fn row(&self, reason: Reason) -> Row<'_> {
        Row {
            certificate_id: &self.device.certificate_id,
            status: self.device.status.as_deref(),
            account_action: self.in_account(),
            detached: self.detached(),
            list_action: self.on_list(),
            authority_key_identifier: self
                .signer
                .as_ref()
                .map(|(authority, _)| authority.subject_key_identifier()),
            reason,
        }
    }

    /// Whether there is nothing left to do.
    fn is_done(&self) -> bool {
        matches!(self.in_account(), InAccount::Leave | InAccount::Unknown)
            && self.on_list() != OnList::Add
            && self.detached().is_empty()
    }

    fn action(&self) -> &'static str {
        if self.is_done() { "leave" } else { "revoke" }
    }
}

impl Row<'_> {
    fn text(&self, done: bool) -> String {
        let would = if done { "" } else { "would be " };
        let status = visible::line(self.status.unwrap_or("not in the account"));
        let account = match self.account_action {
            InAccount::Revoke => format!("{status}, {would}REVOKED"),
            InAccount::RegisterAsRevoked => format!("{status}, {would}registered as REVOKED"),
            InAccount::Leave => "REVOKED already".to_owned(),
            InAccount::Unknown => status.into_owned(),
        };
        let things: String = self
            .detached
            .iter()
            .map(|thing| format!("\n  thing    {would}detached from {}", visible::line(thing)))
            .collect();
        let signer = self.authority_key_identifier.and_then(|signer| signer.get(..8)).unwrap_or_default();
        let list = match self.list_action {
            OnList::Add => format!("{would}put on the revocation list of the signer CA {signer}"),
            OnList::Leave => format!("already on the revocation list of the signer CA {signer}"),
            OnList::None => "none: its signer, or the signer's key, is not in this home folder".to_owned(),
        };
        format!("certificate {}\n  account  {account}{things}\n  list     {list}", self.certificate_id)
    }
}

async fn revoke_devices(arguments: &Arguments, name: &str, context: &Context) -> Result<(), Error> {
    let account = if arguments.list_only { None } else { Some(context.account().await?) };
    let lock = context.home.lock_shared_existing()?;
    let targets = targets(arguments, name, context, account.as_ref()).await?;
    if targets.iter().any(|target| target.on_list() == OnList::Add) {
        // It is recorded after the account is changed.
        folder::check_writable(context.home.root())?;
    }
    plan::run(context, Revoke { targets, account, reason: arguments.reason, _lock: lock }).await
}

/// Certificates to be revoked.
struct Revoke {
    targets: Vec<Target>,
    account: Option<Account>,
    reason: Reason,
    _lock: Option<Lock>,
}

impl Revoke {
    fn is_done(&self) -> bool {
        self.targets.iter().all(Target::is_done)
    }
}

impl Plan for Revoke {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let line = |target: &Target| {
            let row = target.row(self.reason);
            Line::new(target.action(), row.text(false), &row).block()
        };
        Ok(self.targets.iter().map(line).collect())
    }

    fn question(&self) -> Option<String> {
        let question = "A revoked certificate stays revoked; to connect again, the board needs a new one.";
        (!self.is_done()).then(|| question.to_owned())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        if self.is_done() {
            context.note("nothing to do: it is revoked already");
        }
        for target in &self.targets {
            if let Some(account) = &self.account {
                // What stops the device comes first.
                target.device.revoke(account, target.register_with.as_deref()).await?;
            }
            if !target.is_done() {
                enter(self.reason, context, target)?;
            }
            if let (Some(account), false) = (&self.account, target.keep_thing) {
                target.device.detach(account).await?;
            }
            let row = target.row(self.reason);
            plan::tell_block(context, target.action(), row.text(true), &row);
        }
        Ok(())
    }
}

/// Notes the revocation, and writes the signer's list.
fn enter(reason: Reason, context: &Context, target: &Target) -> Result<(), Error> {
    let (Some((authority, chain)), Some(serial_number)) = (&target.signer, &target.serial_number) else {
        return Ok(());
    };
    let now = OffsetDateTime::now_utc();
    let _lock = crl::lock(&context.home)?;
    let records = Records::of(&context.home, authority.subject_key_identifier());
    if !records.read()?.iter().any(|revocation| revocation.serial_number == *serial_number) {
        records.add(&Revocation {
            when: state::now(),
            serial_number: serial_number.clone(),
            certificate_id: target.device.certificate_id.clone(),
            reason,
        })?;
    }
    let folder = crl::folder(&context.home);
    let publication = Publication { home: &context.home, folder: &folder, days: crl::DAYS, now };
    warn_if_full(&publication.of_signer(authority, chain)?, context);
    Ok(())
}

/// Looks at everything that the name means, and opens the keys that are needed.
async fn targets(
    arguments: &Arguments,
    name: &str,
    context: &Context,
    account: Option<&Account>,
) -> Result<Vec<Target>, Error> {
    let now = OffsetDateTime::now_utc();
    let authorities = authorities::all(&context.home)?;
    let disk = inventory::on_disk(&context.home)?;
    let log = audit::Log::of(&context.home).entries()?;
    let mut targets = Vec::new();
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
            None => noted.and_then(|entry| {
                authorities
                    .iter()
                    .find(|authority| authority.subject_key_identifier() == entry.authority_key_identifier)
            }),
        };
        // A certificate of our own signers always has one that can be put on a list.
        let serial_number = match (&device.certificate, noted.map(|entry| &entry.document)) {
            (Some(certificate), _) if authority.is_some() => Some(certificate.serial_number()?),
            (None, Some(audit::Document::Certificate { serial_number, .. })) => serial_number.parse().ok(),
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
                let records = Records::of(&context.home, authority.subject_key_identifier()).read()?;
                records.iter().any(|revocation| revocation.serial_number == *serial)
                    && crl::List::read(&crl::folder(&context.home), authority.subject_key_identifier())?
                        .is_some_and(|list| list.revoked_certificates >= records.len())
            }
            _ => false,
        };
        let keep_thing = arguments.keep_thing;
        targets.push(Target { device, signer, serial_number, register_with, is_listed: listed, keep_thing });
    }
    Ok(targets)
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
        (id.to_owned(), certificate.clone().find(|found| found.facts().certificate_id == id).cloned())
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
        let certificate_id = certificate.facts().certificate_id.clone();
        return Ok(vec![(certificate_id, Some(certificate))]);
    }
    let mut ids: BTreeSet<String> = disk
        .iter()
        .filter(|found| found.thing_name.as_deref() == Some(name))
        .map(|found| found.certificate.facts().certificate_id.clone())
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
