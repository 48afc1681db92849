//! `ca rotate`: a new signer CA under the same root; the old one stays valid for the boards in the field.

use std::fmt;

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::setup::verification_certificate;
use crate::cli::{Context, Error};
use crate::state::authorities::{self, Authority};
use crate::state::store;
use crate::work::inventory::{self, Sources};
use crate::work::rotate::{Rotation, default_name};
use device_pki::key::Uri;
use device_pki::{Chain, profile};
use iot_account::Account;
use iot_account::certificates::{Tally, of_ca};
use iot_account::counted;
use iot_account::rotate::{Plan, Settings};
use iot_account::setup::{self, SignerCa};

/// Arguments of `ca rotate`.
#[derive(Debug, Args)]
#[command(after_help = "\
The new signer CA is registered in the account before it signs anything.

The old signer CA stays registered, and its boards keep connecting. Its revocation list is still written.

An interrupted run continues when it is run again.")]
pub struct Arguments {
    /// Common name of the new signer CA [default: a unique one]
    #[arg(long, value_name = "NAME")]
    signer_cn: Option<String>,
    /// Place of the new signer key [default: a file in the home folder, encrypted if the old one is]
    #[arg(long, value_name = "URI")]
    signer_key: Option<Uri>,
    /// Place of the root key, if it is offline, such as file:/media/usb/root-ca.key
    #[arg(long, value_name = "URI")]
    root_key: Option<Uri>,
    /// The function that registers boards; the new CA is added to its list of accepted CAs, if there is one
    #[arg(long, default_value = setup::FUNCTION, value_name = "NAME|ARN", value_parser = crate::cli::setup::function_name)]
    function: String,
    /// Leave the account as it is; `provisioner setup` registers the new signer later
    #[arg(long)]
    no_register: bool,
}

/// The end of a rotation.
#[derive(Serialize)]
struct Rotated<'a> {
    rotated: bool,
    /// Key identifier and certificate id of the new signer.
    signer: &'a str,
    certificate_id: &'a str,
    registered: bool,
    expires: String,
}

/// What depends on a retired signer.
#[derive(Serialize)]
struct Dependents<'a> {
    retired: &'a str,
    expires: String,
    /// Certificates that the account knows, by status.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_account: Option<Tally>,
    /// Boards that were provisioned here with a certificate of it, and with no newer one.
    boards: usize,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    if context.global.dry_run {
        return plan(arguments, context);
    }
    let account = match arguments.no_register {
        true => None,
        false => Some(context.account().await?),
    };
    match Rotation::begin(&context.home, &context.keys)? {
        None => context.note("an interrupted rotation is finished"),
        Some(rotation) => rotate(arguments, context, account.as_ref(), rotation, now).await?,
    }
    finished(context, account.as_ref()).await
}

/// Says what would be done.
fn plan(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let old = authorities::all(&context.home)?.into_iter().find(|authority| authority.current);
    let Some(old) = old else {
        store::load(&context.home, &context.keys, OffsetDateTime::now_utc())?;
        return Ok(());
    };
    context.note("would make a new signer CA under the same root");
    if !arguments.no_register {
        context.note("would register it in the account, active and registering boards");
    }
    context.note(format_args!("would retire the signer {}, and leave it valid", old.key_id()));
    Ok(())
}

async fn rotate(
    arguments: &Arguments,
    context: &Context,
    account: Option<&Account>,
    rotation: Rotation,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let organisation = rotation.old().certificate.facts().organisation.clone();
    let name = match &arguments.signer_cn {
        Some(name) => profile::Name::new(&organisation, name)?,
        None => default_name(&organisation, now)?,
    };
    if rotation.is_made() {
        context.note("going on with the signer CA that an interrupted run has made");
    }
    let (key, root_key) = (arguments.signer_key.as_ref(), arguments.root_key.as_ref());
    let next = rotation.make(&context.keys, &name, key, root_key, now)?;
    if let Some(account) = account {
        let settings = Settings { function: arguments.function.clone(), ..Settings::default() };
        register(context, account, &rotation, &next, settings).await?;
    }
    Ok(rotation.finish(&context.keys)?)
}

async fn register(
    context: &Context,
    account: &Account,
    rotation: &Rotation,
    next: &Chain,
    settings: Settings,
) -> Result<(), Error> {
    let progress = context.progress("registering the new signer CA");
    let signer = SignerCa { id: &next.signer().facts().fingerprint, pem: next.signer().to_pem() };
    let plan = Plan::make(account, &signer, rotation.old().certificate_id(), settings).await?;
    let verification = match plan.needs_verification() {
        true => Some(verification_certificate(account, next, rotation.next()).await?),
        false => None,
    };
    let links = plan.apply(account, &signer, verification.as_deref()).await?;
    drop(progress);
    links.iter().for_each(|link| context.note(link.line(true)));
    Ok(())
}

/// Shows the new signer and what still depends on those before it.
async fn finished(context: &Context, account: Option<&Account>) -> Result<(), Error> {
    let authorities = authorities::all(&context.home)?;
    let (current, retired): (Vec<&Authority>, Vec<&Authority>) =
        authorities.iter().partition(|authority| authority.current);
    for authority in current {
        context.show(&Rotated {
            rotated: true,
            signer: authority.key_id(),
            certificate_id: authority.certificate_id(),
            registered: account.is_some(),
            expires: device_pki::certificate::rfc3339(authority.certificate.facts().not_after),
        });
    }
    let boards = boards_by_signer(context)?;
    for authority in retired {
        let in_account = match account {
            Some(account) => Some(Tally::of(&of_ca(account, authority.certificate_id()).await?)),
            None => None,
        };
        context.show(&Dependents {
            retired: authority.key_id(),
            expires: device_pki::certificate::rfc3339(authority.certificate.facts().not_after),
            in_account,
            boards: boards.iter().filter(|signer| *signer == authority.key_id()).count(),
        });
    }
    Ok(())
}

/// The signer of each board's newest certificate.
fn boards_by_signer(context: &Context) -> Result<Vec<String>, Error> {
    let devices = inventory::devices(&Sources::of(&context.home)?, OffsetDateTime::now_utc());
    let newest =
        devices.into_iter().filter(|device| !device.differences.contains(&inventory::Difference::Superseded));
    Ok(newest.filter_map(|device| device.signer).collect())
}

impl fmt::Display for Rotated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signer, registered, expires, .. } = self;
        write!(f, "the signer CA is now {signer}, until {expires}")?;
        match registered {
            true => write!(f, "; the account knows it"),
            false => write!(f, "; register it with: provisioner setup"),
        }
    }
}

impl fmt::Display for Dependents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { retired, expires, in_account, boards } = self;
        write!(
            f,
            "still valid: {retired}, until {expires}; {} here with a certificate of it",
            counted(*boards, "board")
        )?;
        match in_account {
            Some(tally) if tally.total() > 0 => write!(f, ", in the account: {tally}"),
            Some(_) => write!(f, ", in the account: none"),
            None => Ok(()),
        }?;
        if *boards == 0 && in_account.as_ref().is_some_and(|tally| tally.total() == 0) {
            write!(f, "; nothing depends on it: provisioner revoke --signer {}", &retired[..8])?;
        }
        Ok(())
    }
}
