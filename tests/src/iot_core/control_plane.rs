//! The control plane: AWS IoT, Lambda, IAM, STS, SQS, KMS, CloudWatch and CloudWatch Logs over HTTP, in AWS's wire formats.
//!
//! Requests have to be signed with the key of the account's user, or with the keys of a function's role. The credential scope in the
//! `Authorization` header tells service and Region.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::serve::Listener;

use crate::access::Access;
use crate::iot_core::account::Account;
use crate::iot_core::gateway::{Publisher, WeakPublisher};
use crate::iot_core::policy;
use crate::journal::{self, Caller, Happening, Journal};
use crate::lambda_host::LambdaHost;

mod cbor;
mod cloudwatch;
mod connections;
mod declined;
mod iam;
mod interceptor;
mod iot;
mod kms;
mod lambda;
mod listener;
mod logs;
mod messages;
mod origin;
mod permission;
mod reply;
mod request;
mod signature;
mod sqs;
mod sts;
mod throttle;

pub use interceptor::{Fault, Interceptor, Operation, When};
pub(crate) use listener::Counted;
pub use listener::HttpsListener;
pub use reply::ServiceError;
use reply::{Protocol, Reply, respond};
use request::{Call, Route, labels};
use signature::Authorization;
pub use throttle::{Throttle, throttled};

/// The largest request: a deployment package in base64. Debug builds are far over Lambda's own limit of 50 MB.
const BODY_LIMIT: usize = 1024 * 1024 * 1024;

/// The services that the testbed has, as credential scopes name them.
const SERVICES: [&str; 9] = ["iot", "iotdata", "lambda", "iam", "sts", "sqs", "kms", "logs", "monitoring"];

/// What the calls work on.
#[derive(Clone)]
pub struct Services {
    /// The key of the account's user.
    pub access: Access,
    /// The account.
    pub account: Arc<Mutex<Account>>,
    /// Its functions.
    pub lambda: LambdaHost,
    /// Where each call is written down.
    pub journal: Journal,
    /// What comes between a call and its answer.
    pub interceptor: Arc<dyn Interceptor>,
    /// The device gateway, from its start on.
    pub gateway: Arc<OnceLock<WeakPublisher>>,
}

impl Services {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the user's policy allows it; a refusal is noted in the journal.
    pub(super) fn user_may(&self, action: &str, resource: &str, keys: &policy::Keys) -> policy::Decision {
        let decision = self.account().user_may(action, resource, keys);
        if !decision.allows() {
            let note = format!("the user's policy does not allow {action} on {resource}");
            self.journal.record(Happening::Note(note));
        }
        decision
    }

    fn gateway(&self) -> Option<Publisher> {
        self.gateway.get()?.upgrade()
    }
}

/// Serves the control plane on `listener` until it is dropped.
pub async fn serve<L>(listener: L, services: Services) -> std::io::Result<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let router = Router::new().fallback(answer).with_state(Arc::new(services));
    axum::serve(listener, router).await
}

/// The data plane alone, for the port of the device gateway: clients reach all of it at one address.
pub fn data_plane(services: Services) -> Router {
    Router::new().fallback(answer_data_plane).with_state(Arc::new(services))
}

async fn answer_data_plane(services: State<Arc<Services>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match Authorization::of(&parts).is_some_and(|authorization| authorization.service == "iotdata") {
        true => answer(services, Request::from_parts(parts, body)).await,
        false => status(StatusCode::NOT_FOUND),
    }
}

async fn answer(State(services): State<Arc<Services>>, request: Request) -> Response<Body> {
    let begun = Instant::now();
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let request_id = format!("{:032x}", since_epoch.as_nanos());
    let (parts, body) = request.into_parts();
    if !origin::is_own(&parts) {
        return status(StatusCode::FORBIDDEN);
    }
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE);
    };
    if let Some(package) = services.lambda.code_at(parts.uri.path()) {
        return Response::new(Body::from(package));
    }
    let authorization = Authorization::of(&parts);
    let service = authorization.as_ref().map_or("", |authorization| authorization.service);
    let caller = signature::caller(&services, &parts, authorization.as_ref(), &body);
    let region = authorization.as_ref().map(|authorization| authorization.region);
    let dispatched = dispatch(&services, service, region, &parts, body, &caller).await;
    let caller = caller.unwrap_or(Caller::Stranger);
    let Dispatched { service, protocol, operation, argument, outcome } = dispatched;
    let status = match &outcome {
        Ok(reply) => Ok(reply.status),
        Err(error) => Err((error.code.clone(), error.status)),
    };
    services.journal.record(Happening::Call(journal::Call {
        service,
        operation,
        argument,
        caller,
        took: begun.elapsed(),
        outcome: status,
    }));
    for note in services.account().take_notes() {
        services.journal.record(Happening::Note(note));
    }
    respond(protocol, &request_id, outcome)
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

