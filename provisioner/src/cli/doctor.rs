//! `doctor`: why boards cannot connect, link by link, and repairing what is safe to repair.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use super::context::joined;
use super::next_step::{next_step, remedy};
use super::output::{self, Part};
use super::plan::{self, Line, Plan};
use super::setup::SetUp;
use super::{Context, Error, given, setup, values};
use crate::cli::ca::crl::warn_if_full;
use crate::state::board::{CERTIFICATE, THING_NAME};
use crate::state::{admission, authorities, revocations, store};
use crate::work::diagnosis;
use crate::work::inventory::{self, Sources};
use crate::work::revoked_keys::{RevokedKeys, keys_of_old_revocations};
use device_pki::{Certificate, Chain, visible};
use iot_account::doctor::{self, Device, Diagnosis, Finding, Repair, Revoked, Subject, Verdict};
use iot_account::setup::KnownAdmission;
use iot_account::{Account, Resource, counted};
use iot_kit::{Kit, ports};
use tokio::task;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner doctor
      Check every link between a board's first connection and its registration.
  provisioner doctor --board MCHP3261021800001234
      Check the certificate, policies, thing and connection of a board that was provisioned here, too. If it is plugged in,
      check whether its Wi-Fi module trusts the endpoint.
  provisioner doctor --repair
      Repair what is safe to repair, then check again.

The exit code is 0 only if a board can connect now.")]
pub struct Arguments {
    /// How boards are registered
    #[arg(long, value_enum, default_value_t = setup::Method::Jitr, value_name = "METHOD")]
    method: setup::Method,
    /// Check this provisioned board too: its folder, or the name of this folder in the home folder
    #[arg(long, value_name = "DIR|SERIAL", conflicts_with = "thing")]
    board: Option<PathBuf>,
    /// Check whether the board on this port trusts its endpoint [default: the kit that --board names, if it is plugged in]
    #[arg(short = 'P', long, value_name = "PORT", conflicts_with = "thing")]
    port: Option<String>,
    /// Check this thing of the account too
    #[arg(long, value_name = "NAME", value_parser = values::device)]
    thing: Option<values::Device>,
    /// Repair what is safe to repair
    #[arg(long, alias = "mend")]
    repair: bool,
    #[command(flatten)]
    options: setup::Options,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let settings = arguments.options.settings()?;
    let device = device(arguments, context)?;
    let account = context.account().await?;
    if let Some(thing) = &arguments.thing {
        thing.check(&account).await?;
    }
    let now = OffsetDateTime::now_utc();
    let chain = store::load(&context.home, &context.keys, now);
    let signer = chain.as_ref().ok().map(Chain::signer);
    let just_in_time = arguments.method == setup::Method::Jitr;
    let old = keys_of_old_revocations(&context.home)?;
    let keys = RevokedKeys::read(&context.home, &old)?;
    let revoked = |certificate: &Certificate| revoked_by(&keys, certificate);
    let device = device.as_ref();
    let admission = known_admission(context);
    let subject =
        Subject { signer, settings: &settings, just_in_time, device, revoked: &revoked, admission, now };
    let on_board = attached(arguments, context).await?;
    let progress = context.progress("looking at the account");
    let mut diagnosis = doctor::examine(&account, &subject).await?;
    diagnosis.findings.extend(on_board.clone());
    let mut is_planned_only = false;
    if arguments.repair {
        let mut repairs = doctor::repairs(&account, &diagnosis, device).await?;
        if let (true, Ok(chain)) = (diagnosis.is_repaired_by_setup(), &chain) {
            progress.step("repairing the account");
            let plan = SetUp::look(context, account.clone(), Some(chain), &settings).await?;
            plan::run(context, plan).await?;
            // Setting up has done it.
            repairs.retain(|repair| !matches!(repair, Repair::ReviveThingType { .. }));
        }
        if !context.global.yes && !context.global.dry_run && !context.global.can_ask() {
            // What nobody can be asked about keeps nothing else from being repaired.
            for repair in repairs.extract_if(.., |repair| question(repair).is_some()) {
                context.note(format_args!("not without --yes: {}", says(&repair, false)));
            }
        }
        let repairs = Repairs { account: &account, diagnosis: &diagnosis, repairs };
        is_planned_only = !plan::is_carried_out(context, repairs).await?;
        if !is_planned_only {
            progress.step("looking at the account again");
            diagnosis = doctor::examine(&account, &subject).await?;
            diagnosis.findings.extend(on_board);
        }
    }
    drop(progress);
    let no_chain = chain.err().map(Error::from);
    if let Some(error) = &no_chain {
        let of_signer = diagnosis.findings.iter_mut().filter(|finding| finding.link == Resource::SignerCa);
        of_signer.for_each(|finding| finding.found = vec![error.to_string()]);
    }
    show(context, &diagnosis, no_chain.as_ref());
    for authority in authorities::all(&context.home).unwrap_or_default() {
        if let Some(list) =
            revocations::List::read(&revocations::folder(&context.home), authority.subject_key_identifier())?
        {
            warn_if_full(&list, context);
        }
    }
    let verdict = match is_planned_only {
        true => diagnosis.verdict_once_repaired(),
        false => diagnosis.verdict(),
    };
    verdict.map_err(iot_account::Error::Doctor)?;
    Ok(())
}

