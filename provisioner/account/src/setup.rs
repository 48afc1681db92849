//! Sets the account up for just-in-time registration: first a plan, then its execution.
//!
//! A first connection takes a chain of links: signer CA → topic rule → permission → function → role. Each file here is
//! one link: what the account has (`find`), what is to be done about it (`decide`, without I/O), and doing it (`apply`).

use std::collections::BTreeMap;
use std::path::Path;

use aws_sdk_cloudwatch::types::MetricAlarm;
use aws_sdk_iot::types::Tag;
use jitr::iam::{RoleSettings, lambda_role_policy, lambda_trust_policy};
use jitr::name::{PolicyName, ThingTypeName};
use jitr::registration::Settings as Registration;
use jitr::revocation::CaCertificate;
use jitr::scope::{Arn, Scope};
use serde_json::Value;

pub(crate) mod admission;
pub(crate) mod alarms;
pub(super) mod delivery;
pub(super) mod deploy;
pub(crate) mod deployed_package;
mod description;
mod error;
pub(super) mod function;
mod link;
pub(super) mod lists;
pub(super) mod other_rules;
pub(crate) mod package;
pub(super) mod permission;
mod revoked;
pub(super) mod role;
pub(super) mod rule;
mod signer;
pub(super) mod signer_ca;
pub(crate) mod thing_type;
mod topic_filter;
mod versions;
mod waiting;

pub use admission::{Admission, Known as KnownAdmission};
pub use alarms::Alarms;
pub use delivery::Delivery;
pub use description::Described;
pub use error::Error;
pub use link::{Action, Link};
pub use other_rules::OtherRule;
pub use package::Package;
pub use revoked::Revoked;
pub use signer::SignerPlan;
pub use versions::Versions;

use self::alarms::Alarm;
use self::delivery::{Queued, Way};
use self::deployed_package::DeployedPackage;
use super::{Account, Error as AccountError, endpoint};

/// Name of the function unless another is chosen.
pub const FUNCTION: &str = "JITR";
/// Name of the topic rule unless another is chosen.
pub const RULE: &str = "ForwardSignedButUnknownDevices";

/// Name of the role's inline policy that lets the function send what has failed to a queue.
pub const FAILED_EVENTS: &str = "failed-events";

/// Follows the function's name in the name of its role.
pub(super) const ROLE_SUFFIX: &str = "-role";

/// What the account is to look like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the topic rule, `[a-zA-Z0-9_]{1,128}`.
    pub rule: String,
    /// Name or ARN of the function.
    pub function: String,
    /// Packages to deploy one of: the one for the processor of the function that is there, otherwise the first. Without one, the
    /// function has to be there.
    pub packages: Vec<Package>,
    /// ARN of the function's role, where this tool is not to make one.
    pub role: Option<String>,
    /// How events get to the function; `None` keeps the way that there is.
    pub delivery: Option<Delivery>,
    /// Policy that boards get; `None` leaves it to the function.
    pub policy: Option<PolicyName>,
    /// Type of the things; `None` leaves it to the function.
    pub thing_type: Option<ThingTypeName>,
    /// What things are described with.
    pub described: Described,
    /// Which boards are let in; `None` leaves it to the function.
    pub admission: Option<Admission>,
    /// Which alarms there are to be.
    pub alarms: Alarms,
    /// Register the signer CA so that other accounts of the Region can have it, too (certificate mode `SNI_ONLY`).
    pub sni_only: bool,
    /// Names of other rules that are to be disabled, because what they invoke can register what the function refuses.
    pub disabled_rules: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rule: RULE.to_owned(),
            function: FUNCTION.to_owned(),
            packages: Vec::new(),
            role: None,
            delivery: None,
            policy: None,
            thing_type: None,
            described: Described::default(),
            admission: None,
            alarms: Alarms::Usual,
            sni_only: false,
            disabled_rules: Vec::new(),
        }
    }
}

impl Settings {
    /// The package to deploy.
    pub(crate) fn package(&self, found: Option<&function::Deployed>) -> Option<&Package> {
        let same = |package: &&Package| found.is_some_and(|found| found.architecture == package.architecture);
        self.packages.iter().find(same).or(self.packages.first())
    }
}

