//! What a call of the user needs, if the user has a policy: actions, with the resources that AWS derives from the request (AWS Service
//! Authorization Reference). Calls of AWS STS are not looked at: `GetCallerIdentity` needs no permission.

use axum::http::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Services;
use super::reply::ServiceError;
use super::request::Call;
use crate::iot_core::account::Account;
use crate::iot_core::policy::{Decision, Keys};

/// One action that has to be allowed.
struct Needed {
    action: String,
    /// An ARN, or `*`.
    resource: String,
    keys: Keys,
}

impl Needed {
    fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), keys: Keys::new() }
    }

    fn when(mut self, key: &str, value: impl Into<String>) -> Self {
        self.keys.insert(key.to_owned(), vec![value.into()]);
        self
    }
}

/// Whether the user's policy allows the call.
///
/// # Errors
/// The answer of the service, as AWS words it.
pub(super) fn check(services: &Services, service: &str, call: &Call) -> Result<(), ServiceError> {
    // A body can be a deployment package: it is read only where somebody asks.
    if !services.account().limits_user() {
        return Ok(());
    }
    for needed in needed(services, service, call) {
        let because = match services.user_may(&needed.action, &needed.resource, &needed.keys) {
            Decision::Allow => continue,
            Decision::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
            Decision::ImplicitDeny => {
                format!("because no identity-based policy allows the {} action", needed.action)
            }
        };
        let user = services.account().identity().iam_arn("user/testbed");
        let Needed { action, resource, .. } = needed;
        let message =
            format!("User: {user} is not authorized to perform: {action} on resource: {resource} {because}");
        let (code, status) = match service {
            "iam" | "cloudwatch" => ("AccessDenied", StatusCode::FORBIDDEN),
            "iotdata" => ("ForbiddenException", StatusCode::FORBIDDEN),
            "kms" => ("AccessDeniedException", StatusCode::BAD_REQUEST),
            _ => ("AccessDeniedException", StatusCode::FORBIDDEN),
        };
        return Err(ServiceError::new(code, status.as_u16(), message));
    }
    Ok(())
}

