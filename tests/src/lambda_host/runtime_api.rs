//! The Lambda Runtime API (2018-06-01) of one execution environment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use crate::secret;

/// The function's answer, or its error as JSON text.
pub type Answer = Result<Bytes, Bytes>;

/// What the runtime is given to work on.
#[derive(Debug)]
pub struct Work {
    /// Names the invocation.
    pub request_id: String,
    /// The event.
    pub payload: Bytes,
    /// When it has to be answered.
    pub deadline: SystemTime,
    /// Whether AWS X-Ray is to see it.
    pub sampled: bool,
    /// Takes the answer.
    pub answer: oneshot::Sender<Answer>,
}

/// How far the runtime has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not asked for work yet.
    Starting,
    /// It asked for work.
    Ready,
    /// It reported that it cannot start (the error as JSON text).
    InitFailed(Bytes),
}

/// The server's end of the Runtime API.
#[derive(Debug)]
struct Api {
    function_arn: String,
    work: AsyncMutex<mpsc::Receiver<Work>>,
    in_flight: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
    phase: watch::Sender<Phase>,
}

/// The host's end of it.
#[derive(Debug)]
pub struct Handle {
    /// What `AWS_LAMBDA_RUNTIME_API` has to say: a URL with a path that only the function knows. AWS gives host and port alone;
    /// with a path, Rust's runtime takes nothing but a whole URL.
    pub location: String,
    /// Takes what the runtime is to work on.
    pub work: mpsc::Sender<Work>,
    /// Sends the state of the runtime.
    pub phase: watch::Receiver<Phase>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves the Runtime API on a port of its own: the protocol has no room for telling environments apart otherwise.
///
/// # Errors
/// If there is no port.
pub async fn serve(function_arn: String) -> std::io::Result<Handle> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let prefix = secret::random();
    let location = format!("http://{}/{prefix}", listener.local_addr()?);
    let (work, receiver) = mpsc::channel(1);
    let (phase, phase_receiver) = watch::channel(Phase::Starting);
    let api = Api { function_arn, work: AsyncMutex::new(receiver), in_flight: Mutex::new(None), phase };
    let runtime = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(axum::extract::DefaultBodyLimit::max(PAYLOAD_LIMIT))
        .with_state(Arc::new(api));
    let router = Router::new().nest(&format!("/{prefix}"), runtime);
    let server = tokio::spawn(async move {
        if let Err(e) = axum::serve(listener, router).await {
            tracing::warn!(error = %e, "runtime API stopped");
        }
    });
    Ok(Handle { location, work, phase: phase_receiver, server })
}

/// The largest answer a function may give: 6 MB.
const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024;

async fn next(State(api): State<Arc<Api>>) -> Response<Body> {
    api.phase.send_replace(Phase::Ready);
    let Some(work) = api.work.lock().await.recv().await else {
        return status(StatusCode::GONE);
    };
    let since_epoch = work.deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let digits = work.request_id.replace('-', "");
    let trace = format!(
        "Root=1-{:08x}-{};Parent={};Sampled={}",
        since_epoch.as_secs(),
        digits.get(..24).unwrap_or_default(),
        digits.get(16..).unwrap_or_default(),
        u8::from(work.sampled)
    );
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", &work.request_id)
        .header("Lambda-Runtime-Deadline-Ms", since_epoch.as_millis().to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", &api.function_arn)
        .header("Lambda-Runtime-Trace-Id", trace)
        .body(Body::from(work.payload));
    *api.in_flight.lock().unwrap_or_else(PoisonError::into_inner) = Some((work.request_id, work.answer));
    response.unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> Response<Body> {
    finish(&api, &id, Ok(body))
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> Response<Body> {
    finish(&api, &id, Err(body))
}

async fn init_error(State(api): State<Arc<Api>>, body: Bytes) -> Response<Body> {
    api.phase.send_replace(Phase::InitFailed(body));
    status(StatusCode::ACCEPTED)
}

fn finish(api: &Api, id: &str, outcome: Answer) -> Response<Body> {
    let mut in_flight = api.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
    match in_flight.take() {
        Some((request_id, answer)) if request_id == id => {
            // The host may have given up on it in the meantime.
            let _ = answer.send(outcome);
            status(StatusCode::ACCEPTED)
        }
        other => {
            *in_flight = other;
            status(StatusCode::BAD_REQUEST)
        }
    }
}

fn status(code: StatusCode) -> Response<Body> {
    let text = if code.is_success() { r#"{"status":"OK"}"# } else { r#"{"errorType":"InvalidRequest"}"# };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = code;
    response
}
