//! The testbed's answers, compared with the service models that AWS publishes in botocore; and the page for testers, tried with
//! AWS's library for Python.

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

/// Runs the fixtures of the page as pytest does: each once, and then the test with them.
const PYTEST: &str = r#"
import re, sys, types
pytest = types.ModuleType("pytest")
pytest.fixture = lambda made: made
sys.modules["pytest"] = pytest
page = {}
exec(re.search(r"```python\n(.*?)```", open(sys.argv[1]).read(), re.S)[1], page)
testbed = page["testbed"]()
page["test_the_rule_for_new_devices_is_there"](page["iot"](next(testbed)))
assert next(testbed, None) is None
"#;

#[test]
fn the_python_example_of_the_page_for_testers_runs() {
    let Some(python) = server::program("python") else { return };
    let built = PathBuf::from(env!("CARGO_BIN_EXE_testbed"));
    assert!(built.with_file_name("jitr").is_file(), "there is no jitr beside it; run: cargo build --bins");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(built.parent().unwrap().to_owned()).chain(std::env::split_paths(&path));
    let output = Command::new(python)
        .args(["-c", PYTEST, concat!(env!("CARGO_MANIFEST_DIR"), "/docs/testers.md")])
        .env("PATH", std::env::join_paths(folders).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
