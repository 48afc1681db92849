//! The function that registers boards: what is to be done about it, as values. The calls are in `deploy`.

use std::collections::BTreeMap;

use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::{Architecture, LastUpdateStatus, Runtime, State};

use super::link::Link;
use super::package::Package;
use super::versions::{self, Versions};
use super::{Admission, Error, Settings};
use crate::Resource;

/// Runtime of a function that is an executable.
pub(crate) const RUNTIME: Runtime = Runtime::Providedal2023;
/// Not used by the `provided` runtimes, yet required.
pub(crate) const HANDLER: &str = "bootstrap";
/// Memory of a new function, in MB.
pub(crate) const MEMORY: i32 = 128;
/// Time limit of a new function, in seconds: registration takes less than one, throttled calls are retried. What goes back to the queue
/// is seen again after this time. Below it, a throttled registration could not finish.
pub(crate) const TIMEOUT: i32 = 10;

/// Variables of the function that setting up may have to change.
pub(super) const POLICY_NAME: &str = "ZT_POLICY_NAME";
pub(super) const THING_TYPE: &str = "THING_TYPE";
const ALLOWED_CA_IDS: &str = "ALLOWED_CA_IDS";

/// Environment variables of a function.
pub(crate) type Variables = BTreeMap<String, String>;

/// The function as the account has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deployed {
    pub(crate) arn: String,
    pub(crate) role: String,
    sha256: String,
    description: String,
    pub(crate) architecture: Architecture,
    pub(crate) runtime: Option<Runtime>,
    handler: String,
    memory: i32,
    pub(crate) timeout: i32,
    /// `None` where they cannot be decrypted.
    pub(crate) variables: Option<Variables>,
    /// ARN of the queue or topic that failed events go to, without what happened to them.
    pub(crate) dead_letter: Option<String>,
    /// Why it can never run, if it cannot.
    broken: Option<String>,
    /// Still being made or updated.
    pub(crate) busy: bool,
}

impl Deployed {
    /// The answer of `GetFunctionConfiguration`; `None` if it has no ARN.
    pub(crate) fn from_answer(answer: &GetFunctionConfigurationOutput) -> Option<Self> {
        let environment = answer.environment();
        let variables = environment
            .and_then(|environment| environment.variables())
            .map(|variables| variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect());
        let hidden = environment.is_some_and(|environment| environment.error().is_some());
        Some(Self {
            arn: answer.function_arn()?.to_owned(),
            role: answer.role().unwrap_or_default().to_owned(),
            sha256: answer.code_sha256().unwrap_or_default().to_owned(),
            description: answer.description().unwrap_or_default().to_owned(),
            architecture: answer.architectures().first().cloned().unwrap_or(Architecture::X8664),
            runtime: answer.runtime().cloned(),
            handler: answer.handler().unwrap_or_default().to_owned(),
            memory: answer.memory_size().unwrap_or(MEMORY),
            timeout: answer.timeout().unwrap_or(TIMEOUT),
            variables: if hidden { None } else { Some(variables.unwrap_or_default()) },
            dead_letter: answer.dead_letter_config().and_then(|config| config.target_arn.clone()),
            broken: (answer.state() == Some(&State::Failed))
                .then(|| answer.state_reason().unwrap_or("no reason is given").to_owned()),
            busy: answer.state() == Some(&State::Pending)
                || answer.last_update_status() == Some(&LastUpdateStatus::InProgress),
        })
    }

    /// Why it can never run, if it cannot.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The version that it is, where its description or the package says so.
    pub(crate) fn version(&self, package: Option<&Package>) -> Option<String> {
        let same = package.filter(|package| package.sha256 == self.sha256);
        same.and_then(|package| package.version.clone())
            .or_else(|| versions::read(&self.description, &self.sha256))
    }

    /// The names that the function works with, where its environment says so.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.as_ref()?.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// What is to be changed in the configuration; `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Configuration {
    pub(crate) runtime: Option<Runtime>,
    pub(crate) handler: Option<String>,
    pub(crate) memory: Option<i32>,
    pub(crate) timeout: Option<i32>,
    pub(crate) role: Option<String>,
    /// All variables, those that stay included: AWS replaces the whole set.
    pub(crate) variables: Option<Variables>,
    pub(crate) description: Option<String>,
}

/// Code in the place of other code.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Replacement {
    pub(crate) package: Package,
    /// SHA-256 (base64) of what runs until then, if it runs: it is kept.
    pub(crate) keeps: Option<String>,
}

