//! `certificates`: every device's certificate, with its status, and where disk, ledger and account differ.

use clap::Args;
use time::OffsetDateTime;

use super::{Context, values};
use crate::cli::Error;
use crate::state::authorities::{self, Authority};
use crate::work::inventory::{self, Device, Difference, InAccount, Sources};
use device_pki::visible;
use iot_account::{certificates, revoke};

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
    let mut sources = Sources::of(&context.home)?;
    let signer = match &arguments.signer {
        Some(name) => {
            Some(authorities::find(sources.authorities.clone(), name)?.subject_key_identifier().to_owned())
        }
        None => None,
    };
    if !arguments.offline {
        sources.account = Some(in_account(context, &sources.authorities, arguments).await?);
    }
    let wanted = |device: &Device| {
        let has = |wanted: &Option<String>, found: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| found.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        has(&signer, &device.authority_key_identifier)
            && has(&arguments.status, &device.status)
            && arguments.thing.as_ref().is_none_or(|named| is_thing(device, named))
            && arguments.device.as_ref().is_none_or(|named| is_named(device, named))
            && (!arguments.differences || !device.differences.is_empty())
    };
    let mut devices = inventory::devices(&sources, OffsetDateTime::now_utc());
    if let Some(named) = &arguments.device
        && !devices.iter().any(|device| is_named(device, named))
    {
        return Err(unknown(&named.name, arguments.offline));
    }
    devices.retain(wanted);
    let (thing, id, status, signer) = ("THING", "CERTIFICATE", "STATUS", "SIGNER");
    let (expires, ledger) = ("EXPIRES", "LEDGER");
    let head =
        format!("{thing:<40}  {id:<12}  {status:<18}  {signer:<8}  {expires:<10}  {ledger:<22}  DIFFERENCES");
    context.table("no certificates", &head, &devices, row);
    Ok(())
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

/// Every page of the account's lists.
async fn in_account(
    context: &Context,
    authorities: &[Authority],
    arguments: &Arguments,
) -> Result<InAccount, Error> {
    let account = context.account().await?;
    for device in arguments.device.iter().chain(&arguments.thing) {
        device.check(&account).await?;
    }
    let _progress = context.progress("reading the account's certificates");
    let mut found = InAccount::default();
    for listed in certificates::all(&account).await? {
        found.statuses.insert(listed.certificate_id, listed.status);
    }
    for authority in authorities {
        for listed in certificates::of_ca(&account, authority.certificate_id()).await? {
            found.signers.insert(listed.certificate_id, authority.subject_key_identifier().to_owned());
        }
    }
    if let Some(digits) = arguments.device.as_ref().map(|device| device.name.to_ascii_lowercase()) {
        let ids = found.statuses.keys().filter(|id| id.starts_with(&digits));
        found.named.extend(ids.map(|id| (id.clone(), None)));
    }
    // A thing that only the account knows.
    for values::Device { name, .. } in arguments.device.iter().chain(&arguments.thing) {
        let ids = revoke::certificates_of(&account, name).await?;
        found.named.extend(ids.into_iter().map(|id| (id, Some(name.clone()))));
    }
    Ok(found)
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
