//! `register`: certificates that are on disk, put into the account and registered (multi-account registration).

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use jitr::name::{PolicyName, ThingGroupName, ThingTypeName};
use jitr::policy::PolicyTemplate;
use jitr::registration::Settings;
use jitr::thing_name::ThingNameSource;

use super::{Context, Error};
use crate::state::board::CERTIFICATE;
use iot_account::Outcome;
use iot_account::register::{self, Candidate, Journal, Quota, Registrar, Row};
use iot_account::setup::{self, Action};

mod results;
mod sources;

use self::results::Results;
use iot_account::counted;

/// What was registered, in the home folder.
pub(super) const JOURNAL: &str = "register.jsonl";

/// Arguments of `register`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner register --dir ~/.microchip-iot --result registered.csv
      Every board certificate in the folder and below it.
  provisioner register --file certificates.txt --quota UpdateCertificate=25 --quota DescribeCertificate=25
      Every file in the list, at the rate of a raised quota.
  cat bundle.pem | provisioner register -
      Every certificate of a bundle.

An interrupted run continues where it stopped. Ends with 1 if any certificate is not registered.")]
pub struct Arguments {
    /// Certificates, PEM or DER; `-` reads a PEM bundle or a list of file names from stdin
    #[arg(value_name = "CERT")]
    certificates: Vec<PathBuf>,
    /// A folder with certificates (*.crt, *.pem, *.cer, *.der), subfolders included
    #[arg(long, value_name = "DIR")]
    dir: Vec<PathBuf>,
    /// A file with one file name a line
    #[arg(long, value_name = "LIST")]
    file: Vec<PathBuf>,
    /// File for the results: CSV if the name ends in .csv, else JSON lines
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
    /// Group for the things; it has to exist
    #[arg(long, value_name = "NAME")]
    thing_group: Option<ThingGroupName>,
    /// Policy that certificates get [default: zt_policy]
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    /// Document for the policy, if the policy does not exist
    #[arg(long, value_name = "PATH")]
    policy_document: Option<PathBuf>,
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
        let mut settings = setup::defaults()?.with_names(names.0, names.1);
        if let Some(path) = &self.policy_document {
            let Some(bytes) = durable_files::read(path)? else {
                return Err(Error::usage(
                    format!("there is no policy document {}", path.display()),
                    "name a JSON file with --policy-document, or leave it out for the default document",
                ));
            };
            settings.policy_template = PolicyTemplate::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|source| register::Error::Policy { document: path.display().to_string(), source })
                .map_err(iot_account::Error::Register)?;
        }
        settings.thing_group = self.thing_group.clone();
        settings.thing_name_source = self.thing_name_source;
        Ok(settings)
    }
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let settings = arguments.options.settings()?;
    let (candidates, unusable) = sources::collect(&arguments.certificates, &arguments.dir, &arguments.file)?;
    if candidates.is_empty() && unusable.is_empty() {
        return Err(Error::usage(
            "there is no certificate to register",
            "name certificates, a folder with --dir, a list with --file, or - for stdin",
        ));
    }
    let account = context.account().await?;
    let registrar = Registrar::new(&account, settings.clone(), &arguments.quota);
    let total = candidates.len() + unusable.len();
    let scope = account.scope().await?;
    let dry = context.global.dry_run;
    for link in registrar.prepare(&scope, dry).await.map_err(iot_account::Error::Register)? {
        if link.action == Action::Create || !link.details.is_empty() {
            context.note(link.line(!dry));
        }
    }
    if dry {
        return dry_run(context, &registrar, candidates, &unusable);
    }
    context.home.create()?;
    let mut results = Results::create(&arguments.result)?;
    let target = register::target(&scope, &settings);
    let mut journal =
        Journal::open(&context.home.file(JOURNAL), target).map_err(iot_account::Error::Register)?;
    if arguments.again {
        journal.forget();
    }
    let bar = bar(total);
    let mut failure = None;
    let mut tell = |row: &Row| {
        bar.inc(1);
        if let Err(error) = results.add(row) {
            failure.get_or_insert(error);
        }
        bar.suspend(|| context.result(line(row), row));
    };
    unusable.iter().for_each(&mut tell);
    let registered = registrar.register(candidates, &mut journal, &mut tell).await;
    bar.finish_and_clear();
    if let Some(error) = failure {
        return Err(error.into());
    }
    let failed = match registered {
        Ok(()) => 0,
        Err(register::Error::Incomplete { failed, .. }) => failed,
        Err(error) => return Err(iot_account::Error::Register(error).into()),
    } + unusable.len();
    context.note(format_args!("registered: {} of {}", total - failed, counted(total, "certificate")));
    match failed {
        0 => Ok(()),
        _ => Err(iot_account::Error::Register(register::Error::Incomplete { failed, total }).into()),
    }
}

/// Registers the board whose files are in `folder`: for `-m mar`.
///
/// # Errors
/// What the calls end in; [`register::Error::Incomplete`] if it is refused.
pub(super) async fn board(context: &Context, folder: &Path, settings: Settings) -> Result<(), Error> {
    let account = context.account().await?;
    let scope = account.scope().await?;
    let registrar = Registrar::new(&account, settings.clone(), &[]);
    registrar.prepare(&scope, false).await.map_err(iot_account::Error::Register)?;
    let target = register::target(&scope, &settings);
    let mut journal =
        Journal::open(&context.home.file(JOURNAL), target).map_err(iot_account::Error::Register)?;
    // One board is quickly looked at again, and the account may have changed since.
    journal.forget();
    let (candidates, _) = sources::collect(&[folder.join(CERTIFICATE)], &[], &[])?;
    let registered = registrar.register(candidates, &mut journal, |row| context.result(line(row), row)).await;
    Ok(registered.map_err(iot_account::Error::Register)?)
}

/// Says which certificates would be registered as which thing.
fn dry_run(
    context: &Context,
    registrar: &Registrar,
    candidates: Vec<Candidate>,
    unusable: &[Row],
) -> Result<(), Error> {
    for Candidate { source, certificate } in candidates {
        let id = &certificate.facts().fingerprint;
        match registrar.thing_name(&certificate) {
            Ok(thing) => context.result(
                format_args!("would register {source} as {thing}"),
                &serde_json::json!({"source": source, "certificate_id": id, "thing_name": thing.as_str(), "outcome": "would_register"}),
            ),
            Err(error) => context.result(
                format_args!("would refuse   {source}: {error}"),
                &serde_json::json!({"source": source, "certificate_id": id, "outcome": "would_refuse", "reason": error.to_string()}),
            ),
        }
    }
    unusable.iter().for_each(|row| context.result(line(row), row));
    Ok(())
}

fn line(row: &Row) -> String {
    let Row { source, thing_name, outcome, reason, .. } = row;
    let said = match outcome {
        Outcome::Registered => "registered",
        Outcome::Repaired => "was registered, repaired",
        Outcome::DoneBefore => "registered before",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    };
    match reason.as_str() {
        "" => format!("{said:<12} {source}: thing {thing_name}"),
        reason => format!("{said:<12} {source}: {reason}"),
    }
}

/// Rate and time left, where somebody sees them.
fn bar(total: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total as u64);
    match ProgressStyle::with_template("{bar:30} {pos}/{len}  {per_sec}  {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
