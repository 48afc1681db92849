//! AWS Lambda (REST-JSON, 2015-03-31): which request is which operation.

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use super::Handler;
use super::reply::{Reply, ServiceError};
use super::request::{Call, Route};
use crate::lambda_host::{Configuration, Function, LambdaHost, NewFunction, Permission};

mod event_source;
mod invocation;

pub(super) use invocation::invoke;

const fn route(
    operation: &'static str,
    method: Method,
    pattern: &'static str,
    handler: Handler,
) -> Route<Handler> {
    Route { operation, method, pattern, handler }
}

/// Every operation the testbed knows.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route<Handler>] = &[
    route("CreateFunction", Method::POST, "/2015-03-31/functions", Handler::Lambda(create)),
    route("ListFunctions", Method::GET, "/2015-03-31/functions", Handler::Lambda(list)),
    route("GetFunction", Method::GET, "/2015-03-31/functions/{FunctionName}", Handler::Lambda(get)),
    route("DeleteFunction", Method::DELETE, "/2015-03-31/functions/{FunctionName}", Handler::Lambda(delete)),
    route("GetFunctionConfiguration", Method::GET, "/2015-03-31/functions/{FunctionName}/configuration", Handler::Lambda(get_configuration)),
    route("UpdateFunctionConfiguration", Method::PUT, "/2015-03-31/functions/{FunctionName}/configuration", Handler::Lambda(update_configuration)),
    route("UpdateFunctionCode", Method::PUT, "/2015-03-31/functions/{FunctionName}/code", Handler::Lambda(update_code)),
    route("AddPermission", Method::POST, "/2015-03-31/functions/{FunctionName}/policy", Handler::Lambda(add_permission)),
    route("GetPolicy", Method::GET, "/2015-03-31/functions/{FunctionName}/policy", Handler::Lambda(get_policy)),
    route("RemovePermission", Method::DELETE, "/2015-03-31/functions/{FunctionName}/policy/{StatementId}", Handler::Lambda(remove_permission)),
    route("PublishVersion", Method::POST, "/2015-03-31/functions/{FunctionName}/versions", Handler::Lambda(publish_version)),
    route("ListVersionsByFunction", Method::GET, "/2015-03-31/functions/{FunctionName}/versions", Handler::Lambda(list_versions)),
    route("CreateAlias", Method::POST, "/2015-03-31/functions/{FunctionName}/aliases", Handler::Lambda(create_alias)),
    route("Invoke", Method::POST, "/2015-03-31/functions/{FunctionName}/invocations", Handler::Invoke),
    route("PutFunctionEventInvokeConfig", Method::PUT, "/2019-09-25/functions/{FunctionName}/event-invoke-config", Handler::Lambda(invocation::put_event_invoke)),
    route("UpdateFunctionEventInvokeConfig", Method::POST, "/2019-09-25/functions/{FunctionName}/event-invoke-config", Handler::Lambda(invocation::update_event_invoke)),
    route("GetFunctionEventInvokeConfig", Method::GET, "/2019-09-25/functions/{FunctionName}/event-invoke-config", Handler::Lambda(invocation::get_event_invoke)),
    route("DeleteFunctionEventInvokeConfig", Method::DELETE, "/2019-09-25/functions/{FunctionName}/event-invoke-config", Handler::Lambda(invocation::delete_event_invoke)),
    route("CreateEventSourceMapping", Method::POST, "/2015-03-31/event-source-mappings", Handler::Lambda(event_source::create)),
    route("ListEventSourceMappings", Method::GET, "/2015-03-31/event-source-mappings", Handler::Lambda(event_source::list)),
    route("GetEventSourceMapping", Method::GET, "/2015-03-31/event-source-mappings/{UUID}", Handler::Lambda(event_source::get)),
    route("UpdateEventSourceMapping", Method::PUT, "/2015-03-31/event-source-mappings/{UUID}", Handler::Lambda(event_source::update)),
    route("DeleteEventSourceMapping", Method::DELETE, "/2015-03-31/event-source-mappings/{UUID}", Handler::Lambda(event_source::delete)),
    route("PutFunctionConcurrency", Method::PUT, "/2017-10-31/functions/{FunctionName}/concurrency", Handler::Lambda(put_concurrency)),
    route("GetFunctionConcurrency", Method::GET, "/2019-09-30/functions/{FunctionName}/concurrency", Handler::Lambda(get_concurrency)),
    route("DeleteFunctionConcurrency", Method::DELETE, "/2017-10-31/functions/{FunctionName}/concurrency", Handler::Lambda(delete_concurrency)),
    route("TagResource", Method::POST, "/2017-03-31/tags/{Resource}", Handler::Lambda(tag)),
    route("UntagResource", Method::DELETE, "/2017-03-31/tags/{Resource}", Handler::Lambda(untag)),
    route("ListTags", Method::GET, "/2017-03-31/tags/{Resource}", Handler::Lambda(list_tags)),
];