fn needed(services: &Services, service: &str, call: &Call) -> Vec<Needed> {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    match service {
        "iot" | "iotdata" => of_iot(&services.account(), call, &body),
        "lambda" => of_lambda(services, call, &body),
        "iam" => of_iam(&services.account(), call),
        "sqs" => of_sqs(&services.account(), call, &body),
        "kms" => {
            let resource = match (call.operation, &body["KeyId"]) {
                ("CreateKey" | "ListKeys", _) => "*".to_owned(),
                (_, Value::String(arn)) if arn.starts_with("arn:") => arn.clone(),
                (_, id) => services.account().identity().arn("kms", &format!("key/{}", text(id))),
            };
            vec![Needed::new(format!("kms:{}", call.operation), resource)]
        }
        "cloudwatch" => of_cloudwatch(&services.account(), call, &body),
        "logs" => {
            let resource = match &body["logGroupName"] {
                Value::String(group) => {
                    services.account().identity().arn("logs", &format!("log-group:{group}:log-stream:"))
                }
                _ => "*".to_owned(),
            };
            vec![Needed::new(format!("logs:{}", call.operation), resource)]
        }
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn of_iot(account: &Account, call: &Call, body: &Value) -> Vec<Needed> {
    let operation = call.operation;
    let own = |kind: &str| account.identity().arn("iot", &format!("{kind}/{}", call.name()));
    // By name, or by ARN.
    let named = |kind: &str, name: &str, arn: &str| match body[arn].as_str() {
        Some(arn) => arn.to_owned(),
        None => account.identity().arn("iot", &format!("{kind}/{}", text(&body[name]))),
    };
    let of_group = || {
        vec![named("thing", "thingName", "thingArn"), named("thinggroup", "thingGroupName", "thingGroupArn")]
    };
    let resources = match operation {
        "DescribeCACertificate" | "UpdateCACertificate" | "DeleteCACertificate" => vec![own("cacert")],
        "DescribeCertificate" | "UpdateCertificate" | "DeleteCertificate" => vec![own("cert")],
        "CreatePolicy"
        | "GetPolicy"
        | "DeletePolicy"
        | "CreatePolicyVersion"
        | "ListPolicyVersions"
        | "GetPolicyVersion"
        | "DeletePolicyVersion"
        | "SetDefaultPolicyVersion"
        | "ListTargetsForPolicy" => {
            vec![own("policy")]
        }
        "AttachPolicy" | "DetachPolicy" => vec![text(&body["target"]).to_owned()],
        "CreateThing" => {
            let billing_group = body["billingGroupName"].as_str();
            let billing_group = billing_group.map(|name| account.billing_group_arn(name));
            [own("thing")].into_iter().chain(billing_group).collect()
        }
        "CreateBillingGroup" | "DescribeBillingGroup" | "DeleteBillingGroup" => vec![own("billinggroup")],
        "DescribeThing"
        | "UpdateThing"
        | "DeleteThing"
        | "ListThingGroupsForThing"
        | "GetThingConnectivityData"
        | "GetThingShadow"
        | "UpdateThingShadow"
        | "DeleteThingShadow"
        | "ListNamedShadowsForThing" => vec![own("thing")],
        "CreateThingType" | "DescribeThingType" | "DeprecateThingType" | "DeleteThingType" => {
            vec![own("thingtype")]
        }
        "AddThingToThingGroup" | "RemoveThingFromThingGroup" => of_group(),
        "CreateThingGroup" | "DescribeThingGroup" | "DeleteThingGroup" | "ListThingsInThingGroup" => {
            vec![own("thinggroup")]
        }
        "CreateTopicRule" | "GetTopicRule" | "ReplaceTopicRule" | "EnableTopicRule" | "DisableTopicRule"
        | "DeleteTopicRule" => vec![own("rule")],
        "TagResource" | "UntagResource" => vec![text(&body["resourceArn"]).to_owned()],
        "ListTagsForResource" => vec![call.query("resourceArn").unwrap_or_default().to_owned()],
        "GetConnection" | "DeleteConnection" | "ListSubscriptions" => vec![own("client")],
        "Publish" => vec![own("topic")],
        _ => vec!["*".to_owned()],
    };
    let mut needed: Vec<_> =
        resources.into_iter().map(|resource| Needed::new(format!("iot:{operation}"), resource)).collect();
    let is_tagged = body["tags"].as_array().is_some_and(|tags| !tags.is_empty())
        || call.header("x-amz-tagging").is_some_and(|tags| !tags.is_empty());
    let tagged = match operation {
        "CreatePolicy" => Some(own("policy")),
        "CreateThingType" => Some(own("thingtype")),
        "CreateThingGroup" => Some(own("thinggroup")),
        "CreateBillingGroup" => Some(own("billinggroup")),
        "CreateTopicRule" => Some(own("rule")),
        "RegisterCACertificate" => authority(account, text(&body["caCertificate"])),
        _ => None,
    };
    needed.extend(tagged.filter(|_| is_tagged).map(|arn| Needed::new("iot:TagResource", arn)));
    if ["CreateTopicRule", "ReplaceTopicRule"].contains(&operation) {
        let mut roles = Vec::new();
        role_arns(body, &mut roles);
        let passed =
            |role| Needed::new("iam:PassRole", role).when("iam:passedtoservice", "iot.amazonaws.com");
        needed.extend(roles.into_iter().map(passed));
    }
    needed
}

/// The ARN that a CA certificate will have.
fn authority(account: &Account, pem: &str) -> Option<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    Some(account.authority_arn(&hex::encode(Sha256::digest(&pem.contents))))
}

/// The roles in the actions of a topic rule.
fn role_arns(value: &Value, roles: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(arn) if name == "roleArn" => roles.push(arn.clone()),
                    value => role_arns(value, roles),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| role_arns(item, roles)),
        _ => {}
    }
}

