//! `ca rotate`: a new signer CA under the same root; the old one stays valid for the boards in the field.

use std::fmt;

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use super::{Named, organisation};
use crate::cli::plan::{self, Line, Plan};
use crate::cli::setup::{self, signer_ca, verification_certificate};
use crate::cli::{Context, Error};
use crate::state::authorities::{self, Authority};
use crate::state::store::{self, Role};
use crate::work::inventory::{self, Sources};
use crate::work::rotate::{Found, Interrupted, NextKey, Rotation, default_name};
use device_pki::key::Uri;
use device_pki::{Certificate, Chain, profile};
use iot_account::Account;
use iot_account::certificates::{Of, Tally};
use iot_account::counted;
use iot_account::rotate::{Plan as InAccount, Settings};
use iot_account::setup::FUNCTION;

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
    #[arg(long, default_value = FUNCTION, value_name = "NAME|ARN", value_parser = crate::cli::setup::function_name)]
    function: String,
    /// Do not change the account; `provisioner setup` registers the new signer CA later
    #[arg(long)]
    no_register: bool,
}

/// The end of a rotation.
#[derive(Serialize)]
struct Rotated<'a> {
    subject_key_identifier: &'a str,
    certificate_id: &'a str,
    registered: bool,
    not_after: String,
    /// Set where the root ends as early: no signer outlives its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    limited_by: Option<&'static str>,
}

/// What depends on a retired signer.
#[derive(Serialize)]
struct Dependents<'a> {
    subject_key_identifier: &'a str,
    certificate_id: &'a str,
    not_after: String,
    /// Certificates that the account knows, by status.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<Tally>,
    /// Boards that were provisioned here with a certificate of it, and with no newer one.
    boards: usize,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    let account = match arguments.no_register {
        true => None,
        false => Some(context.account().await?),
    };
    let rotation = match Rotation::look(&context.home)? {
        Found::Interrupted(interrupted) => {
            return plan::run(context, Finish { interrupted, account }).await;
        }
        Found::Rotation(rotation) => rotation,
    };
    profile::check_clock(now)?;
    organisation::tell(context, &rotation.old().certificate);
    let organisation = rotation.old().certificate.facts().organisation.clone();
    let name = match &arguments.signer_cn {
        Some(name) => profile::Name::within(organisation.as_deref(), name)?,
        None => default_name(organisation.as_deref(), now)?,
    };
    let (signer_key, root_key) = (arguments.signer_key.as_ref(), arguments.root_key.as_ref());
    let key = rotation.next_key(&context.keys, signer_key, root_key, now)?;
    let made = rotation.made()?;
    let in_account = match &account {
        Some(account) => {
            let progress = context.progress("looking at the account");
            let settings = Settings { function: arguments.function.clone(), ..Settings::default() };
            let id = made.as_ref().map(|made| made.facts().certificate_id.as_str());
            let plan = InAccount::make(account, id, rotation.old().certificate_id(), settings).await?;
            drop(progress);
            Some((account.clone(), plan))
        }
        None => None,
    };
    plan::run(context, Rotate { rotation, name, key, made, in_account, now }).await
}

/// An interrupted exchange, to be finished.
struct Finish {
    interrupted: Interrupted,
    account: Option<Account>,
}

#[derive(Serialize)]
struct Nothing {}

impl Plan for Finish {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(vec![Line::new("finish", "would finish an interrupted rotation", &Nothing {})])
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        self.interrupted.finish(&context.keys)?;
        context.note("an interrupted rotation is finished");
        finished(context, self.account.as_ref()).await
    }
}

/// A new signer CA, and the old one retired.
struct Rotate {
    rotation: Box<Rotation>,
    name: profile::Name,
    key: Option<NextKey>,
    /// The new signer, where an interrupted run has made it.
    made: Option<Certificate>,
    in_account: Option<(Account, InAccount)>,
    now: OffsetDateTime,
}

/// The signer CA that is retired, in the line of a plan.
#[derive(Serialize)]
struct Retired<'a> {
    subject_key_identifier: &'a str,
}

