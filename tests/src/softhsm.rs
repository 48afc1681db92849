//! SoftHSM 2: a token in a folder, for computers without a smart card.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// Where packages put the module: Debian, Fedora, from source, Homebrew.
const MODULES: [&str; 5] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "/usr/local/opt/softhsm/lib/softhsm/libsofthsm2.so",
];

/// The environment variable that names its configuration.
pub const CONFIGURATION: &str = "SOFTHSM2_CONF";
/// The PIN of the token's user.
pub const PIN: &str = "271828";
const LABEL: &str = "testbed";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not installed.
    #[error("SoftHSM 2 is not installed here: apt-get install softhsm2")]
    Missing,
    /// Its folder.
    #[error("cannot use {path}")]
    Folder {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Its tool does not make a token.
    #[error("softhsm2-util makes no token: {0}")]
    Tool(String),
}

/// A token.
#[derive(Clone, Debug)]
pub struct SoftHsm {
    module: &'static str,
    folder: PathBuf,
}

impl SoftHsm {
    /// Makes a token in `folder`, which must exist.
    ///
    /// # Errors
    /// [`Error`].
    pub fn start(folder: &Path) -> Result<Self, Error> {
        let module = MODULES.into_iter().find(|module| Path::new(module).is_file()).ok_or(Error::Missing)?;
        let token = Self { module, folder: folder.to_owned() };
        let unusable = |source| Error::Folder { path: folder.to_owned(), source };
        fs::create_dir_all(token.tokens()).map_err(unusable)?;
        let configuration = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            token.tokens().display()
        );
        fs::write(token.configuration(), configuration).map_err(unusable)?;
        fs::write(token.pin_file(), format!("{PIN}\n")).map_err(unusable)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(token.pin_file(), fs::Permissions::from_mode(0o600)).map_err(unusable)?;
        }
        token.tool(["--init-token", "--free", "--label", LABEL, "--so-pin", "314159", "--pin", PIN])?;
        Ok(token)
    }

    /// Runs `softhsm2-util`.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Tool`].
    pub fn tool<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<(), Error> {
        let mut tool = Command::new("softhsm2-util");
        let run = tool.args(arguments).env(CONFIGURATION, self.configuration()).output();
        let output = run.map_err(|_| Error::Missing)?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Tool(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// The folder that is the token: without its content, the token has been taken out.
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    /// What [`CONFIGURATION`] must be set to.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// A file with the PIN.
    pub fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    /// The URI of a key of that label, without a PIN.
    pub fn uri(&self, object: &str) -> String {
        format!("pkcs11:token={LABEL};object={object}?module-path={}", self.module)
    }

    /// The same with the file of the PIN.
    pub fn uri_with_pin(&self, object: &str) -> String {
        format!("{}&pin-source=file:{}", self.uri(object), self.pin_file().display())
    }
}
