//! `certificates`: every device's certificate, with its status, and where disk, ledger and account differ.

use std::collections::HashMap;
use std::ops::ControlFlow;

use clap::Args;
use jitr::event::is_certificate_id;
use time::OffsetDateTime;

use super::context::{Progress, Table};
use super::revoke::SHORTEST_PREFIX;
use super::{Context, output, values};
use crate::cli::Error;
use crate::state::authorities::{self, Authority};
use crate::work::inventory::{self, Device, Difference, Sources};
use device_pki::visible;
use iot_account::certificates::{self, Listed, Of};
use iot_account::{Account, counted, revoke};

/// Arguments of `certificates`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner certificates 3a2d78ae0f5b
      The certificate whose id begins with these digits, or those of the thing with this name.
  provisioner certificates --differences
      What differs between this computer and the account.")]
pub struct Arguments {
    /// A thing name, or the beginning of a certificate id
    #[arg(value_name = "DEVICE", value_parser = values::device)]
    device: Option<values::Device>,
    /// Only certificates of this signer CA: `current`, or the start of its key identifier or certificate id
    #[arg(long, value_name = "ID")]
    signer: Option<String>,
    /// Only certificates with this status in the account, such as ACTIVE
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only things with a name starting with this
    #[arg(long, value_name = "NAME", value_parser = values::device)]
    thing: Option<values::Device>,
    /// Only certificates where disk, ledger and account differ
    #[arg(long)]
    differences: bool,
    /// Disk and ledger only; no AWS call is made
    #[arg(long)]
    offline: bool,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let sources = Sources::of(&context.home)?;
    let signer = match &arguments.signer {
        Some(name) => Some(authorities::find(sources.authorities.clone(), name)?),
        None => None,
    };
    let known = inventory::devices(&sources, OffsetDateTime::now_utc());
    let (thing, id, status, by) = ("THING", "CERTIFICATE", "STATUS", "SIGNER");
    let (expires, ledger) = ("EXPIRES", "LEDGER");
    let head =
        format!("{thing:<40}  {id:<12}  {status:<18}  {by:<8}  {expires:<10}  {ledger:<22}  DIFFERENCES");
    let table = context.table("no certificates", &head);
    let mut rows = Rows { arguments, signer: signer.as_ref(), table, is_named: false };
    if arguments.offline {
        _ = known.into_iter().try_for_each(|device| rows.show(device));
    } else {
        let account = context.account().await?;
        let known = known.into_iter().map(|device| (device.certificate_id.clone(), device)).collect();
        let progress = context.progress("reading the account's certificates");
        let listing = Listing { context, account: &account, known, rows: &mut rows, progress, read: 0 };
        let authorities = sources.authorities;
        match (&arguments.device, &arguments.thing) {
            (None, None) => {
                listing.all(signer.as_ref().map_or(&authorities[..], std::slice::from_ref)).await?
            }
            _ => listing.named(&authorities).await?,
        }
    }
    match &arguments.device {
        Some(named) if !rows.is_named => return Err(unknown(&named.name, arguments.offline)),
        _ => rows.table.end(),
    }
    Ok(())
}

/// The rows that are asked for.
struct Rows<'a> {
    arguments: &'a Arguments,
    signer: Option<&'a Authority>,
    table: Table<'a>,
    /// Whether there is what the user has named, also where the other flags leave it out.
    is_named: bool,
}