fn of_lambda(services: &Services, call: &Call, body: &Value) -> Vec<Needed> {
    // The name of a function may be an ARN, and may have a version or an alias.
    let function = |reference: &str| match reference.strip_prefix("arn:") {
        Some(_) => reference.to_owned(),
        None => services.account().identity().arn("lambda", &format!("function:{reference}")),
    };
    let mapping = |uuid: &str| {
        let resource = services.account().identity().arn("lambda", &format!("event-source-mapping:{uuid}"));
        let of = services.lambda.event_source(uuid).map(|source| function(&source.function));
        (resource, of.unwrap_or_default())
    };
    let action = match call.operation {
        "Invoke" => "lambda:InvokeFunction".to_owned(),
        operation => format!("lambda:{operation}"),
    };
    let mut needed = vec![match call.operation {
        "ListFunctions" | "ListEventSourceMappings" => Needed::new(action, "*"),
        "CreateEventSourceMapping" => {
            Needed::new(action, "*").when("lambda:functionarn", function(text(&body["FunctionName"])))
        }
        "GetEventSourceMapping" | "UpdateEventSourceMapping" | "DeleteEventSourceMapping" => {
            let (resource, of) = mapping(call.name());
            Needed::new(action, resource).when("lambda:functionarn", of)
        }
        "TagResource" | "UntagResource" | "ListTags" => Needed::new(action, call.name()),
        "CreateFunction" => Needed::new(action, function(text(&body["FunctionName"]))),
        _ => {
            let named = function(call.name());
            Needed::new(
                action,
                match call.query("Qualifier") {
                    Some(qualifier) => format!("{named}:{qualifier}"),
                    None => named,
                },
            )
        }
    }];
    if let ("CreateFunction" | "UpdateFunctionConfiguration", Some(role)) =
        (call.operation, body["Role"].as_str())
    {
        needed.push(Needed::new("iam:PassRole", role).when("iam:passedtoservice", "lambda.amazonaws.com"));
    }
    let is_tagged = body["Tags"].as_object().is_some_and(|tags| !tags.is_empty());
    if call.operation == "CreateFunction" && is_tagged {
        needed.push(Needed::new("lambda:TagResource", function(text(&body["FunctionName"]))));
    }
    needed
}

fn of_iam(account: &Account, call: &Call) -> Vec<Needed> {
    let form = call.form();
    let action = format!("iam:{}", call.operation);
    let role = |name: &str| match account.role(name) {
        Ok(role) => account.role_arn(role),
        Err(_) => {
            let path = form.get("Path").map_or("/", String::as_str);
            account.identity().iam_arn(&format!("role{path}{name}"))
        }
    };
    let resource = match (form.get("RoleName"), form.get("PolicyArn")) {
        (Some(name), _) => role(name),
        (None, Some(arn)) => arn.clone(),
        (None, None) => "*".to_owned(),
    };
    let tagged = call.operation == "CreateRole" && form.contains_key("Tags.member.1.Key");
    let tag = tagged.then(|| Needed::new("iam:TagRole", resource.clone()));
    std::iter::once(Needed::new(action, resource)).chain(tag).collect()
}

/// To list alarms takes the right to list all, whichever are named.
fn of_cloudwatch(account: &Account, call: &Call, body: &Value) -> Vec<Needed> {
    let arns = match call.operation {
        "DescribeAlarms" => vec![account.alarm_arn("*")],
        "ListTagsForResource" => vec![text(&body["ResourceARN"]).to_owned()],
        "DeleteAlarms" => {
            let names = body["AlarmNames"].as_array().map(Vec::as_slice).unwrap_or_default();
            names.iter().map(|name| account.alarm_arn(text(name))).collect()
        }
        _ => vec![account.alarm_arn(text(&body["AlarmName"]))],
    };
    let is_tagged = body["Tags"].as_array().is_some_and(|tags| !tags.is_empty());
    let tags =
        arns.first().filter(|_| is_tagged).map(|arn| Needed::new("cloudwatch:TagResource", arn.clone()));
    let action = format!("cloudwatch:{}", call.operation);
    arns.into_iter().map(|arn| Needed::new(action.clone(), arn)).chain(tags).collect()
}

fn of_sqs(account: &Account, call: &Call, body: &Value) -> Vec<Needed> {
    let name = match body["QueueUrl"].as_str() {
        Some(url) => url.rsplit('/').next(),
        None => body["QueueName"].as_str(),
    };
    let resource = name.map_or_else(|| "*".to_owned(), |name| account.queue_arn(name));
    let is_tagged = body["tags"].as_object().is_some_and(|tags| !tags.is_empty());
    let tag =
        (call.operation == "CreateQueue" && is_tagged).then(|| Needed::new("sqs:TagQueue", resource.clone()));
    std::iter::once(Needed::new(format!("sqs:{}", call.operation), resource)).chain(tag).collect()
}
