//! The state of one AWS account in one Region, without any I/O: what the control plane changes and the gateway reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::policy;

mod alarms;
mod authorities;
mod billing_groups;
mod certificates;
mod effective;
mod error;
mod issuing;
mod keys;
mod links;
mod notes;
mod page;
mod policies;
mod queues;
mod roles;
mod sessions;
mod settings;
mod tags;
mod things;
mod topic_rules;
mod user_policy;
pub mod x509;

pub use alarms::Alarm;
pub use authorities::{Authority, CertificateMode, RegisterAuthority, UpdateAuthority};
pub use billing_groups::BillingGroup;
pub use certificates::{Certificate, Presented, Status};
pub use error::Error;
pub use issuing::Issued;
pub use keys::Key;
pub use page::{Page, PageRequest, paginate};
pub use policies::{Policy, PolicyVersion};
pub use queues::{Message, Queue};
pub use roles::Role;
pub use sessions::{Proof, Session};
pub use settings::{Indexing, LogLevel, Logging, Settings};
pub use things::{Thing, ThingGroup, ThingType};
pub use topic_rules::TopicRule;

use issuing::Issuer;
use links::Links;
use notes::Notes;

/// Who the account is and where: 12 digits and a Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account id, 12 digits.
    pub account_id: String,
    /// The Region, for example `us-east-1`.
    pub region: String,
}

impl Identity {
    /// The partition that the Region belongs to.
    pub fn partition(&self) -> &'static str {
        match self.region.as_str() {
            r if r.starts_with("cn-") => "aws-cn",
            r if r.starts_with("us-gov-") => "aws-us-gov",
            r if r.starts_with("us-isob-") => "aws-iso-b",
            r if r.starts_with("us-iso-") => "aws-iso",
            r if r.starts_with("eusc-") => "aws-eusc",
            _ => "aws",
        }
    }

    /// The ARN of a resource of a Regional service.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition(), self.region, self.account_id)
    }

    /// The ARN of an IAM resource, which belongs to no Region.
    pub fn iam_arn(&self, resource: &str) -> String {
        format!("arn:{}:iam::{}:{resource}", self.partition(), self.account_id)
    }
}

/// What AWS does in its own time, and how much time that is here.
#[derive(Clone, Debug)]
pub struct Delays {
    /// From the deprecation of a thing type until it may be deleted; five minutes in AWS.
    pub thing_type_deletion: Duration,
    /// From the creation of a role until Lambda can assume it; seconds in AWS.
    pub role_propagation: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self { thing_type_deletion: Duration::from_secs(300), role_propagation: Duration::from_millis(200) }
    }
}

/// One account in one Region.
#[derive(Debug)]
pub struct Account {
    identity: Identity,
    delays: Delays,
    endpoint: String,
    sequence: u64,
    authorities: BTreeMap<String, Authority>,
    /// Ids of the CA certificates that other accounts of the Region have for themselves.
    taken_authorities: BTreeSet<String>,
    certificates: HashMap<String, Certificate>,
    /// Ids of the certificates in the order of registration.
    certificate_order: BTreeMap<String, String>,
    /// The same for each CA certificate.
    certificates_by_ca: HashMap<String, BTreeMap<String, String>>,
    /// Told whenever the status of a certificate changes.
    certificate_changes: watch::Sender<()>,
    policies: BTreeMap<String, Policy>,
    things: BTreeMap<String, Thing>,
    thing_types: BTreeMap<String, ThingType>,
    thing_groups: BTreeMap<String, ThingGroup>,
    billing_groups: billing_groups::BillingGroups,
    topic_rules: BTreeMap<String, TopicRule>,
    /// Policy name to target ARN.
    policy_targets: Links<()>,
    /// Principal ARN to thing name: attached exclusively.
    thing_principals: Links<bool>,
    tags: BTreeMap<String, BTreeMap<String, String>>,
    roles: BTreeMap<String, Role>,
    /// What the account's user may do, if not everything.
    user_policy: Option<policy::Policy>,
    /// What the policy has allowed.
    used_actions: BTreeSet<String>,
    /// By access key id.
    sessions: BTreeMap<String, Session>,
    /// Devices and the codes of them that were used.
    used_codes: BTreeSet<(String, String)>,
    queues: BTreeMap<String, Queue>,
    alarms: BTreeMap<String, Alarm>,
    keys: BTreeMap<String, Key>,
    settings: Settings,
    /// The CA that AWS IoT issues certificates with, once it has issued one.
    issuer: Option<Issuer>,
    notes: Notes,
}

