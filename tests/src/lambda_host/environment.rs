//! Execution environments: a subprocess of the function behind a Runtime API of its own, kept warm between invocations.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, oneshot};

use super::package::Package;
use super::runtime_api::{self, Answer, Handle, Phase, Work};
use crate::journal::{Happening, Journal};

/// What Lambda gives a runtime to start.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Lines of the log that an invocation can return.
const LOG_TAIL: usize = 100;

/// All that is needed to start an environment.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) function: String,
    pub(super) arn: String,
    pub(super) timeout: Duration,
    pub(super) sampled: bool,
    pub(super) variables: Vec<(String, String)>,
    pub(super) package: Arc<Package>,
}

/// The environments of one function in one state of its code and configuration.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Vec<Environment>>,
    /// Folders for temporary files whose processes have ended.
    folders: Mutex<Vec<TempDir>>,
    places: Semaphore,
}

/// One finished invocation.
#[derive(Debug)]
pub(super) struct Finished {
    /// What the function answered, or its error (JSON text).
    pub(super) outcome: Answer,
    /// The end of its log.
    pub(super) log: String,
}

impl Pool {
    pub(super) fn new(concurrency: usize) -> Self {
        Self { idle: Mutex::default(), folders: Mutex::default(), places: Semaphore::new(concurrency) }
    }

    /// Runs one invocation in a warm environment, or in a new one if none is idle.
    pub(super) async fn run(
        &self,
        spec: &Spec,
        journal: &Journal,
        request_id: &str,
        payload: Bytes,
    ) -> Finished {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let mut idle = lock(&self.idle).pop();
        let mut environment = match idle.take_if(Environment::is_alive) {
            Some(warm) => warm,
            None => {
                let folder = idle.map(|ended| ended.folder).or_else(|| lock(&self.folders).pop());
                match Environment::start(spec, journal, folder).await {
                    Ok(started) => started,
                    Err(finished) => return finished,
                }
            }
        };
        let (outcome, reusable) = environment.invoke(spec, request_id, payload).await;
        let log = environment.log();
        if reusable {
            lock(&self.idle).push(environment);
        } else {
            let Environment { folder, .. } = environment;
            lock(&self.folders).push(folder);
        }
        Finished { outcome, log }
    }
}

/// A running subprocess and its Runtime API. Dropping it kills the process.
#[derive(Debug)]
struct Environment {
    child: Child,
    api: Handle,
    log: Arc<Mutex<VecDeque<String>>>,
    /// For temporary files: `/tmp` in AWS Lambda, which the end of the process does not clear (AWS Lambda developer guide,
    /// "Failures during the invoke phase").
    folder: TempDir,
    // The program's files must outlive the process.
    _package: Arc<Package>,
}

impl Environment {
    /// Starts the function and waits until it asks for work; in the folder of an earlier process, if there was one.
    async fn start(spec: &Spec, journal: &Journal, folder: Option<TempDir>) -> Result<Self, Finished> {
        let failed = |kind: &str, message: String| Finished {
            outcome: Err(error_body(kind, &message)),
            log: String::new(),
        };
        let api = runtime_api::serve(spec.arn.clone())
            .await
            .map_err(|e| failed("Sandbox.Failure", format!("no port for the Runtime API: {e}")))?;
        let folder = folder.map_or_else(|| tempfile::Builder::new().prefix("testbed-tmp-").tempdir(), Ok);
        let folder =
            folder.map_err(|e| failed("Sandbox.Failure", format!("no folder for temporary files: {e}")))?;
        let mut command = Command::new(spec.package.bootstrap());
        command
            .current_dir(spec.package.root())
            .env_clear()
            .envs(spec.variables.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", &api.location)
            .env("LAMBDA_TASK_ROOT", spec.package.root())
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = spawn(&mut command)
            .await
            .map_err(|e| failed("Runtime.InvalidEntrypoint", format!("cannot run bootstrap: {e}")))?;
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let function = &spec.function;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(collect(stdout, function.clone(), journal.clone(), Arc::clone(&log)));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(collect(stderr, function.clone(), journal.clone(), Arc::clone(&log)));
        }
        let mut environment = Self { child, api, log, folder, _package: Arc::clone(&spec.package) };
        let ready = environment.wait_until_ready().await;
        ready.map_err(|outcome| Finished { outcome: Err(outcome), log: environment.log() })?;
        Ok(environment)
    }

    async fn wait_until_ready(&mut self) -> Result<(), Bytes> {
        let mut phase = self.api.phase.clone();
        let started = phase.wait_for(|phase| *phase != Phase::Starting);
        tokio::select! {
            biased;
            phase = started => match phase.as_deref() {
                Ok(Phase::InitFailed(error)) => Err(error.clone()),
                _ => Ok(()),
            },
            status = self.child.wait() => Err(exit_error(status)),
            () = tokio::time::sleep(INIT_TIMEOUT) => Err(error_body(
                "Sandbox.Timedout",
                &format!("the runtime did not start within {} seconds", INIT_TIMEOUT.as_secs()),
            )),
        }
    }

    /// Hands over one event and waits for the answer, the end of the process or the timeout. Says, too, whether the environment can be
    /// used again.
    async fn invoke(&mut self, spec: &Spec, request_id: &str, payload: Bytes) -> (Answer, bool) {
        let timeout = spec.timeout;
        lock(&self.log).clear();
        let (answer, answered) = oneshot::channel();
        let work = Work {
            request_id: request_id.to_owned(),
            payload,
            deadline: SystemTime::now() + timeout,
            sampled: spec.sampled,
            answer,
        };
        if self.api.work.send(work).await.is_err() {
            return (Err(error_body("Sandbox.Failure", "the Runtime API has stopped")), false);
        }
        tokio::select! {
            biased;
            outcome = answered => match outcome {
                Ok(outcome) => (outcome, true),
                Err(_) => (Err(error_body("Sandbox.Failure", "the Runtime API has stopped")), false),
            },
            status = self.child.wait() => (Err(exit_error(status)), false),
            () = tokio::time::sleep(timeout) => {
                let message =
                    format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", timeout.as_secs_f64());
                (Err(error_body("Sandbox.Timedout", &message)), false)
            }
        }
    }

    /// A function may end while it is idle.
    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn log(&self) -> String {
        let log = lock(&self.log);
        log.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the process. A file that has just been written can be busy for a moment: another thread may have forked while it was open.
async fn spawn(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..50 {
        match command.spawn() {
            Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
    command.spawn()
}

/// Copies what the function writes into the journal, line by line.
async fn collect(
    output: impl AsyncRead + Unpin,
    function: String,
    journal: Journal,
    log: Arc<Mutex<VecDeque<String>>>,
) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() == LOG_TAIL {
                log.pop_front();
            }
            log.push_back(line.clone());
        }
        journal.record(Happening::Log { function: function.clone(), line });
    }
}

/// An error in the form that Lambda gives it.
fn error_body(kind: &str, message: &str) -> Bytes {
    json!({ "errorType": kind, "errorMessage": message }).to_string().into()
}

fn exit_error(status: std::io::Result<std::process::ExitStatus>) -> Bytes {
    let how = match status {
        Ok(status) => status.to_string(),
        Err(e) => e.to_string(),
    };
    error_body("Runtime.ExitError", &format!("the runtime exited: {how}"))
}
