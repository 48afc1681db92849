//! `certificates`: every device's certificate, with its status, and where disk, ledger and account differ.

use clap::Args;
use time::OffsetDateTime;

use super::Context;
use crate::cli::Error;
use crate::state::authorities::{self, Authority};
use crate::work::inventory::{self, Device, Difference, InAccount, Sources};
use device_pki::visible;
use iot_account::certificates;

/// Arguments of `certificates`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only certificates of this signer CA: `current`, or the start of its key identifier or certificate id
    #[arg(long, value_name = "ID")]
    signer: Option<String>,
    /// Only certificates with this status in the account, such as ACTIVE
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only things with a name starting with this
    #[arg(long, value_name = "NAME")]
    thing: Option<String>,
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
        sources.account = Some(in_account(context, &sources.authorities).await?);
    }
    let wanted = |device: &Device| {
        let has = |wanted: &Option<String>, found: &Option<String>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| found.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        let begins = arguments.thing.as_ref().is_none_or(|begin| {
            device.thing_name.as_ref().is_some_and(|thing| thing.starts_with(&begin.to_lowercase()))
        });
        has(&signer, &device.authority_key_identifier)
            && has(&arguments.status, &device.status)
            && begins
            && (!arguments.differences || !device.differences.is_empty())
    };
    let mut devices = inventory::devices(&sources, OffsetDateTime::now_utc());
    devices.retain(wanted);
    let (thing, id, status, signer) = ("THING", "CERTIFICATE", "STATUS", "SIGNER");
    let (expires, ledger) = ("EXPIRES", "LEDGER");
    let head =
        format!("{thing:<40}  {id:<12}  {status:<18}  {signer:<8}  {expires:<10}  {ledger:<22}  DIFFERENCES");
    context.table("no certificates", &head, &devices, row);
    Ok(())
}

/// Every page of the account's lists.
async fn in_account(context: &Context, authorities: &[Authority]) -> Result<InAccount, Error> {
    let account = context.account().await?;
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
