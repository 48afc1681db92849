//! Where the passphrases of keys come from: a file, a file descriptor, the environment, the operating system's keyring, or a
//! prompt, in this order. Codes of MFA devices come from a prompt.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use zeroize::Zeroizing;

use super::{Error, Global};
use device_pki::Cause;
use device_pki::key::{Passphrase, Passphrases, Uri};
use iot_account::TokenCodes;

/// Environment variable with the passphrase of the keys.
const VARIABLE: &str = "MICROCHIP_IOT_PASSPHRASE";

/// The service that passphrases have in the operating system's keyring; the user is the key's URI.
const SERVICE: &str = "provisioner";

/// Flags for keys that a passphrase or PIN opens.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Passphrase or PIN of the keys")]
pub struct Unlocking {
    /// File with the passphrase in its first line [default: MICROCHIP_IOT_PASSPHRASE, or a prompt]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "password_fd")]
    password_file: Option<PathBuf>,
    /// File descriptor to read the passphrase from
    #[arg(long, global = true, value_name = "N")]
    password_fd: Option<u32>,
    /// Use the operating system's keyring for the passphrase
    #[arg(long, global = true)]
    keyring: bool,
}

/// The sources of one run.
#[derive(Debug)]
pub(super) struct Sources {
    global: Global,
    /// What a file or descriptor had: it may be a pipe, which can be read once.
    read: Mutex<Option<Passphrase>>,
}

impl Sources {
    pub(super) fn new(global: &Global) -> Self {
        Self { global: global.clone(), read: Mutex::default() }
    }
}

impl Passphrases for Sources {
    fn given(&self) -> Result<Option<Passphrase>, Cause> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.is_none() {
            let options = &self.global.passphrase;
            *read = match (&options.password_file, options.password_fd) {
                (Some(file), _) => Some(first_line(file)?),
                (None, Some(number)) => Some(first_line(&descriptor(number)?)?),
                (None, None) => {
                    std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()).map(Passphrase::from)
                }
            };
        }
        Ok(read.clone())
    }

    fn kept(&self, uri: &Uri) -> Result<Option<Passphrase>, Cause> {
        if !self.global.passphrase.keyring {
            return Ok(None);
        }
        match entry(uri).and_then(|entry| entry.get_password()) {
            Ok(text) => Ok(Some(text.into())),
            Err(keyring_core::Error::NoEntry) => Ok(None),
            Err(source) => Err(Error::Keyring { source }.into()),
        }
    }

    fn keep(&self, uri: &Uri, passphrase: &Passphrase) -> Result<(), Cause> {
        if !self.global.passphrase.keyring {
            return Ok(());
        }
        let kept = entry(uri).and_then(|entry| entry.set_password(passphrase.reveal()));
        Ok(kept.map_err(|source| Error::Keyring { source })?)
    }

    fn ask(&self, question: &str) -> Result<Option<Passphrase>, Cause> {
        if !self.global.can_ask() {
            return Ok(None);
        }
        Ok(Some(super::prompt::secret(question)?.into()))
    }
}

/// Codes of MFA devices, from the person at the terminal.
#[derive(Debug)]
pub(super) struct Codes {
    global: Global,
}

impl Codes {
    pub(super) fn new(global: &Global) -> Self {
        Self { global: global.clone() }
    }
}

impl TokenCodes for Codes {
    fn code(&self, device: &str) -> Result<Option<String>, Cause> {
        if !self.global.can_ask() {
            return Ok(None);
        }
        let ask = || super::prompt::secret(&format!("Code of the MFA device {device}"));
        Ok(Some(tokio::task::block_in_place(ask)?))
    }
}

/// The first line of a file that only its owner may read, or of a pipe.
pub(super) fn first_line(file: &Path) -> Result<Passphrase, Error> {
    let refuse = |reason: &str| Error::File { path: file.to_owned(), reason: reason.to_owned() };
    let bytes = durable_files::read_secret(file).map_err(Error::Named)?;
    let bytes = bytes.ok_or_else(|| refuse("there is no such file"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| refuse("it is not text"))?;
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    if line.is_empty() {
        return Err(refuse("there is no passphrase in its first line"));
    }
    Ok(Passphrase::from(line.to_string()))
}

/// An open file descriptor under the name that the system gives it.
#[cfg(unix)]
fn descriptor(number: u32) -> Result<PathBuf, Error> {
    Ok(PathBuf::from(format!("/dev/fd/{number}")))
}

#[cfg(not(unix))]
fn descriptor(_: u32) -> Result<PathBuf, Error> {
    Err(Error::usage("this system has no names for file descriptors", "use --password-file FILE").into())
}

/// The place of a key's passphrase in the operating system's keyring.
fn entry(uri: &Uri) -> keyring_core::Result<keyring_core::Entry> {
    keyring_core::Entry::new_in_store(&store()?, SERVICE, &uri.to_string())
}

#[cfg(target_os = "linux")]
fn store() -> keyring_core::Result<std::sync::Arc<keyring_core::CredentialStore>> {
    Ok(linux_keyutils_keyring_store::Store::new()?)
}

#[cfg(target_os = "macos")]
fn store() -> keyring_core::Result<std::sync::Arc<keyring_core::CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(windows)]
fn store() -> keyring_core::Result<std::sync::Arc<keyring_core::CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
fn store() -> keyring_core::Result<std::sync::Arc<keyring_core::CredentialStore>> {
    Err(keyring_core::Error::NoDefaultStore)
}
