//! `setup`: the account, made ready for boards to register by themselves.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jitr::name::{PolicyName, ThingTypeName};
use jitr::registration::Settings as Registration;
use jitr::scope::{Arn, Scope};
use serde::Serialize;
use time::OffsetDateTime;

use super::context::Progress;
use super::plan::{self, Line, Plan};
use super::{Context, Error, given};
use crate::state::home::Home;
use crate::state::{self, store};
use crate::work::revocation;
use device_pki::Chain;
use iot_account::Account;
use iot_account::register::{Prerequisites, Registrar};
use iot_account::setup::{self, Action, Link, OtherRule, Package, Settings, SignerCa, SignerPlan};

/// Arguments of `setup`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner setup --dry-run
      Show the plan: what exists, what would be created, what would change.
  provisioner setup
      Carry it out. An account without the function gets the one that comes with a release of this program.
  provisioner setup --lambda-zip
      Carry it out, and put that function in the place of another version.
  provisioner setup --function JITR
      Use a deployed function (from cargo lambda deploy, or infra/).
  provisioner setup --delivery queue
      Put a queue between the topic rule and the function, for many boards at once.
  provisioner setup --function JITR:3
      Go back to version 3 of it. Code that --lambda-zip replaces is kept as a version.

What differs is repaired. The rest stays unchanged. You can run setup again at any time.")]
pub struct Arguments {
    /// How boards are registered
    #[arg(long, value_enum, default_value_t = Method::Jitr, value_name = "METHOD")]
    method: Method,
    /// Disable this other topic rule, by which the checks of the function can be bypassed; repeat it for more rules. --yes
    /// disables only the rule of the vendor's stack
    #[arg(long = "disable-rule", value_name = "NAME", value_parser = rule_name)]
    disabled_rules: Vec<String>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Delivery {
    /// The rule invokes the function with each event
    Rule,
    /// The rule puts each event into a queue, and the function takes them from there: for many boards at once
    Queue,
}

impl From<Delivery> for setup::Delivery {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Rule => Self::Rule,
            Delivery::Queue => Self::Queue,
        }
    }
}

/// What the account is to look like.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Account")]
pub struct Options {
    /// Package of the function, in place of the code that runs [without a path: jitr-arm64.zip or jitr-x86-64.zip beside this program, for the processor
    /// of the function that is there, and arm64 for a new one; otherwise what `cargo lambda build --output-format zip`
    /// has made, target/lambda/jitr/bootstrap.zip]
    #[arg(long, value_name = "PATH")]
    lambda_zip: Option<Option<PathBuf>>,
    /// The function that registers boards; NAME:ALIAS or NAME:VERSION for one of its versions [default: JITR]
    #[arg(long, alias = "function-name", value_name = "NAME|ARN", value_parser = function_name)]
    function: Option<String>,
    /// How events get from the rule to the function [default: as they do now; for a function that --lambda-zip makes, queue]
    #[arg(long, value_enum, value_name = "WAY")]
    delivery: Option<Delivery>,
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
        let paths = match &self.lambda_zip {
            None => Vec::new(),
            Some(Some(path)) => vec![path.clone()],
            Some(None) => packaged(),
        };
        Ok(Settings {
            rule: self.rule_name.clone().unwrap_or_else(|| setup::RULE.to_owned()),
            function: self.function.clone().unwrap_or_else(|| setup::FUNCTION.to_owned()),
            packages: packages(&paths)?,
            role: self.role_arn.clone(),
            delivery: self.delivery.map(Into::into),
            policy: self.policy_name.clone(),
            thing_type: self.thing_type.clone(),
            sni_only: self.sni_only,
            disabled_rules: Vec::new(),
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
            || self.delivery.is_some()
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
    account_id: &'a str,
    region: &'a str,
    endpoint: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account_id, region, endpoint } = self;
        write!(f, "account {account_id} in {region}: boards connect to {endpoint}")
    }
}

impl<'a> Place<'a> {
    fn of(Scope { account, region, .. }: &'a Scope, endpoint: &'a str) -> Self {
        Self { account_id: account, region, endpoint }
    }
}

/// One link of the plan, and whether it was carried out.
#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    link: &'a Link,
    done: bool,
}

/// The line of a plan for a link.
pub(super) fn line(link: &Link) -> Line {
    Line::plain(link.line(false), &Outcome { link, done: false })
}