/// The `FunctionConfiguration` of the API.
fn description(function: &Function) -> Value {
    let configuration = &function.configuration;
    let variables = &configuration.environment;
    json!({
        "FunctionName": function.name,
        "FunctionArn": function.arn,
        "Runtime": configuration.runtime,
        "Role": configuration.role,
        "Handler": configuration.handler,
        "CodeSize": function.code_size(),
        "CodeSha256": function.code_sha256(),
        "Description": configuration.description,
        "Timeout": configuration.timeout,
        "MemorySize": configuration.memory_size,
        "LastModified": last_modified(function.modified),
        "Version": function.version,
        "Environment": (!variables.is_empty()).then(|| json!({ "Variables": variables })),
        "DeadLetterConfig": configuration.dead_letter.as_ref().map(|arn| json!({ "TargetArn": arn })),
        "TracingConfig": { "Mode": configuration.tracing },
        "RevisionId": format!("{:032x}", function.revision),
        "State": function.state(),
        "StateReason": (function.state() == "Pending").then_some("The function is being created."),
        "StateReasonCode": (function.state() == "Pending").then_some("Creating"),
        "LastUpdateStatus": function.last_update_status(),
        "PackageType": "Zip",
        "Architectures": [function.architecture],
        "EphemeralStorage": { "Size": 512 },
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        "LoggingConfig": { "LogFormat": "Text", "LogGroup": format!("/aws/lambda/{}", function.name) },
    })
}

fn last_modified(time: SystemTime) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+0000");
    OffsetDateTime::from(time).format(&format).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Variables {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetterConfig {
    target_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TracingConfig {
    mode: String,
}

/// The settings in `CreateFunction` and `UpdateFunctionConfiguration`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigurationBody {
    runtime: Option<String>,
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<u32>,
    memory_size: Option<u32>,
    environment: Option<Variables>,
    dead_letter_config: Option<DeadLetterConfig>,
    tracing_config: Option<TracingConfig>,
}

impl ConfigurationBody {
    fn apply(self, to: &mut Configuration) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut to.runtime, self.runtime);
        set(&mut to.role, self.role);
        set(&mut to.handler, self.handler);
        set(&mut to.description, self.description);
        set(&mut to.timeout, self.timeout);
        set(&mut to.memory_size, self.memory_size);
        set(&mut to.environment, self.environment.map(|environment| environment.variables));
        set(&mut to.tracing, self.tracing_config.map(|tracing| tracing.mode));
        if let Some(dead_letter) = self.dead_letter_config {
            to.dead_letter = dead_letter.target_arn.filter(|arn| !arn.is_empty());
        }
    }
}

/// The zip file of a request. Packages in S3 and container images are not supported.
fn zip_file(zip: Option<&str>) -> Result<Vec<u8>, ServiceError> {
    let invalid = |message: &str| ServiceError::new("InvalidParameterValueException", 400, message);
    let text = zip.ok_or_else(|| invalid("the testbed takes code as ZipFile alone"))?;
    STANDARD.decode(text).map_err(|_| invalid("ZipFile is not base64"))
}

fn architecture(listed: Option<Vec<String>>) -> Option<String> {
    listed?.into_iter().next()
}

fn create(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Code {
        zip_file: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        function_name: String,
        code: Code,
        architectures: Option<Vec<String>>,
        #[serde(default)]
        tags: BTreeMap<String, String>,
        #[serde(flatten)]
        configuration: ConfigurationBody,
    }
    let body: Body = call.json()?;
    let mut configuration = Configuration::default();
    body.configuration.apply(&mut configuration);
    let function = lambda.create(NewFunction {
        name: body.function_name,
        zip: zip_file(body.code.zip_file.as_deref())?,
        configuration,
        architecture: architecture(body.architectures).unwrap_or_else(|| "x86_64".into()),
        tags: body.tags,
    })?;
    Ok(Reply::json(description(&function)).status(201))
}

fn list(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    // Pages of 50 at the most; the marker is the name of the last function.
    let size = call.number("MaxItems")?.unwrap_or(50_usize).clamp(1, 50);
    let after = call.query("Marker").unwrap_or_default();
    let mut functions = lambda.list();
    functions.retain(|function| function.name.as_str() > after);
    let more = functions.len() > size;
    functions.truncate(size);
    let next = more.then(|| functions.last().map(|function| function.name.clone())).flatten();
    let functions: Vec<Value> = functions.iter().map(description).collect();
    Ok(Reply::json(json!({ "Functions": functions, "NextMarker": next })))
}

