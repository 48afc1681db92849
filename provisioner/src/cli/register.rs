//! `register`: certificates that are on disk, put into the account and registered (multi-account registration).

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use durable_files::folder;
use jitr::name::{PolicyName, ThingTypeName};
use jitr::policy::PolicyTemplate;
use jitr::registration::Settings;
use jitr::scope::Scope;
use jitr::thing_name::{ThingName, ThingNameSource};
use time::OffsetDateTime;

use super::plan::{self, Line, Plan};
use super::{Context, Error, described, named, setup};
use crate::state::board::CERTIFICATE;
use crate::state::home::JOURNAL;
use device_pki::Certificate;
use iot_account::Outcome;
use iot_account::register::{
    self, Bad, Candidate, Elsewhere, Item, Journal, Prerequisites, Quota, Registrar, Row,
};
use iot_account::setup::{Action, Link, defaults};

mod barred;
mod boards;
mod manifests;
mod results;
mod shown;
mod sources;

use self::barred::Barred;
use self::manifests::Manifests;
use self::results::Results;
use self::shown::{Planned, place, planned, tell};
use self::sources::Found;
use iot_account::counted;

/// Arguments of `register`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner register --dir ~/.microchip-iot --result registered.csv
      Every board certificate in the folder and below it.
  provisioner register --file certificates.txt --quota UpdateCertificate=25
      Every file in the list, at the rate of a raised quota.
  cat bundle.pem | provisioner register -
      Every certificate of a bundle.
  provisioner register --manifest ECC608C-TNGTLSU-B.json
      Every secure element of a delivery, before its board was seen.
  provisioner register --dir ~/.microchip-iot --attribute usb={usb_serial} --thing-group line-{station}
      Things with an attribute, in the group of their station.

An interrupted run continues where it stopped. Ends with 1 if any certificate is not registered.")]
pub struct Arguments {
    /// Files with certificates: PEM, DER, PKCS#7; `-` reads one, or a list of file names, from stdin
    #[arg(value_name = "CERT")]
    certificates: Vec<PathBuf>,
    /// A folder with certificates, subfolders included; every file in it is accounted for
    #[arg(long, value_name = "DIR")]
    dir: Vec<PathBuf>,
    /// A file with one file name a line
    #[arg(long, value_name = "LIST")]
    file: Vec<PathBuf>,
    /// A secure-element manifest: each element whose entry its signer has signed is registered
    #[arg(long, value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// Certificate of a manifest signer that is trusted beside Microchip's
    #[arg(long, value_name = "CERT", requires = "manifest")]
    manifest_signer: Vec<PathBuf>,
    /// File for the results: CSV if the name ends in .csv, else JSON lines. Those of an earlier run are replaced, and no other file
    #[arg(long, value_name = "PATH")]
    result: Vec<PathBuf>,
    /// Quota of the account, in calls a second, where it is not AWS's default
    #[arg(long, value_name = "API=N")]
    quota: Vec<Quota>,
    /// Register certificates again that the journal has as registered
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    options: Options,
}

/// What a registered certificate gets.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What certificates get")]
pub(super) struct Options {
    /// Where the thing name comes from
    #[arg(long, default_value = "ski", value_name = "SOURCE", value_parser = thing_name_source())]
    thing_name_source: ThingNameSource,
    /// Type of the things [default: microchip-zero-touch-kit]
    #[arg(long, value_name = "NAME")]
    thing_type: Option<ThingTypeName>,
    /// Policy that certificates get [default: zt_policy]
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    /// Document for the policy, if the policy does not exist
    #[arg(long, value_name = "PATH")]
    policy_document: Option<PathBuf>,
    #[command(flatten)]
    described: described::DescriptionFlags,
}

fn thing_name_source() -> impl TypedValueParser<Value = ThingNameSource> {
    let ski = PossibleValue::new("ski").help("The subject key identifier: SHA-1 of the public key");
    let cn = PossibleValue::new("cn").help("The common name in the certificate");
    PossibleValuesParser::new([ski, cn]).map(|name| match name.as_str() {
        "cn" => ThingNameSource::CommonName,
        _ => ThingNameSource::SubjectKeyIdentifier,
    })
}

impl Options {
    /// The settings of the workflow.
    ///
    /// # Errors
    /// A policy document that is missing or is none.
    pub(super) fn settings(&self) -> Result<Settings, Error> {
        let names = (self.policy.as_ref(), self.thing_type.as_ref());
        let mut settings = defaults()?.with_names(names.0, names.1);
        if let Some(path) = &self.policy_document {
            settings.policy_template = policy_template(path)?;
        }
        settings.description = self.described.for_register()?;
        settings.thing_name_source = self.thing_name_source;
        Ok(settings)
    }
}