/// Tells what was done about a link.
fn tell(context: &Context, link: &Link) {
    context.result(link.line(true), &Outcome { link, done: true });
    if let Some(version) = link.versions.as_ref().and_then(|versions| versions.kept_as.as_ref()) {
        context.note(format_args!("to go back to what ran before: provisioner setup --function {version}"));
    }
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    if arguments.method == Method::Mar {
        if !arguments.disabled_rules.is_empty() {
            return Err(Error::usage(
                "multi-account registration has no function whose checks a rule could bypass",
                "leave --disable-rule out, or give --method jitr",
            ));
        }
        let account = context.account().await?;
        let plan = SetUpMar::look(account, &arguments.options).await?;
        return plan::run(context, plan).await;
    }
    let disabled_rules = arguments.disabled_rules.clone();
    let settings = Settings { disabled_rules, ..arguments.options.settings()? };
    let account = context.account().await?;
    let chain = store::load(&context.home, &context.keys, OffsetDateTime::now_utc())?;
    let plan = SetUp::look(context, account, Some(&chain), &settings).await?;
    set_up(context, plan).await
}

/// Carries the plan out, and then disables other rules by which checks can be bypassed, as far as the user consents. Until then
/// devices that they register are registered.
pub(super) async fn set_up(context: &Context, plan: SetUp<'_>) -> Result<(), Error> {
    let (account, rules) = (plan.account.clone(), plan.plan.others.clone());
    plan::run(context, plan).await?;
    let others = |consent| Others { account: account.clone(), rules: rules.clone(), consent };
    let global = &context.global;
    let consent = match () {
        () if rules.is_empty() => return Ok(()),
        () if global.yes || global.dry_run => Consent::Vendor,
        () if global.can_ask() => Consent::Every,
        () => Consent::Named,
    };
    match plan::run(context, others(consent)).await {
        Err(Error::Declined) => plan::run(context, others(Consent::Named)).await,
        ended => ended,
    }
}

/// Which of the rules by which checks can be bypassed are disabled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consent {
    /// Those that are named by a flag.
    Named,
    /// Also that of the vendor's stack, of which it is known that it lets everything in.
    Vendor,
    /// Every one, after a question that names them.
    Every,
}

/// Other rules that get the events of registrations.
struct Others {
    account: Account,
    rules: Vec<OtherRule>,
    consent: Consent,
}

impl Others {
    fn disables(&self, rule: &OtherRule) -> bool {
        rule.is_named()
            || match self.consent {
                Consent::Named => false,
                Consent::Vendor => rule.lets_all_in(),
                Consent::Every => rule.bypasses(),
            }
    }

    fn link(&self, rule: &OtherRule) -> Link {
        let mut link = rule.link(self.disables(rule) || rule.lets_all_in());
        if rule.bypasses() && link.action == Action::Leave {
            let disable = format!("disable it with: provisioner setup --disable-rule {}", rule.name);
            link.details.push(given::repeated(disable).into_owned());
        }
        link
    }
}

impl Plan for Others {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(self.rules.iter().map(|rule| line(&self.link(rule))).collect())
    }

    fn question(&self) -> Option<String> {
        let asked = self.rules.iter().filter(|rule| self.disables(rule) && !rule.is_named());
        let asked: Vec<_> = asked.map(|rule| rule.name.as_str()).collect();
        (!asked.is_empty()).then(|| {
            format!(
                "What these rules of the account invoke can register devices that the function refuses. They are disabled, and \
                 not deleted: {}.",
                asked.join(", ")
            )
        })
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        for rule in &self.rules {
            let link = self.link(rule);
            if self.disables(rule) {
                rule.disable(&self.account).await?;
            } else if rule.lets_all_in() {
                let text = format!("{}, not without --yes", link.line(false));
                context.result(text, &Outcome { link: &link, done: false });
                continue;
            }
            tell(context, &link);
        }
        Ok(())
    }
}

/// What certificates get in multi-account registration: there is no function, no rule and no CA in the account.
pub(super) struct SetUpMar {
    registrar: Registrar,
    found: Prerequisites,
    scope: Scope,
    /// Host that boards connect to.
    pub(super) endpoint: String,
}