fn get(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let function = lambda.function(call.name())?;
    Ok(Reply::json(json!({
        "Configuration": description(&function),
        "Code": { "RepositoryType": "S3", "Location": lambda.code_location(&function) },
        "Tags": (!function.tags.is_empty()).then_some(&function.tags),
        "Concurrency": function.reserved_concurrency.map(|n| json!({ "ReservedConcurrentExecutions": n })),
    })))
}

fn get_configuration(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    Ok(Reply::json(description(&lambda.function(call.name())?)))
}

fn update_configuration(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let body: ConfigurationBody = call.json()?;
    let function = lambda.update_configuration(call.name(), |configuration| body.apply(configuration))?;
    Ok(Reply::json(description(&function)))
}

fn update_code(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        zip_file: Option<String>,
        architectures: Option<Vec<String>>,
        #[serde(default)]
        dry_run: bool,
    }
    let body: Body = call.json()?;
    let zip = zip_file(body.zip_file.as_deref())?;
    let function = match body.dry_run {
        true => lambda.function(call.name())?,
        false => lambda.update_code(call.name(), &zip, architecture(body.architectures).as_deref())?,
    };
    Ok(Reply::json(description(&function)))
}

fn delete(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    lambda.delete(call.name())?;
    Ok(Reply::empty().status(204))
}

fn add_permission(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        statement_id: String,
        action: String,
        principal: String,
        source_arn: Option<String>,
        source_account: Option<String>,
    }
    let body: Body = call.json()?;
    let qualifier = lambda.qualifier(call.name()).or_else(|| call.query("Qualifier").map(str::to_owned));
    let statement = lambda.add_permission(
        call.name(),
        Permission {
            qualifier,
            statement_id: body.statement_id,
            action: body.action,
            principal: body.principal,
            source_arn: body.source_arn,
            source_account: body.source_account,
        },
    )?;
    Ok(Reply::json(json!({ "Statement": statement.to_string() })).status(201))
}

fn publish_version(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        code_sha256: Option<String>,
    }
    let body: Body = call.json()?;
    let version = lambda.publish(call.name(), body.code_sha256.as_deref())?;
    Ok(Reply::json(description(&version)).status(201))
}

fn list_versions(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let versions: Vec<_> = lambda.versions(call.name())?.iter().map(description).collect();
    Ok(Reply::json(json!({ "Versions": versions })))
}

fn create_alias(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        name: String,
        function_version: String,
    }
    let body: Body = call.json()?;
    lambda.create_alias(call.name(), &body.name, &body.function_version)?;
    let arn = lambda.function(&format!("{}:{}", call.name(), body.name))?.arn;
    let alias = json!({ "AliasArn": arn, "Name": body.name, "FunctionVersion": body.function_version });
    Ok(Reply::json(alias).status(201))
}

fn get_policy(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let policy = lambda.policy(call.name())?;
    let revision = format!("{:032x}", lambda.function(call.name())?.revision);
    Ok(Reply::json(json!({ "Policy": policy.to_string(), "RevisionId": revision })))
}

fn remove_permission(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    lambda.remove_permission(call.name(), call.label(1))?;
    Ok(Reply::empty().status(204))
}

fn put_concurrency(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        reserved_concurrent_executions: u32,
    }
    let reserved = call.json::<Body>()?.reserved_concurrent_executions;
    lambda.set_reserved_concurrency(call.name(), Some(reserved))?;
    Ok(Reply::json(json!({ "ReservedConcurrentExecutions": reserved })))
}

fn get_concurrency(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    let reserved = lambda.function(call.name())?.reserved_concurrency;
    Ok(Reply::json(json!({ "ReservedConcurrentExecutions": reserved })))
}

fn delete_concurrency(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    lambda.set_reserved_concurrency(call.name(), None)?;
    Ok(Reply::empty().status(204))
}

fn tag(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body {
        tags: BTreeMap<String, String>,
    }
    let body: Body = call.json()?;
    lambda.change_tags(call.name(), |tags| tags.extend(body.tags))?;
    Ok(Reply::empty().status(204))
}

fn untag(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    lambda.change_tags(call.name(), |tags| {
        for (_, key) in call.query.iter().filter(|(name, _)| name == "tagKeys") {
            tags.remove(key);
        }
    })?;
    Ok(Reply::empty().status(204))
}

fn list_tags(lambda: &LambdaHost, call: &Call) -> Result<Reply, ServiceError> {
    Ok(Reply::json(json!({ "Tags": lambda.function(call.name())?.tags })))
}