/// What is found about the account with the names that are usual, one line a link, and the endpoint.
///
/// # Errors
/// As [`run`].
pub(super) async fn lines(context: &Context) -> Result<(Vec<String>, Option<String>), Error> {
    let account = context.account().await?;
    let options = setup::Options::default();
    let (diagnosis, no_chain) = with_options(context, &account, &options, None).await?;
    let endpoint = diagnosis.findings.iter().find(|finding| finding.link == Resource::Endpoint);
    let endpoint = endpoint.map(|finding| finding.name.clone());
    let lines = branches(&diagnosis, no_chain.as_ref());
    Ok((lines.iter().map(|branch| branch.parts().map(|(_, text)| text).concat()).collect(), endpoint))
}

/// Prints what is found about a thing that does not get on, of the links with the names of `options`: only what is not right, or
/// that all is.
///
/// # Errors
/// As [`run`].
pub(super) async fn explain(
    context: &Context,
    account: &Account,
    options: &setup::Options,
    thing: &str,
    certificate_id: Option<&str>,
) -> Result<(), Error> {
    let mut known = inventory::known(&Sources::of(&context.home)?);
    let own = certificate_id.and_then(|id| known.remove(id)).and_then(|known| known.certificate);
    let device = match own {
        Some(certificate) => Device::Board { certificate, stored_name: Some(thing.to_owned()) },
        None => thing_of(thing, known),
    };
    let (mut diagnosis, no_chain) = {
        let _progress = context.progress("looking at the account");
        with_options(context, account, options, Some(&device)).await?
    };
    let links = diagnosis.findings.len();
    diagnosis.findings.retain(|finding| finding.verdict != Verdict::Right);
    if diagnosis.findings.is_empty() {
        context.note(format_args!(
            "nothing is wrong with the account: {} were looked at",
            counted(links, "link")
        ));
    }
    show(context, &diagnosis, no_chain.as_ref());
    Ok(())
}

/// What is found of the links with the names of `options`, and why there is no signer CA on this computer.
async fn with_options(
    context: &Context,
    account: &Account,
    options: &setup::Options,
    device: Option<&Device>,
) -> Result<(Diagnosis, Option<Error>), Error> {
    let settings = options.settings()?;
    let now = OffsetDateTime::now_utc();
    let chain = store::load(&context.home, &context.keys, now);
    let signer = chain.as_ref().ok().map(Chain::signer);
    let old = keys_of_old_revocations(&context.home)?;
    let keys = RevokedKeys::read(&context.home, &old)?;
    let revoked = |certificate: &Certificate| revoked_by(&keys, certificate);
    let (just_in_time, admission) = (true, known_admission(context));
    let subject =
        Subject { signer, settings: &settings, just_in_time, device, revoked: &revoked, admission, now };
    let diagnosis = doctor::examine(account, &subject).await?;
    Ok((diagnosis, chain.err().map(Error::from)))
}

