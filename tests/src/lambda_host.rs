//! The Lambda host: runs the real handler as a subprocess behind the Lambda Runtime API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::body::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::iot_core::account::{Account, Identity};
use crate::journal::Journal;
use crate::secret;

mod environment;
mod event_source;
mod function;
mod invocation;
mod package;
pub mod runtime_api;

use environment::Pool;
pub use event_source::EventSource;
pub use function::{Configuration, EventInvokeConfig, Function, NewFunction, Permission};
use package::Package;
pub use package::package_of;

/// Why the host refuses a call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there.
    #[error("{what} not found: {name}")]
    NotFound {
        /// The kind of resource.
        what: &'static str,
        /// Its ARN or name.
        name: String,
    },
    /// It exists already, or is in a state that does not permit the call.
    #[error("{reason}")]
    Conflict {
        /// What is in the way.
        reason: String,
    },
    /// A value in the request is wrong.
    #[error("{reason}")]
    InvalidParameter {
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The testbed is shutting down.
    #[error("the Lambda host has stopped")]
    Stopped,
}

/// How the host behaves where AWS takes its time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a function stays `Pending` after its creation, and an update `InProgress`.
    pub settling: Duration,
    /// The pauses before the two retries of a failed event; one and two minutes in AWS.
    pub retry_delays: [Duration; 2],
    /// Environments of one function at the same time.
    pub concurrency: usize,
    /// No batch of a queue waits longer than this to be filled, whatever its window is.
    pub longest_window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            settling: Duration::from_millis(200),
            retry_delays: [Duration::from_millis(250), Duration::from_millis(500)],
            concurrency: 10,
            longest_window: Duration::from_millis(50),
        }
    }
}

/// What an invocation came to.
#[derive(Clone, Debug)]
pub struct Invoked {
    /// The function's answer, or its error (JSON text).
    pub outcome: Result<Bytes, Bytes>,
    /// The end of its log.
    pub log: String,
}

/// The host; clones are the same one.
#[derive(Clone, Debug)]
pub struct LambdaHost(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: Identity,
    settings: Settings,
    account: Arc<Mutex<Account>>,
    journal: Journal,
    endpoint_url: OnceLock<String>,
    /// First part of the path of every package.
    code_prefix: String,
    /// What the keys of the functions' roles are made of.
    role_secret: String,
    functions: Mutex<BTreeMap<String, Function>>,
    event_sources: Mutex<Vec<EventSource>>,
    runtime: Handle,
    revisions: std::sync::atomic::AtomicU64,
}

impl LambdaHost {
    /// A host without functions, which runs its tasks on the Tokio runtime `runtime`.
    pub fn new(account: Arc<Mutex<Account>>, settings: Settings, journal: Journal, runtime: Handle) -> Self {
        let identity = account.lock().unwrap_or_else(PoisonError::into_inner).identity().clone();
        Self(Arc::new(Inner {
            identity,
            settings,
            account,
            journal,
            endpoint_url: OnceLock::new(),
            code_prefix: secret::random(),
            role_secret: secret::random(),
            functions: Mutex::default(),
            event_sources: Mutex::default(),
            runtime,
            revisions: 0.into(),
        }))
    }

    /// Where functions find the AWS services; it counts once, the first time.
    pub fn set_endpoint_url(&self, url: &str) {
        let _ = self.0.endpoint_url.set(url.to_owned());
    }

    fn functions(&self) -> MutexGuard<'_, BTreeMap<String, Function>> {
        self.0.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event_sources(&self) -> MutexGuard<'_, Vec<EventSource>> {
        self.0.event_sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.0.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn revision(&self) -> u64 {
        self.0.revisions.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }

    fn new_pool(&self) -> Arc<Pool> {
        Arc::new(Pool::new(self.0.settings.concurrency))
    }

