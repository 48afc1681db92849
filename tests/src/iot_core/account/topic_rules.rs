//! Topic rules: the SQL that is understood, and the state of a rule.

use std::time::SystemTime;

use serde_json::Value;

use crate::iot_core::topic;

use super::{Account, Error, Page, PageRequest, check_name, paginate};

/// A topic rule.
#[derive(Clone, Debug)]
pub struct TopicRule {
    /// Its name.
    pub name: String,
    /// `topicRulePayload` as it was given, with `ruleDisabled` and `awsIotSqlVersion` filled in.
    pub payload: Value,
    /// The filter of its FROM clause.
    pub topic_filter: String,
    /// When it was created.
    pub created: SystemTime,
}

impl TopicRule {
    /// Whether it is switched off.
    pub fn disabled(&self) -> bool {
        self.payload["ruleDisabled"] == true
    }

    /// What it does with a message.
    pub fn actions(&self) -> &[Value] {
        self.payload["actions"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

impl Account {
    /// The ARN of a topic rule.
    pub fn topic_rule_arn(&self, name: &str) -> String {
        self.identity.arn("iot", &format!("rule/{name}"))
    }

    /// `CreateTopicRule`.
    pub fn create_topic_rule(&mut self, name: &str, payload: Value) -> Result<(), Error> {
        check_name("rule name", name, 128, "_")?;
        if self.topic_rules.contains_key(name) {
            let arn = self.topic_rule_arn(name);
            return Err(Error::AlreadyExists { what: "topic rule", id: name.to_owned(), arn });
        }
        self.put_topic_rule(name, payload, SystemTime::now())
    }

    /// `ReplaceTopicRule`.
    pub fn replace_topic_rule(&mut self, name: &str, payload: Value) -> Result<(), Error> {
        let created = self.topic_rule(name)?.created;
        self.put_topic_rule(name, payload, created)
    }

    fn put_topic_rule(&mut self, name: &str, mut payload: Value, created: SystemTime) -> Result<(), Error> {
        let topic_filter = topic_filter(payload["sql"].as_str().unwrap_or_default())?.to_owned();
        let Some(fields) = payload.as_object_mut() else {
            return Err(Error::InvalidRequest { reason: "the rule payload is not an object".into() });
        };
        if !fields.get("actions").is_some_and(Value::is_array) {
            return Err(Error::InvalidRequest { reason: "the rule has no list of actions".into() });
        }
        for action in fields["actions"].as_array().into_iter().flatten().chain(fields.get("errorAction")) {
            if let Some(role) = action["sqs"]["roleArn"].as_str()
                // Roles of other accounts are not known here.
                && role.starts_with(&self.identity.iam_arn("role/"))
                && !self.can_assume("iot.amazonaws.com", role)
            {
                return Err(Error::InvalidRequest {
                    reason: format!(
                        "iot.amazonaws.com is unable to perform: sts:AssumeRole on resource: {role}"
                    ),
                });
            }
        }
        fields.entry("ruleDisabled").or_insert(false.into());
        fields.entry("awsIotSqlVersion").or_insert("2015-10-08".into());
        let rule = TopicRule { name: name.to_owned(), payload, topic_filter, created };
        self.topic_rules.insert(name.to_owned(), rule);
        Ok(())
    }

    /// `GetTopicRule`.
    pub fn topic_rule(&self, name: &str) -> Result<&TopicRule, Error> {
        self.topic_rules.get(name).ok_or_else(|| Error::RuleAccessDenied { name: name.to_owned() })
    }

    /// `EnableTopicRule` and `DisableTopicRule`.
    pub fn set_topic_rule_disabled(&mut self, name: &str, disabled: bool) -> Result<(), Error> {
        self.topic_rule(name)?;
        if let Some(rule) = self.topic_rules.get_mut(name) {
            rule.payload["ruleDisabled"] = disabled.into();
        }
        Ok(())
    }

    /// `DeleteTopicRule`.
    pub fn delete_topic_rule(&mut self, name: &str) -> Result<(), Error> {
        self.topic_rule(name)?;
        self.topic_rules.remove(name);
        self.tags.remove(&self.topic_rule_arn(name));
        Ok(())
    }

    /// `ListTopicRules`.
    pub fn list_topic_rules(&self, request: &PageRequest) -> Result<Page<&TopicRule>, Error> {
        paginate(&self.topic_rules, request, |_, rule| Some(rule))
    }

    /// All topic rules.
    pub fn topic_rules(&self) -> impl Iterator<Item = &TopicRule> {
        self.topic_rules.values()
    }
}

/// The topic filter of `SELECT * FROM '<topic filter>'`, the one form of the SQL that the testbed carries out.
fn topic_filter(sql: &str) -> Result<&str, Error> {
    let failed = |reason: &str| Err(Error::SqlParse { reason: format!("{reason} in {sql:?}") });
    let rest = ["SELECT", "*", "FROM"].into_iter().try_fold(sql.trim(), |rest, word| {
        let (head, tail) = rest.split_at_checked(word.len())?;
        head.eq_ignore_ascii_case(word).then_some(tail.trim_start())
    });
    let Some(rest) = rest else {
        return failed("expected SELECT * FROM (the testbed understands nothing else)");
    };
    let Some(quote) = rest.chars().next().filter(|c| "'\"".contains(*c)) else {
        return failed("expected a topic filter in quotes");
    };
    match rest[1..].split_once(quote) {
        Some((filter, tail)) if topic::is_filter(filter) && matches!(tail.trim(), "" | ";") => Ok(filter),
        _ => failed("expected nothing but a topic filter after FROM"),
    }
}
