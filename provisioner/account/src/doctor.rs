//! The links of a first connection, checked one by one: what exists, whether it is right, how to repair it.
//!
//! Each link is read by itself, so that one that cannot be read hides no other. `setup` decides with the same functions what
//! is right.

use std::path::Path;

use jitr::registration::Settings as RegistrationSettings;
use jitr::registry::Registry;
use jitr::revocation::CaCertificate;
use jitr::scope::Scope;
use time::OffsetDateTime;

mod alarms;
mod chain;
mod connection;
mod device;
mod device_policy;
mod finding;
mod repair;
mod role;
mod samples;

pub use device::Device;
pub use finding::{Finding, Remedy, Verdict};
pub use repair::{Repair, repairs};

use self::chain::{FailedEvents, Namesake, Waiting};
use crate::counted;
use crate::description;
use crate::page::list_cas;
use crate::setup::delivery::Way;
use crate::setup::deployed_package::DeployedPackage;
use crate::setup::function::Deployed;
use crate::setup::{
    self, Alarms, KnownAdmission, Settings, admission, deploy, lists, other_rules, permission, rule,
    signer_ca,
};
use crate::{Account, Error as AccountError, Queue, Resource, endpoint, queue};
use device_pki::Certificate;

/// CAs of the account that are compared with the signer when that is not registered.
const NAMESAKES: usize = 20;

/// A chain that lets no device in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every link does its part, and some let in who should be kept out.
    #[error("devices can connect, and {dangerous} of {links} links let in who should be kept out")]
    Dangerous {
        /// How many.
        dangerous: usize,
        /// Of how many.
        links: usize,
    },
    /// At least one link is wrong or could not be read.
    #[error("a new device cannot connect now: {wrong} of {} failed the check", counted(*links, "link"))]
    Broken {
        /// Links that are wrong or not known.
        wrong: usize,
        /// All links.
        links: usize,
    },
    /// Every link that all devices need does its part, and one of the device's own is wrong or could not be read.
    #[error("new devices can connect, and this one cannot: {wrong} of {} failed the check", counted(*links, "link"))]
    Device {
        /// Links of the device that are wrong or not known.
        wrong: usize,
        /// All links.
        links: usize,
    },
    /// A policy whose document was to be renewed.
    #[error("policy {policy} has got another default version meanwhile")]
    PolicyChanged {
        /// Its name.
        policy: String,
    },
    /// A registration that was to be completed.
    #[error("the device cannot be registered")]
    Registration(#[from] Box<jitr::registration::Error>),
}

/// What is checked.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The signer CA on this computer, if there is one.
    pub signer: Option<&'a Certificate>,
    /// The names of the links.
    pub settings: &'a Settings,
    /// Whether devices register by themselves; if not, only what registered devices need is checked.
    pub just_in_time: bool,
    /// A device to look at besides.
    pub device: Option<&'a Device>,
    /// Why a certificate is not to be let in, as far as this computer knows, and whether its key is lost for good.
    pub revoked: &'a (dyn Fn(&Certificate) -> Option<Revoked> + Sync),
    /// What this computer knows of the admission list.
    pub admission: KnownAdmission,
    /// The time that certificates are checked for.
    pub now: OffsetDateTime,
}

/// What this computer has revoked of a device.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// What, when and why.
    pub why: String,
    /// Whether its key gets no certificate again.
    pub is_final: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// One entry a link, in the order of a first connection.
    pub findings: Vec<Finding>,
    /// What the function registers devices with.
    registration: RegistrationSettings,
}

impl Diagnosis {
    /// Whether a device could connect now, and none as another.
    ///
    /// # Errors
    /// [`Error::Broken`], or [`Error::Device`] for a device that was looked at, with the number of links in its way;
    /// [`Error::Dangerous`].
    pub fn verdict(&self) -> Result<(), Error> {
        self.judge(|_| false)
    }

