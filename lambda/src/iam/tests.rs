//! The code's calls, the role's policy and the template in `infra/` say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::registry::Operation;

const TEMPLATE: &str = include_str!("../../../infra/template.yaml");

fn scope() -> Scope {
    Scope { partition: "aws-cn".into(), region: "cn-north-1".into(), account: "123456789012".into() }
}

fn role_policy(description: &Description) -> Value {
    let settings = RoleSettings {
        function: "JITR",
        policy: &PolicyName::zero_touch(),
        thing_type: &ThingTypeName::zero_touch_kit(),
        description,
    };
    lambda_role_policy(&scope(), &settings).unwrap()
}

/// Every action of a policy with the resources it is allowed on.
fn grants(policy: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut grants = BTreeMap::<String, BTreeSet<String>>::new();
    for statement in policy["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow");
        for action in statement["Action"].as_array().unwrap() {
            let resources = statement["Resource"].as_array().unwrap().iter();
            grants
                .entry(action.as_str().unwrap().to_owned())
                .or_default()
                .extend(resources.map(|resource| resource.as_str().unwrap().to_owned()));
        }
    }
    grants
}

/// The narrowest resources an action supports (Service Authorization Reference, "Actions, resources, and condition keys
/// for AWS IoT"), with the names that are known beforehand.
fn narrowest(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::DescribeCertificate | Operation::UpdateCertificate | Operation::AttachPolicy => {
            &["cert/*"]
        }
        // They support no resource at all.
        Operation::AttachThingPrincipal
        | Operation::ListThingPrincipals
        | Operation::ListPrincipalThings
        | Operation::ListAttachedPolicies => &["*"],
        Operation::CreateThing => &["thing/*", "billinggroup/bills-*"],
        Operation::DescribeThingType | Operation::CreateThingType => &["thingtype/microchip-zero-touch-kit"],
        Operation::AddThingToThingGroup => &["thing/*", "thinggroup/line-1", "thinggroup/kit-*"],
        Operation::GetPolicy | Operation::CreatePolicy => &["policy/zt_policy"],
    }
}

#[test]
fn the_role_may_make_exactly_the_calls_the_registry_makes_each_on_the_narrowest_resource() {
    let groups = ["line-1", "kit-{subject.OU}"].map(|group| group.parse().unwrap()).to_vec();
    let billing_group = Some("bills-{subject.C|EU}".parse().unwrap());
    let description = Description { groups, billing_group, ..Description::default() };
    let mut grants = grants(&role_policy(&description));
    let logs = grants.extract_if(.., |action, _| action.starts_with("logs:"));
    for (action, resources) in logs {
        for resource in resources {
            assert!(
                resource.starts_with("arn:aws-cn:logs:cn-north-1:123456789012:log-group:/aws/lambda/JITR"),
                "{action} on {resource}"
            );
        }
    }
    let arns = |operation| {
        narrowest(operation).iter().map(|resource| match *resource {
            "*" => "*".to_owned(),
            resource => scope().arn(resource),
        })
    };
    let calls = Operation::ALL.map(|operation| (format!("iot:{operation}"), arns(operation).collect()));
    // What is created is tagged in the same call.
    let tagged = arns(Operation::CreatePolicy).chain(arns(Operation::CreateThingType)).collect();
    let expected = calls.into_iter().chain([("iot:TagResource".to_owned(), tagged)]);
    assert_eq!(grants, expected.collect());
}

#[test]
fn the_registry_makes_exactly_the_calls_that_are_listed() {
    let source = include_str!("../registry/aws.rs");
    let made: BTreeSet<&str> = source
        .split("self.client.")
        .skip(1)
        .map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap())
        .collect();
    let listed: Vec<String> = Operation::ALL.iter().map(|operation| snake_case(operation.name())).collect();
    assert_eq!(made, listed.iter().map(String::as_str).collect());
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[test]
fn the_template_gives_the_role_the_same_policy() {
    let start = TEMPLATE.find("PolicyDocument: {").unwrap() + "PolicyDocument: ".len();
    // JSON is YAML: the policy's text is read up to its last brace.
    let mut values = serde_json::Deserializer::from_str(&TEMPLATE[start..]).into_iter::<Value>();
    let mut embedded = values.next().unwrap().unwrap();
    for statement in embedded["Statement"].as_array_mut().unwrap() {
        for resource in statement["Resource"].as_array_mut().unwrap() {
            if resource.is_object() {
                // With a list, the name comes from the first parameter that is set.
                *resource = match resource["Fn::Sub"].take() {
                    Value::Array(list) => list[0].clone(),
                    text => text,
                };
            }
        }
    }
    assert_eq!(embedded, serde_json::from_str::<Value>(LAMBDA_POLICY_TEMPLATE).unwrap());
}

#[test]
fn the_template_sets_exactly_the_variables_the_configuration_reads() {
    let block = TEMPLATE.split("Variables:\n").nth(1).unwrap();
    let set: BTreeSet<&str> = block
        .lines()
        .take_while(|line| line.starts_with("          "))
        .map(|line| line.trim().split(':').next().unwrap())
        .collect();
    let read = std::cell::RefCell::new(BTreeSet::new());
    let variable = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        None
    };
    crate::config::settings(variable).unwrap();
    crate::config::revocation(variable).unwrap();
    crate::config::admission(variable).unwrap();
    #[cfg(feature = "function")]
    read.borrow_mut().insert(crate::function::LOG_LEVEL.to_owned());
    assert_eq!(set, read.borrow().iter().map(String::as_str).collect());
}