impl Plan for Rotate {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let mut lines = Vec::new();
        if let Some(key) = &self.key {
            let place = key.place.to_string();
            let named = Named { name: &place };
            lines.push(match key.is_there {
                true => Line::new("leave", format_args!("is there: {place}"), &named),
                false => Line::new("create", format_args!("would make {place}"), &named),
            });
        }
        lines.push(match &self.made {
            Some(made) => {
                let name = &made.facts().subject;
                let text = format!("an interrupted run has made the signer CA {name}");
                Line::new("leave", text, &Named { name })
            }
            None => {
                let name = &self.name.common_name;
                let end = self.key.as_ref().and_then(|key| key.limit(self.now));
                let end = end.map(|end| format!(", which ends on {} and the signer CA with it", end.date()));
                let end = end.unwrap_or_default();
                let text = format!("would make the signer CA {name} under the same root{end}");
                Line::new("create", text, &Named { name })
            }
        });
        if let Some((_, plan)) = &self.in_account {
            let id = self.made.as_ref().map(|made| made.facts().certificate_id.as_str());
            lines.extend(plan.links(id)?.iter().map(setup::line));
        }
        let old = self.rotation.old().subject_key_identifier();
        let text = format!("would retire the signer {old}, and leave it valid");
        lines.push(Line::new("retire", text, &Retired { subject_key_identifier: old }));
        Ok(lines)
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { mut rotation, name, key, made, in_account, now } = self;
        if made.is_some() {
            context.note("continuing with the signer CA that an interrupted run has made");
        }
        let next = rotation.make(&context.keys, &name, key, now)?;
        if let Some((account, plan)) = &in_account {
            register(context, account, &rotation, &next, plan).await?;
        }
        rotation.finish(&context.keys)?;
        finished(context, in_account.as_ref().map(|(account, _)| account)).await
    }
}

async fn register(
    context: &Context,
    account: &Account,
    rotation: &Rotation,
    next: &Chain,
    plan: &InAccount,
) -> Result<(), Error> {
    let _progress = context.progress("registering the new signer CA");
    let (signer, is_needed) = (signer_ca(next), plan.needs_verification());
    let verification = verification_certificate(account, next, rotation.next(), is_needed).await?;
    plan.apply(account, &signer, verification.as_deref()).await?;
    plan.links(Some(signer.id))?.iter().for_each(|link| context.note(link.line(true)));
    Ok(())
}

/// Shows the new signer and what still depends on those before it.
async fn finished(context: &Context, account: Option<&Account>) -> Result<(), Error> {
    let authorities = authorities::all(&context.home)?;
    let (current, retired): (Vec<&Authority>, Vec<&Authority>) =
        authorities.iter().partition(|authority| authority.current);
    let root = store::certificate(&context.home, Role::Root)?.map(|root| root.facts().not_after);
    for authority in current {
        let end = authority.certificate.facts().not_after;
        let rotated = Rotated {
            subject_key_identifier: authority.subject_key_identifier(),
            certificate_id: authority.certificate_id(),
            registered: account.is_some(),
            not_after: device_pki::certificate::rfc3339(end),
            limited_by: root.filter(|root| *root <= end).map(|_| "root"),
        };
        plan::tell(context, "create", &rotated, &rotated);
    }
    let boards = boards_by_signer(context)?;
    for authority in retired {
        let certificates = match account {
            Some(account) => Some(Tally::of(account, Of::Ca(authority.certificate_id())).await?),
            None => None,
        };
        let dependents = Dependents {
            subject_key_identifier: authority.subject_key_identifier(),
            certificate_id: authority.certificate_id(),
            not_after: device_pki::certificate::rfc3339(authority.certificate.facts().not_after),
            certificates,
            boards: boards.iter().filter(|signer| *signer == authority.subject_key_identifier()).count(),
        };
        plan::tell(context, "retire", &dependents, &dependents);
    }
    Ok(())
}

/// The signer of each board's newest certificate.
fn boards_by_signer(context: &Context) -> Result<Vec<String>, Error> {
    let devices = inventory::devices(&Sources::of(&context.home)?, OffsetDateTime::now_utc());
    let newest = devices
        .into_iter()
        .filter(|device| !device.revoked && !device.differences.contains(&inventory::Difference::Superseded));
    Ok(newest.filter_map(|device| device.authority_key_identifier).collect())
}

impl fmt::Display for Rotated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject_key_identifier, registered, not_after, limited_by, .. } = self;
        write!(f, "the signer CA is now {subject_key_identifier}, until {not_after}")?;
        if limited_by.is_some() {
            write!(f, ", when the root CA ends")?;
        }
        match registered {
            true => write!(f, "; it is registered in the account"),
            false => write!(f, "; register it with: provisioner setup"),
        }
    }
}

impl fmt::Display for Dependents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject_key_identifier, not_after, certificates, boards, .. } = self;
        write!(
            f,
            "retired: {subject_key_identifier}, valid until {not_after}; {} here with a certificate that it issued",
            counted(*boards, "board")
        )?;
        match certificates {
            Some(tally) if tally.total() > 0 => write!(f, ", in the account: {tally}"),
            Some(_) => write!(f, ", in the account: none"),
            None => Ok(()),
        }?;
        if *boards == 0 && certificates.as_ref().is_some_and(|tally| tally.total() == 0) {
            write!(
                f,
                "; nothing depends on it: provisioner revoke --signer {}",
                &subject_key_identifier[..8]
            )?;
        }
        Ok(())
    }
}