    /// Whether a device could connect once everything that is repairable is repaired.
    ///
    /// # Errors
    /// As [`Diagnosis::verdict`].
    pub fn verdict_once_repaired(&self) -> Result<(), Error> {
        self.judge(|finding| finding.repairable)
    }

    fn judge(&self, is_excused: impl Fn(&Finding) -> bool) -> Result<(), Error> {
        let links = self.findings.len();
        let count = |is: &dyn Fn(&Finding) -> bool| {
            self.findings.iter().filter(|finding| is(finding) && !is_excused(finding)).count()
        };
        match (
            count(&|finding| !finding.lets_through()),
            count(&|finding| finding.verdict == Verdict::Dangerous),
        ) {
            (0, 0) => Ok(()),
            (0, dangerous) => Err(Error::Dangerous { dangerous, links }),
            (wrong, _) => match count(&|finding| !finding.lets_through() && !finding.is_of_device()) {
                0 => Err(Error::Device { wrong, links }),
                _ => Err(Error::Broken { wrong, links }),
            },
        }
    }

    fn is_repairable(&self, links: &[Resource]) -> bool {
        self.findings.iter().any(|finding| finding.repairable && links.contains(&finding.link))
    }

    /// Whether carrying out the plan of `setup` repairs something.
    pub fn is_repaired_by_setup(&self) -> bool {
        self.is_repairable(&[
            Resource::SignerCa,
            Resource::TopicRule,
            Resource::Queue,
            Resource::EventSourceMapping,
            Resource::Permission,
            Resource::Function,
            Resource::Role,
            Resource::Alarm,
        ])
    }
}

/// Checks every link. Changes nothing.
///
/// # Errors
/// Only if the default settings of the workflow are no settings: a fault of the program.
pub async fn examine(account: &Account, subject: &Subject<'_>) -> Result<Diagnosis, AccountError> {
    let defaults = setup::defaults()?;
    let (scope, host) = tokio::join!(account.scope(), endpoint(account));
    let scope = match scope {
        Ok(scope) => scope,
        // One cause for every link: no other call can succeed.
        Err(error) => {
            let findings = vec![Finding::unread(Resource::Credentials, "none", error)];
            return Ok(Diagnosis { findings, registration: defaults });
        }
    };
    let mut findings = vec![Finding::right(
        Resource::Credentials,
        format!("account {}", scope.account),
        vec![format!("Region {}", scope.region)],
    )];
    let known_host = host.as_ref().ok().cloned();
    let elsewhere = matches!(host, Err(AccountError::WrongRegion { .. }));
    findings.push(match host {
        Ok(host) => Finding::right(Resource::Endpoint, host, Vec::new()),
        Err(error) => Finding::unread(Resource::Endpoint, "not known", error),
    });
    if elsewhere {
        return Ok(Diagnosis { findings, registration: defaults });
    }

    let mut registration = defaults;
    if subject.just_in_time {
        let (links, of_function) = look_at_chain(account, &scope, subject).await;
        findings.extend(links);
        registration = of_function.unwrap_or(registration);
    }
    let Settings { policy, thing_type, .. } = subject.settings;
    let registration = registration.with_names(policy.as_ref(), thing_type.as_ref());
    if subject.just_in_time
        && is_untouched(&findings)
        && let Some(credentials) = findings.first_mut()
    {
        credentials.found.push("nothing is set up in this Region".to_owned());
        *credentials =
            Finding { verdict: Verdict::Notable, ..credentials.clone() }.remedy(Remedy::ChooseRegion);
    }
    findings.extend(look_at_registry(account, &scope, &registration).await);
    if let Some(device) = subject.device {
        let expected = device::Expected {
            signer: subject.signer,
            registration: &registration,
            scope: &scope,
            revoked: subject.revoked,
            now: subject.now,
            endpoint: known_host.as_deref(),
        };
        findings.extend(device::examine(account, device, &expected).await);
    }
    Ok(Diagnosis { findings, registration })
}