#[test]
fn the_template_has_the_same_topic_rule() {
    use crate::event::{TOPIC_RULE_SQL, TOPIC_RULE_SQL_VERSION};
    assert!(TEMPLATE.contains(&format!("Sql: {TOPIC_RULE_SQL}\n")));
    assert!(TEMPLATE.contains(&format!("AwsIotSqlVersion: \"{TOPIC_RULE_SQL_VERSION}\"\n")));
}

/// The logical ids of the template.
fn logical_ids() -> BTreeSet<&'static str> {
    let (_, resources) = TEMPLATE.split_once("\nResources:\n").unwrap();
    let (resources, _) = resources.split_once("\nOutputs:\n").unwrap();
    let id = |line: &'static str| line.strip_prefix("  ")?.strip_suffix(':');
    resources.lines().filter_map(id).filter(|id| id.starts_with(char::is_alphabetic)).collect()
}

#[test]
fn the_page_for_terraform_and_the_cdk_maps_each_resource_of_the_template() {
    let page = include_str!("../../../infra/terraform-and-cdk.md");
    let (_, table) = page.split_once("\n| Logical id |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let mut mapped = BTreeSet::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells[1].starts_with("`aws_") && cells[2].starts_with('`'), "{row}");
        mapped.insert(cells[0].trim_end_matches('`'));
    }
    let ids = logical_ids();
    assert!(ids.contains("Function") && ids.contains("Dashboard"), "{ids:?}");
    assert_eq!(mapped, ids);
}

#[test]
fn the_values_on_the_page_for_terraform_and_the_cdk_are_those_of_the_template() {
    let page = include_str!("../../../infra/terraform-and-cdk.md");
    for (value, property) in [
        ("Runtime `provided.al2023`", "Runtime: provided.al2023"),
        ("handler `bootstrap`", "Handler: bootstrap"),
        ("Time-out 10 s", "      Timeout: 10\n"),
        ("application log level TRACE", "ApplicationLogLevel: TRACE"),
        ("2 retries", "MaximumRetryAttempts: 2"),
        ("maximum age 21600 s", "MaximumEventAgeInSeconds: 21600"),
        ("Visibility time-out 10 s", "VisibilityTimeout: 10"),
        ("retention 1209600 s", "MessageRetentionPeriod: 1209600"),
        ("after 1000 receives", "maxReceiveCount: 1000"),
        ("Batch size 4000", "BatchSize: 4000"),
        ("batching window 1 s", "MaximumBatchingWindowInSeconds: 1"),
        ("maximum concurrency 2", "  MaximumConcurrency:\n    Type: Number\n    Default: 2\n"),
        ("`ReportBatchItemFailures`", "FunctionResponseTypes: [ReportBatchItemFailures]"),
        ("version `2016-03-23`", "AwsIotSqlVersion: \"2016-03-23\""),
        ("`SELECT * FROM '$aws/events/certificates/registered/#'`", crate::event::TOPIC_RULE_SQL),
        ("Name `/aws/lambda/FUNCTION`", "LogGroupName: !Sub /aws/lambda/${FunctionName}"),
        ("Name `FUNCTION-waiting-events`", "QueueName: !Sub ${FunctionName}-waiting-events"),
        ("Name `FUNCTION-failed-events`", "QueueName: !Sub ${FunctionName}-failed-events"),
    ] {
        assert!(page.contains(value), "the page lacks {value}");
        assert!(TEMPLATE.contains(property), "the template lacks {property}");
    }
}

#[test]
fn without_groups_nothing_about_groups_is_allowed() {
    let text = role_policy(&Description::default()).to_string();
    assert!(
        !text.contains("ThingGroup") && !text.contains("thinggroup") && !text.contains("illingGroup"),
        "{text}"
    );
    assert!(!text.contains("${"), "{text}");
}

/// A bucket's name is free for everybody once the bucket is deleted.
#[test]
fn lists_are_read_from_buckets_of_the_own_account_alone() {
    let statements: Vec<_> = TEMPLATE.split("Action: s3:GetObject\n").skip(1).collect();
    assert_eq!(statements.len(), 2);
    for statement in statements {
        let (statement, _) = statement.split_once("Resource:").unwrap();
        assert!(
            statement.contains(r#"StringEquals: { "aws:ResourceAccount": !Ref AWS::AccountId }"#),
            "{statement}"
        );
    }
}

/// A reservation that is made unasked fails in accounts that have few environments.
#[test]
fn environments_are_reserved_only_where_the_user_says_how_many() {
    let parameter = "  ReservedConcurrency:\n    Type: String\n    Default: \"\"\n";
    let property = "      ReservedConcurrentExecutions: !If [HasReservedConcurrency, !Ref ReservedConcurrency, !Ref AWS::NoValue]\n";
    let condition = "  HasReservedConcurrency: !And\n    - !Condition HasRule\n    - !Not [!Equals [!Ref ReservedConcurrency, \"\"]]\n";
    for text in [parameter, property, condition] {
        assert!(TEMPLATE.contains(text), "{text}");
    }
}