struct Dispatched {
    service: Cow<'static, str>,
    protocol: Protocol,
    operation: String,
    argument: String,
    outcome: Result<Reply, ServiceError>,
}

/// A handler that needs nothing but the account.
type OfAccount = fn(&mut Account, &Call) -> Result<Reply, ServiceError>;

/// A handler that needs all that the calls work on.
type OfServices = fn(&Services, &Call) -> Result<Reply, ServiceError>;

/// A handler of any of the services.
#[derive(Clone, Copy)]
enum Handler {
    Account(OfAccount),
    Services(OfServices),
    Lambda(fn(&LambdaHost, &Call) -> Result<Reply, ServiceError>),
    Invoke,
}

async fn dispatch(
    services: &Services,
    service: &str,
    region: Option<&str>,
    parts: &Parts,
    body: Bytes,
    caller: &Result<Caller, ServiceError>,
) -> Dispatched {
    let query = parts.uri.query().unwrap_or_default();
    let mut call = Call {
        operation: "",
        labels: Vec::new(),
        query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers.clone(),
        body,
    };
    let target = call.header("x-amz-target").and_then(|target| target.rsplit_once('.')).map(|(_, name)| name);
    let asked_of = service;
    let mut undecoded = None;
    let action = target.map(str::to_owned).or_else(|| call.form().remove("Action"));
    let (service, protocol, handler) = match service {
        "iot" => {
            let handler = find(iot::ROUTES, parts, &mut call).map(Handler::Account);
            let handler =
                handler.or_else(|| find(connections::IOT_ROUTES, parts, &mut call).map(Handler::Services));
            ("iot", Protocol::Json, handler)
        }
        "iotdata" => {
            let handler = find(connections::DATA_ROUTES, parts, &mut call);
            let handler = handler.or_else(|| find(messages::ROUTES, parts, &mut call));
            ("iotdata", Protocol::Json, handler.map(Handler::Services))
        }
        "lambda" => ("lambda", Protocol::Json, find(lambda::ROUTES, parts, &mut call)),
        "kms" => ("kms", Protocol::Json, of_account(kms::OPERATIONS, action.as_deref(), &mut call)),
        "sqs" => ("sqs", Protocol::Json, of_account(sqs::OPERATIONS, action.as_deref(), &mut call)),
        // The name of CloudWatch in credential scopes.
        "monitoring" => {
            let is_cbor = call.header("content-type") == Some(cbor::CONTENT_TYPE);
            let named = action.as_deref().or(cbor::operation(parts.uri.path()));
            let handler = of_account(cloudwatch::OPERATIONS, named, &mut call);
            if is_cbor {
                match cbor::decode(&call.body) {
                    Ok(body) => call.body = body.to_string().into(),
                    Err(error) => undecoded = Some(error),
                }
            }
            ("cloudwatch", if is_cbor { Protocol::Cbor } else { Protocol::Json }, handler)
        }
        "logs" => {
            let handler = named(logs::OPERATIONS, action.as_deref(), &mut call);
            ("logs", Protocol::Json, handler.map(Handler::Services))
        }
        "" | "iam" | "sts" => match of_account(sts::OPERATIONS, action.as_deref(), &mut call) {
            // Both have the path `/`, so that without a scope the action decides.
            Some(handler) => ("sts", Protocol::Query, Some(handler)),
            None => ("iam", Protocol::Query, of_account(iam::OPERATIONS, action.as_deref(), &mut call)),
        },
        other => return declined::service(other, parts, action, caller),
    };
    let anybody = Ok(Caller::Stranger);
    let caller = match call.operation {
        sts::UNSIGNED if region.is_none() => &anybody,
        _ => caller,
    };
    let known = match (caller, handler) {
        (Err(error), _) => Err(error.clone()),
        (Ok(_), Some(_)) if let Some(error) = undecoded => Err(error),
        (Ok(caller), Some(handler)) => Ok((caller, handler)),
        (Ok(_), None) => {
            let asked = action.clone().unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path()));
            // Without a scope nobody says which service is meant.
            Err(declined::operation(&asked, if asked_of.is_empty() { service } else { asked_of }))
        }
    };
    let (caller, handler) = match known {
        Ok(known) => known,
        Err(error) => {
            let operation = match call.operation {
                "" => action.unwrap_or_else(|| format!("{} {}", parts.method, parts.uri.path())),
                operation => operation.to_owned(),
            };
            let service = service.into();
            return Dispatched { service, protocol, operation, argument: String::new(), outcome: Err(error) };
        }
    };
    let argument = argument(&call, protocol);
    let operation = Operation { service, name: call.operation, argument: &argument, caller };
    let allowed = check_region(services, service, region).and_then(|()| match caller {
        Caller::User => permission::check(services, service, &call),
        Caller::Function(_) | Caller::Stranger => Ok(()),
    });
    let outcome = match allowed {
        Err(error) => Err(error),
        Ok(()) => intercepted(services, &operation, run(services, handler, &call)).await,
    };
    Dispatched { service: service.into(), protocol, operation: call.operation.to_owned(), argument, outcome }
}

