//! The programs that are measured, built with the release profile.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use testbed::journal::Call;
use tokio::process::Command;

/// Where a function looks for programs.
pub(crate) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// One of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    /// Answers with what it was sent.
    Echo,
    /// The same, after one call to AWS on a connection that it opens.
    EchoAfterCall,
    /// The function.
    Jitr,
    /// The SDK set up the ordinary way, one call after another.
    Sequential,
    /// boto3, one call after another.
    Python,
}

impl Program {
    /// Whether it does nothing with an event.
    pub(crate) fn is_echo(self) -> bool {
        matches!(self, Self::Echo | Self::EchoAfterCall)
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::EchoAfterCall => "echo after a call",
            Self::Jitr => "`jitr`",
            Self::Sequential => "sequential, Rust",
            Self::Python => "sequential, Python",
        }
    }
}

/// Where they are.
pub(crate) struct Programs {
    release: PathBuf,
    script: PathBuf,
    /// An interpreter with boto3.
    python: Option<PathBuf>,
}

impl Programs {
    /// Builds the Rust ones and looks for a Python with boto3.
    pub(crate) fn build() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
        let packages = ["build", "--release", "-p", "jitr", "-p", "baselines", "--bins"];
        let build = std::process::Command::new(env!("CARGO"))
            .args(packages)
            .arg("--target-dir")
            .arg(&target)
            // As the function is deployed; for its usual architecture `.cargo/config.toml` says so.
            .env("AWS_LC_SYS_NO_JITTER_ENTROPY", "1")
            .status();
        assert!(build.unwrap().success(), "the functions cannot be built");
        let own = target.join("ci/python/bin/python");
        let python = std::env::var_os("BENCH_PYTHON").map(PathBuf::from);
        let candidates = python.into_iter().chain([own, PathBuf::from("python3")]);
        let has_boto3 = |python: &PathBuf| {
            // As it is run later: what a user's environment adds is not there.
            let mut import = std::process::Command::new(python);
            import.args(["-c", "import boto3"]).env_clear().env("PATH", PATH);
            import.output().is_ok_and(|output| output.status.success())
        };
        let python = candidates.into_iter().find(has_boto3);
        if python.is_none() {
            eprintln!(
                "no rows for Python: no interpreter with boto3 (pip install boto3; BENCH_PYTHON names one)"
            );
        }
        let script = manifest.join("benches/baselines/sequential.py");
        Self { release: target.join("release"), script, python }
    }

    /// Those that can be run here.
    pub(crate) fn all(&self) -> Vec<Program> {
        let mut all = vec![Program::Echo, Program::EchoAfterCall, Program::Jitr, Program::Sequential];
        all.extend(self.python.is_some().then_some(Program::Python));
        all
    }

    /// The program, with an environment that has only the variables that select it.
    pub(crate) fn command(&self, program: Program) -> Command {
        let mut command = Command::new(match program {
            Program::Echo | Program::EchoAfterCall => self.release.join("echo"),
            Program::Jitr => self.release.join("jitr"),
            Program::Sequential => self.release.join("sequential"),
            Program::Python => self.python.clone().unwrap(),
        });
        command.env_clear();
        if program == Program::Python {
            command.arg(&self.script);
        }
        if program == Program::EchoAfterCall {
            command.env("FIRST_CALL", "1");
        }
        command
    }

    /// The calls of an event that cannot run beside one another: all, if they are made one after another.
    pub(crate) fn in_sequence(program: Program, calls: &[Call]) -> impl Iterator<Item = &Call> {
        let chain = ["DescribeCertificate", "CreateThing", "AttachThingPrincipal", "UpdateCertificate"];
        let counts = move |call: &&Call| program != Program::Jitr || chain.contains(&call.operation.as_str());
        calls.iter().filter(counts)
    }

    /// Size in bytes of the function's deployment package.
    pub(crate) fn package_size(&self) -> usize {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .unix_permissions(0o755);
        writer.start_file("bootstrap", options).unwrap();
        writer.write_all(&std::fs::read(self.release.join("jitr")).unwrap()).unwrap();
        writer.finish().unwrap().into_inner().len()
    }
}
