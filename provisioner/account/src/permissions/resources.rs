//! The resources that a permission can be limited to, as ARN patterns (AWS Service Authorization Reference, "Actions, resources,
//! and condition keys" of each service).

use jitr::published::ListUrl;
use jitr::scope::{Arn, Scope};

use super::Names;
use crate::setup::admission::object_arn;
use crate::setup::alarms;
use crate::setup::delivery::waiting_events;
use crate::setup::{FAILED_EVENTS, ROLE_SUFFIX, base_name, function_arn, qualifier, unqualified};

/// What a permission is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum On {
    /// Actions that AWS limits to no resource.
    All,
    CaCertificates,
    Certificates,
    Things,
    /// Any MQTT client: what is asked of a board goes by its thing name.
    Clients,
    ThingGroup,
    ThingsAndGroup,
    BillingGroup,
    AdditionalPolicies,
    ThingType,
    ThingTypes,
    Policy,
    Policies,
    Rule,
    Rules,
    /// What `teardown` asks for the tags of.
    Tagged,
    Function,
    Functions,
    /// A new event source mapping of the function.
    NewMapping,
    MappingsOfFunction,
    Mappings,
    /// The queues of waiting and of failed events, and those that are named.
    Queues,
    /// The queue of failed events, or the one that is named.
    FailedEvents,
    /// Queues with the names that `setup` gives.
    MadeQueues,
    /// The roles of the function and of the rule.
    Roles,
    /// Roles with the names that `setup` gives.
    MadeRoles,
    RoleForFunction,
    RoleForRule,
    /// Policies of the account and of AWS.
    ManagedPolicies,
    /// The MQTT clients of this program.
    OwnClients,
    Filters,
    Topics,
    SentTopic,
    FunctionLog,
    IotLog,
    /// Every alarm: CloudWatch asks for this to list them, whichever are named.
    Alarms,
    /// The alarms of the function.
    FunctionAlarms,
    /// Alarms with the names that `setup` gives.
    MadeAlarms,
    /// The admission list in Amazon S3, if it is there.
    AdmissionList,
    AdmissionBucket,
}

/// A condition of a statement: operator, key, value.
pub(super) type Condition = (&'static str, &'static str, String);

/// ARN patterns, and a condition that goes with them. Without patterns nothing is needed.
pub(super) struct Resources {
    pub(super) patterns: Vec<String>,
    pub(super) condition: Option<Condition>,
}

impl On {
    /// The resources in `scope` with these names.
    pub(super) fn resources(self, scope: &Scope, names: &Names) -> Resources {
        let patterns = self.patterns(scope, names);
        let condition = match self {
            Self::NewMapping | Self::MappingsOfFunction => {
                Some(("ArnLike", "lambda:FunctionArn", function_arn(scope, &names.function)))
            }
            Self::RoleForFunction => passed_to("lambda.amazonaws.com"),
            Self::RoleForRule => passed_to("iot.amazonaws.com"),
            _ => None,
        };
        Resources { patterns, condition }
    }