impl SetUpMar {
    /// Looks at the account.
    ///
    /// # Errors
    /// Flags that have no meaning here; what the calls end in.
    pub(super) async fn look(account: Account, options: &Options) -> Result<Self, Error> {
        if options.is_for_jitr() {
            return Err(Error::usage(
                "function, role, rule and CA are for just-in-time registration; multi-account registration has none",
                "leave --lambda-zip, --function, --delivery, --role-arn, --rule-name and --sni-only out, or give --method jitr",
            ));
        }
        let (scope, endpoint) = tokio::try_join!(account.scope(), iot_account::endpoint(&account))?;
        let registrar = Registrar::new(&account, options.registration()?, &[]);
        let found = registrar.look(&scope).await?;
        Ok(Self { registrar, found, scope, endpoint })
    }
}

impl Plan for SetUpMar {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let place = Place::of(&self.scope, &self.endpoint);
        Ok([Line::plain(&place, &place)].into_iter().chain(self.found.links.iter().map(line)).collect())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        context.show(&Place::of(&self.scope, &self.endpoint));
        self.registrar.prepare(&self.found).await?;
        self.found.links.iter().for_each(|link| tell(context, link));
        Ok(())
    }
}

/// The account, made ready for just-in-time registration.
pub(super) struct SetUp<'a> {
    account: Account,
    /// `None` where it is made before the plan is carried out, and where it is left out.
    chain: Option<&'a Chain>,
    plan: setup::Plan,
    progress: Progress,
}

impl<'a> SetUp<'a> {
    /// Looks at the account. Without a chain, this is the plan for one that is not made yet.
    ///
    /// # Errors
    /// As [`setup::Plan::make`].
    pub(super) async fn look(
        context: &Context,
        account: Account,
        chain: Option<&'a Chain>,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let progress = context.progress("looking at the account");
        let revoked = revocation::revoked(&context.home)?;
        let signer = chain.map(signer_ca);
        let plan = match setup::Plan::make(&account, signer.as_ref(), settings, &revoked).await {
            // A release brings the function that an account without one needs. Another name may be a slip.
            Err(iot_account::Error::Setup(setup::Error::NoFunction { name })) if name == setup::FUNCTION => {
                let packages = packages(&beside())?;
                if packages.is_empty() {
                    return Err(iot_account::Error::Setup(setup::Error::NoFunction { name }).into());
                }
                let settings = Settings { packages, ..settings.clone() };
                setup::Plan::make(&account, signer.as_ref(), &settings, &revoked).await?
            }
            made => made?,
        };
        if let (Some(chain), true) = (chain, plan.needs_verification()) {
            // It signs the verification certificate. What keeps it closed shows before anything is changed.
            chain.key().open()?;
        }
        Ok(Self { account, chain, plan, progress })
    }

    /// The same but for the signer CA, which is left as it is.
    pub(super) fn without_signer(self) -> Self {
        Self { plan: self.plan.without_signer(), ..self }
    }

    /// Host that boards connect to.
    pub(super) fn endpoint(&self) -> String {
        self.plan.endpoint.clone()
    }
}

impl Plan for SetUp<'_> {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let place = Place::of(&self.plan.scope, &self.plan.endpoint);
        Ok([Line::plain(&place, &place)].into_iter().chain(self.plan.links().iter().map(line)).collect())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { account, chain, plan, progress } = self;
        context.show(&Place::of(&plan.scope, &plan.endpoint));
        if plan.leaves_signer() {
            progress.step("setting the account up");
            return Ok(plan.apply(&account, None, None, |link| tell(context, &link)).await?);
        }
        let Some(chain) = chain else {
            return Err(state::Error::Missing { folder: context.home.root().to_owned() }.into());
        };
        progress.step("setting the account up");
        let verification = match plan.needs_verification() {
            true => Some(verification_certificate(&account, chain, &context.home).await?),
            false => None,
        };
        let (signer, verification) = (signer_ca(chain), verification.as_deref());
        Ok(plan.apply(&account, Some(&signer), verification, |link| tell(context, &link)).await?)
    }
}

/// The signer CA in the account, and nothing else of it.
pub(super) struct SetUpSigner<'a> {
    account: Account,
    /// `None` where it is made before the plan is carried out.
    chain: Option<&'a Chain>,
    plan: SignerPlan,
}