/// Whether neither signer CA nor rule nor function is there: most often the Region or the account is another one than meant.
fn is_untouched(findings: &[Finding]) -> bool {
    [Resource::SignerCa, Resource::TopicRule, Resource::Function].iter().all(|link| {
        findings
            .iter()
            .any(|finding| finding.link == *link && finding.verdict == Verdict::Wrong && finding.is_missing)
    })
}

/// From the signer CA to the function, and what the function registers devices with.
async fn look_at_chain(
    account: &Account,
    scope: &Scope,
    subject: &Subject<'_>,
) -> (Vec<Finding>, Option<RegistrationSettings>) {
    let mut findings = Vec::new();
    let settings = subject.settings;
    let (signer, rule, permission, function, failed, found_alarms) = tokio::join!(
        look_at_signer(account, subject),
        rule::find(account, &settings.rule),
        permission::find(account, &settings.function),
        deploy::find(account, &settings.function),
        failed_events(account, &settings.function),
        setup::find_alarms(account, settings),
    );
    findings.push(signer);
    let found = function.as_ref().ok().and_then(Option::as_ref);
    let function_arn = setup::invoked_arn(scope, &settings.function, found);
    let mut way = None;
    let rule = async {
        let rule = rule?;
        let looked = Way::look(account, scope, settings, found, rule.as_ref()).await?;
        let target = looked.target(scope, &function_arn);
        let through = looked.through();
        way = Some(looked);
        let own_role = setup::own_role_arn(scope, &settings.function);
        let has_own_role = found.is_some_and(|function| function.role != own_role);
        chain::topic_rule(&settings.rule, rule.as_ref(), &target, through.as_ref(), has_own_role)
    };
    let unread = |error| Finding::unread(Resource::TopicRule, &settings.rule, error);
    let (rule, others) = tokio::join!(rule, other_rules::find(account, &settings.rule, &function_arn));
    findings.push(rule.unwrap_or_else(unread));
    match others {
        Ok(others) => findings.extend(others.iter().map(chain::other_rule)),
        // A device gets in without knowing them.
        Err(error) => {
            let unread = Finding::unread(Resource::OtherRule, "not known", error);
            findings.push(Finding { verdict: Verdict::Notable, ..unread });
        }
    }
    let queued = way.as_ref().and_then(|way| way.queued.as_ref());
    findings.extend(queued.iter().flat_map(|queued| queued.links()).map(chain::of_queue));
    findings.push(match permission {
        Ok(policy) => {
            let wanted = setup::wanted_permission(scope, settings);
            let through = way.as_ref().and_then(Way::through);
            chain::permission(policy.as_ref(), &wanted, through.as_ref())
        }
        Err(error) => Finding::unread(Resource::Permission, &settings.rule, error),
    });
    let signer_id = subject.signer.map(|signer| signer.facts().certificate_id.as_str());
    let (function, registration) = match function {
        Ok(function) => {
            let (finding, registration) = chain::function(function.as_ref(), settings, signer_id);
            findings.push(finding);
            (function, registration)
        }
        Err(error) => {
            findings.push(Finding::unread(Resource::Function, &settings.function, error));
            (None, None)
        }
    };
    if let Some(function) = &function {
        let package = settings.package(Some(function)).map(|package| &*package.bytes);
        let package = DeployedPackage::new(account, &settings.function, package);
        findings.extend(look_at_lists(account, function, &package, subject).await);
        findings.extend(look_at_admission(account, function, &package, subject).await);
    }
    findings.push(match &function {
        Some(function) => role::examine(account, scope, settings, function, queued.is_some()).await,
        None => Finding::skipped(Resource::Role, "not known", "depends on the function"),
    });
    if let Some(function) = &function {
        let wanted = setup::alarms::Wanted {
            failed_events: queued.is_some(),
            admission_list: setup::admission_list(settings, Some(function)).is_some(),
            make: function.role == setup::own_role_arn(scope, &settings.function)
                || settings.alarms != Alarms::Usual,
        };
        let alarms = alarms::examine(settings, wanted, found_alarms);
        findings.push(match failed {
            Ok(failed) => {
                // `arn:aws:iam::123456789012:role/path/NAME`
                let role = function.role.rsplit('/').next();
                let name = setup::base_name(&settings.function);
                chain::on_failure(scope, name, role, &failed)
            }
            // A device gets in without it.
            Err(error) => {
                let unread = Finding::unread(Resource::OnFailure, &settings.function, error);
                Finding { verdict: Verdict::Notable, ..unread }
            }
        });
        findings.extend(alarms);
    } else {
        // Without the function, `setup` does nothing. Where it could not be read, nothing is said of it.
        let is_missing = findings.iter().any(|found| found.link == Resource::Function && found.is_missing);
        let of_set_up =
            [Resource::SignerCa, Resource::TopicRule, Resource::Permission, Resource::EventSourceMapping];
        for finding in findings.iter_mut().filter(|finding| of_set_up.contains(&finding.link)) {
            let remedy = (finding.repairable && is_missing).then_some(Remedy::Deploy);
            (finding.repairable, finding.remedy) = (false, remedy.or(finding.remedy.take()));
            if is_missing && finding.link == Resource::Permission {
                *finding = Finding::skipped(finding.link, finding.name.clone(), "depends on the function");
            }
        }
    }
    (findings, registration)
}

