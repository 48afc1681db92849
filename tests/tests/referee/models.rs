//! The testbed's answers, compared with the service models that AWS publishes in botocore.

use std::path::PathBuf;
use std::process::Command;

use testbed::{Options, Testbed};

use crate::server;

/// A Python script of this folder, for the testbed.
pub(crate) fn script(python: PathBuf, name: &str, testbed: &Testbed) -> Command {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/referee"));
    let mut command = Command::new(python);
    command.arg(folder.join(name)).envs(testbed.access().environment());
    // The older name, which botocore reads alone.
    command.env("AWS_DEFAULT_REGION", &testbed.access().region);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_models_of_botocore_say() {
    let Some(python) = server::program("python") else { return };
    let testbed = Testbed::start(Options::default()).await.unwrap();
    let output = script(python, "models.py", &testbed).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let operations = String::from_utf8(output.stdout).unwrap();
    assert!(operations.lines().count() >= 70, "{operations}");
}
