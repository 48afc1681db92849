//! The Python of the user: whether it has the package installed, and the download with its pip.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use iot_kit::catalogue::PACKAGE;

use super::Error;

/// The names that Python has.
const NAMES: &[&str] = if cfg!(windows) { &["py", "python", "python3"] } else { &["python3", "python"] };

/// Prints where the package is installed, and whether there is pip. The current folder, where anybody may have put a file that
/// is named like a module of Python, is taken out of the search for modules first.
const LOOK: &str = "\
import sys
sys.path[:] = [entry for entry in sys.path if entry]
try:
    import importlib.metadata as metadata
    print('installed', metadata.distribution(sys.argv[1]).locate_file(''), sep='\\t')
except Exception:
    pass
try:
    import pip
    print('pip', pip.__version__, sep='\\t')
except Exception:
    pass
";

/// A Python that runs.
pub(super) struct Python {
    /// The name that it is called by.
    pub(super) python: String,
    /// The folder that the package is installed in.
    pub(super) installed: Option<PathBuf>,
    /// Whether it has pip.
    pub(super) has_pip: bool,
}

/// Each Python that runs.
pub(super) fn all() -> impl Iterator<Item = Python> {
    NAMES.iter().filter_map(|name| {
        let output = run(Command::new(name).args(["-c", LOOK, PACKAGE.name])).ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
        let installed = value("installed").map(PathBuf::from);
        output.status.success().then(|| Python {
            python: (*name).to_owned(),
            installed,
            has_pip: value("pip").is_some(),
        })
    })
}

/// Has pip download the wheel into a folder, which is empty. Nothing of the wheel is executed.
///
/// # Errors
/// [`Error::Pip`].
pub(super) fn download(python: &str, folder: &Path) -> Result<(), Error> {
    let mut command = Command::new(python);
    command.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
    ]);
    command
        .args(["--only-binary=:all:", "--dest", "."])
        .arg(format!("{}=={}", PACKAGE.name, PACKAGE.version));
    // Modules of Python are looked for in the current folder first.
    let output = run(command.current_dir(folder)).map_err(|error| Error::Pip { said: error.to_string() })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error = |line: &&str| line.trim_start().to_ascii_lowercase().starts_with("error");
    let last =
        said.lines().rev().find(error).or_else(|| said.lines().rev().find(|line| !line.trim().is_empty()));
    Err(Error::Pip { said: last.unwrap_or("it does not say why").trim().to_owned() })
}

fn run(command: &mut Command) -> std::io::Result<Output> {
    command.stdin(Stdio::null()).output()
}
