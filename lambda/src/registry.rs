//! The calls to AWS IoT that a registration needs, as a trait: AWS behind one implementation, memory behind another.

pub mod aws;
pub mod genuine;
pub mod layer;
#[cfg(any(test, feature = "test-util"))]
pub mod memory;
pub mod pace;
pub mod pages;
pub mod record;
pub mod retry;

use std::fmt;
use std::future::Future;
use std::time::SystemTime;

use crate::description::Described;
use crate::name::{PolicyName, ThingGroupName, ThingTypeName};
use crate::policy::PolicyDocument;

macro_rules! operations {
    ($($operation:ident)+) => {
        /// The operations of AWS IoT that [`Registry`] uses; nothing else is called.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each is the AWS operation of that name")]
        pub enum Operation {
            $($operation,)+
        }

        impl Operation {
            /// Every operation.
            pub const ALL: [Self; [$(stringify!($operation)),+].len()] = [$(Self::$operation),+];

            /// The name AWS gives the operation.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$operation => stringify!($operation),)+
                }
            }

            /// The IAM action that allows it.
            pub fn action(self) -> &'static str {
                match self {
                    $(Self::$operation => concat!("iot:", stringify!($operation)),)+
                }
            }
        }
    };
}

operations! {
    DescribeCertificate
    DescribeThingType
    CreateThing
    CreateThingType
    AddThingToThingGroup
    AttachThingPrincipal
    ListThingPrincipals
    ListPrincipalThings
    GetPolicy
    CreatePolicy
    AttachPolicy
    ListAttachedPolicies
    UpdateCertificate
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The status of a certificate (`CertificateStatus` of the AWS IoT API).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateStatus {
    /// Devices may connect.
    Active,
    /// Taken out of service by an operator, or registered and not yet put into service.
    Inactive,
    /// Revoked for good.
    Revoked,
    /// On its way to another account.
    PendingTransfer,
    /// Registered by AWS IoT at the device's first connection; waits to be activated.
    PendingActivation,
    /// Deprecated by AWS.
    RegisterInactive,
}

impl CertificateStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Active,
        Self::Inactive,
        Self::Revoked,
        Self::PendingTransfer,
        Self::PendingActivation,
        Self::RegisterInactive,
    ];

    /// The name the AWS API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Revoked => "REVOKED",
            Self::PendingTransfer => "PENDING_TRANSFER",
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::RegisterInactive => "REGISTER_INACTIVE",
        }
    }

    /// The status that the AWS API calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

impl fmt::Display for CertificateStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What AWS IoT knows about a certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateDescription {
    /// ARN of the certificate; it contains partition, Region and account.
    pub arn: String,
    /// Current status.
    pub status: CertificateStatus,
    /// When it was last changed (`lastModifiedDate`).
    pub changed: Option<SystemTime>,
    /// The registered CA that issued it; none if it was registered without a CA or made by AWS.
    pub ca_certificate_id: Option<String>,
    /// The certificate, PEM.
    pub pem: String,
}

impl fmt::Debug for CertificateDescription {
    /// Leaves the certificate's body out, so that it cannot reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateDescription")
            .field("arn", &self.arn)
            .field("status", &self.status)
            .field("ca_certificate_id", &self.ca_certificate_id)
            .finish_non_exhaustive()
    }
}

/// A policy as AWS IoT stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// ARN of the policy.
    pub arn: String,
    /// Default version of the document, JSON.
    pub document: String,
}

/// What AWS IoT knows about a thing type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThingType {
    /// Whether it was deprecated: no new thing can have it.
    pub deprecated: bool,
}

/// How a certificate is attached to a thing (`thingPrincipalType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// The certificate may be attached to other things as well.
    Shared,
    /// The certificate belongs to this one thing (`EXCLUSIVE_THING`).
    Exclusive,
}

/// What kind of failure a call met. It decides what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// `ResourceNotFoundException`.
    NotFound,
    /// `ResourceAlreadyExistsException`: the name is in use with another configuration.
    AlreadyExists,
    /// `LimitExceededException`: a quota that does not refill by itself.
    LimitExceeded,
    /// `CertificateStateException`: the certificate's state does not allow it.
    CertificateState,
    /// `InvalidRequestException`, `MalformedPolicyException`: AWS refuses every repetition.
    Invalid,
    /// Credentials or permissions do not suffice.
    Denied,
    /// `ThrottlingException`: the account's rate is used up for the moment.
    Throttled,
    /// AWS did not answer, or answered with a server error.
    Unavailable,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// Whether the same call can succeed a little later without anybody doing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable)
    }
}

/// A call to AWS IoT that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} failed: {}{message}", code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default())]
pub struct RegistryError {
    /// The call.
    pub operation: Operation,
    /// The kind of failure.
    pub kind: ErrorKind,
    /// The error code AWS answered with, if it answered.
    pub code: Option<String>,
    /// What AWS or the connection said.
    pub message: String,
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, RegistryError>;

/// The registry of AWS IoT, as far as a registration needs it. Each method is one call to AWS.
///
/// Each call is made once; [`retry::Retrying`] asks again what is transient.
pub trait Registry: Sync {
    /// Status, CA and body of a certificate.
    fn describe_certificate(&self, id: &str) -> impl Future<Output = Result<CertificateDescription>> + Send;

    /// Creates a thing with its attributes, in its billing group; succeeds if it exists with the same configuration. `NotFound` if
    /// the thing type or the billing group is missing.
    fn create_thing(
        &self,
        thing: &str,
        thing_type: &ThingTypeName,
        described: &Described,
    ) -> impl Future<Output = Result<()>> + Send;

    /// State of a thing type.
    fn describe_thing_type(
        &self,
        thing_type: &ThingTypeName,
    ) -> impl Future<Output = Result<ThingType>> + Send;

    /// Creates a thing type; succeeds if it exists with the same configuration.
    fn create_thing_type(&self, thing_type: &ThingTypeName) -> impl Future<Output = Result<()>> + Send;

    /// Puts a thing into a group; repeating it is harmless.
    fn add_thing_to_thing_group(
        &self,
        thing: &str,
        group: &ThingGroupName,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Attaches a certificate, named by its ARN, to a thing; repeating it is harmless.
    fn attach_thing_principal(
        &self,
        thing: &str,
        certificate_arn: &str,
        attachment: Attachment,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The ARNs of every principal attached to a thing, all pages.
    fn list_thing_principals(&self, thing: &str) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// The names of the things that a certificate, named by its ARN, is attached to, all pages.
    fn list_principal_things(
        &self,
        certificate_arn: &str,
    ) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// ARN and document of a policy.
    fn get_policy(&self, policy: &PolicyName) -> impl Future<Output = Result<StoredPolicy>> + Send;

    /// Creates a policy; `AlreadyExists` whenever the name is taken, even by the same document.
    fn create_policy(
        &self,
        policy: &PolicyName,
        document: &PolicyDocument,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Attaches a policy to a certificate, named by its ARN; repeating it is harmless.
    fn attach_policy(
        &self,
        policy: &PolicyName,
        certificate_arn: &str,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The names of the policies that are attached to a certificate, the first page of them.
    fn list_attached_policies(
        &self,
        certificate_arn: &str,
    ) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Sets a certificate ACTIVE (`UpdateCertificate`). AWS would reactivate a revoked certificate too: the caller
    /// decides whether it may.
    fn activate_certificate(&self, id: &str) -> impl Future<Output = Result<()>> + Send;
}
