//! `setup`: the account, made ready for boards to register by themselves.

use std::fmt;

use clap::{Args, ValueEnum};
use jitr::scope::Scope;
use serde::Serialize;
use time::OffsetDateTime;

mod admission;
mod multi_account;
mod options;
mod other_rules;
mod signer;

pub(super) use multi_account::SetUpMar;
pub use options::Options;
pub(super) use options::{function_name, role_arn, rule_name};
pub(super) use other_rules::set_up;
pub(super) use signer::SetUpSigner;

use super::context::Progress;
use super::plan::{self, Line, Plan};
use super::{Context, Error, described};
use crate::state::home::Home;
use crate::state::{self, store};
use crate::work::revocation;
use device_pki::Chain;
use iot_account::Account;
use iot_account::setup::{self, Link, Settings, SignerCa};

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
  provisioner setup --thing-group line-{subject.OU} --attribute ca={ca_certificate_id}
      Let the function put things into a group and give them an attribute. An empty value takes away: --thing-group ''
  provisioner setup --alarm-topic arn:aws:sns:us-east-2:123456789012:night-shift
      Let the alarms notify a topic of Amazon SNS, which sends e-mails, for example.
  provisioner setup --function JITR:3
      Go back to version 3 of it. Code that --lambda-zip replaces is kept as a version.

What differs is repaired. The rest stays unchanged. You can run setup again at any time.")]
pub struct Arguments {
    /// How boards are registered
    #[arg(long, value_enum, default_value_t = Method::Jitr, value_name = "METHOD")]
    method: Method,
    /// Disable this other topic rule, by which the checks of the function can be bypassed; repeat it for more rules. --yes
    /// disables only the rule of the vendor's stack
    #[arg(long = "disable-rule", value_name = "NAME", value_parser = options::rule_name)]
    disabled_rules: Vec<String>,
    #[command(flatten)]
    described: described::DescriptionFlags,
    #[command(flatten)]
    admission: admission::Flags,
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

/// What a signer CA of the certificate mode `SNI_ONLY` asks of firmware. The AWS applications of the AVR-IoT and PIC-IoT kits set the
/// server name (`aws_cloud_service.c` of their sources, versions 4.1.2 and 4.1.3).
const NEEDS_SNI: &str = "with --sni-only, AWS IoT lets in only boards whose firmware sends the server name (SNI); others are \
    disconnected in the TLS handshake, without an event. Microchip's AWS applications for AVR-IoT and PIC-IoT send it; of other firmware, \
    SAM-IoT and AVR-IoT Cellular it is not known: try one board first, with provisioner provision --follow";

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

/// Says once, when alarms are made, that they notify nobody.
fn tell_how_to_be_told(context: &Context, plan: &setup::Plan) {
    if plan.makes_silent_alarms() {
        context.note(
            "the alarms notify nobody; with a topic of Amazon SNS: provisioner setup --alarm-topic ARN",
        );
    }
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    if arguments.method == Method::Mar {
        if arguments.admission.is_given() {
            return Err(Error::usage(
                "multi-account registration has no function that an admission list could be for",
                "leave --admission-list out, or give --method jitr",
            ));
        }
        if arguments.described.is_given() {
            return Err(Error::usage(
                "multi-account registration has no function that describes things",
                "give --attribute, --thing-group, --additional-policy and --billing-group to `register`, or give --method jitr",
            ));
        }
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
    let admission = arguments.admission.admission(context)?;
    let described = arguments.described.for_the_function()?;
    if arguments.options.is_sni_only() {
        context.note(NEEDS_SNI);
    }
    let settings = Settings { disabled_rules, described, admission, ..arguments.options.settings()? };
    let account = context.account().await?;
    let chain = store::load(&context.home, &context.keys, OffsetDateTime::now_utc())?;
    let plan = SetUp::look(context, account, Some(&chain), &settings).await?;
    set_up(context, plan).await
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
        let mut made = setup::Plan::make(&account, signer.as_ref(), settings, &revoked).await;
        // A release brings the function that an account without one needs. Another name may be a slip.
        if let Err(iot_account::Error::Setup(setup::Error::NoFunction { name })) = &made
            && name == setup::FUNCTION
        {
            let settings = Settings { packages: options::released()?, ..settings.clone() };
            if !settings.packages.is_empty() {
                made = setup::Plan::make(&account, signer.as_ref(), &settings, &revoked).await;
            }
        }
        let plan = made?;
        open_for_verification(chain, plan.needs_verification())?;
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
            plan.apply(&account, None, None, |link| tell(context, &link)).await?;
            tell_how_to_be_told(context, &plan);
            return Ok(());
        }
        let Some(chain) = chain else {
            return Err(state::Error::Missing { folder: context.home.root().to_owned() }.into());
        };
        progress.step("setting the account up");
        let is_needed = plan.needs_verification();
        let verification = verification_certificate(&account, chain, &context.home, is_needed).await?;
        let (signer, verification) = (signer_ca(chain), verification.as_deref());
        plan.apply(&account, Some(&signer), verification, |link| tell(context, &link)).await?;
        tell_how_to_be_told(context, &plan);
        Ok(())
    }
}

/// The signer CA, as the account is told of it.
pub(super) fn signer_ca(chain: &Chain) -> SignerCa<'_> {
    SignerCa { id: &chain.signer().facts().certificate_id, pem: chain.signer().to_pem() }
}

/// Opens the signer's key where it is to sign the verification certificate: what keeps it closed shows before anything is changed.
fn open_for_verification(chain: Option<&Chain>, is_needed: bool) -> Result<(), Error> {
    if let Some(chain) = chain.filter(|_| is_needed) {
        chain.key().open()?;
    }
    Ok(())
}

/// The certificate that proves to AWS that the signer's key is here, PEM, where one is needed; kept in the folder `home`, too.
pub(super) async fn verification_certificate(
    account: &Account,
    chain: &Chain,
    home: &Home,
    is_needed: bool,
) -> Result<Option<String>, Error> {
    if !is_needed {
        return Ok(None);
    }
    let code = setup::registration_code(account).await?;
    let certificate = device_pki::verification_certificate(chain, &code, OffsetDateTime::now_utc())?;
    store::keep_verification_certificate(home, &certificate)?;
    Ok(Some(certificate.to_pem()))
}