/// What is to be done about the function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Leave,
    Create { package: Package, role: String, variables: Variables },
    Change { code: Option<Replacement>, configuration: Configuration, changes: Vec<String> },
}

/// The versions of the function that is there, and of the package.
pub(crate) fn versions(found: Option<&Deployed>, package: Option<&Package>) -> Versions {
    let runs = found.and_then(|found| found.version(package));
    Versions { runs, brings: package.and_then(|package| package.version.clone()), kept_as: None }
}

/// `role` is the ARN of the role that the function is to have, where that is for this tool to say.
///
/// # Errors
/// [`Error::NoFunction`] without function and package, [`Error::FunctionBroken`], [`Error::HiddenVariables`].
pub(crate) fn decide(
    found: Option<&Deployed>,
    settings: &Settings,
    role: Option<&str>,
    ca: Option<&str>,
) -> Result<Step, Error> {
    let wanted = variables(settings);
    let package = settings.package(found);
    if let Some(package) = package {
        package.check_runs_on(&RUNTIME)?;
    }
    let Some(found) = found else {
        let Some(package) = package.cloned() else {
            return Err(Error::NoFunction { name: settings.function.clone() });
        };
        if super::qualifier(&settings.function).is_some() {
            // A version is published, and an alias made, of a function that is there.
            return Err(Error::NoFunction { name: settings.function.clone() });
        }
        let variables = wanted.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        return Ok(Step::Create { package, role: role.unwrap_or_default().to_owned(), variables });
    };
    if let (Some(reason), None) = (found.broken(), package) {
        return Err(Error::FunctionBroken { name: settings.function.clone(), reason: reason.to_owned() });
    }
    let mut changes = Vec::new();
    let mut configuration = Configuration::default();
    let mut code = None;
    if let Some(package) = package {
        if found.sha256 != package.sha256 {
            changes.push(versions(Some(found), Some(package)).difference());
            configuration.description = versions::write(&found.description, package);
        }
        if found.architecture != package.architecture {
            changes
                .push(format!("architecture is {}, should be {}", found.architecture, package.architecture));
        }
        if !changes.is_empty() {
            let keeps = found.broken.is_none().then(|| found.sha256.clone());
            code = Some(Replacement { package: package.clone(), keeps });
        }
        if found.runtime.as_ref() != Some(&RUNTIME) {
            changes.push(format!("runtime should be {RUNTIME}"));
            configuration.runtime = Some(RUNTIME);
        }
        if found.handler != HANDLER {
            changes.push(format!("handler should be {HANDLER}"));
            configuration.handler = Some(HANDLER.to_owned());
        }
        if found.memory < MEMORY {
            changes.push(format!("memory is {} MB, should be {MEMORY} MB", found.memory));
            configuration.memory = Some(MEMORY);
        }
        if found.timeout < TIMEOUT {
            changes.push(format!("timeout is {} s, should be {TIMEOUT} s", found.timeout));
            configuration.timeout = Some(TIMEOUT);
        }
    }
    if let Some(role) = role.filter(|role| *role != found.role) {
        changes.push(format!("role is {}, should be {role}", found.role));
        configuration.role = Some(role.to_owned());
    }
    configuration.variables = merged(found, wanted, ca, settings, &mut changes)?;
    if changes.is_empty() {
        return Ok(Step::Leave);
    }
    match super::qualifier(&settings.function) {
        Some(_) => Err(Error::Version { name: settings.function.clone(), changes: changes.join("; ") }),
        None => Ok(Step::Change { code, configuration, changes }),
    }
}

/// The variables that the settings ask for. What is not asked for is the function's own default.
fn variables(settings: &Settings) -> Variables {
    let policy = settings.policy.as_ref().map(|name| (POLICY_NAME, name.as_str()));
    let thing_type = settings.thing_type.as_ref().map(|name| (THING_TYPE, name.as_str()));
    let named = policy.into_iter().chain(thing_type).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let admission = settings.admission.iter().flat_map(Admission::variables);
    let described = settings.described.variables().into_iter();
    let described = described.map(|(name, value)| (name.to_owned(), value));
    named.chain(described).chain(admission.map(|(name, value)| (name.to_owned(), value))).collect()
}

