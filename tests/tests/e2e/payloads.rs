//! Payloads that AWS Lambda's own front lets nobody send, and that queues of events and other runtimes may bring all the same.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::Value;
use testbed::wait;
use tokio::net::TcpListener;

/// A Runtime API that hands out payloads, one after the other, and keeps what is answered.
#[derive(Clone, Default)]
struct Runtime {
    payloads: Arc<Mutex<Vec<&'static [u8]>>>,
    answers: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Runtime {
    fn router(&self) -> Router {
        let (payloads, answers) = (self.payloads.clone(), self.answers.clone());
        let next = move || async move {
            let Some(payload) = payloads.lock().unwrap().pop() else {
                return std::future::pending().await;
            };
            let headers = [
                ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
                ("lambda-runtime-deadline-ms", "4102444800000"),
                (
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:us-east-1:123456789012:function:JITR",
                ),
            ];
            (headers, payload).into_response()
        };
        let answer = move |Path((_, kind)): Path<(String, String)>, body: String| async move {
            answers.lock().unwrap().push((kind, serde_json::from_str(&body).unwrap()));
            StatusCode::ACCEPTED
        };
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answer))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_no_json_is_answered_by_the_function_in_its_own_words() {
    let runtime = Runtime::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = runtime.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let cases: [(&[u8], &str, &str); 5] = [
        (b"", "response", "the message is empty"),
        (b"hello", "response", "the event is \"hello\""),
        (b"\xEF\xBB\xBF{\"Event\": \"s3:TestEvent\"}", "response", "the test event of Amazon S3"),
        (b"{\"certificateId\": ", "response", "a JSON object is expected"),
        (b"{\"Records\": [{\"body\": \"hello\"}]}", "error", "the event is not JSON"),
    ];
    runtime.payloads.lock().unwrap().extend(cases.iter().rev().map(|(payload, ..)| payload));
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_testbed")).with_file_name("jitr");
    let log = tempfile::NamedTempFile::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut function = Command::new(program)
        .env_clear()
        .envs([("AWS_LAMBDA_RUNTIME_API", address.to_string())])
        .env("TMPDIR", folder.path())
        .envs([
            ("AWS_LAMBDA_FUNCTION_NAME", "JITR"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "JITR"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "JITR"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            // Nothing listens there, and none of these payloads needs it.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ])
        .stdout(Stdio::from(log.reopen().unwrap()))
        .spawn()
        .unwrap();
    let is_answered = || runtime.answers.lock().unwrap().len() == cases.len();
    let answered = wait::until("every payload is answered", is_answered);
    function.kill().unwrap();
    function.wait().unwrap();
    let log = std::fs::read_to_string(log.path()).unwrap();
    answered.unwrap_or_else(|error| panic!("{error:?}: {log}"));
    for ((payload, kind, said), (answer, body)) in cases.iter().zip(runtime.answers.lock().unwrap().iter()) {
        assert!(
            answer == kind && body.to_string().replace("\\\"", "\"").contains(said),
            "{payload:?}: {answer} {body}"
        );
        assert!(body.to_string().contains("malformed_event"), "{payload:?}: {body}");
    }
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        assert!(!line.contains("DeserializeError") && !line.contains("Diagnostic"), "{line}");
    }
}