impl Account {
    /// An empty account whose devices connect to the host `endpoint`.
    pub fn new(identity: Identity, endpoint: impl Into<String>, delays: Delays) -> Self {
        Self {
            identity,
            delays,
            endpoint: endpoint.into(),
            sequence: 0,
            authorities: BTreeMap::new(),
            taken_authorities: BTreeSet::new(),
            certificates: HashMap::new(),
            certificate_order: BTreeMap::new(),
            certificates_by_ca: HashMap::new(),
            certificate_changes: watch::Sender::default(),
            policies: BTreeMap::new(),
            things: BTreeMap::new(),
            thing_types: BTreeMap::new(),
            thing_groups: BTreeMap::new(),
            billing_groups: BTreeMap::new(),
            topic_rules: BTreeMap::new(),
            policy_targets: Links::default(),
            thing_principals: Links::default(),
            tags: BTreeMap::new(),
            roles: BTreeMap::new(),
            user_policy: None,
            used_actions: BTreeSet::new(),
            sessions: BTreeMap::new(),
            used_codes: BTreeSet::new(),
            queues: BTreeMap::new(),
            alarms: BTreeMap::new(),
            keys: BTreeMap::new(),
            settings: Settings::default(),
            issuer: None,
            notes: Notes::default(),
        }
    }

    /// Account id and Region.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The host that devices connect to, by `endpointType` of `DescribeEndpoint`. Only `iot:Data-ATS` is the one whose
    /// certificate devices can check, so the others differ, as they do in AWS.
    pub fn endpoint(&self, endpoint_type: &str) -> Result<String, Error> {
        match endpoint_type {
            "iot:Data-ATS" => Ok(self.endpoint.clone()),
            "iot:Data" | "" => Ok(format!("legacy.{}", self.endpoint)),
            "iot:CredentialProvider" => Ok(format!("credentials.{}", self.endpoint)),
            "iot:Jobs" => Ok(format!("jobs.{}", self.endpoint)),
            other => Err(Error::InvalidRequest { reason: format!("endpoint type {other:?} is not known") }),
        }
    }

    /// The registration code: 64 hex digits, the same for ever in one account and Region.
    pub fn registration_code(&self) -> String {
        let seed = format!("registration code of {} in {}", self.identity.account_id, self.identity.region);
        hex::encode(Sha256::digest(seed))
    }

    /// A number that grows with each thing created: the order of creation.
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// An identifier in the form of a UUID, unique in this account.
    fn unique_id(&mut self, kind: &str) -> String {
        let seed = format!("{kind} {} of {}", self.next(), self.identity.account_id);
        crate::uuid::of(&seed)
    }
}

/// Refuses a name that is empty, longer than `longest` characters, or has a character outside letters, digits and `extra`.
fn check_name(what: &'static str, name: &str, longest: usize, extra: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    if name.is_empty() || name.chars().count() > longest || !name.chars().all(allowed) {
        return Err(Error::InvalidRequest {
            reason: format!("{what} {name:?} must have 1 to {longest} characters out of a-z A-Z 0-9 {extra}"),
        });
    }
    Ok(())
}

/// Seconds since 1970, the form of a time in AWS's JSON.
pub fn epoch(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map(|d| d.as_millis() as f64 / 1000.0).unwrap_or_default()
}