    /// The name in a function's name, ARN or partial ARN (`account:function:name`), with or without a qualifier.
    fn name_in<'a>(&self, reference: &'a str) -> &'a str {
        let name = reference.rsplit_once("function:").map_or(reference, |(_, name)| name);
        name.split(':').next().unwrap_or(name)
    }

    /// The version or the alias in it.
    fn qualifier_in<'a>(&self, reference: &'a str) -> Option<&'a str> {
        let name = reference.rsplit_once("function:").map_or(reference, |(_, name)| name);
        name.split_once(':').map(|(_, qualifier)| qualifier).filter(|qualifier| *qualifier != "$LATEST")
    }

    /// The version or the alias in a function's name or ARN.
    pub fn qualifier(&self, reference: &str) -> Option<String> {
        self.qualifier_in(reference).map(str::to_owned)
    }

    fn not_found(&self, name: &str) -> Error {
        Error::NotFound {
            what: "function",
            name: self.0.identity.arn("lambda", &format!("function:{}", self.name_in(name))),
        }
    }

    /// `CreateFunction`.
    pub fn create(&self, new: NewFunction) -> Result<Function, Error> {
        self.add(new, Instant::now())
    }

    /// A function that was created long enough ago to be `Active`.
    pub fn create_active(&self, new: NewFunction) -> Result<Function, Error> {
        let now = Instant::now();
        self.add(new, now.checked_sub(self.0.settings.settling).unwrap_or(now))
    }

    fn add(&self, new: NewFunction, created: Instant) -> Result<Function, Error> {
        let valid = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if new.name.is_empty() || new.name.len() > 64 || !new.name.chars().all(valid) {
            return Err(Error::InvalidParameter {
                reason: format!(
                    "function name {:?} must have 1 to 64 characters out of a-z A-Z 0-9 - _",
                    new.name
                ),
            });
        }
        new.configuration.check()?;
        self.check_role(&new.configuration.role)?;
        if self.functions().contains_key(&new.name) {
            return Err(Error::Conflict { reason: format!("Function already exist: {}", new.name) });
        }
        let function = Function {
            arn: self.0.identity.arn("lambda", &format!("function:{}", new.name)),
            version: function::LATEST.to_owned(),
            name: new.name.clone(),
            configuration: new.configuration,
            architecture: new.architecture,
            modified: SystemTime::now(),
            revision: self.revision(),
            permissions: Vec::new(),
            event_invoke: None,
            tags: new.tags,
            aliases: BTreeMap::new(),
            versions: Vec::new(),
            reserved_concurrency: None,
            created,
            updated: None,
            settling: self.0.settings.settling,
            package: Arc::new(Package::unpack(&new.zip)?),
            pool: self.new_pool(),
        };
        self.functions().insert(new.name, function.clone());
        Ok(function)
    }

    fn check_role(&self, arn: &str) -> Result<(), Error> {
        if self.account().lambda_can_assume(arn) {
            return Ok(());
        }
        Err(Error::InvalidParameter {
            reason: "The role defined for the function cannot be assumed by Lambda.".into(),
        })
    }

    /// Refuses an ARN of another partition, Region or account.
    fn check_is_here(&self, reference: &str) -> Result<(), Error> {
        if !reference.starts_with("arn:") || reference.starts_with(&self.0.identity.arn("lambda", "")) {
            return Ok(());
        }
        Err(Error::NotFound { what: "function", name: reference.to_owned() })
    }

    /// `GetFunction`; by name or ARN.
    pub fn function(&self, name: &str) -> Result<Function, Error> {
        self.check_is_here(name)?;
        let functions = self.functions();
        let function = functions.get(self.name_in(name));
        let found = match self.qualifier_in(name) {
            Some(qualifier) => function.and_then(|function| function.qualified(qualifier)),
            None => function.cloned(),
        };
        found.ok_or_else(|| self.not_found(name))
    }

    /// Where the package of a function can be fetched without a signature (`Code.Location` of `GetFunction`): at a URL that
    /// nobody guesses.
    pub fn code_location(&self, function: &Function) -> String {
        let endpoint = self.0.endpoint_url.get().map(String::as_str).unwrap_or_default();
        format!("{endpoint}/{}/{}:{}", self.0.code_prefix, function.name, function.version)
    }

    /// The package whose path this is, if it is one.
    pub fn code_at(&self, path: &str) -> Option<Vec<u8>> {
        let (prefix, name) = path.strip_prefix('/')?.split_once('/')?;
        let found = (prefix == self.0.code_prefix).then(|| self.function(name))?;
        found.ok()?.package.zip().ok()
    }

    /// `PublishVersion`: code and configuration as they are now, under a number that stays theirs. If the last version is just that,
    /// it is the answer.
    pub fn publish(&self, name: &str, code_sha256: Option<&str>) -> Result<Function, Error> {
        let pool = self.new_pool();
        let mut published = None;
        self.change(name, false, |function| {
            if function.last_update_status() == "InProgress" {
                return Err(busy(function));
            }
            let present = function.code_sha256();
            if let Some(expected) = code_sha256.filter(|expected| *expected != present) {
                let reason = format!(
                    "CodeSHA256 ({expected}) is different from current CodeSHA256 in $LATEST ({present}). Please try again with the CodeSHA256 in $LATEST."
                );
                return Err(Error::InvalidParameter { reason });
            }
            if !function.versions.last().is_some_and(|last| last.runs_as(function)) {
                let version = (function.versions.len() + 1).to_string();
                let (aliases, versions) = (BTreeMap::new(), Vec::new());
                function.versions.push(Function { version, pool, aliases, versions, ..function.clone() });
            }
            published = function.versions.last().and_then(|last| function.qualified(&last.version));
            Ok(())
        })?;
        published.ok_or_else(|| self.not_found(name))
    }

    /// `ListVersionsByFunction`.
    pub fn versions(&self, name: &str) -> Result<Vec<Function>, Error> {
        let function = self.function(name)?;
        let published = function.versions.iter().filter_map(|version| function.qualified(&version.version));
        Ok(function.qualified(function::LATEST).into_iter().chain(published).collect())
    }

    /// `CreateAlias`: a name for a version.
    pub fn create_alias(&self, name: &str, alias: &str, version: &str) -> Result<(), Error> {
        self.change(name, false, |function| {
            if function.qualified(version).is_none() {
                return Err(Error::NotFound { what: "version", name: format!("{}:{version}", function.arn) });
            }
            function.aliases.insert(alias.to_owned(), version.to_owned());
            Ok(())
        })
        .map(drop)
    }

    /// `ListFunctions`.
    pub fn list(&self) -> Vec<Function> {
        self.functions().values().cloned().collect()
    }

    /// Changes a function. Environments that run by now finish their invocation and are not used again if `restart`.
    fn change(
        &self,
        name: &str,
        restart: bool,
        change: impl FnOnce(&mut Function) -> Result<(), Error>,
    ) -> Result<Function, Error> {
        self.check_is_here(name)?;
        if restart && let Some(qualifier) = self.qualifier_in(name) {
            let reason = format!("a version cannot be changed: {qualifier}");
            return Err(Error::InvalidParameter { reason });
        }
        let mut functions = self.functions();
        let function = functions.get_mut(self.name_in(name)).ok_or_else(|| self.not_found(name))?;
        if restart && function.last_update_status() == "InProgress" {
            return Err(busy(function));
        }
        change(function)?;
        function.revision = self.revision();
        if restart {
            function.modified = SystemTime::now();
            function.updated = Some(Instant::now());
            function.pool = self.new_pool();
        }
        Ok(function.clone())
    }

    /// `UpdateFunctionCode`.
    pub fn update_code(&self, name: &str, zip: &[u8], architecture: Option<&str>) -> Result<Function, Error> {
        self.change(name, true, |function| {
            function.package = Arc::new(Package::unpack(zip)?);
            if let Some(architecture) = architecture {
                function.architecture = architecture.to_owned();
            }
            Ok(())
        })
    }

    /// `UpdateFunctionConfiguration`: `update` changes a copy, which counts if it is valid.
    pub fn update_configuration(
        &self,
        name: &str,
        update: impl FnOnce(&mut Configuration),
    ) -> Result<Function, Error> {
        let mut configuration = self.function(name)?.configuration;
        let role = configuration.role.clone();
        update(&mut configuration);
        configuration.check()?;
        if configuration.role != role {
            self.check_role(&configuration.role)?;
        }
        self.change(name, true, |function| {
            function.configuration = configuration;
            Ok(())
        })
    }

    /// `DeleteFunction`.
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        self.check_is_here(name)?;
        self.functions().remove(self.name_in(name)).map(drop).ok_or_else(|| self.not_found(name))
    }

    /// `AddPermission`: returns the statement.
    pub fn add_permission(&self, name: &str, permission: Permission) -> Result<Value, Error> {
        let mut statement = Value::Null;
        self.change(name, false, |function| {
            let is_same = |known: &Permission| {
                known.statement_id == permission.statement_id && known.qualifier == permission.qualifier
            };
            if function.permissions.iter().any(is_same) {
                return Err(Error::Conflict {
                    reason: format!(
                        "The statement id ({}) provided already exists. Please provide a new statement id, or remove the existing statement.",
                        permission.statement_id
                    ),
                });
            }
            statement = permission.statement(&function.arn);
            function.permissions.push(permission);
            Ok(())
        })?;
        Ok(statement)
    }

    /// `RemovePermission`.
    pub fn remove_permission(&self, name: &str, statement_id: &str) -> Result<(), Error> {
        let qualifier = self.qualifier_in(name);
        self.change(name, false, |function| {
            let before = function.permissions.len();
            function.permissions.retain(|permission| {
                permission.statement_id != statement_id || permission.qualifier.as_deref() != qualifier
            });
            if function.permissions.len() == before {
                return Err(Error::NotFound { what: "statement", name: statement_id.to_owned() });
            }
            Ok(())
        })
        .map(drop)
    }

    /// `GetPolicy`: the document, which does not exist without statements.
    pub fn policy(&self, name: &str) -> Result<Value, Error> {
        let function = self.function(name)?;
        let qualifier = self.qualifier_in(name);
        let permissions = function.permissions.iter().filter(|p| p.qualifier.as_deref() == qualifier);
        let arn = self.0.identity.arn("lambda", &format!("function:{}", function.name));
        let statements: Vec<_> = permissions.map(|permission| permission.statement(&arn)).collect();
        if statements.is_empty() {
            return Err(Error::NotFound { what: "policy of function", name: function.arn });
        }
        Ok(json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }))
    }

    /// Whether the function's policy lets `service` invoke it on behalf of `source_arn`, a resource of this account.
    pub fn permits(&self, name: &str, service: &str, source_arn: &str) -> Result<bool, Error> {
        let function = self.function(name)?;
        let (account, qualifier) = (&self.0.identity.account_id, self.qualifier_in(name));
        let mut permissions = function.permissions.iter().filter(|p| p.qualifier.as_deref() == qualifier);
        Ok(permissions.any(|permission| permission.allows(service, source_arn, account)))
    }

    /// `PutFunctionEventInvokeConfig`, or with `None` its deletion.
    pub fn set_event_invoke(&self, name: &str, config: Option<EventInvokeConfig>) -> Result<Function, Error> {
        self.change(name, false, |function| {
            function.event_invoke = config;
            Ok(())
        })
    }

    /// Changes the tags of a function.
    pub fn change_tags(
        &self,
        name: &str,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<(), Error> {
        self.change(name, false, |function| {
            change(&mut function.tags);
            Ok(())
        })
        .map(drop)
    }

    /// `PutFunctionConcurrency`, or with `None` its deletion.
    pub fn set_reserved_concurrency(&self, name: &str, reserved: Option<u32>) -> Result<(), Error> {
        self.change(name, false, |function| {
            function.reserved_concurrency = reserved;
            Ok(())
        })
        .map(drop)
    }

    /// The function whose credentials have this access key id.
    pub fn function_with_access_key(&self, access_key_id: &str) -> Option<String> {
        self.functions().keys().find(|name| access_key_of(name) == access_key_id).cloned()
    }
}

impl LambdaHost {
    /// The secret access key and the session token that a function's environment gets. They hold as long as the testbed runs.
    pub(crate) fn role_keys(&self, name: &str) -> (String, String) {
        let derived = |what| hex::encode(Sha256::digest(format!("{} {what} {name}", self.0.role_secret)));
        (derived("secret access key"), derived("session token"))
    }
}

fn busy(function: &Function) -> Error {
    Error::Conflict {
        reason: format!(
            "The operation cannot be performed at this time. An update is in progress for resource: {}",
            function.arn
        ),
    }
}

/// The access key id that a function's environment gets: in the form of a role's temporary one, and telling the function.
fn access_key_of(name: &str) -> String {
    format!("ASIA{}", hex::encode_upper(&Sha256::digest(name)[..8]))
}
