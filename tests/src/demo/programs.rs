//! The programs under demonstration, run as a user would run them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::beside::{self, NotBeside};

/// How long a run of the provisioner may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a program could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It has not been built.
    #[error(transparent)]
    Missing(#[from] NotBeside),
    /// It could not be started, or its folder could not be used.
    #[error("cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It ended with another exit code than 0.
    #[error("`provisioner {arguments}` ended with {status}\n{stderr}")]
    Failed {
        /// Its arguments.
        arguments: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// It did not end.
    #[error("`provisioner {arguments}` did not end within {PATIENCE:?}")]
    Late {
        /// Its arguments.
        arguments: String,
    },
}

/// The programs, as built beside the testbed.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// The command-line tool.
    pub(super) provisioner: PathBuf,
    /// The Lambda function.
    pub(super) jitr: PathBuf,
}

impl Programs {
    /// Finds the programs in the folder of the running one.
    ///
    /// # Errors
    /// [`ProgramError::Missing`] names the first that is not there.
    pub(super) fn beside_the_testbed() -> Result<Self, ProgramError> {
        Ok(Self { provisioner: beside::program("provisioner")?, jitr: beside::program("jitr")? })
    }
}

/// A user's computer: a home folder, and an environment that names the testbed as AWS.
#[derive(Clone, Debug)]
pub(super) struct Laptop {
    /// The user's home folder.
    pub(super) home: PathBuf,
    /// The command-line tool.
    pub(super) provisioner: PathBuf,
    /// AWS settings.
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Laptop {
    /// The folder of keys, certificates and boards, at its default place.
    pub(super) fn microchip_iot(&self) -> PathBuf {
        self.home.join(".microchip-iot")
    }

    /// Runs the provisioner with nothing in its environment but what the user has set.
    ///
    /// # Errors
    /// [`ProgramError`] when it does not end, or not with exit code 0.
    pub(super) async fn provisioner(&self, arguments: &[&str]) -> Result<(), ProgramError> {
        let shown = || arguments.join(" ");
        let run = Command::new(&self.provisioner)
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = match timeout(PATIENCE, run).await {
            Err(_) => return Err(ProgramError::Late { arguments: shown() }),
            Ok(output) => {
                output.map_err(|source| ProgramError::Io { action: "start the provisioner", source })?
            }
        };
        if output.status.success() {
            return Ok(());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ProgramError::Failed { arguments: shown(), status: output.status, stderr })
    }
}