/// The policy document in a file.
///
/// # Errors
/// It is missing, or is none.
pub(super) fn policy_template(path: &Path) -> Result<PolicyTemplate, Error> {
    let Some(bytes) = named::read(path)? else {
        return Err(Error::usage(
            format!("there is no policy document {}", path.display()),
            "name a JSON file with --policy-document, or leave it out for the default document",
        ));
    };
    let document = path.display().to_string();
    let template = PolicyTemplate::parse(&String::from_utf8_lossy(&bytes));
    let template = template.map_err(|source| register::Error::Policy { document, source });
    Ok(template.map_err(iot_account::Error::Register)?)
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    arguments.result.iter().try_for_each(|file| context.home.check_output(file))?;
    Results::check(&arguments.result)?;
    let settings = arguments.options.settings()?;
    let found = sources::collect(&arguments.certificates, &arguments.dir, &arguments.file, &context.home)
        .map_err(Error::Named)?;
    let mut manifests = Manifests::open(&arguments.manifest, &arguments.manifest_signer)?;
    let barred = Barred::read(&context.home)?;
    let now = OffsetDateTime::now_utc();
    {
        let progress = context.progress("reading the manifests");
        let against = |certificate: &Certificate| barred.against(certificate);
        manifests.survey(found.seen.iter(), against, now, |rows| progress.count_up(rows))?;
    }
    let mut advice: Vec<_> = found.advice(now).into_iter().chain(manifests.advice()).collect();
    let Found { candidates, unusable, duplicates, .. } = found;
    if candidates.is_empty() && unusable.is_empty() && manifests.rows() == 0 {
        return Err(Error::usage(
            "there is no certificate to register",
            "name certificates, a folder with --dir, a list with --file, a manifest with --manifest, or - for stdin",
        ));
    }
    let (candidates, revoked) = without_barred(&barred, candidates)?;
    advice.extend(barred.advice());
    let (registrar, scope, found) = registrar(context, &settings, &arguments.quota).await?;
    registrar.check(&found).await?;
    let results = arguments.result.clone();
    folder::check_writable(context.home.root())?;
    let target = register::target(&scope, &settings);
    let before = match arguments.again {
        true => HashMap::new(),
        false => {
            let revoked: HashSet<_> =
                revoked.iter().filter_map(|row| row.certificate_id.as_deref()).collect();
            let has = |id: &str| manifests.has(id) && !revoked.contains(id);
            registered_before(context, &registrar, &scope, &target, has).await?
        }
    };
    let refused = Bad::default();
    let plan = Register {
        registrar,
        found,
        candidates,
        manifests,
        revoked,
        unusable,
        duplicates,
        advice,
        target,
        before,
        results,
        refused,
    };
    plan::run(context, plan).await
}

/// The certificates that earlier runs have registered, as far as the journal says so and the account agrees: thing names by
/// certificate id. Says where certificates were registered that were not registered here.
async fn registered_before(
    context: &Context,
    registrar: &Registrar,
    scope: &Scope,
    target: &str,
    is_candidate: impl Fn(&str) -> bool,
) -> Result<HashMap<String, String>, Error> {
    let path = context.home.file(JOURNAL);
    let mut before = Journal::peek(&path, target).map_err(iot_account::Error::Register)?;
    before.retain(|id, _| is_candidate(id));
    let (account, region) = (&scope.account, &scope.region);
    if !before.is_empty() {
        let noted = before.len();
        let _progress = context.progress("comparing the journal of earlier runs with the account");
        let active = registrar.still_active(before).await?;
        if active.len() < noted {
            context.note(format_args!(
                "{} of {} that the journal of earlier runs has as registered are not ACTIVE in account {account} in {region}: \
                 they are registered again",
                noted - active.len(),
                counted(noted, "certificate")
            ));
        }
        return Ok(active);
    }
    let elsewhere = Journal::elsewhere(&path, scope, is_candidate).map_err(iot_account::Error::Register)?;
    if let Some(Elsewhere { account: other, region: in_region, certificates }) = elsewhere {
        context.note(format_args!(
            "account {other} in {in_region} has {} of these already, and this is account {account} in {region}: if it is \
             not the one that is meant, choose the other with --profile or --region",
            counted(certificates, "certificate")
        ));
    }
    Ok(before)
}