/// The revocation lists of the function, if they are on.
async fn look_at_lists(
    account: &Account,
    function: &Deployed,
    package: &DeployedPackage<'_>,
    subject: &Subject<'_>,
) -> Option<Finding> {
    const LINK: Resource = Resource::RevocationLists;
    let variables = function.variables.as_ref()?;
    let signer = subject.signer.map(Certificate::to_pem);
    let signer = signer.and_then(|pem| CaCertificate::parse(pem.as_bytes(), Path::new("the signer CA")).ok());
    let name = &subject.settings.function;
    match lists::look(account, variables, package, signer.as_ref()).await {
        Ok(found) => {
            found.map(|lists::Found { folder, problems, notes }| match (&problems[..], &notes[..]) {
                ([], []) => Finding::right(LINK, folder, Vec::new()),
                ([], _) => Finding::notable(LINK, folder, notes),
                _ => Finding::wrong(LINK, folder, problems).remedy(Remedy::AddLists),
            })
        }
        Err(error) => Some(Finding::unread(LINK, name, error)),
    }
}

/// The admission list of the function, if it is on.
async fn look_at_admission(
    account: &Account,
    function: &Deployed,
    package: &DeployedPackage<'_>,
    subject: &Subject<'_>,
) -> Option<Finding> {
    const LINK: Resource = Resource::AdmissionList;
    let variables = function.variables.as_ref()?;
    let name = &subject.settings.function;
    match admission::look(account, variables, package, &subject.admission).await {
        Ok(found) => {
            found.map(|admission::Found { list, problems, notes, facts }| match (&problems[..], &notes[..]) {
                ([], []) => Finding::right(LINK, list, facts),
                ([], _) => {
                    Finding::notable(LINK, list, [facts, notes].concat()).remedy(Remedy::PublishAdmissionList)
                }
                _ => Finding::wrong(LINK, list, problems).remedy(Remedy::PublishAdmissionList),
            })
        }
        Err(error) => {
            let list = function.variable(jitr::config::ADMISSION_LIST).unwrap_or(name);
            let unread = Finding::unread(LINK, list, error);
            // The function may be able to read it.
            Some(Finding { verdict: Verdict::Notable, ..unread })
        }
    }
}

async fn look_at_signer(account: &Account, subject: &Subject<'_>) -> Finding {
    let Some(signer) = subject.signer else {
        return Finding::skipped(
            Resource::SignerCa,
            "not known",
            "there is no usable certificate authority on this computer",
        )
        .remedy(Remedy::MakeCa);
    };
    let id = &signer.facts().certificate_id;
    let found = match signer_ca::find(account, id).await {
        Ok(found) => found,
        Err(error) => return Finding::unread(Resource::SignerCa, id, error),
    };
    // Only worth words; what cannot be read is left out.
    let namesakes = match found {
        None => namesakes(account, signer).await.unwrap_or_default(),
        Some(_) => Vec::new(),
    };
    chain::signer(signer, found, &namesakes, subject.now)
}

