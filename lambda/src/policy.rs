//! The AWS IoT policy that registered devices get: `zt_policy` or a document of the user's.

use std::fmt;

use serde_json::Value;

use crate::scope::{Scope, substitute};

/// The longest policy document AWS IoT takes, in characters without white space
/// (AWS IoT Core endpoints and quotas, "Policy document size").
pub const MAX_DOCUMENT_SIZE: usize = 2048;

/// The default document, with CloudFormation's pseudo parameters for partition, Region and account.
pub const ZERO_TOUCH_TEMPLATE: &str = include_str!("../../infra/zt_policy.json");

/// The default document of earlier versions, the published example. AWS IoT takes the `#` of its subscription filter
/// literally, and the resource of its shadow calls is no thing: most of what it means to allow, it does not.
pub const FORMER_TEMPLATE: &str = include_str!("../docs/policy_example.json");

/// A policy document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON at all.
    #[error("the policy document is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not a policy.
    #[error("the policy document is not a policy: {0}")]
    Shape(&'static str),
    /// A statement that AWS IoT would refuse.
    #[error("statement {number} of the policy document {what}")]
    Statement {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Something that is to be filled in, and nothing says with what.
    #[error(
        "the policy document has the placeholder {placeholder}; ${{AWS::Partition}}, ${{AWS::Region}}, ${{AWS::AccountId}}, \
         ${{region}} and ${{account_id}} are filled in, and policy variables such as ${{iot:Connection.Thing.ThingName}} stay"
    )]
    Placeholder {
        /// As it is written.
        placeholder: String,
    },
    /// A resource that is nowhere: its Region or its account is a word that was to be replaced.
    #[error(
        "statement {number} of the policy document has the resource {resource}, whose {field} is {found:?}; ${{AWS::Region}} and ${{AWS::AccountId}} are filled in"
    )]
    Place {
        /// Counted from 1.
        number: usize,
        /// The ARN.
        resource: String,
        /// `Region` or `account`.
        field: &'static str,
        /// What is there.
        found: String,
    },
    /// Longer than AWS IoT takes.
    #[error(
        "the policy document has {size} characters without white space; AWS IoT takes {MAX_DOCUMENT_SIZE}"
    )]
    TooLong {
        /// Size of the document, in characters without white space.
        size: usize,
    },
}

/// A policy document whose partition, Region and account are still open.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTemplate(Value);

impl PolicyTemplate {
    /// The template of `zt_policy`: a device connects as its thing name, and publishes, subscribes and receives
    /// under its own name and on its own shadow.
    pub fn zero_touch() -> Result<Self, PolicyError> {
        Self::parse(ZERO_TOUCH_TEMPLATE)
    }

    /// The default of earlier versions, which accounts may still have.
    pub fn former() -> Result<Self, PolicyError> {
        Self::parse(FORMER_TEMPLATE)
    }

    /// Reads a document. `${AWS::Partition}`, `${AWS::Region}` and `${AWS::AccountId}` may stand in its strings, and the
    /// placeholders of Microchip's pyawsutils, `${region}` or `$region` and `${account_id}` or `$account_id`.
    ///
    /// # Errors
    /// If it is not a JSON object with a `Version` and a `Statement`, has another placeholder, or can only be longer than AWS
    /// IoT takes.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut document: Value = serde_json::from_str(text)?;
        substitute(&mut document, &PYAWSUTILS);
        if let Some(placeholder) = placeholder(&document) {
            return Err(PolicyError::Placeholder { placeholder });
        }
        let members = document.as_object().ok_or(PolicyError::Shape("a JSON object is expected"))?;
        if !members.get("Version").is_some_and(Value::is_string) {
            return Err(PolicyError::Shape("\"Version\" is missing or not a string"));
        }
        let statements = match members.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
            Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
            _ => return Err(PolicyError::Shape("\"Statement\" is missing or empty")),
        };
        for (number, statement) in (1..).zip(statements) {
            check(statement).map_err(|what| PolicyError::Statement { number, what })?;
            check_places(statement, number)?;
        }
        Ok(Self(document))
    }

    /// The document for one partition, Region and account.
    ///
    /// # Errors
    /// If it is then longer than AWS IoT takes.
    pub fn fill(&self, scope: &Scope) -> Result<PolicyDocument, PolicyError> {
        let mut document = self.0.clone();
        scope.fill(&mut document);
        let document = PolicyDocument(document);
        let size = document.size();
        if size > MAX_DOCUMENT_SIZE { Err(PolicyError::TooLong { size }) } else { Ok(document) }
    }
}

