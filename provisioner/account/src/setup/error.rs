//! Why the account cannot be set up, beside errors of single calls.

use super::package::{self, Glibc};
use crate::Error as AccountError;

/// Why the account cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither a function nor a package to make one of.
    #[error("there is no function `{name}` in this account and Region")]
    NoFunction {
        /// As given.
        name: String,
    },
    /// A rule that is to be disabled and is not there.
    #[error("there is no topic rule `{name}` in this account and Region")]
    NoRule {
        /// As given.
        name: String,
    },
    /// A rule that is to be disabled and has nothing to do with registrations, or is the one that invokes the function.
    #[error("the topic rule `{name}` is no other rule that gets the events of registrations")]
    OtherEvents {
        /// As given.
        name: String,
    },
    /// It is an ARN of another partition, Region or account.
    #[error("the function {name} is not of {here}, which this run is about")]
    Elsewhere {
        /// The ARN.
        name: String,
        /// The run's partition, Region and account, as an ARN begins.
        here: String,
    },
    /// Lambda could not make it runnable.
    #[error("the function `{name}` cannot run: {reason}")]
    FunctionBroken {
        /// Name or ARN.
        name: String,
        /// What Lambda says.
        reason: String,
    },
    /// It is still not active.
    #[error("the function `{name}` was not ready after {seconds} s")]
    FunctionSlow {
        /// Name or ARN.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A version does not change, and an alias leads to one.
    #[error("the function `{name}` is a version, and cannot be changed: {changes}")]
    Version {
        /// Name or ARN, with the version or the alias.
        name: String,
        /// What is to be changed.
        changes: String,
    },
    /// The package needs a newer C library than its runtime has.
    #[error("the package needs GLIBC {needed}, and the runtime {runtime} has {available}")]
    Glibc {
        /// The newest version that `bootstrap` asks for.
        needed: Glibc,
        /// The runtime that the function gets.
        runtime: String,
        /// The version that the runtime has.
        available: Glibc,
    },
    /// Its variables cannot be decrypted, and AWS replaces them only as a whole.
    #[error("the variables of the function `{name}` cannot be read, so they cannot be changed")]
    HiddenVariables {
        /// Name or ARN.
        name: String,
    },
    /// It would let devices of a CA in only with a revocation list that it does not have.
    #[error("the revocation lists of the function `{name}` keep devices from registering: {problems}")]
    RevocationLists {
        /// Name or ARN.
        name: String,
        /// What is wrong.
        problems: String,
    },
    /// It would let no device in.
    #[error("the admission list {list} of the function `{name}` keeps devices from registering: {problems}")]
    AdmissionList {
        /// Name or ARN.
        name: String,
        /// The list's file or URL.
        list: String,
        /// What is wrong.
        problems: String,
    },
    /// The caller may not make or look at what leads from the rule through a queue to the function.
    #[error("events cannot be delivered through a queue")]
    QueueDenied {
        /// What AWS says.
        source: Box<AccountError>,
    },
    /// The caller may not look at the alarms, or not make them.
    #[error("the alarms of the function cannot be made")]
    AlarmsDenied {
        /// What AWS says.
        source: Box<AccountError>,
    },
    /// The function has a role of its own, which does not let it take events from the queue, or send failed ones.
    #[error("the role {role} of the function does not allow what delivery through a queue needs: {missing}")]
    RoleLacks {
        /// Its name.
        role: String,
        /// Permissions, each with its resource.
        missing: String,
        /// The inline policies that allow them: names and documents.
        policies: Vec<(&'static str, serde_json::Value)>,
    },
    /// Lambda may not take the role.
    #[error("AWS Lambda cannot assume the role {role}")]
    RoleUnusable {
        /// Its ARN.
        role: String,
        /// What Lambda says.
        source: Box<AccountError>,
    },
    /// The CA is registered, and not here.
    #[error("the signer CA {id} is registered in another account of this Region")]
    CaElsewhere {
        /// Its certificate id.
        id: String,
        /// What AWS says.
        source: Box<AccountError>,
    },
    /// Ten CAs with one subject.
    #[error(
        "the account has as many CAs as it may have with this subject name (ten, unless the quota was raised)"
    )]
    TooManyCas {
        /// What AWS says.
        source: Box<AccountError>,
    },
    /// The proof that we have the CA's key did not convince AWS.
    #[error("AWS does not accept the verification certificate of the signer CA")]
    VerificationRefused {
        /// What AWS says.
        source: Box<AccountError>,
    },
    /// The policy that the role needs cannot be made up.
    #[error("the policy of the function's role cannot be built")]
    RolePolicy {
        /// Why.
        source: serde_json::Error,
    },
    /// The policy that devices get cannot be made up.
    #[error("the policy of the devices cannot be built")]
    DevicePolicy {
        /// Why.
        source: jitr::policy::PolicyError,
    },
    /// The function cannot describe things like that.
    #[error("the function cannot describe things like that")]
    Description {
        /// The variable, and what is wrong.
        source: jitr::config::ConfigError,
    },
    /// A name in the function's environment that AWS does not accept.
    #[error("the environment of the function has a name that AWS does not accept")]
    Name(#[from] jitr::name::NameError),
    /// The package cannot be deployed.
    #[error(transparent)]
    Package(#[from] package::Error),
}

impl Error {
    /// What a call about the alarms ended in: without the right to make it, the account works without them.
    pub(crate) fn of_alarms(error: AccountError) -> AccountError {
        match error {
            denied @ AccountError::Denied { .. } => Self::AlarmsDenied { source: denied.into() }.into(),
            other => other,
        }
    }

    /// What a call about the queue ended in: without the right to make it, there is another way.
    pub(crate) fn of_queue(error: AccountError) -> AccountError {
        let is_refused = super::waiting::is_role_too_new(&error);
        match error {
            denied @ AccountError::Denied { .. } => Self::QueueDenied { source: denied.into() }.into(),
            // A role of others that does not let the function take events from the queue.
            refused if is_refused => Self::QueueDenied { source: refused.into() }.into(),
            other => other,
        }
    }
}
