//! Policies, their versions, and what they are attached to.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::Value;

use super::{Account, Error, Page, PageRequest, check_name, paginate};
use crate::iot_core::policy as evaluated;

/// Size of a policy document without white space, in characters.
const DOCUMENT_LIMIT: usize = 2048;
/// Versions of one policy.
const VERSION_LIMIT: usize = 5;
/// Policies attached to one certificate.
const ATTACHMENT_LIMIT: usize = 10;

/// One version of a policy.
#[derive(Clone, Debug)]
pub struct PolicyVersion {
    /// Counts from 1 and is never used again.
    pub id: u32,
    /// The document, as it was given.
    pub document: String,
    /// When it was made.
    pub created: SystemTime,
}

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Its versions, one to five.
    pub versions: Vec<PolicyVersion>,
    /// The version in force.
    pub default: u32,
    /// When it was created.
    pub created: SystemTime,
    /// When it was changed.
    pub modified: SystemTime,
    last_version: u32,
}

impl Policy {
    /// The version in force.
    pub fn document(&self) -> &str {
        let version = self.versions.iter().find(|version| version.id == self.default);
        version.map(|version| version.document.as_str()).unwrap_or_default()
    }

    fn version(&self, id: u32) -> Result<&PolicyVersion, Error> {
        self.versions
            .iter()
            .find(|version| version.id == id)
            .ok_or_else(|| Error::NotFound { what: "policy version", name: format!("{}:{id}", self.name) })
    }
}

impl Account {
    /// The ARN of a policy.
    pub fn policy_arn(&self, name: &str) -> String {
        self.identity.arn("iot", &format!("policy/{name}"))
    }

    /// `CreatePolicy`. A name that exists is refused, even with the same document.
    pub fn create_policy(&mut self, name: &str, document: &str) -> Result<&Policy, Error> {
        check_name("policy name", name, 128, "_+=,.@-")?;
        check_document(document)?;
        self.note_unknown(name, document);
        if self.policies.contains_key(name) {
            let arn = self.policy_arn(name);
            return Err(Error::AlreadyExists { what: "policy", id: name.to_owned(), arn });
        }
        let now = SystemTime::now();
        let policy = Policy {
            name: name.to_owned(),
            versions: vec![PolicyVersion { id: 1, document: document.to_owned(), created: now }],
            default: 1,
            created: now,
            modified: now,
            last_version: 1,
        };
        Ok(self.policies.entry(name.to_owned()).or_insert(policy))
    }

    /// `GetPolicy`.
    pub fn policy(&self, name: &str) -> Result<&Policy, Error> {
        self.policies.get(name).ok_or_else(|| Error::NotFound { what: "policy", name: name.to_owned() })
    }

    fn policy_mut(&mut self, name: &str) -> Result<&mut Policy, Error> {
        self.policies.get_mut(name).ok_or_else(|| Error::NotFound { what: "policy", name: name.to_owned() })
    }

    /// `GetPolicyVersion`.
    pub fn policy_version(&self, name: &str, id: &str) -> Result<(&Policy, &PolicyVersion), Error> {
        let policy = self.policy(name)?;
        Ok((policy, policy.version(version_number(id)?)?))
    }

    /// `ListPolicies`.
    pub fn list_policies(&self, request: &PageRequest) -> Result<Page<&Policy>, Error> {
        paginate(&self.policies, request, |_, policy| Some(policy))
    }

    /// `DeletePolicy`: not while it is attached or has versions other than the default one.
    pub fn delete_policy(&mut self, name: &str) -> Result<(), Error> {
        let versions = self.policy(name)?.versions.len();
        let conflict = |reason: &str| {
            Err(Error::DeleteConflict { what: "policy", name: name.to_owned(), reason: reason.to_owned() })
        };
        if !self.policy_targets.from(name).is_empty() {
            return conflict("it is attached to a target");
        }
        if versions > 1 {
            return conflict("it has versions other than the default one");
        }
        self.policies.remove(name);
        self.tags.remove(&self.policy_arn(name));
        Ok(())
    }

    /// `CreatePolicyVersion`: returns the version's number.
    pub fn create_policy_version(
        &mut self,
        name: &str,
        document: &str,
        as_default: bool,
    ) -> Result<u32, Error> {
        self.policy(name)?;
        check_document(document)?;
        self.note_unknown(name, document);
        let policy = self.policy_mut(name)?;
        if policy.versions.len() >= VERSION_LIMIT {
            return Err(Error::VersionsLimitExceeded { policy: name.to_owned() });
        }
        policy.last_version += 1;
        let id = policy.last_version;
        policy.modified = SystemTime::now();
        policy.versions.push(PolicyVersion { id, document: document.to_owned(), created: policy.modified });
        if as_default {
            policy.default = id;
        }
        Ok(id)
    }

    /// `DeletePolicyVersion`: not the default one.
    pub fn delete_policy_version(&mut self, name: &str, id: &str) -> Result<(), Error> {
        let policy = self.policy_mut(name)?;
        let id = policy.version(version_number(id)?)?.id;
        if id == policy.default {
            return Err(Error::DeleteConflict {
                what: "policy version",
                name: format!("{name}:{id}"),
                reason: "it is the default version".into(),
            });
        }
        policy.versions.retain(|version| version.id != id);
        Ok(())
    }

    /// `SetDefaultPolicyVersion`.
    pub fn set_default_policy_version(&mut self, name: &str, id: &str) -> Result<(), Error> {
        let policy = self.policy_mut(name)?;
        policy.default = policy.version(version_number(id)?)?.id;
        policy.modified = SystemTime::now();
        Ok(())
    }

