//! Where the demo's certificate authority has its keys, and what must be seen of that in the home folder.

use std::fs;
use std::path::Path;

use super::programs::Laptop;
use super::story::StoryError;
use crate::softhsm::{self, SoftHsm};

/// Where the keys of root and signer CA are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Signer {
    /// In files, readable by their owner alone.
    #[default]
    File,
    /// In files that a passphrase opens.
    Encrypted,
    /// In a token: SoftHSM 2, if it is installed.
    Pkcs11,
    /// In the account's KMS.
    Kms,
}

/// The key files of a home.
const FILES: [&str; 2] = ["root-ca.key", "signer-ca.key"];
/// What says where keys are that are elsewhere.
const URIS: [&str; 2] = ["root-ca.uri", "signer-ca.uri"];

impl Signer {
    /// Prepares what holds the keys; gives the arguments of `ca create` that name it.
    pub(super) fn prepare(self, laptop: &mut Laptop) -> Result<Vec<String>, StoryError> {
        match self {
            Self::File => Ok(Vec::new()),
            Self::Encrypted => {
                let passphrase = std::iter::repeat_with(fastrand::alphanumeric).take(20).collect();
                laptop.environment.push(("MICROCHIP_IOT_PASSPHRASE", passphrase));
                Ok(vec!["--encrypt".to_owned()])
            }
            Self::Pkcs11 => {
                let folder = laptop.home.join("token");
                fs::create_dir(&folder)
                    .map_err(|source| StoryError::Folder { path: folder.clone(), source })?;
                let token = SoftHsm::start(&folder)?;
                let configuration = token.configuration().display().to_string();
                laptop.environment.push((softhsm::CONFIGURATION, configuration));
                Ok(keys(&token.uri_with_pin("root"), &token.uri_with_pin("signer")))
            }
            Self::Kms => Ok(keys("awskms:", "awskms:")),
        }
    }

    /// What is seen of the keys in the home folder, as it should be.
    pub(super) fn seen(self, folder: &Path) -> Result<&'static str, StoryError> {
        let (names, absent): (_, &[&str]) = match self {
            Self::File | Self::Encrypted => (FILES, &URIS),
            Self::Pkcs11 | Self::Kms => (URIS, &FILES),
        };
        if let Some(name) = absent.iter().find(|name| folder.join(name).exists()) {
            return Err(StoryError::Differs(format!("{name} in the home folder")));
        }
        let begins = match self {
            Self::File => "-----BEGIN PRIVATE KEY-----",
            Self::Encrypted => "-----BEGIN ENCRYPTED PRIVATE KEY-----",
            Self::Pkcs11 => "pkcs11:token=testbed;",
            Self::Kms => "awskms:arn:aws:kms:",
        };
        for name in names {
            let path = folder.join(name);
            let text = fs::read_to_string(&path)
                .map_err(|source| StoryError::Folder { path: path.clone(), source })?;
            if !text.starts_with(begins) {
                return Err(StoryError::Differs(format!("{name} that does not begin with {begins}")));
            }
            if FILES.contains(&name) {
                check_private(&path)?;
            }
        }
        Ok(match self {
            Self::File => "keys readable by you alone",
            Self::Encrypted => "keys encrypted",
            Self::Pkcs11 => "keys in a token",
            Self::Kms => "keys in KMS",
        })
    }
}

fn keys(root: &str, signer: &str) -> Vec<String> {
    ["--root-key", root, "--signer-key", signer].map(str::to_owned).into()
}

#[cfg(unix)]
fn check_private(path: &Path) -> Result<(), StoryError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata =
        fs::metadata(path).map_err(|source| StoryError::Folder { path: path.to_owned(), source })?;
    match metadata.permissions().mode() & 0o777 {
        0o600 => Ok(()),
        mode => Err(StoryError::Differs(format!("{} with mode {mode:o}", path.display()))),
    }
}

#[cfg(not(unix))]
fn check_private(_: &Path) -> Result<(), StoryError> {
    Ok(())
}