/// The signer CA, as the account is to know it.
#[derive(Clone, Debug)]
pub struct SignerCa<'a> {
    /// Certificate id: SHA-256 of the DER certificate, 64 lower-case hex digits.
    pub id: &'a str,
    /// The certificate, PEM.
    pub pem: String,
}

impl SignerCa<'_> {
    fn certificate(&self) -> Option<CaCertificate> {
        CaCertificate::parse(self.pem.as_bytes(), Path::new("the signer CA")).ok()
    }
}

/// What is there, what is missing and what differs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Partition, Region and account.
    pub scope: Scope,
    /// Host that boards connect to.
    pub endpoint: String,
    rule: String,
    function: String,
    function_busy: bool,
    versions: Versions,
    signer: Option<String>,
    role: Option<RolePlan>,
    function_step: function::Step,
    /// The type of the things, if it is deprecated.
    deprecated: Option<ThingTypeName>,
    permission: permission::Wanted,
    permission_step: permission::Step,
    rule_step: rule::Step,
    /// How the rule is written otherwise than this tool writes it, and does its part.
    rule_equivalents: Vec<String>,
    /// Other rules that get the events of registrations.
    pub others: Vec<OtherRule>,
    /// The queue between the rule and the function, if there is one.
    feed: Option<delivery::Feed>,
    /// The queue between the rule and the function, where this tool sees to it.
    queued: Option<delivery::Queued>,
    signer_step: signer_ca::Step,
    /// What becomes REVOKED.
    revoked: Vec<revoked::Step>,
    alarms: Vec<Alarm>,
    sni_only: bool,
    /// The signer CA is left as it is.
    without_signer: bool,
}

#[derive(Clone, Debug)]
struct RolePlan {
    wanted: role::Wanted,
    step: role::Step,
}