    /// `AttachPolicy`: repeating it is harmless.
    pub fn attach_policy(&mut self, name: &str, target: &str) -> Result<(), Error> {
        self.policy(name)?;
        self.check_target(target)?;
        let attached = self.policy_targets.to(target);
        if attached.len() >= ATTACHMENT_LIMIT && !attached.contains_key(name) {
            return Err(Error::LimitExceeded {
                limit: format!("{ATTACHMENT_LIMIT} policies attached to {target}"),
            });
        }
        self.policy_targets.insert(name, target, ());
        Ok(())
    }

    /// `DetachPolicy`: repeating it is harmless.
    pub fn detach_policy(&mut self, name: &str, target: &str) -> Result<(), Error> {
        if !self.policies.contains_key(name) {
            return Err(Error::InvalidRequest { reason: format!("policy {name} does not exist") });
        }
        self.policy_targets.remove(name, target);
        Ok(())
    }

    /// `ListAttachedPolicies`.
    pub fn attached_policies(&self, target: &str, request: &PageRequest) -> Result<Page<&Policy>, Error> {
        self.check_target(target)?;
        paginate(self.policy_targets.to(target), request, |name, ()| self.policies.get(name))
    }

    /// `ListTargetsForPolicy`.
    pub fn policy_targets(&self, name: &str, request: &PageRequest) -> Result<Page<&str>, Error> {
        self.policy(name)?;
        paginate(self.policy_targets.from(name), request, |target, ()| Some(target))
    }

    /// `ListAttachedPolicies` with `recursive`: those of the groups above a thing group, too.
    pub fn attached_policies_above(
        &self,
        target: &str,
        request: &PageRequest,
    ) -> Result<Page<&Policy>, Error> {
        let Some(group) = target.strip_prefix(&self.thing_group_arn("")) else {
            return self.attached_policies(target, request);
        };
        self.thing_group(group)?;
        let names = self.group_policies(group).into_iter();
        let policies: BTreeMap<String, &Policy> =
            names.filter_map(|name| Some((name.to_owned(), self.policies.get(name)?))).collect();
        paginate(&policies, request, |_, &policy| Some(policy))
    }

    /// `ListPolicyPrincipals`: the certificates that a policy is attached to.
    pub fn policy_principals(&self, name: &str, request: &PageRequest) -> Result<Page<&str>, Error> {
        self.policy(name)?;
        let prefix = self.certificate_arn("");
        paginate(self.policy_targets.from(name), request, |target, ()| {
            target.starts_with(&prefix).then_some(target)
        })
    }

    /// Has those parts of a policy told that are not evaluated here.
    fn note_unknown(&mut self, name: &str, document: &str) {
        match evaluated::Policy::parse(document) {
            Ok(policy) => policy.unknown().iter().for_each(|unknown| {
                self.note(format!(
                    "policy {name} has {unknown}, which the testbed does not evaluate: an Allow with it never applies, a Deny always"
                ));
            }),
            Err(error) => self.note(format!("policy {name} cannot be evaluated here, and denies everything: {error}")),
        }
    }

    /// A target of a policy is a certificate or a thing group that exists.
    fn check_target(&self, arn: &str) -> Result<(), Error> {
        let prefix = self.identity.arn("iot", "");
        match arn.strip_prefix(&prefix).and_then(|resource| resource.split_once('/')) {
            Some(("cert", id)) => self.certificate(id).map(drop),
            Some(("thinggroup", name)) => self.thing_group(name).map(drop),
            _ => Err(Error::InvalidRequest {
                reason: format!("{arn:?} is not the ARN of a certificate or thing group of this account"),
            }),
        }
    }
}

fn version_number(id: &str) -> Result<u32, Error> {
    id.parse().map_err(|_| Error::InvalidRequest { reason: format!("policy version {id:?} is not a number") })
}

/// Refuses what AWS refuses: not JSON, no statements, statements without effect, action and resource, too long.
fn check_document(document: &str) -> Result<(), Error> {
    let malformed = |reason: String| Err(Error::MalformedPolicy { reason });
    let value: Value = match serde_json::from_str(document) {
        Ok(value) => value,
        Err(e) => return malformed(format!("not JSON: {e}")),
    };
    let size = document.chars().filter(|c| !c.is_whitespace()).count();
    if size > DOCUMENT_LIMIT {
        return malformed(format!("{size} characters without white space, {DOCUMENT_LIMIT} are allowed"));
    }
    if value["Version"] != "2012-10-17" && value["Version"] != "2008-10-17" {
        return malformed("Version must be 2012-10-17".into());
    }
    let statements: Vec<&Value> = match &value["Statement"] {
        Value::Array(statements) if !statements.is_empty() => statements.iter().collect(),
        statement @ Value::Object(_) => vec![statement],
        _ => return malformed("Statement must hold at least one statement".into()),
    };
    for (index, statement) in statements.into_iter().enumerate() {
        if statement["Effect"] != "Allow" && statement["Effect"] != "Deny" {
            return malformed(format!("statement {index}: Effect must be Allow or Deny"));
        }
        for element in ["Action", "Resource"] {
            let listed = |list: &Vec<Value>| !list.is_empty() && list.iter().all(Value::is_string);
            if !(statement[element].is_string() || statement[element].as_array().is_some_and(listed)) {
                return malformed(format!(
                    "statement {index}: {element} must be a string or a list of strings"
                ));
            }
        }
    }
    Ok(())
}