/// All variables of the function as they have to be, or `None` if they are so already.
fn merged(
    found: &Deployed,
    mut wanted: Variables,
    ca: Option<&str>,
    settings: &Settings,
    changes: &mut Vec<String>,
) -> Result<Option<Variables>, Error> {
    if let (Some(list), Some(ca)) = (found.variable(ALLOWED_CA_IDS), ca)
        && !list.split([',', ' ', '\n']).any(|id| id.eq_ignore_ascii_case(ca))
    {
        wanted.insert(ALLOWED_CA_IDS.to_owned(), format!("{list},{ca}"));
    }
    let Some(present) = &found.variables else {
        return if wanted.is_empty() {
            Ok(None)
        } else {
            Err(Error::HiddenVariables { name: settings.function.clone() })
        };
    };
    let mut variables = present.clone();
    for (name, value) in wanted {
        let is_same = present.get(&name).map_or("", String::as_str) == value;
        if !is_same {
            changes.push(match present.get(&name) {
                Some(_) if value.is_empty() => format!("{name} should be empty"),
                Some(old) => format!("{name} is {old}, should be {value}"),
                None => format!("{name} should be {value}"),
            });
            variables.insert(name, value);
        }
    }
    Ok((variables != *present).then_some(variables))
}

impl Step {
    /// The variables that the function will have; `None` where they cannot be read.
    pub(super) fn variables<'a>(&'a self, found: Option<&'a Deployed>) -> Option<&'a Variables> {
        let own = match self {
            Self::Create { variables, .. } => Some(variables),
            Self::Change { configuration, .. } => configuration.variables.as_ref(),
            Self::Leave => None,
        };
        own.or_else(|| found?.variables.as_ref())
    }