impl Plan {
    /// Reads all links side by side and decides what is to be done. Changes nothing.
    ///
    /// `signer` may be missing only where the plan is not carried out. `revoked` is what this home has revoked.
    ///
    /// # Errors
    /// [`AccountError::Sandbox`], [`Error::NoFunction`], [`Error::RoleLacks`], [`Error::AlarmsDenied`], and errors of the calls.
    pub async fn make(
        account: &Account,
        signer: Option<&SignerCa<'_>>,
        settings: &Settings,
        revoked: &[Revoked],
    ) -> Result<Self, AccountError> {
        check_is_here(account, &settings.function).await?;
        let role_name = format!("{}{ROLE_SUFFIX}", base_name(&settings.function));
        let (scope, endpoint, found_signer, found_rule, found_function, found_policy) = tokio::try_join!(
            account.scope(),
            endpoint(account),
            signer_ca::find_if_made(account, signer.map(|signer| signer.id)),
            rule::find(account, &settings.rule),
            deploy::find(account, &settings.function),
            permission::find(account, &settings.function),
        )?;
        let thing_type = thing_type::name(settings, found_function.as_ref())?;
        let (revoked, is_deprecated) = tokio::join!(
            revoked::steps(account, signer, revoked),
            thing_type::is_deprecated(account, thing_type.as_str())
        );
        let revoked = revoked?;
        let is_deprecated = match is_deprecated {
            // A caller who may not look at it may not change it either; `doctor` names the permission.
            Err(AccountError::Denied { .. }) => None,
            found => found?,
        };
        let deprecated = (is_deprecated == Some(true)).then_some(thing_type);

        let rule = found_rule.as_ref();
        let (way, found_alarms) = tokio::join!(
            Way::look(account, &scope, settings, found_function.as_ref(), rule),
            find_alarms(account, settings),
        );
        let way = way?;

        let role_arn = own_role_arn(&scope, &settings.function);
        // A function that was deployed with its own role keeps it. The role that this tool made is looked at
        // in any case: its policy depends on the names that the function works with.
        let ours = found_function.as_ref().is_none_or(|function| function.role == role_arn);
        let role = if settings.role.is_none() && ours {
            let mut policies =
                BTreeMap::from([(role::INLINE, role_policy(&scope, settings, found_function.as_ref())?)]);
            if way.queued.is_some() {
                policies.extend(delivery::function_policies(&scope, &settings.function));
            }
            policies.extend(admission_policy(&scope, settings, found_function.as_ref()));
            let names: Vec<_> = policies.keys().copied().collect();
            let found_role = match !settings.packages.is_empty() || found_function.is_some() {
                true => role::find(account, &role_name, &names).await?,
                false => None,
            };
            let wanted = role::Wanted {
                name: role_name,
                service: role::LAMBDA,
                trust: lambda_trust_policy(),
                description: "Lets the function JITR register boards in AWS IoT Core",
                policies,
            };
            let step = role::decide(found_role.as_ref(), &wanted);
            Some(RolePlan { wanted, step })
        } else {
            let role = settings.role.as_deref().or(found_function.as_ref().map(|found| found.role.as_str()));
            if let (Some(queued), Some(role)) = (&way.queued, role) {
                queued.check_role(account, &scope, role).await?;
            }
            None
        };
        let ca = signer.map(|signer| signer.id);
        let wanted_role = settings.role.as_deref().or(role.as_ref().map(|_| role_arn.as_str()));
        let function_step = function::decide(found_function.as_ref(), settings, wanted_role, ca)?;
        if let Some(variables) = function_step.variables(found_function.as_ref()) {
            let package = settings.package(found_function.as_ref()).map(|package| &*package.bytes);
            let package = DeployedPackage::new(account, &settings.function, package);
            check_lists(account, settings, variables, &package, signer).await?;
            check_admission(account, settings, variables, &package).await?;
        }
        let function_arn = invoked_arn(&scope, &settings.function, found_function.as_ref());
        let permission = wanted_permission(&scope, settings);
        let others = other_rules::find(account, &settings.rule, &function_arn).await?;
        let others = other_rules::mark(account, others, &settings.disabled_rules).await?;
        let permission_step = match way.delivery {
            Delivery::Queue => permission::Step::Leave,
            Delivery::Rule => permission::decide(found_policy.as_ref(), &permission),
        };
        let target = way.target(&scope, &function_arn);
        let wanted = alarms::Wanted {
            failed_events: way.queued.is_some(),
            admission_list: admission_list(settings, found_function.as_ref()).is_some(),
            make: role.is_some() || !settings.packages.is_empty() || settings.alarms != Alarms::Usual,
        };
        let alarms = match found_alarms {
            // Where none is made, nothing is lost.
            Err(AccountError::Denied { .. }) if !wanted.make => Vec::new(),
            found => match found.map_err(Error::of_alarms)? {
                Some(found) => alarms::decide(&settings.function, &settings.alarms, wanted, &found),
                None => Vec::new(),
            },
        };
        Ok(Self {
            rule_step: rule::decide(rule, &target, way.feed.as_ref())?,
            rule_equivalents: rule.map(rule::equivalents).unwrap_or_default(),
            rule: settings.rule.clone(),
            function: settings.function.clone(),
            function_busy: found_function.as_ref().is_some_and(|function| function.busy),
            versions: function::versions(found_function.as_ref(), settings.package(found_function.as_ref())),
            signer: ca.map(str::to_owned),
            permission_step,
            others,
            feed: way.through(),
            queued: way.queued,
            signer_step: signer_ca::decide(found_signer),
            revoked,
            alarms,
            sni_only: settings.sni_only,
            scope,
            endpoint,
            role,
            function_step,
            deprecated,
            permission,
            without_signer: false,
        })
    }

    /// The same but for the signer CA, which is left as it is.
    #[must_use]
    pub fn without_signer(self) -> Self {
        Self { without_signer: true, ..self }
    }

    /// Whether the signer CA is left as it is.
    pub fn leaves_signer(&self) -> bool {
        self.without_signer
    }