/// The handler's work, between what the interceptor does before and after it.
async fn intercepted(
    services: &Services,
    operation: &Operation<'_>,
    work: impl Future<Output = Result<Reply, ServiceError>>,
) -> Result<Reply, ServiceError> {
    let Some(fault) = services.interceptor.intercept(operation) else { return work.await };
    if fault.latency > Duration::ZERO {
        tokio::time::sleep(fault.latency).await;
    }
    match fault.error {
        None => work.await,
        Some((When::Before, error)) => Err(error),
        Some((When::After, error)) => work.await.and(Err(error)),
    }
}

async fn run(services: &Services, handler: Handler, call: &Call) -> Result<Reply, ServiceError> {
    match handler {
        Handler::Account(handler) => handler(&mut services.account(), call),
        Handler::Services(handler) => handler(services, call),
        Handler::Lambda(handler) => handler(&services.lambda, call),
        Handler::Invoke => lambda::invoke(&services.lambda, call).await,
    }
}

/// A Region has an endpoint of its own, which refuses signatures for another one. IAM and STS belong to no Region.
fn check_region(services: &Services, service: &str, signed: Option<&str>) -> Result<(), ServiceError> {
    let region = services.account().identity().region.clone();
    match signed {
        Some(signed) if !matches!(service, "iam" | "sts") && signed != region => {
            let message =
                format!("Credential should be scoped to a valid Region, not '{signed}'; this is {region}.");
            Err(ServiceError::new("InvalidSignatureException", 403, message))
        }
        _ => Ok(()),
    }
}

/// The REST operation that fits the request; fills in the call's name and labels.
fn find<H: Copy>(routes: &[Route<H>], parts: &Parts, call: &mut Call) -> Option<H> {
    for route in routes.iter().filter(|route| route.method == parts.method) {
        if let Some(labels) = labels(route.pattern, parts.uri.path()) {
            call.operation = route.operation;
            call.labels = labels;
            return Some(route.handler);
        }
    }
    None
}

/// Whether the testbed has an operation of this name.
pub fn has_operation(name: &str) -> bool {
    fn of<'a, H: 'a>(routes: &'a [Route<H>]) -> impl Iterator<Item = &'static str> + 'a {
        routes.iter().map(|route| route.operation)
    }
    let named = [cloudwatch::OPERATIONS, iam::OPERATIONS, kms::OPERATIONS, sqs::OPERATIONS, sts::OPERATIONS];
    let mut names = of(iot::ROUTES)
        .chain(of(connections::IOT_ROUTES))
        .chain(of(connections::DATA_ROUTES))
        .chain(of(messages::ROUTES))
        .chain(of(lambda::ROUTES))
        .chain(named.into_iter().flatten().map(|(name, _)| *name))
        .chain(logs::OPERATIONS.iter().map(|(name, _)| *name));
    names.any(|known| known == name)
}

/// An operation of a service that names it in the request.
type Named = (&'static str, OfAccount);

fn named<H: Copy>(operations: &[(&'static str, H)], action: Option<&str>, call: &mut Call) -> Option<H> {
    let (name, handler) = operations.iter().find(|(name, _)| Some(*name) == action)?;
    call.operation = name;
    Some(*handler)
}

fn of_account(operations: &[Named], action: Option<&str>, call: &mut Call) -> Option<Handler> {
    named(operations, action, call).map(Handler::Account)
}

/// What the journal names as the call's argument.
fn argument(call: &Call, protocol: Protocol) -> String {
    if let Some(label) = call.labels.first() {
        return label.clone();
    }
    match protocol {
        Protocol::Json | Protocol::Cbor => call.header("x-amzn-principal").unwrap_or_default().to_owned(),
        _ => call.form().remove("RoleName").unwrap_or_default(),
    }
}