/// What this computer knows of the admission list, without a question or a call for its key. What cannot be read is not known.
fn known_admission(context: &Context) -> KnownAdmission {
    let uri = admission::key_uri(&context.home);
    let at_hand = uri.is_ok_and(|uri| context.keys.is_at_hand(&uri).unwrap_or(false));
    let key = at_hand.then(|| admission::key(&context.home, &context.keys, None).ok().flatten()).flatten();
    let key = key.and_then(|key| key.admission_key().ok());
    let number = admission::last_list(&context.home).ok().flatten().map(|list| list.number());
    KnownAdmission { key, number }
}

/// What this computer has revoked of a certificate. Of a file that cannot be read, `register` and `provision` tell.
fn revoked_by(keys: &RevokedKeys, certificate: &Certificate) -> Option<Revoked> {
    let against = keys.against(certificate, false).ok().flatten()?;
    Some(Revoked { why: against.to_string(), is_final: against.reason().is_final() })
}

/// The thing, with its certificates among those that this computer knows, by id.
fn thing_of(name: &str, known: BTreeMap<String, inventory::Known>) -> Device {
    let known = known.into_values().filter(|known| known.is_of_thing(name));
    Device::Thing { name: name.to_owned(), known: known.filter_map(|known| known.certificate).collect() }
}

/// What is repaired besides what `setup` knows.
struct Repairs<'a> {
    account: &'a Account,
    diagnosis: &'a Diagnosis,
    repairs: Vec<Repair>,
}

/// What has to be answered with yes before a repair, if something has.
fn question(repair: &Repair) -> Option<String> {
    match repair {
        Repair::RenewPolicy { policy, .. } => Some(format!(
            "The policy {policy} gets another document. It is that of every board, also of those that are connected."
        )),
        Repair::DisableRule { rule } => Some(format!(
            "The rule {rule} is disabled, and not deleted: what it invokes gets no event of a registration any more."
        )),
        Repair::ReviveThingType { .. } | Repair::Register { .. } => None,
    }
}