    fn patterns(self, scope: &Scope, names: &Names) -> Vec<String> {
        let iot = |resource: &str| vec![scope.arn(resource)];
        let named = |kind: &str, name: &str| vec![scope.arn(format_args!("{kind}/{name}"))];
        let of = |service, resource: &str| Arn { service, resource, ..scope.as_arn() }.to_string();
        let role = |name: &str| {
            Arn { service: "iam", region: "", resource: &format!("role/{name}"), ..scope.as_arn() }
                .to_string()
        };
        let base = base_name(&names.function);
        let own_role = || names.role.clone().unwrap_or_else(|| role(&format!("{base}{ROLE_SUFFIX}")));
        let rule_role = || role(&format!("{base}-rule{ROLE_SUFFIX}"));
        let group = || names.thing_groups.iter().map(|name| scope.arn(format_args!("thinggroup/{name}")));
        let failed = || of("sqs", &format!("{base}-{FAILED_EVENTS}"));
        let named_queues = || names.queues.iter().map(|name| of("sqs", name));
        let log = |group: &str| {
            vec![of("logs", &format!("log-group:{group}")), of("logs", &format!("log-group:{group}:*"))]
        };
        let alarm = |name: &str| of("cloudwatch", &format!("alarm:{name}"));
        match self {
            Self::All => vec!["*".to_owned()],
            Self::CaCertificates => iot("cacert/*"),
            Self::Certificates => iot("cert/*"),
            Self::Things => iot("thing/*"),
            Self::Clients => iot("client/*"),
            Self::ThingGroup => group().collect(),
            // Without a group nothing is put into one.
            Self::ThingsAndGroup => {
                let group: Vec<String> = group().collect();
                if group.is_empty() { group } else { [iot("thing/*"), group].concat() }
            }
            Self::BillingGroup => names
                .billing_group
                .iter()
                .map(|name| scope.arn(format_args!("billinggroup/{name}")))
                .collect(),
            Self::AdditionalPolicies => names
                .additional_policies
                .iter()
                .map(|name| scope.arn(format_args!("policy/{name}")))
                .collect(),
            Self::ThingType => named("thingtype", &names.thing_type),
            Self::ThingTypes => iot("thingtype/*"),
            Self::Policy => named("policy", &names.policy),
            Self::Policies => iot("policy/*"),
            Self::Rule => named("rule", &names.rule),
            Self::Rules => iot("rule/*"),
            Self::Tagged => [iot("rule/*"), iot("cacert/*"), iot("policy/*"), iot("thingtype/*")].concat(),
            Self::Function => {
                let whole = function_arn(scope, &names.function);
                let function = unqualified(&whole).to_owned();
                // A version or an alias is asked for, and the function without it, too.
                let versions = qualifier(&whole).map(|_| format!("{function}:*"));
                std::iter::once(function).chain(versions).collect()
            }
            Self::Functions => vec![of("lambda", "function:*")],
            // A mapping that is not there yet has no ARN.
            Self::NewMapping => vec!["*".to_owned()],
            Self::MappingsOfFunction | Self::Mappings => vec![of("lambda", "event-source-mapping:*")],
            Self::Queues => [of("sqs", &waiting_events(&names.function)), failed()]
                .into_iter()
                .chain(named_queues())
                .collect(),
            Self::FailedEvents => {
                let queues: Vec<String> = named_queues().collect();
                if queues.is_empty() { vec![failed()] } else { queues }
            }
            Self::MadeQueues => {
                vec![of("sqs", &waiting_events("*")), of("sqs", &format!("*-{FAILED_EVENTS}"))]
            }
            Self::Roles => vec![own_role(), rule_role()],
            Self::MadeRoles => vec![role(&format!("*{ROLE_SUFFIX}"))],
            Self::RoleForFunction => vec![own_role()],
            Self::RoleForRule => {
                std::iter::once(rule_role()).chain(names.rule_roles.iter().cloned()).collect()
            }
            Self::ManagedPolicies => {
                vec![
                    Arn { service: "iam", region: "", account: "*", resource: "policy/*", ..scope.as_arn() }
                        .to_string(),
                ]
            }
            Self::OwnClients => iot("client/provisioner-*"),
            Self::Filters => topics(scope, "topicfilter", names, |thing| match thing {
                Some(thing) => [format!("{thing}/#"), format!("$aws/things/{thing}/shadow/#")],
                None => ["#".to_owned(), "$aws/things/+/shadow/#".to_owned()],
            }),
            Self::Topics => topics(scope, "topic", names, |thing| match thing {
                Some(thing) => [format!("{thing}/*"), format!("$aws/things/{thing}/shadow/*")],
                None => ["*".to_owned(), "$aws/things/*/shadow/*".to_owned()],
            }),
            Self::SentTopic => named("topic", names.topic.as_deref().unwrap_or("*")),
            Self::FunctionLog => log(&format!("/aws/lambda/{base}")),
            Self::IotLog => log("AWSIotLogsV2"),
            Self::Alarms => vec![alarm("*")],
            Self::FunctionAlarms => alarms::names(base).map(|name| alarm(&name)).collect(),
            Self::MadeAlarms => alarms::suffixes().map(|suffix| alarm(&format!("*-{suffix}"))).collect(),
            Self::AdmissionList => {
                names.admission_list.iter().filter_map(|url| object_arn(scope, url)).collect()
            }
            Self::AdmissionBucket => match &names.admission_list {
                Some(ListUrl::S3 { bucket, .. }) => vec![format!("arn:{}:s3:::{bucket}", scope.partition)],
                Some(ListUrl::Https(_)) | None => Vec::new(),
            },
        }
    }
}

fn passed_to(service: &str) -> Option<Condition> {
    Some(("StringEquals", "iam:PassedToService", service.to_owned()))
}

/// The topics of events, and those of each thing, or of all of them.
fn topics(
    scope: &Scope,
    kind: &str,
    names: &Names,
    of_thing: impl Fn(Option<&str>) -> [String; 2],
) -> Vec<String> {
    let end = if kind == "topicfilter" { "+" } else { "*" };
    let events = [format!("$aws/events/certificates/registered/{end}"), "$aws/events/presence/*".to_owned()];
    let of_things = match names.things.as_slice() {
        [] => of_thing(None).to_vec(),
        things => things.iter().flat_map(|thing| of_thing(Some(thing))).collect(),
    };
    events.into_iter().chain(of_things).map(|topic| scope.arn(format_args!("{kind}/{topic}"))).collect()
}
