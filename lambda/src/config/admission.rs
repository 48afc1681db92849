//! What the function is told of the admission list.

use std::path::{Path, PathBuf};

use device_pki::admission_list::{AdmissionKey, AdmissionList};

use super::{ConfigError, Variables};
use crate::admission::{FILE, Mode};
use crate::published::ListUrl;

/// The public key that admission lists are signed by.
pub const ADMISSION_KEY: &str = "ADMISSION_KEY";
/// The folder of the admission list.
pub const ADMISSION_LIST: &str = "ADMISSION_LIST";
/// What becomes of boards that are not on it.
pub const ADMISSION_MODE: &str = "ADMISSION_MODE";

/// What the function is told of the admission list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionSettings {
    /// The key that signs it.
    pub key: AdmissionKey,
    /// Where it is.
    pub list: AdmissionPlace,
    /// What becomes of boards that are not on it.
    pub mode: Mode,
}

/// Where the admission list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdmissionPlace {
    /// In the function's package: this file.
    Packaged(PathBuf),
    /// In this folder, as the file [`FILE`].
    Published(ListUrl),
}

impl AdmissionSettings {
    /// The list in `file`, of the function's package.
    ///
    /// # Errors
    /// Names the variable.
    pub fn read(&self, file: &Path) -> Result<AdmissionList, ConfigError> {
        AdmissionList::verified_file(file, &self.key).map_err(|error| invalid(&error))
    }
}

fn invalid(problem: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Invalid { name: ADMISSION_LIST, problem: problem.to_string() }
}

/// Reads `ADMISSION_KEY`, `ADMISSION_LIST` and `ADMISSION_MODE`. The list is the file [`FILE`] in a folder of the function's
/// package, or published at an `https://` or `s3://` URL. `None` if none of them is set. A list in the package is not read.
///
/// # Errors
/// Names the variable and what is allowed.
pub fn admission(
    variables: impl Fn(&str) -> Option<String>,
) -> Result<Option<AdmissionSettings>, ConfigError> {
    let variables = Variables(variables);
    let key = variables.parsed(ADMISSION_KEY, str::parse::<AdmissionKey>)?;
    let mode = variables.parsed(ADMISSION_MODE, str::parse::<Mode>)?;
    let list = variables.get(ADMISSION_LIST);
    // Nobody who asks for a list gets a function without one.
    if key.is_none() && mode.is_none() && list.is_none() {
        return Ok(None);
    }
    let key = key.ok_or(ConfigError::Missing {
        name: ADMISSION_KEY,
        allowed: "with ADMISSION_LIST, the public key that signs it (base64 of its DER)",
    })?;
    let list = list.ok_or(ConfigError::Missing {
        name: ADMISSION_LIST,
        allowed: "with ADMISSION_KEY, the folder of the list (in the package, https:// or s3://)",
    })?;
    let list = match list.contains("://") {
        true => AdmissionPlace::Published(list.parse::<ListUrl>().map_err(|error| invalid(&error))?),
        false => AdmissionPlace::Packaged(Path::new(&list).join(FILE)),
    };
    Ok(Some(AdmissionSettings { key, list, mode: mode.unwrap_or_default() }))
}