    /// The plan, one line a link, in the order in which it is carried out.
    pub fn links(&self) -> Vec<Link> {
        let role = self.role.as_ref().map(|role| role.step.link(&role.wanted));
        let signer = self.signer.as_deref().unwrap_or("(id not known yet)");
        let before = self.queued.iter().flat_map(Queued::links_before);
        before
            .chain(role)
            .chain([self.function_link(None)])
            .chain(self.way_links())
            .chain([self.rule_link()])
            .chain(self.deprecated.as_ref().map(thing_type::link))
            .chain(
                [self.signer_step.link(signer, self.sni_only)].into_iter().filter(|_| !self.without_signer),
            )
            .chain(self.revoked.iter().filter(|_| !self.without_signer).map(revoked::Step::link))
            .chain(self.alarms.iter().map(Alarm::link))
            .collect()
    }

    /// What leads from the rule to the function: the queue, or the permission.
    fn way_links(&self) -> Vec<Link> {
        match &self.queued {
            Some(queued) => queued.links_after().to_vec(),
            None => vec![self.permission_step.link(&self.permission)],
        }
    }

    /// `kept_as` is the version that keeps what ran before.
    fn function_link(&self, kept_as: Option<String>) -> Link {
        let mut link = self.function_step.link(&self.function);
        if matches!(self.function_step, function::Step::Leave | function::Step::Change { code: None, .. }) {
            link.details.extend(self.versions.remark());
        }
        link.versions = Some(Versions { kept_as, ..self.versions.clone() });
        link
    }

    fn rule_link(&self) -> Link {
        let mut link = self.rule_step.link(&self.rule);
        link.details.extend(self.feed.as_ref().map(ToString::to_string));
        if self.rule_step == rule::Step::Leave {
            link.details.extend(self.rule_equivalents.iter().cloned());
        }
        link
    }

    /// Whether an alarm is made that notifies nobody.
    pub fn makes_silent_alarms(&self) -> bool {
        self.alarms.iter().any(|alarm| alarm.found.is_none() && alarm.notifies_nobody())
    }

    /// Whether carrying it out needs a verification certificate of the signer CA.
    pub fn needs_verification(&self) -> bool {
        self.signer_step == signer_ca::Step::Register && !self.sni_only && !self.without_signer
    }

    /// Does what the plan says and calls `done` for each link. The signer CA comes after all that boards need:
    /// from then on those that connect find everything in place. Where certificates are registered as REVOKED, it registers no board before. `signer`
    /// may be missing only [without it](Self::without_signer).
    ///
    /// # Errors
    /// Errors of the calls. What is done stays done; the next plan continues from there.
    pub async fn apply(
        &self,
        account: &Account,
        signer: Option<&SignerCa<'_>>,
        verification: Option<&str>,
        mut done: impl FnMut(Link),
    ) -> Result<(), AccountError> {
        let ca = signer.map(|signer| signer.id);
        // In this order no event is lost: whatever the rule sends events to is ready before.
        if let Some(queued) = &self.queued {
            queued.apply_before(account, ca).await?;
            queued.links_before().for_each(&mut done);
        }
        if let Some(role) = &self.role {
            role.step.apply(account, &role.wanted, ca).await?;
            done(role.step.link(&role.wanted));
        }
        let kept = self.function_step.apply(account, &self.function, ca, self.function_busy).await?;
        done(self.function_link(kept.map(|number| format!("{}:{number}", self.function))));
        match &self.queued {
            Some(queued) => queued.apply_after(account).await?,
            None => self.permission_step.apply(account, &self.permission).await?,
        }
        self.way_links().into_iter().for_each(&mut done);
        let ruled = self.rule_step.apply(account, &self.rule, ca).await;
        match &self.queued {
            Some(_) => ruled.map_err(Error::of_queue)?,
            None => ruled?,
        }
        done(self.rule_link());
        if let Some(thing_type) = &self.deprecated {
            thing_type::deprecate(account, thing_type.as_str(), true).await?;
            done(thing_type::link(thing_type));
        }
        if let (Some(signer), false) = (signer, self.without_signer) {
            signer::put_in(account, self.signer_step, signer, verification, &self.revoked).await?;
            done(self.signer_step.link(signer.id, self.sni_only));
            self.revoked.iter().for_each(|revoked| done(revoked.link()));
        }
        // No device needs them.
        for alarm in &self.alarms {
            alarm.apply(account, ca).await?;
            done(alarm.link());
        }
        Ok(())
    }
}

