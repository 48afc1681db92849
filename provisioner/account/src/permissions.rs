//! The least IAM policy with which command lines can be carried out.

use std::collections::{BTreeMap, BTreeSet};

use jitr::published::ListUrl;
use jitr::scope::{Arn, Scope};
use serde_json::{Value, json};

use crate::setup::{FUNCTION, RULE};

mod resources;
mod table;
#[cfg(test)]
mod tests;

use resources::Condition;
use table::{Key, MAKING, NO_ALARMS, ONCE, SIGNING, SIGNS, TABLES, When};

/// The largest managed policy, in characters without white space (IAM User Guide, "IAM and AWS STS quotas").
pub const LARGEST: usize = 6144;

/// A command line, as far as its calls depend on it.
#[derive(Clone, Debug, Default)]
pub struct CommandLine {
    /// The words of the command, such as `ca rotate`.
    pub command: String,
    /// The long names of the flags that are given, and for each value `name=value`.
    pub flags: BTreeSet<String>,
    /// What it works on.
    pub names: Names,
}

/// Names of what commands work on.
#[derive(Clone, Debug)]
pub struct Names {
    /// The function: name or ARN, with a version or an alias or without.
    pub function: String,
    /// The topic rule.
    pub rule: String,
    /// The policy of the devices.
    pub policy: String,
    /// The type of the things.
    pub thing_type: String,
    /// Their groups, names or patterns.
    pub thing_groups: Vec<String>,
    /// Their billing group, a name or a pattern.
    pub billing_group: Option<String>,
    /// Policies that devices get besides, names or patterns.
    pub additional_policies: Vec<String>,
    /// ARN of a role of the function's that this tool did not make.
    pub role: Option<String>,
    /// ARNs of roles in actions of the rule that this tool did not make: they stay in the rule.
    pub rule_roles: Vec<String>,
    /// Names of queues besides those that this tool makes.
    pub queues: Vec<String>,
    /// Things that are watched; any if there are none.
    pub things: Vec<String>,
    /// The topic that a message is sent to.
    pub topic: Option<String>,
    /// The key of the signer CA, if it is in AWS KMS.
    pub signer_key: Option<KmsKey>,
    /// The key of the root CA, if it is in AWS KMS.
    pub root_key: Option<KmsKey>,
    /// The admission key, if it is in AWS KMS.
    pub admission_key: Option<KmsKey>,
    /// Where the admission list is published.
    pub admission_list: Option<ListUrl>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            function: FUNCTION.to_owned(),
            rule: RULE.to_owned(),
            policy: jitr::name::PolicyName::zero_touch().to_string(),
            thing_type: jitr::name::ThingTypeName::zero_touch_kit().to_string(),
            thing_groups: Vec::new(),
            billing_group: None,
            additional_policies: Vec::new(),
            role: None,
            rule_roles: Vec::new(),
            queues: Vec::new(),
            things: Vec::new(),
            topic: None,
            signer_key: None,
            root_key: None,
            admission_key: None,
            admission_list: None,
        }
    }
}

/// A key in AWS KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KmsKey {
    /// One that is made.
    New,
    /// By its ARN.
    Arn(String),
    /// By its id.
    Id(String),
    /// By a name, `alias/NAME`.
    Alias(String),
}

impl KmsKey {
    /// What `awskms:` is followed by in a key URI.
    pub fn named(text: &str) -> Self {
        match text.trim_start_matches('/') {
            new if new.is_empty() || new.starts_with("new/") => Self::New,
            arn if arn.starts_with("arn:") => Self::Arn(arn.to_owned()),
            alias if alias.starts_with("alias/") => Self::Alias(alias.to_owned()),
            id => Self::Id(id.to_owned()),
        }
    }

    /// The key's ARN pattern, and the condition that goes with it: IAM knows keys by their ids alone.
    fn resource(&self, scope: &Scope) -> (String, Option<Condition>) {
        let of = |id: &str| {
            let resource = format!("key/{id}");
            Arn { service: "kms", resource: &resource, ..scope.as_arn() }.to_string()
        };
        match self {
            Self::New => (of("*"), None),
            Self::Arn(arn) if arn.contains(":alias/") => {
                let alias = arn.split_once(":alias/").map_or("", |(_, name)| name);
                (of("*"), Some(("StringEquals", "kms:RequestAlias", format!("alias/{alias}"))))
            }
            Self::Arn(arn) => (arn.clone(), None),
            Self::Id(id) => (of(id), None),
            Self::Alias(alias) => (of("*"), Some(("StringEquals", "kms:RequestAlias", alias.clone()))),
        }
    }
}

impl When {
    fn holds(self, flags: &BTreeSet<String>) -> bool {
        let given = |names: &[&str]| names.iter().any(|name| flags.contains(*name));
        match self {
            Self::Always => true,
            Self::With(names) => given(names),
            Self::Unless(names) => !given(names),
        }
    }
}

/// The commands that make calls, in their words.
pub fn commands() -> BTreeSet<&'static str> {
    TABLES.iter().map(|table| table.command).collect()
}

/// The long names of the flags that decide about the calls of commands.
pub fn flags() -> BTreeSet<&'static str> {
    let conditions = TABLES.iter().flat_map(|table| {
        let rows = table.rows.iter().map(|row| row.when);
        rows.chain(table.besides.iter().map(|(when, ..)| *when)).chain([table.when])
    });
    let flags = conditions.flat_map(|when| match when {
        When::Always => &[],
        When::With(flags) | When::Unless(flags) => flags,
    });
    flags.filter_map(|flag| flag.split('=').next()).filter(|flag| *flag != ONCE).collect()
}

