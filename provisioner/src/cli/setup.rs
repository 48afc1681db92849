//! `setup`: the account, made ready for boards to register by themselves.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jitr::name::{PolicyName, ThingTypeName};
use jitr::registration::Settings as Registration;
use jitr::scope::{Arn, Scope};
use serde::Serialize;
use time::OffsetDateTime;

use super::{Context, Error};
use crate::state::home::Home;
use crate::state::store;
use device_pki::Chain;
use iot_account::Account;
use iot_account::register::Registrar;
use iot_account::setup::{self, Link, Package, Plan, Settings, SignerCa};

/// Arguments of `setup`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner setup --lambda-zip --dry-run
      Show the plan: what exists, what would be created, what would change.
  provisioner setup --function JITR
      Use a deployed function (from cargo lambda deploy, or infra/).

What is right stays as it is and what differs is repaired, so setup can run again at any time.")]
pub struct Arguments {
    /// How boards are registered
    #[arg(long, value_enum, default_value_t = Method::Jitr, value_name = "METHOD")]
    method: Method,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Method {
    /// By themselves, when they first connect (just-in-time registration)
    Jitr,
    /// By `provisioner register`, one by one (multi-account registration)
    Mar,
}

/// What the account is to look like.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Account")]
pub struct Options {
    /// Package of the function, from `cargo lambda build --output-format zip` [without a path:
    /// target/lambda/jitr/bootstrap.zip]
    #[arg(long, value_name = "PATH")]
    lambda_zip: Option<Option<PathBuf>>,
    /// The function that registers boards [default: JITR]
    #[arg(long, alias = "function-name", value_name = "NAME|ARN", value_parser = function_name)]
    function: Option<String>,
    /// Existing role for the function
    #[arg(long, value_name = "ARN", value_parser = role_arn, requires = "lambda_zip")]
    role_arn: Option<String>,
    /// Topic rule that invokes it [default: ForwardSignedButUnknownDevices]
    #[arg(long, value_name = "NAME", value_parser = rule_name)]
    rule_name: Option<String>,
    /// Policy that boards get [default: the function's, zt_policy]
    #[arg(long, value_name = "NAME")]
    policy_name: Option<PolicyName>,
    /// Type of the things [default: the function's, microchip-zero-touch-kit]
    #[arg(long, value_name = "NAME")]
    thing_type: Option<ThingTypeName>,
    /// Register the signer CA so that other accounts of the Region can register it too; boards have to send the server
    /// name (SNI)
    #[arg(long)]
    sni_only: bool,
}

impl Options {
    /// Reads and checks the package, if there is one.
    pub(super) fn settings(&self) -> Result<Settings, Error> {
        let package = self.lambda_zip.as_ref().map(|path| path.clone().unwrap_or_else(packaged));
        let package = package.as_deref().map(Package::read).transpose();
        Ok(Settings {
            rule: self.rule_name.clone().unwrap_or_else(|| setup::RULE.to_owned()),
            function: self.function.clone().unwrap_or_else(|| setup::FUNCTION.to_owned()),
            package: package.map_err(|error| iot_account::Error::Setup(error.into()))?,
            role: self.role_arn.clone(),
            policy: self.policy_name.clone(),
            thing_type: self.thing_type.clone(),
            sni_only: self.sni_only,
        })
    }

    /// What certificates are registered with where no function does it.
    ///
    /// # Errors
    /// Only if the default document is none.
    pub(super) fn registration(&self) -> Result<Registration, Error> {
        Ok(setup::defaults()?.with_names(self.policy_name.as_ref(), self.thing_type.as_ref()))
    }

    /// Whether a flag was given that only just-in-time registration has a use for.
    fn is_for_jitr(&self) -> bool {
        self.lambda_zip.is_some()
            || self.function.is_some()
            || self.role_arn.is_some()
            || self.rule_name.is_some()
            || self.sni_only
    }

    /// Whether any of these flags was given.
    pub(super) fn is_given(&self) -> bool {
        self.is_for_jitr() || self.policy_name.is_some() || self.thing_type.is_some()
    }
}

/// The account that is being set up.
#[derive(Serialize)]
struct Place<'a> {
    account: &'a str,
    region: &'a str,
    endpoint: &'a str,
}

fn show_place(context: &Context, Scope { account, region, .. }: &Scope, endpoint: &str) {
    let line = format!("account {account} in {region}: boards connect to {endpoint}");
    context.result(line, &Place { account, region, endpoint });
}

/// One link of the plan, and whether it was carried out.
#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    link: &'a Link,
    done: bool,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    if arguments.method == Method::Mar {
        let account = context.account().await?;
        set_up_mar(context, &account, &arguments.options).await?;
        return Ok(());
    }
    let settings = arguments.options.settings()?;
    let account = context.account().await?;
    let chain = store::load(&context.home, &context.keys, OffsetDateTime::now_utc())?;
    set_up(context, &account, Some(&chain), &settings).await?;
    Ok(())
}