/// Refuses the ARN of a function of another partition, Region or account; a name is of this one.
///
/// # Errors
/// [`Error::Elsewhere`]; errors of looking for the account's number.
pub(crate) async fn check_is_here(account: &Account, function: &str) -> Result<(), AccountError> {
    let Some(arn) = Arn::parse(function) else { return Ok(()) };
    let scope = account.scope().await?;
    let is_here = (arn.partition, arn.region, arn.account)
        == (scope.partition.as_str(), scope.region.as_str(), scope.account.as_str());
    if is_here {
        return Ok(());
    }
    let here = Arn { service: "lambda", ..scope.as_arn() }.to_string();
    Err(Error::Elsewhere { name: function.to_owned(), here: here.trim_end_matches(':').to_owned() }.into())
}

/// Refuses a function whose revocation lists keep devices out that it is to register.
async fn check_lists(
    account: &Account,
    settings: &Settings,
    variables: &function::Variables,
    package: &DeployedPackage<'_>,
    signer: Option<&SignerCa<'_>>,
) -> Result<(), AccountError> {
    let signer = signer.and_then(SignerCa::certificate);
    match lists::look(account, variables, package, signer.as_ref()).await? {
        Some(found) if !found.problems.is_empty() => {
            let name = settings.function.clone();
            Err(Error::RevocationLists { name, problems: found.problems.join("; ") }.into())
        }
        _ => Ok(()),
    }
}

/// Refuses a function whose admission list keeps every device out.
async fn check_admission(
    account: &Account,
    settings: &Settings,
    variables: &function::Variables,
    package: &DeployedPackage<'_>,
) -> Result<(), AccountError> {
    match admission::look(account, variables, package, &KnownAdmission::default()).await? {
        Some(found) if !found.problems.is_empty() => Err(Error::AdmissionList {
            name: settings.function.clone(),
            list: found.list,
            problems: found.problems.join("; "),
        }
        .into()),
        _ => Ok(()),
    }
}

/// What the function's role needs for the admission list that the settings or the function name.
pub(super) fn admission_policy(
    scope: &Scope,
    settings: &Settings,
    found: Option<&function::Deployed>,
) -> Option<(&'static str, Value)> {
    admission::role_policy(scope, admission_list(settings, found)?)
}

/// The admission list that the settings or the function name.
pub(super) fn admission_list<'a>(
    settings: &'a Settings,
    found: Option<&'a function::Deployed>,
) -> Option<&'a str> {
    match &settings.admission {
        Some(Admission::By { list, .. }) => Some(list.as_str()),
        Some(Admission::Off) => None,
        None => found.and_then(|found| found.variable(jitr::config::ADMISSION_LIST)),
    }
}

/// The alarms of the function that exist; `None` where they are left as they are.
pub(super) async fn find_alarms(
    account: &Account,
    settings: &Settings,
) -> Result<Option<Vec<MetricAlarm>>, AccountError> {
    match settings.alarms {
        Alarms::Leave => Ok(None),
        Alarms::Usual | Alarms::Notify(_) => {
            alarms::find(account, alarms::names(&settings.function)).await.map(Some)
        }
    }
}

/// The code that the verification certificate has to carry as its common name.
///
/// # Errors
/// Errors of `iot:GetRegistrationCode`.
pub async fn registration_code(account: &Account) -> Result<String, AccountError> {
    const ACTION: &str = "iot:GetRegistrationCode";
    let answer = account.iot().get_registration_code().send().await.map_err(account.failed(ACTION))?;
    answer.registration_code.ok_or(AccountError::Incomplete { action: ACTION, what: "the code" })
}

/// Who is to be let into the function: the rule of this account.
pub(super) fn wanted_permission(scope: &Scope, settings: &Settings) -> permission::Wanted {
    permission::Wanted {
        function: settings.function.clone(),
        statement: settings.rule.clone(),
        rule: scope.arn(format_args!("rule/{}", settings.rule)),
        account: scope.account.clone(),
    }
}