/// The placeholders of pyawsutils, in both forms of Python's `string.Template`, and those that this tool fills in.
const PYAWSUTILS: [(&str, &str); 4] = [
    ("${region}", "${AWS::Region}"),
    ("${account_id}", "${AWS::AccountId}"),
    (":$region:", ":${AWS::Region}:"),
    (":$account_id:", ":${AWS::AccountId}:"),
];

/// The first `${…}` in a string of the document that is neither filled in nor a policy variable: these have a colon after
/// their prefix, and `${*}`, `${?}` and `${$}` are the characters themselves (IAM User Guide, "IAM policy elements: Variables
/// and tags").
fn placeholder(document: &Value) -> Option<String> {
    match document {
        Value::String(text) => text.match_indices("${").find_map(|(start, _)| {
            let rest = &text[start..];
            let whole = rest.find('}').map_or(rest, |end| &rest[..=end]);
            let name = whole[2..].strip_suffix('}')?.trim();
            let is_known = ["AWS::Partition", "AWS::Region", "AWS::AccountId", "*", "?", "$"].contains(&name);
            // A variable may have a default: `${aws:PrincipalTag/team, 'none'}`.
            let is_variable = name.contains(':') && !name.contains("::");
            (!is_known && !is_variable).then(|| whole.to_owned())
        }),
        Value::Array(items) => items.iter().find_map(placeholder),
        Value::Object(members) => members.values().find_map(placeholder),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether a statement has what each must have (AWS IoT Core Developer Guide, "AWS IoT Core policies").
fn check(statement: &Value) -> Result<(), &'static str> {
    let listed = |list: &Vec<Value>| !list.is_empty() && list.iter().all(Value::is_string);
    let names =
        |element: &str| statement[element].is_string() || statement[element].as_array().is_some_and(listed);
    if statement["Effect"] != "Allow" && statement["Effect"] != "Deny" {
        Err("has no \"Effect\" that is \"Allow\" or \"Deny\"")
    } else if !names("Action") {
        Err("has no \"Action\" that is a string or a list of strings")
    } else if !names("Resource") {
        Err("has no \"Resource\" that is a string or a list of strings")
    } else {
        Ok(())
    }
}

/// Whether the ARNs of a statement are of a Region and an account, of any, or of what is filled in.
fn check_places(statement: &Value, number: usize) -> Result<(), PolicyError> {
    let resources = match &statement["Resource"] {
        Value::Array(resources) => resources.as_slice(),
        resource => std::slice::from_ref(resource),
    };
    for resource in resources.iter().filter_map(Value::as_str).filter(|text| text.starts_with("arn:")) {
        let fields = fields(resource);
        let (Some(region), Some(account)) = (fields.get(3), fields.get(4)) else { continue };
        let wrong = |field, found: &str| {
            let (resource, found) = (resource.to_owned(), found.to_owned());
            Err(PolicyError::Place { number, resource, field, found })
        };
        if !is_open(region) && !is_region(region) {
            return wrong("Region", region);
        }
        let is_number = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !is_open(account) && !is_number {
            return wrong("account", account);
        }
    }
    Ok(())
}

/// The parts of an ARN between its colons; those in `${…}` part nothing.
fn fields(arn: &str) -> Vec<&str> {
    let (mut fields, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in arn.char_indices() {
        match c {
            '{' if arn[..at].ends_with('$') => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                fields.push(&arn[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    fields.push(&arn[start..]);
    fields
}

/// Whether a field leaves open what it is: empty, with a wildcard, or filled in.
fn is_open(field: &str) -> bool {
    field.is_empty() || field.contains(['*', '?']) || field.contains("${")
}

/// Whether this has the form of a Region's name: lower-case words and a number, joined by hyphens.
fn is_region(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(words, number)| {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        words.contains('-') && words.split('-').all(is_word) && number.parse::<u8>().is_ok()
    })
}

/// A complete policy document. Displays as compact JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyDocument(Value);

impl PolicyDocument {
    /// Whether `text` is the same document: JSON value for JSON value, in any white space and order of keys.
    pub fn is_same_as(&self, text: &str) -> bool {
        serde_json::from_str::<Value>(text).is_ok_and(|other| other == self.0)
    }

    /// Its size as AWS IoT counts it: characters without white space.
    pub fn size(&self) -> usize {
        self.0.to_string().chars().filter(|c| !c.is_whitespace()).count()
    }

    /// The document as a JSON value.
    pub fn as_value(&self) -> &Value {
        &self.0
    }
}

impl fmt::Display for PolicyDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        Scope { partition: "aws".into(), region: "us-east-2".into(), account: "420230807713".into() }
    }

    /// The published example, as a copy, so that a test notices a change of the template.
    fn published_example() -> Value {
        let arn = |resource: &str| format!("arn:aws:iot:us-east-2:420230807713:{resource}");
        let name = "${iot:Connection.Thing.ThingName}";
        let shadow = format!("$aws/things/{name}/shadow/*");
        serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": ["iot:Connect"], "Resource": [arn(&format!("client/{name}"))]},
                {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"],
                 "Resource": [arn(&format!("topic/{name}/*")), arn(&format!("topic/{shadow}"))]},
                {"Effect": "Allow", "Action": ["iot:Subscribe"],
                 "Resource": [arn(&format!("topicfilter/{name}/#")), arn(&format!("topicfilter/{shadow}"))]},
                {"Effect": "Allow", "Action": ["iot:UpdateThingShadow", "iot:GetThingShadow"],
                 "Resource": [arn(&format!("topic/{shadow}"))]},
            ]
        })
    }

    #[test]
    fn the_example_equals_the_published_one_value_for_value() {
        let document = PolicyTemplate::former().unwrap().fill(&scope()).unwrap();
        assert_eq!(document.as_value(), &published_example());
    }

    /// AWS IoT Core Developer Guide: a policy has the wildcards `*` and `?`, and `#` is literal ("Using wildcard
    /// characters in MQTT and AWS IoT Core policies"); the resource of the shadow calls is a thing ("AWS IoT Core
    /// action resources").
    #[test]
    fn the_default_differs_from_the_example_in_the_filter_and_in_the_resource_of_the_shadow() {
        let mut expected = published_example();
        let arn = |resource: &str| format!("arn:aws:iot:us-east-2:420230807713:{resource}");
        let name = "${iot:Connection.Thing.ThingName}";
        expected["Statement"][2]["Resource"][0] = arn(&format!("topicfilter/{name}/*")).into();
        expected["Statement"][3]["Resource"][0] = arn(&format!("thing/{name}")).into();
        let document = PolicyTemplate::zero_touch().unwrap().fill(&scope()).unwrap();
        assert_eq!(document.as_value(), &expected);
    }

    #[test]
    fn documents_follow_the_partition() {
        let scope =
            Scope { partition: "aws-cn".into(), region: "cn-north-1".into(), account: "123456789012".into() };
        let text = PolicyTemplate::zero_touch().unwrap().fill(&scope).unwrap().to_string();
        assert!(
            text.contains("arn:aws-cn:iot:cn-north-1:123456789012:client/${iot:Connection.Thing.ThingName}")
        );
        assert!(!text.contains("${AWS::"));
    }

    #[test]
    fn placeholders_of_pyawsutils_are_filled_in_and_others_refused() {
        let document = |resource: &str| {
            let statement =
                serde_json::json!([{"Effect": "Allow", "Action": "iot:Connect", "Resource": resource}]);
            serde_json::json!({"Version": "2012-10-17", "Statement": statement}).to_string()
        };
        let variables = "client/${iot:Connection.Thing.ThingName}${aws:username, 'none'}${*}$aws/$region";
        for form in ["arn:aws:iot:${region}:${account_id}:", "arn:aws:iot:$region:$account_id:"] {
            let template = PolicyTemplate::parse(&document(&format!("{form}{variables}"))).unwrap();
            let filled = template.fill(&scope()).unwrap();
            let resource = &filled.as_value()["Statement"][0]["Resource"];
            assert_eq!(resource, &format!("arn:aws:iot:us-east-2:420230807713:{variables}"));
        }
        for left in ["${Region}", "${accountid}", "${AWS::StackName}", "${thing_name}", "${}"] {
            let error = PolicyTemplate::parse(&document(&format!("arn:aws:iot:us-east-2:1:client/{left}")));
            let error = error.unwrap_err().to_string();
            assert!(error.contains(left) && error.contains("${region}"), "{error}");
        }
    }

    #[test]
    fn a_resource_without_a_region_or_an_account_is_refused_by_its_name() {
        let parse = |resource: &str| {
            let statement =
                serde_json::json!({"Effect": "Allow", "Action": "iot:Connect", "Resource": ["*", resource]});
            PolicyTemplate::parse(
                &serde_json::json!({"Version": "2012-10-17", "Statement": statement}).to_string(),
            )
        };
        for (place, wrong) in [
            ("REGION:ACCOUNT_ID", "Region is \"REGION\""),
            ("us-east-1:<account>", "account is \"<account>\""),
            ("<region>:123456789012", "Region is \"<region>\""),
            ("us-east-1:12345678901", "account is \"12345678901\""),
            ("useast1:123456789012", "Region is \"useast1\""),
        ] {
            let resource = format!("arn:aws:iot:{place}:client/*");
            let error = parse(&resource).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains(&resource), "{error}");
        }
        for place in [
            "us-gov-west-1:123456789012",
            "*:*",
            ":",
            "eu-*:123456789012",
            "${AWS::Region}:${AWS::AccountId}",
            "$region:$account_id",
            "${region}:${account_id}",
        ] {
            let resource = format!("arn:aws:iot:{place}:client/${{iot:Connection.Thing.ThingName}}");
            assert!(parse(&resource).is_ok(), "{place}");
        }
        assert!(parse("*").is_ok() && parse("arn:aws:iot:*").is_ok());
    }

    #[test]
    fn white_space_and_key_order_make_no_difference() {
        let document = PolicyTemplate::zero_touch().unwrap().fill(&scope()).unwrap();
        let reordered = serde_json::to_string_pretty(document.as_value()).unwrap();
        assert!(document.is_same_as(&reordered));
        assert!(!document.is_same_as(&reordered.replace("iot:Connect\"", "iot:*\"")));
        assert!(!document.is_same_as("not json"));
    }

    #[test]
    fn the_size_limit_counts_characters_without_white_space() {
        let document = |sid: &str| {
            let statement = format!(r#"{{ "Sid": "{sid}", "Effect":"Deny","Action":"*", "Resource": "*" }}"#);
            format!(r#"{{ "Version": "2012-10-17", "Statement": [ {statement} ] }}"#)
        };
        let padded = |n: usize| {
            let sid = format!("{} ", "x".repeat(n));
            PolicyTemplate::parse(&document(&sid)).unwrap().fill(&scope())
        };
        let frame = document("").chars().filter(|c| !c.is_whitespace()).count();
        assert!(padded(MAX_DOCUMENT_SIZE - frame).is_ok());
        let error = padded(MAX_DOCUMENT_SIZE - frame + 1).unwrap_err();
        assert!(error.to_string().contains("has 2049 characters"), "{error}");
    }

    #[test]
    fn what_is_not_a_policy_is_refused() {
        for bad in
            ["", "[]", "{}", r#"{"Version":"2012-10-17"}"#, r#"{"Version":"2012-10-17","Statement":[]}"#]
        {
            assert!(PolicyTemplate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let right = r#"{"Effect":"Allow","Action":["iot:Connect"],"Resource":"*"}"#;
        for (wrong, says) in [
            (right.replace("Allow", "allow"), "statement 2 of the policy document has no \"Effect\""),
            (
                right.replace("[\"iot:Connect\"]", "[]"),
                "statement 2 of the policy document has no \"Action\"",
            ),
            (
                right.replace("Resource", "Resources"),
                "statement 2 of the policy document has no \"Resource\"",
            ),
            ("7".to_owned(), "statement 2"),
            (right.replace(":\"*\"", ";"), "line 2 column"),
        ] {
            let text = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[\n{right},{wrong}]}}");
            let error = PolicyTemplate::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