    pub(crate) fn link(&self, name: &str) -> Link {
        let details = match self {
            Self::Leave => Vec::new(),
            Self::Create { package, .. } => {
                let version = package.version.as_ref().map(|version| format!("jitr {version}"));
                let made = format!("{RUNTIME}, {}", package.architecture);
                [made].into_iter().chain(version).chain([package.origin()]).collect()
            }
            Self::Change { changes, code: None, .. } => changes.clone(),
            Self::Change { changes, code: Some(Replacement { package, keeps }), .. } => {
                let kept = keeps.as_ref().map(|_| "what runs is kept as a version".to_owned());
                changes.iter().cloned().chain([package.origin()]).chain(kept).collect()
            }
        };
        Link::new(Resource::Function, name, !matches!(self, Self::Create { .. }), details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::link::Action;
    use crate::setup::package::tests::{package, package_of};

    const ROLE: &str = "arn:aws:iam::123456789012:role/JITR-role";

    fn deployed() -> Deployed {
        Deployed {
            arn: "arn:aws:lambda:us-east-2:123456789012:function:JITR".into(),
            role: ROLE.into(),
            sha256: package().sha256,
            description: String::new(),
            architecture: Architecture::X8664,
            runtime: Some(RUNTIME),
            handler: HANDLER.into(),
            memory: 256,
            timeout: 10,
            variables: Some(Variables::new()),
            dead_letter: None,
            broken: None,
            busy: false,
        }
    }

    fn with_package() -> Settings {
        Settings { packages: vec![package()], ..Settings::default() }
    }

    fn changes(found: Deployed, settings: &Settings) -> Vec<String> {
        match decide(Some(&found), settings, Some(ROLE), Some("1f")).unwrap() {
            Step::Change { changes, .. } => changes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_function_that_is_right_is_left_with_its_larger_memory() {
        assert_eq!(decide(Some(&deployed()), &with_package(), Some(ROLE), Some("1f")).unwrap(), Step::Leave);
        let link = decide(None, &with_package(), Some(ROLE), None).unwrap().link("JITR");
        let details = ["provided.al2023, x86_64", "from new.zip"].map(str::to_owned).to_vec();
        assert_eq!((link.action, link.details), (Action::Create, details));
    }

    #[test]
    fn without_function_and_package_the_next_step_is_told() {
        let error = decide(None, &Settings::default(), None, None).unwrap_err();
        assert_eq!(error.to_string(), "there is no function `JITR` in this account and Region");
    }

    #[test]
    fn a_function_deployed_by_other_means_keeps_its_settings() {
        let other = Deployed { runtime: None, memory: 64, sha256: "other".into(), ..deployed() };
        assert_eq!(decide(Some(&other), &Settings::default(), None, Some("1f")).unwrap(), Step::Leave);
    }

    #[test]
    fn each_difference_from_the_package_is_changed_and_named() {
        let cases = [
            (Deployed { sha256: "x".into(), ..deployed() }, "code"),
            (
                Deployed { architecture: Architecture::Arm64, ..deployed() },
                "architecture is arm64, should be x86_64",
            ),
            (Deployed { runtime: Some(Runtime::Python312), ..deployed() }, "runtime"),
            (Deployed { handler: "main".into(), ..deployed() }, "handler"),
            (Deployed { memory: 64, ..deployed() }, "memory is 64 MB"),
            (Deployed { timeout: 3, ..deployed() }, "timeout is 3 s"),
            (Deployed { role: "arn:other".into(), ..deployed() }, "role is arn:other"),
        ];
        for (found, named) in cases {
            let changes = changes(found, &with_package());
            assert_eq!(changes.len(), 1, "{changes:?}");
            assert!(changes[0].starts_with(named), "{changes:?}");
        }
    }

    #[test]
    fn the_package_is_for_the_processor_of_the_function_that_is_there() {
        let mut arm64 = package();
        arm64.architecture = Architecture::Arm64;
        let settings = Settings { packages: vec![arm64, package()], ..Settings::default() };
        assert_eq!(decide(Some(&deployed()), &settings, Some(ROLE), None).unwrap(), Step::Leave);
        let Step::Create { package, .. } = decide(None, &settings, Some(ROLE), None).unwrap() else {
            panic!()
        };
        assert_eq!(package.architecture, Architecture::Arm64);
    }

    #[test]
    fn code_that_is_replaced_is_kept_and_both_versions_are_told() {
        let (old, new) = (package_of("1.0.0"), package_of("2.0.0"));
        let settings = Settings { packages: vec![new], ..Settings::default() };
        let description = versions::write("", &old).unwrap();
        let known = Deployed { sha256: old.sha256.clone(), description, ..deployed() };
        let step = decide(Some(&known), &settings, Some(ROLE), None).unwrap();
        assert_eq!(
            step.link("JITR").details,
            ["code is jitr 1.0.0, should be jitr 2.0.0", "from new.zip", "what runs is kept as a version"]
        );
        let Step::Change { code: Some(code), configuration, .. } = step else { panic!() };
        assert_eq!(code.keeps, Some(old.sha256));
        let said = versions::read(&configuration.description.unwrap(), &code.package.sha256);
        assert_eq!(said.as_deref(), Some("2.0.0"));

        // What somebody else has deployed since is of no known version; what cannot run is not kept.
        let others = Deployed { sha256: "others".into(), broken: Some("gone".into()), ..known };
        let step = decide(Some(&others), &settings, Some(ROLE), None).unwrap();
        assert_eq!(
            step.link("JITR").details,
            ["code differs from the package, which is jitr 2.0.0", "from new.zip"]
        );
    }

    #[test]
    fn variables_that_others_set_survive_and_the_signer_joins_the_allowed_ones() {
        let found = Deployed {
            variables: Some(Variables::from([
                ("RUST_LOG".to_owned(), "debug".to_owned()),
                (ALLOWED_CA_IDS.to_owned(), "aa, bb".to_owned()),
            ])),
            ..deployed()
        };
        let settings = Settings { policy: Some("mine".parse().unwrap()), ..Settings::default() };
        let step = decide(Some(&found), &settings, None, Some("1f")).unwrap();
        let Step::Change { configuration, code: None, .. } = step else { panic!("{step:?}") };
        let variables = configuration.variables.unwrap();
        assert_eq!(variables["RUST_LOG"], "debug");
        assert_eq!(variables[ALLOWED_CA_IDS], "aa, bb,1f");
        assert_eq!(variables[POLICY_NAME], "mine");
        assert!(decide(Some(&found), &Settings::default(), None, Some("BB")).unwrap() == Step::Leave);
    }

    #[test]
    fn variables_that_cannot_be_read_are_not_overwritten() {
        let hidden = Deployed { variables: None, ..deployed() };
        assert_eq!(decide(Some(&hidden), &Settings::default(), None, Some("1f")).unwrap(), Step::Leave);
        let settings = Settings { policy: Some("mine".parse().unwrap()), ..Settings::default() };
        assert!(matches!(decide(Some(&hidden), &settings, None, None), Err(Error::HiddenVariables { .. })));
    }

    #[test]
    fn a_broken_function_is_an_error_unless_a_package_replaces_it() {
        let broken = Deployed { broken: Some("image gone".into()), ..deployed() };
        let error = decide(Some(&broken), &Settings::default(), None, None).unwrap_err();
        assert!(error.to_string().contains("image gone"));
        assert!(decide(Some(&broken), &with_package(), Some(ROLE), None).is_ok());
    }
}