/// The policy of the role, for the names that the function is going to work with.
pub(super) fn role_policy(
    scope: &Scope,
    settings: &Settings,
    found: Option<&function::Deployed>,
) -> Result<Value, Error> {
    let variable = |name| found.and_then(|function| function.variable(name));
    let policy = match (&settings.policy, variable(function::POLICY_NAME)) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => name.parse()?,
        (None, None) => PolicyName::zero_touch(),
    };
    let thing_type = thing_type::name(settings, found)?;
    let description = settings.described.with(found)?;
    lambda_role_policy(
        scope,
        &RoleSettings {
            function: base_name(&settings.function),
            policy: &policy,
            thing_type: &thing_type,
            description: &description,
        },
    )
    .map_err(|source| Error::RolePolicy { source })
}

/// ARN of the role that this tool makes for a function.
pub(super) fn own_role_arn(scope: &Scope, function: &str) -> String {
    let role = format!("role/{}{ROLE_SUFFIX}", base_name(function));
    Arn { service: "iam", region: "", resource: &role, ..scope.as_arn() }.to_string()
}

/// The name in a function's ARN (`arn:aws:lambda:REGION:ACCOUNT:function:NAME`) or name, without a version or an alias.
pub(super) fn base_name(function: &str) -> &str {
    let named = Arn::parse(function).and_then(|arn| arn.named("function")).unwrap_or(function);
    named.split(':').next().unwrap_or(named)
}

/// The version or the alias in a function's ARN or name.
pub(super) fn qualifier(function: &str) -> Option<&str> {
    let named = Arn::parse(function).and_then(|arn| arn.named("function")).unwrap_or(function);
    named.split_once(':').map(|(_, qualifier)| qualifier)
}

/// An ARN or name without its version or alias.
pub(super) fn unqualified(function: &str) -> &str {
    match qualifier(function) {
        Some(qualifier) => &function[..function.len() - qualifier.len() - 1],
        None => function,
    }
}

/// The ARN that the rule has to invoke: of the version or the alias, if one is named.
pub(super) fn invoked_arn(scope: &Scope, function: &str, found: Option<&function::Deployed>) -> String {
    match found {
        Some(found) if qualifier(function).is_none() => found.arn.clone(),
        _ => function_arn(scope, function),
    }
}

pub(super) fn function_arn(scope: &Scope, function: &str) -> String {
    if Arn::parse(function).is_some() {
        return function.to_owned();
    }
    let resource = format!("function:{function}");
    Arn { service: "lambda", resource: &resource, ..scope.as_arn() }.to_string()
}

/// Tag on everything made, with [`TOOL`] as its value.
pub(super) use jitr::registry::aws::CREATED_BY;
/// Value of [`CREATED_BY`].
pub(super) const TOOL: &str = "provisioner";
/// Tag on everything made for one signer CA: its id.
pub(super) const SIGNER: &str = "zero-touch:signer-ca";

/// Everything made carries these: which tool made it, and for which signer CA.
fn tags(ca: Option<&str>) -> Vec<(&'static str, &str)> {
    let ca = ca.map(|id| (SIGNER, id));
    [(CREATED_BY, TOOL)].into_iter().chain(ca).collect()
}

/// A string, or a list with the string in it: IAM policies have both.
/// What devices are registered with, unless settings say otherwise.
///
/// # Errors
/// [`Error::DevicePolicy`].
pub fn defaults() -> Result<Registration, AccountError> {
    Registration::zero_touch().map_err(|source| Error::DevicePolicy { source }.into())
}

/// The tags of a resource of AWS IoT that `action` makes.
pub(super) fn iot_tags(action: &'static str, ca: Option<&str>) -> Result<Vec<Tag>, AccountError> {
    let tags = tags(ca).into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    tags.collect::<Result<_, _>>().map_err(|_| AccountError::Incomplete { action, what: "the key of a tag" })
}

/// The sentences of what is wrong.
pub(super) fn wrong(found: &[(bool, &str)]) -> Vec<String> {
    found.iter().filter(|(wrong, _)| *wrong).map(|(_, what)| (*what).to_owned()).collect()
}

fn holds(value: &Value, text: &str) -> bool {
    value == text || value.as_array().is_some_and(|values| values.iter().any(|value| value == text))
}
