//! What the user says of the account that is to be set up, and where packages of the function are.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jitr::name::{PolicyName, ThingTypeName};
use jitr::registration::Settings as Registration;
use jitr::scope::Arn;

use crate::cli::Error;
use iot_account::setup::{self, Alarms, Package, Settings};

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
    /// Package of the function, in place of the code that runs [without a path: jitr-arm64.zip or jitr-x86-64.zip beside
    /// this program, for the processor of the function that is there, and arm64 for a new one; otherwise what
    /// `cargo lambda build --output-format zip` has made, target/lambda/jitr/bootstrap.zip]
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
    /// Make alarms that notify this topic of Amazon SNS [default: alarms for a function that setup makes, without a topic]
    #[arg(long, value_name = "ARN", value_parser = topic_arn, conflicts_with = "no_alarms")]
    alarm_topic: Option<String>,
    /// Leave alarms as they are, and make none
    #[arg(long)]
    no_alarms: bool,
    /// Register the signer CA so that other accounts of the Region can register it too; boards have to send the server
    /// name (SNI)
    #[arg(long)]
    sni_only: bool,
}

impl Options {
    /// The usual names, but for the function's, if another one is given.
    pub(in crate::cli) fn of_function(function: Option<String>) -> Self {
        Self { function, ..Self::default() }
    }

    /// Reads and checks the package, if there is one.
    pub(in crate::cli) fn settings(&self) -> Result<Settings, Error> {
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
            described: setup::Described::default(),
            admission: None,
            alarms: match &self.alarm_topic {
                _ if self.no_alarms => Alarms::Leave,
                Some(topic) => Alarms::Notify(topic.clone()),
                None => Alarms::Usual,
            },
            sni_only: self.sni_only,
            disabled_rules: Vec::new(),
        })
    }

    /// What certificates are registered with where no function does it.
    ///
    /// # Errors
    /// Only if the default document is none.
    pub(in crate::cli) fn registration(&self) -> Result<Registration, Error> {
        Ok(setup::defaults()?.with_names(self.policy_name.as_ref(), self.thing_type.as_ref()))
    }

    /// Whether the signer CA is to be registered for other accounts, too.
    pub(super) fn is_sni_only(&self) -> bool {
        self.sni_only
    }

    /// Whether a flag was given that only just-in-time registration has a use for.
    pub(super) fn is_for_jitr(&self) -> bool {
        self.lambda_zip.is_some()
            || self.function.is_some()
            || self.delivery.is_some()
            || self.role_arn.is_some()
            || self.rule_name.is_some()
            || self.alarm_topic.is_some()
            || self.sni_only
    }

    /// Whether any of these flags was given.
    pub(in crate::cli) fn is_given(&self) -> bool {
        self.is_for_jitr() || self.policy_name.is_some() || self.thing_type.is_some()
    }
}

/// The packages of a release, beside the program. A new function gets the first: arm64 costs less on AWS Lambda.
const RELEASED: [&str; 2] = ["jitr-arm64.zip", "jitr-x86-64.zip"];

/// The packages without a path: those beside this program are of its version. Where there are none, the one of cargo lambda.
fn packaged() -> Vec<PathBuf> {
    let beside = beside();
    if beside.is_empty() { vec![built()] } else { beside }
}

fn beside() -> Vec<PathBuf> {
    // A link to the program leads to where its packages are.
    let program = std::env::current_exe().and_then(|program| program.canonicalize()).unwrap_or_default();
    let Some(folder) = program.parent() else { return Vec::new() };
    RELEASED.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect()
}

/// The packages of a release, if there are any.
///
/// # Errors
/// One of them is no package of the function.
pub(super) fn released() -> Result<Vec<Package>, Error> {
    packages(&beside())
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
pub(in crate::cli) fn function_name(text: &str) -> Result<String, &'static str> {
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
pub(in crate::cli) fn rule_name(text: &str) -> Result<String, &'static str> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if (1..=100).contains(&text.len()) && text.bytes().all(valid) {
        Ok(text.to_owned())
    } else {
        // The permission's statement carries the same name, and may have no more than 100 characters.
        Err("the name of a rule is 1 to 100 letters, digits and _")
    }
}

/// ARN of a role.
pub(in crate::cli) fn role_arn(text: &str) -> Result<String, &'static str> {
    match Arn::parse(text) {
        Some(Arn { service: "iam", region: "", resource, .. }) if resource.starts_with("role/") => {
            Ok(text.to_owned())
        }
        _ => Err("the ARN of a role looks like arn:aws:iam::123456789012:role/NAME"),
    }
}

/// ARN of a topic of Amazon SNS.
fn topic_arn(text: &str) -> Result<String, &'static str> {
    match Arn::parse(text) {
        Some(Arn { service: "sns", resource, .. }) if !resource.is_empty() && !resource.contains(':') => {
            Ok(text.to_owned())
        }
        _ => Err("the ARN of a topic looks like arn:aws:sns:us-east-2:123456789012:NAME"),
    }
}