/// Makes what certificates get in multi-account registration: there is no function, no rule and no CA in the account.
/// Returns the endpoint that boards connect to.
///
/// # Errors
/// Flags that have no meaning here; what the calls end in.
pub(super) async fn set_up_mar(
    context: &Context,
    account: &Account,
    options: &Options,
) -> Result<String, Error> {
    if options.is_for_jitr() {
        return Err(Error::usage(
            "function, role, rule and CA are for just-in-time registration; multi-account registration has none",
            "leave --lambda-zip, --function, --role-arn, --rule-name and --sni-only out, or give --method jitr",
        ));
    }
    let (scope, endpoint) = tokio::try_join!(account.scope(), iot_account::endpoint(account))?;
    show_place(context, &scope, &endpoint);
    let registrar = Registrar::new(account, options.registration()?, &[]);
    let dry_run = context.global.dry_run;
    for link in registrar.prepare(&scope, dry_run).await.map_err(iot_account::Error::Register)? {
        context.result(link.line(!dry_run), &Outcome { link: &link, done: !dry_run });
    }
    Ok(endpoint)
}

/// Makes the plan, shows it, and carries it out unless this is a dry run. Returns the endpoint that boards connect to.
///
/// `chain` may be missing in a dry run only; without one nothing is carried out.
pub(super) async fn set_up(
    context: &Context,
    account: &Account,
    chain: Option<&Chain>,
    settings: &Settings,
) -> Result<String, Error> {
    let progress = context.progress("looking at the account");
    let signer =
        chain.map(|chain| SignerCa { id: &chain.signer().facts().fingerprint, pem: chain.signer().to_pem() });
    let plan = Plan::make(account, signer.as_ref(), settings).await?;
    show_place(context, &plan.scope, &plan.endpoint);
    let show = |link: &Link, done| context.result(link.line(done), &Outcome { link, done });
    match (chain, &signer) {
        (Some(chain), Some(signer)) if !context.global.dry_run => {
            progress.step("setting the account up");
            let verification = match plan.needs_verification() {
                true => Some(verification_certificate(account, chain, &context.home).await?),
                false => None,
            };
            plan.apply(account, signer, verification.as_deref(), |link| show(&link, true)).await?;
        }
        _ => plan.links().iter().for_each(|link| show(link, false)),
    }
    Ok(plan.endpoint)
}

/// The certificate that proves to AWS that the signer's key is here, PEM; kept in the folder `home`, too.
pub(super) async fn verification_certificate(
    account: &Account,
    chain: &Chain,
    home: &Home,
) -> Result<String, Error> {
    let code = setup::registration_code(account).await?;
    let certificate = device_pki::verification_certificate(chain, &code, OffsetDateTime::now_utc())?;
    store::keep_verification_certificate(home, &certificate)?;
    Ok(certificate.to_pem())
}

/// Where cargo lambda puts the package: in the target folder that is set, or in the one of the workspace that the current
/// folder is in.
fn packaged() -> PathBuf {
    const PACKAGE: &str = "lambda/jitr/bootstrap.zip";
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        return PathBuf::from(target).join(PACKAGE);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let found =
        here.ancestors().map(|folder| folder.join("target").join(PACKAGE)).find(|path| path.is_file());
    found.unwrap_or_else(|| PathBuf::from("target").join(PACKAGE))
}

/// Name (`[a-zA-Z0-9-_]{1,64}`) or ARN of a function.
pub(super) fn function_name(text: &str) -> Result<String, &'static str> {
    let name = match Arn::parse(text) {
        Some(arn) if arn.service == "lambda" => arn.named("function"),
        _ => Some(text).filter(|text| !text.contains(':')),
    };
    let name = name.filter(|name| !name.contains(':'));
    let name =
        name.ok_or("neither a name nor an ARN like arn:aws:lambda:us-east-2:123456789012:function:JITR")?;
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if (1..=64).contains(&name.len()) && name.bytes().all(valid) {
        Ok(text.to_owned())
    } else {
        Err("the name of a function is 1 to 64 letters, digits, - and _")
    }
}

/// Name of a topic rule (`[a-zA-Z0-9_]{1,128}`).
fn rule_name(text: &str) -> Result<String, &'static str> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if (1..=100).contains(&text.len()) && text.bytes().all(valid) {
        Ok(text.to_owned())
    } else {
        // The permission's statement carries the same name, and may have no more than 100 characters.
        Err("the name of a rule is 1 to 100 letters, digits and _")
    }
}

fn role_arn(text: &str) -> Result<String, &'static str> {
    match Arn::parse(text) {
        Some(Arn { service: "iam", region: "", resource, .. }) if resource.starts_with("role/") => {
            Ok(text.to_owned())
        }
        _ => Err("the ARN of a role looks like arn:aws:iam::123456789012:role/NAME"),
    }
}