/// Certificates to be registered.
struct Register {
    registrar: Registrar,
    found: Prerequisites,
    candidates: Vec<Candidate>,
    /// Certificates that are looked for one after the other.
    manifests: Manifests,
    /// Certificates that were revoked, or whose key was, or was taken off the admission list.
    revoked: Vec<Row>,
    /// Files without a certificate that can be registered.
    unusable: Vec<Row>,
    /// Files with a certificate that another one has.
    duplicates: Vec<Row>,
    /// What is said once of all of them.
    advice: Vec<String>,
    target: String,
    /// What earlier runs have registered: thing names by certificate id.
    before: HashMap<String, String>,
    results: Vec<PathBuf>,
    /// Refusals among the lines.
    refused: Bad,
}

impl Register {
    /// Whether there is a certificate to register.
    fn has_candidates(&self) -> bool {
        !self.candidates.is_empty() || self.manifests.certificates() > 0
    }

    /// The links that are created, or of which there is something to say; none if there is no certificate that needs them.
    fn notable(&self) -> impl Iterator<Item = &Link> {
        let notable = |link: &&Link| link.action == Action::Create || !link.details.is_empty();
        self.found.links.iter().filter(|_| self.has_candidates()).filter(notable)
    }

    /// `revoked` of those that are `bad` are revoked.
    fn incomplete(bad: Bad, revoked: usize, total: usize) -> Result<(), Error> {
        let failed = bad.all();
        let ended = match failed > 0 && failed == revoked {
            true => Err(register::Error::Revoked { failed, total }),
            false => bad.of(total),
        };
        Ok(ended.map_err(iot_account::Error::Register)?)
    }

    fn total(&self) -> usize {
        self.candidates.len() + self.revoked.len() + self.unusable.len() + self.manifests.rows()
    }

    fn revoked(&self) -> usize {
        self.revoked.len() + self.manifests.revoked()
    }

    /// The lines of the plan, one after the other.
    async fn each_line(&mut self, context: &Context, mut show: impl FnMut(Line)) -> Result<(), Error> {
        self.notable().map(setup::line).for_each(&mut show);
        let progress = context.progress("looking at the certificates");
        let total = self.total();
        let open = self.manifests.ids().filter(|id| !self.before.contains_key(id));
        let statuses = self.registrar.statuses(open).await?;
        let mut refused = self.refused;
        let items = self.candidates.iter().cloned().map(Item::Candidate).chain(self.manifests.items());
        for (count, item) in items.enumerate() {
            progress.count(count.min(total), total);
            let candidate = match item {
                Item::Candidate(candidate) => candidate,
                Item::Row(row) => {
                    refused.count(&row);
                    show(planned(&row));
                    continue;
                }
            };
            let (source, unique_id) = (candidate.source.as_str(), candidate.unique_id.as_deref());
            let id = candidate.certificate.facts().certificate_id.as_str();
            if let Some(thing_name) = self.before.get(id) {
                let about = Planned { unique_id, ..Planned::registered(source, Some(id), Some(thing_name)) };
                let text = format_args!("registered before {}", place(source, unique_id));
                show(Line::new("leave", text, &about));
                continue;
            }
            let status = statuses.get(id).map(String::as_str);
            let obstacle = self.registrar.obstacle(&candidate.certificate, status);
            refused.refuse(obstacle.is_some());
            let name = self.registrar.thing_name(&candidate.certificate).ok().filter(|_| obstacle.is_none());
            let (thing_name, error) = (name.as_ref().map(ThingName::as_str), obstacle.as_deref());
            show(Planned { error, unique_id, ..Planned::registered(source, Some(id), thing_name) }.line());
        }
        for row in self.revoked.iter().chain(&self.unusable).chain(&self.duplicates) {
            refused.count(row);
            show(planned(row));
        }
        self.refused = refused;
        self.advice.iter().for_each(|advice| context.note(advice));
        Ok(())
    }
}