impl Rows<'_> {
    /// Prints a device, if it is asked for. It breaks once nobody reads on.
    fn show(&mut self, device: Device) -> ControlFlow<()> {
        let Arguments { device: named, status, thing, differences, .. } = self.arguments;
        let is_named = named.as_ref().is_none_or(|named| is_named(&device, named));
        self.is_named |= is_named;
        let has = |wanted: Option<&str>, found: &Option<String>| {
            wanted
                .is_none_or(|wanted| found.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        let is_wanted = is_named
            && has(self.signer.map(Authority::subject_key_identifier), &device.authority_key_identifier)
            && has(status.as_deref(), &device.status)
            && thing.as_ref().is_none_or(|named| is_thing(&device, named))
            && (!differences || !device.differences.is_empty());
        if is_wanted { self.table.row(row(&device), &device) } else { ControlFlow::Continue(()) }
    }
}

/// Before more DescribeCertificate calls than these, their time is told.
const MANY: usize = 100;

/// The certificates of the account, put beside those that this computer knows.
struct Listing<'a, 'b> {
    context: &'a Context,
    account: &'a Account,
    /// What this computer knows and the account has not been found to have yet, by certificate id.
    known: HashMap<String, Device>,
    rows: &'a mut Rows<'b>,
    progress: Progress,
    /// How many certificates were read.
    read: usize,
}

impl Listing<'_, '_> {
    /// Every certificate of these signers, and every other one that this computer knows. Rows are printed as the pages come.
    async fn all(mut self, signers: &[Authority]) -> Result<(), Error> {
        for signer in signers {
            let key_id = signer.subject_key_identifier();
            let list = Of::Ca(signer.certificate_id());
            certificates::each(self.account, list, |Listed { certificate_id, status, .. }| {
                self.read += 1;
                self.progress.count_up(self.read);
                let known = self.known.remove(&certificate_id);
                let unknown = || Device::unknown(certificate_id, None, Some(key_id.to_owned()));
                self.rows.show(known.unwrap_or_else(unknown).in_account(Some(status)))
            })
            .await?;
        }
        // Certificates can be registered without their CA, and be of a CA that this computer does not have.
        let signer = self.rows.signer.map(Authority::subject_key_identifier);
        if signer.is_some() {
            self.known.retain(|_, device| device.authority_key_identifier.as_deref() == signer);
        }
        self.rest().await
    }

    /// What this computer knows and no list has shown.
    async fn rest(self) -> Result<(), Error> {
        if output::heard().is_break() {
            return Ok(());
        }
        let mut statuses =
            certificates::statuses(self.account, Of::Account, self.known.keys().cloned()).await?;
        let mut rest: Vec<Device> = self.known.into_values().collect();
        inventory::sort(&mut rest);
        _ = rest.into_iter().try_for_each(|device| {
            let status = statuses.remove(&device.certificate_id);
            self.rows.show(device.in_account(status))
        });
        Ok(())
    }

    /// The certificates that are named: those that this computer knows, and those that the account has under this name.
    async fn named(mut self, signers: &[Authority]) -> Result<(), Error> {
        let Arguments { device, thing, .. } = self.rows.arguments;
        let mut things = HashMap::new();
        for named in device.iter().chain(thing) {
            named.check(self.account).await?;
            let attached = revoke::certificates_of(self.account, &named.name).await?;
            things.extend(attached.into_iter().map(|id| (id, Some(named.name.clone()))));
        }
        self.known.retain(|id, known| {
            if known.thing_name.is_none() {
                known.thing_name = things.get(id).cloned().flatten();
            }
            device.as_ref().is_none_or(|named| is_named(known, named))
                && thing.as_ref().is_none_or(|named| is_thing(known, named))
        });
        if let Some(named) = device {
            let digits = named.name.to_ascii_lowercase();
            let is_found = digits.len() >= SHORTEST_PREFIX && !(things.is_empty() && self.known.is_empty());
            if is_certificate_id(&digits) {
                things.entry(digits).or_default();
            } else if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) && !is_found {
                let ids = certificates::beginning_with(self.account, &digits).await?;
                ids.into_iter().for_each(|id| _ = things.entry(id).or_default());
            }
        }
        things.retain(|id, _| !self.known.contains_key(id));
        if things.len() > MANY {
            let many = counted(things.len(), "certificate");
            let seconds = certificates::time_of_asking(things.len()).as_secs();
            self.context.note(format_args!("AWS is asked for each of {many}, which takes about {seconds} s"));
        }
        for (id, (status, ca)) in certificates::with_cas(self.account, things.keys().cloned()).await? {
            let signer = signers.iter().find(|signer| Some(signer.certificate_id()) == ca.as_deref());
            let signer = signer.map(|signer| signer.subject_key_identifier().to_owned());
            let thing = things.remove(&id).flatten();
            let unknown = Device::unknown(id, thing, signer).in_account(Some(status));
            if self.rows.show(unknown).is_break() {
                break;
            }
        }
        self.rest().await
    }
}

fn begins(text: &str, begin: &str) -> bool {
    text.to_lowercase().starts_with(&begin.to_lowercase())
}

fn is_thing(device: &Device, named: &values::Device) -> bool {
    device.thing_name.as_ref().is_some_and(|thing| begins(thing, &named.name))
}

fn is_named(device: &Device, named: &values::Device) -> bool {
    is_thing(device, named) || begins(&device.certificate_id, &named.name)
}

/// Nothing is known of what is named.
fn unknown(name: &str, is_offline: bool) -> Error {
    match is_offline {
        true => Error::usage(
            format!("this computer knows no certificate of `{name}`"),
            "leave --offline out to look for it in the account, too",
        ),
        false => iot_account::Error::Revoke(revoke::Error::Unknown { name: name.to_owned() }).into(),
    }
}

fn row(device: &Device) -> String {
    let short = |text: &Option<String>, length: usize| {
        text.as_ref().map_or("-".to_owned(), |text| text.chars().take(length).collect())
    };
    let ledger = device
        .ledger
        .as_ref()
        .map_or("-".to_owned(), |entry| format!("{} {}", entry.when.date(), entry.outcome.word()));
    let differences: Vec<_> = device.differences.iter().map(|found| Difference::text(*found)).collect();
    let line = format!(
        "{:<40}  {:.12}  {:<18}  {:<8}  {:<10}  {ledger:<22}  {}",
        device.thing_name.as_deref().unwrap_or("-"),
        device.certificate_id,
        device.status.as_deref().unwrap_or("-"),
        short(&device.authority_key_identifier, 8),
        short(&device.not_after, 10),
        differences.join("; ")
    );
    visible::line(line.trim_end()).into_owned()
}
