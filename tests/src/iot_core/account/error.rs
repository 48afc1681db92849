//! Why the account refuses a call. The control plane turns each into AWS's error type and status.

/// Programs take the id of a certificate out of the message, because AWS does not always give it apart.
fn already_exists(what: &str, id: &str) -> String {
    match what.ends_with("certificate") {
        true => format!("already exists. ID:{id}"),
        false => format!("{id} already exists"),
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not there.
    #[error("{what} {name} does not exist")]
    NotFound {
        /// The kind of resource.
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// It is there already, and differs from what was asked for where that matters.
    #[error("{what} {}", already_exists(what, id))]
    AlreadyExists {
        /// The kind of resource.
        what: &'static str,
        /// Its name or id.
        id: String,
        /// Its ARN.
        arn: String,
    },
    /// A value in the request is wrong, or the request is not possible in the present state.
    #[error("{reason}")]
    InvalidRequest {
        /// What is wrong.
        reason: String,
    },
    /// The state of a certificate does not permit the call.
    #[error("certificate {id}: {reason}")]
    CertificateState {
        /// Certificate id.
        id: String,
        /// Which state, and which is needed.
        reason: String,
    },
    /// Not a certificate, or not one that can be used for this.
    #[error("the certificate is not valid: {reason}")]
    CertificateValidation {
        /// What is wrong with it.
        reason: String,
    },
    /// The verification certificate does not carry this account's registration code.
    #[error("the verification certificate's common name {found:?} is not the registration code")]
    RegistrationCode {
        /// The common name found.
        found: String,
    },
    /// More than one registered CA could have issued the certificate.
    #[error("more than one registered CA certificate has the issuer's subject: name the CA certificate")]
    CertificateConflict,
    /// Something still depends on it.
    #[error("cannot delete {what} {name}: {reason}")]
    DeleteConflict {
        /// The kind of resource.
        what: &'static str,
        /// Its name or id.
        name: String,
        /// What depends on it.
        reason: String,
    },
    /// The testbed cannot do it.
    #[error("{reason}")]
    Internal {
        /// Why.
        reason: String,
    },
    /// The connectivity of things is not indexed.
    #[error(
        "the connectivity of things is not indexed: UpdateIndexingConfiguration with thingConnectivityIndexingMode STATUS"
    )]
    IndexNotReady,
    /// The policy document cannot be used.
    #[error("policy document: {reason}")]
    MalformedPolicy {
        /// What is wrong with it.
        reason: String,
    },
    /// A limit of the account.
    #[error("limit exceeded: {limit}")]
    LimitExceeded {
        /// Which limit.
        limit: String,
    },
    /// Five versions of a policy, and not one more.
    #[error("policy {policy} already has five versions")]
    VersionsLimitExceeded {
        /// Policy name.
        policy: String,
    },
    /// The resource changed since the version that the caller expects.
    #[error("{name} has version {actual}, not {expected}")]
    VersionConflict {
        /// Thing name.
        name: String,
        /// The version expected.
        expected: u64,
        /// The version found.
        actual: u64,
    },
    /// The rule's SQL.
    #[error("cannot parse the SQL statement: {reason}")]
    SqlParse {
        /// What is wrong with it.
        reason: String,
    },
    /// AWS answers like this, and not with "not found", when a rule does not exist.
    #[error("access to topic rule '{name}' was denied")]
    RuleAccessDenied {
        /// Rule name.
        name: String,
    },
    /// IAM's words for "not found".
    #[error("the {what} {name} cannot be found")]
    NoSuchEntity {
        /// The kind of entity.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// IAM's words for "already exists".
    #[error("{what} with name {name} already exists")]
    EntityAlreadyExists {
        /// The kind of entity.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A queue of that name has other attributes.
    #[error("A queue already exists with the same name and a different value for an attribute: {name}")]
    QueueNameExists {
        /// Its name.
        name: String,
    },
    /// CloudWatch's words for a value that is wrong.
    #[error("1 validation error detected: {reason}")]
    Validation {
        /// What is wrong.
        reason: String,
    },
    /// CloudWatch's words for "not found".
    #[error("the alarm {name} does not exist")]
    AlarmNotFound {
        /// Its name.
        name: String,
    },
    /// SQS's words for "not found".
    #[error("the specified queue {name} does not exist")]
    QueueDoesNotExist {
        /// Queue name or URL.
        name: String,
    },
}
