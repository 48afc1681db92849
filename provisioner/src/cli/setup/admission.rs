//! What `setup` tells the function of the admission list.

use clap::{Args, ValueEnum};
use device_pki::admission_list::AdmissionKey;
use iot_account::setup::Admission;
use jitr::admission;
use jitr::published::ListUrl;

use crate::cli::{Context, Error};
use crate::state::admission::{key, key_uri};
use crate::work::AuthorityError;

/// Turns it off.
const OFF: &str = "off";

/// What becomes of boards that are not on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// They are refused
    Enforce,
    /// They are registered; the log and a metric tell of them
    Report,
}

impl From<Mode> for admission::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Enforce => Self::Enforce,
            Mode::Report => Self::Report,
        }
    }
}

/// The flags for the admission list.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Register only boards on the admission list in this folder: s3://BUCKET/PREFIX, https://HOST/FOLDER, or a folder of the package;
    /// `off` registers all boards of the signer CA [default: as the function does now]
    #[arg(long, value_name = "PLACE", value_parser = place)]
    admission_list: Option<String>,
    /// Public key of the list, as `admission publish` prints it [default: that of the admission key of the home folder]
    #[arg(long, value_name = "KEY", requires = "admission_list")]
    admission_public_key: Option<AdmissionKey>,
    /// What becomes of boards that are not on the list [default: as the function does now, enforce]
    #[arg(long, value_enum, value_name = "MODE", requires = "admission_list")]
    admission_mode: Option<Mode>,
}

impl Flags {
    /// Whether any of them was given.
    pub(super) fn is_given(&self) -> bool {
        self.admission_list.is_some()
    }

    /// What the function is to be told; `None` leaves it as it is.
    ///
    /// # Errors
    /// [`AuthorityError::NoAdmissionKey`]; what keeps the key from being opened.
    pub(super) fn admission(&self, context: &Context) -> Result<Option<Admission>, Error> {
        let Some(list) = &self.admission_list else { return Ok(None) };
        if list == OFF {
            return Ok(Some(Admission::Off));
        }
        let key = match self.admission_public_key {
            Some(key) => key,
            None => {
                let uri = key_uri(&context.home)?;
                let key = key(&context.home, &context.keys, None)?;
                key.ok_or(AuthorityError::NoAdmissionKey { uri })?.admission_key()?
            }
        };
        let mode = self.admission_mode.map(Into::into);
        Ok(Some(Admission::By { key, list: list.clone(), mode }))
    }
}

fn place(text: &str) -> Result<String, String> {
    match text.contains("://") {
        true => text.parse::<ListUrl>().map(|url| url.to_string()).map_err(|error| error.to_string()),
        false => Ok(text.to_owned()),
    }
}