impl Plan for Repairs<'_> {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(self
            .repairs
            .iter()
            .map(|repair| Line::plain(says(repair, false), &Done { repair, done: false }))
            .collect())
    }

    fn question(&self) -> Option<String> {
        let questions: Vec<_> = self.repairs.iter().filter_map(question).collect();
        (!questions.is_empty()).then(|| questions.join(" "))
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        for repair in &self.repairs {
            repair.carry_out(self.account, self.diagnosis).await?;
            context.result(says(repair, true), &Done { repair, done: true });
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    repair: &'a Repair,
    done: bool,
}

fn says(repair: &Repair, done: bool) -> String {
    let (would, done) = if done { ("", "repaired") } else { ("would be ", "would repair") };
    match repair {
        Repair::ReviveThingType { thing_type } => {
            format!("{done}: thing type {thing_type} {would}in use again")
        }
        Repair::RenewPolicy { policy, deleted_version, .. } => {
            let deleted =
                deleted_version.as_ref().map(|version| format!("; its version {version} {would}deleted"));
            let deleted = deleted.unwrap_or_default();
            format!(
                "{done}: policy {policy} {would}given the expected document as its default version{deleted}"
            )
        }
        Repair::DisableRule { rule } => format!("{done}: rule {rule} {would}disabled"),
        Repair::Register { certificate_id } => {
            format!("{done}: certificate {certificate_id} {would}registered")
        }
    }
}

/// The board or thing that is meant.
fn device(arguments: &Arguments, context: &Context) -> Result<Option<Device>, Error> {
    if let Some(values::Device { name, .. }) = &arguments.thing {
        return Ok(Some(thing_of(name, inventory::known(&Sources::of(&context.home)?))));
    }
    let Some(board) = &arguments.board else { return Ok(None) };
    let folder = if board.is_dir() { board.clone() } else { context.home.root().join(board) };
    let path = folder.join(CERTIFICATE);
    let Some(pem) = durable_files::read(&path)? else {
        return Err(Error::usage(
            format!("there is no {}", path.display()),
            "name the folder of a provisioned board, or that folder's name in the home folder: the USB serial number, or the secure element's if the kit has none",
        ));
    };
    let certificate = Certificate::read(&pem)
        .map_err(|source| device_pki::Error::Malformed { file: path.display().to_string(), source })?;
    let stored_name = durable_files::read(&folder.join(THING_NAME))?
        .map(|name| String::from_utf8_lossy(&name).trim().to_owned());
    Ok(Some(Device::Board { certificate, stored_name }))
}

/// What is found on the board that is meant, if it is plugged in.
async fn attached(arguments: &Arguments, context: &Context) -> Result<Vec<Finding>, Error> {
    if arguments.board.is_none() && arguments.port.is_none() {
        return Ok(Vec::new());
    }
    let kits = ports::plugged_in()?;
    let folder = arguments.board.as_ref().and_then(|board| board.file_name()).and_then(|name| name.to_str());
    let is_meant = |kit: &&Kit| kit.usb_serial.as_deref().is_some_and(|serial| Some(serial) == folder);
    let kit = match &arguments.port {
        Some(port) => Some(ports::choose(&kits, Some(port), None)?),
        None => kits.iter().find(is_meant).cloned(),
    };
    let Some(kit) = kit else {
        context.note("the board is not plugged in: the roots that it trusts and its Wi-Fi module are not looked at (if it is, name its port: --port PORT)");
        return Ok(Vec::new());
    };
    let _progress = context.progress("reading the board");
    let look = task::spawn_blocking(move || diagnosis::examine(&kit, OffsetDateTime::now_utc()));
    Ok(joined(look.await))
}

/// `no_chain` is why there is no signer CA on this computer.
fn show(context: &Context, diagnosis: &Diagnosis, no_chain: Option<&Error>) {
    for branch in branches(diagnosis, no_chain) {
        output::result(context.global.output, &output::painted(&branch.parts()), &branch);
    }
}

fn branches<'a>(diagnosis: &'a Diagnosis, no_chain: Option<&Error>) -> Vec<Branch<'a>> {
    let last = diagnosis.findings.len().saturating_sub(1);
    let branch = |(index, finding): (usize, &'a Finding)| {
        let help = match (no_chain, finding.link) {
            (Some(error), Resource::SignerCa) => Some(next_step(error)),
            _ => finding.remedy.as_ref().map(remedy),
        };
        let Finding { link: resource, name, verdict, found: details, repairable, .. } = finding;
        let (repairable, last) = (*repairable, index == last);
        Branch { resource, name, verdict, details, help, repairable, last }
    };
    diagnosis.findings.iter().enumerate().map(branch).collect()
}

/// One line of the tree for people; an object for programs.
#[derive(Serialize)]
struct Branch<'a> {
    resource: &'a Resource,
    name: &'a str,
    verdict: &'a Verdict,
    details: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Cow<'static, str>>,
    repairable: bool,
    #[serde(skip)]
    last: bool,
}

const RIGHT: Style = AnsiColor::Green.on_default();
const NOTABLE: Style = AnsiColor::Yellow.on_default();
const WRONG: Style = AnsiColor::Red.on_default().bold();

impl Branch<'_> {
    fn parts(&self) -> [Part<'_>; 3] {
        let Self { resource, name, verdict, details, help, repairable, last } = self;
        let (style, sign) = match verdict {
            Verdict::Right => (RIGHT, "✓"),
            Verdict::Notable => (NOTABLE, "!"),
            Verdict::Dangerous => (WRONG, "✗"),
            Verdict::Wrong => (WRONG, "✗"),
            Verdict::Unknown => (WRONG, "?"),
        };
        let branch = if *last { "└─ " } else { "├─ " };
        let mut text = format!(" {resource:<13} {name}");
        if !details.is_empty() {
            text.push_str(&format!(": {}", details.join("; ")));
        }
        match (verdict, help, repairable) {
            (Verdict::Right, ..) => {}
            (_, Some(help), _) => text.push_str(&format!(" → {help}")),
            (_, None, true) => text.push_str(&given::repeated(" → provisioner doctor --repair")),
            _ => {}
        }
        let text = visible::line(&text).into_owned();
        [(Style::new(), branch.into()), (style, sign.into()), (Style::new(), text.into())]
    }
}