/// Partition, Region and account of an account that is not asked.
pub fn scope_of(region: &str, account: &str) -> Scope {
    // AWS General Reference, "Amazon Resource Names", and the partitions of the AWS SDKs.
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        region if region.starts_with("us-iso-") => "aws-iso",
        region if region.starts_with("us-isob-") => "aws-iso-b",
        region if region.starts_with("eu-isoe-") => "aws-iso-e",
        region if region.starts_with("us-isof-") => "aws-iso-f",
        region if region.starts_with("eusc-") => "aws-eusc",
        _ => "aws",
    };
    Scope { partition: partition.to_owned(), region: region.to_owned(), account: account.to_owned() }
}

/// Where something is allowed: ARN patterns, with a condition.
type Place = (BTreeSet<String>, Option<Condition>);

/// The permissions of a policy.
#[derive(Debug, Default)]
pub struct Permissions {
    /// Each action with the resources of each condition.
    needed: BTreeMap<(&'static str, Option<Condition>), BTreeSet<String>>,
}

impl Permissions {
    /// What these command lines need in `scope`, together.
    pub fn of(lines: &[CommandLine], scope: &Scope) -> Self {
        let mut all = Self::default();
        for line in lines {
            all.add(&line.command, &line.flags, &line.names, scope);
            all.add_keys(line, scope);
        }
        all
    }

    /// Whether no call is made that needs a permission.
    pub fn is_empty(&self) -> bool {
        self.needed.is_empty()
    }

    fn add(&mut self, command: &str, flags: &BTreeSet<String>, names: &Names, scope: &Scope) {
        let tables = TABLES.iter().filter(|table| table.command == command && table.when.holds(flags));
        for table in tables {
            for row in table.rows.iter().filter(|row| row.when.holds(flags)) {
                let resources = row.on.resources(scope, names);
                self.allow(row.action, resources.patterns, resources.condition);
            }
            for (_, other, own) in table.besides.iter().filter(|(when, ..)| when.holds(flags)) {
                // What is said of a name, of the delivery or of alarms holds for the other command, too.
                let is_shared = |flag: &&String| flag.contains('=') || NO_ALARMS.contains(&flag.as_str());
                let shared = flags.iter().filter(is_shared).cloned();
                let own = own.iter().map(|flag| (*flag).to_owned()).chain(shared).collect();
                self.add(other, &own, names, scope);
            }
        }
    }

    fn add_keys(&mut self, line: &CommandLine, scope: &Scope) {
        let signs =
            SIGNS.iter().find(|(command, when, _)| *command == line.command && when.holds(&line.flags));
        let Some((_, _, keys)) = signs else { return };
        let names = &line.names;
        let in_kms = keys.iter().filter_map(|key| match key {
            Key::Root => names.root_key.as_ref(),
            Key::Signer => names.signer_key.as_ref(),
            Key::Admission => names.admission_key.as_ref(),
        });
        for key in in_kms {
            let (resource, condition) = key.resource(scope);
            SIGNING.iter().for_each(|action| self.allow(action, vec![resource.clone()], condition.clone()));
            if *key == KmsKey::New {
                MAKING.iter().for_each(|action| self.allow(action, vec!["*".to_owned()], None));
            }
        }
    }

    fn allow(&mut self, action: &'static str, patterns: Vec<String>, condition: Option<Condition>) {
        if !patterns.is_empty() {
            self.needed.entry((action, condition)).or_default().extend(patterns);
        }
    }

    /// The policy document: one statement for the actions that are allowed on the same resources.
    pub fn document(&self) -> Value {
        let mut statements = BTreeMap::<Place, BTreeSet<&str>>::new();
        for ((action, condition), patterns) in &self.needed {
            statements.entry((narrowed(patterns), condition.clone())).or_default().insert(action);
        }
        let statement = |((resources, condition), actions): (&Place, &BTreeSet<&str>)| {
            let mut statement = json!({"Effect": "Allow", "Action": one_or_many(actions), "Resource": one_or_many(resources)});
            if let Some((operator, key, value)) = condition {
                statement["Condition"] = json!({*operator: {*key: value}});
            }
            statement
        };
        let statements: Vec<Value> = statements.iter().map(statement).collect();
        json!({"Version": "2012-10-17", "Statement": statements})
    }
}

/// The patterns without those that another one covers.
fn narrowed(patterns: &BTreeSet<String>) -> BTreeSet<String> {
    let covers = |wide: &str, narrow: &str| {
        wide != narrow && wide.strip_suffix('*').is_some_and(|begin| narrow.starts_with(begin))
    };
    patterns.iter().filter(|narrow| !patterns.iter().any(|wide| covers(wide, narrow))).cloned().collect()
}

fn one_or_many<T: AsRef<str>>(texts: &BTreeSet<T>) -> Value {
    match texts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().as_slice() {
        [one] => json!(one),
        many => json!(many),
    }
}

/// The size of a policy document as IAM counts it: characters without white space.
pub fn size(document: &Value) -> usize {
    document.to_string().chars().filter(|character| !character.is_whitespace()).count()
}