/// CAs with the signer's subject.
async fn namesakes(account: &Account, signer: &Certificate) -> Result<Vec<Namesake>, AccountError> {
    let iot = account.iot();
    let all = list_cas(account).await?;
    let mut namesakes = Vec::new();
    for id in all.iter().filter_map(|ca| ca.certificate_id()).take(NAMESAKES) {
        let answer = iot.describe_ca_certificate().certificate_id(id).send().await;
        let answer = answer.map_err(account.failed("iot:DescribeCACertificate"))?;
        let pem = answer.certificate_description().and_then(|ca| ca.certificate_pem()).unwrap_or_default();
        if let Ok(other) = Certificate::read(pem.as_bytes())
            && other.facts().subject == signer.facts().subject
        {
            namesakes.push(Namesake { id: id.to_owned(), same_key: other.point() == signer.point() });
        }
    }
    Ok(namesakes)
}

/// Device policy, thing type and, where there are some, groups and further policies.
async fn look_at_registry(
    account: &Account,
    scope: &Scope,
    registration: &RegistrationSettings,
) -> Vec<Finding> {
    let registry = account.registry();
    let not_found = |error: &jitr::registry::RegistryError| error.kind == jitr::registry::ErrorKind::NotFound;
    let (policy, thing_type) = (&registration.policy, &registration.thing_type);
    let (stored, described, besides) = tokio::join!(
        registry.get_policy(policy),
        registry.describe_thing_type(thing_type),
        look_at_description(account, registration),
    );
    let stored = match stored {
        Ok(stored) => device_policy::device_policy(registration, scope, Some(&stored.document)),
        Err(error) if not_found(&error) => device_policy::device_policy(registration, scope, None),
        Err(error) => Finding::unread(Resource::DevicePolicy, policy.as_str(), account.of_registry(error)),
    };
    let described = match described {
        Ok(found) => chain::type_of_things(thing_type.as_str(), Some(found.deprecated)),
        Err(error) if not_found(&error) => chain::type_of_things(thing_type.as_str(), None),
        Err(error) => Finding::unread(Resource::ThingType, thing_type.as_str(), account.of_registry(error)),
    };
    [stored, described].into_iter().chain(besides).collect()
}

async fn look_at_description(account: &Account, registration: &RegistrationSettings) -> Vec<Finding> {
    let found = match description::look(account, &registration.description).await {
        Ok(found) => found,
        Err(error) => return vec![Finding::unread(Resource::ThingGroup, "groups and policies", error)],
    };
    let finding = |(resource, name, exists): (Resource, String, bool)| {
        let remedy = match resource {
            _ if exists => return Finding::right(resource, &name, Vec::new()),
            Resource::BillingGroup => Remedy::CreateBillingGroup { group: name.clone() },
            Resource::AdditionalPolicy => Remedy::CreatePolicy { policy: name.clone() },
            _ => Remedy::CreateGroup { group: name.clone() },
        };
        Finding::wrong(resource, &name, vec!["does not exist".to_owned()]).remedy(remedy)
    };
    found.into_iter().map(finding).collect()
}

/// Where events go that failed for good, and how many wait there if that is a queue.
async fn failed_events(account: &Account, function: &str) -> Result<FailedEvents, AccountError> {
    let queue::Destinations { failed, succeeded, is_configured } =
        queue::destinations(account, function).await?;
    let Some(destination) = failed else { return Ok(FailedEvents::Lost { succeeded, is_configured }) };
    let waiting = match Queue::find(account, &destination).await {
        Err(error) if queue::is_missing(&error) => Waiting::NoQueue,
        found => match found? {
            Some(queue) => Waiting::Events(queue.depth(account).await?),
            None => Waiting::Unknown,
        },
    };
    Ok(FailedEvents::Kept { destination, waiting })
}
