//! IAM roles, as far as a Lambda function needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde_json::Value;

use super::{Account, Error, check_name};

/// An IAM role.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its id, `AROA…`.
    pub id: String,
    /// Its path, `/` unless given.
    pub path: String,
    /// Who may assume it (JSON text).
    pub trust: String,
    /// What it is for.
    pub description: Option<String>,
    /// Inline policies: name → document.
    pub inline: BTreeMap<String, String>,
    /// ARNs of attached managed policies.
    pub attached: BTreeSet<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was created.
    pub created: SystemTime,
    /// When its inline policies were changed.
    changed: SystemTime,
}

impl Account {
    /// The ARN of a role.
    pub fn role_arn(&self, role: &Role) -> String {
        self.identity.iam_arn(&format!("role{}{}", role.path, role.name))
    }

    /// `CreateRole`.
    pub fn create_role(
        &mut self,
        name: &str,
        path: Option<&str>,
        trust: &str,
        description: Option<&str>,
        tags: BTreeMap<String, String>,
    ) -> Result<&Role, Error> {
        check_name("role name", name, 64, "_+=,.@-")?;
        check_json(trust)?;
        if self.roles.contains_key(name) {
            return Err(Error::EntityAlreadyExists { what: "Role", name: name.to_owned() });
        }
        let id = format!("AROA{}", &hex::encode_upper(self.unique_id("role"))[..17]);
        let role = Role {
            name: name.to_owned(),
            id,
            path: path.unwrap_or("/").to_owned(),
            trust: trust.to_owned(),
            description: description.map(str::to_owned),
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
            tags,
            created: SystemTime::now(),
            changed: SystemTime::now(),
        };
        Ok(self.roles.entry(name.to_owned()).or_insert(role))
    }

    /// Makes a role one that was created long enough ago for services to assume it.
    pub fn spread_role(&mut self, name: &str) -> Result<(), Error> {
        let delay = self.delays.role_propagation;
        let role = self.role_mut(name)?;
        for moment in [&mut role.created, &mut role.changed] {
            *moment = moment.checked_sub(delay).unwrap_or(*moment);
        }
        Ok(())
    }

    /// `GetRole`.
    pub fn role(&self, name: &str) -> Result<&Role, Error> {
        self.roles.get(name).ok_or_else(|| Error::NoSuchEntity { what: "role", name: name.to_owned() })
    }

    /// The role, to change it.
    pub fn role_mut(&mut self, name: &str) -> Result<&mut Role, Error> {
        self.roles.get_mut(name).ok_or_else(|| Error::NoSuchEntity { what: "role", name: name.to_owned() })
    }

    /// All roles.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// `PutRolePolicy`.
    pub fn put_role_policy(&mut self, role: &str, policy: &str, document: &str) -> Result<(), Error> {
        check_json(document)?;
        let role = self.role_mut(role)?;
        // The same document has nothing to spread.
        if role.inline.insert(policy.to_owned(), document.to_owned()).as_deref() != Some(document) {
            role.changed = SystemTime::now();
        }
        Ok(())
    }

    /// `DeleteRole`: not while it has policies.
    pub fn delete_role(&mut self, name: &str) -> Result<(), Error> {
        let role = self.role(name)?;
        if !role.inline.is_empty() || !role.attached.is_empty() {
            return Err(Error::DeleteConflict {
                what: "role",
                name: name.to_owned(),
                reason: "it must have no policies".into(),
            });
        }
        self.roles.remove(name);
        Ok(())
    }

    /// Whether Lambda can assume the role `arn` by now.
    pub fn lambda_can_assume(&self, arn: &str) -> bool {
        self.can_assume("lambda.amazonaws.com", arn)
    }

    /// Whether a service can assume the role `arn` by now: it exists, trusts the service, and has had the time to spread.
    pub fn can_assume(&self, service: &str, arn: &str) -> bool {
        self.role_of(arn).is_some_and(|role| {
            role.trust.contains(service)
                && role.created.elapsed().unwrap_or_default() >= self.delays.role_propagation
        })
    }

    /// Whether an inline policy of the role `arn` allows an action on a resource by now. Conditions are not looked at.
    pub fn role_allows(&self, arn: &str, action: &str, resource: &str) -> bool {
        let holds = |value: &Value, text: &str| {
            let is = |value: &Value| *value == "*" || *value == text;
            is(value) || value.as_array().is_some_and(|values| values.iter().any(is))
        };
        self.role_of(arn).is_some_and(|role| {
            let documents = role.inline.values().filter_map(|text| serde_json::from_str::<Value>(text).ok());
            let allows = |statement: &Value| {
                statement["Effect"] == "Allow"
                    && holds(&statement["Action"], action)
                    && holds(&statement["Resource"], resource)
            };
            let mut documents = documents.filter(|document| {
                document["Statement"].as_array().is_some_and(|all| all.iter().any(allows))
            });
            documents.next().is_some()
                && role.changed.elapsed().unwrap_or_default() >= self.delays.role_propagation
        })
    }

    fn role_of(&self, arn: &str) -> Option<&Role> {
        self.roles.values().find(|role| self.role_arn(role) == arn)
    }
}

fn check_json(document: &str) -> Result<(), Error> {
    match serde_json::from_str::<Value>(document) {
        Ok(Value::Object(_)) => Ok(()),
        _ => Err(Error::MalformedPolicy { reason: "not a JSON object".into() }),
    }
}
