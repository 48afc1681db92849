//! A user's computer: a home folder of its own, and the provisioner run as a user runs it.

#[cfg(target_os = "linux")]
pub(crate) mod killed;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use schemas::checked;
use tempfile::TempDir;

/// A computer without a home folder.
pub(crate) struct Laptop {
    home: TempDir,
}

/// The exit code of a run that a signal has ended.
pub(crate) const KILLED: i32 = -1;

/// How a run of the provisioner ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What differs from run to run, and what snapshots show in its place.
    names: Vec<(String, &'static str)>,
}

impl Laptop {
    /// A computer with an empty home folder.
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// A computer with certificate authorities.
    pub(crate) fn with_ca() -> Self {
        let laptop = Self::new();
        let outcome = laptop.run(&["ca", "create"], &[]);
        assert_eq!(outcome.code, 0, "{outcome}");
        laptop
    }

    /// The folder of keys, certificates and boards.
    pub(crate) fn folder(&self) -> PathBuf {
        self.home.path().join(".microchip-iot")
    }

    /// Every file below the folder, with its content, by its path in the folder.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let content = std::fs::read(&path).unwrap();
                    files.push((path.strip_prefix(self.folder()).unwrap().to_owned(), content));
                }
            }
        }
        files.sort();
        files
    }

    /// Runs the provisioner to its end, with nothing in its environment but `environment`.
    pub(crate) fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        self.outcome(arguments, self.command(arguments, environment).output().unwrap())
    }

    /// Runs the provisioner with no file able to grow: writing fails as on a full disk, which would take privileges.
    pub(crate) fn run_with_full_disk(&self, arguments: &[&str]) -> Outcome {
        self.run_limited("trap '' XFSZ; ulimit -f 0", arguments, &[])
    }

    /// Runs the provisioner in a shell that has run `limits`.
    pub(crate) fn run_limited(
        &self,
        limits: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Outcome {
        let limited = format!(r#"{limits}; exec "$0" "$@""#);
        let program = self.command(arguments, environment);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &limited]).arg(program.get_program()).args(program.get_args()).env_clear();
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
        self.outcome(arguments, shell.output().unwrap())
    }

    /// Starts the provisioner and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
        self.command(arguments, environment).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// How a run that [`Self::command`] began with these arguments has ended.
    pub(crate) fn outcome(&self, arguments: &[&str], output: Output) -> Outcome {
        let stdout = String::from_utf8(output.stdout).unwrap();
        checked(arguments, &stdout);
        Outcome {
            code: output.status.code().unwrap_or(KILLED),
            stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
            names: vec![(self.home.path().display().to_string(), "~")],
        }
    }

    /// The provisioner, with nothing in its environment but `environment`.
    pub(crate) fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(built("provisioner"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(environment.iter().copied())
            .stdin(Stdio::null());
        command
    }
}

impl Outcome {
    /// Has snapshots show `instead` for what differs from run to run.
    pub(crate) fn naming(mut self, name: impl Into<String>, instead: &'static str) -> Self {
        self.names.push((name.into(), instead));
        self
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("exit {}\n{}{}", self.code, self.stdout, self.stderr);
        for (name, instead) in &self.names {
            text = text.replace(name, instead);
        }
        for line in text.lines() {
            // How long it took differs, too.
            match line.rsplit_once(" in ") {
                Some((begin, time)) if time.ends_with(" s") => writeln!(f, "{begin} in N s")?,
                _ => writeln!(f, "{line}")?,
            }
        }
        Ok(())
    }
}

/// A program as built beside the testbed. Cargo does not build it for the tests of another package.
pub(crate) fn built(name: &str) -> PathBuf {
    let testbed = Path::new(env!("CARGO_BIN_EXE_testbed"));
    let program = testbed.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.is_file(), "there is no {}: run `cargo build --bins` first", program.display());
    program
}