impl<'a> SetUpSigner<'a> {
    /// Looks at the account.
    ///
    /// # Errors
    /// As [`SignerPlan::make`]; what keeps the signer's key closed.
    pub(super) async fn look(
        context: &Context,
        account: Account,
        chain: Option<&'a Chain>,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let _progress = context.progress("looking at the account");
        let revoked = revocation::revoked(&context.home)?;
        let plan = SignerPlan::make(&account, chain.map(signer_ca).as_ref(), settings, &revoked).await?;
        if let (Some(chain), true) = (chain, plan.needs_verification()) {
            chain.key().open()?;
        }
        Ok(Self { account, chain, plan })
    }

    /// Host that boards connect to.
    pub(super) fn endpoint(&self) -> String {
        self.plan.endpoint.clone()
    }
}

impl Plan for SetUpSigner<'_> {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let place = Place::of(&self.plan.scope, &self.plan.endpoint);
        Ok([Line::plain(&place, &place)].into_iter().chain(self.plan.links()?.iter().map(line)).collect())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { account, chain, plan } = self;
        context.show(&Place::of(&plan.scope, &plan.endpoint));
        let Some(chain) = chain else {
            return Err(state::Error::Missing { folder: context.home.root().to_owned() }.into());
        };
        let _progress = context.progress("registering the signer CA");
        let verification = match plan.needs_verification() {
            true => Some(verification_certificate(&account, chain, &context.home).await?),
            false => None,
        };
        let (signer, verification) = (signer_ca(chain), verification.as_deref());
        Ok(plan.apply(&account, &signer, verification, |link| tell(context, &link)).await?)
    }
}

fn signer_ca(chain: &Chain) -> SignerCa<'_> {
    SignerCa { id: &chain.signer().facts().certificate_id, pem: chain.signer().to_pem() }
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

/// The packages of a release, beside the program. A new function gets the first: arm64 costs less on AWS Lambda.
const RELEASED: [&str; 2] = ["jitr-arm64.zip", "jitr-x86-64.zip"];

/// The packages without a path: those beside this program are of its version. Where there are none, the one of cargo lambda.
fn packaged() -> Vec<PathBuf> {
    let beside = beside();
    if beside.is_empty() { vec![built()] } else { beside }
}

/// The packages of a release.
fn beside() -> Vec<PathBuf> {
    // A link to the program leads to where its packages are.
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).unwrap_or_default();
    let Some(folder) = program.parent() else { return Vec::new() };
    RELEASED.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect()
}

fn packages(paths: &[PathBuf]) -> Result<Vec<Package>, Error> {
    let packages: Result<_, _> = paths.iter().map(|path| Package::read(path)).collect();
    packages.map_err(|error| iot_account::Error::Setup(error.into()).into())
}

/// Where cargo lambda puts the package: in the target folder that is set, or in the one of the workspace that the current
/// folder is in.
fn built() -> PathBuf {
    const PACKAGE: &str = "lambda/jitr/bootstrap.zip";
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR") {
        return PathBuf::from(target).join(PACKAGE);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let found =
        here.ancestors().map(|folder| folder.join("target").join(PACKAGE)).find(|path| path.is_file());
    found.unwrap_or_else(|| PathBuf::from("target").join(PACKAGE))
}

/// Name (`[a-zA-Z0-9-_]{1,64}`) or ARN of a function, and a version or an alias (`[a-zA-Z0-9-_]{1,128}`) after a colon.
pub(super) fn function_name(text: &str) -> Result<String, &'static str> {
    // What has no version is the latest, and AWS takes no permission for this name of it.
    let text = text.trim().trim_end_matches(":$LATEST");
    let name = match Arn::parse(text) {
        Some(arn) if arn.service == "lambda" => arn.named("function"),
        _ => Some(text).filter(|text| !text.starts_with("arn:")),
    };
    let name =
        name.ok_or("neither a name nor an ARN like arn:aws:lambda:us-east-2:123456789012:function:JITR")?;
    let is_name = |text: &str, longest: usize| {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=longest).contains(&text.len()) && text.bytes().all(valid)
    };
    let (name, qualifier) = name.split_once(':').map_or((name, None), |(name, after)| (name, Some(after)));
    match () {
        () if !is_name(name, 64) => Err("the name of a function is 1 to 64 letters, digits, - and _"),
        () if qualifier.is_some_and(|qualifier| !is_name(qualifier, 128)) => {
            Err("a version is a number, and an alias 1 to 128 letters, digits, - and _")
        }
        () => Ok(text.to_owned()),
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
