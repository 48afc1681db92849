//! What the function is told of the admission list.

use std::path::Path;

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
    /// In the function's package.
    Packaged {
        /// The file.
        path: String,
        /// What is in it.
        list: AdmissionList,
    },
    /// In this folder, as the file [`FILE`].
    Published(ListUrl),
}

/// Reads `ADMISSION_KEY`, `ADMISSION_LIST` and `ADMISSION_MODE`. The list is the file [`FILE`] in a folder of the function's
/// package, or published at an `https://` or `s3://` URL. `None` if none of them is set.
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
    let invalid = |problem: String| ConfigError::Invalid { name: ADMISSION_LIST, problem };
    let list = match list.contains("://") {
        true => {
            let url = list.parse::<ListUrl>();
            AdmissionPlace::Published(url.map_err(|error| invalid(error.to_string()))?)
        }
        false => {
            let path = Path::new(&list).join(FILE);
            let read = AdmissionList::verified_file(&path, &key);
            let list = read.map_err(|error| invalid(error.to_string()))?;
            AdmissionPlace::Packaged { path: path.display().to_string(), list }
        }
    };
    Ok(Some(AdmissionSettings { key, list, mode: mode.unwrap_or_default() }))
}
