//! A running function behind a Runtime API.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use testbed::lambda_host::runtime_api::{self, Handle, Phase, Work};
use tokio::process::Child;
use tokio::sync::oneshot;

use crate::account::BenchAccount;
use crate::cpu::Share;
use crate::programs::{PATH, Program, Programs};

/// Python, held to a fourteenth of a CPU, takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A function that has asked for its first event.
pub(crate) struct Function {
    program: Program,
    child: Child,
    api: Handle,
    /// From the start of the process to the first request for an event.
    pub(crate) started: Duration,
}

impl Function {
    pub(crate) async fn start(
        programs: &Programs,
        program: Program,
        account: &BenchAccount,
        share: Option<&Share>,
    ) -> Self {
        let api =
            runtime_api::serve("arn:aws:lambda:us-east-1:123456789012:function:JITR".into()).await.unwrap();
        let document = jitr::policy::PolicyTemplate::zero_touch().unwrap();
        let scope = jitr::scope::Scope {
            partition: "aws".into(),
            region: "us-east-1".into(),
            account: "123456789012".into(),
        };
        let mut command = programs.command(program);
        command
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "JITR"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/JITR"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
                ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_DEFAULT_REGION", "us-east-1"),
                ("PATH", PATH),
                ("LANG", "en_US.UTF-8"),
            ])
            .envs(account.variables(program))
            .env("AWS_LAMBDA_RUNTIME_API", &api.location)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        if program == Program::Python {
            command.env("ZT_POLICY_DOCUMENT", document.fill(&scope).unwrap().to_string());
        }
        let mut phase = api.phase.clone();
        let begin = Instant::now();
        let child = command.spawn().unwrap();
        if let Some(share) = share {
            share.hold(child.id().unwrap());
        }
        let ready = phase.wait_for(|phase| *phase != Phase::Starting);
        let phase =
            tokio::time::timeout(PATIENCE, ready).await.expect("the function does not start").unwrap();
        let started = begin.elapsed();
        assert_eq!(*phase, Phase::Ready, "{program:?}");
        drop(phase);
        Self { program, child, api, started }
    }

    /// Sends an event; returns the time until the answer, and the answer.
    pub(crate) async fn invoke(&mut self, account: &BenchAccount) -> (Duration, String) {
        let payload = match self.program {
            program if program.is_echo() => "{}".to_owned(),
            _ => account.event(),
        };
        let (answer, answered) = oneshot::channel();
        let work = Work {
            request_id: "8476a536-e9f4-11e8-9739-2dfe598c3fcd".into(),
            payload: payload.into(),
            deadline: SystemTime::now() + PATIENCE,
            sampled: false,
            answer,
        };
        let begin = Instant::now();
        self.api.work.send(work).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, answered).await.expect("no answer").unwrap();
        let took = begin.elapsed();
        let answer = answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let answer = answer.unwrap_or_else(|error| panic!("{}", String::from_utf8_lossy(&error)));
        assert!(self.program.is_echo() || answer.contains("registered"), "{answer}");
        (took, answer)
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
    }
}
