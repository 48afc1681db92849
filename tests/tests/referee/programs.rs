//! The real programs as a user runs them: the provisioner in a home of its own, and the package of the Lambda.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// The Region that the referees play.
pub(crate) const REGION: &str = "us-east-1";

/// A home folder and an account to run the provisioner with.
pub(crate) struct User {
    home: TempDir,
    endpoint_url: String,
}

impl User {
    pub(crate) fn of(endpoint_url: String) -> Self {
        Self { home: TempDir::new().unwrap(), endpoint_url }
    }

    /// A file of the home folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs the provisioner, which has to succeed, and gives the JSON lines it prints.
    pub(crate) fn provisioner(&self, arguments: &[&str]) -> Vec<Value> {
        let output = Command::new(sibling("provisioner"))
            .args(arguments)
            .args(["--output", "json", "--non-interactive"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("MICROCHIP_IOT_HOME", self.home.path())
            .env("HOME", self.home.path())
            .env("AWS_ENDPOINT_URL", &self.endpoint_url)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .output()
            .unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success(),
            "provisioner {arguments:?}: {}\n{stdout}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The package of the Lambda: the one `JITR_PACKAGE` names (cargo-lambda's), or one made of the binary that is built already.
pub(crate) fn lambda_package(folder: &Path) -> PathBuf {
    if let Some(package) = std::env::var_os("JITR_PACKAGE") {
        return package.into();
    }
    let path = folder.join("bootstrap.zip");
    let mut package = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    package.start_file("bootstrap", options).unwrap();
    package.write_all(&std::fs::read(sibling("jitr")).unwrap()).unwrap();
    package.finish().unwrap();
    path
}

/// A program of this workspace, beside the test's own executable.
fn sibling(name: &str) -> PathBuf {
    let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let path = folder.join(name);
    assert!(path.is_file(), "{name} is not built; run: cargo build --bins");
    path
}