impl Plan for Register {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        let mut lines = Vec::new();
        self.each_line(context, |line| lines.push(line)).await?;
        Ok(lines)
    }

    async fn show(&mut self, context: &Context) -> Result<(), Error> {
        self.each_line(context, |line| line.show(context)).await
    }

    fn refused(self) -> Result<(), Error> {
        Self::incomplete(self.refused, self.revoked(), self.total())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        if self.has_candidates() {
            self.registrar.prepare(&self.found).await?;
        }
        self.notable().for_each(|link| context.note(link.line(true)));
        let (total, all_revoked) = (self.total(), self.revoked());
        let Self {
            registrar,
            candidates,
            manifests,
            revoked,
            unusable,
            duplicates,
            advice,
            target,
            before,
            results,
            ..
        } = self;
        context.home.create()?;
        let mut results = Results::create(&results)?;
        let mut journal =
            Journal::open(&context.home.file(JOURNAL), target).map_err(iot_account::Error::Register)?;
        journal.believe(before);
        let progress = context.progress("registering");
        let mut count = 0;
        let (mut failure, mut bad) = (None, Bad::default());
        let mut tell = |row: &Row| {
            count += usize::from(row.outcome != Outcome::Duplicate);
            progress.count(count, total);
            bad.count(row);
            if let Err(error) = results.add(row) {
                failure.get_or_insert(error);
            }
            tell(context, row);
        };
        revoked.iter().chain(&unusable).for_each(&mut tell);
        let to_register = total - revoked.len() - unusable.len();
        let items = candidates.into_iter().map(Item::Candidate).chain(manifests.items());
        let registered = registrar.register(items, to_register, &mut journal, &mut tell).await;
        duplicates.iter().for_each(&mut tell);
        drop(progress);
        advice.iter().for_each(|advice| context.note(advice));
        if let Some(error) = failure {
            return Err(error.into());
        }
        match registered {
            Ok(()) | Err(register::Error::Incomplete { .. } | register::Error::Refused { .. }) => {}
            Err(error) => return Err(iot_account::Error::Register(error).into()),
        }
        let failed = bad.all();
        context.note(format_args!("registered: {} of {}", total - failed, counted(total, "certificate")));
        Self::incomplete(bad, all_revoked, total)
    }
}

/// Takes the certificates out that were revoked, or whose key was, with a row for each.
///
/// # Errors
/// What was revoked cannot be read.
fn without_barred(
    barred: &Barred<'_>,
    candidates: Vec<Candidate>,
) -> Result<(Vec<Candidate>, Vec<Row>), Error> {
    let (mut free, mut revoked) = (Vec::new(), Vec::new());
    for candidate in candidates {
        match barred.against(&candidate.certificate)? {
            Some(why) => {
                let id = candidate.certificate.facts().certificate_id.clone();
                revoked.push(Row::refused(candidate.source, Some(id), why));
            }
            None => free.push(candidate),
        }
    }
    Ok((free, revoked))
}

/// Registers the board whose files are in `folder`: for `-m mar`.
///
/// # Errors
/// What the calls end in; [`register::Error::Incomplete`] if it is refused.
pub(super) async fn board(context: &Context, folder: &Path, settings: Settings) -> Result<(), Error> {
    let (registrar, scope, found) = registrar(context, &settings, &[]).await?;
    registrar.check(&found).await?;
    registrar.prepare(&found).await?;
    let target = register::target(&scope, &settings);
    let mut journal =
        Journal::open(&context.home.file(JOURNAL), target).map_err(iot_account::Error::Register)?;
    // One board is quickly looked at again, and the account may have changed since.
    journal.believe(HashMap::new());
    let found = sources::collect(&[folder.join(CERTIFICATE)], &[], &[], &context.home)?;
    let (candidates, revoked) = without_barred(&Barred::read(&context.home)?, found.candidates)?;
    revoked.iter().for_each(|row| tell(context, row));
    let mut bad = Bad::default();
    revoked.iter().for_each(|row| bad.count(row));
    Register::incomplete(bad, revoked.len(), candidates.len() + revoked.len())?;
    let total = candidates.len();
    let items = candidates.into_iter().map(Item::Candidate);
    let registered = registrar.register(items, total, &mut journal, |row| tell(context, row)).await;
    Ok(registered.map_err(iot_account::Error::Register)?)
}

/// The lines of a plan that registers the board's certificate in `folder` afterwards, as [`board`] does.
///
/// # Errors
/// What the calls end in.
pub(super) async fn board_lines(
    context: &Context,
    folder: &Path,
    certificate_id: Option<&str>,
    thing_name: &str,
    settings: &Settings,
) -> Result<Vec<Line>, Error> {
    let (registrar, _, found) = registrar(context, settings, &[]).await?;
    registrar.check(&found).await?;
    let source = folder.join(CERTIFICATE).display().to_string();
    let planned = Planned::registered(&source, certificate_id, Some(thing_name));
    let made = found.links.iter().filter(|link| link.action == Action::Create);
    Ok(made.map(setup::line).chain([planned.line()]).collect())
}

/// What registers certificates with these settings, where, and what the account has of what they need.
async fn registrar(
    context: &Context,
    settings: &Settings,
    quotas: &[Quota],
) -> Result<(Registrar, Scope, Prerequisites), Error> {
    let account = context.account().await?;
    let registrar = Registrar::new(&account, settings.clone(), quotas);
    let registrar = registrar.knowing(boards::known(&context.home, settings)?);
    let scope = account.scope().await?;
    let found = registrar.look(&scope).await?;
    Ok((registrar, scope, found))
}
