//! Why the account cannot be set up, beyond what a single call ends in.

use miette::Diagnostic;

use super::package;
use crate::ExitCode;
use crate::cloud::Error as CloudError;

/// Why the account cannot be set up.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// Neither a function nor a package to make one of.
    #[error("there is no function `{name}` in this account and Region")]
    #[diagnostic(help(
        "build it with `cargo lambda build --release --output-format zip --bin jitr` and deploy the package with \
         --lambda-zip, or name a function that is deployed with --function"
    ))]
    NoFunction {
        /// As given.
        name: String,
    },
    /// Lambda could not make it runnable.
    #[error("the function `{name}` cannot run: {reason}")]
    #[diagnostic(help("deploy it again with --lambda-zip"))]
    FunctionBroken {
        /// Name or ARN.
        name: String,
        /// What Lambda says.
        reason: String,
    },
    /// It is still not active.
    #[error("the function `{name}` was not ready after {seconds} s")]
    #[diagnostic(help("wait a little and run the same command again; it continues where it stopped"))]
    FunctionSlow {
        /// Name or ARN.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Its variables cannot be decrypted, and AWS replaces them only as a whole.
    #[error("the variables of the function `{name}` cannot be read, so they cannot be changed")]
    #[diagnostic(help(
        "ask for kms:Decrypt on the function's key, or leave --policy-name and --thing-type out"
    ))]
    HiddenVariables {
        /// Name or ARN.
        name: String,
    },
    /// Lambda may not take the role.
    #[error("Lambda cannot take the role {role}")]
    #[diagnostic(help(
        "its trust policy must allow sts:AssumeRole for lambda.amazonaws.com; or give another with --role-arn"
    ))]
    RoleUnusable {
        /// Its ARN.
        role: String,
        /// What Lambda says.
        source: Box<CloudError>,
    },
    /// The CA is registered, and not here.
    #[error("the signer CA {id} is registered in another account of this Region")]
    #[diagnostic(help(
        "a CA belongs to one account in a Region, unless each account registers it with --sni-only: do so, delete it \
         there, or make another CA with `provisioner ca create --home DIR`"
    ))]
    CaElsewhere {
        /// Its certificate id.
        id: String,
        /// What AWS says.
        source: Box<CloudError>,
    },
    /// Ten CAs with one subject.
    #[error(
        "the account has as many CAs as it may have with this subject name (ten, unless the quota was raised)"
    )]
    #[diagnostic(help(
        "delete CAs that are not used any more, or give the signer another name: `provisioner ca create --signer-cn NAME`"
    ))]
    TooManyCas {
        /// What AWS says.
        source: Box<CloudError>,
    },
    /// The proof that we have the CA's key did not convince AWS.
    #[error("AWS does not accept the verification certificate of the signer CA")]
    #[diagnostic(help("run the same command again; it makes a new one"))]
    VerificationRefused {
        /// What AWS says.
        source: Box<CloudError>,
    },
    /// The policy that the role needs cannot be made up.
    #[error("the policy of the function's role cannot be made up")]
    #[diagnostic(help("this is a fault of the program"))]
    RolePolicy {
        /// Why.
        source: serde_json::Error,
    },
    /// The policy that devices get cannot be made up.
    #[error("the policy that devices get cannot be made up")]
    #[diagnostic(help("give a document of at most 2048 characters without white space, or leave it out"))]
    DevicePolicy {
        /// Why.
        source: jitr::policy::PolicyError,
    },
    /// A name in the function's environment that AWS does not accept.
    #[error("the environment of the function has a name that AWS does not accept")]
    #[diagnostic(help(
        "mend the variable in the function's configuration, or set it with --policy-name or --thing-type"
    ))]
    Name(#[from] jitr::name::NameError),
    /// The package cannot be deployed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Package(#[from] package::Error),
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Package(_) => ExitCode::Usage,
            _ => ExitCode::Aws,
        }
    }
}
